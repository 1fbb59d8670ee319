"""Hyperintensities of white matter on FLAIR: where, how much, how far from the ventricles."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.anatomy.signs.normal import Normal
from petechia.anatomy.signs.places import LOBES, WHITE, Places
from petechia.core.grid import Grid
from petechia.core.morphology import Mask, dilate_mm, distance_inside_mm, label_26, open_mm

Volume = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class BrightParams:
    """Settings of `bright_white_matter`.

    Attributes
    ----------
    least, seed : float
        How far above normal white matter, in parts of it, hyperintensity begins, and what one
        voxel of every patch must reach.
    least_spreads, seed_spreads : float
        The same in standard deviations of normal white matter; the higher of both counts.
    smallest_mm3 : float
        Patches below are left out.
    rim_mm : float
        So much below the surface of the brain is left out.
    dark : float
        Below this ratio is fluid.
    """

    least: float = 0.16
    seed: float = 0.28
    least_spreads: float = 2.5
    seed_spreads: float = 4.0
    smallest_mm3: float = 8.0
    rim_mm: float = 4.0
    dark: float = 0.6


PERIVENTRICULAR_MM = 10.0
"""Hyperintensity nearer to the lateral ventricles is called periventricular."""
TOUCHES_MM = 3.0
"""A patch so near to a ventricle belongs to it."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Bright:
    """Hyperintense white matter.

    Attributes
    ----------
    mask : (I, J, K) ndarray of bool
    ventricles : (I, J, K) ndarray of bool
        Lateral ventricles as the scan shows them.
    away_mm : (I, J, K) ndarray of float32
        Distance from them.
    """

    mask: Mask
    ventricles: Mask
    away_mm: Volume


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What hyperintensities measure.

    Attributes
    ----------
    total_ml, periventricular_ml, deep_ml : float
    reach_mm : float
        How far what touches the ventricles goes from them: 95th percentile.
    covered : float
        Part of the ventricles' border of white matter that is hyperintense.
    largest_mm, largest_with_border_mm : float
        Diameter of the largest patch apart from the ventricles, by its area in a slice;
        the second counts what reaches out from the ventricles too.
    spots : tuple of int
        Small patches apart from the ventricles, left and right.
    """

    total_ml: float
    periventricular_ml: float
    deep_ml: float
    reach_mm: float
    covered: float
    largest_mm: float
    largest_with_border_mm: float
    spots: tuple[int, int]


def bright_white_matter(
    flair: Normal, places: Places, params: BrightParams | None = None
) -> Bright:
    """Segment hyperintense white matter.

    Parameters
    ----------
    flair : Normal
        FLAIR over normal white matter.
    places : Places
        Anatomy on its grid.
    params : BrightParams, optional

    Notes
    -----
    Where the template is less sure of white matter the threshold rises towards that of
    cortex. A patch needs one voxel above `seed`.
    """
    p = params or BrightParams()
    ratio, grid = flair.ratio, places.grid
    ventricles = lateral_ventricles(flair, places, p.dark)
    away = distance_inside_mm(~ventricles, grid)
    low = 1 + max(p.least, p.least_spreads * flair.spread)
    high = 1 + max(p.seed, p.seed_spreads * flair.spread)
    # beside the ventricles the template's own fluid and nuclei are no reason for doubt
    doubt = np.clip(1 - places.white / 0.8, 0, 1) * (away > 6.0)
    raised = (max(flair.grey - 1, 0) + 3 * flair.spread) * doubt
    allowed = places.brain & (places.at(*WHITE) | places.at(*LOBES))
    allowed &= (places.depth_mm > p.rim_mm) & ((places.white > 0.25) | (away < PERIVENTRICULAR_MM))
    allowed &= ~ventricles
    weak = allowed & (ratio > low + raised)
    strong = weak & (ratio > high + raised)
    labels, n = label_26(weak)
    sizes = np.bincount(labels.ravel(), minlength=n + 1)
    seeded = np.zeros(n + 1, dtype=bool)
    seeded[np.unique(labels[strong])] = True
    seeded[0] = False
    seeded &= sizes * grid.voxel_mm3 >= p.smallest_mm3
    return Bright(mask=seeded[labels], ventricles=ventricles, away_mm=away)


def lateral_ventricles(flair: Normal, places: Places, dark: float) -> Mask:
    """Return the dark fluid that hangs together with the template's lateral ventricles."""
    fluid = (flair.ratio < dark) & places.brain
    prior = places.lateral_ventricles
    if not prior.any():
        return np.zeros_like(fluid)
    near = fluid & dilate_mm(prior, places.grid, 5.0) & (places.depth_mm > 12.0)
    labels, n = ndimage.label(near)
    held = np.zeros(n + 1, dtype=bool)
    held[np.unique(labels[near & prior])] = True
    held[0] = False
    return np.asarray(held[labels])


def load_of(bright: Bright, places: Places) -> Load:
    """Return what hyperintensities measure."""
    grid, mask, away = places.grid, bright.mask, bright.away_mm
    ml = grid.voxel_mm3 / 1000
    near = mask & (away <= PERIVENTRICULAR_MM)
    labels, n = label_26(mask)
    first = ndimage.minimum(away, labels, np.arange(1, n + 1)) if n else np.zeros(0)
    touching = np.concatenate([[False], np.asarray(first) <= TOUCHES_MM])
    joined = touching[labels]
    apart = mask & ~joined & (away > PERIVENTRICULAR_MM - 2)
    beyond = open_mm(joined & (away > PERIVENTRICULAR_MM + 3), grid, 1.5)
    border = places.brain & (away > 0) & (away <= 2.0) & (places.white > 0.3)
    return Load(
        total_ml=float(mask.sum() * ml),
        periventricular_ml=float(near.sum() * ml),
        deep_ml=float((mask & ~near).sum() * ml),
        reach_mm=_reach(away[joined & (away <= 25.0)]),
        covered=float(mask[border].mean()) if border.any() else 0.0,
        largest_mm=widest_mm(apart, grid),
        largest_with_border_mm=widest_mm(apart | beyond, grid),
        spots=_spots(apart, places),
    )


def _reach(distances: npt.NDArray[np.float32]) -> float:
    return float(np.percentile(distances, 95)) if distances.size else 0.0


def widest_mm(mask: Mask, grid: Grid) -> float:
    """Return the diameter of the circle with the area of a patch's largest slice."""
    labels, n = label_26(mask)
    if not n:
        return 0.0
    axis = grid.slice_axis
    pixel = grid.voxel_mm3 / grid.spacing_mm[axis]
    most = 0
    for plane in np.moveaxis(labels, axis, 0):
        most = max(most, int(np.bincount(plane.ravel(), minlength=n + 1)[1:].max()))
    return float(2 * np.sqrt(most * pixel / np.pi))


SMALL_MM = 10.0
"""Spots are at most so wide."""


def _spots(apart: Mask, places: Places) -> tuple[int, int]:
    """Return how many small patches lie left and right."""
    labels, n = label_26(apart)
    if not n:
        return 0, 0
    volumes = np.bincount(labels.ravel(), minlength=n + 1)[1:] * places.grid.voxel_mm3
    small = np.cbrt(6 * volumes / np.pi) <= SMALL_MM
    left = np.asarray(ndimage.mean(places.left, labels, np.arange(1, n + 1))) > 0.5
    return int((small & left).sum()), int((small & ~left).sum())
