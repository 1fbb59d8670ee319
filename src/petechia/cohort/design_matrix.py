"""From columns of a table to the matrix of a regression: levels, missing rows, collinearity."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.cohort.estimates import Columns, Floats
from petechia.errors import ParameterError

ADJUSTERS = ("b0_t", "sequence", "slice_thickness_mm")
"""What every count depends on besides the person; adjusted for where it varies."""
MISSING_WORDS = ("", "n/a", "nan")
"""What BIDS calls not known, and what numbers become without a value; `none` is a level."""
SAME = 1e-8
"""Part of a column that others leave unexplained, below which it is told by them."""
INFLATED = 10.0
"""Variance inflation from which a column is called nearly told by the others."""

SAME_IN_ALL = "{} is the same in every row used: left out"
NOT_THERE = "{} is not in the table: not adjusted for"
NO_VALUE = "{} has no value in any row: not adjusted for"
NOT_ADJUSTED = (SAME_IN_ALL, NOT_THERE, NO_VALUE)
"""Notes of a design on a covariate that neither is in it nor is told by what is."""

Column = Floats | npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """Outcome and explanatory columns, rows without a value left out.

    Attributes
    ----------
    y : (N,) array of float
        Outcome.
    x : (N, K) array of float
        Intercept and columns.
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

    def told_by_few(self, least: int) -> tuple[str, ...]:
        """Return the columns of two values, one of which fewer than `least` rows have."""
        few = []
        for name, column in zip(self.names, self.x.T, strict=True):
            values, counts = np.unique(column, return_counts=True)
            if len(values) == 2 and counts.min() < least:
                few.append(name)
        return tuple(few)

    def standardised(self) -> tuple[Floats, Floats]:
        """Return columns of mean 0 and SD 1, and the matrix that turns coefficients back.

        What is fitted does not depend on it; whether an iteration gets there does.
        """
        k = self.x.shape[1]
        mean, sd = self.x.mean(axis=0), self.x.std(axis=0)
        plain = sd == 0
        mean, sd = np.where(plain, 0.0, mean), np.where(plain, 1.0, sd)
        back = np.diag(1 / sd)
        if "intercept" in self.names:
            at = self.names.index("intercept")
            back[at] -= mean / sd
        else:
            mean = np.zeros(k)
        return (self.x - mean) / sd, back


