"""Checks of arrays from outside, with errors that teach."""

import numpy as np
import numpy.typing as npt

from petechia.core.grid import Grid
from petechia.errors import InputError, ParameterError

DEEPEST_RINGING = 0.25
"""How far below 0 interpolation may carry a magnitude (part of its maximum)."""

NEGATIVE_ALLOWED = 0.05
"""Part of a magnitude's voxels that interpolation may have made negative."""

B0_T = (0.05, 25.0)
"""Main fields that a scanner can have [T]."""


def require_finite(array: npt.NDArray[np.generic], name: str) -> None:
    """Raise `InputError` that counts and places the first NaN or infinity."""
    bad = ~np.isfinite(array)
    if bad.any():
        first = tuple(int(n) for n in np.argwhere(bad)[0])
        raise InputError(
            f"{int(bad.sum())} of {bad.size} voxels are not finite, the first at {first}",
            where=name,
            mend="Convert the scan again, or set these voxels to 0.",
        )


def mask_from(values: npt.NDArray[np.floating], name: str) -> npt.NDArray[np.bool_]:
    """Return the voxels above one half.

    Raises
    ------
    InputError
        If there are none, or values are negative, as those of a phase or an image.
    """
    if values.min() < -0.5:
        raise InputError(
            f"values of a mask go down to {float(values.min()):.3g}",
            where=name,
            mend="Give a mask that is 1 inside and 0 outside: is this another image?",
        )
    mask: npt.NDArray[np.bool_] = values > 0.5
    if not mask.any():
        raise InputError(
            "the mask holds no voxel above 0.5",
            where=name,
            mend="Give a mask that is 1 inside and 0 outside.",
        )
    return mask


def require_signal(array: npt.NDArray[np.generic], name: str) -> None:
    """Raise `InputError` when `array` is zero everywhere."""
    if not np.any(array):
        raise InputError(
            "all voxels are 0",
            where=name,
            mend="The image is empty: check the conversion, or leave the file out.",
        )


def share_below_0(magnitude: npt.NDArray[np.generic]) -> float:
    """Return the part of voxels below 0 when it is more than interpolation makes, else 0."""
    share = float(np.mean(np.less(magnitude, 0)))
    return share if share > NEGATIVE_ALLOWED else 0.0


def require_no_overflow(magnitude: npt.NDArray[np.generic], name: str) -> None:
    """Raise `InputError` when values below 0 are deeper than interpolation can make them.

    Interpolation rings below 0 beside an edge, by about a tenth of it; an integer type too
    small for the brightest voxels turns them into its most negative values.
    """
    low, high = float(np.min(magnitude)), float(np.max(magnitude))
    if low < -DEEPEST_RINGING * high:
        raise InputError(
            f"the magnitude runs from {low:g} to {high:g}: its brightest voxels overflowed the "
            "number type, or it is no magnitude",
            where=name,
            mend="Convert the scan again with a wider type (int32 or float32).",
        )


def checked_weights(
    weights: npt.NDArray[np.floating] | None, mask: npt.NDArray[np.bool_], grid: Grid
) -> npt.NDArray[np.float32]:
    """Return weights that are 0 outside the mask and of mean square 1 inside.

    Raises
    ------
    InputError
        If they are not finite, or 0 in the whole mask.
    ParameterError
        If one is negative.
    """
    mask = np.asarray(mask, dtype=np.bool_)  # whole numbers would count as indices
    if weights is None:
        return mask.astype(np.float32)
    grid.require(weights, "weights")
    require_finite(weights, "weights")
    require_between(float(weights.min()), 0.0, np.inf, "weights", "Clip the weights at 0.")
    inside = np.asarray(weights, dtype=np.float64)[mask]
    if not inside.any():
        raise InputError(
            "weights are 0 in the whole mask",
            where="weights",
            mend="Nothing would be trusted: give weights above 0 in the mask, or none.",
        )
    scale = np.sqrt(np.mean(inside * inside))
    return np.asarray(np.where(mask, weights / scale, 0), dtype=np.float32)


def require_b0(b0_t: float, where: str) -> None:
    """Raise `ParameterError` unless a main field is one that a scanner can have."""
    if not B0_T[0] <= b0_t <= B0_T[1]:
        raise ParameterError(
            f"main field of {b0_t} T",
            where=where,
            mend="Give the field in tesla, e.g. 1.5, 3 or 7.",
        )


def require_between(value: float, low: float, high: float, where: str, mend: str) -> None:
    """Raise `ParameterError` unless low <= value <= high."""
    if not low <= value <= high:
        raise ParameterError(f"{value} is outside [{low}, {high}]", where=where, mend=mend)
