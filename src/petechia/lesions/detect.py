"""The whole chain: from arrays to findings and their label volume."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from petechia.core.grid import Grid
from petechia.core.together import meanwhile
from petechia.lesions.anew import in_lobes, in_wholes
from petechia.lesions.classify import Verdict, classify, name_void, sign_of
from petechia.lesions.findings import Finding
from petechia.lesions.inputs import LesionInputs
from petechia.lesions.known import CLEAR, Features
from petechia.lesions.look import Seen, look
from petechia.lesions.model import Model
from petechia.lesions.params import DetectParams
from petechia.lesions.rows import Measured, findings, siderosis_row
from petechia.lesions.siderosis import Sheet, find_siderosis

ROUND = 0.7
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
    with meanwhile(partial(_sheets_of, inputs, p)) as siderosis:
        measured, says = measure(inputs, p, model)
        sheets, no_search = siderosis()
    kept = sorted(measured, key=lambda m: m.order)
    if len(kept) > p.most_findings:
        # veins and edges are many: they make room, not a calcification or a macrobleed
        told = sorted(measured, key=lambda m: (m.verdict.class_ in COMMON, *m.order))
        left_out = told[p.most_findings :]
        says.append(
            f"{len(kept)} dark spots were measured and {p.most_findings} are listed; those left "
            f"out (mostly veins) have a probability of at most "
            f"{max(*(m.verdict.probability for m in left_out), 0.001):.3f}."
        )
        kept = sorted(told[: p.most_findings], key=lambda m: m.order)
    if not kept:
        says.append(
            "No spot in the brain mask is darker than its surroundings by "
            f"{100 * p.void.least_depth:.0f} % and {p.void.least_depth_sd:g} times the texture."
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


def _sheets_of(inputs: LesionInputs, params: DetectParams) -> tuple[list[Sheet], str | None]:
    """Return dark sheets along the cortex, and why none were looked for."""
    if params.siderosis is None:
        return [], "no search for it was made"
    return find_siderosis(inputs, params.siderosis, params.signal)


def measure(
    inputs: LesionInputs, params: DetectParams, model: Model | None = None
) -> tuple[list[Measured], list[str]]:
    """Return the likeliest voids with features and verdict, in voxels of the whole volume."""
    order = None if model is None else model.order_of(float(inputs.grid.spacing_mm.max()))
    seen = look(inputs, params, order)
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
        Measured(void=void.moved(seen.corner), features=f, verdict=told(f))
        for void, f, told in zip(seen.voids, seen.features, named, strict=True)
    ]
    spots = _by_void(in_lobes(spots, named, seen, inputs, params), named, seen)
    out = in_wholes(spots, named, seen, inputs, params)
    return out, says + _without_a_sign(out)


def _without_a_sign(measured: Sequence[Measured]) -> list[str]:
    """Say what an unknown sign leaves open, and whether likely microbleeds are of both signs."""
    unsigned = [
        m for m in measured
        if m.features.phase != "signed" and sign_of(m.features) == "not_assessed"
    ]  # fmt: skip
    if not unsigned:
        return []
    says = [
        "Probabilities leave calcium out, and so does the interval of the count: without a sign "
        "it cannot be told from blood."
    ]
    fits = [
        m.features.as_given or m.features.fit for m in unsigned if m.verdict.class_ == "microbleed"
    ]
    signs = [f.significance > 0 for f in fits if f is not None and abs(f.significance) >= CLEAR]
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
    """Return the spots with the moments of what is blood, or likely so, read from the void, too.

    So it is with specks that the field alone calls too little: the void may say otherwise.
    """
    out = list(measured)
    for n, (spot, told) in enumerate(zip(measured, seen.by_void, strict=True)):
        # a void is read as that of a point
        point = spot.features.fit is seen.features[n].fit
        asked = _is_blood(spot) or spot.features.too_little
        if told is not None and point and asked:
            features = replace(spot.features, dephasing=told)
            out[n] = replace(spot, features=features, verdict=named[n](features))
    return out


def _is_blood(spot: Measured) -> bool:
    """Return whether a spot with a positive moment is, or may be, blood and no tube."""
    verdict = spot.verdict
    told = verdict.class_ == "undetermined" and verdict.sign == "paramagnetic"
    return verdict.class_ == "microbleed" or told


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
