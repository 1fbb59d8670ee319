"""The field of all that lies around a source, by a susceptibility map."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from petechia.core.grid import Grid
from petechia.core.kernels import forward_field

Floats = npt.NDArray[np.float64]
Box = tuple[slice, slice, slice]
RING_MM, PAD_MM = 2.0, 40.0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Around:
    """A susceptibility map and its field: the field of all but a ball can be had."""

    chi: npt.NDArray[np.float32]
    whole: npt.NDArray[np.float32]
    mask: npt.NDArray[np.bool_]
    grid: Grid

    @classmethod
    def of(
        cls,
        chi_ppm: npt.NDArray[np.floating],
        mask: npt.NDArray[np.bool_] | None,
        grid: Grid,
    ) -> Self | None:
        """Return a map within its mask, with its field; None where nothing is inside."""
        grid.require(chi_ppm, "chi_ppm")
        inside = np.ones(grid.shape, dtype=bool) if mask is None else mask
        if not inside.any():
            return None
        chi = np.where(inside, chi_ppm, 0).astype(np.float32)
        # the reference makes no field inside, but a step at the edge
        whole = forward_field((chi - chi[inside].mean()) * inside, grid, PAD_MM)
        return cls(chi=chi, whole=whole, mask=inside, grid=grid)

    def field(
        self, box: Box, centre_vox: Floats, own_mm: float, reach_mm: float
    ) -> npt.NDArray[np.float32]:
        """Return in `box` the field of what lies beyond `own_mm` of the centre [ppm]."""
        wide = box_within(centre_vox, max(own_mm + RING_MM, reach_mm), self.grid)
        away = _distance(wide, centre_vox, self.grid)
        chi, mask = self.chi[wide], self.mask[wide]
        own = mask & (away <= own_mm)
        ring = mask & (away > own_mm) & (away <= own_mm + RING_MM)
        level = float(np.median(chi[ring])) if ring.any() else 0.0
        source = np.where(own, chi - np.float32(level), 0).astype(np.float32)
        rest = self.whole[wide] - forward_field(source, self.grid.cut(wide), 2 * own_mm)
        inner = tuple(
            slice(b.start - w.start, b.stop - w.start) for b, w in zip(box, wide, strict=True)
        )
        return np.asarray(rest[inner], dtype=np.float32)


def box_within(centre_vox: Floats, reach_mm: float, grid: Grid) -> Box:
    """Return the part of the volume within reach, at least one voxel."""
    span = reach_mm / grid.spacing_mm
    last = np.asarray(grid.shape) - 1
    low = np.clip(np.ceil(centre_vox - span), 0, last).astype(int)
    high = np.clip(np.floor(centre_vox + span), low, last).astype(int)
    i, j, k = (slice(int(a), int(b) + 1) for a, b in zip(low, high, strict=True))
    return (i, j, k)


def _distance(box: Box, centre_vox: Floats, grid: Grid) -> Floats:
    """Return the distance of every voxel of a box from a place [mm]."""
    x, y, z = (
        ((np.arange(s.start, s.stop) - c) * d) ** 2
        for s, c, d in zip(box, centre_vox, grid.spacing_mm, strict=True)
    )
    return np.asarray(np.sqrt(x[:, None, None] + y[None, :, None] + z[None, None, :]))
