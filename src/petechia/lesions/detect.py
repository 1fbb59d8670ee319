"""The whole chain: from arrays to findings and their label volume."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from petechia.core.grid import Grid
from petechia.core.intervals import Z95
from petechia.lesions.classify import (
    A_TUBE,
    CLEAR,
    TISSUE_PPM,
    Features,
    Verdict,
    classify,
    name_void,
)
from petechia.lesions.findings import Finding
from petechia.lesions.inputs import LesionInputs
from petechia.lesions.look import Seen, look
from petechia.lesions.model import Model
from petechia.lesions.params import DetectParams
from petechia.lesions.rows import Measured, findings, siderosis_row
from petechia.lesions.shape import measure_shape
from petechia.lesions.siderosis import Sheet, find_siderosis
from petechia.lesions.thread import thread_of
from petechia.lesions.void import Void
from petechia.lesions.wholes import wholes_of

ROUND = 0.7
LARGEST_PIECE = 2.0
"""What is no likely microbleed is a piece of one only if it is at most so many times as large."""
COMMON = ("vessel", "air_tissue", "undetermined")
"""Classes of which a brain holds hundreds."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Detection:
    """Findings of one scan.

    Attributes
    ----------
    findings : tuple of Finding
        Most probable first; `index` 1, 2, ... is the voxel value in `labels`.
    labels : (I, J, K) ndarray of int32
        0 where there is no finding.
    says : tuple of str
        What a reader must know: why there is nothing, what was cut, what was missing.
    no_siderosis_search : str or None
        Why superficial siderosis was not looked for; None when it was.
    """

    findings: tuple[Finding, ...]
    labels: npt.NDArray[np.int32]
    says: tuple[str, ...]
    no_siderosis_search: str | None = "no search for it was made"


def detect(
    inputs: LesionInputs, params: DetectParams | None = None, model: Model | None = None
) -> Detection:
    """Find, measure and name dark spots.

    Finders propose places in every image there is; places grow into voids on the
    magnitude; each void is measured (shape, continuation, moment) and named. What is
    rejected stays in the table, with the reason.

    Parameters
    ----------
    inputs : LesionInputs
        Arrays of one scan.
    params : DetectParams
        Settings.
    model : Model, optional
        The trained classifier; None names by the rules, whose probabilities are not calibrated.

    Returns
    -------
    Detection
        With no findings, `says` tells why.
    """
    p = params or DetectParams()
    labels = np.zeros(inputs.grid.shape, dtype=np.int32)
    if not inputs.brain_mask.any():
        return Detection(findings=(), labels=labels, says=("The brain mask is empty.",))
    if not np.any(inputs.magnitude[inputs.brain_mask] > 0):
        text = "The magnitude is zero throughout the brain mask."
        return Detection(findings=(), labels=labels, says=(text,))
    measured, says = measure(inputs, p, model)
    kept = sorted(measured, key=_by_probability)
    if len(kept) > p.most_findings:
        # veins and edges are many: they make room, not a calcification or a macrobleed
        told = sorted(measured, key=lambda m: (m.verdict.class_ in COMMON, *_by_probability(m)))
        left_out = told[p.most_findings :]
        says.append(
            f"{len(kept)} dark spots were measured and {p.most_findings} are listed; those left "
            f"out (mostly veins) have a probability of at most "
            f"{max(*(m.verdict.probability for m in left_out), 0.001):.3f}."
        )
        kept = sorted(told[: p.most_findings], key=_by_probability)
    if not kept:
        says.append(
            "No spot in the brain mask is darker than its surroundings by "
            f"{100 * p.void.least_depth:.0f} % and {p.void.least_depth_sd:g} times the texture."
        )
    sheets, no_search = (
        find_siderosis(inputs, p.siderosis, p.signal)
        if p.siderosis
        else ([], "no search for it was made")
    )
    kept = _without_sheets(kept, sheets, inputs.grid)
    rows = findings(kept, inputs, p)
    for n, m in enumerate(kept):
        labels[tuple(m.void.body.T)] = n + 1
    sheets = [left for sheet in sheets if (left := sheet.without(labels > 0, inputs)) is not None]
    for n, sheet in enumerate(sheets, start=len(kept) + 1):
        labels[tuple(sheet.body.T)] = n
    rows += tuple(
        siderosis_row(len(kept) + n, f"siderosis {n}", sheet, inputs)
        for n, sheet in enumerate(sheets, start=1)
    )
    return Detection(
        findings=rows,
        labels=labels,
        says=tuple(says),
        no_siderosis_search=no_search,
    )


def measure(
    inputs: LesionInputs, params: DetectParams, model: Model | None = None
) -> tuple[list[Measured], list[str]]:
    """Return the likeliest voids with features and verdict, in voxels of the whole volume."""
    seen = look(inputs, params)
    says = list(seen.says)
    if model is None:
        name = partial(classify, params=params.classify, criteria=params.criteria)
        named = [name] * len(seen.features)
    else:
        opinion = model.judge(seen.describe(), params.classification)
        says += opinion.says
        named = [
            partial(
                name_void, opinion=opinion.of(n), least_probability=model.least_probability,
                params=params.classify, criteria=params.criteria,
            )
            for n in range(len(seen.features))
        ]  # fmt: skip
    spots = [
        Measured(void=_shift(void, seen.corner), features=f, verdict=told(f))
        for void, f, told in zip(seen.voids, seen.features, named, strict=True)
    ]
    out = _wholes(_by_void(spots, named, seen), named, seen, inputs, params)
    return out, says + _without_a_sign(out)


