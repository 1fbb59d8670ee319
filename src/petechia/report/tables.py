"""The tables of a report: rows of plain text made from the summary and the findings."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from petechia.report.data import ReportData, number
from petechia.report.findings import Entry
from petechia.report.language import said, t
from petechia.report.signs import image_rows
from petechia.report.wording import (
    PHASES,
    STATUSES,
    TIMES,
    capital,
    number_text,
    plain,
    setting_text,
    size_text,
    spaced,
    te_text,
)

Row = tuple[str, str]
COMPARTMENTS = {
    "lobar": ("frontal", "parietal", "temporal", "occipital", "insula"),
    "deep": (
        "basal_ganglia",
        "thalamus",
        "internal_capsule",
        "external_capsule",
        "corpus_callosum",
        "deep_periventricular_wm",
    ),
    "infratentorial": ("brainstem", "cerebellum"),
}
"""Sites of the Microbleed Anatomical Rating Scale by compartment."""

SIDES = ("right", "left", "midline")
GRADES = ("definite", "possible")
HASHES_SHOWN = 24


@dataclass(frozen=True, slots=True)
class FormRow:
    """A line of the rating form: numbers by grade, then by side; and their sum."""

    name: str
    cells: list[int]
    total: int
    kind: str
    """'site', 'compartment' or 'all'."""


@dataclass(frozen=True, slots=True)
class Form:
    """The rating form of the counted findings. `ungraded` is the number without a grade."""

    rows: list[FormRow] = field(default_factory=list)
    ungraded: int = 0
    unsided: int = 0


def rating_form(entries: Sequence[Entry]) -> Form:
    """Return counted findings by site, side and grade, with totals of compartments."""
    counted = [entry for entry in entries if entry.counted]
    rows: list[FormRow] = []
    known = {site for sites in COMPARTMENTS.values() for site in sites}
    for compartment, sites in COMPARTMENTS.items():
        inside = [entry for entry in counted if entry.row.get("site") in sites]
        rows.append(_form_row(t(capital(compartment)), inside, "compartment"))
        for site in sites:
            here = [entry for entry in inside if entry.row.get("site") == site]
            rows.append(_form_row(capital(spaced(site)), here, "site"))
    elsewhere = [entry for entry in counted if entry.row.get("site") not in known]
    if elsewhere:
        rows.append(_form_row(t("Site not known"), elsewhere, "compartment"))
    rows.append(_form_row(t("All"), counted, "all"))
    return Form(
        rows,
        ungraded=sum(entry.mars not in GRADES for entry in counted),
        unsided=sum(entry.row.get("side") not in SIDES for entry in counted),
    )


def _form_row(name: str, entries: Sequence[Entry], kind: str) -> FormRow:
    cells = [
        sum(entry.mars == grade and entry.row.get("side") == side for entry in entries)
        for grade in GRADES
        for side in SIDES
    ]
    return FormRow(name, cells, len(entries), kind)


def protocol_rows(data: ReportData) -> list[Row]:
    """Return what was scanned, a line for every stated fact."""
    facts, source = data.protocol, data.summary.get("source") or {}
    b0, shape = number(facts.get("b0_t")), facts.get("shape") or ()
    times = [te_text(te) for te in facts.get("te_s") or ()]
    phase = str(facts.get("phase", "none"))
    rows = [
        ("Main field", t("not stated") if b0 is None else f"{b0:.4g} T"),
        ("Echo times", _listed(times)),
        ("Echo read for dark spots", te_text(data.summary.get("reading_te_s"))),
        (
            "Phase",
            t(PHASES.get(phase, plain(phase))) + _bracketed(source.get("phase_note"), "none"),
        ),
        ("Voxel", size_text(facts.get("spacing_mm"))),
        ("Matrix", TIMES.join(str(n) for n in shape) or t("not stated")),
        ("Acquisition", _stated(facts.get("acquisition_type"))),
        ("Slice thickness", _length(facts.get("slice_thickness_mm"))),
        ("Gap between slices", _length(facts.get("slice_gap_mm"))),
        ("Slice tilt", _angle(facts.get("oblique_deg"))),
        ("Scanner", _stated(" ".join(_words(facts, "manufacturer", "model")))),
        ("Sequence", _stated(facts.get("sequence"))),
        ("Read from", _source(source)),
    ]
    rows = [(t(name), value) for name, value in rows]
    rows += image_rows(data)
    return rows + [(t("Note on reading"), said(plain(note))) for note in source.get("notes") or ()]


def _listed(words: Sequence[str]) -> str:
    if len(words) < 2:
        return words[0] if words else t("not stated")
    return ", ".join(word.removesuffix(" ms") for word in words) + t(
        " ms ({n} echoes)", n=len(words)
    )


def _bracketed(note: Any, nothing: str) -> str:
    return f" ({plain(note)})" if note and note != nothing else ""


def _words(facts: Mapping[str, Any], *keys: str) -> list[str]:
    return [str(facts[key]) for key in keys if facts.get(key)]


def _stated(value: Any) -> str:
    return plain(value) if value else t("not stated")


def _length(value: Any) -> str:
    return t("not stated") if number(value) is None else number_text(value, 2, "mm")


def _angle(value: Any) -> str:
    return t("not stated") if number(value) is None else number_text(value, 1) + "°"


def _source(source: Mapping[str, Any]) -> str:
    kind, files = source.get("kind"), source.get("n_files")
    if not kind:
        return t("not stated")
    if not files:
        return plain(kind)
    many = t("{kind}, {n} file", kind=plain(kind), n=files)
    return many if files == 1 else t("{kind}, {n} files", kind=plain(kind), n=files)


@dataclass(frozen=True, slots=True)
class FitnessRow:
    """One check: its status as a word and a sign, so that colour is never needed."""

    check: str
    status: str
    sign: str
    word: str
    value: str
    says: str


def fitness_rows(data: ReportData) -> list[FitnessRow]:
    """Return the fitness checks, an unknown status word counting as unknown."""
    rows = []
    for check in data.fitness:
        status = str(check.get("status"))
        status = status if status in STATUSES else "unknown"
        sign, word = STATUSES[status]
        value, says = said(plain(check.get("value") or "")), said(plain(check.get("says") or ""))
        name = capital(spaced(check.get("check", "")))
        rows.append(FitnessRow(name, status, sign, t(word), value, says))
    return rows


def settings_rows(settings: Mapping[str, Any], before: str = "") -> list[Row]:
    """Return nested settings as `tv.max_iterations` and value."""
    rows: list[Row] = []
    for key, value in settings.items():
        name = f"{before}{plain(key)}"
        if isinstance(value, Mapping) and value:
            rows += settings_rows(value, f"{name}.")
        else:
            rows.append((name, setting_text(value)))
    return rows


@dataclass(frozen=True, slots=True)
class CostRow:
    """Seconds and peak memory of a stage; its share of the longest one [0, 100]."""

    stage: str
    seconds: str
    memory: str
    share: float


def cost_rows(data: ReportData) -> list[CostRow]:
    """Return what every stage cost, and the sum of seconds and peak of memory at the end."""
    seconds = {k: number(v) or 0.0 for k, v in (data.summary.get("seconds") or {}).items()}
    memory = {k: number(v) for k, v in (data.summary.get("peak_memory_mb") or {}).items()}
    if not seconds:
        return []
    longest = max(seconds.values()) or 1.0
    rows = [
        CostRow(
            spaced(stage),
            f"{spent:.1f}",
            _megabytes(memory.get(stage)),
            round(100 * spent / longest, 1),
        )
        for stage, spent in seconds.items()
    ]
    known = [value for value in memory.values() if value is not None]
    whole = CostRow(
        t("whole run"), f"{sum(seconds.values()):.1f}", _megabytes(max(known, default=None)), 0.0
    )
    return [*rows, whole]


def _megabytes(value: float | None) -> str:
    return t("not measured") if value is None else f"{value:.0f}"


@dataclass(frozen=True, slots=True)
class Provenance:
    """Hashes of the input without its file names, and one hash of them all."""

    combined: str
    hashes: list[str]
    left_out: int


def provenance(data: ReportData) -> Provenance | None:
    """Return the input's hashes, sorted; None when there are none.

    `combined` is the SHA-256 of the sorted hexadecimal hashes, a line each, as
    `cut -d" " -f1 | sort | sha256sum` gives it.
    """
    hashes = sorted(str(value) for value in (data.summary.get("input_sha256") or {}).values())
    if not hashes:
        return None
    lines = "".join(f"{value}\n" for value in hashes)
    whole = hashlib.sha256(lines.encode("utf-8")).hexdigest()
    return Provenance(whole, hashes[:HASHES_SHOWN], max(0, len(hashes) - HASHES_SHOWN))


def software_rows(data: ReportData) -> list[Row]:
    """Return names and versions."""
    software = data.summary.get("software") or {}
    return [(plain(name), plain(version)) for name, version in software.items()]
