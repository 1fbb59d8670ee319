"""A CT of the same head brought to the gradient echo, by skull and brain, and put on trial.

A general registration by mutual information goes astray here: on a CT the brain is nearly one
grey, and bed, headrest and bone are what stands out. So the space within the skull is found on
the CT and the brain's mask of the gradient echo is laid upon its surface from many starts.
Then the two images are compared at the brain's border, where bone and fluid show in both.
The fit is repeated from other starts on other parts of the brain; how far the repeats lie
apart is its uncertainty, and a fit that doesn't repeat or doesn't fill the skull is refused.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial.transform import Rotation

from petechia.anatomy.compared import Fixed, Moving, flattened, sampled
from petechia.anatomy.optimise import metric, one_thread, optimise
from petechia.anatomy.resample import brought, coarse_grid, to_grid
from petechia.anatomy.signs.fit import fluid_agreement
from petechia.anatomy.skull import WORK_MM, Skull, skull_of
from petechia.anatomy.surface_fit import Distances, laid_upon
from petechia.core.grid import Grid
from petechia.core.morphology import Mask, dilate_mm
from petechia.errors import InputError

Volume = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]
Points = npt.NDArray[np.float64]

WINDOW_HU = (-150.0, 250.0)
"""What is compared of a CT: air, fluid, brain, and all bone as one."""
STEPS_MM = (5.0, 2.5)
"""Voxels of the comparisons; thicker slices keep their thickness."""
LAST_STEP = 0.3
"""First step of the optimiser in the last of all comparisons [voxels]."""
AROUND_MM = 12.0
"""So much around the brain is compared: the inner face of the bone."""
REACH_MM = 20.0
"""So much of the CT beyond the scan's view is kept."""
BLOCK_MM = 30.0
"""Repeats see every other block of this size."""
PERTURBED = ((2.0, 2.0), (-2.0, -2.0))
"""Degrees and millimetres by which the starts of repeats differ from the fit."""
LEAST_FILLED = 0.85
"""Least overlap (Dice) of brain and skull's space, where both scans see."""
LEAST_SEEN = 0.5
"""Least part of the brain that the CT must cover."""
MOST_APART_MM = 2.0
"""Repeats that differ by more are no registration."""
MOST_FROM_SURFACE_MM = 5.0
"""The comparison of images must stay so near to where the surfaces put the brain."""


