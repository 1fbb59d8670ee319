"""Answers from incomplete facts: claimed exactly when no missing fact could change them.

What is known of an input is the set of values it may have: one value when it is known,
every value of its range when it is not, a part of the range when it is known in part
("more than 20"). A scale is a plain function of values that are all known. It is put to
every combination of possible values: where all agree, the answer is claimed; where they do
not, the answers that remain possible are given, with the inputs that make the difference.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

Bounds = tuple[int, int | None]
"""The least and the greatest number it may be; None: no upper bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """What is known of one input of a scale.

    Attributes
    ----------
    name : str
        A field of the clinical facts, or what the scan answers.
    values : tuple
        Every value it may have, at least one.
    source : str
        "scan", "clinical", "read" by the software on other scans, or "" for what nobody told.
    told : str
        What was told, for people.
    """

    name: str
    values: tuple[Hashable, ...]
    source: str = ""
    told: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The answer of one scale.

    Attributes
    ----------
    scale : str
        Name of the scale.
    could_be : tuple
        Every answer that is still possible, in rising order; one: it is claimed.
    missing : tuple of str
        Inputs that are not fully known and could change the answer.
    inputs : tuple of Input
        All inputs.
    nothing : tuple
        Answers that say nothing of disease: "at least" is not said of them.
    doi, note : str
        The paper, and what to know when reading the answer.
    """

    scale: str
    could_be: tuple[Any, ...]
    missing: tuple[str, ...]
    inputs: tuple[Input, ...]
    nothing: tuple[Any, ...]
    doi: str
    note: str = ""

    @property
    def claimed(self) -> bool:
        """True when nothing missing could change the answer."""
        return len(self.could_be) == 1

    @property
    def answer(self) -> str:
        """The answer as one word: claimed, `at_least_...` or `indeterminate`."""
        lowest = self.could_be[0]
        if self.claimed:
            return str(lowest)
        return "indeterminate" if lowest in self.nothing else f"at_least_{lowest}"

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return {
            "answer": self.answer,
            "claimed": self.claimed,
            "could_be": list(self.could_be),
            "missing": list(self.missing),
            "inputs": {i.name: {"value": i.told, "source": i.source} for i in self.inputs},
            "doi": self.doi,
            "note": self.note,
        }


def settle(
    rule: Callable[..., Any], inputs: Sequence[Input]
) -> tuple[frozenset[Any], tuple[str, ...]]:
    """Return every answer that is possible, and the inputs that could change it.

    An input could change the answer if two combinations that differ in it alone
    give different answers.

    Notes
    -----
    Calls `rule` once for each combination of possible values: thousands, not more, because
    ranges are cut at the last number that makes a difference.
    """
    combinations = list(product(*(given.values for given in inputs)))
    answers = {combination: rule(*combination) for combination in combinations}
    missing = []
    for place, given in enumerate(inputs):
        seen: dict[tuple[Hashable, ...], set[Any]] = {}
        for combination, answer in answers.items():
            seen.setdefault(combination[:place] + combination[place + 1 :], set()).add(answer)
        if any(len(found) > 1 for found in seen.values()):
            missing.append(given.name)
    return frozenset(answers.values()), tuple(missing)


def numbers(bounds: Bounds, cap: int) -> tuple[int, ...]:
    """Return the numbers within `bounds`; all from `cap` on are one, `cap`.

    >>> numbers((1, None), 3)
    (1, 2, 3)
    >>> numbers((7, 9), 3)
    (3,)
    """
    low, high = bounds
    last = cap if high is None else min(high, cap)
    return tuple(range(min(low, cap), last + 1))


def above(bounds: Bounds, cutoff: int) -> tuple[bool, ...]:
    """Return whether a number within `bounds` is above `cutoff`: one answer, or both."""
    low, high = bounds
    return tuple(sorted({low > cutoff, high is None or high > cutoff}))
