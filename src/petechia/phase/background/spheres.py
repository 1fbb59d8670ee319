"""Means over spheres that lie in a mask: what a harmonic field equals in their centre."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from petechia.core.fourier import crop_to, irfft3, pad_to, rfft3
from petechia.core.grid import Grid
from petechia.core.kernels import smv_kernel
from petechia.phase.images import Mask, Volume

WHOLE = 1 - 1e-4
"""Part of a sphere that must lie in the mask (the rest is rounding of the transforms)."""


def less_spherical_means(
    field_ppm: npt.NDArray[np.floating],
    mask: Mask,
    grid: Grid,
    wide: Grid,
    radii_mm: Sequence[float] | npt.NDArray[np.float64],
) -> Iterator[tuple[float, Volume, Mask, Volume]]:
    """Yield what each sphere leaves of a field, from the largest sphere to the smallest.

    Parameters
    ----------
    field_ppm : (I, J, K) ndarray of float
        Any field [ppm].
    mask : (I, J, K) ndarray of bool
        Where it is known.
    grid, wide : Grid
        Of the volume, and the same padded by at least the largest radius.
    radii_mm : sequence of float
        Falling [mm]. Radii that fit nowhere new are skipped.

    Yields
    ------
    radius_mm : float
    kernel : half spectrum of float32
        Of the mean over the sphere, on `wide`.
    fits : (I, J, K) ndarray of bool
        Voxels around which this sphere lies in the mask and no larger one does.
    high_ppm : (I, J, K) ndarray of float32
        The field less its mean over the sphere; meaningful in `fits` [ppm].
    """
    field = np.where(mask, field_ppm, 0).astype(np.float32)
    field_spectrum = rfft3(pad_to(field, wide.shape))
    mask_spectrum = rfft3(pad_to(mask, wide.shape))
    left = mask.copy()
    for radius in radii_mm:
        kernel = smv_kernel(wide, radius)
        part = crop_to(irfft3(mask_spectrum * kernel, wide.shape), grid.shape)
        fits = left & (part > WHOLE)
        if fits.any():
            left &= ~fits
            mean = crop_to(irfft3(field_spectrum * kernel, wide.shape), grid.shape)
            yield float(radius), kernel, fits, field - mean


def restored(local: Volume, kernel: Volume, mask: Mask, wide: Grid, threshold: float) -> Volume:
    """Return `local` divided by what a sphere left of each frequency, 0 outside `mask`.

    Parameters
    ----------
    local : (I, J, K) ndarray of float32
        A field less its spherical means [ppm].
    kernel : half spectrum of float32
        Of the mean over the sphere, on `wide`.
    mask : (I, J, K) ndarray of bool
        Where the result is kept.
    wide : Grid
        Of the volume, padded by at least the radius.
    threshold : float
        Frequencies of which less is left are not restored.
    """
    left = 1 - kernel
    inverse = np.divide(1, left, out=np.zeros_like(left), where=np.abs(left) > threshold)
    solved = irfft3(rfft3(pad_to(local, wide.shape)) * inverse, wide.shape)
    return crop_to(solved, mask.shape) * mask
