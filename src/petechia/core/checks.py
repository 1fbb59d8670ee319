"""Checks of arrays from outside, with errors that teach."""

import numpy as np
import numpy.typing as npt

from petechia.errors import InputError, ParameterError


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


def require_signal(array: npt.NDArray[np.generic], name: str) -> None:
    """Raise `InputError` when `array` is zero everywhere."""
    if not np.any(array):
        raise InputError(
            "all voxels are 0",
            where=name,
            mend="The image is empty: check the conversion, or leave the file out.",
        )


def require_between(value: float, low: float, high: float, where: str, mend: str) -> None:
    """Raise `ParameterError` unless low <= value <= high."""
    if not low <= value <= high:
        raise ParameterError(f"{value} is outside [{low}, {high}]", where=where, mend=mend)
