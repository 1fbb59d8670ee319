"""Whether a void is a piece of a dark thread: a vein that curves, or is seen for a short way."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.core.grid import Grid
from petechia.errors import ParameterError
from petechia.lesions.around import box_within
from petechia.lesions.classify import ramp
from petechia.lesions.shape import longest_over_middle
from petechia.lesions.void import Void


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadParams:
    """Settings of `thread_of`, set on simulated scans of two simulators.

    Attributes
    ----------
    half : float
        The dark region is what has lost this share of the void's depth, and
    least_sd : float
        at least so many standard deviations of the tissue's texture.
    reach_mm : float
        So far from the void's centre [mm].
    long : tuple of two floats
        Longest over middle axis of that region: no thread up to the first, one from the second.
    far : tuple of two floats
        The same for its farthest voxel over the radius of the void.
    thickest_mm : float
        Slices so thick tell nothing: a void in two of them is long.
    log_odds : float
        What a thread takes from the log-odds of a microbleed.
    """

    half: float = 0.5
    least_sd: float = 2.5
    reach_mm: float = 7.0
    long: tuple[float, float] = (1.6, 2.4)
    far: tuple[float, float] = (1.7, 3.0)
    thickest_mm: float = 3.0
    log_odds: float = 2.0

    def __post_init__(self) -> None:
        if (
            not 0 < self.half < 1
            or min(self.least_sd, self.log_odds) < 0
            or min(self.reach_mm, self.thickest_mm) <= 0
            or not 1 <= self.long[0] < self.long[1]
            or not 0 < self.far[0] < self.far[1]
        ):
            raise ParameterError(
                f"{self}",
                where="ThreadParams",
                mend="half between 0 and 1; reach_mm and thickest_mm above 0; least_sd and "
                "log_odds at least 0; long and far two rising numbers, long from 1.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """The dark region that a void is a part of.

    Attributes
    ----------
    likeness : float
        0: no thread; 1: one.
    reach_mm : float
        How far from the void's centre it goes [mm].
    """

    likeness: float
    reach_mm: float


def thread_of(
    void: Void,
    signal: npt.NDArray[np.floating],
    texture: float,
    mask: npt.NDArray[np.bool_],
    grid: Grid,
    params: ThreadParams | None = None,
) -> Thread:
    """Return how much a void is a piece of a thread.

    A void ends where the watershed cut it or its core's radius allows; what is as dark and
    connected goes on. Around a microbleed little does. A thread may curve: no line through the
    void has to stay dark, as `continuation` asks. What is only known to half a voxel is not held
    against a void, and nothing is told in thick slices.

    Parameters
    ----------
    void : Void
        From `grow_voids`.
    signal : (I, J, K) ndarray of float
        1 in undisturbed tissue, 0 in a void.
    texture : float
        Its spread in undisturbed tissue.
    mask : (I, J, K) ndarray of bool
        Brain.
    grid : Grid
        Geometry.
    params : ThreadParams
        Settings.
    """
    p = params or ThreadParams()
    if grid.spacing_mm.max() >= p.thickest_mm:
        return Thread(likeness=0.0, reach_mm=0.0)
    centre = void.body.mean(axis=0)
    box = box_within(centre, p.reach_mm, grid)
    corner = np.array([s.start for s in box])
    depth = void.background - void.least
    dark = signal[box] < void.background - max(p.half * depth, p.least_sd * texture)
    parts, _ = ndimage.label(dark & mask[box])
    own = void.body - corner
    own = own[((own >= 0) & (own < parts.shape)).all(axis=1)]
    mine = np.unique(parts[tuple(own.T)])
    region = np.argwhere(np.isin(parts, mine[mine > 0]))
    if len(region) < 2:
        return Thread(likeness=0.0, reach_mm=0.0)
    # half a voxel of grace along each axis: a slice more does not make a thread
    away = np.maximum(np.abs(region + corner - centre) - 0.5, 0) * grid.spacing_mm
    reach = float(np.linalg.norm(away, axis=1).max())
    radius = float(np.cbrt(0.75 / np.pi * len(void.body) * grid.voxel_mm3))
    likeness = ramp(longest_over_middle(region, grid), *p.long) * ramp(reach / radius, *p.far)
    return Thread(likeness=likeness, reach_mm=reach)
