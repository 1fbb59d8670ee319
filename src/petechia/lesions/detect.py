"""The whole chain: from arrays to findings and their label volume."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.core.grid import Grid
from petechia.core.methods import choose
from petechia.core.morphology import bounding_box, distance_inside_mm
from petechia.core.units import radians_per_ppm
from petechia.errors import ParameterError
from petechia.lesions.candidates import METHODS
from petechia.lesions.candidates.found import Candidates
from petechia.lesions.classify import ClassifyParams, Features, Verdict, classify, name_void
from petechia.lesions.context import contexts
from petechia.lesions.criteria import CriteriaParams, lesion_criteria, mars_grade
from petechia.lesions.features import Described, Spot, describe
from petechia.lesions.findings import Finding
from petechia.lesions.inputs import ARRAYS, LesionInputs
from petechia.lesions.model import Model
from petechia.lesions.moment import MomentFit, MomentParams, fit_moments
from petechia.lesions.shape import Shape, in_plane_diameter, measure_shape
from petechia.lesions.shortlist import ShortlistParams, best, symmetric_depth, worth
from petechia.lesions.siderosis import Sheet, SiderosisParams, find_siderosis, why_not
from petechia.lesions.signal import RelativeSignal, SignalParams, relative_signal
from petechia.lesions.tube import Tube, TubeParams, continuation
from petechia.lesions.void import Void, VoidParams, grow_voids

log = logging.getLogger(__name__)
CROP_MARGIN_MM = 6.0
ROUND = 0.7
COMMON = ("vessel", "air_tissue", "undetermined")
"""Classes of which a brain holds hundreds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectParams:
    """Settings of `detect`.

    Attributes
    ----------
    threshold : float
        Operating point: a finding of class microbleed counts from this probability on.
    classification : str
        Row of `petechia.lesions.classification.METHODS` that names voids when there is a model.
    finders : tuple of str
        Rows of `petechia.lesions.candidates.METHODS`; those whose arrays are missing are
        left out.
    most_findings : int
        At most so many findings stay in the table: every named lesion and mimic first, then
        veins, edges and what is undetermined, the most probable first.
    signal, void, shortlist, tube, moment, classify, criteria
        Settings of the stages.
    siderosis : SiderosisParams or None
        Settings of the search for superficial siderosis; None: no search.
    """

    threshold: float = 0.5
    classification: str = "combined"
    finders: tuple[str, ...] = ("radial_symmetry", "blob", "dipole_match", "chi_peak")
    most_findings: int = 500
    signal: SignalParams = field(default_factory=SignalParams)
    void: VoidParams = field(default_factory=VoidParams)
    shortlist: ShortlistParams = field(default_factory=ShortlistParams)
    tube: TubeParams = field(default_factory=TubeParams)
    moment: MomentParams = field(default_factory=MomentParams)
    classify: ClassifyParams = field(default_factory=ClassifyParams)
    criteria: CriteriaParams = field(default_factory=CriteriaParams)
    siderosis: SiderosisParams | None = field(default_factory=SiderosisParams)

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise ParameterError(
                f"operating point {self.threshold}",
                where="DetectParams.threshold",
                mend="Give a probability between 0 and 1.",
            )
        if self.most_findings < 1:
            raise ParameterError(
                f"{self.most_findings} findings",
                where="DetectParams.most_findings",
                mend="Give 1 or more.",
            )
        if not self.finders:
            raise ParameterError(
                "no finder",
                where="DetectParams.finders",
                mend=f"Choose among {', '.join(sorted(METHODS))}.",
            )
        for name in self.finders:
            choose(METHODS, name, "DetectParams.finders")


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


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Measured:
    """One void with everything measured on it: what the classifier saw."""

    void: Void
    features: Features
    verdict: Verdict


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
    sheets = find_siderosis(inputs, p.siderosis, p.signal) if p.siderosis else []
    kept = _without_sheets(kept, sheets, inputs.grid)
    findings = _findings(kept, inputs, p)
    for n, m in enumerate(kept):
        labels[tuple(m.void.body.T)] = n + 1
    for n, sheet in enumerate(sheets, start=len(kept) + 1):
        at = tuple(sheet.body.T)
        labels[at] = np.where(labels[at] == 0, n, labels[at])
    findings += tuple(
        _siderosis(len(kept) + n, f"siderosis {n}", sheet, inputs)
        for n, sheet in enumerate(sheets, start=1)
    )
    return Detection(
        findings=findings,
        labels=labels,
        says=tuple(says),
        no_siderosis_search=(
            why_not(inputs, p.siderosis) if p.siderosis else "no search for it was made"
        ),
    )


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


