"""From one grid to another, through millimetres."""

from typing import Any, cast

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.core.grid import Grid

Volume = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]
Points = npt.NDArray[np.float64]


def brought(matrix: Matrix, places_mm: Points) -> Points:
    """Return where a map brings places (N, 3) [mm]."""
    return np.asarray(places_mm @ matrix[:3, :3].T + matrix[:3, 3])


def through(
    volume: npt.NDArray[np.generic],
    source: Grid,
    matrix: Matrix,
    target: Grid,
    *,
    order: int = 1,
    outside: float = 0.0,
    mode: str = "constant",
) -> npt.NDArray[Any]:
    """Return `volume` at the voxels of `target`, by a map between their worlds.

    Parameters
    ----------
    volume : (I, J, K) ndarray
        On `source`; the result is of its type.
    matrix : (4, 4) ndarray of float
        RAS of `target` to RAS of `source` [mm].
    order : int
        0 for labels and masks (nearest), 1 for intensities (linear).
    outside : float
        Value beyond the volume.
    mode : str
        How scipy ends a volume: 'constant' at the centres of its outermost voxels.
    """
    to = np.linalg.inv(source.affine) @ matrix @ target.affine
    out = ndimage.affine_transform(
        volume, to[:3, :3], to[:3, 3], target.shape, order=order, mode=mode, cval=outside
    )
    return cast("npt.NDArray[Any]", out)


def coarse_grid(grid: Grid, spacing_mm: float) -> Grid:
    """Return a grid of about cubic voxels over the same field of view.

    Axes keep their directions; an axis whose voxels are already thicker keeps them.
    """
    step = np.maximum(spacing_mm / grid.spacing_mm, 1.0)
    shape = np.maximum(np.floor(np.array(grid.shape) / step), 1).astype(int)
    step = np.array(grid.shape) / shape
    affine = grid.affine.copy()
    affine[:3, :3] = grid.affine[:3, :3] * step
    affine[:3, 3] = grid.to_mm((step - 1) / 2)  # the same outer faces
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine)


def to_grid(
    volume: npt.NDArray[np.generic], source: Grid, target: Grid, *, order: int = 1
) -> npt.NDArray[np.generic]:
    """Return `volume` sampled at the voxel centres of `target`; the edge is repeated.

    A target at least twice as coarse sees averages over its voxels, so nothing aliases.

    Parameters
    ----------
    volume : (I, J, K) ndarray
        On `source`.
    order : int
        0 for labels and masks (nearest), 1 for intensities (linear).
    """
    source.require(volume, "volume")
    matrix = np.linalg.inv(source.affine) @ target.affine
    values = np.asarray(volume)
    if order > 0:
        values = values.astype(np.float32)
        ratio = target.spacing_mm / source.spacing_mm
        for axis, width in enumerate(np.rint(ratio).astype(int)):
            if width >= 2:
                values = ndimage.uniform_filter1d(values, int(width), axis=axis, mode="nearest")
                if width % 2 == 0:  # an even window is centred half a voxel early
                    matrix[axis] += (0.5 * (np.arange(4) == 3)).astype(float)
    off = matrix[:3, :3] - np.diag(np.diag(matrix[:3, :3]))
    linear = np.diag(matrix[:3, :3]) if np.abs(off).max() < 1e-9 else matrix[:3, :3]
    out = ndimage.affine_transform(
        values, linear, matrix[:3, 3], target.shape, order=order, mode="nearest"
    )
    return cast("npt.NDArray[np.generic]", out)
