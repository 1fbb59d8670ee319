"""What the decisions of finished scans tell of the detector, before any line is drawn."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.core.logistic import Logistic
from petechia.errors import FileError, UnfitError
from petechia.pipeline.calibration import SLICES, detector_sha256
from petechia.pipeline.detector import slices_of
from petechia.pipeline.review.cases import ReviewFolder
from petechia.pipeline.review.consensus import consensus
from petechia.pipeline.review.events import Event
from petechia.pipeline.review.fold import fold
from petechia.pipeline.review.log import ReviewLog, log_path
from petechia.pipeline.review.readings import (
    Reading,
    person_of,
    reading_of,
    slice_mm,
)
from petechia.pipeline.review.rounds import standing_state
from petechia.pipeline.review.state import ASKED_FROM, Basis, ScanState

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """One scan as its readers left it, and how its probabilities were made.

    Attributes
    ----------
    reading : Reading
        One reader's, or the consensus.
    protocol : str
        In words: scans of one protocol are told apart in the table.
    detector : mapping of str to str
        Hashes of the detector that made the probabilities.
    classification : str
        Row of the classification table.
    lost : bool
        Whether the output has no results of it.
    site : Logistic or None
        The calibration that the probabilities have been through already.
    slices : str
        'thin' or 'thick'.
    """

    reading: Reading
    protocol: str = ""
    detector: Mapping[str, str] = field(default_factory=dict)
    classification: str = ""
    lost: bool = False
    site: Logistic | None = None
    slices: str = SLICES[0]

    @property
    def why_not(self) -> str:
        """Why its decisions do not speak; empty when they do."""
        if self.lost:
            return "no results here"
        return "" if self.reading.finished else "not finished"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Decisions:
    """All decided findings of the software, and what it missed.

    Attributes
    ----------
    p : (N,) ndarray
        The detector's probability, before any calibration of a site.
    y : (N,) ndarray of bool
        Whether it was called a microbleed.
    scan : (N,) ndarray of int
        Of each finding.
    person : (S,) ndarray of int
        Of each scan.
    missed : (S,) ndarray of int
        Microbleeds of each scan that no asked finding stands for.
    protocol, slices : tuple of str
        Of each scan.
    left : int
        Asked findings that were left undecided, or on which readers are split.
    left_out : mapping of str to int
        Reviewed scans that do not speak, by the reason.
    """

    p: Floats
    y: npt.NDArray[np.bool_]
    scan: npt.NDArray[np.intp]
    person: npt.NDArray[np.intp]
    missed: npt.NDArray[np.int64]
    protocol: tuple[str, ...]
    slices: tuple[str, ...]
    left: int
    left_out: Mapping[str, int] = field(default_factory=dict)


def read_decided(root: Path, reader: str = "", round: int | None = None) -> list[Decided]:
    """Return the reviewed scans of an output, by one reader or by the consensus of all.

    Parameters
    ----------
    root : Path
        Output of a run that was reviewed.
    reader : str
        Whose decisions; empty: the consensus of all.
    round : int, optional
        Of the readings; when it is not given the newest of each scan that is finished, or else
        its newest.

    Raises
    ------
    FileError
        There is no output, no review of it, or a reviewed scan cannot be read.
    """
    folder = ReviewFolder(root)
    if not log_path(root).is_file():
        raise FileError(
            "nothing has been decided here",
            where=root.name,
            mend="Review it first: petechia review OUTPUT.",
        )
    out = []
    with ReviewLog(log_path(root)) as log:
        for scan in log.scans():
            events = log.events(scan)
            own = [e.round for e in events if reader in ("", e.reader)]
            if own and folder.find(scan) is None:
                out.append(Decided(reading=Reading(scan=scan, reader=reader), lost=True))
            elif own:
                basis, summary = folder.told(scan)
                rounds = own if round is None else [round]
                state = standing_state(rounds, partial(_state, basis, events, reader))
                out.append(_decided(reading_of(state, slice_mm(summary)), summary))
    return out


def _state(basis: Basis, events: Sequence[Event], reader: str, round: int) -> ScanState:
    if reader:
        return fold(basis, events, reader=reader, round=round)
    return consensus(basis, events, round=round)


def _decided(reading: Reading, summary: Mapping[str, Any]) -> Decided:
    model = summary.get("model") or {}
    site = model.get("site_calibration")
    return Decided(
        reading=reading,
        protocol=protocol_words(summary.get("protocol") or {}),
        detector=model.get("sha256") or {},
        classification=str(model.get("classification", "")),
        site=Logistic(offset=site["offset"], slope=site["slope"]) if site else None,
        slices=slices_of(slice_mm(summary)),
    )


def protocol_words(protocol: Mapping[str, Any]) -> str:
    """Return field, echoes and voxel of a summary's protocol: scans alike have the same words."""
    spacing = " x ".join(f"{float(v):.1f}" for v in protocol.get("spacing_mm") or ())
    phase = "no phase" if protocol.get("phase") == "none" else "phase"
    b0, echoes = protocol.get("b0_t"), protocol.get("n_echoes")
    return f"{float(b0 or 0):.1f} T, {echoes} echoes, {spacing} mm, {phase}".replace(
        " 1 echoes", " 1 echo"
    )


