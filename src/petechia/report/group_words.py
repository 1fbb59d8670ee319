"""What the page of a cohort is made of, and its words and numbers."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from petechia.report.evaluation import DASH, number
from petechia.report.frequency import Map
from petechia.report.language import said, t
from petechia.report.wording import plain, spaced

Row = Mapping[str, Any]
OUTCOMES = {
    "presence": "Any microbleed",
    "lobar": "Any lobar microbleed",
    "deep": "Any deep or infratentorial microbleed",
    "5 or more": "Five or more microbleeds",
    "count": "Number of microbleeds",
    "bin": "Count group (0, 1 to 4, 5 or more)",
    "category": "Pattern",
}
PATTERNS = {
    "none": "None",
    "lobar_only": "Strictly lobar",
    "deep_only": "Strictly deep or infratentorial",
    "mixed": "Mixed",
    "pattern_unknown": "Not known: a site is not known",
}
STATUS = {
    "not_assessable": "refused by a fitness check",
    "failed": "failed",
    "unreadable": "cannot be read",
    "no_row": "not in the table of participants",
    "no_scan": "without a scan",
}
MOST_LISTED = 40
"""A page lists no more rows of what was left out; the table has all."""
MOST_ROWS = 60


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class GroupPage:
    """What the page is made of.

    Attributes
    ----------
    facts : mapping
        Plain values: numbers of scans and people, plan, titles of factors, notes.
    tables, columns, titles : mapping
        Rows, meanings of columns, and titles of each table by its name.
    files : sequence of str
        What lies beside the page.
    lesions : Map or None
    notes : sequence of str
    """

    facts: Mapping[str, Any]
    tables: Mapping[str, Sequence[Row]]
    columns: Mapping[str, Mapping[str, str]]
    titles: Mapping[str, str]
    files: Sequence[str]
    lesions: Map | None
    notes: Sequence[str] = ()

    def rows(self, name: str) -> Sequence[Row]:
        """Return the rows of a table; none where it was not made."""
        return self.tables.get(name, ())


def outcome_words(name: str) -> str:
    """Return an outcome in words."""
    return t(OUTCOMES[name])


def people_of(n: int) -> str:
    """Return `1 person` or `24 people`."""
    return t("1 person") if n == 1 else t("{n} people", n=n)


def scans_of(n: int) -> str:
    """Return `1 scan` or `30 scans`."""
    return t("1 scan") if n == 1 else t("{n} scans", n=n)


def span(low: str, high: str) -> str:
    """Return `1.20 to 2.86`."""
    return t("{low} to {high}", low=low, high=high)


def percent(share: float | None, digits: int = 1) -> str:
    """Return a share in percent, or a dash."""
    return DASH if share is None else f"{100 * share:.{digits}f} %"


def p_text(p: float | None) -> str:
    """Return a p-value as papers print it."""
    if p is None:
        return DASH
    return "<0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def ratio_text(row: Row, name: str = "ratio") -> str:
    """Return `1.85 (1.20 to 2.86)`; a dash for what is not defined.

    A ratio without an interval is of too few, and says so.
    """
    value, low, high = (row.get(f"{name}{end}") for end in ("", "_low", "_high"))
    if value is None:
        return DASH
    if low is None and high is None:
        return t("{value} (no interval)", value=short(value))
    return f"{short(value)} ({span(short(low), short(high))})"


def short(value: Any) -> str:
    """Return a number with two decimals, or none from 100 on."""
    if value is None:
        return DASH
    if isinstance(value, str) or abs(value) == float("inf"):
        return t("no end")
    return number(value, 2 if abs(value) < 100 else 0)


def title_of(page: GroupPage, factor: str) -> str:
    """Return a factor in words; a cut or banded number keeps its cut."""
    titles = page.facts["titles"]
    for mark in (">=", "<=", ">", "<", ":"):
        name, found, rest = factor.partition(mark)
        if found and name in titles:
            title = said(plain(titles[name]))
            return t("{title}, in bands", title=title) if mark == ":" else f"{title} {mark} {rest}"
    return said(plain(titles.get(factor, spaced(factor))))


_BAND = re.compile(r"(-?[\d.]+) to (-?[\d.]+)")


def level_words(level: object) -> str:
    """Return a level of a factor in words; a band as `60 to 70`."""
    band = _BAND.fullmatch(str(level))
    return span(band[1], band[2]) if band else said(plain(level))


def step_words(per: object) -> str:
    """Return what a ratio is for: `10 year`, `1 SD (3.1 umol/L)`, `against no`."""
    words = plain(per)
    if words.startswith("against "):
        return t("against {group}", group=level_words(words.removeprefix("against ")))
    number, _, unit = words.partition(" ")
    return f"{number} {said(unit)}".strip()
