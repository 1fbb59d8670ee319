"""The space within the skull, on a CT."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.core.checks import require_finite
from petechia.core.grid import Grid
from petechia.core.morphology import (
    Mask,
    close_mm,
    dilate_mm,
    erode_mm,
    fill_holes,
    large_components,
)
from petechia.errors import InputError

Volume = npt.NDArray[np.float32]

WORK_MM = 2.0
BONE_HU = 200.0
"""Denser than this is bone, also where a slice holds only part of it."""
TISSUE_HU = (-30.0, 110.0)
"""Brain, fluid and fresh blood; what is denser inside is filled."""
NECK_MM = 9.0
"""Erosion that cuts brain from neck: the canal of the spine is narrower than twice this."""
BRAIN_MM3 = (3.0e5, 2.2e6)
"""Spaces within a skull, also cut by the field of view."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Skull:
    """What of a CT tells where the brain lies.

    Attributes
    ----------
    hu : (I, J, K) ndarray of float32
        The CT on cubic voxels along scanner axes, sheared slices straightened.
    space : (I, J, K) ndarray of bool
        Within the skull.
    seen : (I, J, K) ndarray of bool
        Voxels that the CT covers.
    grid : Grid
        Of all of them.
    """

    hu: Volume
    space: Mask
    seen: Mask
    grid: Grid


def require_hounsfield(ct_hu: npt.NDArray[np.floating]) -> None:
    """Raise `InputError` unless values can be Hounsfield units of a head in air."""
    require_finite(ct_hu, "CT")
    low, high = float(ct_hu.min()), float(np.percentile(ct_hu, 99.9))
    if low > -800.0 or low < -10_000.0 or high < 400.0:
        raise InputError(
            f"values from {low:.0f} to {high:.0f} are not Hounsfield units of a head: air is "
            "-1000, bone above 400",
            where="CT",
            mend="Convert it from DICOM with its rescale slope and intercept, neither windowed "
            "nor without the skull.",
        )


def skull_of(ct_hu: npt.NDArray[np.floating], grid: Grid) -> Skull:
    """Return the CT on cubic voxels and the space within its skull.

    Tissue is what lies between `TISSUE_HU`; erosion cuts it from what is outside the skull and
    from the neck, of the pieces left the deepest is the brain, and it is grown back.
    Bed and headrest are thin or empty, and so no part of it.

    Raises
    ------
    InputError
        If the values are not Hounsfield units, or nothing is as large as a brain.
    """
    grid.require(ct_hu, "CT")
    require_hounsfield(ct_hu)
    cubic = cubic_grid(grid, WORK_MM)
    hu = np.asarray(resliced(ct_hu, grid, cubic, outside=np.nan), dtype=np.float32)
    seen = np.isfinite(hu)
    hu = np.where(seen, hu, np.float32(-1000))
    smooth = ndimage.median_filter(hu, 3)
    tissue = (smooth > TISSUE_HU[0]) & (smooth < TISSUE_HU[1]) & (hu < BONE_HU) & seen
    # the faces of the view are no edges: a cut brain goes on beyond them
    core = erode_mm(tissue | ~seen, cubic, NECK_MM) & seen
    parts = large_components(core, 0.05)
    labels, n = ndimage.label(parts)
    if n:
        depth = ndimage.distance_transform_edt(tissue) * WORK_MM
        deepest = 1 + int(np.argmax(ndimage.maximum(depth, labels, np.arange(1, n + 1))))
        core = labels == deepest
    grown = dilate_mm(core, cubic, NECK_MM + 3.0) & tissue
    space = fill_holes(close_mm(grown, cubic, 4.0)) & seen if core.any() else core
    volume = float(space.sum()) * cubic.voxel_mm3
    if not BRAIN_MM3[0] <= volume <= BRAIN_MM3[1]:
        raise InputError(
            f"{volume / 1000:.0f} ml of brain-like density within bone",
            where="CT",
            mend="Give a CT of the head with its skull, in Hounsfield units.",
        )
    return Skull(hu=hu, space=space, seen=seen, grid=cubic)


def cubic_grid(grid: Grid, side_mm: float) -> Grid:
    """Return cubic voxels along scanner axes that cover a grid, sheared ones too."""
    ends = [(-0.5, n - 0.5) for n in grid.shape]
    corners = grid.to_mm(np.stack(np.meshgrid(*ends, indexing="ij"), -1).reshape(-1, 3))
    low, high = corners.min(axis=0), corners.max(axis=0)
    i, j, k = np.maximum(np.ceil((high - low) / side_mm), 1).astype(int).tolist()
    affine = np.diag([side_mm, side_mm, side_mm, 1.0])
    affine[:3, 3] = low + side_mm / 2
    return Grid((i, j, k), affine)


def resliced(
    volume: npt.NDArray[np.floating], grid: Grid, target: Grid, outside: float
) -> npt.NDArray[np.floating]:
    """Return a volume on another grid: means where the target is coarser, else linear.

    Outermost half voxels of `volume` take its edge; beyond is `outside`.
    """
    values = np.asarray(volume, dtype=np.float32)
    matrix = np.linalg.inv(grid.affine) @ target.affine
    for axis, ratio in enumerate(float(target.spacing_mm.min()) / grid.spacing_mm):
        if ratio > 1.2:
            values = ndimage.gaussian_filter1d(values, 0.4 * ratio, axis=axis, mode="nearest")
    out = ndimage.affine_transform(
        values, matrix[:3, :3], matrix[:3, 3], target.shape, order=1, mode="nearest"
    )
    steps = np.meshgrid(*(np.arange(n) for n in target.shape), indexing="ij", sparse=True)
    inside = np.ones(target.shape, dtype=bool)
    for row, n in zip(matrix[:3], grid.shape, strict=True):
        at = row[0] * steps[0] + row[1] * steps[1] + row[2] * steps[2] + row[3]
        inside &= (at >= -0.5) & (at <= n - 0.5)
    return np.where(inside, out, np.float32(outside))
