"""What mimics lie in or near: air cavities, choroid plexus, pineal gland, pallidum."""

from collections.abc import Mapping
from typing import cast

import numpy as np
import numpy.typing as npt

from petechia.anatomy.head import head_mask, smooth_to
from petechia.anatomy.resample import coarse_grid, to_grid
from petechia.anatomy.sites import VENTRICLE_LABELS
from petechia.core.grid import Grid
from petechia.core.morphology import Mask, distance_inside_mm, open_mm

STRUCTURES = ("pallidum", "choroid_plexus", "pineal")
"""Places where calcium and iron are normal; voxel values from 1 of `template_structures`."""

PALLIDUM_LABELS = (27, 78)
"""Of CerebrA."""

PINEAL_MM = (0.0, -30.0, 1.0)
PINEAL_RADIUS_MM = 8.0
PLEXUS_BETWEEN_MM = (-52.0, -8.0)
PLEXUS_ABOVE_MM = -6.0
"""Body and atrium of the lateral ventricles: template y, and z from there up."""

CAVITY_MM = 4.0
DARK = 0.15
"""Of the brain's median signal: darker is air, bone or dropout."""


def air_cavities(magnitude: npt.NDArray[np.floating], mask: Mask, grid: Grid) -> Mask:
    """Return where the head is empty: sinuses, mastoid cells, ear canals, and dropout at them.

    Dark, wider than 8 mm (the skull mostly is thinner), within the head, and outside the brain or
    within 8 mm of its surface. Read on a grid of 2 mm.

    Parameters
    ----------
    magnitude : (I, J, K) ndarray of float
        At the first echo, where dropout is least.
    mask : (I, J, K) ndarray of bool
        Brain.
    grid : Grid
        Geometry.

    Returns
    -------
    air : (I, J, K) ndarray of bool
        Empty when the mask is, or when the view holds nothing but tissue.

    Notes
    -----
    Thick bone that gives no signal is not told from air.
    """
    grid.require(magnitude, "magnitude")
    grid.require(mask, "mask")
    none = np.zeros(grid.shape, dtype=bool)
    if not mask.any() or not np.any(magnitude[mask] > 0):
        return none
    small = coarse_grid(grid, 2.0)
    image = np.asarray(to_grid(magnitude, grid, small), dtype=np.float32)
    brain = np.asarray(to_grid(mask, grid, small, order=0), dtype=bool)
    if not brain.any():
        return none
    head = np.asarray(to_grid(head_mask(magnitude, grid), grid, small, order=0), dtype=bool)
    dark = head & (image < DARK * np.median(image[brain]))
    dark &= distance_inside_mm(brain, small) <= 8.0
    return smooth_to(open_mm(dark, small, CAVITY_MM), small, grid)


def template_structures(
    cerebra: npt.NDArray[np.integer], regions: npt.NDArray[np.integer], grid: Grid
) -> npt.NDArray[np.int16]:
    """Return labels of `STRUCTURES` on the template's grid, from its other labels.

    The pallidum is CerebrA's; the plexus lies in or within 2 mm of body and atrium of the
    lateral ventricles; the pineal gland in a ball behind the third ventricle.
    """
    x, y, z = np.moveaxis(grid.to_mm(np.moveaxis(np.indices(grid.shape), 0, -1)), -1, 0)
    out = np.zeros(grid.shape, dtype=np.int16)
    lateral = np.isin(regions, VENTRICLE_LABELS[:2])
    near = distance_inside_mm(~lateral, grid) <= 2.0
    low, high = PLEXUS_BETWEEN_MM
    out[near & (y > low) & (y < high) & (z > PLEXUS_ABOVE_MM)] = 2
    away = np.sqrt(sum((a - c) ** 2 for a, c in zip((x, y, z), PINEAL_MM, strict=True)))
    out[away <= PINEAL_RADIUS_MM] = 3
    out[np.isin(cerebra, PALLIDUM_LABELS)] = 1
    return out


def structure_masks(labels: npt.NDArray[np.integer]) -> Mapping[str, Mask]:
    """Return the mask of each of `STRUCTURES`, from labels on the scan's grid."""
    return {name: cast("Mask", labels == n) for n, name in enumerate(STRUCTURES, start=1)}
