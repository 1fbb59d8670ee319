"""Smooth things on blocks of voxels: a few millimetres are enough for a smooth field."""

from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.core.grid import Grid

Real = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """Blocks of voxels about `target_mm` wide, and the way there and back.

    Attributes
    ----------
    grid : Grid
        Geometry of the voxels.
    factors : tuple of int
        Voxels of a block along each axis.
    """

    grid: Grid
    factors: tuple[int, int, int]

    @classmethod
    def of(cls, grid: Grid, target_mm: float) -> "Blocks":
        """Return the widest blocks that do not exceed `target_mm` along any axis."""
        factors = tuple(
            int(np.clip(target_mm / d, 1, n))
            for d, n in zip(grid.spacing_mm, grid.shape, strict=True)
        )
        return cls(grid, cast("tuple[int, int, int]", factors))

    @property
    def coarse(self) -> Grid:
        """Geometry of the blocks; a block's place is the middle of its voxels."""
        factors = np.asarray(self.factors)
        affine = self.grid.affine.copy()
        affine[:3, 3] = self.grid.to_mm((factors - 1) / 2)
        affine[:3, :3] = affine[:3, :3] * factors
        shape = tuple(-(-n // f) for n, f in zip(self.grid.shape, self.factors, strict=True))
        return Grid(cast("tuple[int, int, int]", shape), affine)

    def reduce(self, volume: npt.NDArray[np.floating | np.bool_]) -> Real:
        """Return the mean over each block; what sticks out of the volume counts as 0."""
        out = volume.astype(np.float32, copy=False)
        for axis, f in enumerate(self.factors):
            if f > 1:
                along = np.moveaxis(out, axis, 0)
                total = along[::f].copy()
                for n in range(1, f):
                    part = along[n::f]
                    total[: len(part)] += part
                total /= np.float32(f)
                out = np.moveaxis(total, 0, axis)
        return np.ascontiguousarray(out)

    def median(self, volume: npt.NDArray[np.floating], mask: npt.NDArray[np.bool_]) -> Real:
        """Return the median of each block's voxels in the mask; NaN where it has none."""
        spread = tuple(
            n for pair in zip(self.coarse.shape, self.factors, strict=True) for n in pair
        )
        over = [
            (0, n * f - m)
            for n, f, m in zip(self.coarse.shape, self.factors, self.grid.shape, strict=True)
        ]
        inside = np.where(mask, volume, np.nan).astype(np.float32, copy=False)
        parts = np.pad(inside, over, constant_values=np.nan).reshape(spread)
        parts = parts.transpose(0, 2, 4, 1, 3, 5).reshape(*self.coarse.shape, -1)
        out = np.full(self.coarse.shape, np.nan, dtype=np.float32)
        some = np.isfinite(parts).any(axis=-1)
        out[some] = np.nanmedian(parts[some], axis=-1)
        return out

    def expand(self, blocks: Real) -> Real:
        """Return voxels interpolated linearly between the middles of the blocks."""
        out = blocks
        for axis, (f, n) in enumerate(zip(self.factors, self.grid.shape, strict=True)):
            if f == 1:
                continue
            place = np.clip((np.arange(n) - (f - 1) / 2) / f, 0, out.shape[axis] - 1)
            below = np.minimum(place.astype(int), max(out.shape[axis] - 2, 0))
            above = np.minimum(below + 1, out.shape[axis] - 1)
            part = (place - below).astype(np.float32)
            part = part.reshape([-1 if a == axis else 1 for a in range(3)])
            out = out.take(below, axis) * (1 - part) + out.take(above, axis) * part
        return out


def blur(volume: Real, grid: Grid, sigma_mm: float) -> Real:
    """Return `volume` under a Gaussian of `sigma_mm`, with zeros around it."""
    sigma = sigma_mm / grid.spacing_mm
    return cast("Real", ndimage.gaussian_filter(volume, sigma, mode="constant", truncate=3.0))
