"""FLAIR of the same session, with T2w and T1w, beside the scan: which signs they show."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from petechia.anatomy.compared import sampled
from petechia.anatomy.signs.normal import Normal, over_white_matter
from petechia.anatomy.signs.places import Places, box_of, places_on
from petechia.anatomy.signs.read import LABELS, Reading, Sign, nothing_read, read_flair
from petechia.core.grid import Grid
from petechia.core.morphology import Mask, bounding_box, dilate_mm, widened_box
from petechia.pipeline.companions import Companion

if TYPE_CHECKING:
    from petechia.pipeline.work import Work

SHELL_MM = 4.0
"""Around a finding edema is looked for so far."""
EDEMA_PART = 0.25
"""So much of that shell must look like edema, or be as bright."""
SEEN_PART = 0.9
"""So much of it must be on the FLAIR."""
SAYS = "Read by software on other scans of the session, not validated on real scans."


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SessionSigns:
    """What the other scans of a session show.

    Attributes
    ----------
    signs : mapping of str to Sign
    scans : mapping of str to str
        Which file each contrast was, by its bare name.
    fits : mapping of str to float
        Agreement of each with the gradient echo about fluid.
    left_out : tuple of str
        What was there and not used, and why.
    places : list of dict
        Lacunes and patches like edema: kind and place on the scan [RAS mm].
    edema, hot, seen : (I, J, K) ndarray of bool or None
        On the scan's grid: patches like edema, what is clearly brighter than cortex, and what the
        FLAIR shows of the brain; None when no FLAIR was read.
    load : dict
        Volumes of hyperintensity [mL].
    """

    signs: Mapping[str, Sign]
    scans: Mapping[str, str] = field(default_factory=dict)
    fits: Mapping[str, float] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    places: tuple[dict[str, Any], ...] = ()
    edema: Mask | None = None
    hot: Mask | None = None
    seen: Mask | None = None
    load: Mapping[str, float] = field(default_factory=dict)


def read_signs(work: "Work", template: Mapping[str, Any]) -> None:
    """Read the signs of a session's FLAIR, T2w and T1w; say why where one cannot be."""
    there = work.companions.sources
    if "FLAIR" not in there:
        work.signs = SessionSigns(signs=nothing_read("the exam has no FLAIR"))
        return
    fit, regions = work.registration, work.regions
    if fit is None or regions is None or not (fit.precise and regions.ok):
        why = "the anatomy of the gradient echo is not known"
        work.signs = SessionSigns(signs=nothing_read(why))
        return
    used, fits, left_out = {}, {}, []
    for kind, source in there.items():
        found = work.companions.judged(kind, work.tissue, work.need("mask"))
        if isinstance(found, str):
            left_out.append(f"{source.name} was not read for signs: {found}.")
            if kind == "FLAIR":  # without it the others tell nothing
                break
            continue
        used[kind], fits[kind] = _around_brain(found[0], work), found[1]
        if np.isnan(fits[kind]):
            left_out.append(work.companions.unchecked(kind))
    tissue = {name: template[name] for name in ("wm", "gm", "csf")}
    reading, signs = None, nothing_read("the FLAIR does not fit")
    if "FLAIR" in used:
        own = used["FLAIR"]
        places = places_on(own.grid, own.rigid, work.need("mask"), regions.labels, fit, tissue)
        flair = over_white_matter(own.image, places)
        if flair is None:
            why = "too little normal white matter is seen on the FLAIR"
            signs = nothing_read(why)
            left_out.append(f"{there['FLAIR'].name} was not read for signs: {why}.")
        else:
            others: dict[str, Normal] = {
                str(kind): moved
                for kind in ("T2w", "T1w")
                if kind in used and (moved := _on(used[kind], own, places)) is not None
            }
            reading = read_flair(flair, places, others)
            signs |= reading.signs
    work.warnings += left_out
    work.signs = SessionSigns(
        signs=signs,
        scans={kind: there[kind].name for kind in used},
        fits=fits,
        left_out=tuple(left_out),
        places=_places(reading, used),
        load=_load(reading),
        **_masks(reading, used, work.grid),
    )
    if reading is not None:
        work.cite(
            "signs on FLAIR",
            "thresholds over normal white matter",
            "rigid registration; brightness relative to normal white matter where the template "
            "has it; not validated on real scans",
            "10.1016/S1474-4422(13)70124-8",
        )


