"""When the sessions of a person were, by the tables of the raw dataset, and their order.

The one place that puts sessions in order: of follow-up, of a cohort and of the review desk.
By dates or ages where all are known; else by label where labels tell it (`by_label`); else by
label as a guess, which says so.
"""

import csv
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from petechia.core.units import DAYS_A_YEAR
from petechia.files.bids_names import name_of, parse_name
from petechia.files.scan import ScanName

DAY_S = 86400.0
DATES, LABEL, GUESS = "dates", "label", "guess"
"""What an order goes by."""
WORDS = (
    (("pre", "before"), ("post", "after")),
    (("screening", "screen"), ("baseline", "base", "bl"), ("followup", "fu")),
    (("scan", "test"), ("rescan", "retest")),
    (("first",), ("second",), ("third",), ("fourth",), ("fifth",), ("last",)),
)
"""Words of labels whose order is plain, each family by itself; a number may follow."""
UNITS = ("d", "day", "w", "week", "m", "month", "y", "year")
"""Times after `baseline`: `m06`."""
NO_TIMES = (
    "#t",
    "#tesla",
    "te#",
    "#ms",
    "echo#",
    "site#",
    "scanner#",
    "coil#",
    "reader#",
    "rater#",
)
"""Numbers that tell no time: `3T` and `7T`, `site1` and `site2`."""
LONGEST_NUMBER = 5
"""Digits of a number that counts visits or time; longer ones are dates of eight, or identifiers."""
GUESS_SAYS = (
    "the order of sessions is a guess by label; acq_time in scans.tsv or sessions.tsv would tell it"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOrder:
    """The order of one person's sessions.

    Attributes
    ----------
    order : list of int
        Positions, the earliest first.
    by : str
        'dates', 'label' (which tells it) or 'guess' (by a label that does not).
    says : str
        What there is to say of it; "" where dates and labels agree.
    """

    order: list[int]
    by: str = DATES
    says: str = ""

    @property
    def known(self) -> bool:
        """Whether one can say which session came first."""
        return self.by != GUESS


def interval_days(images: Path | None, first: ScanName, second: ScanName) -> float | None:
    """Return the time between two scans by the raw dataset's tables; None when it is not told.

    `acq_time` of scans.tsv or sessions.tsv, else `age` [years] of sessions.tsv. Dates themselves
    are passed on to nobody.
    """
    if images is None:
        return None
    then, now = (_when(images, name) for name in (first, second))
    if then[0] is not None and now[0] is not None:
        with suppress(TypeError):  # one with a time zone, the other without
            return (now[0] - then[0]).total_seconds() / DAY_S
    if then[1] is not None and now[1] is not None:
        return DAYS_A_YEAR * (now[1] - then[1])
    return None


def in_time(images: Path | None, sessions: Sequence[Sequence[ScanName]]) -> tuple[list[int], str]:
    """Return the order of sessions in time, and what there is to say of it: see `ordered`."""
    found = ordered(images, sessions)
    return found.order, found.says


def ordered(images: Path | None, sessions: Sequence[Sequence[ScanName]]) -> SessionOrder:
    """Return the order of sessions in time: see `by_times`.

    Parameters
    ----------
    images : Path or None
        The raw dataset, whose tables tell when a scan was made.
    sessions : sequence of sequence of ScanName
        In natural order of their labels.
    """
    labels = [next((name.get("ses") or "" for name in some), "") for some in sessions]
    return by_times(times_of(images, sessions), labels)


def times_of(images: Path | None, sessions: Sequence[Sequence[ScanName]]) -> list[float | None]:
    """Return the days from one session to each, None where it is not told.

    The one is that from which most are told.
    """
    best: list[float | None] = [None] * len(sessions)
    for first in sessions if images is not None else ():
        told = [_days_after(images, first, one) for one in sessions]
        if _known(told) > _known(best):
            best = told
        if _known(best) == len(best):
            break
    return best


def by_times(times: Sequence[float | None], labels: Sequence[str]) -> SessionOrder:
    """Return the order of sessions by their times, None where one is not known, and labels.

    Parameters
    ----------
    times : sequence of float or None
        Of each session; any unit, any beginning.
    labels : sequence of str
        Of each session, in natural order.

    Returns
    -------
    SessionOrder
        By times where all are known and differ; else by label, where times do not contradict it.
    """
    places = list(range(len(times)))
    told = by_label(labels)
    rank = places if told is None else told
    if len(set(labels)) < 2:
        return SessionOrder(order=places, by=LABEL)
    by_rank = sorted(places, key=rank.__getitem__)
    known = [time for n in by_rank if (time := times[n]) is not None]
    if len(known) == len(places):
        order = sorted(places, key=lambda n: (known[rank[n]], rank[n]))
        if told is None and len(set(known)) < len(known):
            says = f"some sessions are of one date or age; {GUESS_SAYS}"
            return SessionOrder(order=order, by=GUESS, says=says)
        says = "sessions are ordered by their dates, which contradict their labels"
        return SessionOrder(order=order, says=says if told and order != by_rank else "")
    if told is None:
        return SessionOrder(order=places, by=GUESS, says=GUESS_SAYS)
    if any(a > b for a, b in pairwise(known)):
        says = "dates contradict the order of the labels, and are not known of all"
        return SessionOrder(order=by_rank, by=GUESS, says=f"{says}; {GUESS_SAYS}")
    why = "dates are not known of all" if known else "no dates are known"
    return SessionOrder(order=by_rank, by=LABEL, says=f"sessions are ordered by label; {why}")


def by_label(labels: Sequence[str]) -> list[int] | None:
    """Return the rank of each session where its label tells it; None where one must guess.

    Labels tell the order when they differ in one number alone (`1` and `2`, `m6` and `m12`), or
    are words of one family of `WORDS` (`pre` and `post`), with numbers behind or not; times of
    one of `UNITS` may come after `baseline`. Upper and lower case are one.

    >>> by_label(["post", "pre"])
    [1, 0]
    >>> by_label(["m6", "m12"])
    [0, 1]
    >>> by_label(["cortex", "stem"]) is None
    True
    """
    folded = [label.casefold() for label in labels]
    keys = _by_number(folded)
    if keys is None:
        found = (_by_words(folded, family) for family in WORDS)
        keys = next((keys for keys in found if keys is not None), None)
    if keys is None or len(set(keys)) < len(keys):
        return None
    return [sorted(keys).index(key) for key in keys]


def _by_number(labels: Sequence[str]) -> list[tuple[int, ...]] | None:
    """Return the number in which labels with one stem differ; None where they are no such."""
    parts = [re.split(r"([0-9]+)", label) for label in labels]
    if len({len(part) for part in parts}) > 1 or len({tuple(part[::2]) for part in parts}) > 1:
        return None
    columns = list(zip(*(part[1::2] for part in parts), strict=True))
    differ = [column for column in columns if len({int(text) for text in column}) > 1]
    if len(differ) != 1 or "#".join(parts[0][::2]) in NO_TIMES:
        return None
    return [(int(text),) for text in differ[0]] if all(map(_counts, differ[0])) else None


def _counts(number: str) -> bool:
    """Return whether a number of a label counts: visits, time, or the days of the calendar."""
    if len(number) <= LONGEST_NUMBER:
        return True
    try:
        return len(number) == 8 and datetime.strptime(number, "%Y%m%d").year >= 1900
    except ValueError:
        return False


def _by_words(
    labels: Sequence[str], family: Sequence[Sequence[str]]
) -> list[tuple[int, ...]] | None:
    """Return place of the word and number of labels; None where one is not of the family."""
    places = {word: n for n, words in enumerate(family) for word in words}
    keys: list[tuple[int, ...]] = []
    units = set()
    for label in labels:
        found = re.fullmatch(r"([a-z]+)([0-9]*)", label)
        if found is None:
            return None
        word, number = found[1], int(found[2] or 1)
        if word in UNITS and "baseline" in places and found[2] and number > 0:
            units.add(word)
            keys.append((places["baseline"] + 1, number))
        elif word in places and len(found[2]) <= LONGEST_NUMBER:
            keys.append((places[word], number))
        else:
            return None
    # months and visits after follow-up, or two units, are no plain order
    visits = any(label.startswith(("followup", "fu")) for label in labels)
    return None if len(units) > 1 or (units and visits) else keys


def _known(times: Sequence[float | None]) -> int:
    return sum(time is not None for time in times)


def _days_after(
    images: Path | None, first: Sequence[ScanName], other: Sequence[ScanName]
) -> float | None:
    told = (interval_days(images, a, b) for a in first for b in other)
    return next((days for days in told if days is not None), None)


def _when(images: Path, name: ScanName) -> tuple[datetime | None, float | None]:
    """Return the date of a scan, and the age at its session [years]."""
    subject, session = f"sub-{name.get('sub')}", f"ses-{name.get('ses')}"
    folder = images / subject
    scans = _rows(folder / session / f"{subject}_{session}_scans.tsv")
    date = next((d for row in scans if _is_of(row, name) and (d := _date(row))), None)
    for row in _rows(folder / f"{subject}_sessions.tsv"):
        if row.get("session_id") == session:
            age = None
            with suppress(TypeError, ValueError):
                age = float(row.get("age"))  # type: ignore[arg-type]
            return date or _date(row), age
    return date, None


def _is_of(row: Mapping[str, str], name: ScanName) -> bool:
    """Return whether a row of scans.tsv is a file of the scan."""
    named = parse_name(Path(row.get("filename") or "").name)
    return named is not None and name_of(named.entities) == name


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    except (OSError, ValueError, csv.Error):
        return []


def _date(row: Mapping[str, str]) -> datetime | None:
    try:
        return datetime.fromisoformat(row.get("acq_time") or "")
    except ValueError:
        return None