AIR_HU = -1100.0
"""Nothing is less dense: what lies off the CT is told from it."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CtFit:
    """Where the voxels of a gradient echo lie on a CT, and whether to believe it.

    Attributes
    ----------
    matrix : (4, 4) ndarray of float
        Scan RAS to CT RAS [mm]; rigid.
    ok : bool
        Whether it is believed.
    says : str
        Why, for people.
    uncertainty_mm : float
        How far repeats lie apart over the brain: root of the mean square, at the worst place
        of 95 % of the brain.
    overlap : float
        Dice of brain and skull's space where both scans see.
    seen : float
        Part of the brain on the CT.
    """

    matrix: Matrix
    ok: bool
    says: str
    uncertainty_mm: float
    overlap: float
    seen: float


def to_ct(
    magnitude: npt.NDArray[np.floating],
    brain: Mask,
    grid: Grid,
    ct_hu: npt.NDArray[np.floating],
    ct_grid: Grid,
) -> CtFit:
    """Return the rigid map from a gradient echo to a CT of the same head.

    Parameters
    ----------
    magnitude : (I, J, K) ndarray of float
        One echo, or the echoes combined.
    brain : (I, J, K) ndarray of bool
        Its brain.
    grid, ct_grid : Grid
        Geometries; a sheared one (leaning gantry) is understood.
    ct_hu : (L, M, N) ndarray of float
        CT [HU].

    Raises
    ------
    InputError
        If the CT is not in Hounsfield units or holds no skull with a brain.

    Notes
    -----
    The head may have turned by 30 degrees and lie anywhere. Left and right are believed: a
    mirrored CT cannot be told from a right one.
    """
    grid.require(brain, "brain")
    grid.require(magnitude, "magnitude")
    if not brain.any():
        raise InputError("no brain", where="mask", mend="A CT is brought to the brain's mask.")
    skull = skull_of(ct_hu, ct_grid)
    middle = skull.grid.to_mm(np.argwhere(skull.space).mean(axis=0))
    there = Distances.of(skull.space, skull.seen, skull.grid)
    start, _ = laid_upon(brain, grid, there, middle)
    levels = [_level(magnitude, brain, grid, skull, start, step) for step in STEPS_MM]
    matrix = _refined([(scan, shown) for scan, _, shown in levels], start)
    scan, inside, shown = levels[-1]
    places = scan.grid.to_mm(np.argwhere(inside)[::17])
    repeats = [
        _refined(
            [(_halves(level)[n], shown) for level, _, shown in levels],
            matrix @ _about(places.mean(axis=0), *by),
        )
        for n, by in enumerate(PERTURBED)
    ]
    polished = [_polished(scan, shown, m) for m in (matrix, *repeats)]
    with one_thread():
        matrix = min(polished, key=lambda m: metric(scan, shown, m))
    return _judged(matrix, start, repeats, places, inside, scan.grid, skull)


def _level(
    magnitude: npt.NDArray[np.floating],
    brain: Mask,
    grid: Grid,
    skull: Skull,
    start: Matrix,
    step_mm: float,
) -> tuple[Fixed, Mask, Moving]:
    """Return scan, its brain and the CT on voxels of `step_mm`, the CT with the scan's slices."""
    small = coarse_grid(grid, step_mm)
    inside = np.asarray(to_grid(brain, grid, small, order=0))
    image = np.asarray(to_grid(magnitude, grid, small), dtype=np.float32)
    scan = Fixed(
        volume=flattened(image, inside, small),
        where=dilate_mm(inside, small, AROUND_MM),
        grid=small,
    )
    # cubic voxels along the scan's axes as they lie on the CT, then averaged as the scan's are
    axes = small.affine[:3, :3] / small.spacing_mm
    extent = np.asarray(small.shape) * small.spacing_mm + 2 * REACH_MM
    shape = np.ceil(extent / WORK_MM).astype(int)
    own = np.eye(4)
    own[:3, :3] = axes * WORK_MM
    centre = small.to_mm((np.asarray(small.shape) - 1) / 2)
    own[:3, 3] = centre - own[:3, :3] @ ((shape - 1) / 2)
    target = Grid((int(shape[0]), int(shape[1]), int(shape[2])), start @ own)
    shown = sampled(np.clip(skull.hu, *WINDOW_HU) - WINDOW_HU[0], skull.grid, np.eye(4), target)
    widths = np.maximum(np.sqrt(np.maximum(small.spacing_mm**2 - WORK_MM**2, 0)), 0) * 0.3 / WORK_MM
    seen = sampled(skull.seen.astype(np.float32), skull.grid, np.eye(4), target) > 0.99
    blurred = ndimage.gaussian_filter(shown, widths)
    return scan, inside, Moving(volume=blurred, grid=target, where=seen)


def _refined(levels: list[tuple[Fixed, Moving]], matrix: Matrix) -> Matrix:
    with one_thread():
        for scan, there in levels:
            matrix = optimise(scan, there, matrix, "rigid", bins=32, iterations=60)
    return matrix


def _polished(scan: Fixed, there: Moving, matrix: Matrix) -> Matrix:
    with one_thread():
        return optimise(scan, there, matrix, "rigid", bins=32, iterations=60, step=LAST_STEP)


def _halves(scan: Fixed) -> tuple[Fixed, Fixed]:
    """Return the scan seen in the black and in the white blocks of a chequerboard."""
    steps = [
        np.floor(np.arange(n) * d / BLOCK_MM).astype(int)
        for n, d in zip(scan.grid.shape, scan.grid.spacing_mm, strict=True)
    ]
    odd = (steps[0][:, None, None] + steps[1][None, :, None] + steps[2][None, None, :]) % 2 == 1
    return tuple(  # type: ignore[return-value]
        Fixed(volume=scan.volume, where=scan.where & part, grid=scan.grid) for part in (odd, ~odd)
    )


