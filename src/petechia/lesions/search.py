"""From arrays to dark spots: signals relative to their surroundings, places, grown voids."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.core.grid import Grid
from petechia.core.morphology import bounding_box, widened_box
from petechia.core.together import together
from petechia.lesions.candidates import METHODS
from petechia.lesions.candidates.found import Candidates
from petechia.lesions.inputs import ARRAYS, LesionInputs
from petechia.lesions.params import DetectParams
from petechia.lesions.rim import Rim
from petechia.lesions.ring import fill_rings
from petechia.lesions.signal import RelativeSignal, relative_signal
from petechia.lesions.void import Void, grow_voids

log = logging.getLogger(__name__)
SLOW = ("radial_symmetry", "dipole_match")
"""Finders that take several times as long as the others."""
CROP_MARGIN_MM = 6.0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class DarkSpots:
    """Every void of a scan.

    Attributes
    ----------
    near : LesionInputs
        The inputs, cut to the brain.
    corner : (3,) ndarray of int
        Where the cut begins.
    as_it_is : (I, J, K) ndarray of float32
        Magnitude relative to its surroundings.
    relative : RelativeSignal
        The same, the rim brought level and rings in thick slices filled, with its texture before.
    signal_swi : (I, J, K) ndarray of float32 or None
        Of the SWI, the rim brought level and rings filled, too.
    voids : list of Void
        In voxels of the cut.
    bodies, dark : (I, J, K) ndarray of bool
        The bodies of all voids; with their tails.
    """

    near: LesionInputs
    corner: npt.NDArray[np.int64]
    as_it_is: npt.NDArray[np.float32]
    relative: RelativeSignal
    signal_swi: npt.NDArray[np.float32] | None
    voids: list[Void]
    bodies: npt.NDArray[np.bool_]
    dark: npt.NDArray[np.bool_]


def search(inputs: LesionInputs, params: DetectParams) -> DarkSpots:
    """Find every void."""
    near, corner = _crop(inputs)
    images = {"magnitude": near.magnitude, "swi": near.swi, "decay": _decay(near)}
    there = {name: image for name, image in images.items() if image is not None}
    rim = Rim.of(near.brain_mask, near.grid, params.rim)
    each = together([partial(_relative, image, near, rim, params) for image in there.values()])
    relatives = dict(zip(there, each, strict=True))
    as_it_is, relative = relatives["magnitude"]
    found = _propose(near, [level.value for _, level in each], params)
    places = np.concatenate([c.places_vox for c in found]) if found else np.zeros((0, 3))
    voids = grow_voids(
        relative.value, relative.texture, near.brain_mask, places, near.grid, params.void
    )
    log.info("%d places proposed, %d voids grown", len(places), len(voids))
    return DarkSpots(
        near=near, corner=corner, as_it_is=as_it_is, relative=relative,
        signal_swi=relatives["swi"][1].value if "swi" in relatives else None,
        voids=voids, **_covered(voids, near.grid),
    )  # fmt: skip


def _crop(inputs: LesionInputs) -> tuple[LesionInputs, npt.NDArray[np.int64]]:
    """Return the inputs cut to the brain and a margin, and the corner of the cut."""
    margin = np.ceil(CROP_MARGIN_MM / inputs.grid.spacing_mm).astype(np.int64)
    box = widened_box(bounding_box(inputs.brain_mask), margin, inputs.grid.shape)
    arrays: dict[str, Any] = {}
    for name in ARRAYS:
        array = getattr(inputs, name)
        if array is None:
            continue
        kind = bool if name.endswith("mask") else np.float32
        arrays[name] = np.ascontiguousarray(array[box], dtype=kind)
    near = replace(inputs, grid=inputs.grid.cut(box), structures=None, **arrays)
    return near, np.array([part.start for part in box], dtype=np.int64)


def _relative(
    volume: npt.NDArray[np.floating], inputs: LesionInputs, rim: Rim, params: DetectParams
) -> tuple[npt.NDArray[np.float32], RelativeSignal]:
    """Return an image relative to its surroundings; the same, rim level and rings filled.

    Its texture is read on the magnitude alone.
    """
    own = volume is inputs.magnitude
    told = relative_signal(volume, inputs.brain_mask, inputs.grid, params.signal, with_texture=own)
    level = fill_rings(rim.level(told.value), inputs.grid, params.ring)
    return told.value, replace(told, value=level)


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
    _warn_of_needs_apart(params.finders, images)
    runs = [
        (name, image)
        for name in params.finders
        # votes of gradients are slow and add nothing on images that share the magnitude
        for image in (images if name != "radial_symmetry" else images[:1])
        if all(need in image for need in METHODS[name].needs)
    ]
    # the slow ones first: then no thread has one of them left when the others are done
    begun = sorted(enumerate(runs), key=lambda one: one[1][0] not in SLOW)
    made: list[tuple[Candidates]] = together(
        [partial(METHODS[name], image, grid=inputs.grid) for _, (name, image) in begun]
    )
    by_run = {n: places for (n, _), (places,) in zip(begun, made, strict=True)}
    found = [by_run[n] for n in range(len(runs))]
    for (name, _), places in zip(runs, found, strict=True):
        log.info("%s: %d places", name, len(places))
    return found


def _warn_of_needs_apart(finders: Sequence[str], images: Sequence[dict[str, object]]) -> None:
    """Tell of finders whose arrays are all there, but in no image set together: they never run."""
    there = set().union(*images)
    for name in finders:
        needs = METHODS[name].needs
        if there.issuperset(needs) and not any(set(needs) <= set(image) for image in images):
            log.warning(
                "finder %s is left out: no image set holds %s together; the sets hold %s",
                name, ", ".join(needs), " or ".join(sorted({", ".join(i) for i in images})),
            )  # fmt: skip


def _decay(inputs: LesionInputs) -> npt.NDArray[np.float32] | None:
    """Return the signal that R2* alone would leave at the reading echo."""
    if inputs.r2star is None:
        return None
    return np.asarray(np.exp(-np.maximum(inputs.r2star, 0) * inputs.reading_te_s), dtype=np.float32)


def _covered(voids: Sequence[Void], grid: Grid) -> dict[str, npt.NDArray[np.bool_]]:
    """Return where any body lies, and where any void or tail does."""
    bodies = np.zeros(grid.shape, dtype=bool)
    for v in voids:
        bodies[tuple(v.body.T)] = True
    dark = bodies.copy()
    for v in voids:
        dark[tuple(v.tail.T)] = True
    return {"bodies": bodies, "dark": dark}
