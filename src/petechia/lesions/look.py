"""From arrays to voids that are worth it, measured, before they are named."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.core.grid import Grid
from petechia.core.together import together
from petechia.core.units import radians_per_ppm
from petechia.lesions.context import contexts
from petechia.lesions.dephasing import Dephasing, fit_dephasing
from petechia.lesions.features import Described, Spot, describe
from petechia.lesions.inputs import LesionInputs
from petechia.lesions.known import Features
from petechia.lesions.moment import MomentFit
from petechia.lesions.params import DetectParams
from petechia.lesions.search import DarkSpots, search
from petechia.lesions.shape import Shape, measure_shape
from petechia.lesions.shortlist import (
    THICK,
    THIN,
    best,
    measured,
    promise,
    strongest,
    symmetric_depth,
    trained_worth,
    worth,
)
from petechia.lesions.signal import RelativeSignal
from petechia.lesions.slices import is_thick
from petechia.lesions.sources import Sources
from petechia.lesions.thread import thread_of
from petechia.lesions.trees import Trees
from petechia.lesions.tube import Tube, TubeParams, continuation
from petechia.lesions.void import Void

log = logging.getLogger(__name__)


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
        Magnitude and SWI relative to their surroundings, the rim brought level and rings in thick
        slices filled; None without SWI.
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
    bodies, dark : (I, J, K) ndarray of bool
        The bodies of all voids, also of those that are not on the shortlist; with their tails.
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
    bodies: npt.NDArray[np.bool_]
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


def look(inputs: LesionInputs, params: DetectParams, order: Trees | None = None) -> Seen:
    """Find every void and measure what is worth it: shape, continuation, moment, place.

    `order` tells what is worth most, None by the tables of `shortlist`.
    """
    says = _missing(inputs)
    spots = search(inputs, params)
    near, corner, relative, dark = spots.near, spots.corner, spots.relative, spots.dark
    signal, texture = relative.value, relative.texture
    voids = spots.voids
    every = _places_and_radii(voids, near.grid)
    seen = len(voids)
    voids, features = _shortlist(spots, params, order)
    if len(voids) < seen:
        says.append(
            f"{seen} dark spots were seen; the {len(voids)} most like a lesion were measured, "
            "the others continue as veins or lie at the surface."
        )
    shapes, clear = [f.shape for f in features], ~dark & (spots.as_it_is > 0.5)
    alone = [v.without(spots.bodies) for v in voids]
    sources, filtered = (
        Sources.of(near, field, alone, shapes, every, clear, params.moment)
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
        f = replace(f, fit=fit, region=region, context=context)
        told.append(f.with_filtered(sign, known=near.sign_trusted))
    tissue = near.brain_mask & ~dark
    by_void = together([
        partial(_read_void, v, f, signal, tissue, texture, near.grid, params)
        for v, f in zip(voids, told, strict=True)
    ])  # fmt: skip
    return Seen(
        near=near, corner=corner, signal=signal, signal_swi=spots.signal_swi, texture=texture,
        voids=tuple(voids), features=tuple(told), by_void=tuple(by_void),
        centres_vox=every[0], says=tuple(says), sources=sources, filtered=filtered,
        bodies=spots.bodies, dark=dark,
    )  # fmt: skip


def _shortlist(
    spots: DarkSpots, params: DetectParams, order: Trees | None
) -> tuple[list[Void], list[Features]]:
    """Return the voids that are worth measuring, and what the images say of each."""
    p = params.shortlist
    some, shapes, tubes, told = shaped(spots, params)
    if order is None:
        table = THICK if is_thick(spots.near.grid.spacing_mm.max()) else THIN
        scores = np.array([worth(measures, table) for measures in told])
    else:
        scores = trained_worth(told, order)
    kept = best(scores, p.most, p.sure)
    log.info("%d voids, %d shaped, %d on the shortlist", len(spots.voids), len(some), len(kept))
    chosen = [some[n] for n in kept]
    shapes, tubes = [shapes[n] for n in kept], [tubes[n] for n in kept]
    return chosen, _describe(spots.near, chosen, shapes, tubes, spots.relative, params)


def shaped(
    spots: DarkSpots, params: DetectParams
) -> tuple[list[Void], list[Shape], list[Tube], list[dict[str, float]]]:
    """Return the most promising voids, their shapes and continuations, and `measured` of each."""
    inputs, voids, signal = spots.near, spots.voids, spots.relative.value
    mask, grid = inputs.brain_mask, inputs.grid
    symmetric = symmetric_depth(signal, mask, voids, grid)
    chi = strongest(inputs.chi_ppm, inputs.trusted, voids)
    likely = best(promise(symmetric, voids, chi), params.shortlist.most_shaped)
    some = [voids[n] for n in likely]
    shapes = [measure_shape(v, signal, mask, spots.dark, grid, inputs.csf) for v in some]
    loss = np.clip(1 - signal, 0, 1)
    tubes = [continuation(loss, mask, s, grid, params.tube) for s in shapes]
    told = [
        measured(
            void, shape, tube, symmetric[n], spots.relative.texture, grid.voxel_mm3, chi[n],
            _over(inputs.vein_length_mm, void, np.max), _over(inputs.vessel, void, np.mean),
        )
        for n, void, shape, tube in zip(likely, some, shapes, tubes, strict=True)
    ]  # fmt: skip
    return some, shapes, tubes, told


def _over(volume: npt.NDArray[np.floating] | None, void: Void, of: Callable[[Any], Any]) -> float:
    """Return `of` the values in a void, 0 without a volume."""
    return 0.0 if volume is None else float(of(volume[tuple(void.body.T)]))


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
    filtered = inputs.filtered_field_ppm is not None
    if not inputs.has_field and filtered and inputs.sign_trusted:
        says.append("The phase was high-pass filtered: signs are read from it, moments are not.")
    elif not inputs.has_field:
        says.append("No usable phase: blood and calcium cannot be told apart.")
    elif not inputs.sign_trusted:
        says.append("The handedness of the phase is unknown: no sign is given.")
    if inputs.region_of is None:
        says.append("No regions: side, site and compartment are not given.")
    return says


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
