"""New ones over time: exact Poisson rates per person-year, and their ratio."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from petechia.cohort.estimates import NAN, Estimate
from petechia.cohort.ratios import ratio_of_totals
from petechia.core.intervals import clopper_pearson, poisson, wilson
from petechia.errors import ParameterError


@dataclass(frozen=True, slots=True, kw_only=True)
class Incidence:
    """New microbleeds of people seen twice.

    Attributes
    ----------
    events, people, with_new : int
        New lesions; people with both scans assessable; people with any new one.
    person_years : float
        Between the scans, summed.
    not_assessable : int
        People left out.
    rate : Estimate
        Lesions per person-year, exact Poisson: right when lesions come one by one.
    rate_robust : Estimate
        The same, allowing for lesions that come together in a person: read this one.
    risk : Estimate
        Share of people with any new one (Wilson); it depends on the years between.
    """

    events: int
    people: int
    with_new: int
    person_years: float
    not_assessable: int
    rate: Estimate
    rate_robust: Estimate
    risk: Estimate


def poisson_rate(events: int, person_years: float, level: float = 0.95) -> Estimate:
    """Return events per person-year with the exact interval.

    References
    ----------
    .. [1] Garwood (1936), Biometrika 28, 437-442, doi:10.1093/biomet/28.3-4.437.
    """
    _check(events, person_years)
    about = {"measure": "rate", "method": "exact Poisson", "n": events}
    if not person_years:
        return Estimate(why="no time was watched", **about)  # type: ignore[arg-type]
    low, high = poisson(events, level)
    t = person_years
    return Estimate(value=events / t, low=low / t, high=high / t, **about)  # type: ignore[arg-type]


def _check(events: int, person_years: float) -> None:
    if events < 0 or not person_years >= 0 or (events and not person_years):
        raise ParameterError(
            f"{events} events in {person_years} person-years", where="rate",
            mend="Events and time are 0 or more, and events take time.",
        )  # fmt: skip


def rate_ratio(
    events: int, person_years: float, events_0: int, person_years_0: float, level: float = 0.95
) -> Estimate:
    """Return the ratio of two rates with the exact (conditional binomial) interval and p.

    References
    ----------
    .. [1] Przyborowski & Wilenski (1940), Biometrika 31, 313-323,
       doi:10.1093/biomet/31.3-4.313.
    """
    _check(events, person_years)
    _check(events_0, person_years_0)
    total = events + events_0
    about = {"measure": "rate ratio", "method": "conditional, exact", "n": total}
    if not (person_years and person_years_0):
        return Estimate(why="no time was watched in one group", **about)  # type: ignore[arg-type]
    if not total:
        return Estimate(why="no event in either group", **about)  # type: ignore[arg-type]
    share = person_years / (person_years + person_years_0)
    per = person_years_0 / person_years
    low, high = clopper_pearson(events, total, level)

    def ratio(of: float) -> float:
        return of / (1 - of) * per if of < 1 else float("inf")

    return Estimate(
        value=ratio(events / total), low=ratio(low), high=ratio(high),
        p=float(stats.binomtest(events, total, share).pvalue), **about,  # type: ignore[arg-type]
    )  # fmt: skip


def incidence(new: npt.ArrayLike, years: npt.ArrayLike, level: float = 0.95) -> Incidence:
    """Return the incidence from new lesions (NaN: not assessable) and years between scans.

    Parameters
    ----------
    new : (N,) array of float
        New lesions of each person.
    years : (N,) array of float
        Between the two scans; people without a time above 0 are left out.
    level : float
        Of the intervals.
    """
    count, time = np.asarray(new, dtype=np.float64), np.asarray(years, dtype=np.float64)
    if count.shape != time.shape or count.ndim != 1:
        raise ParameterError(
            f"{count.size} counts, {time.size} times", where="incidence", mend="Give one of each."
        )
    known = count[~np.isnan(count)]
    wrong = known[~(np.isfinite(known) & (known >= 0) & (known == np.round(known)))]
    if len(wrong):
        raise ParameterError(
            f"{wrong[0]:g} new lesions", where="incidence",
            mend="Give whole numbers from 0; NaN where a comparison was not assessable.",
        )  # fmt: skip
    keep = np.isfinite(count) & (time > 0) & np.isfinite(time)
    count, time = count[keep], time[keep]
    n, events, some = len(count), int(count.sum()), int((count > 0).sum())
    low, high = wilson(some, n, level)
    risk = Estimate(
        value=some / n if n else NAN, low=low if n else NAN, high=high if n else NAN, n=n,
        measure="proportion", method="Wilson", why="" if n else "nobody was seen twice",
    )  # fmt: skip
    return Incidence(
        events=events, people=n, with_new=some, person_years=float(time.sum()),
        not_assessable=int(len(keep) - n), rate=poisson_rate(events, float(time.sum()), level),
        rate_robust=ratio_of_totals(count, time, level=level, measure="rate"), risk=risk,
    )  # fmt: skip
