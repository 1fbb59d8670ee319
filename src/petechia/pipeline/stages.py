"""The stages of the road, each a function on `Work`; the table says their order."""

import logging
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np

from petechia.anatomy.brainmask import BrainMask, brain_mask
from petechia.anatomy.empty import empty_slices
from petechia.anatomy.ghosting import ghosting
from petechia.anatomy.head import head_mask, noise_level
from petechia.anatomy.sites import VENTRICLE_LABELS
from petechia.anatomy.surroundings import air_cavities, structure_masks, template_structures
from petechia.anatomy.template import Template, template_from
from petechia.anatomy.tissue import tissue_map
from petechia.anatomy.tracking import track_veins
from petechia.assets.store import load_arrays
from petechia.contrast.combine import combine_magnitude
from petechia.contrast.highpass import homodyne, unwrapped_highpass
from petechia.contrast.projection import minimum_projection
from petechia.contrast.relaxation import METHODS as RELAXATION
from petechia.contrast.relaxation import t2star_from
from petechia.contrast.weighting import METHODS as WEIGHTING
from petechia.core.morphology import Mask, dilate_mm
from petechia.core.units import radians_per_ppm
from petechia.errors import ParameterError
from petechia.lesions.detect import detect
from petechia.lesions.inputs import LesionInputs
from petechia.lesions.params import DetectParams
from petechia.pipeline.ct import read_densities
from petechia.pipeline.detector import detector
from petechia.pipeline.field import background_stage, invert_stage, settle_sign, unwrap_stage
from petechia.pipeline.fitness import acquisition, images
from petechia.pipeline.iron import iron_stage
from petechia.pipeline.signs import judge_edema, read_signs
from petechia.pipeline.sites import HOW, find_sites
from petechia.pipeline.work import Work

LOG = logging.getLogger(__name__)
HEAD_REACH_MM = 4.0
"""A given mask that goes further beyond the head is not of this head [mm]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step of the road.

    Attributes
    ----------
    run : callable
        Takes a `Work` and adds to it.
    after : tuple of str
        Stages that must have run.
    phase : bool
        True when it makes no sense without usable phase; it is then left out.
    writes : tuple of str
        Keys of the contract's files that it makes.
    """

    run: Callable[[Work], None]
    after: tuple[str, ...] = ()
    phase: bool = False
    writes: tuple[str, ...] = ()


def template() -> Template:
    """Return the vendored template."""
    return template_from(load_arrays("template"))


def mask_stage(work: Work) -> None:
    """Find the brain; measure noise, ghosts and coverage; say what the header allows."""
    echoes, grid = work.echoes, work.grid
    given_field = work.given_field_ppm is not None
    work.checks += acquisition.check_acquisition(echoes, work.scan.header, given_field=given_field)
    if work.settings.phase_sign != "auto":
        work.phase_sign, work.sign_trusted = int(work.settings.phase_sign), True
    work.empty = empty_slices(echoes.magnitude)
    if work.given_mask is not None:
        work.brain = BrainMask(
            mask=work.given_mask, method="given", says=("The mask was given.",), registration=None
        )
    else:
        work.brain = brain_mask(work.bridged(echoes.magnitude), grid, template())
        work.cite("brain mask", work.brain.method, "; ".join(work.brain.says), "")
    work.mask = work.brain.mask & ~work.empty.mask(grid.shape)
    work.checks += images.check_lost(work.empty.at, work.empty.says)
    magnitude = echoes.magnitude[work.reading_echo]
    head = head_mask(work.bridged(magnitude), grid)
    given = work.given_mask is not None
    if given and work.mask.any():  # before what a wrong mask makes of signal and coverage
        away = ~dilate_mm(head, grid, HEAD_REACH_MM)[work.mask]
        work.checks += images.check_given_mask(float(away.mean()))
    work.noise_sd = noise_level(work.bridged(magnitude), grid)
    signal = float(np.median(magnitude[work.mask])) if work.mask.any() else float("nan")
    work.checks.append(
        images.check_signal(signal / work.noise_sd if work.noise_sd > 0 else float("nan"))
    )
    if work.mask.any():
        work.checks += images.check_decay(
            [float(np.median(one[work.mask])) for one in echoes.magnitude]
        )
    work.checks.append(images.check_ghosting(ghosting(magnitude, head, work.mask, grid)))
    extent = tuple(n * d for n, d in zip(grid.shape, grid.spacing_mm, strict=True))
    brain_ml = float(work.mask.sum()) * grid.voxel_mm3 / 1000
    work.checks.append(
        images.check_coverage(
            (extent[0], extent[1], extent[2]), brain_ml, _is_cut(work.mask), given=given
        )
    )


