"""What a column of a participants table means: the shipped dictionary and the dataset's own."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.cohort.design_matrix import MISSING_WORDS
from petechia.errors import FileError, InputError
from petechia.files.sidecars import read_json

Floats = npt.NDArray[np.float64]
LIKE_MISSING = ("na", "null", "none", "missing", "unknown", ".", "-", "?", "#n/a")
"""What other programs write for not known: among numbers it is told, never guessed."""
MOST_LEVELS = 20
"""A column of text with more different words than this is no factor, and is not shown."""
YES_NO = {"yes": "yes", "y": "yes", "true": "yes", "1": "yes", "no": "no", "n": "no",
          "false": "no", "0": "no"}  # fmt: skip
SHOWN = 5
"""So many wrong cells are told at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor:
    """One column: a number in a unit and range, or words in an order.

    Attributes
    ----------
    name, title : str
        Of the column, and for people.
    unit : str
        Of a number; empty when it is not known.
    levels : tuple of str
        Words, the reference first; empty for a number.
    ordered : bool
        The words rise: a trend over them means something.
    scores : tuple of float
        How far up each word is; empty: 0, 1, 2, ...
    low, high : float
        Possible numbers.
    step : float or None
        Difference that effects are told for; None: one standard deviation.
    synonyms : mapping
        Other ways to write a word.
    other_units : mapping
        Factors that turn another unit into `unit`.
    text : bool
        Free text: not for analysis.
    known : bool
        The shipped dictionary has it.
    """

    name: str
    title: str
    unit: str = ""
    levels: tuple[str, ...] = ()
    ordered: bool = False
    scores: tuple[float, ...] = ()
    low: float = -math.inf
    high: float = math.inf
    step: float | None = None
    synonyms: Mapping[str, str] = field(default_factory=dict)
    other_units: Mapping[str, float] = field(default_factory=dict)
    text: bool = False
    known: bool = False

    @property
    def is_number(self) -> bool:
        """True for a number."""
        return not self.levels and not self.text

    @property
    def yes_no(self) -> bool:
        """True for a factor that is there or not."""
        return self.levels == ("no", "yes")


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """Values of one factor: numbers, or positions among its levels; NaN where missing."""

    factor: Factor
    values: Floats

    def take(self, index: npt.NDArray[np.intp]) -> "Column":
        """Return the rows `index`."""
        return Column(self.factor, self.values[index])

    def words(self) -> list[str]:
        """Return the values as they stand in a table."""
        if self.factor.is_number:
            return ["n/a" if math.isnan(v) else f"{v:.7g}" for v in self.values]
        return ["n/a" if math.isnan(v) else self.factor.levels[int(v)] for v in self.values]

    @property
    def n_levels(self) -> int:
        """How many different values there are."""
        return len(np.unique(self.values[~np.isnan(self.values)]))


def shipped_text() -> str:
    """Return the shipped dictionary as BIDS's `participants.json`."""
    place = resources.files("petechia.pipeline.group").joinpath("participants.json")
    return place.read_text("utf-8")


@cache
def shipped() -> Mapping[str, Factor]:
    """Return the factors of the shipped dictionary."""
    return {name: _factor(name, row, True) for name, row in json.loads(shipped_text()).items()}


def _factor(name: str, row: Mapping[str, Any], known: bool = False) -> Factor:
    levels = row.get("Levels") or {}
    return Factor(
        name=name,
        title=str(row.get("LongName") or row.get("Description") or name),
        unit=unit_of(row.get("Units")),
        levels=tuple(str(level) for level in levels),
        ordered=bool(row.get("Ordered", False)),
        low=float(row.get("Minimum", -math.inf)),
        high=float(row.get("Maximum", math.inf)),
        step=row.get("Step"),
        synonyms=row.get("Synonyms", {}),
        other_units=row.get("OtherUnits", {}),
        known=known,
    )


def unit_of(text: Any) -> str:
    """Return a unit as the dictionary writes it: no micro signs, singular years."""
    unit = str(text or "").strip().replace("\N{MICRO SIGN}", "u").replace("\u03bc", "u")
    same = {"years": "year", "y": "year", "yr": "year", "percent": "%", "unitless": "1"}
    return same.get(unit, unit)


def own_dictionary(path: Path) -> dict[str, Mapping[str, Any]]:
    """Return what the dataset's own `participants.json` says; empty when there is none.

    Raises
    ------
    FileError
        It is there and cannot be read.
    """
    if not path.is_file():
        return {}
    content = read_json(path)
    return {str(key): value for key, value in content.items() if isinstance(value, Mapping)}


