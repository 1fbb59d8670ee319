"""The summary of one scan: the keys of the contract, from what the stages left."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from petechia import __version__
from petechia.files.contract import contract
from petechia.files.writing import without_places
from petechia.lesions.criteria import CriteriaParams, summarise
from petechia.lesions.criteria.clinical import with_read
from petechia.pipeline.calibration import SLICES, SiteCalibration, detector_sha256
from petechia.pipeline.detector import (
    card,
    count_doubt,
    operating_points,
    slices_of,
    threshold,
)
from petechia.pipeline.fitness.acquisition import slice_gap_mm
from petechia.pipeline.iron import iron_rows
from petechia.pipeline.provenance import Meter
from petechia.pipeline.settings import Settings
from petechia.pipeline.signs import signs_told
from petechia.pipeline.work import Work
from petechia.report.data import RESEARCH_USE

CALIBRATED = (
    "Probabilities are calibrated on simulated scans of people kept out of training "
    "(expected calibration error {ece} over findings between 0.05 and 0.95). Not validated on "
    "scans of people with microbleeds."
)
RECALIBRATED = (
    "At this site they were moved by its readers' decisions: {decisions} findings of {scans} "
    "scans (calibration {name}, sha256 {sha256})."
)
"""Said beside `CALIBRATED` where a calibration of the site was used."""


def fingerprint(
    hashes: Sequence[str],
    settings: Settings,
    given: Sequence[str] = (),
    told: Sequence[Any] = (),
) -> str:
    """Return one hash of all that results depend on: equal means same results.

    Parameters
    ----------
    hashes : sequence of str
        Of the input images, in any order.
    settings : Settings
        With the site's calibration, if there is one.
    given : sequence of str
        Hashes of further files, and facts about the person.
    told : sequence
        Echo times, field and other words and sidecars about the images (`told_beside`).
    """
    facts: list[Any] = [
        sorted(hashes), settings.as_dict(), list(given), list(told), __version__, detector_sha256()
    ]  # fmt: skip
    site = settings.site()
    if site is not None:
        facts.append(site.sha256)
    said = json.dumps(facts, sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()


def build_summary(work: Work, meter: Meter, provenance: dict[str, Any]) -> dict[str, Any]:
    """Return the summary as plain values, ready for JSON."""
    why_not = work.why_not("microbleeds")
    site = work.settings.site()
    signs = signs_told(work)
    return {
        "version": __version__,
        "contract_version": contract().version,
        "source": {
            "kind": work.scan.kind,
            "name": work.scan.name.prefix,
            "n_files": len(work.scan.sources),
            "phase_note": work.scan.phase_note,
            "notes": list(work.scan.notes),
            "images": {
                source.path: {"role": source.role, "te_s": list(source.te_s)}
                for source in work.scan.sources
                if source.role
            },
        },
        "protocol": protocol(work),
        "fitness": [check.as_dict() for check in work.checks],
        "reading_te_s": round(work.reading_te_s, 6),
        **counted(work, signs),
        "susceptibility_reference": work.chi_reference if work.chi_ppm is not None else None,
        "template": _template(work),
        "not_assessable": why_not + _not_assessable(work),
        "settings": work.settings.as_dict(),
        "input_sha256": {source.path: source.sha256 for source in work.scan.sources},
        "fingerprint": provenance["fingerprint"],
        "software": provenance["software"],
        "seconds": dict(meter.seconds),
        "peak_memory_mb": dict(meter.peak_memory_mb),
        "model": model(work.settings.classification, site, work.slice_mm, signed=work.signed),
        "warnings": warnings(work),
        "report": {
            "methods": list(work.methods),
            "says": list(work.detection.says) if work.detection else [],
            "language": work.language,
        },
        "signs": signs,
        "beside": {"chosen": dict(work.beside.chosen), "left": list(work.beside.left)},
        "research_use_only": RESEARCH_USE,
        **iron_rows(work),
    }


def counted(work: Work, signs: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the operating point, and what was counted at it, with its interval and criteria.

    `signs` is what `signs_told` says of the scan; it is asked when it is not given.
    """
    chosen, detection = work.settings, work.detection
    read = (signs or signs_told(work))["signs"]
    params = CriteriaParams(
        cerebellum=chosen.cerebellum,
        pvs_above=chosen.pvs_above,
        count_doubt=count_doubt(work.slice_mm),
    )
    told = summarise(
        detection.findings if detection else (),
        params,
        detection.no_siderosis_search if detection else "no search for it was made",
        with_read(work.facts, read),
        assessable=not work.why_not("microbleeds"),
    )
    point = {
        "name": chosen.operating_point,
        "threshold": threshold(
            chosen.operating_point,
            chosen.site(),
            work.slice_mm,
            chosen.classification,
            signed=work.signed,
        ),
    }
    return {"operating_point": point, **told}


