"""Perivascular spaces on T2w: bright dots and lines, counted as the scales count them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.anatomy.signs.normal import Normal
from petechia.anatomy.signs.places import GANGLIA, LOBES, Places
from petechia.core.grid import Grid
from petechia.core.morphology import Mask, dilate_mm, label_26

Volume = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceParams:
    """Settings of `count_spaces`.

    Attributes
    ----------
    pixel_mm, slice_mm : float
        The two finer sides of a voxel, and the third, must not be larger.
    slab_mm : float
        Slices that are counted in are about so thick.
    centrum_above_mm : float
        Template height from which white matter is centrum semiovale.
    ganglia_mm : tuple of float
        Template heights between which the basal ganglia are counted.
    contrast : float
        Least brightness of a space, in parts of the way from white matter to fluid.
    spreads : float
        The same in standard deviations of what is no space.
    widest_mm : float
        A space is at most so wide across.
    """

    pixel_mm: float = 1.05
    slice_mm: float = 5.6
    slab_mm: float = 4.0
    centrum_above_mm: float = 22.0
    ganglia_mm: tuple[float, float] = (-8.0, 14.0)
    contrast: float = 0.14
    spreads: float = 5.0
    widest_mm: float = 3.5


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Spaces:
    """Perivascular spaces: greatest number in a slice of one side, and what was counted."""

    centrum: int
    ganglia: int
    mask: Mask


def why_not(grid: Grid, params: SpaceParams | None = None) -> str:
    """Return why spaces cannot be counted on a grid; empty when they can."""
    p = params or SpaceParams()
    fine, middle, thick = sorted(float(d) for d in grid.spacing_mm)
    if middle > p.pixel_mm:
        return f"voxels of {fine:.1f} x {middle:.1f} x {thick:.1f} mm are too large"
    if thick > p.slice_mm:
        return f"slices of {thick:.1f} mm are too thick"
    return ""


def count_spaces(
    t2w: Normal, places: Places, flair: Normal | None = None, params: SpaceParams | None = None
) -> Spaces:
    """Count perivascular spaces in the slice that has most of them, left or right.

    Parameters
    ----------
    t2w : Normal
        T2w over normal white matter.
    places : Places
        Anatomy on its grid.
    flair : Normal, optional
        FLAIR on the same grid: what is bright there is no fluid.

    Notes
    -----
    The scales count on one axial slice, of 3 to 5 mm as a rule: thinner slices are taken
    together.
    """
    p = params or SpaceParams()
    grid = places.grid
    water = t2w.fluid if np.isfinite(t2w.fluid) else 4.0
    scaled = (t2w.ratio - 1) / np.float32(max(water - 1, 0.5))
    fluid = places.brain & (scaled > 0.4)
    large = _wide(fluid, grid, p.widest_mm)
    solid = places.brain & ~dilate_mm(large, grid, 1.5)
    centrum = solid & places.at(*LOBES, "deep_periventricular_wm") & (places.white > 0.7)
    centrum &= (places.height_mm > p.centrum_above_mm) & (places.depth_mm > 7.0)
    low, high = p.ganglia_mm
    ganglia = solid & places.at(*GANGLIA) & (places.height_mm > low) & (places.height_mm < high)
    ganglia &= places.fluid < 0.4
    spots = np.zeros(grid.shape, dtype=bool)
    counts = []
    for region in (centrum, ganglia):
        found = _spots(scaled, region, grid, p)
        if flair is not None:
            found &= ~(flair.ratio > 1.2)
        found = _narrow(found, grid, p)
        counts.append(fullest(found, places.left, grid, p.slab_mm))
        spots |= found
    return Spaces(centrum=counts[0], ganglia=counts[1], mask=spots)


def _wide(fluid: Mask, grid: Grid, widest_mm: float) -> Mask:
    """Return the fluid of sulci and ventricles: large pieces."""
    labels, n = label_26(fluid)
    sizes = np.bincount(labels.ravel(), minlength=n + 1) * grid.voxel_mm3
    held = sizes > np.pi / 4 * widest_mm**2 * 12.0
    held[0] = False
    return np.asarray(held[labels])


def _spots(scaled: Volume, region: Mask, grid: Grid, p: SpaceParams) -> Mask:
    """Return what is brighter than its surroundings within a region."""
    if not region.any():
        return np.zeros_like(region)
    sigma = 2.5 / grid.spacing_mm
    held = np.clip(scaled, -0.2, 0.25) * region
    weight = ndimage.gaussian_filter(region.astype(np.float32), sigma)
    local = ndimage.gaussian_filter(held, sigma) / np.maximum(weight, 1e-3)
    above = scaled - local
    values = above[region]
    spread = 1.4826 * float(np.median(np.abs(values - np.median(values))))
    return np.asarray(region & (above > max(p.contrast, p.spreads * spread)))


def _narrow(found: Mask, grid: Grid, p: SpaceParams) -> Mask:
    """Leave out what is too wide to be a space."""
    labels, n = label_26(found)
    if not n:
        return found
    # of a line the volume over its length is its width squared
    sizes = np.bincount(labels.ravel(), minlength=n + 1) * grid.voxel_mm3
    kept = np.zeros(n + 1, dtype=bool)
    for at, box in enumerate(ndimage.find_objects(labels), start=1):
        lengths = [(s.stop - s.start) * d for s, d in zip(box, grid.spacing_mm, strict=True)]
        kept[at] = np.sqrt(sizes[at] / float(np.linalg.norm(lengths))) <= p.widest_mm * 0.75
    return np.asarray(kept[labels])


def fullest(found: Mask, left: Mask, grid: Grid, slab_mm: float) -> int:
    """Return the greatest number of pieces in one slab of slices of one side."""
    axis = grid.slice_axis
    step = max(round(slab_mm / float(grid.spacing_mm[axis])), 1)
    most = 0
    for side in (left, ~left):
        labels, _ = label_26(found & side)
        planes = np.moveaxis(labels, axis, 0)
        for start in range(0, len(planes), step):
            present = np.unique(planes[start : start + step])
            most = max(most, int((present > 0).sum()))
    return most
