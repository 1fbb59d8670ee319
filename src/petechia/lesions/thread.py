"""How far a void is a piece of a dark thread: a vein that curves, or is seen for a short way."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.core.grid import Grid
from petechia.errors import ParameterError
from petechia.lesions.around import box_within
from petechia.lesions.shape import longest_over_middle
from petechia.lesions.void import Void


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadParams:
    """Settings of `thread_of`.

    Attributes
    ----------
    half : float
        The dark region is what has lost this share of the void's depth, and
    least_sd : float
        at least so many standard deviations of the tissue's texture.
    reach_mm : float
        So far from the void's centre [mm].
    """

    half: float = 0.5
    least_sd: float = 2.5
    reach_mm: float = 7.0

    def __post_init__(self) -> None:
        if not 0 < self.half < 1 or self.least_sd < 0 or self.reach_mm <= 0:
            raise ParameterError(
                f"{self}",
                where="ThreadParams",
                mend="half between 0 and 1, least_sd at least 0, reach_mm above 0.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """The dark region that a void is a part of.

    Attributes
    ----------
    elongation : float
        Its longest over its middle axis, 1 for a ball.
    reach_mm : float
        How far from the void's centre it goes [mm].
    reach_radii : float
        The same over the void's radius.
    """

    elongation: float = 1.0
    reach_mm: float = 0.0
    reach_radii: float = 0.0


def thread_of(
    void: Void,
    signal: npt.NDArray[np.floating],
    texture: float,
    mask: npt.NDArray[np.bool_],
    grid: Grid,
    params: ThreadParams | None = None,
) -> Thread:
    """Return the dark region that a void is a part of.

    A void ends where the watershed cut it or its core's radius allows; what is as dark and
    connected goes on. Around a microbleed little does. A thread may curve: no line through the
    void has to stay dark, as `continuation` asks. What is only known to half a voxel is not held
    against a void.

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
        return Thread()
    # half a voxel of grace along each axis: a slice more does not make a thread
    away = np.maximum(np.abs(region + corner - centre) - 0.5, 0) * grid.spacing_mm
    reach = float(np.linalg.norm(away, axis=1).max())
    radius = float(np.cbrt(0.75 / np.pi * len(void.body) * grid.voxel_mm3))
    return Thread(
        elongation=longest_over_middle(region, grid), reach_mm=reach, reach_radii=reach / radius
    )