def model(
    classification: str,
    site: SiteCalibration | None = None,
    slice_mm: float = 0.0,
    *,
    signed: bool = True,
) -> dict[str, Any]:
    """Return what named the findings, and how far it can be believed."""
    told = card()
    scans = "all" if slices_of(slice_mm) == SLICES[0] else "thick slices"
    of = told["refined"]["told_by_others"] if classification == "refined" else told["out_of_fold"]
    measured = of[f"{classification}, {scans}"]
    return {
        "name": told["name"],
        "classification": classification,
        "features": told["features"],
        "sha256": detector_sha256(),
        "operating_points": operating_points(site, slice_mm, classification, signed=signed),
        "count_doubt": asdict(count_doubt(slice_mm)),
        "calibrated": True,
        "says": CALIBRATED.format(ece=measured["ece"]),
        "site_calibration": None if site is None else _site(site),
    }


def _site(site: SiteCalibration) -> dict[str, Any]:
    told = site.as_dict()
    return {**told, "says": RECALIBRATED.format(**{**told, "sha256": site.sha256[:12]})}


def protocol(work: Work) -> dict[str, Any]:
    """Return what was scanned, in the words of the report."""
    echoes, grid, header = work.echoes, work.grid, work.scan.header
    phase = "none"
    if echoes.phase_rad is not None:
        phase = "difference" if echoes.phase_is_difference else "absolute"
    tilt = float(np.degrees(np.arccos(min(1.0, float(np.abs(grid.b0_dir).max())))))
    return {
        "b0_t": round(echoes.b0_t, 4),
        "te_s": [round(te, 6) for te in echoes.te_s],
        "n_echoes": echoes.n_echoes,
        "phase": phase,
        "spacing_mm": [round(float(d), 4) for d in grid.spacing_mm],
        "shape": list(grid.shape),
        "oblique_deg": round(tilt, 1),
        "acquisition_type": header.acquisition_type,
        "slice_thickness_mm": header.slice_thickness_mm,
        "slice_gap_mm": slice_gap_mm(echoes, header),
        "manufacturer": header.manufacturer,
        "model": header.model,
        "sequence": header.sequence_name,
    }


def _template(work: Work) -> dict[str, Any] | None:
    """Return how places of the scan lie in the template, when that is believed.

    The affine part alone: what was deformed beyond it moves a place by a few millimetres.
    """
    fit = work.registration
    if fit is None or not fit.ok or work.regions is None or not work.regions.ok:
        return None
    return {
        "name": "ICBM 152 2009c symmetric",
        "scan_to_template": [[round(float(v), 6) for v in row] for row in fit.matrix],
    }


def _not_assessable(work: Work) -> list[str]:
    """Return what else this scan cannot answer, apart from microbleeds."""
    names = {
        "susceptibility": "susceptibility and moments",
        "sign": "blood against calcium",
        "r2star": "R2* and T2*",
        "sites": "anatomical sites",
    }
    return [f"{text}: not assessable" for key, text in names.items() if work.why_not(key)]


def warnings(work: Work) -> list[str]:
    """Return what is to be said beside the results, without places on disk."""
    said = list(work.warnings)
    if work.brain is not None:
        fit = work.brain.registration.says if work.brain.registration else ""
        said += [text for text in work.brain.says if text != fit]
    if work.detection is not None:
        said += list(work.detection.says)
    return [without_places(text) for text in said]
