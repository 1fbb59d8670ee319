"""Two masks from a quality map: where the phase can be trusted, and that with its holes filled."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_between, require_finite
from petechia.core.grid import Grid
from petechia.core.morphology import (
    Mask,
    bounding_box,
    close_mm,
    fill_holes,
    large_components,
    widened_box,
)
from petechia.errors import ParameterError
from petechia.phase.trust import LEAST_SHARE

BINS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskingParams:
    """Settings of `quality_masks`.

    Attributes
    ----------
    least, most : float
        Bounds of the automatic threshold, 0 to 1: a mask of nothing but good phase has no
        valley to find, and must not be cut in two. Equal bounds set the threshold by hand.
    closing_mm : float
        Holes that open outwards through less than twice this are filled too [mm].
    """

    least: float = 0.3
    most: float = 0.6
    closing_mm: float = 3.0

    def __post_init__(self) -> None:
        usual = "0.3 to 0.6 is usual."
        require_between(self.least, 0.0, 1.0, "MaskingParams.least", usual)
        require_between(self.most, 0.0, 1.0, "MaskingParams.most", usual)
        require_between(self.closing_mm, 0.0, 50.0, "MaskingParams.closing_mm", "2 to 4 is usual.")
        if self.least > self.most:
            raise ParameterError(
                f"{self.least} is above most = {self.most}",
                where="MaskingParams.least",
                mend="Give bounds in order, or both the same.",
            )


class QualityMasks(NamedTuple):
    """What `quality_masks` returns."""

    reliable: Mask
    filled: Mask
    threshold: float


def quality_masks(
    quality: npt.NDArray[np.floating],
    mask: Mask,
    grid: Grid,
    params: MaskingParams = MaskingParams(),
) -> QualityMasks:
    """Return the voxels whose phase can be trusted, and these with their holes filled.

    The two masks of [1]_: the first leaves out the voids of strong sources, whose wrong phase
    streaks, the second keeps them in the map. `two_pass` inverts with both. The threshold
    is that of Otsu [2]_, kept within bounds.

    Parameters
    ----------
    quality : (I, J, K) ndarray of float
        Trust in each voxel, 0 to 1: `phase_quality`, or field weights over their median.
    mask : (I, J, K) ndarray of bool
        Brain.
    grid : Grid
        Shared geometry.
    params : MaskingParams
        Settings.

    Returns
    -------
    reliable : (I, J, K) ndarray of bool
        The voxels of `mask` at or above the threshold, but for crumbs.
    filled : (I, J, K) ndarray of bool
        That, its gaps up to twice `closing_mm` wide closed and what it then encloses
        (through corners, too) filled; never more than `mask`.
    threshold : float
        The one used.

    Raises
    ------
    GridMismatchError
        If an array is not on `grid`.
    InputError
        If the quality is not finite.

    Notes
    -----
    A bay of bad phase at the rim wider than twice `closing_mm` belongs to neither mask. The
    rim of a convex mask is not moved by the closing.

    References
    ----------
    .. [1] Stewart, Robinson, O'Brien et al. (2022), Magn. Reson. Med. 87, 1289-1300,
       doi:10.1002/mrm.29048.
    .. [2] Otsu (1979), IEEE Trans. Syst. Man Cybern. 9, 62-66,
       doi:10.1109/TSMC.1979.4310076.
    """
    grid.require(quality, "quality")
    grid.require(mask, "mask")
    require_finite(quality, "quality")
    inside = mask.astype(bool)
    if not inside.any():
        return QualityMasks(inside, inside.copy(), params.most)
    found = valley(np.clip(quality[inside], 0, 1))
    threshold = min(max(found, params.least), params.most)
    reliable = large_components(inside & (quality >= threshold), LEAST_SHARE)
    return QualityMasks(reliable, filled_within(reliable, inside, grid, params), threshold)


def filled_within(reliable: Mask, mask: Mask, grid: Grid, params: MaskingParams) -> Mask:
    """Return `reliable` with its gaps closed and its holes filled, inside `mask`."""
    room = np.ceil(2 * params.closing_mm / grid.spacing_mm).astype(int) + 1
    near = widened_box(bounding_box(mask), room, grid.shape)
    out = np.zeros_like(mask)
    closed = close_mm(reliable[near], grid.cut(near), params.closing_mm) & mask[near]
    out[near] = fill_holes(closed) & mask[near]
    return out


def valley(values: npt.NDArray[np.floating]) -> float:
    """Return the threshold that parts `values` (0 to 1) with most variance between the parts."""
    counts, edges = np.histogram(values, bins=BINS, range=(0.0, 1.0))
    middles = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)[:-1].astype(np.float64)
    above = below[-1] + counts[-1] - below
    sums = np.cumsum(counts * middles)
    low = sums[:-1] / np.maximum(below, 1)
    high = (sums[-1] - sums[:-1]) / np.maximum(above, 1)
    between = below * above * (high - low) ** 2
    best = np.flatnonzero(between == between.max())  # an empty gap is flat: take its middle
    return float(edges[1:-1][best].mean())
