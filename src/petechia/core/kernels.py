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

    Raises
    ------
    ParameterError
        If the axes of `grid` do not stand at right angles.

    References
    ----------
    .. [1] Salomir, de Senneville & Moonen (2003), Concepts Magn. Reson. 19B,
       26-34, doi:10.1002/cmr.b.10083.
    """
    grid.require_square("dipole_kernel")
    k0, k1, k2 = frequencies(grid)
    k_squared = k0 * k0 + k1 * k1 + k2 * k2
    k_squared[0, 0, 0] = 1.0  # any non-zero value: the mean is set below
    kernel = np.float32(1 / 3) - _along_squared(grid) / k_squared
    kernel[0, 0, 0] = 0.0
    return np.asarray(kernel, dtype=np.float32)


def _along_squared(grid: Grid) -> npt.NDArray[np.float32]:
    """Return (k.b)^2, averaged over the two signs of each Nyquist frequency.

    These frequencies of even sizes have no partner: their products with the other axes take
    either sign, so that the mean keeps their squares only. The kernel stays real and even.
    """
    paired, alone = [], []
    for k, b, n in zip(frequencies(grid), grid.b0_dir, grid.shape, strict=True):
        part = np.float32(b) * k
        nyquist = np.zeros_like(part)
        if n % 2 == 0:
            nyquist.flat[n // 2] = part.flat[n // 2]
        paired.append(part - nyquist)
        alone.append(nyquist * nyquist)
    square = paired[0] + paired[1] + paired[2]
    square *= square
    for part in alone:
        square += part
    return np.asarray(square, dtype=np.float32)


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
    # plane by plane and a quarter of each: the sphere is even along every axis
    squares = [
        ((np.arange(r + 1)[:, None] + sub) * d) ** 2
        for r, d in zip(reach, grid.spacing_mm, strict=True)
    ]
    ball = np.zeros(grid.shape, dtype=np.float32)
    # indices wrap, so a sphere wider than the volume adds up instead of failing
    offsets = [np.arange(-r, r + 1) for r in reach[1:]]
    where = np.ix_(*[at % n for at, n in zip(offsets, grid.shape[1:], strict=True)])
    quarter = np.ix_(*[np.abs(at) for at in offsets])
    for plane, depths in enumerate(squares[0]):
        counts = np.zeros((reach[1] + 1, reach[2] + 1), dtype=np.float32)
        for depth in depths:
            inside = (depth + squares[1]).reshape(-1, 1) + squares[2].ravel() <= radius_mm**2
            counts += inside.reshape(len(squares[1]), 5, -1, 5).sum(axis=(1, 3))
        for at in {plane, -plane}:
            np.add.at(ball[at % grid.shape[0]], where, counts[quarter])
    ball /= ball.sum()
    return np.ascontiguousarray(rfft3(ball).real, dtype=np.float32)
