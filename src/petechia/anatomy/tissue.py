"""Fluid of the scan itself: a map of CSF, parted into ventricles and sulci."""

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.core.blocks import Blocks
from petechia.core.grid import Grid
from petechia.core.morphology import Mask, bounding_box, distance_inside_mm
from petechia.core.robust import TO_SD
from petechia.errors import ParameterError

Volume = npt.NDArray[np.float32]
FLATTEN_MM = 20.0
LEAST_SEED_MM3 = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TissueParams:
    """Settings of `tissue_map`.

    Attributes
    ----------
    least_contrast : float
        A channel in which the medians of fluid and tissue differ by fewer of their standard
        deviations than this is left out.
    slow : float
        Without a prior: fluid decays slower than this share of the median R2*.
    bright : float
        Without prior and R2*: fluid is brighter than this share of its surroundings.
    surface_mm : float
        Fluid nearer to the surface of the brain than this is never a ventricle, unless the
        prior says so [mm].
    """

    least_contrast: float = 0.8
    slow: float = 0.6
    bright: float = 1.35
    surface_mm: float = 12.0

    def __post_init__(self) -> None:
        if not (self.least_contrast > 0 and 0 < self.slow < 1 < self.bright):
            raise ParameterError(
                f"{self}",
                where="TissueParams",
                mend="least_contrast above 0, slow below 1, bright above 1.",
            )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Tissue:
    """Fluid of a scan.

    Attributes
    ----------
    csf : (I, J, K) ndarray of float32
        Share of fluid, 0 to 1; 0 outside the mask, and everywhere when it could not be told.
    ventricles : (I, J, K) ndarray of bool
        Fluid of the ventricles.
    told : bool
        True when the scan itself shows fluid; False when `csf` is the prior alone, or empty.
    says : str
        How it was come by, or why not.
    """

    csf: Volume
    ventricles: Mask
    told: bool
    says: str

    @property
    def sulci(self) -> Mask:
        """Fluid outside the ventricles: sulci, fissures, cisterns."""
        return (self.csf > 0.5) & ~self.ventricles


def tissue_map(
    magnitude: npt.NDArray[np.floating],
    mask: Mask,
    grid: Grid,
    *,
    r2star: npt.NDArray[np.floating] | None = None,
    prior_csf: npt.NDArray[np.floating] | None = None,
    prior_ventricles: Mask | None = None,
    params: TissueParams | None = None,
) -> Tissue:
    """Tell fluid from tissue by what the scan shows of it.

    Whether fluid is bright or dark depends on flip angle, repetition and echo time. So its
    look is learnt from the scan: from where the prior has ventricles; without a prior from
    what decays slowly; without that, from what is bright. Fluid and tissue are then two
    normal classes with one covariance over the channels (first and last magnitude, each over
    its surroundings, and R2*), times the prior.

    Parameters
    ----------
    magnitude : (I, J, K) or (E, I, J, K) ndarray of float
        One echo, or all in order of echo time; any unit.
    mask : (I, J, K) ndarray of bool
        Brain with its sulcal fluid.
    grid : Grid
        Geometry.
    r2star : (I, J, K) ndarray of float, optional
        Relaxation rate [1/s].
    prior_csf : (I, J, K) ndarray of float, optional
        Probability of fluid from a template, 0 to 1.
    prior_ventricles : (I, J, K) ndarray of bool, optional
        Ventricles of a template.
    params : TissueParams
        Settings.

    Returns
    -------
    Tissue
        With the reason when nothing could be told.

    Notes
    -----
    Susceptibility is no channel: fluid and grey matter have the same. Where fluid is darker
    than tissue, veins and rims of voids look like it; what is darker than half of it is none.
    """
    p = params or TissueParams()
    echoes = np.asarray(magnitude, dtype=np.float32)
    echoes = echoes[None] if echoes.ndim == 3 else echoes
    given = (
        (echoes, "magnitude"), (mask, "mask"), (r2star, "r2star"), (prior_csf, "prior_csf"),
        (prior_ventricles, "prior_ventricles"),
    )  # fmt: skip
    for array, name in given:
        if array is not None:
            grid.require(array, name)
    if not mask.any() or not np.any(echoes[-1][mask] > 0):
        return _nothing(grid, "The brain mask is empty.")
    box = bounding_box(mask)
    near = grid.cut(box)

    def cut(array: Any) -> Any:
        return None if array is None else np.ascontiguousarray(array[(..., *box)])

    small = _within(
        cut(echoes[[0, -1]] if len(echoes) > 1 else echoes), cut(mask), near, cut(r2star),
        cut(prior_csf), cut(prior_ventricles), p,
    )  # fmt: skip
    csf, ventricles = np.zeros(grid.shape, dtype=np.float32), np.zeros(grid.shape, dtype=bool)
    csf[box], ventricles[box] = small.csf, small.ventricles
    return replace(small, csf=csf, ventricles=ventricles)


