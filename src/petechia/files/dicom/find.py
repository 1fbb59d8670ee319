"""Scans in a folder, file or zip of DICOM, listed without reading their pixels."""

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

from petechia.errors import FileError
from petechia.files.dicom.archive import Box
from petechia.files.dicom.collect import Collected, collect
from petechia.files.dicom.companions import Series, beside_scan
from petechia.files.dicom.frames import Frame
from petechia.files.dicom.kinds import WEIGHTED
from petechia.files.dicom.pair import Plan, plans_of
from petechia.files.dicom.pixels import Pixels, same_pixels
from petechia.files.dicom.read import check_plan, read_scan
from petechia.files.dicom.results.origin import read_origin
from petechia.files.dicom.sort import volumes_of
from petechia.files.dicom.untold import with_untold_phase
from petechia.files.scan import ScanRef, subject_name

log = logging.getLogger(__name__)


def find_dicom_scans(
    place: Path,
    *,
    subject: str = "01",
    phase_scale: float | None = None,
    notes: Sequence[str] = (),
) -> list[ScanRef]:
    """Return the gradient-echo scans of one patient in `place`, by series number.

    Only headers are read; `ScanRef.load` reads the pixels.

    Parameters
    ----------
    place : Path
        Folder (searched to its bottom), single file, or zip archive.
    subject : str
        The `sub` entity of the scans' names, with or without `sub-`; nothing of the patient
        goes into them.
    phase_scale : float, optional
        Factor from rescaled phase values to radians, where they are not recognised.
    notes : sequence of str
        What else every scan is to tell.

    Raises
    ------
    FileError
        No such place, no gradient-echo MR image in it, several patients, or an archive
        that is damaged or not harmless.
    ParameterError
        `subject` is no label.
    """
    place = Path(place)
    subject_name(subject)  # before much is read
    box = Box(place)
    found = collect(box)
    frames, told_of = _fit_for_scans(found, place), list(notes)
    kept = {(f.series, f.aside) for f in frames}
    with box.opened() as opened:
        pixels = Pixels(opened)
        frames, untold = with_untold_phase(frames, pixels)
        told_of += untold
        plans, left = plans_of(volumes_of(frames), partial(same_pixels, pixels))
    if found.copies:
        told_of.append(f"{len(found.copies)} copies of the same images dropped")
    if found.n_special:
        told_of.append(f"{found.n_special} pipes, sockets or devices left aside: they are no files")
    if found.packed:
        told_of.append(f"archives inside are not opened: {', '.join(found.packed[:5])}")
    if found.n_people > 1:
        told_of.append(
            f"one PatientID holds images of {found.n_people} persons, by name or birth date: see "
            "whose this scan is"
        )
    log.info("%d scans", len(plans))
    beside = [beside_scan(found, place, plan.volumes[0].first) for plan in plans]
    # what lies beside a scan is told there
    told = {source.number for one in beside for source in one.sources if isinstance(source, Series)}
    told_of += [*left, *_left_aside(found, kept, told)]
    plans = [replace(plan, notes=(*plan.notes, *told_of)) for plan in plans]
    runs = [None] if len(plans) == 1 else range(1, len(plans) + 1)
    return [
        replace(_reference(place, plan, subject, run, found, phase_scale), beside=others)
        for plan, run, others in zip(plans, runs, beside, strict=True)
    ]


def _reference(
    place: Path,
    plan: Plan,
    subject: str,
    run: int | None,
    found: Collected,
    phase_scale: float | None,
) -> ScanRef:
    """Return the reference of one scan."""
    name = subject_name(subject, run)
    read = {f.file for v in plan.volumes for f in v.frames}
    files = tuple(sorted(read))
    folders = {PurePosixPath(f).parent for f in files}
    beside = tuple(
        (file, fault)
        for file, fault in found.broken.items()
        if PurePosixPath(file).parent in folders
    )
    copies = tuple((kept, copy) for kept, copy in found.copies if kept in read)
    facts = (name, phase_scale, beside, copies)
    alone = replace(plan, phase=(), real=(), imaginary=()) if plan.magnitude else None
    return ScanRef(
        name=name,
        kind="DICOM",
        paths=files,
        load=partial(read_scan, str(place), plan, *facts),
        check=partial(check_plan, plan),
        load_magnitude=partial(read_scan, str(place), alone, *facts) if alone else None,
        origin=partial(read_origin, str(place), plan),
    )


def _fit_for_scans(found: Collected, place: Path) -> list[Frame]:
    """Return the frames that can make up a scan.

    The scanner's own SWI counts only when there is no plain magnitude, images marked as
    derived only when there are no others.
    """
    fast = _weighted_by_t1(found.frames)
    fit = [f for f in found.frames if f.aside is None and f.series not in fast]
    if not any(f.part != "phase" for f in fit):
        fit = [f for f in found.frames if f.aside is None]
    if not any(f.part != "phase" for f in fit):
        fit += [f for f in found.frames if f.aside == WEIGHTED]
    if not fit:
        fit = [f for f in found.frames if f.aside == "derived image"]
    if not fit:
        raise FileError(
            "no gradient-echo magnitude or phase: "
            + "; ".join(_left_aside(found, set(), set())[:10]),
            where=str(place),
            mend="Give the T2*, SWI or QSM series with its original magnitude (and phase).",
        )
    return fit


def _weighted_by_t1(frames: list[Frame]) -> set[str]:
    """Return gradient echoes that are T1w: of one echo, whose phase nobody kept."""
    kept = {f.te_ms for f in frames if f.part != "mag"}
    times: dict[str, set[float | None]] = defaultdict(set)
    for frame in frames:
        if frame.aside is None and frame.contrast == "T1w":
            times[frame.series].add(frame.te_ms)
    return {series for series, te in times.items() if len(te) == 1 and not te & kept}


def _left_aside(found: Collected, kept: set[tuple[str, str | None]], told: set[int]) -> list[str]:
    """Return notes on the series that are no part of a scan, but for those told elsewhere."""
    left = {
        (f.series_number, f.aside)
        for f in found.frames
        if f.aside is not None and (f.series, f.aside) not in kept and f.series_number not in told
    }
    notes = [f"series {n} left aside: {why}" for n, why in sorted(left)]
    for modality, n in sorted(found.modalities.items()):
        notes.append(f"{n} images of modality {modality} left aside")
    return notes
