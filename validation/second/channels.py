"""The head as smooth channels, and the rules by which they become tissue.

Borders are where smooth channels pass a threshold, so that a head can be laid out on any grid
without steps of the one it was made on.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.core.compiled import compiled
from second.tissue import (
    AIR,
    BONE,
    DURA,
    FAT,
    FLUID,
    GREY,
    MARROW,
    NUCLEUS,
    SOFT,
    WHITE,
)

ORIGIN_MM = np.array([-96.0, -132.0, -78.0])
"""Template place of the first voxel of every channel; voxels are 1 mm."""

GREY_PART, WHITE_PART = 0, 1
"""How much of a voxel is grey or white matter, sharpened: may leave 0..1."""
INSIDE_MM = 2
"""Depth below the surface of the brain, negative outside."""
SHEET_MM, FOLD_MM = 3, 4
"""Distance to the middle of the nearest sulcus, signed; how deep sulci reach, 0: none."""
VENTRICLE, NUCLEI, CAVITY = 5, 6, 7
"""Soft masks."""
IRON_PPM = 8
"""Susceptibility of the iron in nuclei."""
T1W = 9
"""The template's T1w, for the neck."""
SKIN_MM = 10
"""Depth below the skin, negative outside."""
TEXTURE = 11
"""Unevenness of tissue, about unit variance."""
FLUID_MM, SKULL_MM = 12, 13
"""Width of the fluid over the brain, thickness of the skull."""
CHANNELS = 14

FACE_MM, CORD_MM = -30.0, -90.0
"""Template heights under which the face begins, and the brain ends."""
CORTEX_MM = 2.4


@compiled(fastmath=True)
def tissue_of(c: Any, x_mm: float, z_mm: float, half_sulcus_mm: float) -> Any:
    """Return the tissue at a place.

    Parameters
    ----------
    c : (CHANNELS,) ndarray
        Channels there.
    x_mm, z_mm : float
        Template place.
    half_sulcus_mm : float
        Half the width of sulci.
    """
    if c[SKIN_MM] < 0 or c[CAVITY] > 0.5:
        return AIR
    if c[INSIDE_MM] > -0.4 and z_mm > CORD_MM:
        return _within_skull(c, x_mm, z_mm, half_sulcus_mm)
    return _around_brain(c, z_mm)


@compiled(fastmath=True)
def _within_skull(c: Any, x_mm: float, z_mm: float, half_sulcus_mm: float) -> Any:
    depth, grey, white = c[INSIDE_MM], c[GREY_PART], c[WHITE_PART]
    if c[VENTRICLE] > 0.5:
        return FLUID
    if c[NUCLEI] > 0.5:
        return NUCLEUS
    falx = abs(x_mm) < 0.45 and grey + white < 0.75 and c[VENTRICLE] < 0.05
    if falx and z_mm > -5 and depth < 45:
        return DURA
    if depth < 0.3:
        return DURA if depth < 0 else FLUID
    fluid = 1 - grey - white
    folded, from_sheet = c[FOLD_MM] > 0.5, abs(c[SHEET_MM])
    in_sulcus = from_sheet < half_sulcus_mm and depth < c[FOLD_MM]
    if folded and (in_sulcus or depth < c[FLUID_MM]):
        return FLUID
    if fluid > 0.5 and (not (folded or depth > 12) or (fluid > grey and fluid > white)):
        return FLUID
    if folded:
        in_bank = from_sheet < half_sulcus_mm + CORTEX_MM and depth < c[FOLD_MM] + 2.0
        if in_bank or depth < c[FLUID_MM] + CORTEX_MM:
            return GREY
    return GREY if grey > white else WHITE


@compiled(fastmath=True)
def _around_brain(c: Any, z_mm: float) -> Any:
    outward, skull = -c[INSIDE_MM], c[SKULL_MM]
    if outward < skull + 0.4:
        tables = outward < 1.6 or outward > skull - 1.2
        return BONE if tables or skull <= 4 else MARROW
    if c[SKIN_MM] < 2.0:
        return SOFT
    if z_mm > FACE_MM:
        return FAT if c[FLUID_MM] > 0.5 else SOFT
    if c[T1W] > 60:
        return FAT if c[FLUID_MM] > 2.0 else SOFT
    return SOFT if c[T1W] > 28 else BONE


@compiled(fastmath=True)
def tissues_of(channels: Any, half_sulcus_mm: float) -> npt.NDArray[np.uint8]:
    """Return the tissue of every voxel of the channels (I, J, K, CHANNELS)."""
    ni, nj, nk, _ = channels.shape
    tissue = np.empty((ni, nj, nk), np.uint8)
    for i in range(ni):
        for j in range(nj):
            for k in range(nk):
                x_mm, z_mm = i + ORIGIN_MM[0], k + ORIGIN_MM[2]
                tissue[i, j, k] = tissue_of(channels[i, j, k], x_mm, z_mm, half_sulcus_mm)
    return tissue
