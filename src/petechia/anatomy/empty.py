"""Slices that hold no signal although their neighbours do: lost in storage or transfer."""

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.core.morphology import Mask

LEAST_FILLED = 0.05
"""A slice beside lost ones has so many voxels with signal, of those of the fullest slice."""


@dataclass(frozen=True, slots=True)
class EmptySlices:
    """Slices along one axis without signal between slices that have some.

    Attributes
    ----------
    axis : int
        Array axis.
    at : tuple of int
        Their indices; empty when nothing is missing.
    n : int
        Slices along the axis.
    """

    axis: int
    at: tuple[int, ...]
    n: int

    @property
    def says(self) -> str:
        """Say which they are, for people, counted from 1; empty when there are none."""
        if not self.at:
            return ""
        shown = ", ".join(str(k + 1) for k in self.at[:10]) + (" ..." if len(self.at) > 10 else "")
        some = f"slices {shown} of {self.n}" if len(self.at) > 1 else f"slice {shown} of {self.n}"
        return f"There is no signal in {some} (axis {'ijk'[self.axis]})"

    def mask(self, shape: tuple[int, ...]) -> Mask:
        """Return where they are."""
        out = np.zeros(shape, dtype=bool)
        np.moveaxis(out, self.axis, 0)[list(self.at)] = True
        return out

    def filled(self, volume: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return a volume, or echoes, with these slices interpolated between their neighbours."""
        if not self.at:
            return volume
        out = volume.copy()
        slices = np.moveaxis(out, volume.ndim - 3 + self.axis, 0)
        there = np.setdiff1d(np.arange(self.n), self.at)
        for k in self.at:
            below, above = there[there < k][-1], there[there > k][0]
            share = (k - below) / (above - below)
            slices[k] = (1 - share) * slices[below] + share * slices[above]
        return out


def empty_slices(magnitude: npt.NDArray[np.floating]) -> EmptySlices:
    """Return the slices, along the axis with most of them, that hold no signal between others.

    Parameters
    ----------
    magnitude : (I, J, K) or (E, I, J, K) ndarray of float
        One image or several; a slice is lost when it is 0 in any of them, and the nearest ones
        with signal, on both sides, are as well filled as slices of a head are.
    """
    lit = (magnitude[None] if magnitude.ndim == 3 else magnitude) > 0
    found = EmptySlices(2, (), lit.shape[3])
    for axis in range(3):
        others = tuple(n + 1 for n in range(3) if n != axis)
        lost = sorted({k for filled in lit.sum(axis=others) for k in _between(filled)})
        if len(lost) > len(found.at):
            found = EmptySlices(axis, tuple(lost), lit.shape[axis + 1])
    return found


def _between(filled: npt.NDArray[np.integer]) -> list[int]:
    """Return the empty slices of one image, by the voxels with signal in each."""
    there = np.flatnonzero(filled)
    well = filled >= LEAST_FILLED * filled.max(initial=1)
    lost: list[int] = []
    for below, above in itertools.pairwise(there.tolist()):
        if well[below] and well[above]:
            lost += range(below + 1, above)
    return lost
