"""Does the share rise with the dose: Cochran-Armitage; linear-by-linear for two ordered scales."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy.typing as npt


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """A test of a trend: z (positive when it rises with the score), two-sided p.

    Attributes
    ----------
    p_exact : float
        Of the permutation distribution given the margins; NaN where it was not asked for.
    slope : float
        Least-squares rise of the share for each unit of score.
    """

    z: float
    p: float
    p_exact: float
    slope: float
    scores: tuple[float, ...]
    method: str
    n: int
    why: str = ""


def cochran_armitage(
    cases: Sequence[int],
    totals: Sequence[int],
    scores: Sequence[float] | None = None,
    *,
    exact: bool = False,
) -> Trend:
    """Return the trend of cases / totals over scores (0, 1, 2, ... where not given)."""
    raise NotImplementedError


def linear_by_linear(
    table: npt.ArrayLike,
    row_scores: Sequence[float] | None = None,
    column_scores: Sequence[float] | None = None,
) -> Trend:
    """Return Mantel's test of association of two ordered scales (M^2 = (N - 1) r^2)."""
    raise NotImplementedError
