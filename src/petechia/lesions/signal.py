"""The magnitude relative to its surroundings: 1 is undisturbed tissue, 0 is a void."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.core.blocks import Blocks
from petechia.core.grid import Grid
from petechia.core.robust import robust_sd
from petechia.errors import ParameterError

Volume = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
BLOCK_MM = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalParams:
    """Settings of `relative_signal`.

    Attributes
    ----------
    scale_mm : float
        Standard deviation of the smoothing that finds the background; several times the
        radius of what is looked for.
    passes : int
        How often dark and bright outliers are taken out of the background.
    dark, bright : float
        Relative signals beyond which a voxel is an outlier.
    fine_mm : float
        Standard deviation of the smoothing about which texture is read [mm].
    """

    scale_mm: float = 5.0
    passes: int = 2
    dark: float = 0.8
    bright: float = 1.3
    fine_mm: float = 1.5

    def __post_init__(self) -> None:
        if (
            not min(self.scale_mm, self.fine_mm) > 0
            or self.passes < 0
            or not 0 < self.dark < 1 < self.bright
        ):
            raise ParameterError(
                f"{self}",
                where="SignalParams",
                mend="scale_mm and fine_mm above 0, passes at least 0, 0 < dark < 1 < bright.",
            )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RelativeSignal:
    """A magnitude divided by its background.

    Attributes
    ----------
    value : (I, J, K) ndarray of float32
        0 to 2; exactly 1 outside the mask.
    texture : float
        Robust standard deviation of `value` about its mean within a few millimetres, over
        the mask: noise and fine anatomy, but not the contrast between tissues.
    """

    value: Volume
    texture: float


def relative_signal(
    magnitude: npt.NDArray[np.floating],
    mask: Mask,
    grid: Grid,
    params: SignalParams | None = None,
    *,
    with_texture: bool = True,
) -> RelativeSignal:
    """Divide `magnitude` by the undisturbed tissue around each voxel.

    The background is a Gaussian mean over the mask, without voxels much darker or
    brighter than it, computed on blocks of 2 mm.

    Parameters
    ----------
    magnitude : (I, J, K) ndarray of float
        Any unit, any shading.
    mask : (I, J, K) ndarray of bool
        Brain.
    grid : Grid
        Geometry.
    params : SignalParams
        Settings.
    with_texture : bool
        Read the texture, too; it takes longer than the signal.

    Returns
    -------
    RelativeSignal
        All ones with texture 0 for an empty mask or no signal; texture is NaN when it was not
        asked for.
    """
    p = params or SignalParams()
    grid.require(magnitude, "magnitude")
    grid.require(mask, "mask")
    value = np.ones(grid.shape, dtype=np.float32)
    if not mask.any() or not np.any(magnitude[mask] > 0):
        return RelativeSignal(value=value, texture=0.0)
    blocks = Blocks.of(grid, BLOCK_MM)
    bright = np.asarray(magnitude, dtype=np.float32)
    typical = np.median(bright[mask])
    background = np.full(grid.shape, typical, dtype=np.float32)
    keep = mask
    for n in range(p.passes + 1):
        if n:
            keep = mask & (bright > p.dark * background) & (bright < p.bright * background)
        total, weight = (
            ndimage.gaussian_filter(blocks.reduce(v), p.scale_mm / blocks.coarse.spacing_mm)
            for v in (np.where(keep, bright, 0), keep)
        )
        floor = 1e-4 * float(weight.max())
        if floor == 0.0:
            break
        mean = np.where(weight > floor, total / np.maximum(weight, floor), typical)
        background = blocks.expand(mean.astype(np.float32))
    np.divide(bright, background, out=value, where=mask & (background > 0))
    np.clip(value, 0, 2, out=value)
    texture = _texture(value, mask, grid, p.fine_mm) if with_texture else float("nan")
    return RelativeSignal(value=value, texture=texture)


def _texture(value: Volume, mask: Mask, grid: Grid, fine_mm: float) -> float:
    sigma = fine_mm / grid.spacing_mm
    total, weight = (
        ndimage.gaussian_filter(v, sigma, truncate=3.0)
        for v in (np.where(mask, value, np.float32(0)), mask.astype(np.float32))
    )
    fine = value[mask] - total[mask] / np.maximum(weight[mask], np.float32(1e-3))
    return robust_sd(fine)
