"""What an affine map leaves: ventricles, sulci and nuclei brought onto the template by demons.

Demons compare images of one contrast, and a gradient echo has another than the template. So
the template is first given the scan's: a polynomial of its T1 and T2 contrast, with terms of
their own for iron-rich and deep structures, is fitted to the scan under the present alignment
and refitted as the alignment improves. Voids, veins and dropout, which the template does not
have, are outliers of that fit and pull nothing.
"""

import logging
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.anatomy.compared import flattened
from petechia.anatomy.optimise import demons
from petechia.anatomy.registration import Registration
from petechia.anatomy.resample import coarse_grid, through, to_grid
from petechia.anatomy.sites import REGIONS
from petechia.anatomy.template import Template
from petechia.core.checks import require_between
from petechia.core.grid import Grid
from petechia.core.morphology import Mask, bounding_box, widened_box
from petechia.core.robust import robust_sd

log = logging.getLogger(__name__)
Volume = npt.NDArray[np.float32]

MARGIN_MM = 12.0
"""So much around the template's brain takes part."""
OWN_CONTRAST = (
    "basal_ganglia",
    "thalamus",
    "internal_capsule",
    "corpus_callosum",
    "brainstem",
    "cerebellum",
    "n/a",
)
"""Sites whose look is no function of T1 and T2 contrast alone; `n/a` are the ventricles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeformationParams:
    """Settings of `deform`.

    Attributes
    ----------
    rounds : int
        How often the template's contrast is fitted anew.
    steps, fine_steps : int
        Steps of demons in a round on voxels twice the template's, and in each of the last two
        rounds, on its own.
    stiffness_mm : float
        Standard deviation of the Gaussian that smooths the displacement [mm].
    coarse_mm : float
        Both images are this smooth in the first round, half of it in the second, and as they
        are from the third [mm].
    outlier : float
        Differences of so many standard deviations, of the noise or of the contrast between
        tissues, whichever is larger, pull nothing.
    least_jacobian : float
        A map that shrinks any place to less than this is not taken.
    """

    rounds: int = 4
    steps: int = 12
    fine_steps: int = 20
    stiffness_mm: float = 4.5
    coarse_mm: float = 4.0
    outlier: float = 3.0
    least_jacobian: float = 0.1

    def __post_init__(self) -> None:
        for name, high in (
            ("rounds", 100), ("steps", 1000), ("fine_steps", 1000), ("stiffness_mm", 50)
        ):  # fmt: skip
            require_between(
                getattr(self, name), 1, high, f"DeformationParams.{name}", "See its docstring."
            )


def deform(
    registration: Registration,
    magnitude: npt.NDArray[np.floating],
    mask: Mask,
    template: Template,
    params: DeformationParams | None = None,
) -> Registration:
    """Return the registration with a smooth displacement on top of its affine map.

    Parameters
    ----------
    registration : Registration
        A believable affine fit; one that is not is returned as it is.
    magnitude : (I, J, K) ndarray of float
        The scan, on `registration.scan_grid`.
    mask : (I, J, K) ndarray of bool
        Its brain.
    template : Template
        What it was registered to.
    params : DeformationParams, optional
        Settings.

    Returns
    -------
    Registration
        Without a displacement, and saying so, when the map would fold.

    References
    ----------
    Guimond et al. 2001, 10.1109/42.906425
    """
    p = params or DeformationParams()
    registration.scan_grid.require(magnitude, "magnitude")
    registration.scan_grid.require(mask, "mask")
    if not registration.ok:
        return registration
    box = _around_brain(template)
    near = _cut(template, box)
    coarse = _coarsened(near, 2 * float(near.grid.spacing_mm.min()))
    field = np.zeros((3, *coarse.grid.shape), dtype=np.float32)
    scan, there = _Scan.of(registration, magnitude, mask, coarse), coarse
    for n in range(p.rounds):
        blur_mm = p.coarse_mm / 2**n if n < 2 else 0.0
        if n == max(p.rounds - 2, 0):  # the field is smooth: only its end needs fine voxels
            field = _finer(field, coarse.grid, near.grid)
            scan, there = _Scan.of(registration, magnitude, mask, near), near
        steps = p.steps if there is coarse else p.fine_steps
        field = _round(scan, there, field, blur_mm, steps, p)
    margins = [(s.start, n - s.stop) for s, n in zip(box, template.grid.shape, strict=True)]
    field = np.pad(field, [(0, 0), *margins], mode="edge")
    least = float(jacobian(field)[template.brain].min())
    far_vox = float(np.linalg.norm(field, axis=0)[template.brain].max())
    far_mm = far_vox * float(template.grid.spacing_mm[0])
    log.info("demons move at most %.1f mm, least Jacobian %.2f", far_mm, least)
    if least < p.least_jacobian:
        return replace(registration, says=f"{registration.says}; the deformable fit folded")
    says = f"{registration.says}, then deformed by at most {far_mm:.0f} mm"
    return replace(registration, displacement_vox=field, says=says)


def _around_brain(template: Template) -> tuple[slice, slice, slice]:
    """Return the box of the template's brain and a margin."""
    margin = np.ceil(MARGIN_MM / template.grid.spacing_mm).astype(int)
    return widened_box(bounding_box(template.brain), margin, template.grid.shape)


def _cut(template: Template, box: tuple[slice, slice, slice]) -> Template:
    return Template(
        t1=template.t1[box],
        t2=template.t2[box],
        brain=template.brain[box],
        regions=template.regions[box],
        grid=template.grid.cut(box),
    )