def _within(
    echoes: Volume,
    mask: Mask,
    grid: Grid,
    r2star: Volume | None,
    prior_csf: Volume | None,
    prior_ventricles: Mask | None,
    p: TissueParams,
) -> Tissue:
    channels = [_relative(echoes[-1], mask, grid)]
    if len(echoes) > 1:
        channels.append(_relative(echoes[0], mask, grid))
    if r2star is not None:
        channels.append(_soft(np.asarray(r2star, dtype=np.float32), mask, grid))
    values = np.stack([c[mask] for c in channels])
    depth = _distance(mask, grid)
    fluid, matter, how = _seeds(values, r2star is not None, mask, depth, grid, prior_ventricles, p)
    least = max(20, int(LEAST_SEED_MM3 / grid.voxel_mm3))
    prior = _prior(mask, depth, prior_csf, prior_ventricles, grid)
    score = None
    if min(int(fluid.sum()), int(matter.sum())) >= least:
        score = _score(values, fluid, matter, p)
    if score is None:
        return _from_prior(prior, mask, grid, prior_csf, prior_ventricles)
    csf = np.zeros(grid.shape, dtype=np.float32)
    odds = score + np.log(prior / (1 - prior))
    inside = 1 / (1 + np.exp(-np.clip(odds, -30, 30)))
    inside[values[0] < 0.5 * np.median(values[0][fluid])] = 0
    csf[mask] = inside
    ventricles = _ventricles(csf, depth, mask, grid, prior_ventricles, p)
    return Tissue(csf=csf, ventricles=ventricles, told=True, says=f"Fluid was learnt from {how}.")


def _distance(mask: Mask, grid: Grid) -> Volume:
    """Return about how deep each voxel lies in `mask`, read on blocks of 2 mm [mm].

    The border of the volume is not an edge.
    """
    blocks = Blocks.of(grid, 2.0)
    rough = blocks.reduce(mask)
    for axis, f in enumerate(blocks.factors):  # blocks that stick out hold less than they could
        rest = mask.shape[axis] % f
        if rest:
            at = tuple(-1 if a == axis else slice(None) for a in range(3))
            rough[at] *= f / rest
    inside = distance_inside_mm(rough > 0.5, blocks.coarse)
    return blocks.expand(np.minimum(inside, 1000.0).astype(np.float32))


def _near(mask: Mask, grid: Grid, reach_mm: float) -> Mask:
    """Return what lies within about `reach_mm` of `mask`."""
    return _distance(~mask, grid) <= reach_mm


def _core(mask: Mask, grid: Grid, radius_mm: float) -> Mask:
    """Return `mask` without what is thin or near its border."""
    part = ndimage.gaussian_filter(
        mask.astype(np.float32), radius_mm / grid.spacing_mm, truncate=2.0
    )
    return cast("Mask", part > 0.75) & mask


def _nothing(grid: Grid, says: str) -> Tissue:
    return Tissue(
        csf=np.zeros(grid.shape, dtype=np.float32),
        ventricles=np.zeros(grid.shape, dtype=bool),
        told=False,
        says=f"No fluid was told: {says}",
    )


def _from_prior(
    prior: npt.NDArray[np.float64],
    mask: Mask,
    grid: Grid,
    prior_csf: npt.NDArray[np.floating] | None,
    prior_ventricles: Mask | None,
) -> Tissue:
    why = "fluid and tissue look alike in this scan"
    if prior_csf is None and prior_ventricles is None:
        return _nothing(grid, f"{why}.")
    csf = np.zeros(grid.shape, dtype=np.float32)
    csf[mask] = prior
    if prior_csf is None:
        csf[csf <= 0.5] = 0
    ventricles = mask & (prior_ventricles if prior_ventricles is not None else False)
    return Tissue(
        csf=csf,
        ventricles=cast("Mask", np.asarray(ventricles, dtype=bool)),
        told=False,
        says=f"{why.capitalize()}: the template's fluid was taken.",
    )


def _relative(volume: Volume, mask: Mask, grid: Grid) -> Volume:
    """Return the soft magnitude over its wide mean in the brain: shading goes."""
    blocks = Blocks.of(grid, 4.0)
    sigma = FLATTEN_MM / blocks.coarse.spacing_mm
    top = np.percentile(volume[mask], 99)
    total, weight = (
        ndimage.gaussian_filter(blocks.reduce(v), sigma, truncate=3.0)
        for v in (np.where(mask, np.minimum(volume, top), 0), mask)
    )
    wide = blocks.expand((total / np.maximum(weight, 1e-3)).astype(np.float32))
    floor = 0.05 * float(np.median(volume[mask])) + np.finfo(np.float32).tiny
    return _soft(np.clip(volume / np.maximum(wide, floor), 0, 4), mask, grid)


