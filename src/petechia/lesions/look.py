"""From arrays to voids that are worth it, measured, before they are named."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.core.grid import Grid
from petechia.core.morphology import bounding_box
from petechia.core.together import together
from petechia.core.units import radians_per_ppm
from petechia.lesions.candidates import METHODS
from petechia.lesions.candidates.found import Candidates
from petechia.lesions.classify import Features
from petechia.lesions.context import contexts
from petechia.lesions.dephasing import Dephasing, fit_dephasing
from petechia.lesions.features import Described, Spot, describe
from petechia.lesions.inputs import ARRAYS, LesionInputs
from petechia.lesions.moment import MomentFit
from petechia.lesions.params import DetectParams
from petechia.lesions.rim import Rim
from petechia.lesions.shape import Shape, measure_shape
from petechia.lesions.shortlist import best, promise, strongest, symmetric_depth, worth
from petechia.lesions.signal import RelativeSignal, relative_signal
from petechia.lesions.sources import Sources
from petechia.lesions.thread import thread_of
from petechia.lesions.tube import Tube, TubeParams, continuation
from petechia.lesions.void import Void, grow_voids

log = logging.getLogger(__name__)
CROP_MARGIN_MM = 6.0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Seen:
    """The voids of a scan that are worth it, measured, before they are named.

    Attributes
    ----------
    near : LesionInputs
        The inputs, cut to the brain.
    corner : (3,) ndarray of int
        Where the cut begins.
    signal, signal_swi : (I, J, K) ndarray of float32
        Magnitude and SWI relative to their surroundings, the rim brought level; None without SWI.
    texture : float
        Spread of the signal in undisturbed tissue, before the rim was brought level.
    voids : tuple of Void
        In voxels of the cut.
    features : tuple of Features
        In step.
    by_void : tuple of Dephasing or None
        Their moments as the voids say, in step; None where the field says nothing with a sign, or
        that it is no blood, or where too few voxels lie around.
    centres_vox : (M, 3) ndarray of float
        Centres of all voids, also of those that are not on the shortlist.
    says : tuple of str
        What the inputs cannot answer.
    sources, filtered : Sources or None
        The voids as sources of the field, and of high-pass filtered phase; None without.
    dark : (I, J, K) ndarray of bool
        All voids and tails, also of those that are not on the shortlist.
    """

    near: LesionInputs
    corner: npt.NDArray[np.int64]
    signal: npt.NDArray[np.float32]
    signal_swi: npt.NDArray[np.float32] | None
    texture: float
    voids: tuple[Void, ...]
    features: tuple[Features, ...]
    by_void: tuple[Dephasing | None, ...]
    centres_vox: npt.NDArray[np.float64]
    says: tuple[str, ...]
    sources: Sources | None
    filtered: Sources | None
    dark: npt.NDArray[np.bool_]

    def describe(self) -> Described:
        """Return what the model is told of the voids."""
        spots = [
            Spot(
                void=void, shape=f.shape, tube=f.tube, tube_chi=f.tube_chi, fit=f.fit,
                region=f.region, context=f.context, thread=f.thread, by_void=told,
            )
            for void, f, told in zip(self.voids, self.features, self.by_void, strict=True)
        ]  # fmt: skip
        return describe(
            self.near, self.signal, self.signal_swi, self.texture, spots, self.centres_vox
        )


def look(inputs: LesionInputs, params: DetectParams) -> Seen:
    """Find every void and measure it: shape, continuation, moment, place."""
    near, corner = _crop(inputs)
    says = _missing(inputs)
    images = {"magnitude": near.magnitude, "swi": near.swi, "decay": _decay(near)}
    there = {name: image for name, image in images.items() if image is not None}
    rim = Rim.of(near.brain_mask, near.grid, params.rim)
    each = together([partial(_relative, image, near, rim, params) for image in there.values()])
    relatives = dict(zip(there, each, strict=True))
    as_it_is, relative = relatives["magnitude"]
    signal, texture = relative.value, relative.texture
    signal_swi = relatives["swi"][1].value if "swi" in relatives else None
    found = _propose(near, [level.value for _, level in each], params)
    places = np.concatenate([c.places_vox for c in found]) if found else np.zeros((0, 3))
    voids = grow_voids(signal, texture, near.brain_mask, places, near.grid, params.void)
    log.info("%d places proposed, %d voids grown", len(places), len(voids))
    dark = _covered(voids, near.grid)
    every = _places_and_radii(voids, near.grid)
    seen = len(voids)
    voids, features = _shortlist(near, voids, dark, relative, params)
    if len(voids) < seen:
        says.append(
            f"{seen} dark spots were seen; the {len(voids)} most like a lesion were measured, "
            "the others continue as veins or lie at the surface."
        )
    shapes, clear = [f.shape for f in features], ~dark & (as_it_is > 0.5)
    sources, filtered = (
        Sources.of(near, field, voids, shapes, every, clear, params.moment)
        for field in (
            near.local_field_ppm, None if near.has_field else near.filtered_field_ppm,
        )
    )  # fmt: skip
    nothing: list[MomentFit | None] = [None] * len(features)
    fits = sources.fit() if sources else nothing
    signs = filtered.fit() if filtered else nothing
    around = contexts([void.body + corner for void in voids], inputs)
    told = []
    for f, fit, sign, context in zip(features, fits, signs, around, strict=True):
        i, j, k = (int(n) for n in np.rint(f.shape.centre_vox) + corner)
        region = inputs.region_of((i, j, k)) if inputs.region_of else None
        told.append(replace(f, fit=fit, filtered_fit=sign, region=region, context=context))
    tissue = near.brain_mask & ~dark
    by_void = together([
        partial(_read_void, v, f, signal, tissue, texture, near.grid, params)
        for v, f in zip(voids, told, strict=True)
    ])  # fmt: skip
    return Seen(
        near=near, corner=corner, signal=signal, signal_swi=signal_swi, texture=texture,
        voids=tuple(voids), features=tuple(told), by_void=tuple(by_void),
        centres_vox=every[0], says=tuple(says), sources=sources, filtered=filtered, dark=dark,
    )  # fmt: skip


def _shortlist(
    inputs: LesionInputs,
    voids: list[Void],
    dark: npt.NDArray[np.bool_],
    relative: RelativeSignal,
    params: DetectParams,
) -> tuple[list[Void], list[Features]]:
    """Return the voids that are worth measuring, and what the images say of each."""
    p, signal, mask, grid = params.shortlist, relative.value, inputs.brain_mask, inputs.grid
    symmetric = symmetric_depth(signal, mask, voids, grid)
    chi = strongest(inputs.chi_ppm, inputs.trusted, voids)
    likely = best(promise(symmetric, voids, chi), p.most_shaped)
    some = [voids[n] for n in likely]
    shapes = [measure_shape(v, signal, mask, dark, grid, inputs.csf) for v in some]
    loss = np.clip(1 - signal, 0, 1)
    tubes = [continuation(loss, mask, s, grid, params.tube) for s in shapes]
    veins = inputs.vein_length_mm
    scores = [
        worth(
            void, shape, tube, symmetric[n], relative.texture, grid.voxel_mm3, chi[n],
            0.0 if veins is None else float(veins[tuple(void.body.T)].max()),
        )
        for n, void, shape, tube in zip(likely, some, shapes, tubes, strict=True)
    ]  # fmt: skip
    kept = best(scores, p.most, p.sure)
    log.info("%d voids, %d shaped, %d on the shortlist", len(voids), len(some), len(kept))
    chosen = [some[n] for n in kept]
    shapes, tubes = [shapes[n] for n in kept], [tubes[n] for n in kept]
    return chosen, _describe(inputs, chosen, shapes, tubes, relative, params)


def _places_and_radii(
    voids: Sequence[Void], grid: Grid
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return centre [voxels] and radius [mm] of every void, also of those not measured."""
    centres = np.array([v.body.mean(axis=0) for v in voids]).reshape(-1, 3)
    volumes = np.array([len(v.body) for v in voids]) * grid.voxel_mm3
    return centres, np.cbrt(3 * volumes / (4 * np.pi))