def _without_a_sign(measured: Sequence[Measured]) -> list[str]:
    """Say what an unknown sign leaves open, and whether likely microbleeds are of both signs."""
    unsigned = [m for m in measured if m.features.phase == "unsigned"]
    if not unsigned:
        return []
    says = ["Probabilities leave calcium out: without a sign it cannot be told from blood."]
    signs = [
        m.features.fit.significance > 0
        for m in unsigned
        if m.verdict.class_ == "microbleed"
        and m.features.fit is not None
        and abs(m.features.fit.significance) >= CLEAR
    ]
    if any(signs) and not all(signs):
        more, less = sorted((sum(signs), len(signs) - sum(signs)), reverse=True)
        says.append(
            f"Likely microbleeds are of opposite sign, {more} and {less}: one of these two groups "
            "is no blood."
        )
    return says


def _by_void(
    measured: Sequence[Measured], named: Sequence[Callable[[Features], Verdict]], seen: Seen
) -> list[Measured]:
    """Return the spots with the moments of what is blood, or likely so, read from the void, too."""
    out = list(measured)
    for n, (spot, told) in enumerate(zip(measured, seen.by_void, strict=True)):
        if told is not None and _is_blood(spot):
            features = replace(spot.features, dephasing=told)
            out[n] = replace(spot, features=features, verdict=named[n](features))
    return out


def _is_blood(spot: Measured) -> bool:
    """Return whether a spot with a positive moment is, or may be, blood and no tube."""
    verdict = spot.verdict
    told = verdict.class_ == "undetermined" and verdict.sign == "paramagnetic"
    return verdict.class_ == "microbleed" or told


def _wholes(
    measured: Sequence[Measured],
    named: Sequence[Callable[[Features], Verdict]],
    seen: Seen,
    inputs: LesionInputs,
    params: DetectParams,
) -> list[Measured]:
    """Return the spots with the pieces of each lesion put together; the likeliest keeps its name.

    What is no likely microbleed may be a piece of one, but for calcium, tubes, what is much larger
    and what has no more moment for its size than tissue.
    """
    out = list(measured)
    order = sorted(range(len(out)), key=lambda n: _by_probability(out[n]))
    likely = [n for n in order if out[n].verdict.class_ == "microbleed"]
    some = likely + [n for n in order if n not in likely and _may_be_a_piece(out[n])]
    gone = set()
    bodies = [out[n].void.body for n in some]
    for whole in wholes_of(bodies, inputs.grid, len(likely), LARGEST_PIECE):
        first, *rest = (some[n] for n in whole)
        joined = _together(out, (first, *rest), seen, inputs, params) if rest else None
        if joined is not None:
            spot = out[first]
            verdict = named[first](joined.features)
            if verdict.sign != "diamagnetic" and verdict.class_ != "microbleed":
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
    spot, near = measured[pieces[0]], seen.near
    fits = [
        sources.fit_together(pieces) if sources else None
        for sources in (seen.sources, seen.filtered)
    ]
    if fits[0] is None and any(measured[n].features.fit for n in pieces):
        return None
    body = np.concatenate([seen.voids[n].body for n in pieces])
    tail = np.concatenate([seen.voids[n].tail for n in pieces])
    void = replace(seen.voids[pieces[0]], body=body, tail=tail)
    shape = measure_shape(void, seen.signal, near.brain_mask, seen.dark, near.grid, near.csf)
    thread = thread_of(void, seen.signal, seen.texture, near.brain_mask, near.grid, params.thread)
    at = tuple(np.rint(body.mean(axis=0) + seen.corner).astype(int).tolist())
    chi = spot.features.chi_ppm
    if chi is not None and near.chi_ppm is not None:
        chi = float(near.chi_ppm[tuple(body.T)].mean())
    features = replace(
        spot.features, shape=shape, fit=fits[0], dephasing=None, thread=thread,
        filtered_fit=fits[1], chi_ppm=chi,
        region=inputs.region_of(at) if inputs.region_of else None,
    )  # fmt: skip
    return replace(spot, void=_shift(void, seen.corner), features=features)


def _without_sheets(
    kept: Sequence[Measured], sheets: Sequence[Sheet], grid: Grid
) -> list[Measured]:
    """Leave out what is a piece of a sheet and not round: it is told with the sheet."""
    inside = np.zeros(grid.shape, dtype=bool)
    for sheet in sheets:
        inside[tuple(sheet.body.T)] = True
    return [
        m
        for m in kept
        if m.features.shape.sphericity >= ROUND or inside[tuple(m.void.body.T)].mean() <= 0.5
    ]


def _by_probability(measured: Measured) -> tuple[float, ...]:
    """Return the key that sorts the most probable first.

    Hundreds of veins share a probability of 0.000: they go by log-odds, or the array's first
    axis would choose which side of the head the table tells of. Rounded, so that the last bits
    do not matter; what is equal even then goes by place.
    """
    verdict = measured.verdict
    total = round(sum(verdict.terms.values()), 3)
    return (-round(verdict.probability, 3), -total, *measured.void.seed_vox.tolist())


def _shift(void: Void, corner: npt.NDArray[np.int64]) -> Void:
    return replace(
        void, body=void.body + corner, tail=void.tail + corner, seed_vox=void.seed_vox + corner
    )
