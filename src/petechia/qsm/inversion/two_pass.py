"""Two masks, one with the voids of strong sources left out, and the best of both maps."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.core.checks import checked_weights, require_between
from petechia.core.grid import Grid
from petechia.core.morphology import Mask
from petechia.phase.masking import MaskingParams, quality_masks
from petechia.qsm.inversion.admm import Volume
from petechia.qsm.inversion.tv import TvParams, tv


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoPassParams:
    """Settings of `two_pass`.

    Attributes
    ----------
    strength : float
        Strength of the total variation in both passes, as in `AdmmParams`.
    reliable_weight : float
        Weight, over its median in the mask, from which a voxel is reliable, 0 to 1.
    closing_mm : float
        As in `MaskingParams` [mm].
    """

    strength: float = 0.1
    reliable_weight: float = 0.25
    closing_mm: float = 3.0

    def __post_init__(self) -> None:
        usual = "0.2 to 0.5 is usual."
        require_between(self.reliable_weight, 0.0, 1.0, "TwoPassParams.reliable_weight", usual)
        TvParams(strength=self.strength)
        self.masking()

    def masking(self) -> MaskingParams:
        """Return these settings in the words of `quality_masks`."""
        least = self.reliable_weight
        return MaskingParams(least=least, most=least, closing_mm=self.closing_mm)


def two_pass(
    field_ppm: npt.NDArray[np.floating],
    weights: npt.NDArray[np.floating] | None,
    mask: Mask,
    grid: Grid,
    params: TwoPassParams = TwoPassParams(),
) -> Volume:
    """Invert without the voids of strong sources and with them, and join the maps.

    The first pass knows reliable voxels only, so that no wrong phase streaks through the
    tissue; the second knows what these enclose, too, so that no source is cut out. Both
    are `tv`; the map is that of the first pass where it is reliable, else of the second.

    Parameters
    ----------
    field_ppm : (I, J, K) ndarray of float
        Local field, background removed [ppm].
    weights : (I, J, K) ndarray of float, or None
        Trust in each voxel's field, not negative, any scale; it tells the reliable voxels.
        None trusts all of `mask`: then one pass is enough.
    mask : (I, J, K) ndarray of bool
        Where `field_ppm` is valid.
    grid : Grid
        Geometry; its affine gives the direction of the main field.
    params : TwoPassParams
        Settings.

    Returns
    -------
    chi_ppm : (I, J, K) ndarray of float32
        Susceptibility [ppm], not yet referenced; 0 outside `mask`, and at its rim where no
        reliable voxel is within reach (`quality_masks`).

    Raises
    ------
    GridMismatchError
        If an array is not on `grid`.
    InputError
        If the field or the weights are not finite, or a weight is negative.

    Notes
    -----
    Twice the time of `tv`. With weights that are small in voids, `tv` alone needs no second
    pass to keep a source; it is where weights cannot be trusted that two masks help.

    References
    ----------
    .. [1] Stewart, Robinson, O'Brien et al. (2022), Magn. Reson. Med. 87, 1289-1300,
       doi:10.1002/mrm.29048.
    """
    grid.require(mask, "mask")
    settings = TvParams(strength=params.strength)
    if not mask.any():
        return tv(field_ppm, weights, mask, grid, settings)
    if weights is not None and weights.shape == grid.shape and not np.any(weights[mask > 0]):
        return np.zeros(grid.shape, dtype=np.float32)  # nothing is reliable
    trust = checked_weights(weights, mask, grid)
    typical = float(np.median(trust[trust > 0]))
    masks = quality_masks(trust / np.float32(typical), mask, grid, params.masking())

    def invert(where: Mask) -> Volume:
        return tv(field_ppm, trust, where, grid, settings)

    if not masks.reliable.any():
        return invert(mask)
    return joined(invert, masks.reliable, masks.filled)


def joined(invert: Callable[[Mask], Volume], reliable: Mask, filled: Mask) -> Volume:
    """Return `invert(reliable)`, and `invert(filled)` in the holes of that mask.

    Every map is relative to its own mean: the second is shifted by the mean difference over
    `reliable`, so that no step is left at the rim of a hole.

    Parameters
    ----------
    invert : callable
        From a mask (I, J, K) to a map [ppm]; it may remove the background, too.
    reliable, filled : (I, J, K) ndarray of bool
        From `quality_masks`; the first a part of the second, and not empty.

    Returns
    -------
    chi_ppm : (I, J, K) ndarray of float32
        0 outside `filled`. One inversion only when the masks are the same.
    """
    first = invert(reliable)
    holes = filled & ~reliable
    if not holes.any():
        return first
    second = invert(filled)
    shift = np.mean(first[reliable] - second[reliable], dtype=np.float64)
    return np.where(holes, second + np.float32(shift), first)
