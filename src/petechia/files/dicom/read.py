"""A planned scan, read: pixels to magnitude and phase on one grid, with the header's facts."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_no_overflow, require_signal
from petechia.core.echoes import Echoes
from petechia.core.grid import Grid
from petechia.errors import FileError, InputError, MetadataError
from petechia.files.dicom.archive import Box
from petechia.files.dicom.geometry import EXPORT, Stack, require_same_place, require_whole, stack
from petechia.files.dicom.kinds import FIELD_MAP, WEIGHTED
from petechia.files.dicom.pair import Plan
from petechia.files.dicom.pixels import Pixels, without_copies
from petechia.files.dicom.sort import Volume
from petechia.files.phase_scaling import (
    PhaseRadians,
    complex_to_polar,
    phase_to_radians,
    without_alternation,
)
from petechia.files.scan import Header, Scan, ScanName, Source

Volume4 = npt.NDArray[np.float32]
SHORTEST_TE_MS = 0.5
"""A gradient echo whose echo times are all below this has them in seconds [ms]."""


@dataclass(slots=True)
class Reading:
    """What is known while a scan is read."""

    pixels: Pixels
    notes: list[str] = field(default_factory=list)
    stacks: list[Stack] = field(default_factory=list)


def read_scan(
    place: str,
    plan: Plan,
    name: ScanName,
    phase_scale: float | None = None,
    broken: tuple[tuple[str, str], ...] = (),
    copies: tuple[tuple[str, str], ...] = (),
) -> Scan:
    """Return the scan that `plan` describes.

    Parameters
    ----------
    place : str
        Folder, file or zip.
    plan : Plan
        Which frames make it up.
    name : ScanName
        What its outputs are called.
    phase_scale : float, optional
        Factor from rescaled phase values to radians.
    broken : tuple of (file, fault)
        Unreadable DICOM files that lie beside the scan's own.
    copies : tuple of (file, file)
        Files with the identifier of one of the scan's, which is the first of each pair.

    Raises
    ------
    FileError, MetadataError, InputError
        The scan cannot be used; the message names file or series.
    """
    te_ms, b0_t, phase_te_ms = check_plan(plan)
    with Box(Path(place)).opened() as opened:
        reading = Reading(Pixels(opened), list(plan.notes))
        try:
            magnitude, phase = _images(plan, reading, phase_scale)
        except FileError as error:
            raise _with_broken(error, broken) from error
        _require_no_hole(plan, broken, reading)
        for kept, copy in copies:
            reading.pixels.require_same(kept, copy)
        sources = tuple(
            Source(path=file, sha256=digest)
            for file, digest in sorted(reading.pixels.sha256.items())
        )
    grid = Grid(reading.stacks[0].shape, reading.stacks[0].affine)
    differs = phase is not None and phase_te_ms != te_ms
    phase_note = phase.note if phase is not None else "none"
    if differs:
        phase_note += f"; phase difference over {phase_te_ms[0]:.4g} ms"
    return Scan(
        echoes=Echoes(
            magnitude=magnitude,
            te_s=_seconds(te_ms),
            b0_t=b0_t,
            grid=grid,
            phase_rad=phase.phase_rad if phase is not None else None,
            phase_te_s=_seconds(phase_te_ms) if phase is not None else (),
        ),
        name=name,
        header=_header(plan, reading.stacks[0]),
        kind="DICOM",
        sources=sources,
        phase_note=phase_note,
        notes=tuple(reading.notes),
    )


def check_plan(plan: Plan) -> tuple[tuple[float, ...], float, tuple[float, ...]]:
    """Return echo times [ms], field [T] and times of the phase [ms] from the headers alone.

    Raises
    ------
    FileError, MetadataError
        The headers tell that the scan cannot be used.
    """
    _require_milliseconds(plan)
    if plan.problem:
        raise MetadataError(plan.problem[0], where=plan.volumes[0].label, mend=plan.problem[1])
    for volume in plan.volumes:
        require_whole(volume)
    te_ms = _echo_times_ms(plan)
    return te_ms, _field_t(plan), _phase_times_ms(plan, te_ms)


def _require_milliseconds(plan: Plan) -> None:
    """Raise `MetadataError` when all echo times are too short to be milliseconds.

    Echo times in seconds lie so near to each other that they count as one: that must be
    said before anything that follows from it.
    """
    frames = [frame for volume in plan.volumes for frame in volume.frames]
    stated = sorted({frame.te_ms for frame in frames if frame.te_ms is not None})
    if stated and stated[-1] < SHORTEST_TE_MS:
        raise MetadataError(
            f"EchoTime is {', '.join(f'{te:g}' for te in stated)}",
            where=plan.volumes[0].first.file,
            mend="DICOM's echo times are in milliseconds (20 ms is 20), these look like seconds: "
            "correct EchoTime; or convert the scan to NIfTI and give --te.",
        )


def _echo_times_ms(plan: Plan) -> tuple[float, ...]:
    """Return the echo times of the magnitude; raise when one is missing [ms]."""
    for volume in plan.volumes:
        if volume.te_ms is None:
            raise MetadataError(
                "EchoTime is missing",
                where=volume.first.file,
                mend="Export the original images; or convert the scan to NIfTI and give --te.",
            )
    return tuple(t for t in plan.te_ms if t is not None)


def _seconds(times_ms: tuple[float, ...]) -> tuple[float, ...]:
    """Return seconds without the dust of floating point."""
    return tuple(round(t / 1000, 9) for t in times_ms)


def _field_t(plan: Plan) -> float:
    b0_t = plan.volumes[0].facts.b0_t
    if b0_t is None:
        raise MetadataError(
            "MagneticFieldStrength and ImagingFrequency are missing",
            where=plan.volumes[0].first.file,
            mend="Export the original images; or convert the scan to NIfTI and give --b0.",
        )
    return b0_t


def _phase_times_ms(plan: Plan, te_ms: tuple[float, ...]) -> tuple[float, ...]:
    """Return over which time each phase image evolved; recognise a phase difference [ms].

    Siemens's field map stores the difference of two echoes as one phase series with the
    later echo's time. Another sequence with two echoes that lacks the first one's phase
    looks the same but for its name: only where no name is left is the maker enough.
    """
    if not plan.phase:
        return te_ms
    first = plan.phase[0]
    siemens = (first.facts.manufacturer or "").lower().startswith("siemens")
    sequence = first.facts.sequence_name or ""
    field_map = first.first.difference or (siemens and not sequence)
    one = len(plan.phase) == 1
    if one and len(te_ms) == 2 and first.te_ms == te_ms[1] and field_map:
        return (te_ms[1] - te_ms[0],)
    if one and len(te_ms) == 1 and siemens and FIELD_MAP.search(sequence):
        raise MetadataError(
            f"a phase difference image (sequence {sequence}) with one magnitude echo "
            f"({te_ms[0]:g} ms): the time between the echoes is unknown",
            where=first.label,
            mend="Export both magnitude echoes of the field map too.",
        )
    have = {v.te_ms for v in plan.phase}
    lacking = [t for t in te_ms if t not in have]
    if lacking:
        times = ", ".join(f"{t:g}" for t in lacking)
        raise MetadataError(
            f"{len(lacking)} of {len(te_ms)} echoes have no phase: echo time {times} ms",
            where=first.label,
            mend="Export the phase of every echo; or leave all phase series out.",
        )
    return te_ms


def _images(
    plan: Plan, reading: Reading, phase_scale: float | None
) -> tuple[Volume4, PhaseRadians | None]:
    """Return magnitude (E, I, J, K), and the phase (P, I, J, K) in radians."""
    magnitude = _stacked(plan.magnitude, reading) if plan.magnitude else None
    phase = None
    if plan.real:
        real, imaginary = _stacked(plan.real, reading), _stacked(plan.imaginary, reading)
        polar, phase = complex_to_polar(real, imaginary, where=plan.real[0].label)
        magnitude = polar if magnitude is None else magnitude
    elif plan.phase:
        phase = _phase(plan.phase, reading, phase_scale)
    assert magnitude is not None
    for volume, image in zip(plan.magnitude or plan.real, magnitude, strict=True):
        require_signal(image, volume.label)
        _require_not_negative(image, volume.label)
    if plan.phase and phase is not None and len(plan.phase) == len(magnitude):
        phase = without_alternation(phase, magnitude)
    return magnitude, phase


def _require_not_negative(image: Volume4, where: str) -> None:
    """Set a few negative values (interpolation) to 0; refuse many."""
    negative = image < 0
    if negative.mean() > 0.01:
        raise InputError(
            f"{negative.mean():.0%} of the magnitude is negative, down to {image.min():g}",
            where=where,
            mend="This looks like a phase or real image that calls itself magnitude. GE tells the "
            "parts in the private element (0043,102F): export it again with that; or convert to "
            "NIfTI and name the files, --mag and --phase.",
        )
    require_no_overflow(image, where)
    image[negative] = 0


def ordered(volume: Volume, reading: Reading) -> Stack:
    """Return the slices in order, copies dropped, on the grid of those before."""
    if len({(f.position, f.orientation) for f in volume.frames}) < len(volume.frames):
        volume, n_copies = without_copies(volume, reading.pixels)
        if n_copies:
            reading.notes.append(f"{volume.label}: {n_copies} copied slices dropped")
    slices = stack(volume)
    if len(slices.frames) < 2:
        raise FileError(
            "one slice is no volume",
            where=volume.first.file,
            mend="Give the folder or zip that holds all slices.",
        )
    if reading.stacks:
        first = reading.stacks[0].frames[0]
        require_same_place(
            reading.stacks[0], slices, (f"the image of series {first.series_number}", volume.label)
        )
    reading.stacks.append(slices)
    if any(f.lossy for f in slices.frames):
        reading.notes.append(f"{volume.label}: lossy compression; small lesions may be lost")
    return slices


def _stacked(volumes: tuple[Volume, ...], reading: Reading) -> Volume4:
    """Return the rescaled images of several echoes, (E, I, J, K)."""
    slices = [ordered(v, reading) for v in volumes]
    out = np.empty((len(slices), *slices[0].shape), dtype=np.float32)
    for echo, one in enumerate(slices):
        out[echo] = reading.pixels.rescaled(one)
    return out


def _phase(
    volumes: tuple[Volume, ...], reading: Reading, phase_scale: float | None
) -> PhaseRadians:
    """Return the phase of all echoes in radians, scaled alike."""
    slices = [ordered(v, reading) for v in volumes]
    frames = [f for s in slices for f in s.frames]
    rescales = {f.rescale for f in frames}
    rescale = rescales.pop() if len(rescales) == 1 else None
    images = [
        reading.pixels.stored(s) if rescale is not None else reading.pixels.rescaled(s)
        for s in slices
    ]
    return phase_to_radians(
        np.stack(images),
        manufacturer=frames[0].facts.manufacturer,
        rescale=rescale,
        image_type=("P",),
        scale=phase_scale,
        where=volumes[0].label,
    )


def _with_broken(error: FileError, broken: tuple[tuple[str, str], ...]) -> FileError:
    """Return `error` naming an unreadable file beside the scan, when slices are missing."""
    if "missing" not in error.what or not broken or isinstance(error, MetadataError):
        return error
    file, fault = broken[0]
    return FileError(
        f"{fault}, and {error.where} lacks slices: {error.what}", where=file, mend=EXPORT
    )


def _require_no_hole(plan: Plan, broken: tuple[tuple[str, str], ...], reading: Reading) -> None:
    """Raise when instance numbers skip beside unreadable files; else note those files."""
    if not broken:
        return
    file, fault = broken[0]
    series: dict[str, set[int]] = {}
    for frame in (f for v in plan.volumes for f in v.frames):
        if frame.instance is not None:
            series.setdefault(frame.series, set()).add(frame.instance)
    for numbers in series.values():
        holes = max(numbers) - min(numbers) + 1 - len(numbers)
        if 0 < holes <= len(broken) or (min(numbers) > 1 and min(numbers) - 1 <= len(broken)):
            raise FileError(
                f"{fault}, and an instance number of the series beside it is missing",
                where=file,
                mend=EXPORT,
            )
    reading.notes.append(
        f"{len(broken)} unreadable DICOM files beside the scan left aside, first {file}: if one "
        "is the first or last slice, it is missing"
    )


def _header(plan: Plan, first: Stack) -> Header:
    """Return the facts of the acquisition that the report shows."""
    facts = plan.volumes[0].facts
    tokens = [t for v in plan.volumes for t in v.first.tokens]
    return Header(
        manufacturer=facts.manufacturer,
        model=facts.model,
        software=facts.software,
        acquisition_type=facts.acquisition_type,
        slice_thickness_mm=first.frames[0].thickness_mm,
        slice_spacing_mm=round(first.spacing_mm, 4),
        tr_s=facts.tr_s,
        flip_deg=facts.flip_deg,
        pixel_bandwidth_hz=facts.bandwidth_hz,
        sequence_name=facts.sequence_name,
        image_type=tuple(dict.fromkeys(tokens)),
        weighted=any(f.aside == WEIGHTED for v in plan.volumes for f in v.frames),
    )
