"""NIfTI images of one scan to a `Scan`: who is magnitude, who is phase, and which echo.

BIDS, folders that dcm2niix wrote, and files named on the command line all end here: as a
tuple of `Image`, which is cheap to list and to send to another process.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from petechia.core.echoes import Echoes
from petechia.errors import InputError, MetadataError
from petechia.files.bids_names import parse_name
from petechia.files.echo_parts import (
    SAME_TE_S,
    Frame,
    Image,
    Read,
    parts_of,
    put_together,
    require_partners,
)
from petechia.files.nifti import Volume, look_at_nifti, read_any_nifti, require_same_grid
from petechia.files.not_numbers import without_outer_nan
from petechia.files.scan import Header, Scan, ScanName, ScanRef, Source
from petechia.files.sidecars import (
    DIFFERENCE,
    IMAGINARY,
    MAGNITUDE,
    PHASE,
    REAL,
    facts_of,
    is_processed_swi,
    merged,
    read_json,
    role_in,
)

WIDEST_MM = 600.0
"""A field of view of more, along any axis, is a mistake of the header [mm]."""


def scan_ref(
    name: ScanName,
    kind: str,
    images: Sequence[Image],
    *,
    phase_scale: float | None = None,
    notes: tuple[str, ...] = (),
) -> ScanRef:
    """Return the reference to a scan made of `images`."""
    chosen = tuple(images)
    load = partial(load_scan, chosen, name, kind, phase_scale=phase_scale, notes=notes)
    check = partial(check_scan, chosen, name, kind)
    plain = tuple(image for image in chosen if image.role == MAGNITUDE)
    return ScanRef(
        name=name,
        kind=kind,
        paths=tuple(i.path for i in chosen),
        load=load,
        check=check,
        load_magnitude=partial(load_scan, plain, name, kind) if plain else None,
        load_echo=partial(load_echo, plain, name, kind) if plain else None,
    )


def load_echo(images: tuple[Image, ...], name: ScanName, kind: str, te_s: float) -> Scan:
    """Read the magnitude image of one echo time alone, as `load_scan` does.

    Where the sidecars do not tell which of several images it is, all are read.
    """
    fitting = tuple(
        image
        for image in images
        if any(abs(te_s - told) < SAME_TE_S for told in _stated_te_s(image))
    )
    return load_scan(fitting if len(fitting) == 1 else images, name, kind)


def _stated_te_s(image: Image) -> tuple[float, ...]:
    if image.te_s:
        return image.te_s
    where = image.sidecars[-1] if image.sidecars else image.path
    return facts_of(merged(Path(path) for path in image.sidecars), where).te_s


def load_scan(
    images: tuple[Image, ...],
    name: ScanName,
    kind: str,
    *,
    phase_scale: float | None = None,
    notes: tuple[str, ...] = (),
) -> Scan:
    """Read the images of one scan and put its echoes together.

    Raises
    ------
    FileError
        A file is missing or corrupt, or lacks echo time or field.
    InputError
        Images do not fit together, an echo lacks its phase, the magnitude is empty.
    """
    facts = _facts(images, name, kind, read_any_nifti)
    reads, times, frames = facts.reads, facts.times, facts.frames
    header = _header(reads)
    magnitude, phase, phase_te_s, phase_note = put_together(frames, header, phase_scale)
    te_s = tuple(f.te_s for f in frames.get(MAGNITUDE) or frames[REAL])
    first = reads[0].volume
    return Scan(
        echoes=Echoes(
            magnitude=magnitude,
            te_s=te_s,
            b0_t=facts.b0_t,
            grid=first.grid,
            phase_rad=phase,
            phase_te_s=phase_te_s,
        ),
        name=name,
        header=header,
        kind=kind,
        sources=_sources(reads, times),
        phase_note=phase_note,
        notes=_notes(reads, notes),
        nifti_header=first.header,
    )


def check_scan(images: tuple[Image, ...], name: ScanName, kind: str) -> None:
    """Raise what `load_scan` would raise for sidecars and headers; no voxel is read."""
    require_partners(_facts(images, name, kind, look_at_nifti).frames)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Facts:
    """What sidecars and headers tell of the images of one scan."""

    reads: list[Read]
    times: list[tuple[float, ...]]
    frames: dict[str, list[Frame]]
    b0_t: float


def _facts(
    images: tuple[Image, ...], name: ScanName, kind: str, read: Callable[[Path], Volume]
) -> _Facts:
    """Return the images of a scan, found to fit each other; `read` opens the file of one."""
    if kind == "BIDS":
        _require_own_folder(images)
    _require_magnitude(images, name)
    reads = without_outer_nan(
        _same_grid([part for image in images for part in parts_of(_read(image, read))])
    )
    _require_magnitude(tuple(read.image for read in reads), name)
    times = [_echo_times(read, reads, kind) for read in reads]
    frames = _by_role(reads, times)
    b0_t = _field(reads, kind)
    first = reads[0].volume
    first.grid.require_square(str(first.path))
    _require_head_sized(first)
    return _Facts(reads=reads, times=times, frames=frames, b0_t=b0_t)


def _require_own_folder(images: tuple[Image, ...]) -> None:
    """Raise `InputError` for a BIDS file that lies in another person's or session's folder."""
    for image in images:
        named = parse_name(Path(image.path).name)
        for folder in Path(image.shown).parts[:-1]:
            key, _, label = folder.partition("-")
            told = named.entities.get(key) if named and key in ("sub", "ses") else None
            if told not in (None, label):
                raise InputError(
                    f"called {key}-{told} but lies in {folder}",
                    where=image.path,
                    mend="Whose is it? Rename the file, or move it.",
                )


def _require_head_sized(volume: Volume) -> None:
    """Raise `MetadataError` for a field of view that no scanner has."""
    extent_mm = np.array(volume.grid.shape) * volume.grid.spacing_mm
    if extent_mm.max() > WIDEST_MM:
        raise MetadataError(
            f"a field of view of {' x '.join(f'{d:.0f}' for d in extent_mm)} mm, with voxels of "
            f"{' x '.join(f'{d:.3g}' for d in volume.grid.spacing_mm)} mm",
            where=str(volume.path),
            mend="No gradient echo of a head is that large: the header must be in millimetres. "
            "Convert again.",
        )


def _require_magnitude(images: tuple[Image, ...], name: ScanName) -> None:
    roles = {image.role for image in images}
    if MAGNITUDE not in roles and not {REAL, IMAGINARY} <= roles:
        raise InputError(
            f"only {', '.join(sorted(roles)) or 'no'} images",
            where=name.prefix,
            mend="Add the magnitude, or both real and imaginary parts.",
        )


def _read(image: Image, read: Callable[[Path], Volume]) -> Read:
    sidecar = merged(Path(p) for p in image.sidecars)
    where = image.sidecars[-1] if image.sidecars else image.path
    own = read_json(Path(image.sidecars[-1])) if _has_own(image) else {}
    notes: tuple[str, ...] = ()
    stated = image.role if image.te_s else role_in(own, image.role)
    if stated != image.role:
        if not {stated, image.role} <= {PHASE, DIFFERENCE}:
            notes = (f"{image.shown} is {stated} by its sidecar, not {image.role} as named",)
        image = replace(image, role=stated)
    weighted = is_processed_swi(own) and image.role == MAGNITUDE
    if weighted:
        notes += (f"{image.shown} was weighted by the scanner (SWI): it is no plain magnitude",)
    volume = read(Path(image.path))
    return Read(
        image=image, volume=volume, facts=facts_of(sidecar, where), notes=notes, weighted=weighted
    )


def _has_own(image: Image) -> bool:
    # ImageType handed down from a folder above is true of no image in particular
    if not image.sidecars:
        return False
    own = Path(image.sidecars[-1])
    return Path(image.path).name.startswith(own.stem + ".")


def _same_grid(reads: list[Read]) -> list[Read]:
    # the magnitude comes first: its header is what results are written with
    ordered = sorted(reads, key=lambda read: read.image.role != MAGNITUDE)
    first = ordered[0]
    for read in ordered[1:]:
        require_same_grid(read.volume.grid, read.image.path, first.volume.grid, first.image.path)
    return ordered


def _by_role(reads: list[Read], times: list[tuple[float, ...]]) -> dict[str, list[Frame]]:
    """Return the frames of each role by increasing echo time."""
    roles: dict[str, list[Frame]] = {}
    for read, own in zip(reads, times, strict=True):
        for data, te_s in zip(read.volume.frames, own, strict=True):
            frame = Frame(data=data, te_s=te_s, read=read)
            roles.setdefault(read.image.role, []).append(frame)
    for frames in roles.values():
        frames.sort(key=lambda frame: frame.te_s)
        for one, other in pairwise(frames):
            if other.te_s - one.te_s < SAME_TE_S:
                raise InputError(
                    f"echo time {other.te_s:g} s occurs twice, also in {one.read.image.path}",
                    where=other.read.image.path,
                    mend="Correct EchoTime in the sidecars, or keep one of the two.",
                )
    return roles


def _or(kind: str, option: str) -> str:
    """Return the words that name an option, where the command line takes it."""
    return f", or give {option}" if kind == "NIfTI" else ""


def _echo_times(read: Read, reads: list[Read], kind: str) -> tuple[float, ...]:
    """Return one echo time for each volume of an image."""
    image, n = read.image, len(read.volume.frames)
    if image.role == DIFFERENCE and n == 1:
        return (_delta_te(read, reads),)
    times = image.te_s or read.facts.te_s or _te_of_sister(read, reads)
    if not times:
        raise MetadataError(
            "no echo time",
            where=image.path,
            mend=f'Put {{"EchoTime": 0.02}} (seconds) into the JSON beside it{_or(kind, "--te")}.',
        )
    if len(times) != n:
        raise InputError(
            f"{len(times)} echo times {times} for {n} volumes",
            where=image.path,
            mend="Give one echo time [s] for each volume, as a list in EchoTime"
            f"{' or in --te' if kind == 'NIfTI' else ''}.",
        )
    return times


def _te_of_sister(read: Read, reads: list[Read]) -> tuple[float, ...]:
    """Return the echo times that another part of the same echo states."""
    for other in reads:
        if other is not read and other.image.echo == read.image.echo:
            times = other.image.te_s or other.facts.te_s
            if times and other.image.role != DIFFERENCE:
                return times
    return ()


def _delta_te(read: Read, reads: list[Read]) -> float:
    if read.facts.delta_te_s is not None:
        return read.facts.delta_te_s
    times = sorted({t for r in reads if r.image.role == MAGNITUDE for t in r.facts.te_s})
    if len(times) == 2:
        return round(times[1] - times[0], 9)
    raise MetadataError(
        "a phase difference without EchoTime1 and EchoTime2",
        where=read.image.path,
        mend='Put {"EchoTime1": 0.0046, "EchoTime2": 0.0071} (seconds) into its JSON.',
    )


def _field(reads: list[Read], kind: str) -> float:
    told = {r.facts.b0_t if r.image.b0_t is None else r.image.b0_t for r in reads}
    stated = sorted(b0_t for b0_t in told if b0_t is not None)
    if not stated:
        raise MetadataError(
            "no MagneticFieldStrength (nor ImagingFrequency)",
            where=reads[0].image.path,
            mend='Put {"MagneticFieldStrength": 3} into its JSON or one above'
            f"{_or(kind, '--b0') or f' (--b0 is not taken for {kind})'}.",
        )
    if stated[-1] - stated[0] > 0.1:
        raise MetadataError(
            f"the sidecars state fields of {stated} T",
            where=reads[0].image.path,
            mend="One scan has one field: correct MagneticFieldStrength.",
        )
    return stated[0]


def _header(reads: list[Read]) -> Header:
    types = dict.fromkeys(word for read in reads for word in read.facts.image_type)
    weighted = any(read.weighted for read in reads)
    return replace(reads[0].facts.header, image_type=tuple(types), weighted=weighted)


def _sources(reads: list[Read], times: list[tuple[float, ...]]) -> tuple[Source, ...]:
    found = {
        read.image.shown: Source(
            path=read.image.shown,
            sha256=read.volume.sha256,
            role=MAGNITUDE if read.of_complex else read.image.role,  # as it is named
            te_s=own,
        )
        for read, own in zip(reads, times, strict=True)
    }
    return tuple(found[path] for path in sorted(found))


def _notes(reads: list[Read], notes: tuple[str, ...]) -> tuple[str, ...]:
    oriented = reads[0].volume.notes
    told = dict.fromkeys(note for read in reads for note in read.notes)
    return (*notes, *told, *oriented)