def decisions_of(scans: Sequence[Decided]) -> Decisions:
    """Return what the finished scans tell of the detector.

    A finding that was split is one: true when a part of it is. What a merge took in has gone,
    and its voxels speak through the finding that is left.

    Raises
    ------
    UnfitError
        No scan is finished, one comes twice, or they were not made by this detector and one
        classification.
    """
    done = [one for one in scans if not one.why_not]
    if not done:
        raise UnfitError(
            "no finished scan",
            where="petechia calibrate",
            mend="Finish scans in `petechia review` first (key: see `?`), or name another reader.",
        )
    _require_each_once(done)
    _require_one_detector(done)
    p, y, scan, missed, left = [], [], [], [], 0
    for n, one in enumerate(done):
        rows, lost, undecided = _of_scan(one.reading)
        raw = np.array([probability for probability, _ in rows], dtype=np.float64)
        p.append(raw if one.site is None else one.site.undo(raw))
        y.append(np.array([true for _, true in rows], dtype=bool))
        scan.append(np.full(len(rows), n, dtype=np.intp))
        missed.append(lost)
        left += undecided
    people = {
        name: n for n, name in enumerate(dict.fromkeys(person_of(d.reading.scan) for d in done))
    }
    return Decisions(
        p=np.concatenate(p),
        y=np.concatenate(y),
        scan=np.concatenate(scan),
        person=np.array([people[person_of(d.reading.scan)] for d in done], dtype=np.intp),
        missed=np.array(missed, dtype=np.int64),
        protocol=tuple(d.protocol for d in done),
        slices=tuple(d.slices for d in done),
        left=left,
        left_out=Counter(one.why_not for one in scans if one.why_not),
    )


def _require_each_once(scans: Sequence[Decided]) -> None:
    times = Counter(one.reading.scan for one in scans)
    twice = [scan for scan, n in times.items() if n > 1]
    if twice:
        raise UnfitError(
            f"{len(twice)} of the scans come twice, e.g. {twice[0]}",
            where="petechia calibrate",
            mend="Give each output once, and each scan in one of them: its decisions would "
            "count twice. Two people need two labels.",
        )


def _require_one_detector(scans: Sequence[Decided]) -> None:
    ours, kinds = detector_sha256(), {one.classification for one in scans}
    others = [one.reading.scan for one in scans if dict(one.detector) != ours]
    if others or len(kinds) > 1:
        what = f"{len(others)} scans were made by another detector, e.g. {''.join(others[:1])}"
        raise UnfitError(
            what if others else f"classifications {', '.join(sorted(kinds))} side by side",
            where="petechia calibrate",
            mend="Run the scans again with this version and one classification; decisions "
            "find their findings again.",
        )


def _of_scan(reading: Reading) -> tuple[list[tuple[float, bool]], int, int]:
    """Return (probability, true) of decided findings, lesions without one, and undecided ones."""
    parts: dict[str, list[Any]] = {}
    lost = 0
    for spot in reading.spots:
        if not spot.key.startswith("s") or spot.probability is None or not spot.asked:
            lost += spot.counted
            continue
        parts.setdefault(spot.key.partition(".")[0], []).append(spot)
    rows, left = [], 0
    for spots in parts.values():
        counted = sum(spot.counted for spot in spots)
        if not counted and not all(spot.decided for spot in spots):
            left += 1
            continue
        p = spots[0].probability
        if p < ASKED_FROM:  # asked only because it was split
            lost += counted
            continue
        rows.append((p, counted > 0))
        lost += max(0, counted - 1)
    return rows, lost, left
