"""Scan to template: an affine map by mutual information, judged before it is believed.

What an affine map cannot tell (ventricles, sulci, deep nuclei) is `deformation.deform`'s.
"""

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.anatomy.compared import (
    AROUND_MM,
    Fixed,
    Moving,
    correlation,
    flattened,
    sampled,
)
from petechia.anatomy.compared import (
    agreement as how_well,
)
from petechia.anatomy.head import head_mask
from petechia.anatomy.optimise import one_thread, optimise
from petechia.anatomy.resample import through
from petechia.anatomy.starts import RIVAL, find_start
from petechia.anatomy.template import Template
from petechia.core.checks import require_finite, require_signal
from petechia.core.grid import Grid
from petechia.core.morphology import Mask, dilate_mm
from petechia.errors import ParameterError

__all__ = ["Registration", "RegistrationParams", "flattened", "register", "whole"]

Volume = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]

STEPS = (0.4, 0.1)
"""First steps of an affine fit, in voxels; the shorter one where the longer leads astray."""
SIZES = (1.0, 1.25, 1.6)
"""How many times larger heads are taken to be; the larger ones when as they are they do not fit."""
CUT = 0.33
"""A head that fills so much of a face of the view is cut there."""
LEAST_STRETCH, MOST_STRETCH = 0.7, 1.45
"""No head is so much smaller or larger than the template along any axis."""
LEAST_COVERED = 0.25
"""Less of a brain in the field of view than this is not registered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationParams:
    """Settings of `register`.

    Attributes
    ----------
    search_mm, affine_mm : float
        Voxels of the search over starts and of the affine fit [mm].
    bins : int
        Bins of the joint histogram.
    starts : int
        How many of the best starts are followed.
    iterations : int
        At most so many steps of the optimiser, per stage.
    accept : float
        Least `quality` that counts as registered.
    """

    search_mm: float = 8.0
    affine_mm: float = 4.0
    bins: int = 32
    starts: int = 3
    iterations: int = 80
    accept: float = 0.45

    def __post_init__(self) -> None:
        for name in ("search_mm", "affine_mm", "bins", "starts", "iterations"):
            if not getattr(self, name) > 0:
                raise ParameterError(
                    f"{name} = {getattr(self, name)}",
                    where="RegistrationParams",
                    mend="Give a value above 0.",
                )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Registration:
    """Where each voxel of the scan lies in the template.

    Attributes
    ----------
    matrix : (4, 4) ndarray of float
        Scan RAS to template RAS [mm].
    scan_grid, template_grid : Grid
        The two grids.
    quality : float
        How sharply scan and template agree: 1 less the entropy correlation coefficient when
        displaced by 15 mm (mean of six directions) over that of the fit, over the brain and
        12 mm around it. 0 for unrelated images, 0.36 for a ball with shells, 0.66 and above
        for heads. Of a fit by the outline the Dice coefficient of the two brains.
    ok : bool
        The fit is believable: quality, volume ratio and shear within bounds.
    says : str
        The reason, for people.
    displacement_vox : (3, I, J, K) ndarray of float32, optional
        On the template's grid: how much further than by `matrix` a place is moved, in
        template voxels.
    by : str
        'image', or 'outline' where only the outline of the brain agrees (`outline.by_outline`).
    contradicted : bool
        The image fits as well in another orientation than the header's.
    """

    matrix: Matrix
    scan_grid: Grid
    template_grid: Grid
    quality: float
    ok: bool
    says: str
    displacement_vox: Volume | None = None
    by: str = "image"
    contradicted: bool = False

    @property
    def precise(self) -> bool:
        """Whether it tells more than sites: fluid, nuclei, the places of normal calcium."""
        return self.ok and self.by == "image"

    def to_scan(
        self,
        volume: npt.NDArray[np.generic],
        nearest: bool = True,
        grid: Grid | None = None,
        outside: float = 0.0,
        where: Mask | None = None,
    ) -> npt.NDArray[Any]:
        """Return a volume of the template on the scan's grid.

        Parameters
        ----------
        volume : (I, J, K) ndarray
            On the template's grid.
        nearest : bool
            True for labels and masks, False for intensities (linear).
        grid : Grid, optional
            Another grid of the same world as the scan's.
        outside : float
            Value beyond the template.
        where : (I, J, K) ndarray of bool, optional
            Voxels of the target that are asked for; others may hold `outside`.
        """
        self.template_grid.require(volume, "volume")
        target = grid or self.scan_grid
        values = volume if nearest else np.asarray(volume, dtype=np.float32)
        if self.displacement_vox is not None:
            matrix = np.linalg.inv(self.template_grid.affine) @ self.matrix @ target.affine
            return self._warped(values, matrix, target, nearest, outside, where)
        order = 0 if nearest else 1
        return through(
            values, self.template_grid, self.matrix, target, order=order, outside=outside
        )

    def _warped(
        self,
        values: npt.NDArray[Any],
        matrix: Matrix,
        target: Grid,
        nearest: bool,
        outside: float,
        where: Mask | None,
    ) -> npt.NDArray[Any]:
        """Sample through the displacement, a slab of the target at a time."""
        out = np.full(target.shape, outside, dtype=values.dtype)
        wanted = np.ones(target.shape, dtype=bool) if where is None else where
        field = cast("Volume", self.displacement_vox)
        for i in np.flatnonzero(wanted.any(axis=(1, 2))):
            j, k = np.nonzero(wanted[i])
            there = matrix[:3, :3] @ np.stack([np.full_like(j, i), j, k]) + matrix[:3, 3:]
            step = [ndimage.map_coordinates(part, there, order=1, mode="nearest") for part in field]
            out[i, j, k] = ndimage.map_coordinates(
                values, there + step, order=0 if nearest else 1, mode="constant", cval=outside
            )
        return out


def register(
    magnitude: npt.NDArray[np.floating],
    grid: Grid,
    template: Template,
    mask: Mask | None = None,
    params: RegistrationParams | None = None,
    initial: Registration | None = None,
) -> Registration:
    """Register a scan of any contrast and coverage to the template.

    Without `initial`, places and turns are searched by mutual information; the best are
    followed rigidly, then by an affine map. A head that fits as well in quite another
    orientation than the header's is refused (see `starts`). With `mask` the last fit is over
    the brain and 12 mm around it, without face and neck.

    Parameters
    ----------
    magnitude : (I, J, K) ndarray of float
        One image, or the echoes combined.
    grid : Grid
        Geometry.
    template : Template
        What it is registered to.
    mask : (I, J, K) ndarray of bool, optional
        Brain of the scan.
    params : RegistrationParams, optional
        Settings.
    initial : Registration, optional
        Where to start, instead of searching.

    Returns
    -------
    Registration
        `ok` is False, with the reason in `says`, when the fit is not believable.

    References
    ----------
    Mattes et al. 2003, 10.1109/TMI.2003.809072; Astola and Virtanen 1983 (entropy correlation
    coefficient) in Maes et al. 1997, 10.1109/42.563664
    """
    chosen = params or RegistrationParams()
    grid.require(magnitude, "magnitude")
    require_finite(magnitude, "magnitude")
    require_signal(magnitude, "magnitude")
    with one_thread():
        return _registered(magnitude, grid, template, mask, chosen, initial)


def _registered(
    magnitude: npt.NDArray[np.floating],
    grid: Grid,
    template: Template,
    mask: Mask | None,
    params: RegistrationParams,
    initial: Registration | None,
) -> Registration:
    brain_mm3 = float(template.brain.sum()) * template.grid.voxel_mm3
    most = grid.size * grid.voxel_mm3 / brain_mm3
    if most < LEAST_COVERED:
        says = f"at most {most:.0%} of a brain lies in the field of view: not registered"
        return _refused(np.eye(4), grid, template, says)
    there = Moving.at(template, params.affine_mm)
    head = head_mask(magnitude, grid)
    if initial is None:
        found = _searched(magnitude, head, grid, template, params)
        if mask is None or not found.ok:
            return found
        matrix = found.matrix
    else:
        matrix = initial.matrix
    scan = Fixed.of(magnitude, head, grid, params.affine_mm, mask)
    if not scan.where.any():
        says = f"nothing of the brain mask is left at {params.affine_mm:g} mm: not registered"
        return _refused(matrix, grid, template, says)
    judged = _judged(matrix, scan, there, grid, template, params)
    if mask is None:
        return judged
    matrix = _stretched(scan, there, matrix, params)
    closer = _judged(matrix, scan, there, grid, template, params)
    return closer if closer.ok or not judged.ok else judged


def _searched(
    magnitude: npt.NDArray[np.floating],
    head: Mask,
    grid: Grid,
    template: Template,
    params: RegistrationParams,
) -> Registration:
    """Return the affine fit from the best start; small heads are tried when no other fits."""
    steps = {"bins": params.bins, "iterations": params.iterations}
    there = Moving.at(template, params.search_mm)
    near = Moving.at(template, params.affine_mm)
    scan = Fixed.of(magnitude, head, grid, params.affine_mm)
    agreement, rival, fit = 0.0, 0.0, None
    for size in SIZES if whole(head) else SIZES[:1]:
        larger = np.diag([size, size, size, 1.0])
        seen = Fixed.of(magnitude, head, Grid(grid.shape, larger @ grid.affine), params.search_mm)
        start = find_start(seen, there, followed=params.starts, **steps)
        rival = max(rival, start.rival)
        if start.agreement > agreement:
            agreement = start.agreement
            if rival <= RIVAL * agreement:
                matrix = _stretched(scan, near, start.matrix @ larger, params)
                fit = _judged(matrix, scan, near, grid, template, params, size)
                if fit.ok:
                    return fit
    if fit is not None and rival <= RIVAL * agreement:
        return fit  # not believed, and it says why
    says = (
        f"the template fits no better as the header says the head lies ({agreement:.2f}) than "
        f"otherwise ({rival:.2f}), so that left and right are not known: not registered"
    )
    return replace(_refused(np.eye(4), grid, template, says), contradicted=True)


def _stretched(scan: Fixed, there: Moving, matrix: Matrix, params: RegistrationParams) -> Matrix:
    """Return the affine map of most agreement near a first one.

    A first step that is too long can flatten a head onto the template's midline, where the
    optimiser stays: a map that agrees less than the one it came from is tried again in
    shorter steps, and given up at last.
    """
    before = how_well(scan, there, matrix, params.bins)
    for step in STEPS:
        fit = optimise(
            scan, there, matrix, "affine", bins=params.bins, iterations=params.iterations, step=step
        )
        if how_well(scan, there, fit, params.bins) >= before:
            return fit
    return matrix


def whole(head: Mask) -> bool:
    """Return whether a head is cut by no more than one face of the view, as at the neck."""
    faces = [float(np.take(head, end, axis=axis).mean()) for axis in range(3) for end in (0, -1)]
    return sum(face > CUT for face in faces) < 2


def _refused(matrix: Matrix, grid: Grid, template: Template, says: str) -> Registration:
    return Registration(
        matrix=matrix,
        scan_grid=grid,
        template_grid=template.grid,
        quality=0.0,
        ok=False,
        says=says,
    )


def _judged(
    matrix: Matrix,
    scan: Fixed,
    there: Moving,
    grid: Grid,
    template: Template,
    params: RegistrationParams,
    size: float = 1.0,
) -> Registration:
    """Return the registration with its quality and whether it can be believed."""
    plain = _refused(matrix, grid, template, "not yet judged")
    brain = plain.to_scan(template.brain.astype(np.uint8), grid=scan.grid) > 0
    scale = np.linalg.det(matrix[:3, :3])
    stretch = np.linalg.svd(matrix[:3, :3])[1]
    covered = float(brain.sum() * scan.grid.voxel_mm3 * scale)
    covered /= float(template.brain.sum() * template.grid.voxel_mm3)
    if covered < LEAST_COVERED:
        return replace(
            plain, says=f"only {covered:.0%} of a brain lies in the field of view: not registered"
        )
    around = dilate_mm(brain, scan.grid, AROUND_MM)  # the skull tells where the brain is, even
    quality = _peak(matrix, scan, there, around, params)  # where tissues look alike
    plain = replace(plain, quality=quality)
    if stretch.max() > MOST_STRETCH * size or stretch.min() < LEAST_STRETCH * size:
        says = f"the fit stretches the head by {stretch.min():.2f} to {stretch.max():.2f}"
    elif quality < params.accept:
        says = f"scan and template agree hardly better here than elsewhere ({quality:.2f})"
    else:
        says = f"affine fit, peak of agreement {quality:.2f}, {min(covered, 1):.0%} of the brain"
        return replace(plain, ok=True, says=says)
    return replace(plain, says=f"{says}: not believed")


def _peak(
    matrix: Matrix, scan: Fixed, there: Moving, where: Mask, params: RegistrationParams
) -> float:
    def agreement(shift_mm: npt.NDArray[np.float64]) -> float:
        moved = matrix.copy()
        moved[:3, 3] += shift_mm
        values = sampled(there.volume, there.grid, moved, scan.grid)
        return correlation(scan.volume[where], values[where], params.bins // 2)

    fit = agreement(np.zeros(3))
    beside = [agreement(sign * 15.0 * axis) for axis in np.eye(3) for sign in (-1, 1)]
    return float(np.clip(1 - np.mean(beside) / fit, 0, 1)) if fit > 0 else 0.0