def _siderosis(index: int, name: str, sheet: Sheet, inputs: LesionInputs) -> Finding:
    """Return the row of a sheet: for the reader, never counted."""
    body = sheet.body
    x, y, z = inputs.grid.to_mm(body.mean(axis=0)).tolist()
    middle = body[np.argmin(((body - body.mean(axis=0)) ** 2).sum(axis=1))].tolist()
    region = inputs.region_of((middle[0], middle[1], middle[2])) if inputs.region_of else None
    return Finding(
        index=index,
        name=name,
        class_="siderosis",
        sign="paramagnetic" if sheet.chi_ppm is not None else "unclear",
        probability=0.0,
        counted=False,
        mars="n/a",
        x_mm=x,
        y_mm=y,
        z_mm=z,
        volume_mm3=sheet.volume_mm3,
        diameter_mm=in_plane_diameter(body, inputs.grid),
        moment_ppm_mm3=None,
        moment_se_ppm_mm3=None,
        chi_mean_ppm=sheet.chi_ppm,
        side=region.side if region else "n/a",
        site=region.site if region else "n/a",
        compartment=region.compartment if region else "n/a",
        parenchyma_fraction=None,
        sphericity=None,
        margin_sharpness=None,
        homogeneity=None,
        evidence=sheet.evidence(),
    )


