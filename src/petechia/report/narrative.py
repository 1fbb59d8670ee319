"""The sentences of a report: its headline, how far to trust it, and how it was made."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from petechia.report.criteria import scale_rows
from petechia.report.data import RESEARCH_USE, ReportData, number
from petechia.report.findings import Entry, rejected_groups
from petechia.report.language import clauses, listed, pair, said, t
from petechia.report.review import reviewed_by
from petechia.report.signs import sign_rows
from petechia.report.wording import (
    BINS,
    CATEGORIES,
    METHODS,
    PHASES,
    capital,
    count_of,
    moment_text,
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
    cannot = [said(plain(reason)) for reason in data.summary.get("not_assessable") or ()]
    if not data.assessable:
        refused = [
            said(plain(check.get("says") or check.get("check")))
            for check in data.fitness
            if check.get("status") == "refused"
        ]
        reasons = cannot or refused or [t("The summary does not say why.")]
        return Headline(t("Microbleeds not assessable in this scan"), "", "", [], reasons)
    total = int(data.counts.get("total", 0))
    return Headline(
        t("microbleed counted") if total == 1 else t("microbleeds counted"),
        str(total),
        _interval(data),
        _facts(data),
        cannot,
    )


def _interval(data: ReportData) -> str:
    bounds = data.summary.get("count_interval_95")
    if not bounds and data.summary.get("review"):
        return t("as decided by a reader")
    if not bounds or len(bounds) != 2:
        return t("No interval was computed.")
    low, high = (f"{float(bound):.0f}" for bound in bounds)
    return t("95 % interval {low} to {high}", low=low, high=high)


def _facts(data: ReportData) -> list[tuple[str, str]]:
    counts, criteria = data.counts, data.summary.get("criteria") or {}
    category, bin_word = str(data.summary.get("category")), str(data.summary.get("count_bin"))
    te = te_text(data.summary.get("reading_te_s"))
    facts = [
        (t("Definite (MARS)"), str(counts.get("definite", 0))),
        (t("Possible (MARS)"), str(counts.get("possible", 0))),
        (t("Category"), said(CATEGORIES.get(category, spaced(category)))),
        (t("Count group"), _group(criteria, bin_word)),
        (t("Left / right / midline"), " / ".join(str(counts.get(s, 0)) for s in _SIDES)),
    ]
    total = int(counts.get("total", 0))
    if total:
        largest, moment = criteria.get("largest_diameter_mm"), criteria.get("total_moment_ppm_mm3")
        facts += [
            (t("Largest apparent diameter at TE {te}", te=te), number_text(largest, 1, "mm")),
            (t("Total susceptibility moment"), _total(criteria, moment, total)),
            (t("Susceptibility relative to"), reference(data)),
        ]
    return facts


def _group(criteria: Any, coarse: str) -> str:
    """Return the count's group: the coarse one, the finer one, and a high burden."""
    bins = criteria.get("count_bins") or {}
    words = said(BINS.get(coarse, plain(coarse)))
    fine = str(bins.get("0, 1, 2-4, >=5", coarse))
    if fine != coarse:
        words += t(" (finer division: {group})", group=said(BINS.get(fine, plain(fine))))
    return words + (t("; high burden, more than 10") if bins.get("high_burden") else "")


def _total(criteria: Any, moment: Any, total: int) -> str:
    """Return the sum of moments, and of how many microbleeds when not of all."""
    summed = criteria.get("moments_in_total")
    words = moment_text(moment, criteria.get("total_moment_se_ppm_mm3"))
    if number(moment) is None or summed is None or summed == total:
        return words
    return words + t(" (sum of {n} of {total})", n=summed, total=total)


def reference(data: ReportData) -> str:
    """Return what susceptibility is relative to."""
    return said(plain(data.summary.get("susceptibility_reference") or "")) or t("not stated")


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
        title = t("Nothing is counted, because the scan cannot show microbleeds")
        return Trust("none", title, [t("This says nothing about whether there are any.")])
    reasons = [said(plain(text)) for text in data.says]
    reasons.append(_search(data, entries))
    doubts = [
        pair(capital(spaced(check.get("check", ""))), said(plain(check.get("says") or "")))
        for check in data.fitness
        if check.get("status") != "ok"
    ]
    if not data.fitness:
        doubts = [t("No fitness check was made of this scan.")]
    if not entries:
        doubts.append(
            t(
                "Not one candidate was found. Even a healthy brain leaves some, its veins cut "
                "across: look at the maps before trusting this."
            )
        )
    if doubts:
        return Trust("caution", t("No microbleed was counted: read with caution"), doubts + reasons)
    n = len(data.fitness)
    passed = t("Every fitness check was passed.") if n > 1 else t("The fitness check was passed.")
    title = t("No microbleed was counted, and the scan was fit to show them")
    return Trust("trusted", title, [passed, *reasons])


