"""What a scan's state says: rows of the table, counts, forms, and plain values for a screen."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from petechia.lesions.criteria import summarise
from petechia.lesions.criteria.clinical import read_facts
from petechia.lesions.findings import COLUMNS, DIGITS, EXTRA_COLUMNS, Finding, from_row
from petechia.pipeline.review.events import SCALES
from petechia.pipeline.review.rerun import Orphan
from petechia.pipeline.review.state import Decision, FindingState, Override, ScanState, as_number

UNMEASURED = (
    "moment_ppm_mm3", "moment_se_ppm_mm3", "chi_mean_ppm", "parenchyma_fraction", "sphericity",
    "margin_sharpness", "homogeneity", "source_x_mm", "source_y_mm", "source_z_mm", "iron_ug",
    "iron_se_ug", "criteria",
)  # fmt: skip
"""Columns that nobody has measured of what a reader drew, cut or joined."""
_BY = ("reader", "event", "at")
_SAME = (
    "key", "origin", "asked", "x_mm", "y_mm", "z_mm", "site", "side", "compartment",
    "volume_mm3", "diameter_mm", "too_wide", "outline_changed", "seconds", "last_event",
    "disagreement",
)  # fmt: skip
_SOFTWARE_NUMBERS = (
    "probability", "moment_ppm_mm3", "moment_se_ppm_mm3", "chi_mean_ppm", "sphericity",
)  # fmt: skip
_SOFTWARE_WORDS = ("name", "class", "sign", "mars", "evidence", "criteria")


def table_row(item: FindingState, index: int) -> dict[str, str]:
    """Return a finding as a row of the table: the contract's columns and the extra ones.

    What was measured on the software's outline stays, also when a reader changed the outline;
    what a reader added or cut out of another has no such measures. Of findings that were merged
    the moments are added. The name is the software's still: what a reader made or changed is
    named with its table (`tables.table_of`).
    """
    row = dict(item.software) or dict.fromkeys((*COLUMNS, *EXTRA_COLUMNS), "n/a")
    if not item.software:
        row |= {"sign": "not_assessed", "evidence": "seen by a reader, not by the software"}
    if item.origin == "split" or item.merged:
        row |= {name: "n/a" for name in UNMEASURED if name in row}
    if item.origin == "split":
        row |= {"sign": "not_assessed", "probability": "n/a"}
        row |= {"evidence": f"cut out of {item.software['name']}"} if item.software else {}
    elif item.merged:
        row |= _added_up((item.software, *item.merged))
    if item.outline_changed or item.index is None:
        for name in ("x_mm", "y_mm", "z_mm", "volume_mm3", "diameter_mm"):
            value = getattr(item, name)
            row[name] = "n/a" if value is None else _digits(name, value)
    row |= {
        "index": str(index),
        "class": item.class_,
        "counted": str(int(item.counted)),
        "mars": item.mars,
        "site": item.site,
        "side": item.side,
        "compartment": item.compartment,
    }
    return row


def _added_up(rows: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return moment and error of findings that are one lesion; n/a where one was not measured."""
    moments = [as_number(row.get("moment_ppm_mm3")) for row in rows]
    errors = [as_number(row.get("moment_se_ppm_mm3")) for row in rows]
    known = [
        (m, e) for m, e in zip(moments, errors, strict=True) if m is not None and e is not None
    ]
    if len(known) < len(rows):
        return {}
    moment, error = sum(m for m, _ in known), math.hypot(*(e for _, e in known))
    told = {"moment_ppm_mm3": moment, "moment_se_ppm_mm3": error}
    return {name: _digits(name, value) for name, value in told.items()}


def _digits(name: str, value: float) -> str:
    return f"{round(value, DIGITS[name]) + 0.0:.{DIGITS[name]}f}"


def findings_of(state: ScanState, *, only_decided: bool = False) -> list[Finding]:
    """Return the findings for counting; `only_decided` leaves the software's word out."""
    chosen = [item for item in state.findings if item.decided or not only_decided]
    return [from_row(table_row(item, n)) for n, item in enumerate(chosen, 1)]


def summary_of(state: ScanState, *, only_decided: bool = False) -> dict[str, Any]:
    """Return counts, category and criteria (`lesions.criteria.summarise`) as things stand.

    The reader's word on siderosis goes before the software's search, and enters the scales
    where nothing else was told of it. There is no overriding here: see `forms_of`.
    """
    basis, facts, search = state.basis, state.basis.facts, state.basis.no_siderosis_search
    told = state.siderosis
    if told and not {"css", "css_foci"} & set(facts.told):
        more = {"css": told.extent}
        if told.sulci is not None:
            more["css_foci"] = str(told.sulci)
        facts = replace(read_facts({**facts.told, **more}, "siderosis"), read=facts.read)
    out = summarise(
        findings_of(state, only_decided=only_decided),
        basis.params,
        search,
        facts,
        assessable=basis.assessable,
    )
    if told:
        out["criteria"]["superficial_siderosis"] = {
            "sulci": told.sulci, "extent": told.extent, "why_not": None, "reader": told.reader,
        }  # fmt: skip
    return out


