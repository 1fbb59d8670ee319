"""RESHARP: the smallest local field that explains what spheres leave of the total one."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_between
from petechia.core.fourier import crop_to, irfft3, pad_to, padded_grid, rfft3
from petechia.core.grid import Grid
from petechia.core.kernels import smv_kernel
from petechia.core.morphology import bounding_box
from petechia.phase.background.regularised import regularised
from petechia.phase.background.spheres import WHOLE, checked_field, least_radius, no_sphere
from petechia.phase.images import Mask, Volume


@dataclass(frozen=True, slots=True, kw_only=True)
class ResharpParams:
    """Settings of `resharp`.

    Attributes
    ----------
    radius_mm : float
        Of the sphere, and what the mask loses at its edge; never below a voxel's longest
        side [mm].
    strength : float
        Weight of the local field's own size against what the spheres leave.
    iterations : int
        Stop after so many steps of conjugate gradients at the latest.
    tolerance : float
        Stop once the gradient, preconditioned, is below this fraction of the first one.
    """

    radius_mm: float = 5.0
    strength: float = 1e-4
    iterations: int = 60
    tolerance: float = 0.0002

    def __post_init__(self) -> None:
        require_between(self.radius_mm, 0.5, 60, "ResharpParams.radius_mm", "4 to 6 is usual.")
        require_between(self.strength, 0.0, 10.0, "ResharpParams.strength", "1e-4 to 1e-2.")
        require_between(self.iterations, 1, 10_000, "ResharpParams.iterations", "20 to 60.")
        require_between(self.tolerance, 0.0, 0.9, "ResharpParams.tolerance", "0.0002 is usual.")


def resharp(
    field_ppm: npt.NDArray[np.floating],
    mask: npt.NDArray[np.bool_],
    grid: Grid,
    params: ResharpParams | None = None,
) -> tuple[Volume, Mask]:
    r"""Remove the field of sources outside the mask by regularised spherical means.

    .. math:: \min_{f_l} \| M ((\delta - S) * f_l - (\delta - S) * f) \|_2^2
        + \lambda \| f_l \|_2^2

    with M the voxels around which the sphere S fits into the mask.

    Parameters
    ----------
    field_ppm : (I, J, K) ndarray of float
        Total field [ppm].
    mask : (I, J, K) ndarray of bool
        Where the field is known. Beyond the volume counts as outside the mask.
    grid : Grid
        Any spacing; the sphere is a sphere in millimetres.
    params : ResharpParams, optional

    Returns
    -------
    local_field_ppm : (I, J, K) ndarray of float32
        0 outside `mask_eroded` [ppm].
    mask_eroded : (I, J, K) ndarray of bool
        M.

    Raises
    ------
    UnfitError
        If the sphere fits nowhere.
    InputError
        If shapes disagree, the mask is empty or the field is not finite.

    Notes
    -----
    Three round trips of real transforms a step of conjugate gradients, in the box of the mask;
    they are preconditioned in k-space (`regularised`), so that few are needed.

    References
    ----------
    .. [1] Sun & Wilman (2014), Magn. Reson. Med. 71, 1151-1157, doi:10.1002/mrm.24765.
    """
    params = params or ResharpParams()
    mask = checked_field(field_ppm, mask, grid)
    out, kept = np.zeros(grid.shape, dtype=np.float32), np.zeros(grid.shape, dtype=np.bool_)
    box = bounding_box(mask)
    near, inside = grid.cut(box), mask[box]
    radius = least_radius(params.radius_mm, grid)
    wide = padded_grid(near, 2 * radius)
    high = smv_kernel(wide, radius)
    part = irfft3(rfft3(pad_to(inside, wide.shape)) * high, wide.shape)
    fits = inside & (crop_to(part, near.shape) > WHOLE)
    if not fits.any():
        raise no_sphere(radius, mask, "resharp")
    field = np.where(inside, field_ppm[box], 0).astype(np.float32)
    size = float(np.sqrt(np.mean(np.square(field[inside]), dtype=np.float64)))
    kept[box] = fits
    if size > 0:
        np.subtract(1, high, out=high)
        field /= np.float32(size)
        solved = _solved(pad_to(field, wide.shape), pad_to(fits, wide.shape), high, wide, params)
        out[box] = np.float32(size) * crop_to(solved, near.shape) * fits
    return out, kept


def _solved(field: Volume, fits: Volume, high: Volume, grid: Grid, params: ResharpParams) -> Volume:
    """Return the regularised local field."""

    def left(volume: Volume) -> Volume:
        """Apply delta - S, which is its own adjoint."""
        spectrum = rfft3(volume)
        spectrum *= high
        return np.asarray(irfft3(spectrum, grid.shape), dtype=np.float32)

    def made(volume: Volume) -> Volume:
        out = left(volume)
        out *= fits
        return out

    return regularised(
        made(field), made, left, high * high, params.strength, params.iterations, params.tolerance
    )
