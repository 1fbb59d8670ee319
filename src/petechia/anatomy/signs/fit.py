"""Whether a companion scan lies on the gradient echo: fluid must show where the other has it."""

import numpy as np
import numpy.typing as npt

from petechia.anatomy.compared import sampled
from petechia.core.grid import Grid
from petechia.core.morphology import Mask, dilate_mm, erode_mm

Matrix = npt.NDArray[np.float64]
NEAR_MM = 5.0
"""Tissue so near to fluid is compared with it: shading does not enter."""
SHELL_MM = 3.0
"""Of the brain's surface, which is left out."""
LEAST_VOXELS = 200
LEAST_FLUID = 0.8
"""Least agreement about fluid of two scans of one head that lie on each other."""


def fluid_agreement(
    fluid: npt.NDArray[np.floating],
    brain: Mask,
    grid: Grid,
    image: npt.NDArray[np.floating],
    image_grid: Grid,
    rigid: Matrix,
    bright: bool,
) -> float:
    """Return how often a voxel of fluid looks more like fluid than tissue beside it does.

    The area under the curve of a companion's intensity, between voxels that the gradient echo
    shows as fluid and tissue within 5 mm of them: 0.5 for an image that lies elsewhere or is
    of another person, 1 for one that fits. NaN when too little fluid is seen.

    Parameters
    ----------
    fluid : (I, J, K) ndarray of float
        Share of fluid by the gradient echo, 0 to 1.
    brain : (I, J, K) ndarray of bool
        Its brain.
    grid, image_grid : Grid
        Geometries.
    image : (L, M, N) ndarray of float
        Companion.
    rigid : (4, 4) ndarray of float
        Scan RAS to companion RAS [mm].
    bright : bool
        True where fluid is bright (T2w).
    """
    inner = erode_mm(brain, grid, SHELL_MM)
    wet = inner & (fluid > 0.8)
    dry = inner & (fluid < 0.1) & dilate_mm(wet, grid, NEAR_MM)
    values = sampled(np.asarray(image, dtype=np.float32), image_grid, rigid, grid)
    one, other = values[wet & (values > 0)], values[dry & (values > 0)]
    if min(one.size, other.size) < LEAST_VOXELS:
        return float("nan")
    order = np.argsort(np.concatenate([one, other]), kind="stable")
    ranks = np.empty(order.size)
    ranks[order] = np.arange(1, order.size + 1)
    above = (ranks[: one.size].sum() - one.size * (one.size + 1) / 2) / (one.size * other.size)
    return float(above if bright else 1 - above)
