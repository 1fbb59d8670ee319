"""The regularised local field that explains what spheres of several sizes leave of the total."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_between
from petechia.core.fourier import crop_to, irfft3, pad_to, padded_grid, rfft3
from petechia.core.grid import Grid
from petechia.core.morphology import bounding_box
from petechia.phase.background.regularised import regularised
from petechia.phase.background.spheres import (
    checked_field,
    least_radius,
    less_spherical_means,
    no_sphere,
    require_order,
)
from petechia.phase.images import Mask, Volume


@dataclass(frozen=True, slots=True, kw_only=True)
class VresharpParams:
    """Settings of `vresharp`.

    Attributes
    ----------
    radius_max_mm, radius_min_mm : float
        Largest and smallest sphere [mm]. The smallest, what the mask loses at its edge, is
        raised to the longest side of a voxel, as in V-SHARP.
    n_radii : int
        Spheres, their radii in geometric steps. One round trip of transforms a step each, and
        one for all.
    strength : float
        Weight of the local field's own size against what the spheres leave.
    iterations : int
        Stop after so many steps of conjugate gradients at the latest.
    tolerance : float
        Stop once the gradient, preconditioned, is below this fraction of the first one.
    """

    radius_max_mm: float = 12.0
    radius_min_mm: float = 1.0
    n_radii: int = 3
    strength: float = 1e-4
    iterations: int = 30
    tolerance: float = 0.005

    def __post_init__(self) -> None:
        where = "VresharpParams"
        require_between(self.radius_max_mm, 0.5, 60, f"{where}.radius_max_mm", "12 is usual.")
        require_between(self.n_radii, 1, 20, f"{where}.n_radii", "3 is usual.")
        require_between(self.strength, 0.0, 10.0, f"{where}.strength", "1e-4 to 1e-2.")
        require_between(self.iterations, 1, 10_000, f"{where}.iterations", "10 to 60.")
        require_between(self.tolerance, 0.0, 0.9, f"{where}.tolerance", "0.005 is usual.")
        require_order(self.radius_min_mm, self.radius_max_mm, where)


def vresharp(
    field_ppm: npt.NDArray[np.floating],
    mask: npt.NDArray[np.bool_],
    grid: Grid,
    params: VresharpParams | None = None,
) -> tuple[Volume, Mask]:
    r"""Remove the field of sources outside the mask by regularised means over several spheres.

    .. math:: \min_{f_l} \sum_r \| M_r (\delta - S_r) * (f_l - f) \|_2^2
        + \lambda \| f_l \|_2^2

    with M_r the voxels whose largest sphere in the mask has radius r: the spheres of V-SHARP,
    which keep the rim, without its division, which is wrong where the radius changes.

    Parameters
    ----------
    field_ppm : (I, J, K) ndarray of float
        Total field [ppm].
    mask : (I, J, K) ndarray of bool
        Where the field is known. Beyond the volume counts as outside the mask.
    grid : Grid
        Any spacing; spheres are spheres in millimetres.
    params : VresharpParams, optional

    Returns
    -------
    local_field_ppm : (I, J, K) ndarray of float32
        0 outside `mask_eroded` [ppm].
    mask_eroded : (I, J, K) ndarray of bool
        Voxels around which the smallest sphere fits into the mask.

    Raises
    ------
    UnfitError
        If the smallest sphere fits nowhere.
    InputError
        If shapes disagree, the mask is empty or the field is not finite.

    Notes
    -----
    The combination is ours: RESHARP [1]_ has one sphere, V-SHARP [2]_ divides. The conjugate
    gradients are preconditioned in k-space (`regularised`): fewer than ten steps.

    References
    ----------
    .. [1] Sun & Wilman (2014), Magn. Reson. Med. 71, 1151-1157, doi:10.1002/mrm.24765.
    .. [2] Wu, Li, Guidon & Liu (2012), Magn. Reson. Med. 67, 137-147,
       doi:10.1002/mrm.23000.
    """
    params = params or VresharpParams()
    mask = checked_field(field_ppm, mask, grid)
    out, kept = np.zeros(grid.shape, dtype=np.float32), np.zeros(grid.shape, dtype=np.bool_)
    box = bounding_box(mask)
    near = grid.cut(box)
    smallest = least_radius(params.radius_min_mm, grid)
    largest = max(params.radius_max_mm, smallest)
    wide = padded_grid(near, largest)
    radii = np.geomspace(largest, smallest, params.n_radii if largest > smallest else 1)
    left, parts, kernels = np.zeros(wide.shape, dtype=np.float32), [], []
    level = np.float32(np.median(np.asarray(field_ppm)[mask]))
    for _, kernel, fits, high in less_spherical_means(
        field_ppm[box] - level, mask[box], near, wide, radii
    ):
        part = pad_to(fits, wide.shape) > 0
        left += pad_to(high * fits, wide.shape)
        parts.append(part)
        kernels.append(1 - kernel)
        kept[box] |= fits
    if not parts:
        raise no_sphere(smallest, mask, "vresharp", "radius_min_mm")
    size = float(np.sqrt(np.vdot(left, left) / kept.sum()))
    if size > 0:
        left /= np.float32(size)
        solved = _solved(left, parts, kernels, wide, params)
        out[box] = np.float32(size) * crop_to(solved, near.shape) * kept[box]
    return out, kept


def _solved(
    residual: Volume, parts: list[Mask], kernels: list[Volume], wide: Grid, params: VresharpParams
) -> Volume:
    """Return the regularised local field; `residual`, what the spheres left, is overwritten."""

    def made(volume: Volume) -> Volume:
        """Return what each voxel's own sphere leaves of a field."""
        out = np.zeros_like(volume)
        spectrum = rfft3(volume)
        for part, kernel in zip(parts, kernels, strict=True):
            np.copyto(out, irfft3(spectrum * kernel, wide.shape), where=part)
        return out

    def adjoint(volume: Volume) -> Volume:
        spectrum = np.zeros(kernels[0].shape, dtype=np.complex64)
        for part, kernel in zip(parts, kernels, strict=True):
            spectrum += rfft3(volume * part) * kernel
        return np.asarray(irfft3(spectrum, wide.shape), dtype=np.float32)

    squared = np.zeros_like(kernels[0])
    for part, kernel in zip(parts, kernels, strict=True):
        squared += np.float32(part.mean() / sum(p.mean() for p in parts)) * kernel * kernel
    return regularised(
        residual, made, adjoint, squared, params.strength, params.iterations, params.tolerance
    )
