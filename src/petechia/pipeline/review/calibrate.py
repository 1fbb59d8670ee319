"""What one site's decisions make of the detector's probabilities, judged on people left out.

Only findings that were asked for are decided: those the software counted, and those with a
probability from 0.05 on. Asking by probability alone does not bias a line on the log-odds, but
below 0.05 that line is not seen: nothing from there is ever counted (`lowest_threshold`), and
what a reader added tells of missed lesions, not of probabilities.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia import __version__
from petechia.core.logistic import Logistic, fit_logistic, logit
from petechia.errors import FileError, ParameterError, UnfitError
from petechia.evaluate.calibration import brier_score, calibration_error
from petechia.files.writing import write_json
from petechia.pipeline.calibration import FORM, detector_sha256
from petechia.pipeline.review.cases import ReviewFolder
from petechia.pipeline.review.consensus import consensus
from petechia.pipeline.review.fold import fold
from petechia.pipeline.review.log import ReviewLog, log_path
from petechia.pipeline.review.readings import (
    Reading,
    person_of,
    reading_of,
    slice_mm,
)
from petechia.pipeline.review.state import ASKED_FROM

Floats = npt.NDArray[np.float64]
ROUNDED = 0.0005
"""Half the last digit of a probability in the table."""
LEAST_PEOPLE = 5
LEAST_EACH = 20
"""Accepted, and rejected, findings that are needed: ten for each of the line's two numbers
(doi:10.1016/S0895-4356(96)00236-3)."""
FREE = 100.0
"""Standard deviation of a prior that says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """One finished scan, and how its probabilities were made.

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
    site : Logistic or None
        The calibration that the probabilities have been through already.
    """

    reading: Reading
    protocol: str
    detector: Mapping[str, str]
    classification: str
    site: Logistic | None = None


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
    protocol : tuple of str
        Of each scan.
    left : int
        Asked findings that were left undecided.
    """

    p: Floats
    y: npt.NDArray[np.bool_]
    scan: npt.NDArray[np.intp]
    person: npt.NDArray[np.intp]
    missed: npt.NDArray[np.int64]
    protocol: tuple[str, ...]
    left: int


def read_decided(root: Path, reader: str = "", round: int | None = None) -> list[Decided]:
    """Return the finished scans of an output, by one reader or by the consensus of all.

    Parameters
    ----------
    root : Path
        Output of a run that was reviewed.
    reader : str
        Whose decisions; empty: the consensus of all.
    round : int, optional
        Of the readings; the last one of each scan when it is not given.

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
            if folder.find(scan) is None or not own:
                continue
            basis, summary = folder.told(scan)
            number = max(own) if round is None else round
            if reader:
                state = fold(basis, events, reader=reader, round=number)
            else:
                state = consensus(basis, events, round=number)
            out.append(_decided(reading_of(state, slice_mm(summary)), summary))
    return out


