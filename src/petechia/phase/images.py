"""What every step of the phase road asks of its images before it starts."""

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_finite
from petechia.core.grid import Grid
from petechia.errors import InputError, ParameterError

Volume = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


def checked_phase(phase_rad: npt.NDArray[np.floating], grid: Grid) -> Volume:
    """Return phase images as contiguous float32 (E, I, J, K), finite and on `grid`."""
    if phase_rad.ndim != 4 or len(phase_rad) == 0:
        raise InputError(
            f"phase of shape {phase_rad.shape} is not (echo, i, j, k)",
            where="phase_rad",
            mend="Stack the echoes along a new first axis; one image is phase[None].",
        )
    grid.require(phase_rad, "phase_rad")
    require_finite(phase_rad, "phase_rad")
    return np.ascontiguousarray(phase_rad, dtype=np.float32)


def checked_mask(mask: npt.NDArray[np.generic], grid: Grid) -> Mask:
    """Return `mask` as contiguous bool on `grid`; `InputError` when it is empty."""
    grid.require(mask, "mask")
    if mask.ndim != 3 or not mask.any():
        raise InputError(
            f"mask of shape {mask.shape} has {int(np.count_nonzero(mask))} voxels",
            where="mask",
            mend="Give one volume that is True in the tissue.",
        )
    return np.ascontiguousarray(mask, dtype=np.bool_)


def matching_magnitude(
    phase_rad: Volume, magnitude: npt.NDArray[np.floating] | None, grid: Grid
) -> Volume | None:
    """Return the magnitude whose noise each phase image carries, or None.

    One image per echo passes through. One phase *difference* with several magnitudes gets
    |S| = (sum 1/|S_e|^2)^(-1/2): the phase noise of a difference is that of both echoes.

    Raises
    ------
    ParameterError
        When the counts do not fit otherwise.
    """
    if magnitude is None:
        return None
    grid.require(magnitude, "magnitude")
    require_finite(magnitude, "magnitude")
    if magnitude.ndim != 4 or len(magnitude) == 0:
        raise InputError(
            f"magnitude of shape {magnitude.shape} is not (echo, i, j, k)",
            where="magnitude",
            mend="Stack the echoes along a new first axis.",
        )
    if len(magnitude) == len(phase_rad):
        m = np.ascontiguousarray(magnitude, dtype=np.float32)
        return m if m.min() >= 0 else np.abs(m)
    if len(phase_rad) != 1:
        raise ParameterError(
            f"{len(magnitude)} magnitude images for {len(phase_rad)} phase images",
            where="magnitude",
            mend="Give one magnitude for each phase, or several for one phase difference.",
        )
    with np.errstate(divide="ignore"):
        variance = (1 / np.square(magnitude.astype(np.float64))).sum(axis=0)
    return np.asarray(1 / np.sqrt(variance), dtype=np.float32)[None]
