"""T2w, FLAIR and T1w of the same session beside the scan: which signs they show."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from petechia.anatomy.companion import LEAST_PEAK, to_companion
from petechia.anatomy.compared import sampled
from petechia.anatomy.signs.fit import fluid_agreement
from petechia.anatomy.signs.normal import Normal, over_white_matter
from petechia.anatomy.signs.places import Places, box_of, places_on
from petechia.anatomy.signs.read import (
    LABELS,
    Reading,
    Sign,
    nothing_read,
    read_flair,
    read_spaces,
)
from petechia.contrast.combine import combine_magnitude
from petechia.core.grid import Grid
from petechia.core.morphology import dilate_mm
from petechia.errors import PetechiaError
from petechia.files.nifti import read_nifti

if TYPE_CHECKING:
    from petechia.pipeline.work import Work

KINDS = ("FLAIR", "T2w", "T1w")
LEAST_FLUID = 0.75
"""Least agreement about fluid of two scans of one head that lie on each other."""
SHELL_MM = 4.0
"""Around a finding edema is looked for so far."""
EDEMA_PART = 0.25
"""So much of that shell must look like edema."""
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
    edema : (I, J, K) ndarray of bool or None
        On the scan's grid; None when no FLAIR was read.
    load : dict
        Volumes of hyperintensity [mL].
    """

    signs: Mapping[str, Sign]
    scans: Mapping[str, str] = field(default_factory=dict)
    fits: Mapping[str, float] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    places: tuple[dict[str, Any], ...] = ()
    edema: npt.NDArray[np.bool_] | None = None
    load: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Beside:
    """A scan that fits: where the gradient echo's places lie on it."""

    image: npt.NDArray[np.float32]
    grid: Grid
    rigid: npt.NDArray[np.float64]


def read_signs(work: "Work", template: Mapping[str, Any]) -> None:
    """Read the signs of a session's FLAIR, T2w and T1w; say why where one cannot be."""
    given = dict(zip(KINDS, (work.beside.flair, work.beside.t2w, work.beside.t1w), strict=True))
    there = {kind: path for kind, path in given.items() if path is not None}
    if work.beside.flair is None and work.beside.t2w is None:
        work.signs = SessionSigns(signs=nothing_read({}, "the exam has neither FLAIR nor T2w"))
        return
    fit, regions = work.registration, work.regions
    if fit is None or regions is None or not (fit.ok and regions.ok):
        why = "the anatomy of the gradient echo is not known"
        work.signs = SessionSigns(signs=nothing_read({}, why))
        return
    used, fits, left_out = {}, {}, []
    for kind, path in there.items():
        found = _fitted(work, kind, path)
        if isinstance(found, str):
            left_out.append(f"{path.name} was not read for signs: {found}.")
            continue
        used[kind], fits[kind] = found
    tissue = {name: template[name] for name in ("wm", "gm", "csf")}

    def places(scan: _Beside) -> Places:
        return places_on(scan.grid, scan.rigid, work.need("mask"), regions.labels, fit, tissue)

    signs = nothing_read(_reasons(there, used), "it was not read")
    reading: Reading | None = None
    flair = _normal(used, "FLAIR", places, left_out)
    if flair is not None:
        others: dict[str, Normal] = {
            str(kind): moved
            for kind in ("T2w", "T1w")
            if kind in used and (moved := _on(used[kind], used["FLAIR"], flair[1])) is not None
        }
        reading = read_flair(flair[0], flair[1], others)
        signs |= reading.signs
    t2w = _normal(used, "T2w", places, left_out)
    if t2w is not None:
        beside = None if flair is None else _on(used["FLAIR"], used["T2w"], t2w[1])
        signs |= read_spaces(t2w[0], t2w[1], beside)
    work.warnings += left_out
    work.signs = SessionSigns(
        signs=signs,
        scans={kind: there[kind].name for kind in used},
        fits=fits,
        left_out=tuple(left_out),
        places=_places(reading, used),
        edema=_edema(reading, used, work.grid),
        load=_load(reading),
    )
    if reading is not None or t2w is not None:
        work.cite(
            "signs on T2w and FLAIR",
            "thresholds over normal white matter",
            "rigid registration; brightness relative to normal white matter where the template "
            "has it; not validated on real scans",
            "10.1016/S1474-4422(13)70124-8",
        )


