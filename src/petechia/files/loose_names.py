"""What the names of loose NIfTI files tell: echo and role."""

import re
from collections.abc import Sequence

from petechia.files.sidecars import DIFFERENCE, IMAGINARY, MAGNITUDE, PHASE, REAL

_ROLE_TOKENS = {
    "ph": PHASE, "pha": PHASE, "phase": PHASE, "phasediff": DIFFERENCE, "real": REAL, "re": REAL,
    "imaginary": IMAGINARY, "imag": IMAGINARY, "im": IMAGINARY, "mag": MAGNITUDE,
    "magn": MAGNITUDE, "magnitude": MAGNITUDE,
}  # fmt: skip
_NUMBERED = re.compile(r"(ph|pha|phase|real|imaginary|imag|mag|magn|magnitude)(?:-?0*(\d+))?")
"""A role with the number of its echo, or without: `mag2`; `mag_2` are two tokens."""
_ECHO_TOKEN = re.compile(r"(?:e|echo-?)0*(\d+)([a-z]?)")


def parse_stem(stem: str, *, numbered: bool = True) -> tuple[str, int | None, str]:
    """Return (base, echo number, role) of a name such as `gre_5_e2_ph`.

    A number that follows a role (`mag2`, `phase_2` at the end) is its echo, unless the name
    tells one by itself; without `numbered` it is a part of the base.
    """
    tokens = re.split(r"[_.]", stem)
    lows = [token.lower().removeprefix("part-") for token in tokens]
    if not numbered or any(_ECHO_TOKEN.fullmatch(low) for low in lows):
        numbers = {}
    else:
        numbers = _numbers_of_roles(lows)
    base: list[str] = []
    echo, role = None, MAGNITUDE
    for n, (token, low) in enumerate(zip(tokens, lows, strict=True)):
        matched = _ECHO_TOKEN.fullmatch(low)
        if matched:
            echo = int(matched[1])
            base += [matched[2]] if matched[2] else []
        elif n in numbers:
            word, echo = numbers[n]
            role = _ROLE_TOKENS.get(word, role)
        elif low in _ROLE_TOKENS:
            role = _ROLE_TOKENS[low]
        else:
            base.append(token)
    return "_".join(base), echo, role


def _numbers_of_roles(lows: Sequence[str]) -> dict[int, tuple[str, int]]:
    """Return the tokens that hold the number of a role's echo: their role, if there, and it."""
    found = {n: _NUMBERED.fullmatch(low) for n, low in enumerate(lows)}
    told = {n: (m[1], int(m[2])) for n, m in found.items() if m and m[2]}
    last = len(lows) - 1
    if last and found[last - 1] and lows[last].isdecimal() and not told:
        told[last] = ("", int(lows[last]))
    return told if len(told) == 1 else {}
