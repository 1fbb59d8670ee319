"""V-SHARP: what the spherical mean does not explain, with spheres that shrink at the edge."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_between
from petechia.core.fourier import padded_grid
from petechia.core.grid import Grid
from petechia.core.morphology import bounding_box
from petechia.phase.background.spheres import (
    checked_field,
    least_radius,
    less_spherical_means,
    no_sphere,
    require_order,
    restored,
)
from petechia.phase.images import Mask, Volume


@dataclass(frozen=True, slots=True, kw_only=True)
class VsharpParams:
    """Settings of `vsharp`.

    Attributes
    ----------
    radius_max_mm : float
        Largest sphere [mm].
    radius_min_mm : float
        Smallest sphere, and what the mask loses at its edge; never below one voxel [mm].
    step_mm : float
        Difference of successive radii [mm].
    threshold : float
        Spatial frequencies that the largest sphere passes less than this are not restored.
    """

    radius_max_mm: float = 12.0
    radius_min_mm: float = 1.0
    step_mm: float = 1.0
    threshold: float = 0.05

    def __post_init__(self) -> None:
        where = "VsharpParams"
        require_between(self.radius_max_mm, 0.5, 60, f"{where}.radius_max_mm", "Usual is 12.")
        require_between(self.step_mm, 0.1, 20, f"{where}.step_mm", "Usual is 1.")
        require_between(self.threshold, 1e-6, 0.5, f"{where}.threshold", "Usual is 0.05.")
        require_order(self.radius_min_mm, self.radius_max_mm, where)


def vsharp(
    field_ppm: npt.NDArray[np.floating],
    mask: npt.NDArray[np.bool_],
    grid: Grid,
    params: VsharpParams | None = None,
) -> tuple[Volume, Mask]:
    r"""Remove the field of sources outside the mask.

    A background field is harmonic, so it equals its mean over any sphere :math:`S_r` that
    lies in the mask. With r(x) the largest such radius,

    .. math:: (\delta - S_R) * f_\mathrm{local} \approx [(\delta - S_{r(x)}) * f](x)

    which is divided by :math:`1 - \hat S_R` of the largest radius R where this exceeds the
    threshold.

    Parameters
    ----------
    field_ppm : (I, J, K) ndarray of float
        Total field [ppm].
    mask : (I, J, K) ndarray of bool
        Where the field is known. Beyond the volume counts as outside the mask.
    grid : Grid
        Any spacing; spheres are spheres in millimetres.
    params : VsharpParams, optional

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
    Radii for which no voxel is left are skipped, and R is the largest that is used. The
    smallest radius is raised to the longest side of a voxel: a smaller sphere is a disc,
    over which a harmonic field has another mean. Two transforms a radius.

    References
    ----------
    .. [1] Wu, Li, Guidon & Liu (2012), Magn. Reson. Med. 67, 137-147,
       doi:10.1002/mrm.23000.
    .. [2] Li, Wu & Liu (2011), NeuroImage 55, 1645-1656,
       doi:10.1016/j.neuroimage.2010.11.088.
    """
    params = params or VsharpParams()
    mask = checked_field(field_ppm, mask, grid)
    out, kept = np.zeros(grid.shape, dtype=np.float32), np.zeros(grid.shape, dtype=np.bool_)
    box = bounding_box(mask)
    out[box], kept[box] = _in_box(field_ppm[box], mask[box], grid.cut(box), params)
    return out, kept


def _in_box(
    field_ppm: npt.NDArray[np.floating], mask: Mask, grid: Grid, params: VsharpParams
) -> tuple[Volume, Mask]:
    """Do all of `vsharp` on a grid no larger than the mask."""
    radii = _radii(grid, params)
    wide = padded_grid(grid, radii[0])
    local = np.zeros(grid.shape, dtype=np.float32)
    done = np.zeros(grid.shape, dtype=np.bool_)
    largest: Volume | None = None
    for _, kernel, fits, high in less_spherical_means(field_ppm, mask, grid, wide, radii):
        if largest is None:
            largest = kernel
        local[fits] = high[fits]
        done |= fits
    if largest is None:
        raise no_sphere(float(radii[-1]), mask, "vsharp", "radius_min_mm")
    return restored(local, largest, done, wide, params.threshold), done


def _radii(grid: Grid, params: VsharpParams) -> npt.NDArray[np.float64]:
    """Return the radii from the largest to the smallest, never below a voxel's side [mm]."""
    smallest = least_radius(params.radius_min_mm, grid)
    largest = max(params.radius_max_mm, smallest)
    radii = np.arange(largest, smallest - 1e-6, -params.step_mm)
    if radii[-1] > smallest + 1e-6:
        radii = np.append(radii, smallest)
    return radii
