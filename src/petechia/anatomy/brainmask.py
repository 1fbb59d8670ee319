"""Brain against the rest of the head, for a gradient echo of any contrast and shading.

1. The template is registered to the scan; its brain is the first guess.
2. Signal is divided by that of the nearby brain, which takes contrast and coil shading away.
3. Along each outward normal of the first guess the boundary is moved to where tissue ends and
   the dark skull begins. Costs of neighbouring normals are averaged, so that one dark lesion or
   one bright sinus at the surface does not move it, and a quadratic term holds it near the guess.
4. A margin is added, for cortex that is lost cannot be counted; on the scan's own voxels, to
   1 mm, the boundary follows the signal by a millimetre.
5. Every hole is filled: dark lesions stay inside.

A crop without skull keeps all its tissue. Without a template, or when it cannot be registered,
the brain is the largest piece of tissue that an erosion separates from the scalp. Noise without
a head, and what is too large or too small for a brain, is refused.
"""

import logging
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.anatomy.boundary import (
    BrainMaskParams,
    bone_threshold,
    brain_level,
    followed,
    refine,
    signed_distance_mm,
)
from petechia.anatomy.head import air_fraction, head_mask, noise_level, smooth_to
from petechia.anatomy.registration import Registration, flattened, register, whole
from petechia.anatomy.resample import coarse_grid, to_grid
from petechia.anatomy.template import Template
from petechia.core.canonical import Canonical
from petechia.core.checks import require_finite, require_signal
from petechia.core.grid import Grid
from petechia.core.morphology import (
    Mask,
    close_mm,
    dilate_mm,
    distance_inside_mm,
    erode_mm,
    fill_holes,
    largest_component,
)
from petechia.errors import InputError

log = logging.getLogger(__name__)
Volume = npt.NDArray[np.float32]

