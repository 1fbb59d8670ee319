"""How many have it, of those in whom it could be seen: Wilson's and the exact interval."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy.typing as npt

from petechia.cohort.estimates import Estimate

AGE_BANDS = (0.0, 45.0, 55.0, 65.0, 75.0, 85.0)
"""Lower ends of bands of age [years]; the last one is open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prevalence:
    """A share with both intervals and its denominator explained.

    Attributes
    ----------
    name : str
        Group or band.
    cases, assessable, not_assessable : int
        With the finding; in whom it could be seen (the denominator); left out.
    share : float
        cases / assessable; NaN where nobody was assessable.
    wilson, exact : tuple of float
        Low and high.
    few : bool
        Fewer than ten people: show the counts, not the percentage alone.
    """

    name: str
    cases: int
    assessable: int
    not_assessable: int
    share: float
    wilson: tuple[float, float]
    exact: tuple[float, float]
    few: bool = False


def prevalence(
    present: npt.ArrayLike,
    assessable: npt.ArrayLike | None = None,
    name: str = "all",
    level: float = 0.95,
) -> Prevalence:
    """Return the share of people with a finding.

    Parameters
    ----------
    present : (N,) array of bool or float
        Whether each has it; NaN: not known (not assessable).
    assessable : (N,) array of bool, optional
        Whether it could have been seen; all where not given.
    """
    raise NotImplementedError


def prevalence_by(
    present: npt.ArrayLike,
    group: Sequence[object],
    assessable: npt.ArrayLike | None = None,
    level: float = 0.95,
) -> tuple[Prevalence, ...]:
    """Return a row for each group, sorted by name; people of no known group form 'unknown'."""
    raise NotImplementedError


def prevalence_by_age(
    present: npt.ArrayLike,
    age_years: npt.ArrayLike,
    assessable: npt.ArrayLike | None = None,
    bands: Sequence[float] = AGE_BANDS,
    level: float = 0.95,
) -> tuple[Prevalence, ...]:
    """Return a row for each band of age that anybody is in ('55-64', '85+', 'unknown')."""
    raise NotImplementedError


def age_standardised(
    rows: Sequence[Prevalence], weights: npt.ArrayLike, level: float = 0.95
) -> Estimate:
    """Return the prevalence at a standard population's ages (direct standardisation)."""
    raise NotImplementedError