def _is_cut(mask: Mask) -> bool:
    """Return whether a second face of the volume cuts more than 0.01 N^(2/3) of N mask voxels.

    N^(2/3) goes as an area, whatever the voxel. The brainstem always leaves through one face; a
    second one means a cut brain.
    """
    faces = sorted(int(np.take(mask, at, axis=axis).sum()) for axis in range(3) for at in (0, -1))
    return bool(faces[-2] > 0.01 * float(mask.sum()) ** (2 / 3))


def r2star_stage(work: Work) -> None:
    """Fit the decay over echoes, without what the field's gradients took from them."""
    echoes = work.echoes
    if echoes.n_echoes < 2 or work.why_not("r2star"):
        return
    arrays = {
        "magnitude": echoes.magnitude,
        "te_s": echoes.te_s,
        "noise_sd": work.noise_sd if np.isfinite(work.noise_sd) else 0.0,
        "field_ppm": work.total_field_ppm,
        "b0_t": echoes.b0_t,
        "acquisition_type": work.scan.header.acquisition_type,
    }
    row, params = work.used("relaxation", "relaxation")
    try:
        r2star, s0 = row(arrays, grid=work.grid, settings=params)
    except ParameterError as error:
        work.methods.pop()
        work.warnings.append(f"{error.what}: R2* was fitted log-linearly instead.")
        row = RELAXATION["loglinear"]
        work.cite("relaxation", "loglinear", row.summary, row.doi)
        r2star, s0 = row(arrays, grid=work.grid)
    if "field_ppm" in row.needs and work.total_field_ppm is not None:
        work.cite(
            "field gradients in R2*",
            "voxel spread",
            "echoes that the field's gradient across a voxel has dephased are left out",
            "10.1002/mrm.24585",
        )
    inside = work.need("mask")
    work.r2star = r2star * inside
    work.s0 = s0 * inside
    work.t2star_s = t2star_from(r2star) * inside


def swi_stage(work: Work) -> None:
    """Weight the magnitude with its high-pass phase; project the minimum over a slab."""
    grid, mask = work.grid, work.need("mask")
    # of one echo, as its phase: early echoes would lend the others' signal to dark spots
    magnitude = work.echoes.magnitude[work.reading_echo]
    if work.total_field_ppm is not None:  # also where no susceptibility could be had
        settle_sign(work)
    _highpass(work)
    if work.scan.header.weighted:
        work.warnings.append("The scanner has made the SWI: it is not weighted once more.")
        weighted = magnitude
    elif work.highpass_rad is None:
        work.warnings.append("No phase: no SWI; the projection is of the magnitude.")
        weighted = magnitude
    else:
        work.swi = _weighted(work, magnitude)
        weighted = work.need("swi")
    work.mip = (
        minimum_projection(np.where(mask, weighted, weighted.max()), grid, work.settings.slab_mm)
        * mask
    )


def _weighted(work: Work, magnitude: np.ndarray) -> np.ndarray:
    """Return the SWI by the chosen method, or the classic one where it lacks a field."""
    row, params = work.used("susceptibility weighting", "weighting")
    made = {"field_ppm": work.total_field_ppm, "chi_ppm": work.chi_ppm}
    if any(name in row.needs and volume is None for name, volume in made.items()):
        work.warnings.append(
            f"{work.methods.pop()['method']} needs unfiltered phase: a classic SWI was made."
        )
        row, params = WEIGHTING["swi"], None
        work.cite("susceptibility weighting", "swi", row.summary, row.doi)
    echoes = work.echoes
    arrays = {
        "magnitude": echoes.magnitude if "te_s" in row.needs else magnitude,
        "te_s": echoes.te_s,
        "highpass_rad": work.highpass_rad,
        "mask": work.need("mask"),
        **made,
    }
    (image,) = row(arrays, grid=work.grid, settings=params)
    return np.asarray(image)


