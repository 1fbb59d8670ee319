"""RESHARP: the smallest local field that explains what spheres leave of the total one."""

import logging
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_between, require_finite
from petechia.core.fourier import crop_to, irfft3, pad_to, padded_grid, rfft3
from petechia.core.grid import Grid
from petechia.core.kernels import smv_kernel
from petechia.core.morphology import bounding_box
from petechia.errors import UnfitError
from petechia.phase.background.spheres import WHOLE
from petechia.phase.images import Mask, Volume, checked_mask

log = logging.getLogger(__name__)


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
        Stop once the residual gradient is below this fraction of the first one.
    """

    radius_mm: float = 5.0
    strength: float = 1e-4
    iterations: int = 60
    tolerance: float = 0.001

    def __post_init__(self) -> None:
        require_between(self.radius_mm, 0.5, 60, "ResharpParams.radius_mm", "4 to 6 is usual.")
        require_between(self.strength, 0.0, 10.0, "ResharpParams.strength", "1e-4 to 1e-2.")
        require_between(self.iterations, 1, 10_000, "ResharpParams.iterations", "20 to 60.")
        require_between(self.tolerance, 0.0, 0.9, "ResharpParams.tolerance", "0.001 is usual.")


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
    Two round trips of real transforms a step of conjugate gradients, in the box of the mask.

    References
    ----------
    .. [1] Sun & Wilman (2014), Magn. Reson. Med. 71, 1151-1157, doi:10.1002/mrm.24765.
    """
    params = params or ResharpParams()
    grid.require(field_ppm, "field_ppm")
    require_finite(field_ppm, "field_ppm")
    mask = checked_mask(mask, grid)
    out, kept = np.zeros(grid.shape, dtype=np.float32), np.zeros(grid.shape, dtype=np.bool_)
    box = bounding_box(mask)
    near, inside = grid.cut(box), mask[box]
    radius = max(params.radius_mm, float(grid.spacing_mm.max()))
    wide = padded_grid(near, 2 * radius)
    high = smv_kernel(wide, radius)
    part = irfft3(rfft3(pad_to(inside, wide.shape)) * high, wide.shape)
    fits = inside & (crop_to(part, near.shape) > WHOLE)
    if not fits.any():
        raise UnfitError(
            f"no sphere of {radius:g} mm fits into the mask of {int(mask.sum())} voxels",
            where="resharp",
            mend="Give a larger mask or a smaller radius_mm.",
        )
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
    """Return the regularised local field by conjugate gradients on the normal equations."""

    def left(volume: Volume) -> Volume:
        """Apply delta - S, which is its own adjoint."""
        spectrum = rfft3(volume)
        spectrum *= high
        return np.asarray(irfft3(spectrum, grid.shape), dtype=np.float32)

    strength = np.float32(params.strength)
    local = np.zeros_like(field)
    residual = left(field)
    residual *= fits
    gradient = left(residual)
    first = size = float(np.vdot(gradient, gradient))
    step = gradient.copy()
    n = 0
    while n < params.iterations and size > params.tolerance**2 * first:
        n += 1
        change = left(step)
        change *= fits
        curvature = float(np.vdot(change, change)) + params.strength * float(np.vdot(step, step))
        length = np.float32(size / max(curvature, 1e-30))
        local += length * step
        change *= length
        residual -= change
        gradient = left(residual)
        gradient -= strength * local
        before, size = size, float(np.vdot(gradient, gradient))
        step *= np.float32(size / before)
        step += gradient
    log.info("RESHARP: %d steps, gradient %.2g of the first", n, np.sqrt(size / max(first, 1e-30)))
    return local
