"""Cubes around places, along the scanner's axes: the same whatever the voxel and its order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.core.grid import Grid
from petechia.core.together import together

Volume = npt.NDArray[np.floating]
Cubes = npt.NDArray[np.float32]

SIDE = 20
"""Points along an axis of a cube."""
STEP_MM = 0.8
"""Their distance [mm]."""
CHANNELS = ("dark", "dark_swi", "field", "chi", "decay", "brain")
"""What a cube holds: loss of signal, loss in the SWI, field [0.05 ppm], susceptibility
[1/3 ppm], decay until the reading echo above the brain's, brain mask."""
LIMITS = {"dark": 1.5, "dark_swi": 1.5, "field": 4.0, "chi": 4.0, "decay": 3.0, "brain": 1.0}
PER_PPM = {"field": 20.0, "chi": 3.0}
AXIS_MM = (np.arange(SIDE) - (SIDE - 1) / 2) * STEP_MM
"""Offsets of the points along an axis [mm]; x, y, z of the scanner, z along the main field."""


@dataclass(frozen=True, slots=True, eq=False)
class Ball:
    """Where the points of a cube lie against its centre.

    Attributes
    ----------
    offset_mm : (P, 3) ndarray
        Offsets along the scanner's axes [mm], in the order of a flattened cube.
    radius_mm : (P,) ndarray
        Their lengths [mm].
    """

    offset_mm: npt.NDArray[np.float64]
    radius_mm: npt.NDArray[np.float64]


def _ball() -> Ball:
    x, y, z = np.meshgrid(AXIS_MM, AXIS_MM, AXIS_MM, indexing="ij")
    offset = np.stack([x.ravel(), y.ravel(), z.ravel()], axis=1)
    return Ball(offset, np.linalg.norm(offset, axis=1))


BALL = _ball()


def cut_cubes(
    volumes: Mapping[str, Volume | None], places_vox: Sequence[npt.ArrayLike], grid: Grid
) -> Cubes:
    """Return cubes of every channel around places, by linear interpolation.

    Parameters
    ----------
    volumes : mapping of str to (I, J, K) ndarray of float, or None
        By the names of `CHANNELS`, in the units told there and 0 in undisturbed tissue. What
        is missing is 0 everywhere.
    places_vox : sequence of (3,) array_like
        Centres [voxel indices].
    grid : Grid
        Geometry.

    Returns
    -------
    cubes : (N, C, 20, 20, 20) ndarray of float32
        Axes x, y, z of the scanner, however the volume is stored.

    Notes
    -----
    Voxels finer than a step are smoothed to it first, so that a cube looks alike whatever the
    voxel; coarser ones are interpolated.
    """
    places = np.asarray(places_vox, dtype=np.float64).reshape(-1, 3)
    out = np.zeros((len(places), len(CHANNELS), SIDE, SIDE, SIDE), dtype=np.float32)
    if not len(places):
        return out
    to_index = np.linalg.inv(grid.affine[:3, :3])
    at = places[:, None, :] + (BALL.offset_mm @ to_index.T)[None]
    coordinates = at.reshape(-1, 3).T
    # of a Gaussian whose width makes up for what the voxel lacks
    lacking = np.sqrt(np.maximum(STEP_MM**2 - grid.spacing_mm**2, 0)) / 2.355 / grid.spacing_mm

    def cut(name: str, volume: Volume) -> Volume:
        smooth = np.clip(volume, -LIMITS[name], LIMITS[name]).astype(np.float32)
        if lacking.max() > 0.2:
            smooth = ndimage.gaussian_filter(smooth, lacking, truncate=2.0)
        # a point beyond the volume repeats its edge
        found = ndimage.map_coordinates(smooth, coordinates, order=1, mode="nearest")
        return np.asarray(found, dtype=np.float32)

    there = {name: v for name in CHANNELS if (v := volumes.get(name)) is not None}
    for name, part in zip(
        there, together([partial(cut, *item) for item in there.items()]), strict=True
    ):
        out[:, CHANNELS.index(name)] = part.reshape(-1, SIDE, SIDE, SIDE)
    return out
