"""Where a field map can be trusted: the mask less its dead rim."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.core.checks import require_between
from petechia.core.grid import Grid
from petechia.core.morphology import Mask, large_components

LEAST_SHARE = 0.01
"""Connected parts smaller than this share of what is trusted are crumbs of the dead rim."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustParams:
    """Settings of `trusted_mask`.

    Attributes
    ----------
    noise_ratio : float
        Field noise, over its median in the mask, from which a voxel at the rim is left out.
    """

    noise_ratio: float = 4.0

    def __post_init__(self) -> None:
        require_between(
            self.noise_ratio, 1.0, 1000.0, "TrustParams.noise_ratio", "3 to 6 is usual."
        )


def trusted_mask(
    field_noise_ppm: npt.NDArray[np.floating],
    mask: Mask,
    grid: Grid,
    params: TrustParams | None = None,
) -> Mask:
    """Return `mask` less the noisy voxels that reach its rim.

    Background removal spreads a wrong voxel over a whole sphere, and it is at the rim (bone,
    sinuses, ear canals) that signal and field have died. Noisy voxels enclosed by good
    ones, such as the void of a lesion, stay: they are not on a way out.

    Parameters
    ----------
    field_noise_ppm : (I, J, K) ndarray of float
        Standard deviation of the field [ppm].
    mask : (I, J, K) ndarray of bool
        Brain.
    grid : Grid
        Shared geometry.

    Returns
    -------
    (I, J, K) ndarray of bool
        What is left but for crumbs (connected parts of less than 1 %); never more than `mask`.

    Raises
    ------
    GridMismatchError
        If an array is not on `grid`.
    """
    limit = (params or TrustParams()).noise_ratio
    grid.require(field_noise_ppm, "field_noise_ppm")
    grid.require(mask, "mask")
    if not mask.any():
        return mask.copy()
    typical = float(np.median(field_noise_ppm[mask]))
    # a border of "outside", so that a mask that fills the volume has a rim too
    dead = np.pad(~mask | (field_noise_ppm > limit * typical), 1, constant_values=True)
    labels, _ = ndimage.label(dead)
    outside = labels == labels[0, 0, 0]
    return large_components(mask & ~outside[1:-1, 1:-1, 1:-1], LEAST_SHARE)
