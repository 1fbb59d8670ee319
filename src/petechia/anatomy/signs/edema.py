"""Patches on FLAIR that look like vasogenic edema: large, one-sided, cortex and white matter."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.anatomy.signs.hyperintensities import Bright, widest_mm
from petechia.anatomy.signs.normal import Normal
from petechia.anatomy.signs.places import LOBES, WHITE, Places
from petechia.core.grid import Grid
from petechia.core.morphology import Mask, dilate_mm, erode_mm, label_26

Volume = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class EdemaParams:
    """Settings of `find_edema`.

    Attributes
    ----------
    least, least_spreads : float
        Above the level of cortex, in parts of white matter and in standard deviations.
    core_mm : float
        A patch holds a ball of this radius.
    sure_ml, unsure_ml : float
        Volumes from which it is suspected, or left open.
    outer_mm : float
        Nearer to the surface of the brain is cortex and what lies below.
    outer_part : float
        So much of a patch lies there.
    inner_part : float
        At most so much lies within 8 mm of the ventricles.
    """

    least: float = 0.15
    least_spreads: float = 3.0
    core_mm: float = 4.0
    sure_ml: float = 4.0
    unsure_ml: float = 2.0
    outer_mm: float = 16.0
    outer_part: float = 0.35
    inner_part: float = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """One patch: middle [companion RAS mm], volume, diameter in a slice, whether sure."""

    at_mm: tuple[float, float, float]
    volume_ml: float
    diameter_mm: float
    sure: bool


def find_edema(
    flair: Normal, places: Places, bright: Bright, params: EdemaParams | None = None
) -> tuple[list[Patch], Mask]:
    """Return patches that look like edema, and their voxels.

    Hyperintensity of ageing white matter lies at the ventricles, spares the cortex and comes
    on both sides; a patch that holds a ball, reaches the outer brain and keeps away from the
    ventricles does not belong to it.

    Parameters
    ----------
    flair : Normal
        FLAIR over normal white matter.
    places : Places
        Anatomy on its grid.
    bright : Bright
        Hyperintense white matter, for the ventricles.
    """
    p = params or EdemaParams()
    grid = places.grid
    allowed = places.brain & places.at(*LOBES, *WHITE) & (places.depth_mm > 2.0)
    hot = allowed & above_cortex(flair, grid, p) & (bright.away_mm > 5.0)
    core = erode_mm(hot, grid, p.core_mm)
    labels, _ = label_26(dilate_mm(core, grid, p.core_mm + 1.5) & hot)
    found, mask = [], np.zeros_like(hot)
    for at, box in enumerate(ndimage.find_objects(labels), start=1):
        here = labels[box] == at
        patch = _judged(here, box, places, bright, p)
        if patch is not None:
            found.append(patch)
            mask[box] |= here
    return found, mask


def above_cortex(flair: Normal, grid: Grid, params: EdemaParams | None = None) -> Mask:
    """Return where a FLAIR is clearly brighter than cortex: edema, hyperintensity, whatever."""
    p = params or EdemaParams()
    level = max(flair.grey, 1.0) + max(p.least, p.least_spreads * flair.spread)
    smooth = ndimage.gaussian_filter(flair.ratio, 1.0 / grid.spacing_mm)
    return np.asarray(smooth > level)


def _judged(
    here: Mask, box: tuple[slice, ...], places: Places, bright: Bright, p: EdemaParams
) -> Patch | None:
    grid = places.grid
    volume = float(here.sum() * grid.voxel_mm3 / 1000)
    if volume < p.unsure_ml:
        return None
    outer = float(np.mean(places.depth_mm[box][here] < p.outer_mm))
    inner = float(np.mean(bright.away_mm[box][here] < 8.0))
    if inner > 2 * p.inner_part or outer < 0.5 * p.outer_part:
        return None
    middle = np.argwhere(here).mean(axis=0) + [s.start for s in box]
    x, y, z = (float(v) for v in grid.to_mm(middle))
    sure = volume >= p.sure_ml and inner <= p.inner_part and outer >= p.outer_part
    return Patch(
        at_mm=(x, y, z),
        volume_ml=volume,
        diameter_mm=widest_mm(here, grid.cut((box[0], box[1], box[2]))),
        sure=sure,
    )
