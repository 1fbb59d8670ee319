"""The unit dipole and the spherical mean value."""

import numpy as np
import numpy.typing as npt

from petechia.core.fourier import crop_to, frequencies, irfft3, pad_to, padded_grid, rfft3
from petechia.core.grid import Grid
from petechia.errors import ParameterError


def dipole_kernel(grid: Grid) -> npt.NDArray[np.float32]:
    r"""Return the k-space dipole kernel on the half spectrum of `grid`.

    .. math:: D(k) = \tfrac13 - (k \cdot \hat b)^2 / |k|^2, \qquad D(0) = 0

    Parameters
    ----------
    grid : Grid
        Geometry of the volume.

    Returns
    -------
    kernel : (I, J, K//2 + 1) ndarray of float32
        Dimensionless, -2/3 to 1/3; the layout is that of `scipy.fft.rfftn`.

    References
    ----------
    .. [1] Salomir, de Senneville & Moonen (2003), Concepts Magn. Reson. 19B,
       26-34, doi:10.1002/cmr.b.10083.
    """
    k0, k1, k2 = frequencies(grid)
    b0, b1, b2 = (np.float32(b) for b in grid.b0_dir)
    k_squared = k0 * k0 + k1 * k1 + k2 * k2
    k_squared[0, 0, 0] = 1.0  # any non-zero value: the mean is set below
    along = b0 * k0 + b1 * k1 + b2 * k2
    if not (b0 == 0 and b1 == 0):
        # a tilted field makes k.b of the unpaired (Nyquist) planes ambiguous in sign:
        # the square is averaged over both, so that the kernel stays real and even
        along_squared = _even_square(along, k0, k1, k2, grid)
    else:
        along_squared = along * along
    kernel = np.float32(1 / 3) - along_squared / k_squared
    kernel[0, 0, 0] = 0.0
    return np.asarray(kernel, dtype=np.float32)


def _even_square(
    along: npt.NDArray[np.float32],
    k0: npt.NDArray[np.float32],
    k1: npt.NDArray[np.float32],
    k2: npt.NDArray[np.float32],
    grid: Grid,
) -> npt.NDArray[np.float32]:
    """Return (k.b)^2 averaged over the two signs of each Nyquist frequency."""
    square = along * along
    for axis, (k, n) in enumerate(zip((k0, k1, k2), grid.shape, strict=True)):
        if n % 2:
            continue
        at = [slice(None)] * 3
        at[axis] = slice(n // 2, n // 2 + 1)
        where = tuple(at)
        flipped = along[where] - 2 * np.float32(grid.b0_dir[axis]) * k.ravel()[n // 2]
        square[where] = 0.5 * (along[where] ** 2 + flipped**2)
    return square


def forward_field(
    chi_ppm: npt.NDArray[np.floating], grid: Grid, pad_mm: float = 0.0
) -> npt.NDArray[np.float32]:
    """Return the field shift that `chi_ppm` makes [ppm of B0].

    Parameters
    ----------
    chi_ppm : (I, J, K) ndarray of float
        Susceptibility relative to its surroundings [ppm].
    grid : Grid
        Geometry; its affine gives the direction of the main field.
    pad_mm : float
        Zeros around the volume against wrap-around [mm]. With 0 the volume is periodic.

    Raises
    ------
    GridMismatchError
        If `chi_ppm` is not on `grid`.
    """
    grid.require(chi_ppm, "chi_ppm")
    wide = padded_grid(grid, pad_mm) if pad_mm > 0 else grid
    spectrum = rfft3(pad_to(chi_ppm, wide.shape))
    spectrum *= dipole_kernel(wide)
    return crop_to(irfft3(spectrum, wide.shape), grid.shape)


def smv_kernel(grid: Grid, radius_mm: float) -> npt.NDArray[np.float32]:
    """Return the half spectrum of the mean over a sphere of `radius_mm`.

    The sphere is sampled with partial volume (5 points along each voxel edge) and sums
    to 1; where it is smaller than a voxel the kernel is 1 (the mean of one voxel).

    Returns
    -------
    kernel : (I, J, K//2 + 1) ndarray of float32
        Real, since the sphere is even; 1 at zero frequency.
    """
    if not radius_mm > 0:
        raise ParameterError(
            f"radius of {radius_mm} mm",
            where="smv_kernel",
            mend="Give a radius above 0, e.g. 6.",
        )
    reach = [int(np.ceil(radius_mm / d + 0.5)) for d in grid.spacing_mm]
    sub = (np.arange(5) - 2) / 5
    axes = [
        ((np.arange(-r, r + 1)[:, None] + sub).ravel() * d) ** 2
        for r, d in zip(reach, grid.spacing_mm, strict=True)
    ]
    inside = (
        axes[0][:, None, None] + axes[1][None, :, None] + axes[2][None, None, :] <= radius_mm**2
    )
    counts = inside.reshape(2 * reach[0] + 1, 5, 2 * reach[1] + 1, 5, 2 * reach[2] + 1, 5).sum(
        axis=(1, 3, 5)
    )
    ball = np.zeros(grid.shape, dtype=np.float32)
    # indices wrap, so a sphere wider than the volume adds up instead of failing
    where = np.ix_(*[np.arange(-r, r + 1) % n for r, n in zip(reach, grid.shape, strict=True)])
    np.add.at(ball, where, counts.astype(np.float32))
    ball /= ball.sum()
    return np.ascontiguousarray(rfft3(ball).real, dtype=np.float32)