def forms_of(state: ScanState, criteria: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the cells of `mars`, `bombs` and `scale` that are not 0, or were overridden.

    A scan that cannot be assessed has no form to fill.

    Each is `{"computed", "value", "override"}` with an override of `{"value", "reason",
    "reader", "event", "at"}` or None.
    """
    cells = {form: dict[str, Any]() for form in ("mars", "bombs")}
    for row in criteria["mars"]["form"] or ():
        for grade in ("definite", "possible"):
            for side, number in row[grade].items():
                cells["mars"][f"{row['site']}/{grade}/{side}"] = number
    for row in criteria["bombs"]["form"] or ():
        for name in (name for name in row if name != "place"):
            for side, number in row[name].items():
                cells["bombs"][f"{row['place']}/{name}/{side}"] = number
    cells["scale"] = {name: criteria[name]["answer"] for name in SCALES}
    return {
        form: {
            row: _cell(value, state.overrides.get((form, row)))
            for row, value in computed.items()
            if value != 0 or (form, row) in state.overrides
        }
        for form, computed in cells.items()
    }


def _cell(computed: Any, override: Override | None) -> dict[str, Any]:
    if override is None:
        return {"computed": computed, "value": computed, "override": None}
    names = ("value", "reason", "reader", "event", "at")
    said = {name: getattr(override, name) for name in names}
    return {"computed": computed, "value": override.value, "override": said}


# --- for a screen ---------------------------------------------------------------------------


def ordered(state: ScanState, *, blind: bool = False) -> list[FindingState]:
    """Return the findings as they are listed: by attention, or blind by place (top down)."""
    if not blind:
        return list(state.findings)
    return sorted(state.findings, key=lambda item: (-item.z_mm, -item.y_mm, item.x_mm, item.key))


def as_json(state: ScanState, *, blind: bool = False) -> dict[str, Any]:
    """Return the state as plain values.

    Parameters
    ----------
    blind : bool
        Leave out what the software thinks (class, probability, sign, moment, evidence,
        counted, grade, its name for it), and count only what was decided.

    Returns
    -------
    dict
        `scan, reader, round, fingerprint, findings, n_asked, n_undecided, counted, category,
        count_bin, forms, siderosis, notes, finished, last_event, seconds, gone, ignored,
        orphans, readers, disagreements, blind`. A finding is `key, index, name, origin, parents,
        asked, x_mm, y_mm, z_mm, site, side, compartment, volume_mm3, diameter_mm, class,
        counted, mars, too_wide, decision, outline_changed, notes, seconds, last_event,
        software, votes, disagreement`; `decision` is `verdict, class, mars, reason, reader,
        round, event, at, adjudicated` or null; `software` (null when blind) is `index, name,
        class, sign, probability, counted, mars, evidence, moment_ppm_mm3, moment_se_ppm_mm3,
        chi_mean_ppm, sphericity, criteria`, numbers as numbers, null for n/a.
    """
    counts = summary_of(state, only_decided=blind)
    return {
        "scan": state.scan,
        "reader": state.reader,
        "round": state.round,
        "fingerprint": state.fingerprint,
        "blind": blind,
        "findings": [_finding_json(item, blind) for item in ordered(state, blind=blind)],
        "n_asked": state.n_asked,
        "n_undecided": state.n_undecided,
        "counted": counts["counts"]["total"],
        "category": counts["category"],
        "count_bin": counts["count_bin"],
        "forms": forms_of(state, counts["criteria"]),
        "siderosis": _plain(state.siderosis, ("extent", "sulci", "note", *_BY)),
        "notes": [_plain(note, ("finding", "text", *_BY)) for note in state.notes],
        "finished": state.finished,
        "last_event": state.last_event,
        "seconds": state.seconds,
        "gone": list(state.gone),
        "ignored": list(state.ignored),
        "orphans": [orphan_json(orphan) for orphan in state.orphans],
        "readers": list(state.readers),
        "disagreements": list(state.disagreements),
    }


def _finding_json(item: FindingState, blind: bool) -> dict[str, Any]:
    hidden = blind and not item.decided
    own = item.software
    software: dict[str, Any] | None = None
    if own and not blind:
        software = {"index": int(own["index"]), "counted": own["counted"] == "1"}
        software |= {name: own.get(name, "n/a") for name in _SOFTWARE_WORDS}
        row = table_row(item, 0) | {"probability": own.get("probability", "n/a")}
        software |= {name: as_number(row.get(name)) for name in _SOFTWARE_NUMBERS}
    return {
        **{name: getattr(item, name) for name in _SAME},
        "index": None if blind else item.index,
        "name": "" if blind else own.get("name", ""),
        "parents": list(item.parents),
        "class": None if hidden else item.class_,
        "counted": None if hidden else item.counted,
        "mars": None if hidden else item.mars,
        "decision": decision_json(item.decision),
        "notes": [_plain(note, ("finding", "text", *_BY)) for note in item.notes],
        "software": software,
        "votes": {reader: decision_json(vote) for reader, vote in item.votes.items()},
    }


def orphan_json(orphan: Orphan) -> dict[str, Any]:
    """Return a decision without a finding as plain values."""
    names = ("finding", "fingerprint", "reader", "round")
    told = _plain(orphan, names) or {}
    place = None if orphan.place_mm is None else list(orphan.place_mm)
    return {
        **told, "place_mm": place, "events": list(orphan.events), "kinds": list(orphan.kinds),
    }  # fmt: skip


def decision_json(decision: Decision | None) -> dict[str, Any] | None:
    """Return a decision as plain values."""
    names = ("verdict", "mars", "reason", "round", "adjudicated", *_BY)
    told = _plain(decision, names)
    return None if decision is None or told is None else {**told, "class": decision.class_}


def _plain(value: Any, names: Sequence[str]) -> dict[str, Any] | None:
    return None if value is None else {name: getattr(value, name) for name in names}