def _soft(volume: Volume, mask: Mask, grid: Grid) -> Volume:
    """Return a mean over about a voxel of 1 mm, within the mask."""
    sigma = 0.6 / grid.spacing_mm
    total = ndimage.gaussian_filter(np.where(mask, volume, 0), sigma, truncate=2.5)
    weight = ndimage.gaussian_filter(mask.astype(np.float32), sigma, truncate=2.5)
    return np.asarray(total / np.maximum(weight, 1e-3), dtype=np.float32)


def _seeds(
    values: npt.NDArray[np.floating],
    has_rate: bool,
    mask: Mask,
    depth: npt.NDArray[np.float32],
    grid: Grid,
    prior_ventricles: Mask | None,
    p: TissueParams,
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], str]:
    """Return which voxels of the mask show fluid, which tissue, and how that is known."""
    deep = depth[mask] > min(10.0, 0.5 * float(np.max(depth[mask], initial=0)))
    if prior_ventricles is not None:
        core = _core(prior_ventricles, grid, 1.5) & mask
        if core.sum() * grid.voxel_mm3 < LEAST_SEED_MM3:
            core = prior_ventricles & mask
        if core.sum() * grid.voxel_mm3 >= LEAST_SEED_MM3:
            matter = deep & ~_near(prior_ventricles, grid, 4.0)[mask]
            return core[mask], matter, "the template's ventricles"
    if has_rate:
        slow = values[-1] < p.slow * np.median(values[-1])
        return slow, deep & ~slow, "what decays slowly"
    bright = values[0] > p.bright * np.median(values[0])
    return bright, deep & ~bright, "what is bright"


def _prior(
    mask: Mask,
    depth: npt.NDArray[np.float32],
    prior_csf: npt.NDArray[np.floating] | None,
    prior_ventricles: Mask | None,
    grid: Grid,
) -> npt.NDArray[np.float64]:
    """Return the probability of fluid before the scan is looked at, within the mask."""
    out = np.where(depth[mask] < 6.0, 0.25, 0.1)
    if prior_csf is not None:
        out = np.asarray(prior_csf[mask], dtype=np.float64)
    if prior_ventricles is not None:
        near = ndimage.gaussian_filter(prior_ventricles.astype(np.float32), 1.5 / grid.spacing_mm)
        out = np.maximum(out, 0.8 * near[mask])
    return np.clip(out, 0.05, 0.9)


def _score(
    values: npt.NDArray[np.floating],
    fluid: npt.NDArray[np.bool_],
    matter: npt.NDArray[np.bool_],
    p: TissueParams,
) -> Any:
    """Return the log-likelihood ratio of fluid, or None when no channel shows it."""
    centre = [np.median(values[:, seeds], axis=1) for seeds in (fluid, matter)]
    spread = [
        TO_SD * np.median(np.abs(values[:, seeds] - c[:, None]), axis=1) + 1e-9
        for seeds, c in zip((fluid, matter), centre, strict=True)
    ]
    pooled = np.sqrt((spread[0] ** 2 + spread[1] ** 2) / 2)
    use = np.abs(centre[0] - centre[1]) / pooled >= p.least_contrast
    if not use.any():
        return None
    v, scale = values[use], pooled[use, None]
    a, b = (c[use, None] / scale for c in centre)
    v = v / scale
    # channels share noise and shading: their correlation in tissue, without outliers
    near = np.clip(v[:, matter] - b, -2.5, 2.5)
    correlation = np.atleast_2d(np.corrcoef(near)) if len(near) > 1 else np.ones((1, 1))
    correlation = 0.8 * correlation + 0.2 * np.eye(len(correlation))
    weights = np.linalg.solve(correlation, a - b)[:, 0]
    return weights @ (v - (a + b) / 2)


def _ventricles(
    csf: Volume,
    depth: npt.NDArray[np.float32],
    mask: Mask,
    grid: Grid,
    prior_ventricles: Mask | None,
    p: TissueParams,
) -> Mask:
    """Return the deep fluid that hangs together with the ventricles."""
    fluid = csf > 0.5
    deep = depth > p.surface_mm
    if prior_ventricles is not None and (prior_ventricles & mask).any():
        seed = fluid & prior_ventricles
        wide = _core(fluid & deep, grid, 2.5)
        allowed = fluid & (_near(prior_ventricles, grid, 3.0) | _near(wide, grid, 2.5))
    else:
        seed = _core(fluid & deep, grid, 2.0)
        allowed = fluid & _near(seed, grid, 3.0)
    parts, n = ndimage.label(allowed | seed)
    held = np.zeros(n + 1, dtype=bool)
    held[np.unique(parts[seed])] = True
    held[0] = False
    return cast("Mask", held[parts])
