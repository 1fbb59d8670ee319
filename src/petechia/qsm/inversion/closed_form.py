"""Inversions that are one multiplication in k-space."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_finite
from petechia.core.fourier import crop_to, irfft3, pad_to, padded_grid, rfft3
from petechia.core.grid import Grid
from petechia.core.morphology import Mask, bounding_box

Volume = npt.NDArray[np.float32]


def multiplied(
    field_ppm: npt.NDArray[np.floating],
    mask: Mask,
    grid: Grid,
    pad_mm: float,
    inverse_on: Callable[[Grid], Volume],
) -> Volume:
    """Return the map whose spectrum is that of the field times an inverse.

    Parameters
    ----------
    field_ppm : (I, J, K) ndarray of float
        Local field [ppm].
    mask : (I, J, K) ndarray of bool
        Where it is valid.
    grid : Grid
    pad_mm : float
        Zeros between the mask and its periodic copy [mm].
    inverse_on : callable
        From the padded grid to the inverse on its half spectrum.

    Returns
    -------
    chi_ppm : (I, J, K) ndarray of float32
        0 outside `mask` [ppm].

    Raises
    ------
    GridMismatchError
        If an array is not on `grid`.
    InputError
        If the field is not finite.
    """
    grid.require(field_ppm, "field_ppm")
    grid.require(mask, "mask")
    require_finite(field_ppm, "field_ppm")
    out = np.zeros(grid.shape, dtype=np.float32)
    if not mask.any():
        return out
    box = bounding_box(mask)
    near, inside = grid.cut(box), mask[box]
    wide = padded_grid(near, pad_mm)
    spectrum = rfft3(pad_to(np.where(inside, field_ppm[box], 0), wide.shape))
    spectrum *= inverse_on(wide)
    out[box] = crop_to(irfft3(spectrum, wide.shape), near.shape) * inside
    return out


def centre_of_spread(transfer: Volume, n_last: int) -> float:
    """Return the mean over full k-space of `transfer`, given on the half spectrum."""
    return float(np.average(transfer.mean(axis=(0, 1), dtype=np.float64), weights=twice(n_last)))


def twice(n_last: int) -> npt.NDArray[np.float64]:
    """Return how often each plane of the half spectrum stands in the whole one."""
    counts = np.full(n_last // 2 + 1, 2.0)
    counts[0] = 1.0
    if n_last % 2 == 0:
        counts[-1] = 1.0
    return counts
