"""The desk of one or many readers over one output folder: the queue, a scan, one decision."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from petechia.errors import FileError, ParameterError, StaleError
from petechia.pipeline.review.anchors import anchored
from petechia.pipeline.review.cases import Case, ReviewFolder
from petechia.pipeline.review.events import Event, checked, reader_name
from petechia.pipeline.review.fold import fold, own_events, require, taken_back
from petechia.pipeline.review.images import dark_image
from petechia.pipeline.review.kept import Kept
from petechia.pipeline.review.log import ReviewLog, Tally
from petechia.pipeline.review.outline import Surroundings, complete, grow
from petechia.pipeline.review.queue import Listed
from petechia.pipeline.review.readings import (
    Reading,
    Readings,
    open_scan,
    reading_of,
    slice_mm,
)
from petechia.pipeline.review.sense import require_sense
from petechia.pipeline.review.state import Basis, Outline, ScanState
from petechia.pipeline.review.told import ordered, summary_of

Numbers = npt.NDArray[np.uint16]
STATES = ("new", "open", "done")
SORTS = ("attention", "name", "count")
KEPT_SCANS = 20_000
KEPT_IMAGES = 3
COMPLETED = ("add", "split")
"""Kinds whose voxels are worked out here, from what the reader pointed at."""
AFTERWARDS = ("finish", "reopen", "note", "adjudicate")
"""Kinds that leave a finished reading as it is, or open it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How scans are read.

    Attributes
    ----------
    round : int
        Rounds of a study are read apart.
    blind : bool
        The software's opinion stays hidden until a reader has finished a scan.
    adjudicators : tuple of str
        Who sees what all readers decided, and settles it. With none named, everyone may on
        the scans that they have finished themselves.
    """

    round: int = 1
    blind: bool = False
    adjudicators: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in self.adjudicators:
            reader_name(name)


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
        self._progress: Kept[Progress] = Kept(KEPT_SCANS)
        self._images: Kept[npt.NDArray[np.floating]] = Kept(KEPT_IMAGES)
        self._readings: Kept[Reading] = Kept(KEPT_SCANS // 10)

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
        known = self._progress.get(key)
        if known is None:
            try:
                state = self._fold(self.folder.told(listed.scan)[0], reader)
            except FileError:
                return None
            counts = summary_of(state)
            known = Progress(
                n_undecided=state.n_undecided,
                counted=counts["counts"]["total"],
                category=counts["category"],
            )
            self._progress.put(key, known)
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

    def hidden_from(self, reader: str, scans: Iterable[str]) -> set[str]:
        """Return the scans whose software's opinion is hidden from a reader."""
        if not self.rules.blind:
            return set()
        tallies = self.log.tallies(reader, self.rules.round)
        return set(scans) - {tally.scan for tally in tallies if tally.finished}

    def outlines(self, case: Case, state: ScanState) -> Numbers:
        """Return the outlines in the case's crop: a finding's position in the list, from 1."""
        order = ordered(state, blind=self.hides(state))
        return painted(case, [item.outline for item in order])

    def take(self, event: Event, *, after: int | None = None) -> tuple[Event, ScanState]:
        """Add a reader's event to the log; return it as it stands there, and the new state.

        Raises
        ------
        ParameterError
            The event is not what it may be, makes no sense (`sense`), or finds nothing to
            change.
        StaleError
            The results are not those that were seen, another window of the same reader
            changed the same finding after event `after`, or the reading is finished.
        FileError
            The scan cannot be read, or the log not be written.
        """
        event = checked(event)
        if event.kind == "adjudicate" and not self.sees(event.reader, event.scan):
            raise ParameterError(
                f"{event.reader} may not settle {event.scan}",
                where="kind",
                mend="An adjudicator may, or who has finished that scan.",
            )
        case = self.folder.case(event.scan)
        if event.fingerprint != case.fingerprint:
            raise StaleError(
                "the results are not those that were shown",
                where=event.scan,
                mend="The scan was analysed again: look at it as it is now.",
            )
        events = self.log.events(event.scan, reader=event.reader, round=self.rules.round)
        same = next((known for known in events if known.uuid == event.uuid), None)
        if same is not None:
            if event.kind in COMPLETED:  # the one in the log has its voxels worked out
                event = replace(event, payload=same.payload)
        else:
            before = fold(case.basis, events, reader=event.reader, round=self.rules.round)
            if before.finished:
                self._require_open(event, events)
            require(before, event)
            around = self._around(case)
            event = complete(event, before, around)
            require_sense(event, before, around)
            event = anchored(event, before, case.grid.shape)
        stored = self.log.append(event, after=after)
        return stored, self.state(case, event.reader)

    def _require_open(self, event: Event, events: Sequence[Event]) -> None:
        """Raise when an event would change a reading that is finished."""
        kind = event.kind
        if kind == "undo":
            taken = {known.id: known.kind for known in events}
            kind = taken.get(event.payload["event"], kind)
            kind = "reopen" if kind == "finish" else kind
        if kind == "reopen" and self.rules.blind:
            raise StaleError(
                "a blind reading is not opened again: the software's opinion was shown at its end",
                where=event.scan,
                mend="Write a note, or read the scan anew in another round (--round).",
            )
        if kind not in AFTERWARDS:
            raise StaleError(
                "the reading is finished", where=event.scan, mend="Reopen it to change something."
            )

    def _around(self, case: Case) -> Surroundings:
        """Return what voxels of an event are found with."""
        key = (case.scan, case.stamp)

        def image() -> npt.NDArray[np.floating] | None:
            held = self._images.get(key)
            if held is None and (read := dark_image(self.folder, case)) is not None:
                held = self._images.put(key, read)
            return held

        return Surroundings(
            canvas=case.canvas, image=image, mask=case.mask, region=partial(region_at, case)
        )

    def warm(self, case: Case) -> None:
        """Have ready what the first finding added by a click needs: its image, compiled code."""
        around = self._around(case)
        image = around.image()
        if image is not None:
            middle = case.grid.to_mm(np.array(case.grid.shape) // 2).tolist()
            grow(image, case.mask, middle, case.grid)

    # --- all readers ------------------------------------------------------------------------

    def sees(self, reader: str, scan: str) -> bool:
        """Return whether a reader may see what others decided on a scan."""
        if self.rules.adjudicators:
            return reader in self.rules.adjudicators
        own = self.log.tallies(reader, self.rules.round)
        return any(tally.scan == scan and tally.finished for tally in own)

    def readings(self, reader: str) -> Readings:
        """Return what all readers said, of the scans that `reader` may see; any round."""
        listed = self.folder.listed()
        tallies = [t for t in self.log.tallies() if t.finished]
        own = {t.scan for t in tallies if (t.reader, t.round) == (reader, self.rules.round)}
        every = reader in self.rules.adjudicators
        if self.rules.adjudicators and not every:
            own = set()
        found, unread = [], {}
        for tally in (t for t in tallies if every or t.scan in own):
            try:
                found.append(self._reading(listed.get(tally.scan), tally))
            except FileError as error:
                unread[tally.scan] = error.what
        return Readings(readings=found, unread=unread)

    def _reading(self, listed: Listed | None, tally: Tally) -> Reading:
        fingerprint = "" if listed is None else listed.fingerprint
        key = (tally.scan, tally.reader, tally.round, tally.last, fingerprint)
        known = self._readings.get(key)
        if known is None:
            basis, summary = open_scan(self.folder, tally.scan)
            events = self.log.events(tally.scan, reader=tally.reader, round=tally.round)
            state = fold(basis, events, reader=tally.reader, round=tally.round)
            known = reading_of(state, slice_mm(summary))
            self._readings.put(key, known)
        return known

    def settled(self, scans: Iterable[str], round: int) -> set[tuple[str, str]]:
        """Return scan and finding of what was adjudicated in a round and not taken back."""
        out: set[tuple[str, str]] = set()
        for scan in scans:
            events = self.log.events(scan, round=round)
            for reader in {event.reader for event in events}:
                own = own_events(events, scan, reader, round)
                undone = taken_back(own)
                for event in own:
                    if event.kind == "adjudicate" and event.id not in undone:
                        cleared = event.payload["verdict"] == "clear"
                        (out.discard if cleared else out.add)((scan, event.finding))
        return out


def painted(case: Case, outlines: Sequence[Outline]) -> Numbers:
    """Return outlines as numbers from 1 in the case's crop, laid."""
    numbers, _ = case.canvas.paint(outlines)
    out: Numbers = np.ascontiguousarray(case.crop.cut(numbers)).astype(np.uint16)
    return out


def region_at(case: Case, voxel: tuple[int, int, int]) -> tuple[str, str] | None:
    """Return site and side of a voxel by the run's regions; None where there is none."""
    if case.regions is None:
        return None
    labels, rows = case.regions
    index = str(int(labels[voxel]))
    return next(((row["site"], row["side"]) for row in rows if row["index"] == index), None)


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
