"""Scan to template by the outline of the brain alone, where their images do not agree.

Gyri of an unusual head, of a phantom or of a skull-stripped scan of little contrast may agree
with the template's nowhere, while the brain still has a brain's outline: pointed in front,
broad behind, flat below. A mask that did not come from the template is brought onto the
template's brain by an affine map. It is believed when the two overlap as brains do, and clearly
better than in the 23 other orientations; and never where the image itself contradicts its header.
A mirrored head goes unnoticed as everywhere: the template is symmetric.
"""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from petechia.anatomy.compared import Fixed, Moving, sampled
from petechia.anatomy.optimise import one_thread, optimise
from petechia.anatomy.registration import LEAST_STRETCH, MOST_STRETCH, Registration
from petechia.anatomy.resample import coarse_grid, to_grid
from petechia.anatomy.starts import other_orientations, turned
from petechia.anatomy.template import Template
from petechia.core.grid import Grid
from petechia.core.morphology import Mask, dilate_mm

Matrix = npt.NDArray[np.float64]

SPACING_MM = 6.0
AROUND_MM = 20.0
STEP, BINS, FIRST, FULL = 0.1, 16, 60, 200
"""Of the optimiser; every start is followed for so many steps, the best of them to the end."""
TURNS_DEG = (
    (0, 0, 0), (-18, 0, 0), (-9, 0, 0), (9, 0, 0), (18, 0, 0),
    (0, -15, 0), (0, 15, 0), (0, 0, -15), (0, 0, 15),
)  # fmt: skip
"""Turns about x, y and z that the head is begun at: from afar the optimiser stops short."""
LEAST_OVERLAP = 0.96
"""Dice of the two outlines. Brains: 0.97 and above; a whole ball or ellipsoid: 0.91."""
AHEAD = 0.015
"""So much more than in any other orientation. Brains: 0.018 (half of one) to 0.1; balls and
ellipsoids, whole or cut: 0.01 at most."""
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

    Notes
    -----
    A mask that lacks part of a brain that lies in view is stretched over the hole: of the lowest
    fifth a mean of 2 mm off; without the lowest quarter it is refused.
    """
    grid = refused.scan_grid
    grid.require(mask, "mask")
    if refused.contradicted or not mask.any():
        return refused
    scan, there = _fixed(mask, grid), _moving(template)
    inside = scan.volume > 0.5
    if not inside.any():
        return refused
    middle = grid.to_mm(np.argwhere(mask).mean(axis=0))
    centre = template.grid.to_mm(np.argwhere(template.brain).mean(axis=0))

    def followed(start: Matrix, iterations: int) -> tuple[float, Matrix]:
        fit = optimise(scan, there, start, "affine", bins=BINS, iterations=iterations, step=STEP)
        stretch = np.linalg.svd(fit[:3, :3])[1]
        if stretch.max() > MOST_STRETCH or stretch.min() < LEAST_STRETCH:
            return 0.0, fit
        return _overlap(scan, there, fit), fit

    def best(turns: Iterable[Matrix]) -> tuple[float, Matrix]:
        fits = []
        for turn in turns:
            start = np.eye(4)
            start[:3, :3], start[:3, 3] = turn, centre - turn @ middle
            fits.append(followed(start, FIRST))
        first = max(fits, key=lambda pair: pair[0])
        return max(first, followed(first[1], FULL), key=lambda pair: pair[0])

    with one_thread():
        overlap, matrix = best(turned(turn) for turn in TURNS_DEG)
        if overlap < LEAST_OVERLAP:
            says = f"{refused.says}; nor does the brain's outline fit (overlap {overlap:.2f})"
            return replace(refused, says=says)
        rival, _ = best(other_orientations())
    told = f"overlap {overlap:.2f}, otherwise turned {rival:.2f}"
    covered = (
        inside.sum() * scan.grid.voxel_mm3 * np.linalg.det(matrix[:3, :3])
        / (template.brain.sum() * template.grid.voxel_mm3)
    )  # fmt: skip
    if rival > overlap - AHEAD or covered < LEAST_COVERED:
        return replace(refused, says=f"{refused.says}; nor is the brain's outline enough ({told})")
    return replace(
        refused, matrix=matrix, ok=True, displacement_vox=None, by="outline", quality=overlap,
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
