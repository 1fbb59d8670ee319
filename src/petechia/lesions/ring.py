"""Rings in thick slices: a strong source darkens the slice around it and leaves its middle."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.core.grid import Grid
from petechia.errors import ParameterError
from petechia.lesions.slices import is_thick

Volume = npt.NDArray[np.float32]
LEFT = np.float32(1e-3)
"""So much is left of what is above the level."""
FLAT = 1.5
"""Slices are those of voxels at least so many times as thick as they are wide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RingParams:
    """Settings of `fill_rings`.

    Attributes
    ----------
    widest_mm : float
        An islet of no more area than a disc of this diameter is filled, a larger one is tissue;
        0: none is [mm].
    brightest : float
        A ring is darker than this everywhere.
    step : float
        Levels that are tried lie so far apart.
    """

    widest_mm: float = 6.0
    brightest: float = 0.7
    step: float = 0.05

    def __post_init__(self) -> None:
        if self.widest_mm < 0 or not 0 < self.step <= self.brightest < 1:
            raise ParameterError(
                f"{self}",
                where="RingParams",
                mend="widest_mm at least 0, 0 < step <= brightest < 1.",
            )


def fill_rings(signal: Volume, grid: Grid, params: RingParams | None = None) -> Volume:
    """Return a relative signal whose small bright islets, ringed by dark ones, are dark.

    In each slice by itself: what is brighter than a level, no larger than a disc and not connected
    to other such voxels by a side comes down to that level, but for a thousandth, so that its
    order stays. Within a source of some millimetres the field is even and leaves signal, and
    around it the field bends most: in a slice thicker than the source that is a dark ring.

    Parameters
    ----------
    signal : (I, J, K) ndarray of float32
        1 in undisturbed tissue, 0 in a void.
    grid : Grid
        Geometry; slices lie across its longest voxel edge. Where they are not thick, or no edge is
        clearly the longest, nothing is filled.
    params : RingParams
        Settings.

    Returns
    -------
    (I, J, K) ndarray of float32
        Nowhere brighter than `signal`.
    """
    p = params or RingParams()
    grid.require(signal, "signal")
    out = signal.copy()
    across = int(np.argmax(grid.spacing_mm))
    thick = float(grid.spacing_mm[across])
    if not is_thick(thick) or thick < FLAT * np.sort(grid.spacing_mm)[1]:
        return out
    most = int(np.pi * (p.widest_mm / 2) ** 2 * thick / grid.voxel_mm3)
    in_slice = ndimage.generate_binary_structure(3, 1)
    in_slice[tuple(slice(None, None, 2) if a == across else 1 for a in range(3))] = False
    for level in np.arange(p.brightest, p.step / 2, -p.step, dtype=np.float32):
        islets, _ = ndimage.label(signal >= level, structure=in_slice)
        small = np.bincount(islets.ravel()) <= most
        small[0] = False
        np.minimum(out, level + LEFT * (signal - level), out=out, where=small[islets])
    return out