def _search(data: ReportData, entries: Sequence[Entry]) -> str:
    kinds: dict[str, int] = {}
    for entry in entries:
        kinds[entry.kind] = kinds.get(entry.kind, 0) + 1
    looked = listed(count_of(kind, n) for kind, n in sorted(kinds.items()))
    n, point = len(entries), operating_point(data)
    searched = (
        t("The search examined {n} dark or field-disturbing spot", n=n)
        if n == 1
        else t("The search examined {n} dark or field-disturbing spots", n=n)
    )
    none = t(" and counted none at {point}.", point=point) if point else t(" and counted none.")
    return f"{searched}{t(' ({what})', what=looked) if looked else ''}{none}"


def operating_point(data: ReportData) -> str:
    """Return `the operating point "balanced" (probability 0.5 or more)`; empty when unknown."""
    point = data.summary.get("operating_point") or {}
    name, threshold = point.get("name"), number(point.get("threshold"))
    if not name or threshold is None:
        return ""
    return t(
        "the operating point “{name}” (probability {threshold} or more)",
        name=said(plain(name)),
        threshold=f"{threshold:.2g}",
    )


def model_note(data: ReportData) -> str:
    """Return what is to be known about the probabilities."""
    model = data.summary.get("model") or {}
    site = model.get("site_calibration") or {}
    says = " ".join(said(plain(m["says"])) for m in (model, site) if m.get("says"))
    if model.get("calibrated"):
        return says or t("Probabilities are calibrated.")
    return f"{t('Probabilities are not calibrated: take them as a ranking.')} {says}".strip()


def _siderosis(data: ReportData, foci: int) -> str:
    """Return the words on dark sheets along the cortex."""
    told = (data.summary.get("criteria") or {}).get("superficial_siderosis") or {}
    if told.get("reader"):
        return t("{extent}, by the reader", extent=said(told["extent"]))
    if not foci:
        why = "" if told.get("extent") == "none" else told.get("why_not") or "no search was made"
        if why:
            return t("not assessed: {why}", why=said(plain(why)))
        return t("no dark sheet along the cortex was found; small or faint ones can be missed")
    reach = t(", ") + said(told["extent"]) if told.get("extent") else ""
    sulci = t("1 sulcus") if foci == 1 else t("{n} sulci", n=foci)
    return t(
        "suspected in {where}: dark sheets along the cortex, for the reader to judge",
        where=sulci + reach,
    )


def other_markers(data: ReportData, entries: Sequence[Entry]) -> list[tuple[str, str]]:
    """Return the markers a microbleed report is asked for, and what this one says of them."""
    kinds = [entry.kind for entry in entries]
    if not data.assessable:
        blood = siderosis = t("not assessable in this scan")
    else:
        n, foci = kinds.count("macrobleed"), kinds.count("siderosis")
        blood = str(n) if n else t("none among the findings")
        siderosis = _siderosis(data, foci)
    told = (data.summary.get("criteria") or {}).get("clinical_facts") or {}
    if "css" in told:
        siderosis = f"{siderosis}; {t('as given: {value}', value=said(told['css']))}"
    return [
        (t("Coverage of the brain"), _coverage(data)),
        (t("Macrobleeds above 10 mm"), blood),
        (t("Cortical superficial siderosis"), siderosis),
        *sign_rows(data, entries),
        (t("Comparison with a prior scan"), t("not part of this report")),
    ]


def _coverage(data: ReportData) -> str:
    """Return what the coverage check says."""
    for check in data.fitness:
        if check.get("check") == "coverage":
            return said(plain(check.get("says") or "")).rstrip(".。") or t("not stated")
    return t("not stated")


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
    stage = said(spaced(row.get("stage", "")))
    method = str(row.get("method", ""))
    what = said(plain(row.get("summary") or "")).rstrip(". 。")
    told = said(METHODS.get(method, plain(method)))
    return pair(capital(stage), told + (t(" ({what})", what=what) if what else ""))


def _opening(data: ReportData) -> str:
    scan, version = scan_words(data), plain(data.summary.get("version") or "")
    return t(
        "A gradient-echo scan{scan} was processed with Petechia{version}, in these steps.",
        scan=t(" ({what})", what=scan) if scan else "",
        version=f" {version}" if version else "",
    )