def build_design(
    table: Columns,
    outcome: str,
    exposures: Sequence[str],
    adjust: Sequence[str] = ADJUSTERS,
    *,
    reference: Mapping[str, Any] | None = None,
    group: str | None = None,
    exposure_time: str | None = None,
    factors: Collection[str] = (),
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
        Column whose logarithm is the offset: person-years, volume looked at (0 and below are
        left out).
    factors : collection of str
        Columns whose values name groups though they may look like numbers: sites 1, 2, 3.

    Raises
    ------
    ParameterError
        A column that the table lacks; an outcome that is neither numbers nor two words.

    Notes
    -----
    A covariate that has no value in any row, is the same in all that are left, or is told by the
    other columns is dropped, with a note. Exposures are kept before covariates.
    """
    notes: list[str] = []
    y = _outcome(table, outcome, notes)
    wanted = [
        (name, read_column(table, name, name in factors), True) for name in dict.fromkeys(exposures)
    ]
    for name in dict.fromkeys(adjust):
        if name in exposures:
            continue
        if name not in table:
            notes.append(NOT_THERE.format(name))
            continue
        column = read_column(table, name, name in factors)
        if not known(column).any():
            notes.append(NO_VALUE.format(name))
        else:
            wanted.append((name, column, False))
    keep = np.isfinite(y)
    for _, column, _ in wanted:
        keep &= known(column)
    groups = None
    if group is not None:
        whose = read_column(table, group, is_factor=True)
        keep &= known(whose)
    offset = np.zeros(len(y))
    if exposure_time is not None:
        time = _numbers(read_column(table, exposure_time), exposure_time)
        keep &= np.isfinite(time) & (time > 0)
        offset = np.log(np.where(time > 0, time, 1.0))
    rows = np.flatnonzero(keep)
    if group is not None:
        _, groups = np.unique(whose[rows].astype(str), return_inverse=True)
    columns, names, asked = _columns(wanted, rows, reference or {}, notes)
    return Design(
        y=y[rows], x=columns, names=names, outcome=outcome, exposures=asked, rows=rows,
        left_out=int(len(y) - len(rows)), offset=offset[rows], groups=groups, notes=tuple(notes),
    )  # fmt: skip


def read_column(table: Columns, name: str, is_factor: bool = False) -> Column:
    """Return a column: numbers with NaN, or words with None where a value is missing.

    Text that holds numbers alone is read as numbers, unless it `is_factor`.

    Raises
    ------
    ParameterError
        If the table has no such column.
    """
    if name not in table:
        have = ", ".join(str(key) for key in table) or "none"
        raise ParameterError(
            f"no column {name!r}", where="table of the cohort", mend=f"It has: {have}."
        )
    raw = np.asarray(table[name])
    if raw.ndim != 1:
        raise ParameterError(
            f"column {name!r} of shape {raw.shape}", where="table of the cohort",
            mend="Give one value a row.",
        )  # fmt: skip
    if raw.dtype.kind in "biuf" and not is_factor:
        return raw.astype(np.float64)
    told: list[Any] = [None if _is_missing(item) else item for item in raw.tolist()]
    try:
        if not is_factor:
            return np.array([np.nan if item is None else _float(item) for item in told])
    except (TypeError, ValueError):
        pass
    words = np.empty(len(told), dtype=object)
    words[:] = [None if item is None else _word(item) for item in told]
    return words


def _float(item: Any) -> float:
    if isinstance(item, str) and "_" in item:
        raise ValueError(f"{item!r} is no number")  # to Python 7_5 is 75
    return float(item)


def _word(item: Any) -> str:
    return f"{item:.15g}" if isinstance(item, int | float) else str(item).strip()


def _is_missing(item: Any) -> bool:
    if item is None or type(item).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(item, str):
        return item.strip().lower() in MISSING_WORDS
    return bool(isinstance(item, float) and item != item)


def known(column: Column) -> npt.NDArray[np.bool_]:
    """Return where a column has a value."""
    if column.dtype == object:
        return np.array([item is not None for item in column], dtype=bool)
    return np.isfinite(column.astype(np.float64))


def _numbers(column: Column, name: str) -> Floats:
    if column.dtype == object:
        raise ParameterError(
            f"column {name!r} holds words", where="table of the cohort", mend="Give numbers."
        )
    return column.astype(np.float64)


def _outcome(table: Columns, name: str, notes: list[str]) -> Floats:
    column = read_column(table, name)
    if column.dtype != object:
        return column.astype(np.float64)
    words = sorted({item for item in column if item is not None})
    if len(words) != 2:
        raise ParameterError(
            f"outcome {name!r} with the words {', '.join(words[:6])}",
            where="table of the cohort",
            mend="Give numbers, or two words.",
        )
    notes.append(f"{name}: {words[1]} is 1, {words[0]} is 0")
    return np.array([np.nan if item is None else float(item == words[1]) for item in column])


def _columns(
    wanted: list[tuple[str, Column, bool]],
    rows: npt.NDArray[np.intp],
    reference: Mapping[str, Any],
    notes: list[str],
) -> tuple[Floats, tuple[str, ...], tuple[str, ...]]:
    """Return matrix, names and asked names; what tells nothing new is dropped with a note."""
    kept: list[Floats] = [np.ones(len(rows))]
    names, asked = ["intercept"], []
    for name, column, is_asked in wanted:
        values = column[rows]
        made = _indicators(name, values, reference, notes) if len(rows) else []
        if not made:
            notes.append(SAME_IN_ALL.format(name))
        for label, x in made:
            if _told_by(kept, x):
                told = "the other columns" if not is_asked else "the columns before it"
                notes.append(
                    f"{label} is told by {told}: left out; its effect and theirs cannot be parted"
                )
                continue
            kept.append(x)
            names.append(label)
            if is_asked:
                asked.append(label)
    matrix = np.stack(kept, axis=1)
    notes += _inflation(matrix, names)
    return matrix, tuple(names), tuple(asked)


def _indicators(
    name: str, values: Column, reference: Mapping[str, Any], notes: list[str]
) -> list[tuple[str, Floats]]:
    if values.dtype != object:
        x = values.astype(np.float64)
        return [(name, x)] if np.ptp(x) > 0 else []
    levels = sorted(set(values.tolist()))
    first = str(reference.get(name, levels[0]))
    if first not in levels:
        notes.append(f"{name}: nobody has the reference {first}; {levels[0]} taken")
        first = levels[0]
    return [
        (f"{name}[{level}]", (values == level).astype(np.float64))
        for level in levels
        if level != first
    ]


def _told_by(kept: list[Floats], x: Floats) -> bool:
    centred = x - x.mean()
    size = float(np.linalg.norm(centred))
    if size <= SAME * max(1.0, float(np.abs(x).max(initial=0.0))):
        return True
    others = np.stack(kept, axis=1)
    scaled = others / np.linalg.norm(others, axis=0)
    fitted = scaled @ np.linalg.lstsq(scaled, x, rcond=None)[0]
    return bool(np.linalg.norm(x - fitted) < SAME * size)


def _inflation(x: Floats, names: list[str]) -> list[str]:
    """Return a note for each column with a variance inflation factor of `INFLATED` or more."""
    told = []
    if x.shape[0] <= x.shape[1]:
        return []
    for k in range(1, x.shape[1]):
        others = np.delete(x, k, axis=1)
        left = x[:, k] - others @ np.linalg.lstsq(others, x[:, k], rcond=None)[0]
        spread = ((x[:, k] - x[:, k].mean()) ** 2).sum()
        factor = spread / max(float((left**2).sum()), 1e-300)
        if factor >= INFLATED:
            told.append(
                f"{names[k]} is nearly told by the other columns "
                f"(variance inflation {factor:.0f}): its interval is wide for that reason"
            )
    return told
