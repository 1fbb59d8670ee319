"""From a FreeSurfer or SynthSeg segmentation of the same person to the MARS sites.

Cortex, nuclei, ventricles, brainstem and cerebellum are taken from it by its numbers
(FreeSurfer's colour table, with the parcels of the Desikan-Killiany-Tourville protocol; right
cortex 2000s, left 1000s); white matter is divided by the rules of `parcellation`, which see.
The rules' midline and level come from the segmentation's own left and right structures, so
no registration to a template is needed.
"""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.anatomy.parcellation import (
    CEREBRA,
    RIGHT_TO_LEFT,
    ParcellationParams,
    mars_regions,
)
from petechia.core.grid import Grid
from petechia.core.morphology import Mask
from petechia.errors import InputError

Labels = npt.NDArray[np.int16]

CORTEX = {
    "frontal": (2, 3, 12, 14, 17, 18, 19, 20, 24, 26, 27, 28, 32),
    "parietal": (8, 10, 22, 23, 25, 29, 31),
    "temporal": (1, 6, 7, 9, 15, 16, 30, 33, 34),
    "occipital": (5, 11, 13, 21),
    "insula": (35,),
}
"""Cortical parcels by lobe: what is added to 1000 (left) and 2000 (right)."""

PAIRS = {
    "temporal": ((17, 53), (18, 54)),
    "caudate": ((11, 50),),
    "putamen": ((12, 51),),
    "pallidum": ((13, 52),),
    "ventral_striatum": ((26, 58),),
    "thalamus": ((9, 48), (10, 49)),
    "ventral_diencephalon": ((28, 60),),
    "cerebellum": ((7, 46), (8, 47)),
    "lateral_ventricle": ((4, 43), (31, 63)),
    "temporal_horn": ((5, 44),),
}
"""Subcortical structures: (left, right) numbers."""

MIDDLE = {"brainstem": (16,), "third_fourth_ventricle": (14, 15, 72)}
WHITE_PAIRS = ((2, 41), (78, 79))
WHITE = (2, 41, 77, 78, 79, 251, 252, 253, 254, 255)
"""White matter, its hypointensities, and the five parts of the corpus callosum."""

NEEDED_PARTS = 24
"""With fewer cortical parcels than this a segmentation cannot tell the lobes."""
THALAMUS_Z_MM = 7.0
"""Height of the middle of the thalami in the template, which the rules' level is told by."""


def has_parcels(labels: npt.NDArray[np.integer]) -> bool:
    """Return whether these are FreeSurfer's numbers, cortex in parcels and nuclei with them."""
    present = set(np.unique(labels).tolist())
    parcels = {hemi + n for hemi in (1000, 2000) for lobe in CORTEX.values() for n in lobe}
    nuclei = {10, 49, 12, 51, 16} <= present or {9, 48, 12, 51, 16} <= present
    return nuclei and len(present & parcels) >= NEEDED_PARTS


def regions_of_segmentation(
    labels: npt.NDArray[np.integer], grid: Grid, params: ParcellationParams | None = None
) -> Labels:
    """Return the MARS site of every voxel of a segmentation, on its own grid.

    Parameters
    ----------
    labels : (I, J, K) ndarray of int
        FreeSurfer numbers (aparc+aseg, or SynthSeg with parcels).
    grid : Grid
        Its geometry.
    params : ParcellationParams, optional
        Distances of the white-matter rules, here in the person's own millimetres.

    Returns
    -------
    regions : (I, J, K) ndarray of int16
        Labels of `petechia.anatomy.sites.REGIONS`, 0 outside.

    Raises
    ------
    InputError
        When the numbers are not FreeSurfer's, or cortex has no parcels.

    References
    ----------
    Fischl et al. 2002, 10.1016/S0896-6273(02)00569-X; Klein and Tourville 2012,
    10.3389/fnins.2012.00171; Billot et al. 2023 (SynthSeg), 10.1016/j.media.2023.102789
    """
    grid.require(labels, "labels")
    if not has_parcels(labels):
        raise InputError(
            "not FreeSurfer's numbers with cortical parcels",
            where="segmentation",
            mend="Give aparc+aseg, aparc.DKTatlas+aseg, or SynthSeg's with --parc.",
        )
    cerebra, left, sided = _in_template_words(np.asarray(labels))
    frame = _frame(labels, left, sided, grid)
    nearest = ndimage.distance_transform_edt(
        ~sided, sampling=grid.spacing_mm, return_distances=False, return_indices=True
    )
    return mars_regions(
        cerebra,
        np.isin(labels, WHITE).astype(np.float32),
        np.asarray(labels) > 0,
        Grid(grid.shape, frame @ grid.affine),
        params,
        left=left[tuple(nearest)],
    )


def _in_template_words(labels: npt.NDArray[np.integer]) -> tuple[Labels, Mask, Mask]:
    """Return one CerebrA number for each structure, where is left, and where a side is told."""
    out = np.zeros(labels.shape, dtype=np.int16)
    left, right = np.zeros((2, *labels.shape), dtype=bool)
    numbers = {lobe: [(1000 + n, 2000 + n) for n in parts] for lobe, parts in CORTEX.items()}
    for name, pairs in (*numbers.items(), *PAIRS.items()):
        code = CEREBRA[name][0]
        on_left, on_right = (np.isin(labels, side) for side in zip(*pairs, strict=True))
        out[on_right], out[on_left] = code, code + RIGHT_TO_LEFT
        left |= on_left
        right |= on_right
    for name, middle in MIDDLE.items():
        out[np.isin(labels, middle)] = CEREBRA[name][0]
    for one, other in WHITE_PAIRS:
        left |= labels == one
        right |= labels == other
    return out, left, left | right


def _frame(
    labels: npt.NDArray[np.integer], left: Mask, sided: Mask, grid: Grid
) -> npt.NDArray[np.float64]:
    """Return RAS to axes of the head: x across from its midline, thalami at their height."""
    middles = [grid.to_mm(np.argwhere(part).mean(axis=0)) for part in (left, sided & ~left)]
    across = (middles[1] - middles[0]) / np.linalg.norm(middles[1] - middles[0])
    up = np.array([0.0, 0.0, 1.0])
    up -= across * (up @ across)
    up /= np.linalg.norm(up)
    thalami = grid.to_mm(np.argwhere(np.isin(labels, (9, 48, 10, 49))).mean(axis=0))
    out = np.eye(4)
    out[:3, :3] = [across, np.cross(up, across), up]
    out[:3, 3] = -out[:3, :3] @ thalami
    out[0, 3] = -across @ (middles[0] + middles[1]) / 2
    out[2, 3] += THALAMUS_Z_MM
    return out