def scan_words(data: ReportData) -> str:
    """Return field, echoes and voxel in one line."""
    facts = data.protocol
    times = [f"{1000 * float(te):.4g}" for te in facts.get("te_s") or ()]
    b0 = number(facts.get("b0_t"))
    parts = [
        "" if b0 is None else f"{b0:.4g} T",
        _echoes(times),
        t("voxel {size}", size=size_text(facts["spacing_mm"])) if facts.get("spacing_mm") else "",
    ]
    return clauses(part for part in parts if part)


def _echoes(times: Sequence[str]) -> str:
    if not times:
        return ""
    told = listed(times)
    if len(times) == 1:
        return t("1 echo, TE {times} ms", times=told)
    return t("{n} echoes, TE {times} ms", n=len(times), times=told)


def _together(rows: Sequence[tuple[str, str]]) -> list[str]:
    """Return `names: value` with the names of one value side by side, at the place of the first."""
    names: dict[str, list[str]] = {}
    for name, value in rows:
        names.setdefault(value, []).append(name)
    return [pair(listed(same), value) for value, same in names.items()]


def short_text(data: ReportData, entries: Sequence[Entry]) -> str:
    """Return the report in a few lines, for pasting into another one."""
    lines = [
        t("CEREBRAL MICROBLEEDS, gradient-echo MRI, {read}", read=_read_by(data.summary)),
        t("Scan: {scan}; phase {phase}.", scan=scan_words(data), phase=_phase(data)),
        _quality(data),
    ]  # fmt: skip
    lines += _short_answer(data, entries) if data.assessable else _short_refusal(data)
    lines += [
        clauses(_together(other_markers(data, entries))) + t("."),
        *_short_scales(data),
        reviewed_by(data.summary),
        t(RESEARCH_USE),
    ]
    return "\n".join(line for line in lines if line)


def _read_by(summary: Mapping[str, Any]) -> str:
    """Return by which software it was read, and who has reviewed all of it."""
    name = f"Petechia {plain(summary.get('version') or '')}".strip()
    review = summary.get("review") or {}
    readers = listed(plain(reader) for reader in review.get("readers") or ())
    if not readers or review.get("undecided"):
        return t("read by software ({name})", name=name)
    return t("read by software ({name}), reviewed by {readers}", name=name, readers=readers)


def _phase(data: ReportData) -> str:
    word = str(data.protocol.get("phase", "none"))
    return t(PHASES.get(word, plain(word)))


def _quality(data: ReportData) -> str:
    """Return the checks that were not passed; or that all were."""
    if not data.fitness:
        return t("No fitness check was made of this scan.")
    doubts = [
        spaced(check.get("check", "")) + t(" ({what})", what=said(plain(check.get("value") or "")))
        for check in data.fitness
        if check.get("status") != "ok"
    ]
    if not doubts:
        return t("Quality: every fitness check was passed.")
    return t("Quality: limited by {doubts}.", doubts=listed(doubts))


def _short_refusal(data: ReportData) -> list[str]:
    answer = headline(data)
    return [pair(answer.title, " ".join(answer.cannot))]


def _short_answer(data: ReportData, entries: Sequence[Entry]) -> list[str]:
    answer = headline(data)
    facts = clauses(pair(name, value) for name, value in answer.facts)
    sites: dict[str, int] = {}
    for entry in entries:
        if entry.counted:
            side, site = entry.row.get("side", "n/a"), entry.row.get("site", "n/a")
            sites[place_words(site, side)] = sites.get(place_words(site, side), 0) + 1
    placed = clauses(pair(place, n) for place, n in sorted(sites.items()))
    rejected = listed(count_of(kind, len(some)) for kind, some in rejected_groups(entries))
    point = operating_point(data)
    return [
        t("{n} {title} ({interval}) at {point}.", n=answer.number, title=answer.title,
          interval=answer.interval, point=point or t("an unknown operating point")),
        facts + t("."),
        t("Sites: {sites}.", sites=placed) if placed else "",
        t("Not counted: {kinds}.", kinds=rejected) if rejected else "",
        " ".join(answer.cannot),
    ]  # fmt: skip


def place_words(site: str, side: str) -> str:
    """Return `frontal, left`, as far as both are known."""
    if site == "n/a":
        return said(side) if side in _SIDES else t("site not known")
    if side not in _SIDES:
        return spaced(site)
    return t("{site}, {side}", site=spaced(site), side=said(side))


def _short_scales(data: ReportData) -> list[str]:
    out = []
    for row in scale_rows(data):
        line = pair(row.short, row.answer)
        if row.could_be and row.told:
            line += t(" (possible: {answers})", answers=row.could_be)
        if row.missing:
            line += t("; missing: {facts}", facts=listed(row.missing))
        out.append(line + t("."))
    return out
