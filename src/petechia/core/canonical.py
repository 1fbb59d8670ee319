"""One order of axes for what must not depend on how a volume is stored."""

from dataclasses import dataclass
from itertools import permutations
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from petechia.core.grid import Grid


@dataclass(frozen=True, slots=True, eq=False)
class Canonical:
    """A grid's axes in the order and direction of right, anterior and superior.

    Differences to one side, blocks that are counted from a corner, and smoothing on coarser
    voxels see another image when it is flipped. Brought into one order first, they do not.

    Attributes
    ----------
    grid : Grid
        The same places, stored along the axes nearest to R, A and S.
    order : tuple of int
        Array axis of each of these.
    flipped : tuple of bool
        Which of them run backwards in the array.
    """

    grid: Grid
    order: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]

    @classmethod
    def as_stored(cls, grid: Grid) -> Self:
        """Return the order that changes nothing, for grids that tell no right and front."""
        return cls(grid, (0, 1, 2), (False, False, False))

    @classmethod
    def of(cls, grid: Grid) -> Self:
        """Return the canonical order of a grid; axes nearest to R, A and S all together.

        At exactly 45 degrees two orders are as near, and the first as stored is taken.
        """
        turn = grid.affine[:3, :3] / grid.spacing_mm
        order = max(
            permutations(range(3)),
            key=lambda p: round(sum(abs(turn[n, p[n]]) for n in range(3)), 6),
        )
        i, j, k = order
        flipped = tuple(bool(turn[n, axis] < 0) for n, axis in enumerate(order))
        affine = grid.affine.copy()
        for n, (axis, back) in enumerate(zip(order, flipped, strict=True)):
            column = grid.affine[:3, axis]
            affine[:3, n] = -column if back else column
            if back:
                affine[:3, 3] += (grid.shape[axis] - 1) * column
        shape = (grid.shape[i], grid.shape[j], grid.shape[k])
        return cls(Grid(shape, affine), (i, j, k), (flipped[0], flipped[1], flipped[2]))

    def forth(self, volume: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return a volume, or several along first axes, in canonical order."""
        first = volume.ndim - 3
        order = [*range(first), *(first + axis for axis in self.order)]
        return self._turned(volume.transpose(order))

    def back(self, volume: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return a volume of canonical order, or several along first axes, as it was stored."""
        first = volume.ndim - 3
        order = [*range(first), *(first + int(axis) for axis in np.argsort(self.order))]
        return np.ascontiguousarray(self._turned(volume).transpose(order))

    def _turned(self, volume: npt.NDArray[Any]) -> npt.NDArray[Any]:
        steps = tuple(slice(None, None, -1) if back else slice(None) for back in self.flipped)
        return np.ascontiguousarray(volume[(..., *steps)])