def _highpass(work: Work) -> None:
    """Take the slow part off the phase of the reading echo, unless the scanner has done so."""
    echoes, grid, mask = work.echoes, work.grid, work.need("mask")
    if work.total_field_ppm is not None and work.settings.highpass == "unwrapped":
        turn = np.float32(radians_per_ppm(echoes.b0_t, work.reading_te_s))
        work.highpass_rad = unwrapped_highpass(work.total_field_ppm * turn, mask, grid)
        work.cite(
            "high-pass phase",
            "unwrapped",
            "field at the reading echo less its smooth part inside the brain",
            "10.1002/mrm.20198",
        )
    elif work.highpass_rad is None and echoes.phase_rad is not None:
        at = min(work.reading_echo, len(echoes.phase_rad) - 1)
        phase = echoes.phase_rad[at] * np.float32(work.phase_sign)
        work.highpass_rad = homodyne(phase, echoes.magnitude[work.reading_echo], grid)
        work.cite(
            "high-pass phase",
            "homodyne",
            "phase less that of the image's low spatial frequencies",
            "10.1002/mrm.20198",
        )


def regions_stage(work: Work) -> None:
    """Bring the atlas onto the scan."""
    magnitude = work.bridged(combine_magnitude(work.echoes.magnitude, work.echoes.te_s))
    there, mask = template(), work.need("mask")
    fit = work.brain.registration if work.brain else None
    own = work.brain is None or work.brain.method != "template"
    found = find_sites(
        magnitude, mask, work.grid, there, work.beside, fit, work.companions, outline_tells=own
    )
    work.registration, work.regions = found.registration, found.regions
    work.warnings += found.says
    quality = f"{work.registration.quality:.2f}"
    work.checks.append(
        images.check_sites(
            work.regions.ok, quality, work.regions.says, by_outline=found.by == "outline"
        )
    )
    work.cite(
        "anatomical sites",
        HOW[found.by][0],
        f"{HOW[found.by][1]}; labels grouped into MARS sites",
        "10.1038/s41597-020-0557-9",
    )


def tissue_stage(work: Work) -> None:
    """Tell fluid and veins on the scan itself, and where air and normal calcium are."""
    echoes, grid, mask = work.echoes, work.grid, work.need("mask")
    prior_csf = prior_ventricles = None
    if work.registration is not None and work.registration.precise and work.regions is not None:
        arrays = load_arrays("template")
        there = work.registration.template_grid
        prior_csf = work.registration.to_scan(arrays["csf"], nearest=False, grid=grid)
        prior_ventricles = np.isin(work.regions.labels, VENTRICLE_LABELS)
        places = template_structures(arrays["cerebra"], arrays["regions"], there)
        work.structures = structure_masks(work.registration.to_scan(places, grid=grid))
    work.tissue = tissue_map(
        echoes.magnitude,
        mask,
        grid,
        r2star=work.r2star,
        prior_csf=prior_csf,
        prior_ventricles=prior_ventricles,
    )
    work.cite("fluid", "two classes", f"first and last echo and R2*. {work.tissue.says}", "")
    # without phase the magnitude is what shows veins
    dark = work.swi if work.swi is not None else echoes.magnitude[work.reading_echo]
    work.veins = track_veins(work.chi_ppm, dark, mask, grid)
    work.cite(
        "veins",
        "tracked tubes",
        "likeness to a tube at three widths, followed both ways",
        "10.1007/BFb0056195",
    )
    work.air = air_cavities(work.bridged(echoes.magnitude[0]), mask, grid)


def signs_stage(work: Work) -> None:
    """Read what T2w, FLAIR and T1w of the same session show besides."""
    read_signs(work, load_arrays("template"))


def detect_stage(work: Work) -> None:
    """Find, measure and name dark spots, unless the scan cannot show them."""
    if work.why_not("microbleeds"):
        return
    site, row = work.settings.site(), work.settings.classification
    model = detector(site, work.slice_mm, row, signed=work.signed)
    params = DetectParams(
        threshold=model.operating_points[work.settings.operating_point], classification=row
    )
    work.detection = detect(lesion_inputs(work), params, model)
    read_densities(work)
    judge_edema(work)


