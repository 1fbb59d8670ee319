"""Two sequences or two readers of the same people: subjects, counts, lesions, looks."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from petechia.cohort.agreement import icc, lesion_f1
from petechia.cohort.before_after import McNemar, mcnemar, signed_rank
from petechia.cohort.estimates import NAN, Estimate, Floats
from petechia.cohort.ratios import ratio_of_totals
from petechia.core.agreement import BlandAltman, Index, bland_altman, kappa
from petechia.errors import ParameterError

LEAST_PEOPLE = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ProportionalBias:
    """Differences on the scale of Bland-Altman, as a line over the means.

    Attributes
    ----------
    slope : Estimate
        0: the difference does not grow with the count (on that scale).
    intercept, residual_sd : float
        Of the line; limits of agreement at a mean m are intercept + slope m -/+ 1.96 residual_sd.
    """

    slope: Estimate
    intercept: float
    residual_sd: float

    def limits(self, mean: float) -> tuple[float, float]:
        """Return the regression-based limits of agreement at a mean, on the scale."""
        centre = self.intercept + self.slope.value * mean
        return centre - 1.96 * self.residual_sd, centre + 1.96 * self.residual_sd


@dataclass(frozen=True, slots=True, kw_only=True)
class CountComparison:
    """Counts of the same scans by two ways.

    Attributes
    ----------
    names : tuple of str
        First and second.
    pairs, left_out : int
        Scans with both; without one of them.
    totals : tuple of int
        All lesions by each.
    ratio : Estimate
        Second total over first (robust, over people).
    presence : McNemar
        Of any at all.
    limits : BlandAltman
        On its `scale`.
    proportional : ProportionalBias
        On the same scale.
    icc_absolute, icc_consistency, kappa_presence : Index
        Of the counts as they are; of presence.
    p_signed_rank : float
        Wilcoxon's.
    """

    names: tuple[str, str]
    pairs: int
    left_out: int
    totals: tuple[int, int]
    ratio: Estimate
    presence: McNemar
    limits: BlandAltman
    proportional: ProportionalBias
    icc_absolute: Index
    icc_consistency: Index
    kappa_presence: Index
    p_signed_rank: float


def compare_counts(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    names: tuple[str, str] = ("first", "second"),
    scale: str = "log_ratio",
    level: float = 0.95,
) -> CountComparison:
    """Return how counts of the same scans by two sequences or readers differ.

    Parameters
    ----------
    first, second : (N,) array of float
        Counts; NaN where one could not be assessed.
    names : tuple of str
        Of the two.
    scale : str
        'log_ratio' (of count + 1) or 'root': differences of raw counts widen with the count.
    level : float
        Of the intervals.
    """
    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if one.shape != other.shape or one.ndim != 1:
        raise ParameterError(
            f"{one.size} and {other.size} counts", where="compare_counts",
            mend="Give two counts of each scan.",
        )  # fmt: skip
    keep = np.isfinite(one) & np.isfinite(other)
    a, b = one[keep], other[keep]
    table = np.zeros((2, 2), dtype=np.int64)
    np.add.at(table, ((a > 0).astype(int), (b > 0).astype(int)), 1)
    (neither, only_b), (only_a, both) = table.tolist()
    pair = np.stack([a, b], axis=1)
    return CountComparison(
        names=names, pairs=len(a), left_out=int(len(one) - len(a)),
        totals=(int(a.sum()), int(b.sum())),
        ratio=ratio_of_totals(b, a, level=level, measure="rate ratio"),
        presence=mcnemar(both, only_a, only_b, neither, level),
        limits=bland_altman(a, b, scale, level), proportional=_proportional(a, b, scale, level),
        icc_absolute=icc(pair, "ICC(2,1)", level), icc_consistency=icc(pair, "ICC(3,1)", level),
        kappa_presence=kappa(table, "none", level), p_signed_rank=signed_rank(a, b),
    )  # fmt: skip


def _proportional(a: Floats, b: Floats, scale: str, level: float) -> ProportionalBias:
    turn = {"root": np.sqrt, "log_ratio": np.log1p}.get(scale, np.asarray)
    apart, mean = turn(b) - turn(a), (turn(a) + turn(b)) / 2
    n = len(a)
    about = {"measure": "difference", "method": "least squares, Student's", "n": n}
    if n < 3 or np.ptp(mean) == 0:
        why = "fewer than three pairs, or all means are the same"
        return ProportionalBias(slope=Estimate(why=why, **about), intercept=NAN, residual_sd=NAN)  # type: ignore[arg-type]
    line = stats.linregress(mean, apart)
    left = apart - line.intercept - line.slope * mean
    reach = float(stats.t.ppf(0.5 + level / 2, n - 2)) * line.stderr
    slope = Estimate(
        value=float(line.slope), low=float(line.slope - reach), high=float(line.slope + reach),
        se=float(line.stderr), p=float(line.pvalue), **about,  # type: ignore[arg-type]
    )  # fmt: skip
    sd = float(np.sqrt((left**2).sum() / (n - 2)))
    return ProportionalBias(slope=slope, intercept=float(line.intercept), residual_sd=sd)


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionComparison:
    """Lesions that both ways show, and that one alone does; clustered by person.

    Attributes
    ----------
    both, only_first, only_second : int
        Lesions.
    f1 : Index
        Agreement, bootstrap over people.
    gain : Estimate
        Second's lesions over first's, robust over people.
    p_clustered : float
        McNemar's test for matched pairs that come in clusters; NaN below five people with a
        lesion that only one way shows.
    """

    both: int
    only_first: int
    only_second: int
    f1: Index
    gain: Estimate
    p_clustered: float


def compare_lesions(
    both: npt.ArrayLike,
    only_first: npt.ArrayLike,
    only_second: npt.ArrayLike,
    rng: np.random.Generator,
    person: Sequence[Hashable] | None = None,
    level: float = 0.95,
) -> LesionComparison:
    """Return lesion-level agreement from each scan's matched and unmatched lesions.

    Parameters
    ----------
    both, only_first, only_second : (N,) array of int
        Of each scan.
    rng : numpy Generator
        Of the bootstrap.
    person : sequence, optional
        Whose each scan is; each is a person of its own where it is not given.

    References
    ----------
    .. [1] Yang, Sun & Hardin (2010), Biom. J. 52, 638-652 (clustered McNemar).
    """
    met, one, other = (np.asarray(v, dtype=np.float64) for v in (both, only_first, only_second))
    who = _people(person, len(met))
    apart = np.bincount(who, weights=other - one, minlength=1)
    moved = np.bincount(who, weights=other + one, minlength=1) > 0
    spread = float(np.sqrt((apart**2).sum()))
    p = NAN
    if moved.sum() >= LEAST_PEOPLE:
        p = float(2 * stats.norm.sf(abs(apart.sum()) / spread)) if spread else 1.0
    return LesionComparison(
        both=int(met.sum()), only_first=int(one.sum()), only_second=int(other.sum()),
        f1=lesion_f1(met, one, other, rng, person=who, level=level),
        gain=ratio_of_totals(met + other, met + one, who, level=level, measure="rate ratio"),
        p_clustered=p,
    )  # fmt: skip


def _people(person: Sequence[Hashable] | None, n: int) -> npt.NDArray[np.intp]:
    if person is None:
        return np.arange(n)
    at = {name: k for k, name in enumerate(dict.fromkeys(person))}
    return np.array([at[name] for name in person], dtype=np.intp)


def paired_frequency(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    person: Sequence[Hashable] | None = None,
    level: float = 0.95,
) -> Estimate:
    """Return how often a look (conspicuous, homogeneous) is found: first over second.

    The frequency ratio of Lee 2022: of the same lesions, the share that is rated so in one
    sequence over that in the other; it is no ratio of intensities.

    Parameters
    ----------
    first, second : (N,) array of bool or float
        Whether each lesion is rated so; NaN where it was not rated.
    person : sequence, optional
        Whose the lesion is: those of one person are alike.
    level : float
        Of the interval.

    References
    ----------
    .. [1] Lee et al. (2023), J. Neuroimaging 33, 138-146, doi:10.1111/jon.13054.
    """
    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if one.shape != other.shape or one.ndim != 1:
        raise ParameterError(
            f"{one.size} and {other.size} ratings", where="paired_frequency",
            mend="Give two ratings of each lesion.",
        )  # fmt: skip
    keep = np.isfinite(one) & np.isfinite(other)
    who = _people(person, len(one))[keep]
    return ratio_of_totals(
        one[keep] > 0, other[keep] > 0, who, level=level, measure="frequency ratio"
    )