def _missing(inputs: LesionInputs) -> list[str]:
    """Say what the inputs cannot answer."""
    says = []
    if not inputs.has_field and inputs.filtered_field_ppm is not None:
        says.append("The phase was high-pass filtered: signs are read from it, moments are not.")
    elif not inputs.has_field:
        says.append("No usable phase: blood and calcium cannot be told apart.")
    elif not inputs.sign_trusted:
        says.append("The handedness of the phase is unknown: no sign is given.")
    if inputs.region_of is None:
        says.append("No regions: side, site and compartment are not given.")
    return says


def _crop(inputs: LesionInputs) -> tuple[LesionInputs, npt.NDArray[np.int64]]:
    """Return the inputs cut to the brain and a margin, and the corner of the cut."""
    margin = np.ceil(CROP_MARGIN_MM / inputs.grid.spacing_mm).astype(np.int64)
    box = bounding_box(inputs.brain_mask)
    low = np.maximum(np.array([s.start for s in box]) - margin, 0)
    high = np.minimum(np.array([s.stop for s in box]) + margin, inputs.grid.shape)
    i, j, k = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    arrays: dict[str, Any] = {}
    for name in ARRAYS:
        array = getattr(inputs, name)
        if array is None:
            continue
        kind = bool if name.endswith("mask") else np.float32
        arrays[name] = np.ascontiguousarray(array[i, j, k], dtype=kind)
    return replace(inputs, grid=inputs.grid.cut((i, j, k)), structures=None, **arrays), low


def _relative(
    volume: npt.NDArray[np.floating], inputs: LesionInputs, rim: Rim, params: DetectParams
) -> tuple[npt.NDArray[np.float32], RelativeSignal]:
    """Return an image relative to its surroundings, its rim level; texture on magnitude."""
    own = volume is inputs.magnitude
    told = relative_signal(volume, inputs.brain_mask, inputs.grid, params.signal, with_texture=own)
    return told.value, replace(told, value=rim.level(told.value))