def _about(middle: Points, degrees: float, millimetres: float) -> Matrix:
    """Return a turn about all axes at a place, and a shift along them."""
    out = np.eye(4)
    out[:3, :3] = Rotation.from_euler("xyz", [degrees] * 3, degrees=True).as_matrix()
    out[:3, 3] = middle - out[:3, :3] @ middle + millimetres
    return out


def _judged(
    matrix: Matrix,
    start: Matrix,
    repeats: list[Matrix],
    places: Points,
    inside: Mask,
    small: Grid,
    skull: Skull,
) -> CtFit:
    """Return the fit with what speaks for and against it."""
    here = brought(matrix, places)
    apart = [np.linalg.norm(brought(m, places) - here, axis=1) for m in repeats]
    uncertain = float(np.percentile(np.sqrt(np.mean(np.square(apart), axis=0)), 95))
    drift = float(np.linalg.norm(brought(start, places) - here, axis=1).mean())
    overlap, seen = _overlap(matrix, inside, small, skull)
    faults = []
    if seen < LEAST_SEEN:
        faults.append(f"the CT covers {seen:.0%} of the brain")
    if overlap < LEAST_FILLED:
        faults.append(f"brain and the space within the skull overlap by {overlap:.2f}")
    if uncertain > MOST_APART_MM:
        faults.append(f"repeated fits lie {uncertain:.1f} mm apart")
    if drift > MOST_FROM_SURFACE_MM:
        faults.append(f"surfaces and images disagree by {drift:.1f} mm")
    told = (
        f"overlap of brain and the space within the skull {overlap:.2f}, "
        f"repeated fits {uncertain:.1f} mm apart, {seen:.0%} of the brain on the CT"
    )
    return CtFit(
        matrix=matrix,
        ok=not faults,
        says="; ".join(faults) if faults else told,
        uncertainty_mm=uncertain,
        overlap=overlap,
        seen=seen,
    )


def _overlap(matrix: Matrix, inside: Mask, small: Grid, skull: Skull) -> tuple[float, float]:
    """Return Dice of brain and skull's space where both see, and the part of the brain seen."""
    seen = sampled(skull.seen.astype(np.float32), skull.grid, matrix, small) > 0.5
    space = sampled(skull.space.astype(np.float32), skull.grid, matrix, small) > 0.5
    # beyond the ends of the mask along its slices the scan does not see, nor below the brain
    levels = np.flatnonzero(inside.any(axis=(0, 1)))
    within = np.zeros_like(inside)
    within[:, :, levels[0] : levels[-1] + 1] = True
    both = seen & within
    total = float((inside & both).sum() + (space & both).sum())
    dice = 2 * float((inside & space & both).sum()) / total if total else 0.0
    return dice, float((inside & seen).sum() / max(inside.sum(), 1))


def fluid_on_ct(
    fluid: npt.NDArray[np.floating],
    brain: Mask,
    grid: Grid,
    ct_hu: npt.NDArray[np.floating],
    ct_grid: Grid,
    matrix: Matrix,
) -> float:
    """Return how often what a gradient echo shows as fluid is less dense than tissue beside it.

    0.5 for a CT of somebody else whose skull happens to fit, 1 for one that shows the same
    ventricles and sulci; NaN when the gradient echo tells too little fluid.

    Parameters
    ----------
    fluid : (I, J, K) ndarray of float
        Share of fluid by the gradient echo, 0 to 1.
    brain : (I, J, K) ndarray of bool
        Its brain.
    grid, ct_grid : Grid
        Geometries.
    ct_hu : (L, M, N) ndarray of float
        CT [HU].
    matrix : (4, 4) ndarray of float
        Scan RAS to CT RAS [mm].
    """
    above = np.maximum(np.asarray(ct_hu, dtype=np.float32) - np.float32(AIR_HU), 0)
    return fluid_agreement(fluid, brain, grid, above, ct_grid, matrix, False)
