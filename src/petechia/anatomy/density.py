"""How dense a CT is where the gradient echo shows a void."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import cKDTree

from petechia.anatomy.resample import brought
from petechia.core.grid import Grid
from petechia.core.morphology import CONNECT_26, Mask

Volume = npt.NDArray[np.float32]
Points = npt.NDArray[np.float64]

CALCIFIED_HU = 100.0
"""From here on a focus counts as calcified on a CT of one energy; below, old blood and calcium
cannot be told apart (10.1055/a-1556-4801)."""
BONE_MM3 = 3000.0
"""A dense piece as large as this is the skull."""
DILATED_MM = 1.0
"""A void is read with so much around it, and the uncertainty of the registration."""
HIGH = 95.0
"""Percentile that is read: of a void only a part may be calcified."""
LEAST_READ = 0.5
"""Least part of a void's surroundings that must be on the CT and free of bone."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Density:
    """What a CT says of one place.

    Attributes
    ----------
    hu : float or None
        95th percentile of the density there [HU]; None where it cannot be read.
    says : str
        Why it cannot.
    """

    hu: float | None
    says: str = ""

    @property
    def calcified(self) -> bool | None:
        """Whether it is at least `CALCIFIED_HU`; None where it was not read."""
        return None if self.hu is None else self.hu >= CALCIFIED_HU


def skull_voxels(ct_hu: npt.NDArray[np.floating], grid: Grid) -> Mask:
    """Return bone and what touches it: dense pieces of `BONE_MM3` or more, and a voxel around.

    A calcification that reaches the bone goes with it, and can then not be read.
    """
    labels, _ = ndimage.label(ct_hu >= CALCIFIED_HU, structure=CONNECT_26)
    sizes = np.bincount(labels.ravel()) * grid.voxel_mm3
    sizes[0] = 0
    large = (sizes >= BONE_MM3)[labels]
    return np.asarray(ndimage.binary_dilation(large, CONNECT_26))


def density_at(
    places_mm: Points,
    matrix: npt.NDArray[np.float64],
    ct_hu: npt.NDArray[np.floating],
    skull: Mask,
    grid: Grid,
    reach_mm: float,
) -> Density:
    """Return how dense a CT is within reach of some places.

    Parameters
    ----------
    places_mm : (N, 3) ndarray of float
        Centres of a void's voxels, scan RAS [mm].
    matrix : (4, 4) ndarray of float
        Scan RAS to CT RAS.
    ct_hu : (I, J, K) ndarray of float
        CT [HU].
    skull : (I, J, K) ndarray of bool
        Of `skull_voxels`.
    grid : Grid
        Of the CT.
    reach_mm : float
        So far from a place a voxel is read [mm].
    """
    index = grid.to_index(brought(matrix, places_mm))
    # a place belongs to a voxel however thick the slice is
    pad = np.maximum(np.ceil(reach_mm / grid.spacing_mm), 1)
    low = np.floor(index.min(axis=0) - pad).astype(int)
    high = np.ceil(index.max(axis=0) + pad).astype(int) + 1
    start, stop = np.maximum(low, 0), np.minimum(high, grid.shape)
    if (start >= stop).any():
        return Density(hu=None, says="not on the CT")
    near = _within(grid, low, high, brought(matrix, places_mm), reach_mm)
    asked = int(near.sum())
    inner = tuple(slice(int(a - c), int(b - c)) for a, b, c in zip(start, stop, low, strict=True))
    own = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    read = near[inner] & ~skull[own]
    if near[inner].sum() < LEAST_READ * asked:
        return Density(hu=None, says="not on the CT")
    if read.sum() < max(LEAST_READ * asked, 1):
        return Density(hu=None, says="beside bone")
    return Density(hu=float(np.percentile(ct_hu[own][read], HIGH)))


def _within(
    grid: Grid,
    low: npt.NDArray[np.int_],
    high: npt.NDArray[np.int_],
    places: Points,
    reach_mm: float,
) -> Mask:
    """Return which voxels of a box lie within reach of places, or hold one [mm]."""
    shape = tuple((high - low).tolist())
    centres = grid.to_mm(np.moveaxis(np.indices(shape), 0, -1).reshape(-1, 3) + low)
    away, _ = cKDTree(places).query(centres, distance_upper_bound=reach_mm)
    near = np.isfinite(away).reshape(shape)
    held = np.rint(grid.to_index(places)).astype(int) - low
    near[tuple(held.T)] = True
    return np.asarray(near)
