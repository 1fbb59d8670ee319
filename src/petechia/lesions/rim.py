"""The rim of the brain, darkened by fluid, bone and errors of the mask, brought level."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.core.blocks import Blocks
from petechia.core.grid import Grid
from petechia.core.morphology import distance_inside_mm
from petechia.errors import ParameterError

Volume = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
BLOCK_MM = 3.0
BRIGHTEST = 1.3
"""No value counts for more in the mean of a layer: fluid would brighten it."""
SUPPORT = 0.1
"""What is added to each layer of undisturbed tissue, as a share of a flat layer without end: where
a layer is hardly larger than a lesion, the lesion is not its own measure."""
SHELL_MM = 1.0
"""Distance between the depths at which the rim is read [mm]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RimParams:
    """Settings of `Rim`.

    Attributes
    ----------
    depth_mm : float
        How deep the rim is brought level; from half a millimetre deeper on it fades within one
        more. 0: there is none [mm].
    scale_mm : float
        Standard deviation of the smoothing along it; several times the radius of what is looked
        for [mm].
    least : float
        The rim is never taken for darker than this share of the tissue within: noise would be
        raised, too.
    """

    depth_mm: float = 4.0
    scale_mm: float = 6.0
    least: float = 0.4

    def __post_init__(self) -> None:
        if self.depth_mm < 0 or self.scale_mm <= 0 or not 0 < self.least <= 1:
            raise ParameterError(
                f"{self}",
                where="RimParams",
                mend="depth_mm at least 0, scale_mm above 0, 0 < least <= 1.",
            )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Shell:
    """Voxels about equally deep.

    Attributes
    ----------
    some : (M,) ndarray of int
        Which of the rim's voxels.
    part : (M,) ndarray of float
        How far each belongs to this shell, 0 to 1.
    block : (M,) ndarray of int
        Its block, as a flat index.
    place : (3, M) ndarray of float
        Where it lies, in blocks.
    weight : (A, B, C) ndarray of float
        The parts, summed over blocks and smoothed.
    """

    some: npt.NDArray[np.int64]
    part: Floats
    block: npt.NDArray[np.int64]
    place: Floats
    weight: Floats


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Rim:
    """The voxels near the edge of a mask, in shells of equal depth.

    Attributes
    ----------
    voxels : (3, N) ndarray of int
        Those that lie no deeper than the last shell.
    shells : tuple of Shell
        Outermost first. A voxel between two belongs to both in part, and beyond the last to the
        tissue within.
    support : float
        Weight of the undisturbed tissue that is added to each block of a shell.
    grid : Grid
        Geometry of the blocks on which shells are smoothed.
    params : RimParams
        Settings.
    """

    voxels: npt.NDArray[np.int64]
    shells: tuple[Shell, ...]
    support: float
    grid: Grid
    params: RimParams

    @classmethod
    def of(cls, mask: Mask, grid: Grid, params: RimParams | None = None) -> Self:
        """Return the rim of a mask."""
        p = params or RimParams()
        depth = distance_inside_mm(mask, grid)
        count = int(np.ceil(p.depth_mm / SHELL_MM - 1e-6)) + 1 if p.depth_mm else 0
        voxels = np.array(np.nonzero(mask & (depth < (count + 0.5) * SHELL_MM)))
        # the first shell lies half a step within; what is shallower belongs to it
        level = np.maximum(depth[tuple(voxels)] / SHELL_MM - 0.5, 0.0).astype(np.float64)
        blocks = Blocks.of(grid, BLOCK_MM)
        factors, coarse = np.asarray(blocks.factors)[:, None], blocks.coarse
        block = np.ravel_multi_index(tuple(voxels // factors), coarse.shape)
        place = (voxels - (factors - 1) / 2) / factors
        shells = []
        for n in range(count):
            part = np.clip(1 - np.abs(level - n), 0, 1)
            some = np.flatnonzero(part)
            shells.append(
                Shell(
                    some=some, part=part[some], block=block[some], place=place[:, some],
                    weight=_smoothed(block[some], part[some], coarse, p),
                )
            )  # fmt: skip
        # what a flat layer without end would weigh in a block
        whole = SHELL_MM / (np.sqrt(2 * np.pi) * p.scale_mm) * float(np.prod(blocks.factors))
        return cls(
            voxels=voxels, shells=tuple(shells), support=SUPPORT * whole, grid=coarse, params=p
        )

    def level(self, signal: Volume) -> Volume:
        """Return a relative signal with the rim as bright as the tissue within.

        Each voxel near the edge is divided by the mean of what lies as deep as it within some
        millimetres along the rim. What a layer has in common (fluid beside bone, a mask that is too
        wide) goes; a spot much smaller than the smoothing stays, and stands out.

        Parameters
        ----------
        signal : (I, J, K) ndarray of float32
            From `relative_signal`.
        """
        at = tuple(self.voxels)
        values = np.minimum(signal[at], BRIGHTEST)
        mean = np.ones(values.shape)
        for shell in self.shells:
            total = _smoothed(shell.block, shell.part * values[shell.some], self.grid, self.params)
            level = (total + self.support) / (shell.weight + self.support)
            here = ndimage.map_coordinates(level, shell.place, order=1, mode="nearest")
            mean[shell.some] += shell.part * (here - 1)
        out = signal.copy()
        out[at] = np.minimum(signal[at] / np.clip(mean, self.params.least, 1), 2.0)
        return out


def _smoothed(block: npt.NDArray[np.int64], values: Floats, grid: Grid, p: RimParams) -> Floats:
    """Return values summed over blocks and smoothed."""
    total = np.bincount(block, values, int(np.prod(grid.shape))).reshape(grid.shape)
    smooth = ndimage.gaussian_filter(total, p.scale_mm / grid.spacing_mm, truncate=3.0)
    return np.asarray(smooth, dtype=np.float64)
