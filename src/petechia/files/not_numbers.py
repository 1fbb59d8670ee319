"""NaN outside the head, as masking leaves it, set to 0; NaN anywhere else stays an error."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.core.checks import require_finite
from petechia.files.echo_parts import Read

LEAST_KEPT = 0.02
"""A volume with a smaller part of numbers is no masked one."""
MASKED_PLANE = 0.1
"""Beside planes of NaN alone, a masked image has this part of NaN or more; else slices are lost."""


def without_outer_nan(reads: list[Read]) -> list[Read]:
    """Return images whose NaN outside the head is 0, with a note.

    Raises
    ------
    InputError
        NaN that does not reach the border of the volume, or that takes the place of slices;
        infinite values.
    """
    mended = [_mended(read) for read in reads]
    shares = [share for _, share in mended if share]
    if not shares:
        return reads
    note = (
        f"{len(shares)} of {len(reads)} images hold NaN outside the head, in up to "
        f"{100 * max(shares):.2g} % of their voxels: taken as 0"
    )
    return [replace(one, notes=(*one.notes, note)) if share else one for one, share in mended]


def _mended(read: Read) -> tuple[Read, float]:
    """Return an image without outer NaN, and the part of its voxels that were."""
    frames, path = read.volume.frames, str(read.volume.path)
    bad = np.isnan(frames)
    if not bad.any():
        require_finite(frames[0] if len(frames) == 1 else frames, path)
        return read, 0.0
    outer = np.stack([outside(one) for one in bad])
    filled = np.where(outer, np.float32(0), frames)
    require_finite(filled[0] if len(filled) == 1 else filled, path)
    return replace(read, volume=replace(read.volume, frames=filled)), float(outer.mean())


def outside(bad: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the voxels of `bad` (I, J, K) that are joined to the border, as a background is.

    None of them where planes that it fills do not end in planes that it fills in part: there
    slices are lost.
    """
    if bad.mean() > 1 - LEAST_KEPT or any(_is_cut(bad, axis) for axis in range(3)):
        return np.zeros_like(bad)
    labels, _ = ndimage.label(bad)
    faces = [np.take(labels, at, axis=axis).ravel() for axis in range(3) for at in (0, -1)]
    return np.asarray(bad & np.isin(labels, np.unique(np.concatenate(faces))))


def _is_cut(bad: npt.NDArray[np.bool_], axis: int) -> bool:
    """Return whether planes of NaN alone lie beside one with hardly any."""
    share = bad.mean(axis=tuple(other for other in range(3) if other != axis))
    full = share == 1
    beside = (full[:-1] & (share[1:] < MASKED_PLANE)) | (full[1:] & (share[:-1] < MASKED_PLANE))
    return bool(beside.any())
