"""The order of each person's sessions: that of `petechia follow`."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from petechia.errors import FileError
from petechia.files.contract import follow_path
from petechia.files.scan import ScanName
from petechia.pipeline.group.factors import Column
from petechia.pipeline.group.scans import FAILED, UNREADABLE, ScanRow
from petechia.pipeline.listing import natural
from petechia.pipeline.review.cases import ReviewFolder
from petechia.pipeline.session_times import DATES, SessionOrder, by_times, times_of

Sessions = dict[str, list[int]]
"""Rows of the scans of each session of a person, in natural order of the labels."""
OTHER = (
    "petechia follow took another order of sessions; give acq_time in scans.tsv or sessions.tsv, "
    "and run it again"
)


def session_order(
    scans: Sequence[ScanRow],
    people: Mapping[str, Column],
    images: Path | None,
    output: Path | None = None,
) -> tuple[npt.NDArray[np.intp], list[str]]:
    """Return the place of each scan's session among those of its person, and notes.

    Parameters
    ----------
    scans : sequence of ScanRow
    people : mapping
        Facts of the person at each scan: where `days` tells all sessions of a person, they go
        by it.
    images : Path or None
        The raw dataset: else they go by the dates or ages in its tables where those tell all of
        them.
    output : Path, optional
        OUTPUT of `petechia run`: else by the tables of the dataset it links to, or the order
        by dates that `petechia follow` wrote there; else by label.
    """
    by: dict[str, Sessions] = defaultdict(lambda: defaultdict(list))
    for n in sorted(range(len(scans)), key=lambda n: natural(scans[n].session or "")):
        by[scans[n].subject][scans[n].session or ""].append(n)
    days = people.get("days")
    known = days.values if days is not None and days.factor.is_number else None
    roots = [root for root in (images, _linked(output)) if root is not None]
    places, said = np.zeros(len(scans), dtype=np.intp), Counter[str]()
    for subject, sessions in by.items():
        if len(sessions) < 2:
            continue
        settled, by_follow = _settled(output, subject)
        found, labels = _order(scans, sessions, known, roots, settled if by_follow else [])
        said.update([found.says] if found.says else [])
        own = [label for label in labels if label in settled]
        if own != [label for label in settled if label in own]:
            said[OTHER] += 1
        for place, label in enumerate(labels):
            places[sessions[label]] = place
    return places, [f"Of {n} people {says}." for says, n in said.items()]


def _order(
    scans: Sequence[ScanRow],
    sessions: Sessions,
    days: npt.NDArray[np.float64] | None,
    roots: Sequence[Path],
    settled: Sequence[str],
) -> tuple[SessionOrder, list[str]]:
    """Return the order of one person's sessions, and their labels in it.

    Where times do not tell of every session, those without a finished scan do not count: they
    go after the session that their label follows, as `petechia follow` leaves them out.
    """
    fine = [
        label
        for label, rows in sessions.items()
        if any(scans[n].status not in (FAILED, UNREADABLE) for n in rows)
    ]
    found, labels = SessionOrder(order=[]), list(sessions)
    for labels in (list(sessions), fine or list(sessions)):
        tried = [by_times(times, labels) for times in _told(scans, sessions, labels, days, roots)]
        places = {label: float(n) for n, label in enumerate(settled)}
        if settled:
            tried.append(by_times([places.get(label) for label in labels], labels))
        surest = min(tried, key=lambda one: one.known)  # what contradicts labels is not passed over
        found = next((one for one in tried if one.by == DATES), surest)
        if found.by == DATES:
            break
    out = [labels[n] for n in found.order]
    for before, label in zip(["", *sessions], sessions, strict=False):
        if label not in out:
            out.insert(out.index(before) + 1 if before in out else 0, label)
    return found, out


def _told(
    scans: Sequence[ScanRow],
    sessions: Sessions,
    labels: Sequence[str],
    days: npt.NDArray[np.float64] | None,
    roots: Sequence[Path],
) -> Iterator[list[float | None]]:
    """Yield the times of sessions by each source, the better one first."""
    rows = [sessions[label] for label in labels]
    names = [[ScanName(tuple(scans[n].entities.items())) for n in some] for some in rows]
    by_column = [_first(days, some) for some in rows]
    by_tables = [times_of(root, names) for root in roots]
    if None not in by_column or not by_tables:
        yield by_column
    yield from by_tables


def _settled(output: Path | None, subject: str) -> tuple[list[str], bool]:
    """Return the order of sessions that a follow-up has, and whether it went by dates."""
    if output is None:
        return [], False
    try:
        told = json.loads(follow_path(output, "summary", f"sub-{subject}").read_bytes())["order"]
        return [str(label) for label in told["sessions"]], told["by"] == DATES
    except (OSError, ValueError, KeyError, TypeError):
        return [], False


def _linked(output: Path | None) -> Path | None:
    """Return the raw dataset that `petechia follow` takes by itself."""
    with suppress(FileError):
        return ReviewFolder(output).images if output is not None else None
    return None


def _first(values: npt.NDArray[np.float64] | None, rows: Sequence[int]) -> float | None:
    """Return the first value of the rows that is known."""
    told = (float(values[n]) for n in rows) if values is not None else ()
    return next((value for value in told if not np.isnan(value)), None)
