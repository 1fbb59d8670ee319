"""A head of its own for every seed: the template warped, its nuclei given iron."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.core.grid import Grid
from petechia.simulate.ageing import (
    FLUID_SHIFT,
    VENTRICLE_MM,
    atrophy,
    draw_age,
    nucleus_chi_ppm,
    require_age,
    ventricle_pull,
)
from petechia.simulate.atlas import NUCLEI_CHI_PPM, VENTRICLES, Atlas, fluid_fraction
from petechia.simulate.protocols import rotation
from petechia.simulate.texture import fibres, folded
from petechia.simulate.tissues import AIR_PPM, RELAXIVITY_HZ_PER_PPM, TISSUES, spoiled_gre
from petechia.simulate.warp import warp

Volume = npt.NDArray[np.float32]
CENTRE_MM = np.array([0.0, -18.0, 6.0])
"""Middle of the template's brain, which warps turn about."""
NODE_MM = 8.0
"""Spacing of the nodes of the smooth deformation."""
BORDER_IRON_PPM = 0.015
"""What the iron of the fibres below the cortex adds where it meets white matter."""
CROSSING_MM = 12.0
"""Nearer to the midline than about this, fibres run from side to side."""
NECK_MM = 12.0
"""How far the head model goes on below the template, by repeating its last slice."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class HeadParams:
    """One person's anatomy, as drawn.

    Attributes
    ----------
    matrix : (3, 3) ndarray
        Head to template, about `CENTRE_MM`.
    nodes_mm : (3, A, B, C) ndarray of float32
        Smooth displacement added in template space [mm], on nodes of `NODE_MM`.
    nuclei_chi_ppm : dict
        Susceptibility of each nucleus against water [ppm].
    texture : (I, J, K) ndarray of float32
        Smooth unit-variance variation on the template's grid.
    age_years : float
        Of the person.
    fluid_shift : float
        How much brighter in T1 than on the template fluid may be: wide sulci.
    seed : int
        Of the fine structure.
    """

    matrix: npt.NDArray[np.float64]
    nodes_mm: Volume
    nuclei_chi_ppm: dict[str, float]
    texture: Volume
    age_years: float = 60.0
    fluid_shift: float = 0.0
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Head:
    """One person's head in its own millimetres, apart from any scanner.

    Attributes
    ----------
    grid : Grid
        Geometry.
    fractions : dict of str to (I, J, K) ndarray of float32
        Parts of `TISSUES`; what they leave is air.
    brain : (I, J, K) ndarray of float32
        Soft brain mask, sulcal fluid included.
    iron_ppm : (I, J, K) ndarray of float32
        Susceptibility of nuclei above that of grey matter.
    texture : (I, J, K) ndarray of float32
        Unit-variance variation inside tissues, drawn out along the fibres of white matter.
    params : HeadParams
        Where it came from.
    """

    grid: Grid
    fractions: dict[str, Volume]
    brain: Volume
    iron_ppm: Volume
    texture: Volume
    params: HeadParams


def sample_head(
    atlas: Atlas, rng: np.random.Generator, age_years: float | None = None
) -> HeadParams:
    """Draw a person: age unless given, size and tilt, a smooth deformation, iron, texture."""
    years, fine = rng.spawn(2)
    age = draw_age(years) if age_years is None else age_years
    require_age(age)
    shrunk = atrophy(age, years)
    turn = rotation(*np.deg2rad(rng.normal(0.0, 2.0, 3)))
    stretch = np.diag(1.0 / rng.normal(1.0, 0.025, 3).clip(0.93, 1.07))
    extent = np.asarray(atlas.grid.shape) * atlas.grid.spacing_mm
    shape = tuple(int(np.ceil(e / NODE_MM)) + 2 for e in extent)
    nodes = np.stack(
        [ndimage.gaussian_filter(rng.standard_normal(shape), 2.6, mode="nearest") for _ in range(3)]
    )
    nodes *= (2.2 / nodes.std(axis=(1, 2, 3)))[:, None, None, None]
    nodes += VENTRICLE_MM * shrunk * ventricle_pull(atlas, shape, NODE_MM)
    texture = ndimage.gaussian_filter(rng.standard_normal(atlas.grid.shape, dtype=np.float32), 0.8)
    return HeadParams(
        matrix=turn @ stretch,
        nodes_mm=nodes.astype(np.float32),
        nuclei_chi_ppm={
            name: nucleus_chi_ppm(name, float(rng.uniform(low, high)), age)
            for name, (low, high) in NUCLEI_CHI_PPM.items()
        },
        texture=texture / texture.std(),
        age_years=age,
        fluid_shift=FLUID_SHIFT * shrunk,
        seed=int(fine.integers(1 << 62)),
    )


def to_template(
    places_mm: npt.NDArray[np.floating], params: HeadParams, atlas: Atlas
) -> npt.NDArray[np.float64]:
    """Return where places (..., 3) of the head lie in the template [mm]."""
    turned = (np.asarray(places_mm, dtype=np.float64) - CENTRE_MM) @ params.matrix.T + CENTRE_MM
    out: npt.NDArray[np.float64] = turned + _displacement(turned, params, atlas)
    return out


def from_template(
    places_mm: npt.NDArray[np.floating], params: HeadParams, atlas: Atlas
) -> npt.NDArray[np.float64]:
    """Return where places (..., 3) of the template lie in the head [mm].

    The inverse of `to_template` by fixed-point iteration, to 0.01 mm.
    """
    goal = np.asarray(places_mm, dtype=np.float64)
    turned = goal.copy()
    for _ in range(12):
        turned = goal - _displacement(turned, params, atlas)
    back: npt.NDArray[np.float64] = (turned - CENTRE_MM) @ np.linalg.inv(
        params.matrix
    ).T + CENTRE_MM
    return back


def _displacement(
    places_mm: npt.NDArray[np.float64], params: HeadParams, atlas: Atlas
) -> npt.NDArray[np.float64]:
    at = (places_mm - atlas.grid.affine[:3, 3]) / NODE_MM
    flat = at.reshape(-1, 3).T
    moved = [ndimage.map_coordinates(u, flat, order=1, mode="nearest") for u in params.nodes_mm]
    return np.asarray(np.stack(moved, -1).reshape(at.shape), dtype=np.float64)


def make_head(params: HeadParams, atlas: Atlas, voxel_mm: float = 1.0) -> Head:
    """Return the head that `params` describe, on voxels of `voxel_mm`."""
    grid = _head_grid(atlas, voxel_mm)
    iron = np.zeros(atlas.grid.shape, dtype=np.float32)
    nuclei = np.zeros(atlas.grid.shape, dtype=np.float32)
    for name, soft in atlas.nuclei.items():
        excess = params.nuclei_chi_ppm[name] - TISSUES["gm"].chi_ppm
        iron = np.where(soft * abs(excess) > np.abs(iron), soft * excess, iron)
        nuclei = np.maximum(nuclei, soft)
    stack = np.stack(
        [atlas.t1, atlas.brain, atlas.head, atlas.air, nuclei, iron, params.texture, 0 * iron],
        axis=-1,
    )
    warped = np.empty((*grid.shape, stack.shape[-1]), dtype=np.float32)
    shift = CENTRE_MM - params.matrix @ CENTRE_MM
    warp(
        np.ascontiguousarray(stack, dtype=np.float32),
        np.ascontiguousarray(atlas.head > 0.02),
        np.ascontiguousarray(np.moveaxis(params.nodes_mm, 0, -1)),
        params.matrix @ grid.affine[:3, :3],
        params.matrix @ grid.affine[:3, 3] + shift,
        np.ascontiguousarray(atlas.grid.affine[:3, 3]),
        float(atlas.grid.spacing_mm[0]),
        NODE_MM,
        warped,
    )
    t1, brain, head, air, nuclei, iron, texture, _ = np.moveaxis(warped, -1, 0)
    folded(t1, brain, grid.affine[:3, 3], voxel_mm, params.seed)
    fractions = _fractions(t1, brain, head, air, nuclei, params.fluid_shift)
    iron += np.float32(4 * BORDER_IRON_PPM) * fractions["gm"] * fractions["wm"]
    return Head(
        grid=grid,
        fractions=fractions,
        brain=np.ascontiguousarray(brain),
        iron_ppm=np.ascontiguousarray(iron),
        texture=_with_fibres(texture, fractions["wm"], grid, params, atlas),
        params=params,
    )


def _with_fibres(
    texture: Volume, white: Volume, grid: Grid, params: HeadParams, atlas: Atlas
) -> Volume:
    """Return the texture with that of fibres in white matter, both of unit variance.

    Fibres fan out from the lateral ventricles, and cross from side to side near the midline.
    """
    out = np.ascontiguousarray(texture)
    at = np.nonzero(white > 0.5)
    places = grid.to_mm(np.stack(at, axis=-1))
    there = to_template(places, params, atlas)
    index = atlas.grid.to_index(there).T
    ventricle = np.isin(atlas.regions, VENTRICLES[:2])
    away = ndimage.gaussian_filter(
        ndimage.distance_transform_edt(~ventricle).astype(np.float32), 2.0
    )
    ways = np.stack(
        [ndimage.map_coordinates(u, index, order=1, mode="nearest") for u in np.gradient(away)], -1
    )
    ways[:, 0] += np.sign(there[:, 0]) * np.exp(-((there[:, 0] / CROSSING_MM) ** 2))
    ways /= np.maximum(np.linalg.norm(ways, axis=1, keepdims=True), 1e-6)
    out[at] = np.float32(np.sqrt(0.5)) * (out[at] + fibres(places, ways, params.seed))
    return out


def _head_grid(atlas: Atlas, voxel_mm: float) -> Grid:
    low = atlas.grid.affine[:3, 3] - (8.0, 8.0, NECK_MM)
    high = atlas.grid.to_mm(np.asarray(atlas.grid.shape) - 1) + 8.0
    i, j, k = (int(np.ceil(e / voxel_mm)) + 1 for e in high - low)
    affine = np.diag([voxel_mm, voxel_mm, voxel_mm, 1.0])
    affine[:3, 3] = low
    return Grid((i, j, k), affine)


def _step(x: Volume, low: float, high: float) -> Volume:
    """Return 0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((x - np.float32(low)) / np.float32(high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)


def _fractions(
    t1: Volume, brain: Volume, head: Volume, air: Volume, nuclei: Volume, fluid_shift: float
) -> dict[str, Volume]:
    """Return tissue fractions from warped intensities and masks.

    They are decided after warping, at the head's own resolution, so that edges are as
    sharp as the head's voxels rather than the template's.
    """
    inside = _step(head, 0.3, 0.7) * (1 - _step(air, 0.3, 0.7))
    of_brain = _step(brain, 0.35, 0.65) * inside
    nuclear = np.clip(nuclei, 0, 1) * of_brain
    fluid = fluid_fraction(t1 - np.float32(fluid_shift)) * (of_brain - nuclear)
    white = _step(t1, 203, 238) * (of_brain - nuclear - fluid)
    # a millimetre of fluid and dura parts the brain from the bone
    rim = np.maximum(_step(brain, 0.05, 0.22) * inside - of_brain, 0)
    outside = inside - of_brain - rim
    bone = (1 - _step(t1, 62, 120)) * outside
    fat = _step(t1, 165, 215) * (outside - bone)
    return {
        "soft": outside - bone - fat,
        "fat": fat,
        "bone": bone,
        "csf": fluid + rim,
        "gm": of_brain - fluid - white,
        "wm": white,
    }


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class HeadMaps:
    """A head as one protocol sees it, on the head's grid.

    Attributes
    ----------
    chi_ppm : (I, J, K) ndarray of float32
        Susceptibility against *air* (0 outside).
    s0 : (I, J, K) ndarray of float32
        Steady-state signal before decay.
    r2star : (I, J, K) ndarray of float32
        [1/s]
    fat : (I, J, K) ndarray of float32
        Fraction that precesses at the frequency of fat.
    """

    chi_ppm: Volume
    s0: Volume
    r2star: Volume
    fat: Volume


def head_chi(head: Head) -> Volume:
    """Return the susceptibility of every voxel of the head against *air* [ppm]."""
    chi = np.zeros(head.grid.shape, dtype=np.float32)
    present = np.zeros_like(chi)
    for name, part in head.fractions.items():
        chi += part * np.float32(TISSUES[name].chi_ppm)
        present += part
    in_brain = head.fractions["gm"] + head.fractions["wm"]
    chi += head.iron_ppm * present + np.float32(0.006) * head.texture * in_brain
    # against air: what is absent (the rest of each voxel) contributes nothing
    chi -= np.float32(AIR_PPM) * present
    return chi


def head_maps(
    head: Head, b0_t: float, tr_s: float, flip_deg: float, chi_ppm: Volume | None = None
) -> HeadMaps:
    """Return susceptibility (unless given), signal and decay of every voxel of the head."""
    s0 = np.zeros(head.grid.shape, dtype=np.float32)
    weighted = np.zeros_like(s0)
    for name, part in head.fractions.items():
        tissue = TISSUES[name]
        signal = np.float32(spoiled_gre(tissue.pd, tissue.t1_at(b0_t), tr_s, flip_deg))
        s0 += part * signal
        # decay weighs by signal: a voxel half bone decays as its half of soft tissue does
        weighted += part * signal * np.float32(tissue.r2star_at(b0_t))
    r2star = weighted / np.maximum(s0, np.float32(1e-6))
    r2star += head.iron_ppm * np.float32(RELAXIVITY_HZ_PER_PPM * b0_t / 3.0)
    in_brain = head.fractions["gm"] + head.fractions["wm"]
    r2star *= 1 + np.float32(0.06) * head.texture * in_brain
    s0 *= 1 + np.float32(0.025) * head.texture * in_brain
    return HeadMaps(
        chi_ppm=head_chi(head) if chi_ppm is None else chi_ppm,
        s0=s0,
        r2star=np.maximum(r2star, 0),
        fat=head.fractions["fat"],
    )
