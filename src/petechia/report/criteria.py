"""Scales of the patient as a report shows them: the answer, what it rests on, what is missing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from petechia.report.data import ReportData
from petechia.report.language import said, t
from petechia.report.wording import capital, plain, spaced

SCALES = {
    "boston_2": "Boston criteria 2.0 (cerebral amyloid angiopathy)",
    "aria_h": "ARIA-H severity",
    "total_svd": "Total small-vessel disease score, 0 to 4",
    "caa_svd": "Small-vessel disease score of amyloid angiopathy, 0 to 6",
}
SHORT = {
    "boston_2": "Boston 2.0",
    "aria_h": "ARIA-H",
    "total_svd": "Total SVD score",
    "caa_svd": "CAA-SVD score",
}
INPUTS = {
    "bleeds_on_scan": "bleeds counted on this scan",
    "microbleeds_on_scan": "microbleeds counted on this scan",
    "lobar_ich, deep_ich": "intracerebral haemorrhages by place",
    "age_years": "age",
    "presentation": "presentation",
    "other_cause": "another cause of the lesions",
    "lobar_ich": "lobar intracerebral haemorrhages",
    "deep_ich": "deep intracerebral haemorrhages",
    "csah_foci": "foci of convexity subarachnoid haemorrhage",
    "css": "cortical superficial siderosis",
    "css_foci": "foci of cortical superficial siderosis",
    "lacunes": "lacunes",
    "fazekas_periventricular": "periventricular Fazekas grade",
    "fazekas_deep": "deep Fazekas grade",
    "basal_ganglia_pvs": "perivascular spaces of the basal ganglia",
    "centrum_semiovale_pvs": "perivascular spaces of the centrum semiovale",
    "subcortical_spots": "subcortical FLAIR spots",
    "amyloid_immunotherapy": "treatment with antibodies against amyloid",
    "baseline_microhemorrhages": "microhaemorrhages before treatment",
    "new_microhemorrhages": "new microhaemorrhages since treatment began",
    "new_siderosis_foci": "new siderosis since treatment began",
}
ANSWERS = {
    "indeterminate": "Indeterminate",
    "not_met": "Not met",
    "possible": "Possible",
    "probable": "Probable",
    "not_applicable": "Not applicable",
    "none": "None",
    "mild": "Mild",
    "moderate": "Moderate",
    "severe": "Severe",
}
SOURCES = {
    "scan": "this scan",
    "clinical": "clinical file",
    "read": "read by software on other scans, not validated on real scans",
}


@dataclass(frozen=True, slots=True)
class ScaleRow:
    """One scale: everything already in words."""

    title: str
    short: str
    answer: str
    claimed: bool
    told: bool
    """Whether any clinical fact it asks for was told."""
    could_be: str
    known: list[str]
    missing: list[str]
    note: str
    doi: str
    address: str


def scale_rows(data: ReportData) -> list[ScaleRow]:
    """Return the scales that the summary holds."""
    criteria = data.summary.get("criteria") or {}
    return [
        _row(name, title, criteria[name])
        for name, title in SCALES.items()
        if isinstance(criteria.get(name), Mapping)
    ]


def _row(name: str, title: str, claim: Mapping[str, Any]) -> ScaleRow:
    could_be = [_answer(value) for value in claim.get("could_be") or ()]
    doi = plain(claim.get("doi") or "")
    inputs = claim.get("inputs") or {}
    return ScaleRow(
        title=t(title),
        short=t(SHORT[name]),
        answer=_headline(str(claim.get("answer", "indeterminate"))),
        claimed=bool(claim.get("claimed")),
        told=any(told.get("source") == "clinical" for told in inputs.values()),
        could_be="" if claim.get("claimed") else _range(could_be),
        known=[_known(key, told) for key, told in inputs.items() if told.get("source")],
        missing=[input_words(key) for key in claim.get("missing") or ()],
        note=said(plain(claim.get("note") or "")),
        doi=doi,
        address="https://doi.org/" + quote(doi, safe="/:;()"),
    )


def _range(answers: list[str]) -> str:
    """Return `possible or probable`; of numbers, `2 to 4`."""
    if len(answers) > 2 and all(answer.isdigit() for answer in answers):
        return t("{low} to {high}", low=answers[0], high=answers[-1])
    if len(answers) > 2:
        return t("{first} to {last}", first=answers[0].lower(), last=answers[-1].lower())
    return t(" or ").join(answer.lower() for answer in answers)


def _headline(answer: str) -> str:
    at_least = answer.removeprefix("at_least_")
    if at_least != answer:
        return t("At least {answer}", answer=_answer(at_least).lower())
    return _answer(answer)


def _answer(value: Any) -> str:
    return t(ANSWERS[str(value)]) if str(value) in ANSWERS else plain(value)


def input_words(name: str) -> str:
    """Return what an input is called."""
    return t(INPUTS[name]) if name in INPUTS else spaced(name)


def _known(name: str, told: Mapping[str, Any]) -> str:
    source = t(SOURCES.get(str(told.get("source")), "clinical file"))
    value = said(spaced(told.get("value", "")))
    return t(
        "{what}: {value} ({source})", what=capital(input_words(name)), value=value, source=source
    )


@dataclass(frozen=True, slots=True)
class BombsRow:
    """A line of the Brain Observer MicroBleed Scale: numbers by certainty, size and side."""

    name: str
    cells: list[int]


BOMBS_PLACES = {
    "lobar": "Lobes: cortex, grey-white junction, subcortical white matter",
    "basal_ganglia_grey": "Basal ganglia grey matter",
    "internal_external_capsule": "Internal and external capsule",
    "thalamus": "Thalamus",
    "brainstem": "Brainstem",
    "cerebellum": "Cerebellum",
    "no_row": "No row on the form",
}
BOMBS_GROUPS = (
    "certain_below_5_mm",
    "certain_5_to_10_mm",
    "uncertain_below_5_mm",
    "uncertain_5_to_10_mm",
)


def bombs_rows(data: ReportData) -> list[BombsRow]:
    """Return the form as the summary holds it; right, left and midline or unknown."""
    form = ((data.summary.get("criteria") or {}).get("bombs") or {}).get("form") or ()
    out = []
    for row in form:
        cells = []
        for group in BOMBS_GROUPS:
            sides = row.get(group) or {}
            rest = int(sides.get("midline", 0)) + int(sides.get("n/a", 0))
            cells += [int(sides.get("right", 0)), int(sides.get("left", 0)), rest]
        out.append(BombsRow(t(BOMBS_PLACES.get(str(row.get("place")), "")), cells))
    return out
