"""Two sources in each voxel from two numbers: their sum, and the sum of their sizes."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_between, require_finite
from petechia.core.grid import Grid
from petechia.core.morphology import Mask
from petechia.qsm.separation.rates import RELAXIVITY, Volume, relaxivity_at


@dataclass(frozen=True, slots=True, kw_only=True)
class VoxelwiseParams:
    """Settings of `voxelwise`.

    Attributes
    ----------
    relaxivity : float
        R2' of one ppm of spread sources, of either sign, at 3 T [1/s/ppm].
    """

    relaxivity: float = RELAXIVITY

    def __post_init__(self) -> None:
        require_between(
            self.relaxivity, 1.0, 1e4, "VoxelwiseParams.relaxivity", "137 and 114 are published."
        )


def voxelwise(
    chi_ppm: npt.NDArray[np.floating],
    r2prime: npt.NDArray[np.floating],
    b0_t: float,
    mask: Mask,
    grid: Grid,
    params: VoxelwiseParams = VoxelwiseParams(),
) -> tuple[Volume, Volume]:
    r"""Split a susceptibility map by R2'.

    .. math:: \chi = \chi_+ + \chi_-, \quad R_2' = D_r (\chi_+ - \chi_-), \quad
        \chi_\pm = \tfrac12 \left(\chi \pm \max(R_2' / D_r, |\chi|)\right)

    Parameters
    ----------
    chi_ppm : (I, J, K) ndarray of float
        Susceptibility; 0 must be what neither source is in, about water [ppm].
    r2prime : (I, J, K) ndarray of float
        R2' [1/s], 0 or more.
    b0_t : float
        Main field [T].
    mask : (I, J, K) ndarray of bool
        Where both are known.
    grid : Grid
        Geometry.
    params : VoxelwiseParams
        Settings: D_r at 3 T; it grows with the field.

    Returns
    -------
    chi_positive_ppm, chi_negative_ppm : (I, J, K) ndarray of float32
        0 or more, and 0 or less; their sum is `chi_ppm`; both 0 outside `mask` [ppm].

    Raises
    ------
    GridMismatchError
        If an array is not on `grid`.
    InputError
        If an array is not finite inside the mask, or R2' is negative there.

    Notes
    -----
    Where R2' is too small for the susceptibility, one source alone is there, and R2' counts
    no more. Assumed: both signs dephase alike, and sources are spread finely within a voxel
    (static dephasing). One large source dephases less and looks like less of both.

    References
    ----------
    .. [1] Dimov, Gillen, Nguyen et al. (2022), Tomography 8, 1544-1551,
       doi:10.3390/tomography8030127.
    .. [2] Shin, Lee, Yun et al. (2021), NeuroImage 240, 118371,
       doi:10.1016/j.neuroimage.2021.118371.
    """
    grid.require(chi_ppm, "chi_ppm")
    grid.require(mask, "mask")
    require_finite(np.where(mask, chi_ppm, 0), "chi_ppm")
    both = sizes_from(r2prime, b0_t, mask, grid, params.relaxivity)
    chi = np.where(mask, chi_ppm, 0).astype(np.float32)
    return split(chi, both)


def sizes_from(
    r2prime: npt.NDArray[np.floating], b0_t: float, mask: Mask, grid: Grid, relaxivity: float
) -> Volume:
    """Return the sum of the sizes of both sources that R2' tells of [ppm], 0 outside the mask."""
    grid.require(r2prime, "r2prime")
    inside = np.where(mask, r2prime, 0).astype(np.float32)
    require_finite(inside, "r2prime")
    low = float(inside.min(initial=0.0))
    require_between(low, 0.0, np.inf, "r2prime", "Rates are not negative: clip the map at 0.")
    inside /= np.float32(relaxivity_at(b0_t, relaxivity))
    return inside


def split(chi_ppm: Volume, both_ppm: Volume) -> tuple[Volume, Volume]:
    """Return the positive and the negative part of a map, given the sum of their sizes [ppm]."""
    both = np.maximum(both_ppm, np.abs(chi_ppm))
    positive = (both + chi_ppm) * np.float32(0.5)
    return positive, chi_ppm - positive