LARGEST_BRAIN_MM3 = 1.9e6
"""With its fluid; a larger piece of tissue still hangs together with the neck."""
BELIEVED_MM3 = (2.0e4, 2.5e6)
"""What morphology alone finds must be this large to be called a brain."""
CAP_MM, LARGEST_CAP_MM2 = 6.0, 6000.0
"""The uppermost millimetres of a head, and the largest cut through them; larger, and the view
ends below the vertex."""
HEAD_MM2, LEVEL_MM = 2.4e4, 80.0
"""The largest level cut through a grown head, within so much of its top."""
HEAD_MM = 100.0
"""A view at least so wide along two axes could hold a head."""
BLOCK_MM = 20.0
"""Blocks over which noise is told from tissue."""
NOISE_RATIO, LOW_RATIO = 2.6, 4.0
"""Mean over standard deviation of a block: 1.9 for the magnitude of pure noise, in blocks of a
few dozen voxels up to 2.3. Where a wide view shows no air, less than 4 is noise over a head."""
FADE_MM = 5.0
"""Over so much height above the foramen magnum the margin comes in."""
LEAST_STRUCTURE = 0.05
"""Blocks of a head differ by more than this part of their mean; those of noise do not."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class BrainMask:
    """A brain mask and how it was come by.

    Attributes
    ----------
    mask : (I, J, K) ndarray of bool
        The brain with its fluid spaces.
    method : str
        'template', 'morphology' or 'crop'; 'given' of a mask that was not found here.
    says : tuple of str
        What a reader should know.
    registration : Registration or None
        The fit to the template, when there is one (it may not be `ok`).
    """

    mask: Mask
    method: str
    says: tuple[str, ...]
    registration: Registration | None


def brain_mask(
    magnitude: npt.NDArray[np.floating],
    grid: Grid,
    template: Template | None = None,
    params: BrainMaskParams | None = None,
) -> BrainMask:
    """Return the brain in a gradient-echo magnitude.

    Parameters
    ----------
    magnitude : (E, I, J, K) or (I, J, K) ndarray of float
        All echoes, or one image.
    grid : Grid
        Geometry.
    template : Template, optional
        Head to register to; without it only morphology is left.
    params : BrainMaskParams, optional
        Settings.

    Returns
    -------
    BrainMask
        With the method, remarks and the registration.

    Raises
    ------
    InputError
        For an image that is empty, not finite or noise, or in which no brain can be told.
    """
    chosen = params or BrainMaskParams()
    image = combined(magnitude, grid)
    # blocks and coarser voxels are counted from a corner: the same one however it is stored
    order = Canonical.of(grid)
    found = _found(order.forth(image), order.grid, template, chosen)
    fit = found.registration
    return replace(
        found,
        mask=order.back(found.mask),
        registration=None if fit is None else replace(fit, scan_grid=grid),
    )


def _found(
    image: Volume, grid: Grid, template: Template | None, chosen: BrainMaskParams
) -> BrainMask:
    crop = skull_free(image, grid)
    _require_tissue(image, grid, crop)
    if crop:
        mask = _crop_tissue(image, grid)
        says = "The field of view holds no whole head: all tissue above the noise is the mask."
        found = BrainMask(mask=mask, method="crop", says=(says,), registration=None)
    elif template is None:
        says = "No template: the largest piece of tissue apart from the scalp is the mask."
        small = coarse_grid(grid, chosen.work_mm)
        work = np.asarray(to_grid(image, grid, small), dtype=np.float32)
        mask = smooth_to(_by_morphology(work, small), small, grid)
        found = BrainMask(mask=mask, method="morphology", says=(says,), registration=None)
    else:
        found = _by_template(image, grid, template, chosen)
    _require_brain(found, image, grid)
    return found


def _require_brain(found: BrainMask, image: Volume, grid: Grid) -> None:
    """Raise `InputError` for a mask that is empty, or from morphology and not like a brain."""
    size = float(found.mask.sum() * grid.voxel_mm3)
    why = "" if size else "nothing was found."
    if found.method == "morphology" and size:
        low, high = BELIEVED_MM3
        if not low <= size <= high:
            why = f"what was found has {size / 1000:.0f} mL."
        elif _all_the_same(image * found.mask, grid):
            why = "what was found is all the same, as noise or a phantom is."
    if why:
        raise InputError(
            " ".join(("there is no brain in the magnitude:", why, *found.says[:1])),
            where="brain_mask",
            mend="Check the image and the orientation in its header, or give a mask of your own.",
        )


def _all_the_same(image: Volume, grid: Grid) -> bool:
    """Return whether blocks differ by no more than the voxels within them let expect."""
    mean, spread, n = block_statistics(image, grid)
    if len(mean) < 4:
        return False
    expected = 2.0 * float((spread / np.sqrt(n)).mean())
    return bool(mean.std() < min(expected, LEAST_STRUCTURE * float(mean.mean())))


def combined(magnitude: npt.NDArray[np.floating], grid: Grid) -> Volume:
    """Return the root of the sum of squares of the echoes, checked."""
    grid.require(magnitude, "magnitude")
    require_finite(magnitude, "magnitude")
    require_signal(magnitude, "magnitude")
    image = np.asarray(magnitude, dtype=np.float32)
    return image if image.ndim == 3 else np.sqrt(np.einsum("e...,e...->...", image, image))


def skull_free(image: Volume, grid: Grid) -> bool:
    """Return whether the image is a crop of tissue: no air in it, or far smaller than a head."""
    extent = np.sort(grid.spacing_mm * grid.shape)
    small = coarse_grid(grid, 2.0)
    root = np.sqrt(np.asarray(to_grid(image, grid, small), dtype=np.float32).clip(0))
    return bool(extent[1] < 100.0 or air_fraction(root) < 0.10)


def _require_tissue(image: Volume, grid: Grid, crop: bool) -> None:
    """Raise `InputError` for noise: of one coil by its statistics, of many by its sameness."""
    mean, spread, _ = block_statistics(image, grid)
    if len(mean) == 0:
        return
    best = float(np.percentile(mean / np.maximum(spread, 1e-6 * mean), 95))
    wide = np.sort(grid.spacing_mm * grid.shape)[1] >= HEAD_MM
    same = crop and wide and float(mean.std()) < LEAST_STRUCTURE * float(mean.mean())
    if best < (LOW_RATIO if crop and wide else NOISE_RATIO) or same:
        raise InputError(
            f"the magnitude looks like noise: its mean is {best:.1f} standard deviations, and "
            f"its blocks differ by {mean.std() / mean.mean():.0%}",
            where="brain_mask",
            mend="Check that this is the magnitude and not the phase, or give a mask of your own.",
        )


def block_statistics(
    image: Volume, grid: Grid
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], int]:
    """Return the mean and standard deviation of blocks of `BLOCK_MM`, and their voxels.

    Blocks are a third of the view where that is less. Only those without zeros, the brighter
    half; both arrays are empty when there are none, or when blocks have less than 20 voxels.
    """
    side = np.minimum(np.rint(BLOCK_MM / grid.spacing_mm), np.array(grid.shape) // 3)
    side = np.maximum(side, 1).astype(int)
    i, j, k = (n // s for n, s in zip(grid.shape, side, strict=True))
    a, b, c = side
    cut = image[: i * a, : j * b, : k * c].reshape(i, a, j, b, k, c)
    blocks = cut.transpose(0, 2, 4, 1, 3, 5).reshape(i * j * k, -1)
    blocks = blocks[(blocks > 0).all(axis=1)]
    if blocks.shape[1] < 20 or len(blocks) == 0:
        return np.empty(0), np.empty(0), blocks.shape[1]
    mean, spread = blocks.mean(axis=1, dtype=np.float64), blocks.std(axis=1, dtype=np.float64)
    bright = mean >= np.median(mean)
    return mean[bright], spread[bright], blocks.shape[1]


def _crop_tissue(image: Volume, grid: Grid) -> Mask:
    level = float(np.percentile(image[image > 0], 90))  # tissue, also where air fills the view
    floor = min(3.0 * noise_level(image, grid), 0.3 * level)
    tissue = ndimage.median_filter(image, size=3) > floor
    return fill_holes(close_mm(largest_component(tissue), grid, 4.0))


def _by_template(
    image: Volume, grid: Grid, template: Template, params: BrainMaskParams
) -> BrainMask:
    small = coarse_grid(grid, params.work_mm)
    work = np.asarray(to_grid(image, grid, small), dtype=np.float32)
    fit = register(work, small, template)
    if not fit.ok:
        return BrainMask(
            mask=smooth_to(_by_morphology(work, small), small, grid),
            method="morphology",
            says=(
                f"The template did not fit ({fit.says}).",
                "The largest piece of tissue apart from the scalp is the mask: check it.",
            ),
            registration=replace(fit, scan_grid=grid),
        )
    depth = signed_distance_mm(close_mm(template.brain, template.grid, 4.0), template.grid)
    floor = template.grid.to_mm((0, 0, np.argwhere(template.brain)[:, 2].min()))[2] + 6.0
    surface = refine(work, small, *_guess(fit, depth, small), floor, params)
    fit = register(work, small, template, mask=surface < 0, initial=fit)
    distance, height = _guess(fit, depth, small)
    surface = refine(work, small, distance, height, floor, params)
    level = brain_level(work, surface, small, deep_mm=3.0, width_mm=8.0)
    bone = bone_threshold(work / level, surface)
    surface = surface - params.margin_mm * np.clip((height - floor) / FADE_MM, 0, 1)
    return BrainMask(
        mask=followed(image, grid, surface, level, bone, small, params),
        method="template",
        says=(fit.says,),
        registration=replace(fit, scan_grid=grid),
    )


def _guess(fit: Registration, depth: Volume, grid: Grid) -> tuple[Volume, Volume]:
    """Return the template's signed distance and height on the scan [mm]."""
    scale = np.cbrt(np.linalg.det(fit.matrix[:3, :3]))
    distance = fit.to_scan(depth, nearest=False, grid=grid, outside=50.0) / scale
    row = (fit.matrix @ grid.affine)[2]
    i, j, k = (np.arange(n) for n in grid.shape)
    height = row[0] * i[:, None, None] + row[1] * j[None, :, None] + row[2] * k + row[3]
    return distance.astype(np.float32), height.astype(np.float32)


