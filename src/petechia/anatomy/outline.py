"""Scan to template by the outline of the brain alone, where their images do not agree.

Gyri of an unusual head, of a phantom or of a skull-stripped scan of little contrast may agree
with the template's nowhere, while the brain still has a brain's outline: pointed in front,
broad behind, flat below. A mask that did not come from the template is brought onto the
template's brain by an affine map. It is believed when the two overlap as brains do, and clearly
better than in the 23 other orientations: else a header that lies would go unnoticed.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from petechia.anatomy.compared import Fixed, Moving, sampled
from petechia.anatomy.optimise import one_thread, optimise
from petechia.anatomy.registration import LEAST_STRETCH, MOST_STRETCH, Registration
from petechia.anatomy.resample import coarse_grid, to_grid
from petechia.anatomy.starts import TURNS_DEG, other_orientations, turned
from petechia.anatomy.template import Template
from petechia.core.grid import Grid
from petechia.core.morphology import Mask, dilate_mm

Matrix = npt.NDArray[np.float64]

SPACING_MM = 6.0
AROUND_MM = 20.0
STEP, BINS, ITERATIONS = 0.1, 16, 60
LEAST_OVERLAP = 0.95
"""Dice of the two outlines. Brains: 0.97 and above; a whole ball or ellipsoid: 0.91."""
AHEAD = 0.015
"""So much more than in any other orientation. Brains: 0.018 (half of one) to 0.1; balls and
ellipsoids, whole or cut: 0.006 at most."""
LEAST_COVERED = 0.65
"""Of less of a brain the outline leaves the height open (half a brain: 4 mm off)."""


def by_outline(mask: Mask, template: Template, refused: Registration) -> Registration:
    """Return an affine fit of the brain's outline, or the refused fit with what it lacks.

    Parameters
    ----------
    mask : (I, J, K) ndarray of bool
        Brain, on `refused.scan_grid`; not made by way of the template.
    template : Template
        What is registered to.
    refused : Registration
        A fit of the images that is not believed.
    """
    grid = refused.scan_grid
    grid.require(mask, "mask")
    if not mask.any():
        return refused
    scan, there = _fixed(mask, grid), _moving(template)
    inside = scan.volume > 0.5
    if not inside.any():
        return refused
    middle = grid.to_mm(np.argwhere(mask).mean(axis=0))
    centre = template.grid.to_mm(np.argwhere(template.brain).mean(axis=0))

    def fitted(turn: Matrix) -> tuple[float, Matrix]:
        start = np.eye(4)
        start[:3, :3] = turn
        start[:3, 3] = centre - turn @ middle
        fit = optimise(
            scan, there, start, "affine", bins=BINS, iterations=ITERATIONS, step=STEP
        )  # fmt: skip
        stretch = np.linalg.svd(fit[:3, :3])[1]
        if stretch.max() > MOST_STRETCH or stretch.min() < LEAST_STRETCH:
            return 0.0, fit
        return _overlap(scan, there, fit), fit

    with one_thread():
        overlap, matrix = max((fitted(turned(t)) for t in TURNS_DEG), key=lambda pair: pair[0])
        if overlap < LEAST_OVERLAP:
            says = f"{refused.says}; nor does the brain's outline fit (overlap {overlap:.2f})"
            return replace(refused, says=says)
        rival = max(fitted(turn)[0] for turn in other_orientations())
    told = f"overlap {overlap:.2f}, otherwise turned {rival:.2f}"
    covered = (
        inside.sum() * scan.grid.voxel_mm3 * np.linalg.det(matrix[:3, :3])
        / (template.brain.sum() * template.grid.voxel_mm3)
    )  # fmt: skip
    if rival > overlap - AHEAD or covered < LEAST_COVERED:
        return replace(refused, says=f"{refused.says}; nor is the brain's outline enough ({told})")
    return replace(
        refused, matrix=matrix, ok=True, displacement_vox=None,
        says=f"affine fit of the brain's outline alone ({told}): {refused.says}",
    )  # fmt: skip


def _fixed(mask: Mask, grid: Grid) -> Fixed:
    small = coarse_grid(grid, SPACING_MM)
    share = np.asarray(to_grid(mask.astype(np.float32), grid, small), dtype=np.float32)
    return Fixed(volume=share, where=dilate_mm(share > 0.5, small, AROUND_MM), grid=small)


def _moving(template: Template) -> Moving:
    small = coarse_grid(template.grid, SPACING_MM)
    share = to_grid(template.brain.astype(np.float32), template.grid, small)
    return Moving(volume=np.asarray(share, dtype=np.float32), grid=small)


def _overlap(scan: Fixed, there: Moving, matrix: Matrix) -> float:
    """Return the Dice coefficient of the two outlines."""
    one, other = scan.volume > 0.5, sampled(there.volume, there.grid, matrix, scan.grid) > 0.5
    return float(2 * (one & other).sum() / max(one.sum() + other.sum(), 1))
