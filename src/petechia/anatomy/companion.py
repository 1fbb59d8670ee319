"""A T1w or T2w scan of the same person: brought to the gradient echo, and the template to it.

Such a scan tells grey from white matter and fluid better than most gradient echoes do. It is
registered to the gradient echo rigidly (the head may have moved between the two), and to the
template by an affine map and demons in its own contrast; the two maps follow one another. It
is used only when the gradient echo's own fit agrees: another person's scan, or one whose
header is of another session, would put every site in the wrong place.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from petechia.anatomy.compared import Fixed, Moving, agreement, flattened, sampled
from petechia.anatomy.deformation import DeformationParams, deform
from petechia.anatomy.head import head_mask
from petechia.anatomy.optimise import one_thread, optimise
from petechia.anatomy.registration import Registration, register
from petechia.anatomy.resample import coarse_grid, to_grid
from petechia.anatomy.template import Template
from petechia.core.grid import Grid
from petechia.core.morphology import Mask

Volume = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]

STEPS_MM = (6.0, 3.0)
"""Voxels of the two rigid fits."""
BESIDE_MM = 10.0
"""So far beside the fit the two scans must agree worse."""
LEAST_PEAK = 0.15
"""Least loss of agreement beside the fit, in parts of it, that counts as registered."""
MOST_APART_MM = 8.0
"""Two fits to the template that differ by more than this on average do not agree."""


def to_companion(
    magnitude: npt.NDArray[np.floating],
    grid: Grid,
    companion: npt.NDArray[np.floating],
    companion_grid: Grid,
) -> tuple[Matrix, float]:
    """Return the rigid map from a scan to another of the same person, and how sharp it is.

    Parameters
    ----------
    magnitude : (I, J, K) ndarray of float
        The scan.
    grid, companion_grid : Grid
        Geometries; scanner coordinates are where the fit begins.
    companion : (L, M, N) ndarray of float
        Another scan, of any contrast.

    Returns
    -------
    matrix : (4, 4) ndarray of float
        Scan RAS to companion RAS [mm].
    peak : float
        1 less the mean entropy correlation 10 mm beside the fit over that at the fit; above
        `LEAST_PEAK` for two scans of one head.
    """
    heads = head_mask(magnitude, grid), head_mask(companion, companion_grid)
    matrix = np.eye(4)
    with one_thread():
        for step_mm in STEPS_MM:
            scan = Fixed.of(magnitude, heads[0], grid, step_mm)
            there = _moving(companion, heads[1], companion_grid, step_mm)
            matrix = optimise(scan, there, matrix, "rigid", bins=32, iterations=100)

    def beside(shift_mm: npt.NDArray[np.float64]) -> float:
        moved = matrix.copy()
        moved[:3, 3] += shift_mm
        return agreement(scan, there, moved, 16)

    fit = beside(np.zeros(3))
    around = np.mean([beside(sign * BESIDE_MM * axis) for axis in np.eye(3) for sign in (-1, 1)])
    return matrix, float(np.clip(1 - around / fit, 0, 1)) if fit > 0 else 0.0


def _moving(image: npt.NDArray[np.floating], head: Mask, grid: Grid, spacing_mm: float) -> Moving:
    small = coarse_grid(grid, spacing_mm)
    volume = np.asarray(to_grid(image, grid, small), dtype=np.float32)
    inside = np.asarray(to_grid(head, grid, small, order=0))
    return Moving(volume=flattened(volume, inside, small), grid=small)


def through_companion(
    own: Registration,
    rigid: tuple[Matrix, float],
    mask: Mask,
    companion: npt.NDArray[np.floating],
    companion_grid: Grid,
    template: Template,
    name: str = "T1w",
    params: DeformationParams | None = None,
) -> Registration | str:
    """Return the scan's registration by way of a companion, or why there is none.

    Parameters
    ----------
    own : Registration
        The scan's own affine fit to the template.
    rigid : tuple of (4, 4) ndarray and float
        What `to_companion` found, above `LEAST_PEAK`.
    mask : (I, J, K) ndarray of bool
        The scan's brain.
    companion : (L, M, N) ndarray of float
        T1w or T2w scan of the same person.
    companion_grid : Grid
        Its geometry.
    template : Template
        What is registered to, in T1 contrast.
    name : str
        'T1w' or 'T2w': which contrast of the template is taken.
    params : DeformationParams, optional
        Settings of the deformable fit.
    """
    motion, peak = rigid
    alike = replace(template, t1=template.t2, t2=template.t1) if name == "T2w" else template
    back = np.asarray(np.linalg.inv(motion), dtype=np.float64)
    inside = sampled(mask.astype(np.float32), own.scan_grid, back, companion_grid) > 0.5
    fit = register(companion, companion_grid, alike)
    if fit.ok and inside.any():
        closer = register(companion, companion_grid, alike, mask=inside, initial=fit)
        fit = closer if closer.ok else fit
    if not fit.ok:
        return f"the template does not fit it ({fit.says})"
    matrix = fit.matrix @ motion
    if own.ok:
        apart = apart_mm(own.matrix, matrix, mask, own.scan_grid)
        if apart > MOST_APART_MM:
            return f"it puts the brain {apart:.0f} mm from where the gradient echo does"
    fit = deform(fit, companion, inside, alike, params)
    says = f"by way of the {name} scan (rigid peak {peak:.2f}): {fit.says}"
    return replace(fit, matrix=matrix, scan_grid=own.scan_grid, says=says)


def apart_mm(one: Matrix, other: Matrix, mask: Mask, grid: Grid) -> float:
    """Return the mean distance between where two maps bring the voxels of a mask [mm]."""
    places = np.argwhere(mask)[::97] if mask.sum() > 1000 else np.argwhere(mask)
    here = np.c_[grid.to_mm(places), np.ones(len(places))]
    return float(np.linalg.norm((here @ (one - other).T)[:, :3], axis=1).mean())
