"""FLAIR, T2w, T1w and CT of an exam: which series lie beside a gradient echo, by a stated rule.

Of several series of one kind the best is the first by this order:

1. without contrast agent (a T1w or CT after it is never taken by itself);
2. in the gradient echo's frame of reference;
3. by the longest edge of a voxel, 0.2 mm counting as equal: thin slices before thick ones;
4. by the volume of a voxel, a quarter counting as equal;
5. the latest: what is taken again is taken again for a reason.

It must be original, not derived, of the same study, have one orientation and cover
`LEAST_COVER_MM` of the head. A CT may be of another study of the same patient; there, soft
kernels come before sharp ones. Whether an image fits the gradient echo is judged later, on its
pixels (`anatomy.companion`, `anatomy.ct`).
"""

import io
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset

from petechia.core.grid import Grid
from petechia.errors import FileError, PetechiaError
from petechia.files.ct import ct_of
from petechia.files.dicom.archive import Box, sha256
from petechia.files.dicom.collect import Collected, collect
from petechia.files.dicom.contrasts import HEAD, NO_AGENT
from petechia.files.dicom.frames import Frame
from petechia.files.dicom.geometry import require_whole
from petechia.files.dicom.headers import quietly
from petechia.files.dicom.pixels import Pixels
from petechia.files.dicom.read import Reading, ordered
from petechia.files.dicom.sort import Volume, n_orientations, n_places, normal_of, volumes_of
from petechia.files.scan import Beside

