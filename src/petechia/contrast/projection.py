"""Sliding projections by true thickness."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.core.checks import require_between, require_finite
from petechia.core.grid import Grid
from petechia.errors import ParameterError


def minimum_projection(
    volume: npt.NDArray[np.floating],
    grid: Grid,
    slab_mm: float,
    axis: int | None = None,
) -> npt.NDArray[np.float32]:
    """Return the minimum over a slab around every voxel, on the same grid.

    Parameters
    ----------
    volume : (I, J, K) ndarray of float
        Usually an SWI; set what lies outside the head or brain to a large value first
        if it should not win.
    grid : Grid
        Geometry.
    slab_mm : float
        Thickness of the slab, rounded to whole slices, at least one [mm].
    axis : int, optional
        Array axis to look along; the slice axis by default.

    Returns
    -------
    projection : (I, J, K) ndarray of float32
        Never above `volume`. An even number of slices reaches one farther down the axis.
        At the ends of the volume the slab is what there is of it.

    Raises
    ------
    GridMismatchError
        If `volume` is not on `grid`.
    ParameterError
        If the slab has no thickness or the axis does not exist.
    InputError
        If `volume` is not finite.
    """
    grid.require(volume, "volume")
    require_finite(volume, "volume")
    require_between(slab_mm, 1e-3, 1e4, "slab_mm", "Give millimetres: 8 to 10 is usual.")
    along = grid.slice_axis if axis is None else axis
    if along not in (0, 1, 2):
        raise ParameterError(
            f"{axis} is not an array axis",
            where="axis",
            mend="Give 0, 1 or 2, or None for the slice axis.",
        )
    slices = max(1, round(float(slab_mm / grid.spacing_mm[along])))
    values = np.asarray(volume, dtype=np.float32)
    out = ndimage.minimum_filter1d(values, slices, axis=along, mode="nearest")
    return np.asarray(out, dtype=np.float32)
