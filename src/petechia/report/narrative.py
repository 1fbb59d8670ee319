"""The sentences of a report: its headline, how far to trust it, and how it was made."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from petechia.report.data import ReportData, number
from petechia.report.findings import Entry
from petechia.report.wording import (
    BINS,
    CATEGORIES,
    METHODS,
    capital,
    count_of,
    number_text,
    plain,
    size_text,
    spaced,
    te_text,
)

DOI = re.compile(r"10\.\d{4,9}/[^\s\"<>]+")


@dataclass(frozen=True, slots=True)
class Headline:
    """The answer in a few words and numbers."""

    title: str
    number: str
    interval: str
    facts: list[tuple[str, str]]
    cannot: list[str]


def headline(data: ReportData) -> Headline:
    """Return the count and what belongs to it, or that there can be none."""
    cannot = [plain(reason) for reason in data.summary.get("not_assessable") or ()]
    if not data.assessable:
        refused = [
            plain(check.get("says") or check.get("check"))
            for check in data.fitness
            if check.get("status") == "refused"
        ]
        reasons = cannot or refused or ["The summary does not say why."]
        return Headline("Microbleeds not assessable in this scan", "", "", [], reasons)
    total = int(data.counts.get("total", 0))
    return Headline(
        f"{'microbleed' if total == 1 else 'microbleeds'} counted",
        str(total),
        _interval(data),
        _facts(data),
        cannot,
    )


def _interval(data: ReportData) -> str:
    bounds = data.summary.get("count_interval_95")
    if not bounds or len(bounds) != 2:
        return "No interval was computed."
    low, high = (f"{float(bound):.0f}" for bound in bounds)
    return f"95 % interval {low} to {high}"


def _facts(data: ReportData) -> list[tuple[str, str]]:
    counts, criteria = data.counts, data.summary.get("criteria") or {}
    category, bin_word = str(data.summary.get("category")), str(data.summary.get("count_bin"))
    te = te_text(data.summary.get("reading_te_s"))
    facts = [
        ("Definite (MARS)", str(counts.get("definite", 0))),
        ("Possible (MARS)", str(counts.get("possible", 0))),
        ("Category", CATEGORIES.get(category, spaced(category))),
        ("Count group", BINS.get(bin_word, plain(bin_word))),
        ("Left / right / midline", " / ".join(str(counts.get(s, 0)) for s in _SIDES)),
    ]
    if int(counts.get("total", 0)):
        largest, moment = criteria.get("largest_diameter_mm"), criteria.get("total_moment_ppm_mm3")
        facts += [
            (f"Largest apparent diameter at TE {te}", number_text(largest, 1, "mm")),
            ("Total susceptibility moment", number_text(moment, 2, "ppm mm³")),
        ]
    return facts


_SIDES = ("left", "right", "midline")


@dataclass(frozen=True, slots=True)
class Trust:
    """Why an empty table can be trusted, or not. `level`: 'trusted', 'caution', 'none'."""

    level: str
    title: str
    reasons: list[str]


def trust_when_empty(data: ReportData, entries: Sequence[Entry]) -> Trust | None:
    """Return what an empty count is worth; None when something was counted."""
    if any(entry.counted for entry in entries):
        return None
    if not data.assessable:
        title = "Nothing is counted, because the scan cannot show microbleeds"
        return Trust("none", title, ["This says nothing about whether there are any."])
    reasons = [plain(text) for text in data.says]
    reasons.append(_search(data, entries))
    doubts = [
        f"{capital(spaced(check.get('check', '')))}: {plain(check.get('says') or '')}"
        for check in data.fitness
        if check.get("status") != "ok"
    ]
    if not data.fitness:
        doubts = ["No fitness check was made of this scan."]
    if not entries:
        doubts.append(
            "Not one candidate was found. Even a healthy brain leaves some, its veins cut across: "
            "look at the maps before trusting this."
        )
    if doubts:
        return Trust("caution", "No microbleed was counted: read with caution", doubts + reasons)
    n = len(data.fitness)
    reasons.insert(
        0, "Every fitness check was passed." if n > 1 else "The fitness check was passed."
    )
    return Trust("trusted", "No microbleed was counted, and the scan was fit to show them", reasons)


def _search(data: ReportData, entries: Sequence[Entry]) -> str:
    kinds: dict[str, int] = {}
    for entry in entries:
        kinds[entry.kind] = kinds.get(entry.kind, 0) + 1
    looked = ", ".join(count_of(kind, n) for kind, n in sorted(kinds.items()))
    n = len(entries)
    searched = f"The search examined {n} dark or field-disturbing {'spot' if n == 1 else 'spots'}"
    point = operating_point(data)
    return (
        f"{searched}{f' ({looked})' if looked else ''} and counted none{point and f' at {point}'}."
    )


def operating_point(data: ReportData) -> str:
    """Return `the operating point "balanced" (probability 0.5 or more)`; empty when unknown."""
    point = data.summary.get("operating_point") or {}
    name, threshold = point.get("name"), number(point.get("threshold"))
    if not name or threshold is None:
        return ""
    return f"the operating point “{plain(name)}” (probability {threshold:.2g} or more)"


def model_note(data: ReportData) -> str:
    """Return what is to be known about the probabilities."""
    model = data.summary.get("model") or {}
    says = plain(model.get("says") or "")
    if model.get("calibrated"):
        return f"Probabilities are calibrated. {says}".strip()
    return f"Probabilities are not calibrated: take them as a ranking. {says}".strip()


def _siderosis(data: ReportData, foci: int) -> str:
    """Return the words on dark sheets along the cortex."""
    told = (data.summary.get("criteria") or {}).get("superficial_siderosis") or {}
    if not foci:
        why = "" if told.get("extent") == "none" else told.get("why_not") or "no search was made"
        if why:
            return f"not assessed: {plain(why)}"
        return "no dark sheet along the cortex was found; small or faint ones can be missed"
    reach = f", {told['extent']}" if told.get("extent") else ""
    sulci = "1 sulcus" if foci == 1 else f"{foci} sulci"
    return f"suspected in {sulci}{reach}: dark sheets along the cortex, for the reader to judge"


def other_markers(data: ReportData, entries: Sequence[Entry]) -> list[tuple[str, str]]:
    """Return the markers a microbleed report is asked for, and what this one says of them."""
    kinds = [entry.kind for entry in entries]
    if not data.assessable:
        blood = siderosis = "not assessable in this scan"
    else:
        n, foci = kinds.count("macrobleed"), kinds.count("siderosis")
        blood = str(n) if n else "none among the findings"
        siderosis = _siderosis(data, foci)
    return [
        ("Macrobleeds above 10 mm", blood),
        ("Cortical superficial siderosis", siderosis),
        ("Edema around a finding", "not assessed (needs T2 or FLAIR)"),
        (
            "White-matter hyperintensities, lacunes, perivascular spaces",
            "not assessed (need T1, T2 or FLAIR)",
        ),
        ("Comparison with a prior scan", "not made"),
        ("Clinical criteria (Boston 2.0, ARIA-H)", "not assessed (need clinical facts)"),
    ]


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of the methods text and the number of its reference, 0 without one."""

    text: str
    reference: int