def lesion_inputs(work: Work) -> LesionInputs:
    """Return what the detector is given of a scan that went down the road so far."""
    echoes, usable = work.echoes, work.local_field_ppm is not None
    return LesionInputs(
        grid=work.grid,
        brain_mask=work.need("mask"),
        b0_t=echoes.b0_t,
        reading_te_s=work.reading_te_s,
        magnitude=echoes.magnitude[work.reading_echo],
        swi=work.swi,
        r2star=work.r2star,
        local_field_ppm=work.local_field_ppm,
        total_field_ppm=work.total_field_ppm if usable else None,
        field_noise_ppm=work.field_noise_ppm,
        field_mask=work.local_mask,
        filtered_field_ppm=_filtered_field(work),
        chi_ppm=work.chi_ppm,
        vessel=work.veins.likeness if work.veins is not None else None,
        vein_length_mm=work.veins.length_mm if work.veins is not None else None,
        csf=work.tissue.csf if work.tissue is not None and work.tissue.told else None,
        ventricle_mask=work.tissue.ventricles if work.tissue is not None else None,
        air_mask=work.air,
        structures=work.structures,
        region_of=work.regions.at if work.regions is not None and work.regions.ok else None,
        sign_trusted=(usable or work.phase_filtered) and work.sign_trusted,
    )


def _filtered_field(work: Work) -> np.ndarray | None:
    """Return filtered phase as a field; it tells signs and no more."""
    if not work.phase_filtered or work.highpass_rad is None:
        return None
    turn = radians_per_ppm(work.echoes.b0_t, work.reading_te_s)
    return np.asarray(work.highpass_rad / turn, dtype=np.float32)


STAGES: dict[str, Stage] = {
    "mask": Stage(run=mask_stage, writes=("brain_mask",)),
    "unwrap": Stage(run=unwrap_stage, after=("mask",)),
    "background": Stage(
        run=background_stage, after=("unwrap",), phase=True, writes=("local_field",)
    ),
    "invert": Stage(
        run=invert_stage, after=("background",), phase=True, writes=("chi", "chi_noise")
    ),
    "r2star": Stage(run=r2star_stage, after=("unwrap",), writes=("r2star", "t2star", "s0")),
    "swi": Stage(run=swi_stage, after=("unwrap", "invert"), writes=("swi", "mip")),
    "regions": Stage(run=regions_stage, after=("mask",), writes=("regions",)),
    "tissue": Stage(run=tissue_stage, after=("invert", "r2star", "swi", "regions")),
    "signs": Stage(run=signs_stage, after=("tissue",)),
    "detect": Stage(
        run=detect_stage,
        after=("tissue", "signs"),
        writes=("findings", "microbleeds", "summary", "report"),
    ),
    "iron": Stage(run=iron_stage, after=("tissue", "detect")),
}
"""The road, in order. `--steps` takes these names."""


def closure(steps: Iterable[str]) -> list[str]:
    """Return `steps` and all they need, in order; all stages when `steps` is empty.

    Raises
    ------
    ParameterError
        If a step is not known.
    """
    asked = list(steps) or list(STAGES)
    for name in asked:
        if name not in STAGES:
            raise ParameterError(
                f"no step {name!r}", where="--steps", mend=f"Choose from {', '.join(STAGES)}."
            )
    needed: set[str] = set()
    while asked:
        name = asked.pop()
        if name not in needed:
            needed.add(name)
            asked += STAGES[name].after
    return [name for name in STAGES if name in needed]


def walk(
    work: Work,
    steps: Iterable[str] = (),
    around: Callable[[str], AbstractContextManager[None]] = lambda _: nullcontext(),
) -> None:
    """Run `steps` and all they need on `work`, each inside the context `around(name)`.

    Stages that make no sense without usable phase are left out when there is none.
    """
    for name in closure(steps):
        if STAGES[name].phase and not work.phase_usable:
            LOG.info("%s: left out, no usable phase", name)
            continue
        with around(name):
            STAGES[name].run(work)