def _fitted(work: "Work", kind: str, path: Path) -> tuple[_Beside, float] | str:
    """Return a scan cut to the brain and how well it agrees, or why it is not used."""
    try:
        volume = read_nifti(path)
        image, grid = np.asarray(volume.only, dtype=np.float32), volume.grid
        magnitude = combine_magnitude(work.echoes.magnitude, work.echoes.te_s)
        rigid, peak = to_companion(magnitude, work.grid, image, grid)
    except PetechiaError as error:
        return error.what.rstrip(".")
    if peak < LEAST_PEAK:
        return f"it does not fit the gradient echo ({peak:.2f})"
    mask, tissue = work.need("mask"), work.tissue
    agree = float("nan")
    if tissue is not None and tissue.told:
        agree = fluid_agreement(tissue.csf, mask, work.grid, image, grid, rigid, kind == "T2w")
        if agree < LEAST_FLUID:
            return f"it shows fluid elsewhere than the gradient echo ({agree:.2f})"
    box = box_of(mask, work.grid, rigid, grid)
    return _Beside(image=image[box], grid=grid.cut(box), rigid=rigid), agree


def _normal(
    used: Mapping[str, _Beside], kind: str, places: Any, left_out: list[str]
) -> tuple[Normal, Places] | None:
    if kind not in used:
        return None
    where = places(used[kind])
    found = over_white_matter(used[kind].image, where)
    if found is None:
        left_out.append(f"{kind} was not read for signs: too little normal white matter is seen.")
        return None
    return found, where


def _on(scan: _Beside, target: _Beside, where: Places) -> Normal | None:
    """Return a scan on the grid of another, over normal white matter."""
    world = scan.rigid @ np.linalg.inv(target.rigid)
    moved = sampled(scan.image, scan.grid, np.asarray(world), target.grid)
    return over_white_matter(moved, where)


def _reasons(there: Mapping[str, Path], used: Mapping[str, _Beside]) -> dict[str, str]:
    """Return why the signs of a scan that is missing or unfit are not assessed."""
    out: dict[str, str] = {}
    for kind, names in NEEDS.items():
        if kind in used:
            continue
        why = f"the {kind} does not fit" if kind in there else f"the exam has no {kind}"
        out |= dict.fromkeys(names, why)
    return out


NEEDS = {
    "FLAIR": ("fazekas_periventricular", "fazekas_deep", "subcortical_spots", "lacunes", "edema"),
    "T2w": ("basal_ganglia_pvs", "centrum_semiovale_pvs"),
}
"""The scan that each sign cannot do without."""


def _places(reading: Reading | None, used: Mapping[str, _Beside]) -> tuple[dict[str, Any], ...]:
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


def _edema(
    reading: Reading | None, used: Mapping[str, _Beside], grid: Grid
) -> npt.NDArray[np.bool_] | None:
    if reading is None or reading.labels is None:
        return None
    mask = (reading.labels == LABELS["edema"]).astype(np.float32)
    return np.asarray(sampled(mask, used["FLAIR"].grid, used["FLAIR"].rigid, grid) > 0.5)


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
    """Judge the criterion "no edema" of every finding, where a FLAIR was read."""
    if work.detection is None or work.signs is None or work.signs.edema is None:
        return
    swollen, grid, findings = work.signs.edema, work.grid, []
    reach = np.ceil(SHELL_MM / grid.spacing_mm).astype(int) + 1
    for finding in work.detection.findings:
        index = np.argwhere(work.detection.labels == finding.index)
        if not len(index):
            findings.append(finding)
            continue
        low = np.maximum(index.min(axis=0) - reach, 0)
        high = np.minimum(index.max(axis=0) + reach + 1, grid.shape)
        box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        here = work.detection.labels[box] == finding.index
        shell = dilate_mm(here, grid.cut((box[0], box[1], box[2])), SHELL_MM) & ~here
        part = float(swollen[box][shell].mean()) if shell.any() else 0.0
        word = "not met" if part >= EDEMA_PART else "met"
        findings.append(replace(finding, criteria={**finding.criteria, "no edema": word}))
    work.detection = replace(work.detection, findings=tuple(findings))


def signs_told(work: "Work") -> dict[str, Any]:
    """Return the summary's key `signs`."""
    read = work.signs or SessionSigns(signs=nothing_read({}, "it was not read"))
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
