"""What is missing is said; multiple imputation by chained equations; Rubin's rules."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.cohort.estimates import Columns, Estimate, Fit


@dataclass(frozen=True, slots=True, kw_only=True)
class Missingness:
    """One column: how much of it is missing, and whether that goes with the outcome."""

    name: str
    known: int
    missing: int
    share: float
    p_with_outcome: float


def missingness(
    table: Columns, names: Sequence[str], outcome: str | None = None
) -> tuple[Missingness, ...]:
    """Return a row for each column; p of a difference of the outcome where it is missing."""
    raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooled:
    """Rubin's rules: `estimate`, with within and between variance and what was lost."""

    estimate: Estimate
    within: float
    between: float
    df: float
    fraction_missing: float
    n_sets: int


def rubin(
    values: npt.ArrayLike,
    variances: npt.ArrayLike,
    *,
    df_complete: float = float("inf"),
    level: float = 0.95,
    name: str = "",
    ratio: bool = False,
) -> Pooled:
    """Pool estimates of M completed data sets; `ratio`: values are logarithms of it."""
    raise NotImplementedError


def impute(
    table: Columns,
    names: Sequence[str],
    rng: np.random.Generator,
    n_sets: int = 20,
    n_cycles: int = 10,
) -> tuple[dict[str, npt.NDArray[np.generic]], ...]:
    """Return completed copies of the named columns.

    Numbers by predictive mean matching of Bayesian linear draws (5 donors); words by a
    Bayesian logistic (or multinomial) draw. The outcome belongs among `names`.
    """
    raise NotImplementedError


def pooled_fit(fits: Sequence[Fit], level: float = 0.95) -> Fit:
    """Pool one model fitted to every completed set; failed ones are counted and said."""
    raise NotImplementedError


def fit_imputed(
    table: Columns,
    names: Sequence[str],
    fit: Callable[[Columns], Fit],
    rng: np.random.Generator,
    n_sets: int = 20,
    level: float = 0.95,
) -> Fit:
    """Impute, fit each completed table, pool."""
    raise NotImplementedError