def _around_brain(found: Companion, work: "Work") -> Companion:
    """Return a companion cut to the brain."""
    box = box_of(work.need("mask"), work.grid, found.rigid, found.grid)
    return replace(found, image=found.image[box], grid=found.grid.cut(box))


def _on(scan: Companion, target: Companion, where: Places) -> Normal | None:
    """Return a scan on the grid of another, over normal white matter."""
    world = scan.rigid @ np.linalg.inv(target.rigid)
    moved = sampled(scan.image, scan.grid, np.asarray(world), target.grid)
    return over_white_matter(moved, where)


def _places(reading: Reading | None, used: Mapping[str, Companion]) -> tuple[dict[str, Any], ...]:
    if reading is None:
        return ()
    back = np.linalg.inv(used["FLAIR"].rigid)
    out = []
    for kind, places in reading.sites.items():
        for at in places:
            x, y, z = (back @ [*at, 1.0])[:3]
            out.append(
                {"sign": kind, "x_mm": round(x, 1), "y_mm": round(y, 1), "z_mm": round(z, 1)}
            )
    return tuple(out)


def _masks(reading: Reading | None, used: Mapping[str, Companion], grid: Grid) -> dict[str, Mask]:
    """Return what was seen on the FLAIR, on the gradient echo's grid."""
    if reading is None or reading.labels is None or reading.hot is None:
        return {}
    masks = {
        "edema": reading.labels == LABELS["edema"],
        "hot": reading.hot,
        "seen": np.ones(reading.labels.shape, dtype=bool),
    }
    own = used["FLAIR"]
    return {
        name: np.asarray(sampled(mask.astype(np.float32), own.grid, own.rigid, grid) > 0.5)
        for name, mask in masks.items()
    }


def _load(reading: Reading | None) -> dict[str, float]:
    if reading is None or reading.load is None:
        return {}
    load = reading.load
    return {
        "hyperintensity_ml": round(load.total_ml, 2),
        "periventricular_ml": round(load.periventricular_ml, 2),
        "deep_ml": round(load.deep_ml, 2),
    }


def judge_edema(work: "Work") -> None:
    """Judge the criterion "no edema" of every finding that a FLAIR shows with its surroundings.

    Met where they are nowhere near as bright as edema, not met in a patch that looks like edema.
    What is as bright but no such patch may be either edema or hyperintensity: not assessed.
    """
    if work.detection is None or work.signs is None or work.signs.seen is None:
        return
    grid, findings = work.grid, []
    reach = np.ceil(SHELL_MM / grid.spacing_mm).astype(int) + 1
    for finding in work.detection.findings:
        here = work.detection.labels == finding.index
        if not here.any():
            findings.append(finding)
            continue
        box = widened_box(bounding_box(here), reach, grid.shape)
        here = here[box]
        shell = dilate_mm(here, grid.cut(box), SHELL_MM) & ~here & work.need("mask")[box]
        word = _edema_word(work.signs, box, shell)
        findings.append(replace(finding, criteria={**finding.criteria, "no edema": word}))
    work.detection = replace(work.detection, findings=tuple(findings))


def _edema_word(signs: SessionSigns, box: tuple[slice, slice, slice], shell: Mask) -> str:
    parts = [
        float(mask[box][shell].mean()) if mask is not None and shell.any() else 0.0
        for mask in (signs.seen, signs.edema, signs.hot)
    ]
    if parts[0] < SEEN_PART:
        return "not assessed"
    if parts[1] >= EDEMA_PART:
        return "not met"
    return "not assessed" if parts[2] >= EDEMA_PART else "met"


def signs_told(work: "Work") -> dict[str, Any]:
    """Return the summary's key `signs`."""
    read = work.signs or SessionSigns(signs=nothing_read("it was not read"))
    return {
        "says": SAYS,
        "signs": {
            name: {
                "state": sign.state, "low": sign.low, "high": sign.high, "measure": sign.measure,
                "scans": sign.source, "why_not": sign.why,
            }
            for name, sign in read.signs.items()
        },
        "files": dict(read.scans),
        "fluid_agreement": {
            k: None if np.isnan(v) else round(v, 2) for k, v in read.fits.items()
        },
        "volumes": dict(read.load),
        "places": list(read.places),
    }  # fmt: skip