def _read_void(
    void: Void,
    f: Features,
    signal: npt.NDArray[np.float32],
    tissue: npt.NDArray[np.bool_],
    texture: float,
    grid: Grid,
    params: DetectParams,
) -> Dephasing | None:
    """Return the moment that a void has by its own signal, where its field says it is blood."""
    if f.fit is None or f.phase != "signed" or f.fit.moment_ppm_mm3 <= 0:
        return None
    own = np.concatenate([void.body, void.tail])
    return fit_dephasing(
        signal, tissue, own, np.asarray(f.fit.place_vox), f.shape.radius_mm, grid,
        f.radians_per_ppm, f.fit.moment_ppm_mm3, texture, void.background, params.dephasing,
    )  # fmt: skip


def _propose(
    inputs: LesionInputs,
    signals: Sequence[npt.NDArray[np.float32]],
    params: DetectParams,
) -> list[Candidates]:
    """Run every finder on every image it can take; the magnitude's is the first signal."""
    images: list[dict[str, object]] = [
        {"relative_signal": value, "mask": inputs.brain_mask} for value in signals
    ]
    field_images: dict[str, object] = {"mask": inputs.brain_mask & inputs.trusted}
    if inputs.local_field_ppm is not None:
        field_images["local_field_ppm"] = inputs.local_field_ppm
        field_images["field_noise_ppm"] = inputs.field_noise_ppm
    if inputs.chi_ppm is not None:
        field_images["chi_ppm"] = inputs.chi_ppm
    images.append(field_images)
    runs = [
        (name, image)
        for name in params.finders
        # votes of gradients are slow and add nothing on images that share the magnitude
        for image in (images if name != "radial_symmetry" else images[:1])
        if all(need in image for need in METHODS[name].needs)
    ]
    found: list[tuple[Candidates]] = together(
        [partial(METHODS[name], image, grid=inputs.grid) for name, image in runs]
    )
    for (name, _), (places,) in zip(runs, found, strict=True):
        log.info("%s: %d places", name, len(places))
    return [places for (places,) in found]


def _decay(inputs: LesionInputs) -> npt.NDArray[np.float32] | None:
    """Return the signal that R2* alone would leave at the reading echo."""
    if inputs.r2star is None:
        return None
    return np.asarray(np.exp(-inputs.r2star * inputs.reading_te_s), dtype=np.float32)


def _covered(voids: Sequence[Void], grid: Grid) -> npt.NDArray[np.bool_]:
    """Return where any void or tail lies."""
    dark = np.zeros(grid.shape, dtype=bool)
    for v in voids:
        dark[tuple(v.body.T)] = True
        dark[tuple(v.tail.T)] = True
    return dark


def _describe(
    inputs: LesionInputs,
    voids: Sequence[Void],
    shapes: Sequence[Shape],
    tubes: Sequence[Tube],
    relative: RelativeSignal,
    params: DetectParams,
) -> list[Features]:
    """Return what magnitude, susceptibility and vessel map say of each void."""
    field_mask, signal, texture = inputs.trusted, relative.value, relative.texture
    phase = "none" if not inputs.has_field else "signed" if inputs.sign_trusted else "unsigned"
    out = []
    for void, shape, tube in zip(voids, shapes, tubes, strict=True):
        at = tuple(void.body.T)
        chi_mean, tube_chi = None, None
        if inputs.chi_ppm is not None and field_mask[at].mean() > 0.5:
            chi_mean = float(inputs.chi_ppm[at].mean())
            tube_chi = _tube_chi(inputs.chi_ppm, field_mask, at, shape, inputs.grid, params.tube)
        out.append(
            Features(
                shape=shape,
                noise=texture,
                tube=tube,
                thread=thread_of(
                    void, signal, texture, inputs.brain_mask, inputs.grid, params.thread
                ),
                tube_chi=tube_chi,
                vessel=None if inputs.vessel is None else float(inputs.vessel[at].mean()),
                phase=phase,
                chi_ppm=chi_mean,
                voxel_mm3=inputs.grid.voxel_mm3,
                radians_per_ppm=radians_per_ppm(inputs.b0_t, inputs.reading_te_s),
            )
        )
    return out


def _tube_chi(
    chi_ppm: npt.NDArray[np.floating],
    mask: npt.NDArray[np.bool_],
    at: tuple[npt.NDArray[np.int64], ...],
    shape: Shape,
    grid: Grid,
    params: TubeParams,
) -> Tube | None:
    """Follow susceptibility of the void's own sign; None when it has hardly any."""
    values = chi_ppm[at]
    peak = float(values[np.argmax(np.abs(values))])
    if abs(peak) < 0.05:
        return None
    return continuation(chi_ppm, mask, shape, grid, params, strength=peak)
