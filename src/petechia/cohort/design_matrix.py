"""From columns of a table to the matrix of a regression: levels, missing rows, collinearity."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.cohort.estimates import Columns, Floats

ADJUSTERS = ("b0_t", "sequence", "slice_thickness_mm")
"""What every count depends on besides the person; adjusted for where it varies."""
MISSING_WORDS = ("", "n/a", "na", "nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """Outcome and explanatory columns, rows without a value left out.

    Attributes
    ----------
    y : (N,) array of float
        Outcome.
    x : (N, K) array of float
        Intercept (unless left out) and columns.
    names : tuple of str
        Of the columns of `x`: 'intercept', 'age', 'sequence[swi]'.
    outcome : str
        Name of the outcome.
    exposures : tuple of str
        The names among `names` that are asked about; the others are adjusted for.
    rows : (N,) array of int
        Which rows of the table are kept.
    left_out : int
        Rows of the table that lack a value.
    groups : (N,) array of int, optional
        Number of the person or site of each row.
    offset : (N,) array of float
        Added to the linear predictor: log of the person-years, or of the volume looked at.
    notes : tuple of str
        What was dropped or recoded.
    """

    y: Floats
    x: Floats
    names: tuple[str, ...]
    outcome: str
    exposures: tuple[str, ...]
    rows: npt.NDArray[np.intp]
    left_out: int
    offset: Floats
    groups: npt.NDArray[np.intp] | None = None
    notes: tuple[str, ...] = ()

    def with_outcome(self, y: npt.ArrayLike) -> "Design":
        """Return the same design with another outcome in the same rows."""
        return replace(self, y=np.asarray(y, dtype=np.float64))


def build_design(
    table: Columns,
    outcome: str,
    exposures: Sequence[str],
    adjust: Sequence[str] = ADJUSTERS,
    *,
    reference: Mapping[str, Any] | None = None,
    group: str | None = None,
    exposure_time: str | None = None,
) -> Design:
    """Return the design of a regression of `outcome` on `exposures`, adjusted.

    Parameters
    ----------
    table : columns
        DataFrame or dict of arrays of equal length. Missing: NaN, None, '' or 'n/a'.
    outcome : str
        A column of numbers or of two words (sorted: the later one is 1).
    exposures : sequence of str
        Columns asked about. Numbers stay numbers; words become indicators against a reference.
    adjust : sequence of str
        Columns adjusted for where the table has them and they vary; an absent one is noted.
    reference : dict, optional
        Reference level of a column of words (default: the first in sorted order).
    group : str, optional
        Column of the person or site (rows without one are left out).
    exposure_time : str, optional
        Column whose logarithm is the offset: person-years, volume looked at.

    Raises
    ------
    ParameterError
        A column that the table lacks; an outcome that is neither numbers nor two words.
    """
    raise NotImplementedError