def _by_probability(measured: Measured) -> tuple[float, ...]:
    """Return the key that sorts the most probable first.

    Hundreds of veins share a probability of 0.000: they go by log-odds, or the array's first
    axis would choose which side of the head the table tells of. Rounded, so that the last bits
    do not matter; what is equal even then goes by place.
    """
    verdict = measured.verdict
    total = round(sum(verdict.terms.values()), 3)
    return (-round(verdict.probability, 3), -total, *measured.void.seed_vox.tolist())


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
        Magnitude and SWI relative to their surroundings; None without SWI.
    texture : float
        Spread of `signal` in undisturbed tissue.
    voids : tuple of Void
        In voxels of the cut.
    features : tuple of Features
        In step.
    centres_vox : (M, 3) ndarray of float
        Centres of all voids, also of those that are not on the shortlist.
    says : tuple of str
        What the inputs cannot answer.
    """

    near: LesionInputs
    corner: npt.NDArray[np.int64]
    signal: npt.NDArray[np.float32]
    signal_swi: npt.NDArray[np.float32] | None
    texture: float
    voids: tuple[Void, ...]
    features: tuple[Features, ...]
    centres_vox: npt.NDArray[np.float64]
    says: tuple[str, ...]

    def describe(self) -> Described:
        """Return what the model is told of the voids."""
        spots = [
            Spot(
                void=void, shape=f.shape, tube=f.tube, tube_chi=f.tube_chi, fit=f.fit,
                region=f.region, context=f.context,
            )
            for void, f in zip(self.voids, self.features, strict=True)
        ]  # fmt: skip
        return describe(
            self.near, self.signal, self.signal_swi, self.texture, spots, self.centres_vox
        )


def look(inputs: LesionInputs, params: DetectParams) -> Seen:
    """Find every void and measure it: shape, continuation, moment, place."""
    near, corner = _crop(inputs)
    says = _missing(inputs)
    relative = relative_signal(near.magnitude, near.brain_mask, near.grid, params.signal)
    signal, texture = relative.value, relative.texture
    signal_swi = None
    if near.swi is not None:
        signal_swi = relative_signal(near.swi, near.brain_mask, near.grid, params.signal).value
    found = _propose(near, signal, params)
    places = np.concatenate([c.places_vox for c in found]) if found else np.zeros((0, 3))
    voids = grow_voids(signal, texture, near.brain_mask, places, near.grid, params.void)
    log.info("%d places proposed, %d voids grown", len(places), len(voids))
    dark = _covered(voids, near.grid)
    sources = _places_and_radii(voids, near.grid)
    seen = len(voids)
    voids, features = _shortlist(near, voids, dark, relative, params)
    if len(voids) < seen:
        says.append(
            f"{seen} dark spots were seen; the {len(voids)} most like a lesion were measured, "
            "the others continue as veins or lie at the surface."
        )
    fits = _moments(near, voids, features, sources, dark, signal, params)
    around = contexts([void.body + corner for void in voids], inputs)
    told = []
    for f, fit, context in zip(features, fits, around, strict=True):
        i, j, k = (int(n) for n in np.rint(f.shape.centre_vox) + corner)
        region = inputs.region_of((i, j, k)) if inputs.region_of else None
        told.append(replace(f, fit=fit, region=region, context=context))
    return Seen(
        near=near, corner=corner, signal=signal, signal_swi=signal_swi, texture=texture,
        voids=tuple(voids), features=tuple(told), centres_vox=sources[0],
        says=tuple(says),
    )  # fmt: skip


def measure(
    inputs: LesionInputs, params: DetectParams, model: Model | None = None
) -> tuple[list[Measured], list[str]]:
    """Return the likeliest voids with features and verdict, in voxels of the whole volume."""
    seen = look(inputs, params)
    says = list(seen.says)
    if model is None:
        verdicts = [classify(f, params.classify) for f in seen.features]
    else:
        opinion = model.judge(seen.describe(), params.classification)
        says += opinion.says
        verdicts = [
            name_void(f, opinion.of(n), model.least_probability, params.classify)
            for n, f in enumerate(seen.features)
        ]
    out = [
        Measured(void=_shift(void, seen.corner), features=f, verdict=verdict)
        for void, f, verdict in zip(seen.voids, seen.features, verdicts, strict=True)
    ]
    return out, says


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
    likely = best(symmetric, p.most_shaped)
    some = [voids[n] for n in likely]
    shapes = [measure_shape(v, signal, mask, dark, grid, inputs.csf) for v in some]
    loss = np.clip(1 - signal, 0, 1)
    tubes = [continuation(loss, mask, s, grid, params.tube) for s in shapes]
    scores = [
        worth(shape, tube, symmetric[n], relative.texture, grid.voxel_mm3)
        for n, shape, tube in zip(likely, shapes, tubes, strict=True)
    ]
    kept = best(scores, p.most, p.sure)
    log.info("%d voids, %d shaped, %d on the shortlist", len(voids), len(some), len(kept))
    chosen = [some[n] for n in kept]
    shapes, tubes = [shapes[n] for n in kept], [tubes[n] for n in kept]
    return chosen, _describe(inputs, chosen, shapes, tubes, relative.texture, params)


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
    if not inputs.has_field:
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


def _shift(void: Void, corner: npt.NDArray[np.int64]) -> Void:
    return replace(
        void, body=void.body + corner, tail=void.tail + corner, seed_vox=void.seed_vox + corner
    )


def _propose(
    inputs: LesionInputs, signal: npt.NDArray[np.float32], params: DetectParams
) -> list[Candidates]:
    """Run every finder on every image it can take."""
    field_mask = inputs.brain_mask if inputs.field_mask is None else inputs.field_mask
    images: list[dict[str, object]] = [{"relative_signal": signal, "mask": inputs.brain_mask}]
    for extra in (inputs.swi, _decay(inputs)):
        if extra is not None:
            value = relative_signal(extra, inputs.brain_mask, inputs.grid, params.signal).value
            images.append({"relative_signal": value, "mask": inputs.brain_mask})
    field_images: dict[str, object] = {"mask": inputs.brain_mask & field_mask}
    if inputs.local_field_ppm is not None:
        field_images["local_field_ppm"] = inputs.local_field_ppm
        field_images["field_noise_ppm"] = inputs.field_noise_ppm
    if inputs.chi_ppm is not None:
        field_images["chi_ppm"] = inputs.chi_ppm
    images.append(field_images)
    out: list[Candidates] = []
    for name in params.finders:
        method = METHODS[name]
        # votes of gradients are slow and add nothing on images that share the magnitude
        for image in images if name != "radial_symmetry" else images[:1]:
            if all(need in image for need in method.needs):
                (found,) = method(image, grid=inputs.grid)
                log.info("%s: %d places", name, len(found))
                out.append(found)
    return out


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
    texture: float,
    params: DetectParams,
) -> list[Features]:
    """Return what magnitude, susceptibility and vessel map say of each void."""
    field_mask = inputs.brain_mask if inputs.field_mask is None else inputs.field_mask
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


def _moments(
    inputs: LesionInputs,
    voids: Sequence[Void],
    features: Sequence[Features],
    sources: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]],
    dark: npt.NDArray[np.bool_],
    signal: npt.NDArray[np.float32],
    params: DetectParams,
) -> list[MomentFit | None]:
    """Fit every candidate; all voids, `sources`, count as its neighbours."""
    if inputs.local_field_ppm is None or not features:
        return [None] * len(features)
    centres = np.array([f.shape.centre_vox for f in features])
    radii = np.array([f.shape.radius_mm for f in features])
    # candidates come first, then all voids but those that are candidates
    gap = np.abs(sources[0][:, None] - centres[None]).max(axis=-1)
    others = gap.min(axis=1) > 1e-6
    field_mask = inputs.brain_mask if inputs.field_mask is None else inputs.field_mask
    usable = field_mask & ~dark & (signal > 0.5)
    edge = distance_inside_mm(field_mask, inputs.grid)
    places = np.concatenate([centres, sources[0][others]])
    return fit_moments(
        inputs.local_field_ppm,
        inputs.field_noise_ppm,
        usable,
        places,
        np.concatenate([radii, sources[1][others]]),
        inputs.grid,
        params.moment,
        np.arange(len(features)),
        edge[tuple(places.round().astype(int).T)],
        inputs.chi_ppm,
        field_mask,
        np.array([len(v.tail) / (len(v.body) + len(v.tail)) for v in voids]),
    )[: len(features)]


def _findings(
    kept: Sequence[Measured], inputs: LesionInputs, params: DetectParams
) -> tuple[Finding, ...]:
    """Return the rows of the table."""
    numbers: dict[str, int] = {}
    out = []
    for n, m in enumerate(kept):
        kind = m.verdict.class_
        numbers[kind] = numbers.get(kind, 0) + 1
        name = f"{kind.replace('_', ' ')} {numbers[kind]}"
        out.append(_finding(n + 1, name, m, inputs, params))
    return tuple(out)


def _finding(
    index: int, name: str, m: Measured, inputs: LesionInputs, params: DetectParams
) -> Finding:
    f, s = m.features, m.features.shape
    x, y, z = inputs.grid.to_mm(m.void.body.mean(axis=0)).tolist()
    criteria = lesion_criteria(
        round(s.diameter_mm, 1), s.sphericity, s.margin_sharpness, s.homogeneity,
        s.parenchyma_fraction, params.criteria,
    )  # fmt: skip
    told = f.fit if f.phase == "signed" else None
    source = None
    if told is not None:
        corner = np.rint(m.void.body.mean(axis=0) - np.asarray(s.centre_vox))
        i, j, k = inputs.grid.to_mm(np.asarray(told.place_vox) + corner).tolist()
        source = (i, j, k)
    kind = m.verdict.class_
    return Finding(
        index=index,
        name=name,
        class_=kind,
        sign=m.verdict.sign,
        probability=round(m.verdict.probability, 3),
        counted=kind == "microbleed" and round(m.verdict.probability, 3) >= params.threshold,
        mars=mars_grade(kind, criteria),
        x_mm=x,
        y_mm=y,
        z_mm=z,
        volume_mm3=s.volume_mm3,
        diameter_mm=s.diameter_mm,
        moment_ppm_mm3=told.moment_ppm_mm3 if told else None,
        moment_se_ppm_mm3=told.se_ppm_mm3 if told else None,
        chi_mean_ppm=f.chi_ppm if f.phase == "signed" else None,
        side=f.region.side if f.region else "n/a",
        site=f.region.site if f.region else "n/a",
        compartment=f.region.compartment if f.region else "n/a",
        parenchyma_fraction=s.parenchyma_fraction,
        sphericity=s.sphericity,
        margin_sharpness=s.margin_sharpness,
        homogeneity=s.homogeneity,
        evidence=m.verdict.evidence,
        criteria=criteria,
        source_mm=source,
    )