def _coarsened(template: Template, spacing_mm: float) -> Template:
    grid = template.grid
    small = coarse_grid(grid, spacing_mm)
    t1, t2 = (np.asarray(to_grid(v, grid, small)) for v in (template.t1, template.t2))
    brain = np.asarray(to_grid(template.brain, grid, small, order=0))
    regions = np.asarray(to_grid(template.regions, grid, small, order=0))
    return Template(t1=t1, t2=t2, brain=brain, regions=regions, grid=small)


def _finer(displacement_vox: Volume, source: Grid, target: Grid) -> Volume:
    """Return a displacement in voxels of `source` in those of `target`, which has more."""
    step = source.spacing_mm / target.spacing_mm
    parts = [np.asarray(to_grid(part, source, target)) for part in displacement_vox]
    return np.stack([part * d for part, d in zip(parts, step, strict=True)]).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Scan:
    """The scan on the template's grid, through the affine map."""

    level: Volume
    brain: Mask
    seen: Mask

    @classmethod
    def of(
        cls,
        registration: Registration,
        magnitude: npt.NDArray[np.floating],
        mask: Mask,
        template: Template,
    ) -> "_Scan":
        grid = registration.scan_grid
        back = np.asarray(np.linalg.inv(registration.matrix), dtype=np.float64)

        def bring(volume: Volume, outside: float) -> Volume:
            # fine voxels are averaged first, or noise and voids would alias
            width = 0.4 * template.grid.spacing_mm.min() / grid.spacing_mm
            smooth = ndimage.gaussian_filter(volume, np.where(width > 0.5, width, 0))
            return through(smooth, grid, back, template.grid, outside=outside)

        image = bring(np.asarray(magnitude, dtype=np.float32), -1.0)
        brain = bring(mask.astype(np.float32), 0.0) > 0.5
        seen = image >= 0
        level = flattened(np.where(seen, image, 0), brain, template.grid)
        return cls(level=level, brain=brain, seen=seen)


def _round(
    scan: _Scan, template: Template, field: Volume, blur_mm: float, steps: int, p: DeformationParams
) -> Volume:
    """Fit the template's contrast to the scan, then let demons pull."""
    grid = template.grid
    place = np.indices(grid.shape, dtype=np.float32) + field

    def moved(volume: npt.NDArray[np.generic], order: int = 1) -> Volume:
        there = ndimage.map_coordinates(volume, place, order=order, mode="nearest")
        return np.asarray(there, dtype=np.float32)

    both = scan.brain & scan.seen & (moved(template.brain.astype(np.uint8), 0) > 0)
    if both.sum() < 1000:  # hardly any brain in view
        return field
    t1, t2, regions = moved(template.t1), moved(template.t2), moved(template.regions, 0)
    terms = _terms(t1[both], t2[both], regions[both])
    weights, spread = _robust_fit(terms, scan.level[both])
    contrast = np.zeros(grid.shape, dtype=np.float32)
    inside = template.brain
    contrast[inside] = (
        _terms(template.t1[inside], template.t2[inside], template.regions[inside]) @ weights
    )
    goal = np.where(scan.brain, scan.level, 0).astype(np.float32)
    expected = (terms @ weights).astype(np.float32)
    odd = both.copy()
    # what is misplaced differs by as much as tissues do; a void differs by more
    odd[both] = np.abs(scan.level[both] - expected) > p.outlier * max(spread, float(expected.std()))
    goal[odd] = expected[odd[both]]
    unseen = ~scan.seen
    goal[unseen] = moved(contrast)[unseen]
    fixed, moving = (
        ndimage.gaussian_filter(volume / np.float32(spread), blur_mm / grid.spacing_mm)
        for volume in (goal, contrast)
    )
    return demons(fixed, moving, field, grid, iterations=steps, stiffness_mm=p.stiffness_mm)


def _terms(
    t1: npt.NDArray[np.generic], t2: npt.NDArray[np.generic], regions: npt.NDArray[np.generic]
) -> npt.NDArray[np.float64]:
    """Return what the contrast is a sum of, (N, terms): cubic in T1 and T2, and sites' own."""
    a, b = t1.astype(np.float64) / 255, t2.astype(np.float64) / 255
    cubic = [a**m * b**n for m in range(4) for n in range(4 - m)]
    own = [
        np.isin(regions, [r.index for r in REGIONS if r.site == site]).astype(np.float64)
        for site in OWN_CONTRAST
    ]
    return np.stack(cubic + own, axis=1)


def _robust_fit(
    terms: npt.NDArray[np.float64], values: Volume
) -> tuple[npt.NDArray[np.float64], float]:
    """Return weights of the terms, and the robust spread of what they leave."""
    kept = np.ones(len(values), dtype=bool)
    ridge = 1e-6 * len(values) * np.eye(terms.shape[1])
    weights, spread = np.zeros(terms.shape[1]), 1.0
    for _ in range(4):
        chosen = terms[kept]
        found = np.linalg.solve(chosen.T @ chosen + ridge, chosen.T @ values[kept])
        weights = np.asarray(found, dtype=np.float64)
        left = values - terms @ weights
        spread = max(robust_sd(left, 0.0), 1e-6)
        kept = np.abs(left) < 2.5 * spread
    return weights, spread


def jacobian(displacement_vox: Volume) -> Volume:
    """Return the determinant of the Jacobian of x + displacement(x); below 0 it folds.

    Parameters
    ----------
    displacement_vox : (3, I, J, K) ndarray of float32
        In voxels of its own grid.
    """
    steps = np.stack([np.stack(np.gradient(part), axis=-1) for part in displacement_vox], axis=-2)
    return np.asarray(np.linalg.det(steps + np.eye(3, dtype=np.float32)), dtype=np.float32)