def _by_morphology(image: Volume, grid: Grid) -> Mask:
    head = head_mask(image, grid)
    depth = distance_inside_mm(head, grid)
    tissue = (flattened(image, head, grid) > 0.6) & (depth > 4.0) & _cranium(head, grid)
    # the thinnest cut that parts the brain from eyes, neck and scalp
    for radius_mm in (3.0, 5.0, 7.0):
        deep = erode_mm(tissue, grid, radius_mm) & (depth > 12.0)
        core = largest_component(deep if deep.any() else tissue)
        near = dilate_mm(core, grid, radius_mm + 1.0)
        inside = fill_holes(close_mm(largest_component(near & tissue), grid, 6.0))
        if inside.sum() * grid.voxel_mm3 < LARGEST_BRAIN_MM3:
            break
    return inside


def _cranium(head: Mask, grid: Grid) -> Mask:
    """Return where a brain can be: an ellipsoid larger than any, under the top of the head.

    It is smaller in a small head, told by its largest level cut where the view holds all of it.
    Where the view ends below that top, the height is not known and the ellipse goes on.
    """
    places = grid.to_mm(np.argwhere(head))
    top = np.percentile(places[:, 2], 99.5)
    cap_mm2 = (places[:, 2] > places[:, 2].max() - CAP_MM).sum() * grid.voxel_mm3 / CAP_MM
    size = 1.0 if cap_mm2 > LARGEST_CAP_MM2 else _size(head, places[:, 2], grid)
    upper = places[places[:, 2] > top - 90.0 * size]
    centre = np.array([*upper[:, :2].mean(axis=0), top - 75.0 * size])
    i, j, k = grid.shape
    world = grid.to_mm(np.stack(np.meshgrid(*map(np.arange, (i, j, k)), indexing="ij"), axis=-1))
    tall = 1e6 if cap_mm2 > LARGEST_CAP_MM2 else 80.0
    reach = ((world - centre) / (80.0 * size, 100.0 * size, tall * size)) ** 2
    return cast("Mask", reach.sum(axis=-1) <= 1.0)


def _size(head: Mask, height_mm: npt.NDArray[np.float64], grid: Grid) -> float:
    """Return how large a head is in parts of a grown one's, at most 1; 1 for one that is cut."""
    if not whole(head):
        return 1.0
    under = (height_mm.max() - height_mm) / CAP_MM  # the face makes it no larger: upper part only
    counts = np.bincount(under[under < LEVEL_MM / CAP_MM].astype(int))
    area_mm2 = float(counts.max()) * grid.voxel_mm3 / CAP_MM
    return float(np.clip(np.sqrt(area_mm2 / HEAD_MM2), 0.5, 1.0))
