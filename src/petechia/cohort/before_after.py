"""Before and after surgery or thrombolysis: the same people twice."""

from dataclasses import dataclass

import numpy.typing as npt

from petechia.cohort.estimates import Estimate, Fit


@dataclass(frozen=True, slots=True, kw_only=True)
class McNemar:
    """Paired yes and no.

    Attributes
    ----------
    both, only_first, only_second, neither : int
    p_exact, p_mid, chi2_corrected, p_corrected : float
        Exact binomial; mid-p; with continuity correction.
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
    """Return the tests of a paired table."""
    raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedCounts:
    """Counts of the same people before and after.

    Attributes
    ----------
    pairs, left_out : int
    before, after : float
        Means.
    ratio : Estimate
        After over before: robust Poisson, clustered by person; of rates where times are given.
    difference : Estimate
        Of means; bootstrap-free, Student's.
    p_signed_rank : float
        Wilcoxon.
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
    """Return what changed between two scans of each person (NaN: not assessable)."""
    raise NotImplementedError


def interrupted_series(
    counts: npt.ArrayLike,
    time_years: npt.ArrayLike,
    event_year: npt.ArrayLike,
    person: npt.ArrayLike,
    level: float = 0.95,
) -> Fit:
    """Return level and slope of counts before an event, and their change after it.

    Poisson GEE over scans of people: terms 'time', 'after' (step) and 'time_after' (slope).
    """
    raise NotImplementedError
