"""How far parts of a brain lie from where one rigid map puts them: one head, or two."""

import numpy as np
import numpy.typing as npt

from petechia.anatomy.compared import correlation, sampled
from petechia.core.grid import Grid
from petechia.core.morphology import Mask

Volume = npt.NDArray[np.float32]
BLOCK_MM = 30.0
STEPS_MM = (-4.0, -2.0, 0.0, 2.0, 4.0)
"""Shifts along each axis at which a block is compared."""
LEAST_SHARE = 0.25
"""A block counts when so much of it is brain."""
BINS = 12


def parts_apart_mm(one: Volume, other: Volume, where: Mask, grid: Grid) -> float:
    """Return the median distance between where blocks of a brain lie and where they agree best.

    Each block is shifted along one axis after another; a parabola through the agreement (the
    entropy correlation, so that contrasts may differ) gives the best place between the steps.
    Two scans of one head agree where they lie; in another head every sulcus runs elsewhere.

    Parameters
    ----------
    one, other : (I, J, K) ndarray of float32
        Two images that a rigid map has brought to the same place.
    where : (I, J, K) ndarray of bool
        What is compared.
    grid : Grid
        Of all three.

    Returns
    -------
    float
        Median over the blocks [mm], at most some 7; NaN where no block holds enough brain.
    """
    at = np.argwhere(where)
    if not len(at):
        return float("nan")
    block = ((at - at.min(axis=0)) * grid.spacing_mm // BLOCK_MM).astype(np.int64)
    _, of, n = np.unique(block, axis=0, return_inverse=True, return_counts=True)
    order = np.argsort(of.ravel(), kind="stable")
    parts = np.split(order, np.cumsum(n)[:-1])
    parts = [part for part in parts if len(part) * grid.voxel_mm3 >= LEAST_SHARE * BLOCK_MM**3]
    if not parts:
        return float("nan")
    fixed = one[where]

    def agreement(axis: int, step_mm: float) -> npt.NDArray[np.float64]:
        shift = np.eye(4)
        shift[axis, 3] = step_mm
        values = sampled(other, grid, shift, grid)[where]
        return np.array([correlation(fixed[part], values[part], BINS) for part in parts])

    still = agreement(0, 0.0)
    shifts = [
        _best([agreement(axis, step) if step else still for step in STEPS_MM]) for axis in range(3)
    ]
    return float(np.median(np.linalg.norm(shifts, axis=0)))


def _best(agreements: list[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    """Return for each block the shift of best agreement [mm]."""
    values = np.stack(agreements)
    middle = np.clip(values.argmax(axis=0), 1, len(values) - 2)
    blocks = np.arange(values.shape[1])
    low, top, high = (values[middle + n, blocks] for n in (-1, 0, 1))
    curve = low - 2 * top + high
    off = np.where(curve < 0, 0.5 * (low - high) / np.minimum(curve, -1e-12), 0.0)
    step = STEPS_MM[1] - STEPS_MM[0]
    return np.asarray(np.array(STEPS_MM)[middle] + step * np.clip(off, -1, 1))
