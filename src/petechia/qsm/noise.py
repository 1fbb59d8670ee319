"""Noise of the susceptibility from noise of the field."""

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_between, require_finite
from petechia.core.fourier import crop_to, irfft3, pad_to, padded_grid, rfft3
from petechia.core.grid import Grid
from petechia.core.kernels import dipole_kernel
from petechia.core.morphology import Mask
from petechia.qsm.inversion.gradients import laplacian_spectrum

SMOOTHNESS = 0.02
"""Weight of the squared gradient, per squared voxel size, whose linear inversion lets as
much noise through (1.35 ppm per ppm for cubic voxels) as total variation at its default
strength does over a brain: 1.0 to 1.4 measured, 0.7 in flat tissue, 1.3 to 2.0 at edges."""
PAD_MM = 10.0


def chi_noise(
    field_noise_ppm: npt.NDArray[np.floating], mask: Mask, grid: Grid
) -> npt.NDArray[np.float32]:
    r"""Return the standard deviation of the susceptibility [ppm].

    .. math:: \sigma_\chi^2 = g^2 * \sigma_f^2, \qquad
        g = \mathcal F^{-1} \frac{D}{D^2 + \alpha h^2 |E|^2}

    Parameters
    ----------
    field_noise_ppm : (I, J, K) ndarray of float
        Standard deviation of the field, independent between voxels [ppm].
    mask : (I, J, K) ndarray of bool
        Where the field went into the inversion.
    grid : Grid
        Geometry.

    Returns
    -------
    noise_ppm : (I, J, K) ndarray of float32
        0 outside `mask`; scales with `field_noise_ppm`.

    Raises
    ------
    GridMismatchError
        If an array is not on `grid`.
    InputError
        If the noise is not finite or is negative.

    Notes
    -----
    Exact for the linear inversion named above, a gradient-regularised least squares, and
    an approximation for the others: total variation is quieter in flat tissue and noisier
    at edges (`SMOOTHNESS`), thresholded division about three times as noisy. Noise only:
    errors of the background field, the mask and the model are not in it.
    """
    grid.require(field_noise_ppm, "field_noise_ppm")
    grid.require(mask, "mask")
    require_finite(field_noise_ppm, "field_noise_ppm")
    low = float(field_noise_ppm.min())
    require_between(low, 0.0, np.inf, "field_noise_ppm", "A standard deviation is not negative.")
    wide = padded_grid(grid, PAD_MM)
    response = irfft3(linear_inverse(wide).astype(np.complex64), wide.shape)
    variance = pad_to(np.where(mask, field_noise_ppm, 0), wide.shape) ** 2
    scale = np.float32(variance.max()) or np.float32(1)  # keeps tiny squares from underflow
    spectrum = rfft3(variance / scale) * rfft3(np.square(response))
    noise = np.sqrt(np.maximum(crop_to(irfft3(spectrum, wide.shape), grid.shape), 0) * scale)
    noise[~mask] = 0
    return noise


def linear_inverse(grid: Grid) -> npt.NDArray[np.float32]:
    """Return D / (D^2 + SMOOTHNESS h^2 |E|^2) on the half spectrum of `grid`."""
    kernel = dipole_kernel(grid)
    normal = kernel * kernel
    normal += np.float32(SMOOTHNESS * grid.voxel_mm3 ** (2 / 3)) * laplacian_spectrum(grid)
    normal[0, 0, 0] = np.inf
    return np.asarray(kernel / normal, dtype=np.float32)
