"""What the classifier is told of a void: an ordered, versioned list of numbers, and cubes.

Every family is a module; every number compares across scanners: millimetres, shares of the scan's
own tissue, or ppm. What could not be measured is NaN.

`pipeline_hash` is of `VERSION`, the names and the settings it lists, and a model trained on
another hash is refused. It does not see what a number means: units, logarithms, reaches and
limits within a family, nor the stages before (`VoidParams` and what grows and measures a void).
What changes there is seen by `tests/lesions/features/test_golden.py` alone: then raise `VERSION`
and train the model again.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.core.grid import Grid
from petechia.core.morphology import distance_inside_mm
from petechia.core.units import radians_per_ppm
from petechia.lesions.context import Context
from petechia.lesions.dephasing import Dephasing
from petechia.lesions.features import curvature, form, intensity, magnetic, patches, radial, texture
from petechia.lesions.features.patches import BALL, CHANNELS, PER_PPM, Cubes, cut_cubes
from petechia.lesions.inputs import LesionInputs, RegionLike
from petechia.lesions.moment import MomentFit
from petechia.lesions.shape import Shape
from petechia.lesions.thread import Thread
from petechia.lesions.tube import Tube
from petechia.lesions.void import Void

Floats = npt.NDArray[np.float64]
VERSION = 5
"""Raised with every change of what a number means."""
N_LEVELS = 12
LEVEL = 0.1
"""Grey levels of texture: steps of relative signal."""
TEXTURE_MM = 4.0
"""Radius of the ball in which texture and intensities are read [mm]."""
TUBE_NAMES = ("tube_through", "tube_one_way", "tube_chi_through", "tube_chi_one_way", "vessel_mean",
              "vessel_near", "thread_elongation", "thread_reach")  # fmt: skip
PLACE_NAMES = ("edge_mm", "deep", "infratentorial", "lobar", "nucleus", "neighbours",
               "nearest_mm")  # fmt: skip
TISSUE_NAMES = (
    "to_surface_mm", "to_sulcus_mm", "to_ventricle_mm", "to_vein_mm", "to_air_mm",
    "vein_beyond_mm", "csf_around", "in_sulcus", "in_pallidum", "in_choroid_plexus", "in_pineal",
)  # fmt: skip
SCAN_NAMES = ("log_b0_te", "log_voxel", "in_plane_mm", "thickness_ratio", "phase", "multi_echo",
              "noise")  # fmt: skip
SHAPED = ("dark", "dark_swi", "chi")
"""Channels whose symmetry and curvature are taken."""

NAMES: tuple[str, ...] = (
    *(f"form_{n}" for n in form.NAMES),
    *(f"field_{n}" for n in magnetic.FIT_NAMES),
    *(f"void_{n}" for n in magnetic.VOID_NAMES),
    *(f"map_{n}" for n in magnetic.MAP_NAMES),
    *(f"{c}_{n}" for c in SHAPED for n in radial.NAMES),
    *(f"{c}_{n}" for c in ("dark", "chi") for n in curvature.NAMES),
    *(f"decay_shell_{n}" for n in range(3)),
    *(f"grey_{n}" for n in intensity.NAMES),
    *(f"glcm_{n}" for n in texture.GLCM_NAMES),
    *(f"glrlm_{n}" for n in texture.GLRLM_NAMES),
    *TUBE_NAMES,
    *PLACE_NAMES,
    *TISSUE_NAMES,
    *SCAN_NAMES,
)
"""Columns of the table, in order."""
SIGNED_NAMES = frozenset(
    [f"field_{n}" for n in magnetic.FIT_NAMES if n in magnetic.SIGNED]
    + [f"map_{n}" for n in magnetic.MAP_NAMES]
    + [f"void_{n}" for n in magnetic.VOID_NAMES]
    + [n for n in NAMES if n.startswith("chi_")]
    + ["tube_chi_through", "tube_chi_one_way"]
)
"""Columns that need the handedness of the phase."""
PHASE_NAMES = frozenset(
    n for n in NAMES if n.startswith(("field_", "void_", "map_", "chi_", "tube_chi"))
)
"""Columns that need a field."""


def pipeline_hash() -> str:
    """Return 16 hexadecimal digits that name the list of features and its settings."""
    facts = [
        VERSION, NAMES, CHANNELS, patches.SIDE, patches.STEP_MM, sorted(patches.LIMITS.items()),
        sorted(PER_PPM.items()), N_LEVELS, LEVEL, TEXTURE_MM, radial.SHELLS_MM, radial.UNEVEN_MM,
        radial.BALLS_MM, radial.RAY_MM, curvature.SCALES_MM, curvature.REACH_MM,
        magnetic.NEAR_MM, magnetic.FAR_MM,
    ]  # fmt: skip
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Spot:
    """One void and what earlier stages measured on it.

    Attributes
    ----------
    void, shape : Void, Shape
        It, and its size and form.
    tube, tube_chi : Tube, Tube or None
        Continuation in magnitude and susceptibility.
    thread : Thread
        The dark region that it is a part of.
    fit : MomentFit or None
        Of the field around.
    by_void : Dephasing or None
        What the void says of the moment.
    region, context : RegionLike, Context, or None
        Where it lies, and beside what.
    """

    void: Void
    shape: Shape
    tube: Tube
    thread: Thread
    tube_chi: Tube | None = None
    fit: MomentFit | None = None
    by_void: Dephasing | None = None
    region: RegionLike | None = None
    context: Context | None = None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Described:
    """What the classifier is told.

    Attributes
    ----------
    table : (N, len(NAMES)) ndarray of float32
        One row a void; NaN where a number could not be had.
    cubes : (N, len(CHANNELS), 20, 20, 20) ndarray of float32
        Of `cut_cubes`.
    """

    table: npt.NDArray[np.float32]
    cubes: Cubes


def describe(
    inputs: LesionInputs,
    signal: npt.NDArray[np.float32],
    signal_swi: npt.NDArray[np.float32] | None,
    noise: float,
    spots: Sequence[Spot],
    all_centres_vox: npt.NDArray[np.floating],
) -> Described:
    """Return the features and cubes of voids.

    Parameters
    ----------
    inputs : LesionInputs
        Arrays of the scan, cut as the voids' indices are.
    signal, signal_swi : (I, J, K) ndarray of float32
        Magnitude and SWI relative to their surroundings; None without SWI.
    noise : float
        Spread of `signal` in undisturbed tissue.
    spots : sequence of Spot
        The voids to describe.
    all_centres_vox : (M, 3) ndarray of float
        Centres of all voids of the scan, also of those that are not described.
    """
    grid = inputs.grid
    centres = [s.shape.centre_vox for s in spots]
    cubes = cut_cubes(_channels(inputs, signal, signal_swi), centres, grid)
    if not len(spots):
        return Described(table=np.zeros((0, len(NAMES)), dtype=np.float32), cubes=cubes)
    dark, swi, field, chi, decay = (cubes[:, n] for n in range(5))
    turn = radians_per_ppm(inputs.b0_t, inputs.reading_te_s)
    blocks = [
        np.stack([form.form_features(s.void, s.shape, noise) for s in spots]),
        np.stack([_fit_row(s, grid, turn) for s in spots]),
        np.stack([magnetic.void_features(s.by_void, s.fit) for s in spots]),
        magnetic.map_features(field, chi),
        radial.radial_features(dark),
        radial.radial_features(swi),
        radial.radial_features(chi),
        curvature.curvature_features(dark),
        curvature.curvature_features(chi),
        radial.radial_features(decay)[:, :3],
        np.stack([_grey(cube) for cube in dark]),
        _tubes(inputs, spots),
        _places(inputs, spots, np.asarray(all_centres_vox)),
        _tissues(spots),
        np.tile(_scan(inputs, noise), (len(spots), 1)),
    ]
    table = np.concatenate(blocks, axis=1).astype(np.float32)
    return Described(table=_without_missing(table, inputs, signal_swi is None), cubes=cubes)


def _without_missing(
    table: npt.NDArray[np.float32], inputs: LesionInputs, no_swi: bool
) -> npt.NDArray[np.float32]:
    """Set columns to NaN whose images are not there or cannot be trusted."""
    gone: set[str] = set()
    if not inputs.has_field:
        gone |= PHASE_NAMES
    elif not inputs.sign_trusted:
        gone |= SIGNED_NAMES
    if inputs.chi_ppm is None:
        gone |= {n for n in NAMES if n.startswith(("chi_", "map_chi", "tube_chi"))}
    if no_swi:
        gone |= {n for n in NAMES if n.startswith("dark_swi_")}
    if inputs.r2star is None:
        gone |= {n for n in NAMES if n.startswith("decay_")}
    table[:, [n for n, name in enumerate(NAMES) if name in gone]] = np.nan
    return table


def _channels(
    inputs: LesionInputs,
    signal: npt.NDArray[np.float32],
    signal_swi: npt.NDArray[np.float32] | None,
) -> dict[str, npt.NDArray[np.floating] | None]:
    """Return the volumes that cubes are cut from."""
    brain = inputs.brain_mask
    signed = inputs.has_field and inputs.sign_trusted
    decay = None
    if inputs.r2star is not None and brain.any():
        rate = inputs.r2star * inputs.reading_te_s
        decay = np.where(brain, rate - np.median(rate[brain]), 0)
    field, chi = inputs.local_field_ppm, inputs.chi_ppm
    return {
        "dark": 1 - signal,
        "dark_swi": None if signal_swi is None else 1 - signal_swi,
        "field": field * PER_PPM["field"] if signed and field is not None else None,
        "chi": chi * PER_PPM["chi"] if signed and chi is not None else None,
        "decay": decay,
        "brain": brain.astype(np.float32),
    }


def _fit_row(spot: Spot, grid: Grid, turn: float) -> Floats:
    shift = float("nan")
    if spot.fit is not None:
        away = np.subtract(spot.fit.place_vox, spot.shape.centre_vox) * grid.spacing_mm
        shift = float(np.linalg.norm(away))
    return magnetic.fit_features(
        spot.fit, spot.shape.depth, spot.shape.volume_mm3, grid.voxel_mm3, turn, shift
    )


_TEXTURED = (BALL.radius_mm < TEXTURE_MM).reshape((patches.SIDE,) * 3)
_EDGE = int(np.flatnonzero(_TEXTURED.any(axis=(1, 2)))[0])


def _grey(dark: npt.NDArray[np.float32]) -> Floats:
    """Return first-order and texture features of relative signal in a ball."""
    core = slice(_EDGE, patches.SIDE - _EDGE)
    box, inside = 1 - dark[core, core, core], _TEXTURED[core, core, core]
    first = intensity.first_order(np.maximum(box[inside], 0.01))
    levels = np.clip(np.floor(box / LEVEL).astype(np.int64) + 1, 1, N_LEVELS) * inside
    pairs = texture.co_occurrence_features(texture.co_occurrence(levels, N_LEVELS))
    runs = texture.run_length_features(texture.run_lengths(levels, N_LEVELS), int(inside.sum()))
    return np.array(
        [first[n] for n in intensity.NAMES]
        + [pairs[n] for n in texture.GLCM_NAMES]
        + [runs[n] for n in texture.GLRLM_NAMES]
    )


def _tubes(inputs: LesionInputs, spots: Sequence[Spot]) -> Floats:
    near = inputs.vessel
    if near is not None:
        reach = np.maximum(1, np.rint(2.0 / inputs.grid.spacing_mm)).astype(int)
        near = ndimage.maximum_filter(near, size=tuple(2 * reach + 1))
    rows = []
    for s in spots:
        at = tuple(s.void.body.T)
        chi = (s.tube_chi.through, s.tube_chi.one_way) if s.tube_chi else (np.nan, np.nan)
        vessel = (np.nan, np.nan)
        if inputs.vessel is not None and near is not None:
            vessel = (float(inputs.vessel[at].mean()), float(near[at].mean()))
        thread = (min(s.thread.elongation, 10.0), min(s.thread.reach_radii, 10.0))
        rows.append([s.tube.through, s.tube.one_way, *chi, *vessel, *thread])
    return np.asarray(rows, dtype=np.float64)


def _places(inputs: LesionInputs, spots: Sequence[Spot], centres: Floats) -> Floats:
    grid = inputs.grid
    edge = distance_inside_mm(inputs.brain_mask, grid)
    rows = []
    for s in spots:
        at = np.asarray(s.shape.centre_vox)
        i, j, k = np.clip(np.rint(at).astype(int), 0, np.asarray(grid.shape) - 1)
        away = np.linalg.norm((centres - at) * grid.spacing_mm, axis=1)
        away = np.sort(away)[1:]  # the first is the void itself
        nearest = float(away[0]) if len(away) else 30.0
        named = [np.nan] * 4
        if s.region is not None:
            named = [
                float(s.region.compartment == "deep"),
                float(s.region.compartment == "infratentorial"),
                float(s.region.compartment == "lobar"),
                float(s.region.site == "basal_ganglia"),
            ]
        many = float((away < 8.0).sum())
        rows.append([min(edge[i, j, k], 30.0), *named, many, min(nearest, 30.0)])
    return np.asarray(rows, dtype=np.float64)


def _tissues(spots: Sequence[Spot]) -> Floats:
    """Return what the maps of fluid, veins and air say; NaN without them."""
    missing = dict.fromkeys(TISSUE_NAMES, float("nan"))
    told = [missing if s.context is None else s.context.features() for s in spots]
    return np.array([[row[name] for name in TISSUE_NAMES] for row in told])


def _scan(inputs: LesionInputs, noise: float) -> Floats:
    """Return what is the same all over a scan."""
    spacing = np.sort(inputs.grid.spacing_mm)
    phase = 0.0 if not inputs.has_field else 2.0 if inputs.sign_trusted else 1.0
    return np.array(
        [
            np.log(inputs.b0_t * inputs.reading_te_s),
            np.log(inputs.grid.voxel_mm3),
            spacing[0],
            spacing[2] / spacing[0],
            phase,
            float(inputs.r2star is not None),
            noise,
        ]
    )
