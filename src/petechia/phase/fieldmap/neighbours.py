"""What neighbouring voxels of a field map know together: a start they share, and the noise."""

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.ndimage import uniform_filter

from petechia.core.grid import Grid
from petechia.core.morphology import bounding_box
from petechia.core.robust import robust_sd
from petechia.core.units import wrap
from petechia.phase.fieldmap.lines import CURVE, MISFIT, START, WEIGHT, WORTH, Lines
from petechia.phase.images import Mask, Volume

Values = npt.NDArray[np.float32]
CUBE = (3, 3, 3)
HEARD = np.float32(10)
"""Most that a voxel's disagreement counts for its neighbours, over what chance makes."""


class Neighbours:
    """Sums and means over a box around every voxel of a mask, of values in the mask's order."""

    def __init__(self, mask: Mask) -> None:
        self._inside = mask[bounding_box(mask)]
        self._room = np.zeros(self._inside.shape, dtype=np.float32)
        self._means = np.empty_like(self._room)
        self._filled: dict[tuple[int, int, int], Values] = {}

    def sum(self, values: npt.NDArray[np.floating], size: tuple[int, int, int]) -> Values:
        """Return the sum over the box, divided by its volume, as float32."""
        self._room[self._inside] = values
        uniform_filter(self._room, size, output=self._means, mode="constant")
        means: Values = self._means[self._inside]
        return means

    def mean(self, values: npt.NDArray[np.floating], size: tuple[int, int, int]) -> Values:
        """Return the mean over those voxels of the box that lie in the mask."""
        if size not in self._filled:
            filled = self.sum(np.ones(values.shape, dtype=np.float32), size)
            self._filled[size] = np.maximum(filled, np.float32(1 / np.prod(size)))
        return self.sum(values, size) / self._filled[size]


def shared_start(lines: Lines, near: Neighbours, grid: Grid, side_mm: float) -> Values:
    """Return the phase at echo time 0 on which the voxels of a cube agree [rad]."""
    widths = [2 * int(side_mm / d / 2) + 1 for d in grid.spacing_mm]
    size = (widths[0], widths[1], widths[2])
    worth = near.sum(lines[WORTH], size)
    lost = near.sum(lines[WORTH] * lines[START], size)
    tiny = np.float32(1e-6) * worth.max(initial=0)  # running sums round
    return np.divide(lost, worth, out=np.zeros_like(lost), where=worth > tiny)


def sampled(count: int) -> int:
    """Return the stride at which some hundred thousand voxels stand for all."""
    return max(1, count // 100_000)


def noise_of_signal(lines: Lines, spare: int) -> float:
    """Return the noise of |S| at which the median misfit is what chance makes it."""
    middle = float(np.median(lines[MISFIT, :: sampled(lines.shape[1])])) / max(
        float(stats.chi2.median(spare)), 1e-12
    )
    return max(float(np.sqrt(middle)), 1e-12)


def slope_noise(
    lines: Lines, sigma: float, spare: int, own_start: bool, near: Neighbours
) -> Values:
    """Return the standard deviation of the slope, raised where echoes disagree [rad/s].

    The disagreement of the 3 x 3 x 3 around a voxel counts, and its own when it is larger and
    beyond chance (1 in 20). Where starts scatter more than chance makes them, every line is
    tilted: that share is one number for the mask, for a local one would take weight from
    the voxels around a source. It is left out when each voxel has its `own_start`.
    """
    curve = lines[CURVE]
    floor = np.float32(1e-6 * float(np.median(curve[:: sampled(curve.size)])) or 1.0)  # no signal
    curve = np.maximum(curve, floor)
    chance = np.float32(sigma**2)
    variance: Values = chance / curve
    if spare == 0:
        return np.asarray(np.sqrt(variance))
    excess = lines[MISFIT] / (spare * chance)
    around = near.mean(np.minimum(excess, HEARD), CUBE)
    excess[excess < stats.chi2.ppf(0.95, spare) / spare] = 0
    variance *= np.maximum(np.maximum(excess, around), 1)
    if own_start:
        return np.asarray(np.sqrt(variance))
    worth, rest = lines[WORTH], lines[WEIGHT] - lines[WORTH]
    known = worth > 1e-3 * rest
    start = (worth * lines[START] ** 2)[known][:: sampled(int(known.sum()))]
    if start.size:
        beyond = float(np.median(start)) / float(stats.chi2.median(1)) - sigma**2
        variance[known] += np.float32(max(beyond, 0.0)) * (rest / curve)[known] / worth[known]
    return np.asarray(np.sqrt(variance))


def noise_of_phase(phase: Volume, magnitude: Volume, mask: Mask) -> float:
    """Return the noise of |S| from second differences of the phase along the calmest axis."""
    found = []
    for axis in range(3):
        if mask.shape[axis] < 3:
            continue
        p, keep = np.moveaxis(phase, axis, 0), np.moveaxis(mask, axis, 0)
        bend = wrap(p[2:] - 2 * p[1:-1] + p[:-2]) * np.moveaxis(magnitude, axis, 0)[1:-1]
        bend = bend[keep[2:] & keep[1:-1] & keep[:-2]]
        if bend.size:
            found.append(robust_sd(bend, 0.0) / np.sqrt(6.0))
    return min(found, default=0.0)
