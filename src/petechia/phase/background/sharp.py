"""SHARP: what the mean over one sphere does not explain."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_between
from petechia.core.grid import Grid
from petechia.phase.background.spheres import by_one_sphere, restored
from petechia.phase.images import Mask, Volume


@dataclass(frozen=True, slots=True, kw_only=True)
class SharpParams:
    """Settings of `sharp`.

    Attributes
    ----------
    radius_mm : float
        Of the sphere, and what the mask loses at its edge; never below a voxel's longest
        side [mm].
    threshold : float
        Spatial frequencies of which the sphere leaves less are not restored.
    """

    radius_mm: float = 5.0
    threshold: float = 0.03

    def __post_init__(self) -> None:
        require_between(self.radius_mm, 0.5, 60, "SharpParams.radius_mm", "4 to 8 is usual.")
        require_between(self.threshold, 1e-6, 0.5, "SharpParams.threshold", "Usual is 0.03.")


def sharp(
    field_ppm: npt.NDArray[np.floating],
    mask: npt.NDArray[np.bool_],
    grid: Grid,
    params: SharpParams | None = None,
) -> tuple[Volume, Mask]:
    r"""Remove the field of sources outside the mask.

    A background field is harmonic, so it equals its mean over a sphere S that lies in the
    mask; with M the voxels around which it does,

    .. math:: f_\mathrm{local} = (\delta - S)^{-1} * M \, (\delta - S) * f

    where frequencies of which :math:`1 - \hat S` leaves less than the threshold stay 0.

    Parameters
    ----------
    field_ppm : (I, J, K) ndarray of float
        Total field [ppm].
    mask : (I, J, K) ndarray of bool
        Where the field is known. Beyond the volume counts as outside the mask.
    grid : Grid
        Any spacing; the sphere is a sphere in millimetres.
    params : SharpParams, optional

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
    Three round trips of real transforms. Smooth local fields are lost below the threshold;
    `vsharp` loses less of them and of the rim.

    References
    ----------
    .. [1] Schweser, Deistung, Lehr & Reichenbach (2011), NeuroImage 54, 2789-2807,
       doi:10.1016/j.neuroimage.2010.10.070.
    """
    params = params or SharpParams()

    def solved(high: Volume, fits: Mask, kernel: Volume, wide: Grid) -> Volume:
        return restored(high, kernel, fits, wide, params.threshold)

    return by_one_sphere(field_ppm, mask, grid, params.radius_mm, "sharp", solved)
