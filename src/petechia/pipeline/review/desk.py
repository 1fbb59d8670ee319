"""The desk of one or many readers over one output folder: the queue, a scan, one decision."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from petechia.errors import FileError, ParameterError, StaleError
from petechia.pipeline.review.cases import Case, ReviewFolder
from petechia.pipeline.review.events import Event, checked
from petechia.pipeline.review.log import ReviewLog, Tally
from petechia.pipeline.review.queue import Listed
from petechia.pipeline.review.state import (
    Basis,
    Outline,
    ScanState,
    anchor_of,
    fold,
    ordered,
    require,
    summary_of,
)

Numbers = npt.NDArray[np.uint16]
STATES = ("new", "open", "done")
SORTS = ("attention", "name", "count")
KEPT_PROGRESS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How scans are read.

    Attributes
    ----------
    round : int
        Rounds of a study are read apart.
    blind : bool
        The software's opinion stays hidden until a reader has finished a scan.
    """

    round: int = 1
    blind: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRow:
    """A scan as one reader's queue shows it; None: hidden from a blind reader."""

    listed: Listed
    tally: Tally | None
    state: str
    n_undecided: int
    counted: int | None
    category: str | None
    seconds: float
    prior: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What decisions have made of a scan."""

    n_undecided: int
    counted: int
    category: str


class Desk:
    """Everything a screen asks for; safe to use from many threads.

    Parameters
    ----------
    folder : ReviewFolder
    log : ReviewLog
    rules : Rules
    """

    def __init__(self, folder: ReviewFolder, log: ReviewLog, rules: Rules) -> None:
        self.folder, self.log, self.rules = folder, log, rules
        self._guard = threading.Lock()
        self._progress: OrderedDict[tuple[str, str, int, str], Progress] = OrderedDict()

    # --- the queue --------------------------------------------------------------------------

    def queue(
        self, reader: str, *, search: str = "", state: str = "", sort: str = "attention"
    ) -> tuple[list[QueueRow], dict[str, int]]:
        """Return a reader's scans, searched, filtered and sorted, and how many are in each state.

        `search` holds words that must all be part of the prefix, whatever their case. By
        attention come scans begun, then new ones with much to decide, then those that cannot
        be read, then those done.
        """
        words = search.lower().split()
        tallies = {t.scan: t for t in self.log.tallies(reader, self.rules.round)}
        found = [
            listed
            for scan, listed in self.folder.listed().items()
            if all(word in scan.lower() for word in words)
        ]
        counts = dict.fromkeys(STATES, 0)
        for listed in found:
            counts[_state_of(tallies.get(listed.scan))] += 1
        rows = [
            self._row(listed, tallies.get(listed.scan), reader, whole=sort == "count")
            for listed in found
            if state in ("", _state_of(tallies.get(listed.scan)))
        ]
        return _sorted(rows, sort), counts

    def finished_row(self, row: QueueRow, reader: str) -> QueueRow:
        """Return a row of the queue with what takes longer: for those that are shown."""
        if row.listed.problem:
            return row
        prior = self.folder.prior(row.listed.scan)
        full = self._row(row.listed, row.tally, reader, whole=True)
        return replace(full, prior=prior)

    def following(self, scan: str, reader: str) -> str | None:
        """Return the scan that a reader should take next, after this one."""
        rows, _ = self.queue(reader)
        return next(
            (
                row.listed.scan
                for row in rows
                if row.state != "done" and not row.listed.problem and row.listed.scan != scan
            ),
            None,
        )

    def _row(self, listed: Listed, tally: Tally | None, reader: str, *, whole: bool) -> QueueRow:
        state = _state_of(tally)
        known = None
        if tally is not None and not listed.problem and (whole or state == "open"):
            known = self._progress_of(listed, tally, reader)
        hidden = self.rules.blind and state != "done"
        counted = known.counted if known else listed.counted
        category = known.category if known else listed.category
        undecided = listed.n_asked if state == "new" else 0
        return QueueRow(
            listed=listed,
            tally=tally,
            state=state,
            n_undecided=known.n_undecided if known else undecided,
            counted=None if hidden else counted,
            category=None if hidden else category,
            seconds=tally.seconds if tally else 0.0,
        )

    def _progress_of(self, listed: Listed, tally: Tally, reader: str) -> Progress | None:
        key = (listed.scan, reader, tally.last, listed.fingerprint)
        with self._guard:
            known = self._progress.get(key)
        if known is None:
            try:
                basis = self.folder.basis(listed.scan)
            except FileError:
                return None
            state = self._fold(basis, reader)
            counts = summary_of(state)
            known = Progress(
                n_undecided=state.n_undecided,
                counted=counts["counts"]["total"],
                category=counts["category"],
            )
            with self._guard:
                self._progress[key] = known
                while len(self._progress) > KEPT_PROGRESS:
                    self._progress.popitem(last=False)
        return known

    # --- one scan ---------------------------------------------------------------------------

    def state(self, case: Case, reader: str) -> ScanState:
        """Return a scan as a reader left it."""
        return self._fold(case.basis, reader)

    def _fold(self, basis: Basis, reader: str) -> ScanState:
        events = self.log.events(basis.scan, reader=reader, round=self.rules.round)
        return fold(basis, events, reader=reader, round=self.rules.round)

    def hides(self, state: ScanState) -> bool:
        """Return whether the software's opinion is hidden from the reader of `state`."""
        return self.rules.blind and not state.finished

    def outlines(self, case: Case, state: ScanState) -> Numbers:
        """Return the outlines in the case's crop: a finding's position in the list, from 1."""
        order = ordered(state, blind=self.hides(state))
        return painted(case, [item.outline for item in order])

    def take(self, event: Event, *, after: int | None = None) -> tuple[Event, ScanState]:
        """Add a reader's event to the log; return it as it stands there, and the new state.

        Raises
        ------
        ParameterError
            The event is not what it may be, or finds nothing to change.
        StaleError
            The results are not those that were seen, or another window of the same reader
            changed the same finding after event `after`.
        FileError
            The scan cannot be read, or the log not be written.
        """
        event = checked(event)
        case = self.folder.case(event.scan)
        if event.fingerprint != case.fingerprint:
            raise StaleError(
                "the results are not those that were shown",
                where=event.scan,
                mend="The scan was analysed again: look at it as it is now.",
            )
        events = self.log.events(event.scan, reader=event.reader, round=self.rules.round)
        if event.uuid not in {known.uuid for known in events}:
            before = fold(case.basis, events, reader=event.reader, round=self.rules.round)
            require(before, event)
            found = before.finding(event.finding)
            if found is not None:
                event = replace(event, anchor=anchor_of(found, case.grid.shape))
        stored = self.log.append(event, after=after)
        return stored, self.state(case, event.reader)


