"""Single values of the outside world, checked: each is returned in its one form, or refused.

`where` names the field; what it may not hold is a `ParameterError` that says so.
"""

import re
import uuid as uuids
from collections.abc import Mapping, Sequence
from typing import Any

from petechia.errors import ParameterError

_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def refused(where: str, value: Any, mend: str) -> ParameterError:
    """Return the error that tells a value and its mend."""
    said = _SURROGATE.sub("?", repr(value))
    return ParameterError(said if len(said) < 100 else f"{said[:97]}...", where=where, mend=mend)


def fields_of(value: Any, where: str) -> dict[str, Any]:
    """Return an object's fields."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise refused(where, value, "Give an object of named fields.")
    return dict(value)


def word_of(value: Any, words: Sequence[str], where: str) -> str:
    """Return a value that is one of the words."""
    if not isinstance(value, str) or value not in words:
        some = ", ".join(words[:20]) + (", ..." if len(words) > 20 else "")
        raise refused(where, value, f"Choose one of {some}.")
    return value


def text_of(value: Any, where: str, most: int) -> str:
    """Return text for people: line ends made one, no control characters."""
    if not isinstance(value, str) or _SURROGATE.search(value):
        raise refused(where, value, "Give text.")
    text = value.replace("\r\n", "\n").replace("\r", "\n").strip()
    if len(text) > most:
        raise refused(where, f"{len(text)} characters", f"Give at most {most}.")
    if _CONTROL.search(text):
        raise refused(where, value, "Leave out control characters.")
    return text


def line_of(value: Any, where: str, most: int) -> str:
    """Return text of one line."""
    text = text_of(value, where, most)
    if "\n" in text or "\t" in text:
        raise refused(where, value, "Give one line.")
    return text


def uuid_of(value: Any) -> str:
    """Return a UUID in its one form."""
    try:
        return str(uuids.UUID(value if isinstance(value, str) and len(value) <= 40 else ""))
    except ValueError:
        raise refused("uuid", value, "Give a UUID of 32 hex digits, a new one each time.") from None


def whole_of(value: Any, where: str, least: int, most: int) -> int:
    """Return a whole number within bounds, both included."""
    if type(value) is not int or not least <= value <= most:
        raise refused(where, value, f"Give a whole number from {least} to {most}.")
    return value


def number_of(value: Any, where: str, least: float, most: float) -> float:
    """Return a number within bounds, both included."""
    usable = isinstance(value, int | float) and not isinstance(value, bool)
    if not usable or not least <= value <= most:  # not-a-number is in no range
        raise refused(where, value, f"Give a number from {least:g} to {most:g}.")
    return float(value)


def mm_of(value: Any, where: str) -> float:
    """Return a coordinate [mm], to a micrometre."""
    return round(number_of(value, where, -1e5, 1e5), 3) + 0.0


def place_of(value: Any, where: str) -> list[float]:
    """Return x, y, z [mm]."""
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 3:
        raise refused(where, value, "Give x, y, z in mm.")
    return [mm_of(number, where) for number in value]