def factor_of(name: str, own: Mapping[str, Any] | None, cells: Sequence[str]) -> Factor:
    """Return what a column is: by its own dictionary, by the shipped one, or by its cells.

    Parameters
    ----------
    name : str
        Of the column.
    own : mapping or None
        Its entry in the dataset's own `participants.json`.
    cells : sequence of str
        Its values that are not missing.
    """
    known = shipped().get(name)
    if known is not None and name != "site":
        return _as_told(known, own)
    told = _factor(name, own or {})
    if known is not None:
        told = replace(told, title=known.title, known=True)
    if told.levels:
        return told
    numbers = [_number(cell) for cell in cells]
    words = sorted(set(cells), key=_natural)
    if name != "site" and cells and all(v is not None for v in numbers):
        if set(words) <= {"0", "1"}:
            return replace(told, levels=("0", "1"))
        return told
    odd = sorted({c for c, v in zip(cells, numbers, strict=True) if v is None})
    if 0 < len(odd) < len(words) and all(word.lower() in LIKE_MISSING for word in odd):
        raise InputError(
            f"{name} holds numbers, and {', '.join(map(repr, odd))}",
            where="participants",
            mend="Write n/a for what is not known; if it is a group, name all words as Levels in "
            "participants.json.",
        )
    low = {word.lower() for word in words}
    if low <= set(YES_NO) and not low <= {"0", "1"}:
        return replace(told, levels=("no", "yes"))
    if not cells or len(words) > (MOST_LEVELS if name != "site" else 200):
        return replace(told, text=True)
    return replace(told, levels=tuple(words))


def _as_told(known: Factor, own: Mapping[str, Any] | None) -> Factor:
    """Return a factor of the shipped dictionary as the dataset's own words change it."""
    if not own:
        return known
    if known.is_number:
        unit = unit_of(own.get("Units"))
        if not unit or unit == known.unit:
            return known
        if unit in known.other_units:
            return replace(known, other_units={unit: known.other_units[unit]}, text=False)
        could = ", ".join([known.unit, *known.other_units])
        raise InputError(
            f"{known.name} is said to be in {unit}",
            where="participants.json",
            mend=f"Give {known.name} in one of: {could}.",
        )
    levels = own.get("Levels")
    if levels and not set(map(str, levels)) <= _spellings(known):
        return replace(known, levels=tuple(map(str, levels)), synonyms={})
    return known


def _spellings(known: Factor) -> set[str]:
    out = set(known.levels) | set(known.synonyms)
    return out | set(YES_NO) if known.yes_no else out


def factor_in_use(own: Mapping[str, Any] | None, known: Factor) -> float:
    """Return what a number of the table is multiplied with."""
    unit = unit_of((own or {}).get("Units"))
    return known.other_units.get(unit, 1.0) if unit != known.unit else 1.0


def column_of(
    factor: Factor, cells: Sequence[str], wheres: Sequence[str], scale: float = 1.0
) -> Column:
    """Return the values of a column, each checked.

    Raises
    ------
    InputError
        Cells that are no such number, or none of the words; the first few are told with
        their lines.
    """
    values = np.full(len(cells), np.nan)
    wrong: list[tuple[str, str]] = []
    for n, (cell, where) in enumerate(zip(cells, wheres, strict=True)):
        text = cell.strip()
        if text.lower() in MISSING_WORDS and text not in factor.levels:
            continue
        value = _value(factor, text, scale)
        if value is None:
            wrong.append((text, where))
        else:
            values[n] = value
    if wrong:
        raise _wrong(factor, wrong)
    return Column(factor, values)


def _value(factor: Factor, text: str, scale: float) -> float | None:
    if factor.is_number:
        number = _number(text.removesuffix("+") if factor.name == "age" else text)
        if number is None or not factor.low <= number * scale <= factor.high:
            return None
        return number * scale
    if factor.text:
        return math.nan
    word = factor.synonyms.get(text.lower(), text)
    if factor.yes_no:
        word = YES_NO.get(text.lower(), word)
    for candidate in (word, word.lower(), text):
        if candidate in factor.levels:
            return float(factor.levels.index(candidate))
    whole = text.removesuffix(".0")
    return float(factor.levels.index(whole)) if whole in factor.levels else None


def _wrong(factor: Factor, wrong: Sequence[tuple[str, str]]) -> InputError:
    told = "; ".join(f"{text[:40]!r} ({where})" for text, where in wrong[:SHOWN])
    more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
    if factor.is_number:
        unit = f" {factor.unit}" if factor.unit else ""
        wanted = "numbers"
        if math.isfinite(factor.low) and math.isfinite(factor.high):
            wanted = f"numbers from {factor.low:g} to {factor.high:g}{unit}"
        elif unit:
            wanted = f"numbers in{unit}"
    else:
        wanted = f"one of {', '.join(factor.levels)}"
    return InputError(
        f"{factor.name} is {told}{more}",
        where="participants",
        mend=f"Give {wanted}, or n/a; another unit or other words can be named in "
        "participants.json.",
    )


def _number(text: str) -> float | None:
    try:
        value = math.nan if "_" in text else float(text)  # to Python 7_5 is 75
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _natural(text: str) -> tuple[int, float, str]:
    number = _number(text)
    return (1, 0.0, text) if number is None else (0, number, text)


def write_dictionary(path: Path) -> None:
    """Write the shipped dictionary; what is there already stays.

    Raises
    ------
    FileError
        Something has that name.
    """
    from petechia.files.writing import write_text

    if path.exists():
        raise FileError(
            "is there already",
            where=str(path),
            mend="Choose another name, or remove it: a dictionary of yours is not written over.",
        )
    write_text(path, shipped_text())
