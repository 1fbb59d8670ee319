"""Volumes that are smooth: blurred, smooth noise, signed distances."""

from typing import Any, cast

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Volume = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


def blurred(volume: npt.NDArray[Any], sigma: float) -> Volume:
    """Return a volume after a Gaussian of `sigma` voxels."""
    return cast("Volume", ndimage.gaussian_filter(volume.astype(np.float32), sigma, truncate=3))


def smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], sigma: float) -> Volume:
    """Return Gaussian noise of unit variance, smooth over `sigma` voxels.

    Broad noise is drawn on a coarse grid and interpolated: it costs the same at any `sigma`.
    """
    step = max(1, int(sigma // 3))
    nodes = blurred(rng.standard_normal([n // step + 4 for n in shape]), sigma / step)
    nodes /= nodes.std()
    if step == 1:
        return nodes[tuple(slice(n) for n in shape)]
    at = np.meshgrid(*(np.arange(n, dtype=np.float32) / step + 1 for n in shape), indexing="ij")
    return cast("Volume", ndimage.map_coordinates(nodes, at, order=1))


def signed_distance_mm(mask: Mask) -> Volume:
    """Return the distance to the border of a mask on a 1 mm grid [mm], positive inside."""
    inside, outside = (ndimage.distance_transform_edt(m) for m in (mask, ~mask))
    # distances run between voxel centres: the border lies half a voxel before the first outside
    return cast("Volume", (inside - outside - np.where(mask, 0.5, -0.5)).astype(np.float32))


def at_places(volume: npt.NDArray[Any], index: npt.NDArray[np.floating]) -> npt.NDArray[Any]:
    """Return a volume at places (N, 3) given in voxels, linear between them."""
    return np.asarray(ndimage.map_coordinates(volume, index.T, order=1, mode="nearest"))
