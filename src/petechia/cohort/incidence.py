"""New ones over time: exact Poisson rates per person-year, and their ratio."""

from dataclasses import dataclass

import numpy.typing as npt

from petechia.cohort.estimates import Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Incidence:
    """New microbleeds of people seen twice.

    Attributes
    ----------
    events, people, with_new : int
        New lesions; people with both scans assessable; people with any new one.
    person_years : float
        Between the scans, summed.
    rate : Estimate
        Lesions per person-year, exact Poisson.
    rate_robust : Estimate
        The same, allowing for lesions that come together in a person.
    risk : Estimate
        Share of people with any new one (Wilson).
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
    """Return events per person-year with the exact interval."""
    raise NotImplementedError


def rate_ratio(
    events: int, person_years: float, events_0: int, person_years_0: float, level: float = 0.95
) -> Estimate:
    """Return the ratio of two rates with the exact (conditional binomial) interval and p."""
    raise NotImplementedError


def incidence(new: npt.ArrayLike, years: npt.ArrayLike, level: float = 0.95) -> Incidence:
    """Return the incidence from new lesions (NaN: not assessable) and years between scans."""
    raise NotImplementedError