Array = npt.NDArray[np.float32]
LEAST_COVER_MM = 90.0
LEAST_SLICES = 10
SPIN = (None, "spin echo", "inversion recovery")
"""Reasons that keep an image out of a gradient-echo scan but not from lying beside it."""
SHARP = re.compile(
    r"^(?:bone|lung|edge|detail|yc|yd|[del]$|fc(?:3\d|5\d|8\d)|[a-z]{1,2}[5-9]\d)", re.I
)
"""Kernels that show bone, as Siemens, GE, Philips and Canon name them."""
FIELDS = {"FLAIR": "flair", "T2w": "t2w", "T1w": "t1w", "CT": "ct"}
"""Kinds of images, and what `Beside` calls them."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Series:
    """One series of an exam that is an image of its own.

    Attributes
    ----------
    place : str
        Folder, file or zip.
    kind : str
        'FLAIR', 'T2w', 'T1w' or 'CT'.
    number : int
        Of the series.
    files : tuple of str
        Relative to `place`.
    volume : Volume or None
        Of an MR image.
    edges_mm : tuple of float
        Of a voxel.
    agent : bool
        Whether it was taken after a contrast agent.
    """

    place: str
    kind: str
    number: int
    files: tuple[str, ...]
    volume: Volume | None
    edges_mm: tuple[float, float, float]
    agent: bool

    @property
    def name(self) -> str:
        """What it is called where results are shown; nothing of free text goes into it."""
        edges = " x ".join(f"{edge:.2g}" for edge in self.edges_mm)
        after = ", after contrast agent" if self.agent else ""
        return f"series {self.number} ({self.kind}, {edges} mm{after})"

    def read(self) -> tuple[Array, Grid]:
        """Return the image and its grid.

        Raises
        ------
        FileError, MetadataError
            If slices are missing or cannot be read.
        """
        with Box(Path(self.place)).opened() as opened:
            if self.volume is None:
                with quietly():
                    images = ((f, pydicom.dcmread(io.BytesIO(opened.read(f)))) for f in self.files)
                    return ct_of(images, Path(self.place))
            require_whole(self.volume)
            reading = Reading(Pixels(opened))
            stack = ordered(self.volume, reading)
            image = np.maximum(reading.pixels.rescaled(stack), 0)
        return np.asarray(image, dtype=np.float32), Grid(stack.shape, stack.affine)

    def sha256(self) -> str:
        """Return the hashes of its files as one text."""
        with Box(Path(self.place)).opened() as opened:
            return " ".join(sha256(opened.read(file)) for file in sorted(self.files))


def beside_scan(found: Collected, place: Path, scan: Frame) -> Beside:
    """Return what of an exam lies beside one of its gradient echoes, and why it was chosen.

    Parameters
    ----------
    found : Collected
        The headers of the exam.
    place : Path
        Where it lies.
    scan : Frame
        Any image of the gradient echo.
    """
    taken: dict[str, Any] = {}
    left: list[str] = []
    candidates = defaultdict(list)
    for series in _anatomical(found.frames, place):
        assert series.volume is not None
        why = _unfit(series, scan)
        if why:
            left.append(f"{series.name} was not taken: {why}.")
        else:
            candidates[series.kind].append(series)
    for series in _tomograms(found, place, left):
        candidates["CT"].append(series)
    chosen = []
    for kind, field in FIELDS.items():
        if not candidates[kind]:
            continue
        best, *others = sorted(candidates[kind], key=lambda s: _rank(s, scan))
        taken[field] = best
        chosen.append((kind, f"{best.name}: {_why(best, others, scan)}"))
        left += [f"{other.name} was not taken: {best.name} comes first." for other in others]
    return Beside(**taken, chosen=tuple(chosen), left=tuple(left))


def _anatomical(frames: Iterable[Frame], place: Path) -> Iterator[Series]:
    """Yield the FLAIR, T2w and T1w volumes of an exam, by series."""
    usable = [f for f in frames if f.contrast and f.aside in SPIN and f.part == "mag"]
    by_series = defaultdict(list)
    for volume in volumes_of(usable):
        by_series[volume.first.series].append(volume)
    for volumes in by_series.values():
        if len({v.te_ms for v in volumes}) > 1:  # a map's echoes, not one image
            continue
        yield series_of(volumes[-1], str(volumes[-1].first.contrast), place)


def series_of(volume: Volume, kind: str, place: Path) -> Series:
    """Return a volume as an image of its own."""
    first = volume.first
    rows, columns = first.pixel_mm or (0.0, 0.0)
    _, step_mm = _extent(volume)
    return Series(
        place=str(place),
        kind=kind,
        number=first.series_number,
        files=tuple(sorted({f.file for f in volume.frames})),
        volume=volume,
        edges_mm=(columns, rows, step_mm or first.thickness_mm or 0.0),
        agent=first.agent,
    )


def _extent(volume: Volume) -> tuple[float, float]:
    """Return how far the slices reach, and how far apart they lie [mm]."""
    places = [f.position for f in volume.frames if f.position is not None]
    if len(places) < len(volume.frames) or volume.first.orientation is None:
        return 0.0, 0.0
    along = np.unique(np.round(np.asarray(places) @ normal_of(volume.first), 2))
    step = float(np.median(np.diff(along))) if len(along) > 1 else 0.0
    return float(along[-1] - along[0]) + step, step


def _unfit(series: Series, scan: Frame) -> str:
    """Return why a series cannot lie beside a scan; empty when it can."""
    volume = series.volume
    assert volume is not None
    if volume.first.study != scan.study:
        return "it is of another study"
    if volume.first.person != scan.person:
        return "it is of another person by name or birth date"
    if series.kind == "T1w" and series.agent:
        return "a T1w after contrast agent is no plain one"
    if any(f.fault for f in volume.frames):
        return "its files are damaged"
    if n_orientations(volume) > 1:
        return "its slices have several orientations"
    cover_mm, _ = _extent(volume)
    if n_places(volume) < LEAST_SLICES or cover_mm < LEAST_COVER_MM:
        return f"it covers {cover_mm:.0f} mm of the head"
    return ""


def _rank(series: Series, scan: Frame) -> tuple[Any, ...]:
    """Return what sorts the best series first."""
    frame = series.volume.first if series.volume is not None else None
    elsewhere = frame is not None and frame.frame_of_reference != scan.frame_of_reference
    edge = max(series.edges_mm)
    volume = max(float(np.prod(series.edges_mm)), 1e-3)
    late = series.volume.acquired_s if series.volume is not None else None
    return (
        series.agent,
        elsewhere,
        round(edge / 0.2),
        round(np.log(volume) / np.log(1.25)),
        -(late or 0.0),
        -series.number,
    )


def _why(best: Series, others: Sequence[Series], scan: Frame) -> str:
    """Return why a series was taken, in words."""
    if not others:
        return "the only one"
    words = (
        "without contrast agent", "in the frame of reference of the gradient echo",
        "with the shortest longest edge of a voxel", "with the smallest voxels", "latest", "latest",
    )  # fmt: skip
    second = min((_rank(other, scan) for other in others), default=())
    at = next(
        (n for n, (a, b) in enumerate(zip(_rank(best, scan), second, strict=True)) if a != b), 4
    )
    one = "" if at >= 4 else "one "
    return f"of {len(others) + 1} the {one}{words[at]}"


def _tomograms(found: Collected, place: Path, left: list[str]) -> Iterator[Series]:
    """Yield the CT series of the head of the same person, soft kernels only if there are any."""
    groups: dict[tuple[Any, ...], list[tuple[str, str, Dataset]]] = defaultdict(list)
    for file, person, head in found.ct:
        words = {str(word).upper() for word in head.get("ImageType") or ()}
        if "LOCALIZER" in words or "ImageOrientationPatient" not in head:
            continue
        turn = tuple(np.round(np.asarray(head.ImageOrientationPatient, dtype=float), 3))
        groups[(str(head.get("SeriesInstanceUID")), turn)].append((file, person, head))
    soft: list[Series] = []
    sharp: list[Series] = []
    for group in groups.values():
        series, why = _tomogram(group, found.person, place)
        if not why and found.n_people > 1:
            why = "its patient's number is that of several persons"
        if why:
            left.append(f"{series.name} was not taken: {why}.")
            continue
        kernel = group[0][2].get("ConvolutionKernel") or ""
        kernel = kernel if isinstance(kernel, str) else str(kernel[0])
        (sharp if SHARP.match(kernel.strip()) else soft).append(series)
    if soft:
        left += [f"{s.name} was not taken: its kernel is for bone." for s in sharp]
    yield from soft or sharp


def _tomogram(
    group: list[tuple[str, str, Dataset]], person: str, place: Path
) -> tuple[Series, str]:
    """Return a CT series, and why it cannot be used; empty when it can."""
    head = group[0][2]
    words = {str(word).upper() for word in head.get("ImageType") or ()}
    places = [one.get("ImagePositionPatient") for _, _, one in group]
    turn = np.asarray(head.ImageOrientationPatient, dtype=float)
    normal = np.cross(turn[:3], turn[3:])
    known = np.asarray([p for p in places if p is not None], dtype=float).reshape(-1, 3)
    along = np.unique(np.round(known @ normal, 2))
    step = float(np.median(np.diff(along))) if len(along) > 1 else 0.0
    rows, columns = (float(v) for v in head.get("PixelSpacing") or (0.0, 0.0))
    agent = str(head.get("ContrastBolusAgent") or "").strip().upper() not in NO_AGENT
    series = Series(
        place=str(place), kind="CT", number=int(head.get("SeriesNumber") or 0),
        files=tuple(sorted(file for file, _, _ in group)), volume=None,
        edges_mm=(columns, rows, step), agent=agent,
    )  # fmt: skip
    body = str(head.get("BodyPartExamined") or "")
    cover = float(along[-1] - along[0]) + step if len(along) else 0.0
    reasons = (
        (bool(person) and any(who and who != person for _, who, _ in group),
         "it has another patient's number"),
        ("DERIVED" in words and "AXIAL" not in words, "it is derived"),
        (agent, "after contrast agent vessels are as dense as calcium"),
        (bool(body) and not HEAD.search(body) and "SKULL" not in body.upper(),
         "it is not of the head"),
        (len(along) < LEAST_SLICES or cover < LEAST_COVER_MM,
         f"it covers {cover:.0f} mm of the head"),
    )  # fmt: skip
    return series, next((why for wrong, why in reasons if wrong), "")


def series_at(place: Path, kind: str, number: int | None = None) -> Series:
    """Return the series of a folder, file or zip that a person has asked for.

    Parameters
    ----------
    place : Path
        DICOM.
    kind : str
        'FLAIR', 'T2w', 'T1w' or 'CT'.
    number : int, optional
        Of the series, which is then taken whatever its header says; without it the best of its
        kind, or the only one.

    Raises
    ------
    FileError
        If there is none, or several that are not told apart.
    """
    if kind == "CT":
        found = _collected(place)
        made = [*_tomograms(found, place, [])]
        made += [] if number is None else _numbered_ct(found, place, number)
    else:
        found = collect(Box(place))
        frames = [f for f in found.frames if number is None or f.series_number == number]
        made = (
            [] if number is not None else [s for s in _anatomical(frames, place) if s.kind == kind]
        )
        if not made:
            whole = [v for v in volumes_of(f for f in frames if f.part == "mag")
                     if n_places(v) >= LEAST_SLICES]  # fmt: skip
            made = [series_of(v, kind, place) for v in whole]
            made = made if len({s.number for s in made}) == 1 else []
    made = [s for s in made if number is None or s.number == number]
    if not made:
        which = f"no series {number} with slices" if number is not None else f"no {kind} series"
        raise FileError(
            f"{which} in it",
            where=str(place),
            mend=f"Give a NIfTI file, a DICOM folder with one {kind}, or the number of a series.",
        )
    return min(made, key=lambda s: (s.agent, max(s.edges_mm), s.number))


def _collected(place: Path) -> Collected:
    """Return the headers of a place, which may hold no MR image."""
    found = Collected()
    try:
        return collect(Box(place), found)
    except PetechiaError:
        if not found.ct:
            raise
        return found


def _numbered_ct(found: Collected, place: Path, number: int) -> list[Series]:
    group = [one for one in found.ct if int(one[2].get("SeriesNumber") or 0) == number]
    group = [one for one in group if "ImageOrientationPatient" in one[2]]
    return [_tomogram(group, "", place)[0]] if group else []
