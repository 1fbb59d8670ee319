"""Slices in order, and the affine that places their voxels in scanner RAS.

With row cosines X, column cosines Y (LPS), pixel spacing (between rows, between columns) and the
positions P of the first and last of K slices along the normal::

    voxel (i, j, k) -> P_first + i * dx * X + j * dy * Y + k * (P_last - P_first) / (K - 1)

where i runs along a row of pixels and j down a column; LPS becomes RAS by negating x and y.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.errors import FileError, MetadataError
from petechia.files.dicom.frames import Frame
from petechia.files.dicom.sort import Volume, n_orientations, normal_of

EXPORT = "Export the whole series again from the scanner or archive."
PLACED_BY = {
    "ImagePositionPatient": "position",
    "ImageOrientationPatient": "orientation",
    "PixelSpacing": "pixel_mm",
}
"""What a slice needs to have a place, and what `Frame` calls it."""
SPACING_TOLERANCE = 0.05
"""How far a step between slices may be from the usual one (part of it)."""


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """A volume whose slices are in order.

    Attributes
    ----------
    frames : tuple of Frame
        Along the normal, right-handed with the image axes.
    affine : (4, 4) ndarray of float
        Voxel (column, row, slice) to RAS [mm].
    spacing_mm : float
        Between slice centres [mm].
    """

    frames: tuple[Frame, ...]
    affine: npt.NDArray[np.float64]
    spacing_mm: float

    @property
    def shape(self) -> tuple[int, int, int]:
        """Columns, rows, slices."""
        rows, columns = self.frames[0].size
        return columns, rows, len(self.frames)


def stack(volume: Volume) -> Stack:
    """Return the slices of `volume` in order, with their affine.

    Raises
    ------
    FileError
        Several orientations, slices missing, repeated or unevenly spaced.
    MetadataError
        A slice does not say where it is.
    """
    _require_placed(volume)
    _require_one_orientation(volume)
    normal = normal_of(volume.first)
    positions = np.array([f.position for f in volume.frames], dtype=np.float64)
    along = positions @ normal
    order = np.argsort(along, kind="stable")
    frames = tuple(volume.frames[n] for n in order)
    along, positions = along[order], positions[order]
    _require_even(volume, frames, along)
    _require_along_normal(volume, positions, normal)
    first = frames[0]
    if len(frames) > 1:
        step = (positions[-1] - positions[0]) / (len(frames) - 1)
    else:
        step = normal * (first.spacing_between_mm or first.thickness_mm or 1.0)
    _require_stated_spacing(volume, float(np.linalg.norm(step)), len(frames))
    assert first.orientation is not None
    assert first.pixel_mm is not None
    between_rows, between_columns = first.pixel_mm
    lps = np.eye(4)
    lps[:3, 0] = np.asarray(first.orientation[:3]) * between_columns
    lps[:3, 1] = np.asarray(first.orientation[3:]) * between_rows
    lps[:3, 2] = step
    lps[:3, 3] = positions[0]
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps
    return Stack(frames, affine, float(np.linalg.norm(step)))


def require_same_place(reference: Stack, other: Stack, names: tuple[str, str]) -> None:
    """Raise `FileError` unless two volumes of one scan have the same slices."""
    if reference.shape != other.shape:
        raise FileError(
            f"{len(other.frames)} slices, but {names[0]} has {len(reference.frames)}: "
            f"{abs(len(other.frames) - len(reference.frames))} missing",
            where=names[1],
            mend=EXPORT,
        )
    corners = np.array([[0, 0, 0, 1], [*[n - 1 for n in reference.shape], 1]], dtype=float)
    apart = np.abs((reference.affine - other.affine) @ corners.T).max()
    if apart > 0.1:
        raise FileError(
            f"lies up to {apart:.2f} mm from {names[0]}",
            where=names[1],
            mend="Give only images of one acquisition, all with or all without distortion "
            "correction.",
        )


def require_whole(volume: Volume) -> None:
    """Raise `FileError` that names the first damaged file of `volume`."""
    for frame in volume.frames:
        if frame.fault:
            raise FileError(
                f"the file {frame.fault}; it belongs to {volume.label}",
                where=frame.file,
                mend="Copy or export it again.",
            )


def what_places(volume: Volume) -> str | None:
    """Return the keyword that a slice of `volume` needs for its place and lacks, or None."""
    lacking = (k for f in volume.frames for k, field in PLACED_BY.items() if not getattr(f, field))
    return next(lacking, None)


def _require_placed(volume: Volume) -> None:
    for frame in volume.frames:
        for keyword, field in PLACED_BY.items():
            if getattr(frame, field) is None:
                raise MetadataError(
                    f"{keyword} is missing or holds no finite numbers",
                    where=frame.file,
                    mend="Export the original images: without it the slice has no place.",
                )
        assert frame.pixel_mm is not None
        if min(frame.pixel_mm) <= 0:
            raise MetadataError(f"PixelSpacing is {frame.pixel_mm}", where=frame.file, mend=EXPORT)
        assert frame.orientation is not None
        across, down = np.asarray(frame.orientation[:3]), np.asarray(frame.orientation[3:])
        gram = np.array([across @ across - 1, down @ down - 1, across @ down])
        if np.abs(gram).max() > 2e-2:
            raise MetadataError(
                f"ImageOrientationPatient {frame.orientation} is not two perpendicular directions",
                where=frame.file,
                mend=EXPORT,
            )


def _require_one_orientation(volume: Volume) -> None:
    count = n_orientations(volume)
    if count > 1:
        raise FileError(
            f"slices of {count} orientations",
            where=volume.label,
            mend="Give one stack of parallel slices; localizers do not make a scan.",
        )
    pixels = {tuple(round(p, 4) for p in f.pixel_mm or ()) for f in volume.frames}
    if len(pixels) > 1:
        raise FileError(
            f"pixel spacings {sorted(pixels)} within one volume",
            where=volume.label,
            mend=EXPORT,
        )


def _require_even(
    volume: Volume, frames: tuple[Frame, ...], along: npt.NDArray[np.float64]
) -> None:
    """Raise unless sorted places `along` the normal are evenly spaced."""
    steps = np.diff(along)
    if not steps.size:
        return
    usual = float(np.median(steps))
    tolerance = max(SPACING_TOLERANCE * usual, 0.02)
    repeated = np.flatnonzero(steps < tolerance)
    if repeated.size:
        n = int(repeated[0])
        raise FileError(
            f"{repeated.size} slices repeat a place with other content, the first at "
            f"{along[n]:.2f} mm: {frames[n].file} and {frames[n + 1].file}",
            where=volume.label,
            mend="Give one repetition at a time, with the receive coils combined.",
        )
    uneven = np.flatnonzero(np.abs(steps - usual) > tolerance)
    if not uneven.size:
        return
    n = int(uneven[0])
    ratios = steps[uneven] / usual
    if np.all(np.abs(ratios - np.round(ratios)) < 0.1) and np.all(ratios > 1.5):
        lost = int(np.sum(np.round(ratios) - 1))
        raise FileError(
            f"{lost} of {len(frames) + lost} slices missing, the first between "
            f"{along[n]:.2f} and {along[n + 1]:.2f} mm ({frames[n].file} and "
            f"{frames[n + 1].file})",
            where=volume.label,
            mend=EXPORT,
        )
    raise FileError(
        f"slice spacing runs from {steps.min():.3f} to {steps.max():.3f} mm, first uneven after "
        f"{frames[n].file}",
        where=volume.label,
        mend="Give one stack of evenly spaced slices; export the series again.",
    )


def _require_along_normal(
    volume: Volume, positions: npt.NDArray[np.float64], normal: npt.NDArray[np.float64]
) -> None:
    drift = positions - positions[0]
    drift -= np.outer(drift @ normal, normal)
    apart = float(np.linalg.norm(drift, axis=1).max())
    if apart > 0.1 + 1e-3 * float(np.ptp(positions @ normal)):
        raise FileError(
            f"slices are shifted in their plane by up to {apart:.2f} mm",
            where=volume.label,
            mend="Give one straight stack of slices.",
        )


def _require_stated_spacing(volume: Volume, spacing_mm: float, n_slices: int) -> None:
    """Raise when every second (third, ...) slice is missing: the header knows the spacing."""
    stated, thick = volume.first.spacing_between_mm, volume.first.thickness_mm
    # smaller values than the thickness may be the gap alone, or overlapping slices
    if n_slices < 2 or not stated or not thick or stated < 0.99 * thick:
        return
    ratio = spacing_mm / stated
    if ratio > 1.5 and abs(ratio - round(ratio)) < 0.05:
        raise FileError(
            f"slices lie {spacing_mm:.2f} mm apart where SpacingBetweenSlices is "
            f"{stated:.2f} mm: only every {round(ratio)}. slice is there",
            where=volume.label,
            mend=EXPORT,
        )