def painted(case: Case, outlines: Sequence[Outline]) -> Numbers:
    """Return outlines as numbers from 1 in the case's crop, laid; later ones over earlier."""
    table = np.zeros(int(case.labels.max(initial=0)) + 1, np.uint16)
    for number, outline in enumerate(outlines, start=1):
        for label in outline.labels:
            if 0 < label < len(table):
                table[label] = number
    out: Numbers = table[np.maximum(case.crop.cut(case.labels), 0)]
    for number, outline in enumerate(outlines, start=1):
        if outline.runs:
            place = case.crop.from_flat(voxels_of(outline.runs, case.grid.size))
            out[tuple(place.T)] = number
    return out


def voxels_of(runs: Sequence[tuple[int, int]], size: int) -> npt.NDArray[np.int64]:
    """Return the flat voxels of runs, those of a volume of `size` voxels."""
    parts = [np.arange(start, min(start + n, size)) for start, n in runs if start < size]
    return np.concatenate([np.zeros(0, np.int64), *parts])


def _state_of(tally: Tally | None) -> str:
    if tally is None or not tally.events:
        return "new"
    return "done" if tally.finished else "open"


def _sorted(rows: list[QueueRow], sort: str) -> list[QueueRow]:
    if sort == "name":
        return rows  # the queue is in natural order
    if sort == "count":
        return sorted(rows, key=lambda row: -(row.counted or 0))
    if sort != "attention":
        raise ParameterError(
            f"{sort!r} is no order", where="sort", mend=f"Choose one of {', '.join(SORTS)}."
        )
    return sorted(rows, key=_attention)


_ATTENTION = {"open": 0, "new": 1, "done": 3}


def _attention(row: QueueRow) -> tuple[int, int]:
    return 2 if row.listed.problem else _ATTENTION[row.state], -row.n_undecided