@dataclass(frozen=True, slots=True)
class MethodsText:
    """Sentences in the order of the road, and the references they cite."""

    opening: str
    sentences: list[Sentence]
    references: list[tuple[int, str, str]]
    """Number, DOI, address."""


def methods_text(data: ReportData) -> MethodsText:
    """Return a paragraph that can go into a paper, with its references numbered by first use."""
    cited: dict[str, int] = {}
    sentences = []
    for row in data.methods:
        doi = str(row.get("doi") or "").strip()
        here = cited.setdefault(doi, len(cited) + 1) if DOI.fullmatch(doi) else 0
        sentences.append(Sentence(_sentence(row), here))
    references = [
        (n, doi, "https://doi.org/" + quote(doi, safe="/:;()")) for doi, n in cited.items()
    ]
    return MethodsText(_opening(data), sentences, references)


def _sentence(row: Any) -> str:
    stage, method = spaced(row.get("stage", "")), str(row.get("method", ""))
    what = plain(row.get("summary") or "").rstrip(". ")
    if not what:
        return f"{capital(stage)}: {METHODS.get(method, plain(method))}"
    return f"{capital(stage)}: {METHODS.get(method, plain(method))} ({what})"


def _opening(data: ReportData) -> str:
    facts = data.protocol
    times = [f"{1000 * float(te):.4g}" for te in facts.get("te_s") or ()]
    b0 = number(facts.get("b0_t"))
    parts = [
        "" if b0 is None else f"{b0:.4g} T",
        f"{len(times)} {'echo' if len(times) == 1 else 'echoes'}, TE {', '.join(times)} ms"
        if times
        else "",
        f"voxel {size_text(facts['spacing_mm'])}" if facts.get("spacing_mm") else "",
    ]
    scan = "; ".join(part for part in parts if part)
    version = plain(data.summary.get("version") or "")
    return (
        f"A gradient-echo scan{f' ({scan})' if scan else ''} was processed with "
        f"Petechia{f' {version}' if version else ''}, in these steps."
    )
