"""Where they lie: lobar, deep or both; per region and volume; what goes with which pattern."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import statsmodels.api as sm
from scipy import stats

from petechia.cohort.design_matrix import Design, read_column
from petechia.cohort.estimates import NAN, Columns, Estimate, Fit, Floats, attempt
from petechia.cohort.fitting import fitted, refused, unfitted
from petechia.cohort.ratios import ratio_of_totals
from petechia.cohort.separation import separating_classes
from petechia.errors import ParameterError

PATTERNS = ("none", "lobar_only", "deep_only", "mixed")
"""'deep_only' is deep or infratentorial."""
MODEL, MEASURE = "multinomial logistic regression", "odds ratio"


def pattern_of(
    lobar: npt.ArrayLike, deep: npt.ArrayLike, infratentorial: npt.ArrayLike
) -> tuple[str, ...]:
    """Return each scan's pattern from its counts; '' where a count is not known.

    Where one count is not known and the others settle it all the same (lobar and deep both
    present: mixed), it is told.
    """
    counts = [np.asarray(v, dtype=np.float64) for v in (lobar, deep, infratentorial)]
    told = []
    for up, down, under in zip(*counts, strict=True):
        low = down > 0 or under > 0
        sure_low = low or (np.isfinite(down) and np.isfinite(under))
        if up > 0 and low:
            told.append("mixed")
        elif not np.isfinite(up) or not sure_low:
            told.append("")
        else:
            told.append("lobar_only" if up > 0 else "deep_only" if low else "none")
    return tuple(told)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionRate:
    """Microbleeds of one region.

    Attributes
    ----------
    region : str
        Name.
    count, scans : int
        Lesions; scans in which the region was assessable.
    share : float
        Of all lesions of the regions asked about.
    per_scan, per_litre : Estimate
        Mean in a scan; for each litre of the region.
    """

    region: str
    count: int
    scans: int
    share: float
    per_scan: Estimate
    per_litre: Estimate


def region_rates(
    counts: Columns,
    regions: Sequence[str],
    volume_ml: Mapping[str, npt.ArrayLike] | None = None,
    level: float = 0.95,
) -> tuple[RegionRate, ...]:
    """Return rates of each region; a scan in which a region was not assessable (NaN) is left out.

    Parameters
    ----------
    counts : columns
        A column of counts for each region.
    regions : sequence of str
        Columns to tell of.
    volume_ml : mapping, optional
        Volume of each region in each scan (or one number); no rate per litre without it.
    level : float
        Of the intervals, which are over scans: the lesions of a person come together. Where
        nobody has any, the upper end is the exact Poisson one.
    """
    columns = {name: np.asarray(read_column(counts, name), dtype=np.float64) for name in regions}
    everything = sum(float(np.nansum(column)) for column in columns.values())
    rows = []
    for name, column in columns.items():
        keep = np.isfinite(column)
        own = column[keep]
        litres = None
        if volume_ml is not None and name in volume_ml:
            litres = np.broadcast_to(np.asarray(volume_ml[name], float), column.shape)[keep] / 1000
        rows.append(
            RegionRate(
                region=name, count=int(own.sum()), scans=len(own),
                share=float(own.sum()) / everything if everything else NAN,
                per_scan=_rate(own, np.ones(len(own)), level),
                per_litre=Estimate(measure="rate", why="no volume was given")
                if litres is None else _rate(own, litres, level),
            )
        )  # fmt: skip
    return tuple(rows)


def _rate(count: Floats, per: Floats, level: float) -> Estimate:
    there = np.isfinite(per) & (per > 0)
    count, per = count[there], per[there]
    if len(count) and not count.any():
        high = float(stats.chi2.isf((1 - level) / 2, 2)) / 2 / float(per.sum())
        return Estimate(
            value=0.0, low=0.0, high=high, n=len(count), measure="rate", method="exact Poisson"
        )
    return ratio_of_totals(count, per, level=level, measure="rate")


def pattern_regression(design: Design, words: Sequence[str] = PATTERNS, level: float = 0.95) -> Fit:
    """Return multinomial odds ratios of each pattern against the first; part = the pattern.

    Parameters
    ----------
    design : Design
        Outcome: the place of the pattern in `words`. Patterns nobody has are passed over; the
        first that somebody has is what the others are held against.
    words : sequence of str
        Names.
    level : float
        Of the intervals.
    """
    if len(design.y) and not (np.isin(design.y, np.arange(len(words)))).all():
        raise ParameterError(
            "patterns that have no name", where="pattern_regression",
            mend=f"Give places of 0 to {len(words) - 1}.",
        )  # fmt: skip
    seen, y = np.unique(design.y, return_inverse=True)
    labels = [words[int(v)] for v in seen]
    k = len(design.names)
    trouble = refused(design, MODEL, MEASURE, spare=1 + k * max(len(seen) - 2, 0))
    if trouble is not None:
        return trouble
    notes = (*design.notes, f"odds against the pattern {labels[0]}")
    notes += tuple(f"nobody has the pattern {w}" for w in words if w not in labels)
    if separating_classes(design.x, y.astype(np.float64), len(seen)).any():
        said = "a term foretells a pattern without fail: its odds ratio has no end"
        return unfitted(design, MODEL, MEASURE, "separated", said, notes)
    z, back = design.standardised()
    made, heard = attempt(
        lambda: sm.MNLogit(y, z).fit(method="newton", maxiter=100, disp=0, warn_convergence=False)
    )
    if made is None or not made.mle_retvals["converged"]:
        said = f"the iteration did not converge ({heard or 'no reason told'})"
        return unfitted(design, MODEL, MEASURE, "not_converged", said, notes)
    turn = np.kron(np.eye(len(seen) - 1), back)
    names = [(name, label) for label in labels[1:] for name in design.names]
    value = turn @ np.asarray(made.params).T.ravel()
    return fitted(
        design, MODEL, MEASURE, names, value, turn @ np.asarray(made.cov_params()) @ turn.T,
        notes=notes, level=level, log_likelihood=float(made.llf),
        statistics={"patterns": float(len(seen))},
    )  # fmt: skip
