"""Before and after surgery or thrombolysis: the same people twice."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from petechia.cohort.design_matrix import build_design
from petechia.cohort.estimates import NAN, Estimate, Fit, Floats
from petechia.cohort.ratios import ratio_of_totals
from petechia.cohort.repeated import gee
from petechia.core.intervals import clopper_pearson, wilson
from petechia.errors import ParameterError


@dataclass(frozen=True, slots=True, kw_only=True)
class McNemar:
    """Paired yes and no.

    Attributes
    ----------
    both, only_first, only_second, neither : int
        People.
    p_exact, p_mid, chi2_corrected, p_corrected : float
        Exact binomial; mid-p; with continuity correction. 1 where nobody changed.
    odds_ratio : Estimate
        only_second / only_first, exact.
    difference : Estimate
        Share at the second less that at the first (Newcombe's paired interval).
    """

    both: int
    only_first: int
    only_second: int
    neither: int
    p_exact: float
    p_mid: float
    chi2_corrected: float
    p_corrected: float
    odds_ratio: Estimate
    difference: Estimate


def mcnemar(
    both: int, only_first: int, only_second: int, neither: int, level: float = 0.95
) -> McNemar:
    """Return the tests of a paired table.

    References
    ----------
    .. [1] McNemar (1947), Psychometrika 12, 153-157, doi:10.1007/BF02295996.
    .. [2] Fagerland, Lydersen & Laake (2013), BMC Med. Res. Methodol. 13, 91,
       doi:10.1186/1471-2288-13-91 (mid-p).
    .. [3] Newcombe (1998), Stat. Med. 17, 2635-2650,
       doi:10.1002/(SICI)1097-0258(19981130)17:22<2635::AID-SIM954>3.0.CO;2-C (method 10).
    """
    if min(both, only_first, only_second, neither) < 0:
        raise ParameterError("a count below 0", where="mcnemar", mend="Counts start at 0.")
    b, c = int(only_first), int(only_second)
    moved = b + c
    exact = float(stats.binomtest(b, moved).pvalue) if moved else 1.0
    mid = exact - float(stats.binom.pmf(b, moved, 0.5)) if moved else 1.0
    if moved and b == c:
        mid = 1 - float(stats.binom.pmf(b, moved, 0.5)) / 2
    chi2 = max(abs(b - c) - 1, 0) ** 2 / moved if moved else 0.0
    return McNemar(
        both=both, only_first=b, only_second=c, neither=neither, p_exact=exact, p_mid=mid,
        chi2_corrected=chi2, p_corrected=float(stats.chi2.sf(chi2, 1)),
        odds_ratio=_paired_odds(b, c, exact, level),
        difference=_paired_difference(both, b, c, neither, exact, level),
    )  # fmt: skip


def _paired_odds(b: int, c: int, p: float, level: float) -> Estimate:
    about = {"measure": "odds ratio", "method": "conditional, exact", "n": b + c, "p": p}
    if not b + c:
        return Estimate(why="nobody changed", **about)  # type: ignore[arg-type]
    low, high = clopper_pearson(c, b + c, level)

    def odds(share: float) -> float:
        return share / (1 - share) if share < 1 else float("inf")

    value = c / b if b else float("inf")
    return Estimate(value=value, low=odds(low), high=odds(high), **about)  # type: ignore[arg-type]


def _paired_difference(a: int, b: int, c: int, d: int, p: float, level: float) -> Estimate:
    n = a + b + c + d
    about = {"measure": "difference", "method": "Newcombe, paired", "n": n, "p": p}
    if not n:
        return Estimate(why="nobody was seen twice", **about)  # type: ignore[arg-type]
    first, second = (a + b) / n, (a + c) / n
    low1, high1 = wilson(a + b, n, level)
    low2, high2 = wilson(a + c, n, level)
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    cross = float(a * d - b * c)
    if cross > 0:
        cross = max(cross - n / 2, 0.0)
    phi = cross / np.sqrt(margins) if margins else 0.0
    value = second - first
    below = (
        (second - low2) ** 2 - 2 * phi * (second - low2) * (high1 - first) + (high1 - first) ** 2
    )
    above = (
        (high2 - second) ** 2 - 2 * phi * (high2 - second) * (first - low1) + (first - low1) ** 2
    )
    return Estimate(
        value=value, low=float(value - np.sqrt(max(below, 0.0))),
        high=float(value + np.sqrt(max(above, 0.0))), **about,  # type: ignore[arg-type]
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedCounts:
    """Counts of the same people before and after.

    Attributes
    ----------
    pairs, left_out : int
        People with both; without one of them.
    before, after : float
        Means.
    ratio : Estimate
        After over before: robust Poisson, clustered by person; of rates where times are given.
    difference : Estimate
        Of means; Student's.
    p_signed_rank : float
        Wilcoxon; NaN where nobody changed.
    presence : McNemar
        Of any at all.
    """

    pairs: int
    left_out: int
    before: float
    after: float
    ratio: Estimate
    difference: Estimate
    p_signed_rank: float
    presence: McNemar


def paired_counts(
    before: npt.ArrayLike,
    after: npt.ArrayLike,
    years_before: npt.ArrayLike | None = None,
    years_after: npt.ArrayLike | None = None,
    level: float = 0.95,
) -> PairedCounts:
    """Return what changed between two scans of each person (NaN: not assessable).

    Parameters
    ----------
    before, after : (N,) array of float
        Counts. Without a group that had no operation a change over time, another scanner or
        another sequence looks the same as its effect.
    years_before, years_after : (N,) array of float, optional
        Years in which each count arose, where counts are of new lesions.
    level : float
        Of the intervals.
    """
    one, other = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    if one.shape != other.shape or one.ndim != 1:
        raise ParameterError(
            f"{one.size} and {other.size} counts", where="paired_counts",
            mend="Give two counts of each person.",
        )  # fmt: skip
    if (years_before is None) != (years_after is None):
        raise ParameterError(
            "the time of one count alone", where="paired_counts", mend="Give both, or neither."
        )
    keep = np.isfinite(one) & np.isfinite(other)
    times: list[Floats | None] = [None, None]
    if years_before is not None and years_after is not None:
        times = [np.asarray(t, dtype=np.float64) for t in (years_before, years_after)]
        for t in times:
            keep &= np.asarray(t) > 0
        times = [np.asarray(t)[keep] for t in times]
    a, b = one[keep], other[keep]
    n = len(a)
    seen = [int(((a > 0) == x).astype(int) @ ((b > 0) == y).astype(int)) for x, y in
            ((True, True), (True, False), (False, True), (False, False))]  # fmt: skip
    ratio = ratio_of_totals(
        b, a, level=level, measure="rate ratio", offset_above=times[1], offset_below=times[0]
    )
    return PairedCounts(
        pairs=n, left_out=int(len(one) - n), before=float(a.mean()) if n else NAN,
        after=float(b.mean()) if n else NAN, ratio=ratio,
        difference=_mean_difference(b - a, level), p_signed_rank=signed_rank(a, b),
        presence=mcnemar(seen[0], seen[1], seen[2], seen[3], level),
    )  # fmt: skip


def _mean_difference(apart: Floats, level: float) -> Estimate:
    n = len(apart)
    about = {"measure": "difference", "method": "Student's, paired", "n": n}
    if n < 2:
        value = float(apart.mean()) if n else NAN
        return Estimate(value=value, why="fewer than two pairs", **about)  # type: ignore[arg-type]
    value, se = float(apart.mean()), float(apart.std(ddof=1) / np.sqrt(n))
    if not se:
        return Estimate(value=value, why="all differences are the same", **about)  # type: ignore[arg-type]
    reach = float(stats.t.ppf(0.5 + level / 2, n - 1)) * se
    p = float(2 * stats.t.sf(abs(value) / se, n - 1))
    return Estimate(value=value, low=value - reach, high=value + reach, se=se, p=p, **about)  # type: ignore[arg-type]


def signed_rank(first: Floats, second: Floats) -> float:
    """Return Wilcoxon's p of paired values (Pratt's zeros); NaN where nothing changed."""
    apart = second - first
    if not apart.any():
        return NAN
    made = stats.wilcoxon(apart, zero_method="pratt", correction=False, method="asymptotic")
    return float(made.pvalue)


def interrupted_series(
    counts: npt.ArrayLike,
    time_years: npt.ArrayLike,
    event_year: npt.ArrayLike,
    person: npt.ArrayLike,
    level: float = 0.95,
) -> Fit:
    """Return level and slope of counts before an event, and their change after it.

    Poisson GEE over scans of people: terms 'time', 'after' (step) and 'time_after' (slope), with
    time in years from each one's event. It asks for scans at several times on both sides.

    Parameters
    ----------
    counts, time_years : (N,) array of float
        Of each scan.
    event_year : (N,) array of float
        Year of the person's event, the same in all scans of a person.
    person : (N,) array
        Whose the scan is.
    level : float
        Of the intervals.

    References
    ----------
    .. [1] Bernal, Cummins & Gasparrini (2017), Int. J. Epidemiol. 46, 348-355,
       doi:10.1093/ije/dyw098.
    """
    since = np.asarray(time_years, dtype=np.float64) - np.asarray(event_year, dtype=np.float64)
    after = np.where(np.isfinite(since), (since > 0).astype(np.float64), np.nan)
    table = {
        "count": counts, "time": since, "after": after, "time_after": after * since,
        "person": np.asarray(person),
    }  # fmt: skip
    design = build_design(table, "count", ("time", "after", "time_after"), (), group="person")
    return gee(design, "poisson", "exchangeable", level)