def _decided(reading: Reading, summary: Mapping[str, Any]) -> Decided:
    model = summary.get("model") or {}
    site = model.get("site_calibration")
    return Decided(
        reading=reading,
        protocol=protocol_words(summary.get("protocol") or {}),
        detector=model.get("sha256") or {},
        classification=str(model.get("classification", "")),
        site=Logistic(offset=site["offset"], slope=site["slope"]) if site else None,
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
        No scan is finished, or they were not made by this detector and one classification.
    """
    done = [one for one in scans if one.reading.finished]
    if not done:
        raise UnfitError(
            "no finished scan",
            where="petechia calibrate",
            mend="Finish scans in `petechia review` first (key: see `?`), or name another reader.",
        )
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
        left=left,
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


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Recalibration:
    """The line, and what it does to people who were left out of making it.

    Attributes
    ----------
    line : Logistic or None
        None when no line that keeps the order could be fitted.
    operating_points : mapping of str to float
        On the site's probabilities.
    n : mapping of str to int
        people, scans, decisions, accepted, rejected, undecided, missed.
    table : list of dict
        One row for all, and one for each protocol: before and after, out of sample.
    points : list of dict
        One row for each operating point: F1 and false findings a scan, before and after.
    gain, gain_se : float
        Mean gain of log-likelihood of a person left out, and its standard error.
    refused : tuple of str
        Why it must not be used; empty when it may.
    notes : tuple of str
        What else is to be known.
    """

    line: Logistic | None
    operating_points: Mapping[str, float]
    n: Mapping[str, int]
    table: Sequence[Mapping[str, Any]]
    points: Sequence[Mapping[str, Any]]
    gain: float
    gain_se: float
    refused: tuple[str, ...]
    notes: tuple[str, ...]


def recalibrate(told: Decisions, points: Mapping[str, float]) -> Recalibration:
    """Fit the line, and judge it on each person by the decisions on all others.

    The thresholds keep their meaning: a finding counts from the same probability as before, now
    the site's. None lies so low that what nobody was asked about would count.

    Parameters
    ----------
    told : Decisions
        Of the site.
    points : mapping of str to float
        The detector's own operating points.

    Notes
    -----
    It is refused with fewer than 5 people, or 20 accepted and 20 rejected findings; unless
    log-likelihood grows by more than one standard error (over people) and the Brier score falls,
    both out of sample; and when the line turns the order round.
    """
    n = _counts(told)
    refused = list(_too_few(n))
    offset, slope = _fit(told.p, told.y)
    line = Logistic(offset=offset, slope=slope) if slope > 0 else None
    if line is None:
        refused.append(
            "the decisions run against the probabilities: what was thought likelier was accepted "
            "less often"
        )
    moved = told.p.copy()
    own_points = dict(points)
    if line is not None:
        own_points = {k: max(v, lowest_threshold(line)) for k, v in points.items()}
    if n["people"] > 1:
        moved = _left_out(told)
    gain, gain_se = _gain(told, moved)
    before, after = brier_score(told.p, told.y), brier_score(moved, told.y)
    if not refused and not (gain > gain_se and after < before):
        refused.append(
            f"it is no better on people left out: gain of log-likelihood {gain:.3f} a person "
            f"(standard error {gain_se:.3f}; more than that is needed), Brier score "
            f"{before:.4f} before, {after:.4f} after"
        )
    table = [_row("all", told, moved, np.ones(len(told.protocol), dtype=bool))]
    for name in sorted(set(told.protocol)):
        chosen = np.array([protocol == name for protocol in told.protocol])
        if not chosen.all():
            table.append(_row(name, told, moved, chosen))
    return Recalibration(
        line=line,
        operating_points=own_points,
        n=n,
        table=table,
        points=[_point(k, points[k], own_points[k], told, moved) for k in points],
        gain=gain,
        gain_se=gain_se,
        refused=tuple(refused),
        notes=tuple(_notes(table, n, points, own_points)),
    )


def lowest_threshold(line: Logistic) -> float:
    """Return the site's probability of a finding at the edge of what was asked for."""
    return math.ceil(1000 * float(line.apply(ASKED_FROM))) / 1000


def _fit(p: Floats, y: npt.NDArray[np.bool_], start_sd: float | None = None) -> tuple[float, float]:
    if start_sd is None:
        return fit_logistic(p, y, least=ROUNDED)
    return fit_logistic(p, y, offset_sd=start_sd, slope_sd=start_sd, least=ROUNDED)


def _counts(told: Decisions) -> dict[str, int]:
    return {
        "people": len(set(told.person.tolist())),
        "scans": len(told.person),
        "decisions": len(told.y),
        "accepted": int(told.y.sum()),
        "rejected": int((~told.y).sum()),
        "undecided": told.left,
        "missed": int(told.missed.sum()),
    }


def _too_few(n: Mapping[str, int]) -> list[str]:
    """Return what is missing, with how many are needed."""
    needed = {"people": LEAST_PEOPLE, "accepted": LEAST_EACH, "rejected": LEAST_EACH}
    words = {"people": "people", "accepted": "accepted findings", "rejected": "rejected findings"}
    return [
        f"too few {words[name]}: {n[name]}, at least {least} are needed"
        for name, least in needed.items()
        if n[name] < least
    ]


def _left_out(told: Decisions) -> Floats:
    """Return each finding's probability by the line that was fitted without its person."""
    moved = np.empty_like(told.p)
    of = told.person[told.scan]
    for person in np.unique(of):
        out = of == person
        offset, slope = _fit(told.p[~out], told.y[~out])
        moved[out] = Logistic(offset=offset, slope=max(slope, 1e-3)).apply(told.p[out])
    return moved


def _gain(told: Decisions, moved: Floats) -> tuple[float, float]:
    """Return the mean gain of log-likelihood of a person, and its standard error."""

    def likelihood(p: Floats) -> Floats:
        return -np.logaddexp(0, np.where(told.y, -1, 1) * logit(p, ROUNDED))

    people = int(told.person.max()) + 1
    gains = np.zeros(people)
    np.add.at(gains, told.person[told.scan], likelihood(moved) - likelihood(told.p))
    if people < 2:
        return float(gains.mean()), float("nan")
    return float(gains.mean()), float(gains.std(ddof=1) / np.sqrt(people))


def _row(
    name: str, told: Decisions, moved: Floats, chosen: npt.NDArray[np.bool_]
) -> dict[str, Any]:
    """Return Brier score, calibration error, slope and offset of the chosen scans."""
    own = chosen[told.scan]
    y = told.y[own]
    row: dict[str, Any] = {
        "scans": name,
        "n_scans": int(chosen.sum()),
        "decisions": int(own.sum()),
        "accepted": int(y.sum()),
    }
    for word, p in (("before", told.p[own]), ("after", moved[own])):
        both = 0 < y.sum() < len(y)
        offset, slope = _fit(p, y, FREE) if both else (float("nan"), float("nan"))
        row |= {
            f"brier_{word}": brier_score(p, y),
            f"ece_{word}": calibration_error(p, y),
            f"slope_{word}": slope,
            f"offset_{word}": offset,
        }
    return row


def _point(
    name: str, before: float, after: float, told: Decisions, moved: Floats
) -> dict[str, Any]:
    """Return how an operating point does, the reader's word taken as truth."""
    row: dict[str, Any] = {"point": name, "from_before": before, "from_after": after}
    for word, p, least in (("before", told.p, before), ("after", moved, after)):
        counted = p >= least
        hit, false = int((counted & told.y).sum()), int((counted & ~told.y).sum())
        gone = int((~counted & told.y).sum() + told.missed.sum())
        row[f"f1_{word}"] = (
            2 * hit / (2 * hit + false + gone) if hit + false + gone else float("nan")
        )
        row[f"false_{word}"] = false / len(told.person)
        row[f"found_{word}"] = hit / (hit + gone) if hit + gone else float("nan")
    return row


def _notes(
    table: Sequence[Mapping[str, Any]],
    n: Mapping[str, int],
    points: Mapping[str, float],
    own_points: Mapping[str, float],
) -> list[str]:
    notes = [
        "Figures after are of people left out of the fit. The readers' word is taken for truth: "
        "readers who see the software's opinion lean towards it; read blind where it matters.",
        f"Only findings with a probability from {ASKED_FROM:g} on were asked for: below that the "
        "line is not seen, and nothing from there is counted.",
    ]
    if n["undecided"]:
        notes.append(f"{n['undecided']} asked findings were left undecided and do not speak.")
    raised = [name for name in points if own_points[name] > points[name]]
    if raised:
        notes.append(
            f"raised so that nothing counts that nobody was asked about: {', '.join(raised)}."
        )
    worse = [str(r["scans"]) for r in table[1:] if r["brier_after"] > r["brier_before"]]
    if worse:
        notes.append(f"worse for: {'; '.join(worse)}. Consider a calibration of its own for it.")
    return notes


def write_calibration(
    path: Path, found: Recalibration, *, classification: str, decided_by: str
) -> Path:
    """Write the file that `petechia run --calibration` takes; the table is in it.

    Parameters
    ----------
    path : Path
        Of the file, `.json`.
    found : Recalibration
        Not refused.
    classification : str
        Row of the classification table.
    decided_by : str
        'one reader' or 'consensus': no names travel.

    Raises
    ------
    UnfitError
        It is refused.
    ParameterError
        The file's name is not of JSON.
    OutputError
        It cannot be written.
    """
    if found.refused or found.line is None:
        raise UnfitError(
            "; ".join(found.refused),
            where="petechia calibrate",
            mend="Nothing was written. Decide on more scans, or go on without a calibration.",
        )
    if path.suffix != ".json":
        raise ParameterError(
            f"{path.name} does not end in .json", where="--write", mend="Name it site.json, say."
        )
    told = {
        "form": FORM,
        "detector_sha256": detector_sha256(),
        "classification": classification,
        "offset": round(found.line.offset, 6),
        "slope": round(found.line.slope, 6),
        "operating_points": {k: round(v, 3) for k, v in found.operating_points.items()},
        "made": {
            **found.n,
            "decided_by": decided_by,
            "at": datetime.now(UTC).strftime("%Y-%m-%d"),
            "version": __version__,
        },
        "gain": found.gain,
        "gain_se": found.gain_se,
        "table": found.table,
        "points": found.points,
        "notes": found.notes,
    }
    write_json(path, told)
    return path
