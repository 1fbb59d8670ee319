"""Clinical facts about one patient: what may be told, how it is written, what is wrong with it."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from petechia.errors import InputError
from petechia.lesions.criteria.logic import Bounds, Input, above, numbers

PRESENTATIONS = (
    "spontaneous_ich",
    "transient_focal_episodes",
    "cognitive_impairment",
    "other",
)
SIDEROSIS = ("none", "focal", "disseminated")
COUNT = "a whole number, or a range such as 11-20, >20 or <=10"
OLDEST = 130


@dataclass(frozen=True, slots=True)
class Field:
    """One fact: its kind ('years', 'count', 'grade', 'yes_no' or words), and what it means."""

    kind: str | tuple[str, ...]
    says: str


FIELDS: dict[str, Field] = {
    "age_years": Field("years", "age at the scan"),
    "presentation": Field(
        PRESENTATIONS,
        "what the patient came with: spontaneous intracerebral haemorrhage, transient focal "
        "neurological episodes, cognitive impairment or dementia, or something else",
    ),
    "other_cause": Field("yes_no", "whether another cause of the haemorrhagic lesions is known"),
    "lobar_ich": Field("count", "lobar intracerebral haemorrhages, from any imaging"),
    "deep_ich": Field(
        "count", "intracerebral haemorrhages of deep grey matter, capsules or brainstem"
    ),
    "csah_foci": Field("count", "foci of convexity subarachnoid haemorrhage"),
    "css": Field(SIDEROSIS, "cortical superficial siderosis: up to 3 sulci is focal"),
    "css_foci": Field("count", "separate foci of cortical superficial siderosis"),
    "lacunes": Field("count", "lacunes on T1w or FLAIR"),
    "fazekas_periventricular": Field("grade", "periventricular white-matter hyperintensity, 0-3"),
    "fazekas_deep": Field("grade", "deep white-matter hyperintensity, 0-3"),
    "basal_ganglia_pvs": Field(
        "count", "visible perivascular spaces of the basal ganglia, worse side"
    ),
    "centrum_semiovale_pvs": Field(
        "count", "visible perivascular spaces of the centrum semiovale, worse side"
    ),
    "subcortical_spots": Field(
        "count", "small round hyperintensities of subcortical white matter on FLAIR, both sides"
    ),
    "amyloid_immunotherapy": Field(
        "yes_no", "whether the patient is or was treated with antibodies against amyloid"
    ),
    "baseline_microhemorrhages": Field(
        "count", "microhaemorrhages on the scan before that treatment"
    ),
    "new_microhemorrhages": Field(
        "count", "microhaemorrhages new since that scan, all that were ever seen"
    ),
    "new_siderosis_foci": Field("count", "areas of superficial siderosis new since that scan"),
}
"""Every fact that may be told, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClinicalFacts:
    """What is known of a patient besides the scan; a fact that is not told is absent.

    Attributes
    ----------
    values : mapping
        Facts by name: years as float, counts as bounds, grades as int, yes_no as bool,
        words as they are.
    told : mapping
        The same as they were written.
    read : mapping
        Counts and grades that the software read on other scans of the session, as bounds. What
        was told always wins.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    told: Mapping[str, str] = field(default_factory=dict)
    read: Mapping[str, Bounds] = field(default_factory=dict)

    def bounds(self, name: str) -> Bounds:
        """Return the bounds of a count: 0 and None when it was neither told nor read."""
        found: Bounds = self.values.get(name, self.read.get(name, (0, None)))
        return found

    def given(self, name: str, values: tuple[Any, ...]) -> Input:
        """Return an input of a scale: `values` are what it may be."""
        if name in self.told:
            return Input(name=name, values=values, source="clinical", told=self.told[name])
        if name in self.read:
            return Input(name=name, values=values, source="read", told=as_range(self.read[name]))
        return Input(name=name, values=values)

    def yes_no(self, name: str) -> Input:
        """Return a yes-or-no fact as an input."""
        return self.given(name, (self.values[name],) if name in self.values else (False, True))

    def grade(self, name: str) -> Input:
        """Return a grade of 0 to 3 as an input."""
        if name in self.values:
            return self.given(name, (self.values[name],))
        low, high = self.read.get(name, (0, 3))
        return self.given(name, tuple(range(low, (3 if high is None else high) + 1)))

    def count(self, name: str, cap: int) -> Input:
        """Return a count as an input: `cap` and more are one."""
        return self.given(name, numbers(self.bounds(name), cap))

    def count_above(self, name: str, cutoff: int) -> Input:
        """Return whether a count is above `cutoff` as an input."""
        return self.given(name, above(self.bounds(name), cutoff))

    def as_dict(self) -> dict[str, str]:
        """Return the facts as they were told, in the order of `FIELDS`."""
        return {name: self.told[name] for name in FIELDS if name in self.told}


def as_range(bounds: Bounds) -> str:
    """Return bounds as they are told: `2`, `2-3`, `2 or more`."""
    low, high = bounds
    if high is None:
        return f"{low} or more"
    return f"{low}" if low == high else f"{low}-{high}"


def with_read(facts: ClinicalFacts, signs: Mapping[str, Any]) -> ClinicalFacts:
    """Return facts with what the software read: the summary's key `signs`, sign by sign.

    What was not assessed stays unknown; what it was unsure of keeps every value it may have.
    """
    read: dict[str, Bounds] = {}
    for name, sign in signs.items():
        low = sign.get("low") if isinstance(sign, Mapping) else None
        if FIELDS.get(name) is None or FIELDS[name].kind not in ("count", "grade") or low is None:
            continue
        high = sign.get("high")
        if high is None and not low:  # nothing is known
            continue
        read[name] = (int(low), None if high is None else int(high))
    return replace(facts, read=read)


def read_facts(given: Mapping[str, Any], where: str) -> ClinicalFacts:
    """Return the facts of a mapping of names and values, checked.

    None, "" and "n/a" mean that a fact is not known.

    Raises
    ------
    InputError
        If a name is not known, a value is not one of its kind, or two facts contradict
        each other; `where` is told.
    """
    values: dict[str, Any] = {}
    told: dict[str, str] = {}
    for name, value in given.items():
        if name not in FIELDS:
            raise _unknown(str(name), where)
        text = str(value).strip() if value is not None else ""
        if text.lower() in ("", "n/a"):
            continue
        values[name] = _value(name, value, where)
        told[name] = _as_told(values[name], text)
    _agree(values, where)
    return ClinicalFacts(values=values, told=told)


def _unknown(name: str, where: str) -> InputError:
    alike = [field for field in FIELDS if name and name.lower() in field]
    near = difflib.get_close_matches(name, FIELDS, n=1) or alike
    meant = f"Did you mean {near[0]}? " if near else ""
    return InputError(
        f"unknown clinical fact {name!r}", where=where, mend=f"{meant}Known: {', '.join(FIELDS)}."
    )


def _as_told(value: Any, text: str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " ".join(text.split())


def _value(name: str, value: Any, where: str) -> Any:
    kind = FIELDS[name].kind
    found: Any
    if isinstance(kind, tuple):
        found = value if isinstance(value, str) and value in kind else None
        wanted = f"one of {', '.join(kind)}"
    elif kind == "yes_no":
        found, wanted = _truth(value), "true or false"
    elif kind == "years":
        found, wanted = _years(value), f"a number of years from 0 to {OLDEST}"
    elif kind == "grade":
        found, wanted = _whole(value, 3), "0, 1, 2 or 3"
    else:
        found, wanted = _bounds(value), COUNT
    if found is None:
        raise InputError(f"{name} is {value!r}", where=where, mend=f"Give {wanted}.")
    return found


def _truth(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    return {"true": True, "yes": True, "false": False, "no": False}.get(str(value).strip().lower())


def _years(value: Any) -> float | None:
    try:
        years = float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None
    return years if 0 <= years <= OLDEST else None


def _whole(value: Any, most: int | None = None) -> int | None:
    if isinstance(value, bool) or not re.fullmatch(r"\d{1,6}(\.0)?", str(value).strip()):
        return None
    number = int(float(value))
    return number if most is None or number <= most else None


def _bounds(value: Any) -> Bounds | None:
    exact = _whole(value)
    if exact is not None:
        return exact, exact
    text = str(value).replace(" ", "").replace("\N{EN DASH}", "-")
    if found := re.fullmatch(r"(\d{1,6})-(\d{1,6})", text):
        low, high = int(found[1]), int(found[2])
        return (low, high) if low <= high else None
    if found := re.fullmatch(r"(>=|>|<=|<|≥|≤)(\d{1,6})", text):
        sign, number = found[1], int(found[2])
        if sign in (">", ">=", "≥"):
            return (number + (sign == ">"), None)
        return (0, number - 1) if sign == "<" and number else (0, number) if sign != "<" else None
    return None


def _agree(values: Mapping[str, Any], where: str) -> None:
    extent, foci = values.get("css"), values.get("css_foci")
    if extent is None or foci is None:
        return
    none_and_some = extent == "none" and foci[0] > 0
    some_and_none = extent != "none" and foci[1] == 0
    if none_and_some or some_and_none:
        raise InputError(
            f"css is {extent!r}, but css_foci has {foci[0] if none_and_some else 0} foci",
            where=where,
            mend="Correct one of the two, or leave css_foci out.",
        )
