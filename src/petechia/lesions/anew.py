"""Spots measured anew: what has two lobes, and what lies in pieces."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from petechia.core.intervals import Z95
from petechia.core.together import together
from petechia.lesions.classify import TISSUE_PPM, Verdict
from petechia.lesions.evidence import A_TUBE
from petechia.lesions.inputs import LesionInputs
from petechia.lesions.known import Features
from petechia.lesions.lobes import GAIN
from petechia.lesions.look import Seen
from petechia.lesions.moment import MomentFit
from petechia.lesions.params import DetectParams
from petechia.lesions.rows import Measured
from petechia.lesions.shape import measure_shape
from petechia.lesions.thread import thread_of
from petechia.lesions.void import Void
from petechia.lesions.wholes import too_wide, wholes_of

LARGEST_PIECE = 2.0
"""What is no likely microbleed is a piece of one only if it is at most so many times as large."""
LESIONS = ("microbleed", "macrobleed", "calcification", "undetermined")
"""Classes whose moment is asked for."""


def in_lobes(
    measured: Sequence[Measured],
    named: Sequence[Callable[[Features], Verdict]],
    seen: Seen,
    inputs: LesionInputs,
    params: DetectParams,
) -> list[Measured]:
    """Return the spots; of what has two lobes, moment and form are those of both.

    The model is told of the point: it has learned from points. Veins and edges are left alone.
    """
    sources = seen.sources
    if sources is None:
        return list(measured)
    asked = [n for n, spot in enumerate(measured) if _may_have_lobes(spot)]
    voids = [v.without(seen.bodies) for v in seen.voids]
    fits = together([partial(sources.fit_lobes, n, voids[n], seen.signal) for n in asked])
    out = list(measured)
    for n, told in zip(asked, fits, strict=True):
        point = measured[n].features.fit
        if told is None or point is None or told[0].explained < point.explained + GAIN:
            continue
        fit, body = told
        void = voids[n]
        if len(body) > len(void.body) and not too_wide(body, inputs.grid):
            void = replace(void, body=body, tail=void.tail[:0])
        spot = _measured_anew(measured[n], void, fit, None, seen, inputs, params)
        verdict = named[n](spot.features)
        verdict = replace(verdict, evidence=f"{verdict.evidence}; its field is that of two lobes")
        out[n] = replace(spot, verdict=verdict)
    return out


def _may_have_lobes(spot: Measured) -> bool:
    """Return whether a spot with a field is, or may be, blood or calcium and no tube."""
    f = spot.features
    return f.fit is not None and spot.verdict.class_ in LESIONS and f.through < A_TUBE


def in_wholes(
    measured: Sequence[Measured],
    named: Sequence[Callable[[Features], Verdict]],
    seen: Seen,
    inputs: LesionInputs,
    params: DetectParams,
) -> list[Measured]:
    """Return the spots with the pieces of each lesion put together; the likeliest keeps its name.

    What is no likely microbleed may be a piece of one, but for calcium, tubes, what is much larger
    and what has no more moment for its size than tissue. Calcifications are put together, too: a
    stone keeps some signal of its own, and its rim is darker than its middle.
    """
    out = list(measured)
    order = sorted(range(len(out)), key=lambda n: out[n].order)
    likely = [n for n in order if out[n].verdict.class_ == "microbleed"]
    maybe = [n for n in order if n not in likely and _may_be_a_piece(out[n])]
    stones = [n for n in order if out[n].verdict.class_ == "calcification"]
    crumbs = [n for n in order if n not in stones and out[n].verdict.sign == "diamagnetic"]
    gone: set[int] = set()
    for own, others in ((likely, maybe), (stones, crumbs)):
        # what has been joined to a microbleed is no piece of a stone as well
        left = [n for n in own if n not in gone]
        some = left + [n for n in others if n not in gone]
        bodies = [out[n].void.body for n in some]
        for whole in wholes_of(bodies, inputs.grid, len(left), LARGEST_PIECE):
            first, *rest = (some[n] for n in whole)
            joined = _together(out, (first, *rest), seen, inputs, params) if rest else None
            if joined is None:
                continue
            spot = out[first]
            verdict = named[first](joined.features)
            if verdict.class_ != spot.verdict.class_ and (
                own is stones or verdict.sign != "diamagnetic"
            ):
                verdict = replace(spot.verdict, sign=verdict.sign, evidence=verdict.evidence)
            evidence = f"{verdict.evidence}; {1 + len(rest)} voids that touch, as one"
            verdict = replace(verdict, evidence=evidence)
            out[first] = replace(joined, verdict=verdict, joined=True)
            gone.update(rest)
    return [m for n, m in enumerate(out) if n not in gone]


def _may_be_a_piece(spot: Measured) -> bool:
    """Return whether a spot that is no likely microbleed may be a part of one."""
    f = spot.features
    if spot.verdict.sign == "diamagnetic" or f.through >= A_TUBE:
        return False
    if f.fit is None:
        return True
    most = abs(f.fit.moment_ppm_mm3) + Z95 * f.fit.se_ppm_mm3
    return most >= TISSUE_PPM * f.shape.volume_mm3


def _together(
    measured: Sequence[Measured],
    pieces: Sequence[int],
    seen: Seen,
    inputs: LesionInputs,
    params: DetectParams,
) -> Measured | None:
    """Return one spot instead of its pieces, measured anew; None when its field cannot be."""
    spot = measured[pieces[0]]
    void, *others = (measured[n].void.moved(-seen.corner) for n in pieces)
    void = void.joined_by(others, seen.near.grid.shape)
    fits = [
        sources.fit_together(pieces, void.without(seen.bodies)) if sources else None
        for sources in (seen.sources, seen.filtered)
    ]
    if fits[0] is None and any(measured[n].features.fit for n in pieces):
        return None
    return _measured_anew(spot, void, fits[0], fits[1], seen, inputs, params)


def _measured_anew(
    spot: Measured,
    void: Void,
    fit: MomentFit | None,
    filtered_fit: MomentFit | None,
    seen: Seen,
    inputs: LesionInputs,
    params: DetectParams,
) -> Measured:
    """Return a spot with another void, in voxels of the cut, and what the field says of it."""
    near, body = seen.near, void.body
    shape = measure_shape(void, seen.signal, near.brain_mask, seen.dark, near.grid, near.csf)
    thread = thread_of(void, seen.signal, seen.texture, near.brain_mask, near.grid, params.thread)
    at = tuple(np.rint(body.mean(axis=0) + seen.corner).astype(int).tolist())
    chi = spot.features.chi_ppm
    if chi is not None and near.chi_ppm is not None:
        chi = float(near.chi_ppm[tuple(body.T)].mean())
    features = replace(
        spot.features, shape=shape, fit=fit, dephasing=None, thread=thread, chi_ppm=chi,
        region=inputs.region_of(at) if inputs.region_of else None,
    ).with_filtered(filtered_fit, known=near.sign_trusted)  # fmt: skip
    return replace(spot, void=void.moved(seen.corner), features=features)
