"""The clinical part of a scan's summary: counts, category, forms, scales."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from petechia.lesions.criteria.aria import aria_h
from petechia.lesions.criteria.boston import boston
from petechia.lesions.criteria.clinical import ClinicalFacts
from petechia.lesions.criteria.counts import (
    count_bin,
    count_bins,
    count_interval,
    extent,
    patient_category,
)
from petechia.lesions.criteria.definition import COMPARTMENTS, SITES, CriteriaParams
from petechia.lesions.criteria.forms import BOMBS_NOTE, bombs_form, mars_form
from petechia.lesions.criteria.svd import caa_svd, total_svd
from petechia.lesions.findings import CLASSES, Finding


def summarise(
    findings: Sequence[Finding],
    params: CriteriaParams | None = None,
    no_siderosis_search: str | None = None,
    facts: ClinicalFacts | None = None,
    *,
    assessable: bool = True,
) -> dict[str, Any]:
    """Return the summary's counts, category, bin, interval and criteria.

    Parameters
    ----------
    findings : sequence of Finding
        All findings, counted or not.
    params : CriteriaParams, optional
    no_siderosis_search : str or None
        Why superficial siderosis was not looked for; None: it was.
    facts : ClinicalFacts, optional
        What is known of the patient besides the scan.
    assessable : bool
        False when this scan cannot show microbleeds: their number is then unknown, not 0;
        category 'not_assessable', and no bin, interval or form.

    Returns
    -------
    dict
        Keys `counts`, `category`, `count_bin`, `count_interval_95`, `criteria`. Counts are
        sums of the column `counted`; the interval is over all findings, whatever their class.
    """
    counted = [f for f in findings if f.counted]
    # what a CT shows to be calcium is no microbleed, however likely the MRI makes it
    probabilities = [0.0 if f.ct_calcified else round(f.probability, 3) for f in findings]
    doubt = (params or CriteriaParams()).count_doubt
    return {
        "counts": {
            "total": len(counted),
            "definite": sum(f.mars == "definite" for f in counted),
            "possible": sum(f.mars == "possible" for f in counted),
            "left": sum(f.side == "left" for f in counted),
            "right": sum(f.side == "right" for f in counted),
            "midline": sum(f.side == "midline" for f in counted),
            "by_site": _tally((f.site for f in counted), SITES),
            "by_compartment": _tally((f.compartment for f in counted), COMPARTMENTS),
            "by_class": _tally((f.class_ for f in findings), CLASSES),
        },
        "category": patient_category(counted, params) if assessable else "not_assessable",
        "count_bin": count_bin(len(counted)) if assessable else None,
        "count_interval_95": (
            list(count_interval(probabilities, doubt=doubt)) if assessable else None
        ),
        "criteria": _of_the_scan(findings, no_siderosis_search, assessable)
        | _of_the_patient(findings, params or CriteriaParams(), facts, assessable),
    }


def _of_the_scan(
    findings: Sequence[Finding], no_siderosis_search: str | None, assessable: bool
) -> dict[str, Any]:
    counted = [f for f in findings if f.counted]
    # as the table says them: whoever adds up its column comes to the same total
    moments = [round(f.moment_ppm_mm3, 2) for f in counted if f.moment_ppm_mm3 is not None]
    errors = [f.moment_se_ppm_mm3 for f in counted if f.moment_se_ppm_mm3 is not None]
    judged = [f.criteria for f in counted if f.criteria]
    sheets = sum(f.class_ == "siderosis" for f in findings)
    return {
        "mars": {
            "definite": sum(f.mars == "definite" for f in counted),
            "possible": sum(f.mars == "possible" for f in counted),
            "form": mars_form(findings) if assessable else None,
        },
        "bombs": {"form": bombs_form(findings) if assessable else None, "note": BOMBS_NOTE},
        "count_bins": count_bins(len(counted)) if assessable else None,
        "definition_met": {
            name: sum(c.get(name) == "met" for c in judged)
            for name in (judged[0] if judged else {})
        },
        "largest_diameter_mm": max((round(f.diameter_mm, 1) for f in counted), default=None),
        "total_moment_ppm_mm3": round(sum(moments), 2) if moments else None,
        "total_moment_se_ppm_mm3": round(math.hypot(*errors), 2) if errors else None,
        "moments_in_total": len(moments),
        "superficial_siderosis": {
            "sulci": None if no_siderosis_search else sheets,
            "extent": "not assessed" if no_siderosis_search else extent(sheets),
            "why_not": no_siderosis_search,
        },
    }


def _of_the_patient(
    findings: Sequence[Finding],
    params: CriteriaParams,
    facts: ClinicalFacts | None,
    assessable: bool,
) -> dict[str, Any]:
    known = facts or ClinicalFacts()
    claims = (
        boston(findings, known, assessable=assessable),
        aria_h(findings, known, assessable=assessable),
        total_svd(findings, known, pvs_above=params.pvs_above, assessable=assessable),
        caa_svd(findings, known, assessable=assessable),
    )
    return {"clinical_facts": known.as_dict()} | {c.scale: c.as_dict() for c in claims}


def _tally(values: Iterable[str], words: Sequence[str]) -> dict[str, int]:
    found = list(values)
    return {word: found.count(word) for word in words}
