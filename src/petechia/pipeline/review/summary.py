"""The summary of a scan as its readers left it: counts, criteria, and the key `review`."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from petechia import __version__
from petechia.files import writing
from petechia.lesions.criteria import count_interval
from petechia.pipeline.review.cases import Case
from petechia.pipeline.review.events import as_text, software_key
from petechia.pipeline.review.state import ScanState
from petechia.pipeline.review.tables import Table
from petechia.pipeline.review.told import forms_of, orphan_json, summary_of


def reviewed(case: Case, state: ScanState, table: Table) -> dict[str, Any]:
    """Return the summary of a scan as a state has it, with its key `review`."""
    drawn = replace(state, findings=tuple(table.items))
    counted = summary_of(drawn)
    counted["count_interval_95"] = _interval(drawn)
    if not state.basis.assessable:
        counted["count_interval_95"] = None
    out = dict(case.summary) | counted
    return out | {"review": _review(case, drawn, table, counted["criteria"])}


def _interval(state: ScanState) -> list[int] | None:
    """Return the interval of the count: what was decided is certain.

    None when a reader has decided on all that was asked: a reader's count has no interval
    of its own. While something is undecided or not agreed on it is the interval that remains.
    """
    if not any(item.asked and not item.decided for item in state.findings):
        return None
    chances = [
        float(item.counted) if item.decided or item.probability is None else item.probability
        for item in state.findings
    ]
    return list(count_interval(chances, doubt=state.basis.params.count_doubt))


def _review(
    case: Case, state: ScanState, table: Table, criteria: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the summary's key `review`: who, when, how many, and what is not settled."""
    times = sorted(_times(state))
    decided = [item for item in state.findings if item.decided and item.origin != "reader"]
    forms = forms_of(state, criteria)
    out: dict[str, Any] = {
        "readers": list(state.readers),
        "round": state.round,
        "from": times[0] if times else "",
        "to": times[-1] if times else "",
        "finished": state.finished,
        "seconds": state.seconds,
        "asked": state.n_asked,
        "undecided": state.n_undecided,
        "accepted": sum(i.decision.verdict == "accept" for i in decided if i.decision),
        "rejected": sum(i.decision.verdict == "reject" for i in decided if i.decision),
        "added": sum(item.origin == "reader" for item in state.findings),
        "cut": sum(item.origin == "split" for item in state.findings)
        + sum(bool(item.parents) and item.origin != "split" for item in state.findings),
        "outlines": sum(i.outline_changed and i.origin == "software" for i in state.findings),
        "gone": list(state.gone),
        "made": {
            row["index"]: item.key
            for row, item in zip(table.rows, table.items, strict=True)
            if item.index is None
        },
        "without_voxels": table.without,
        "disagreements": disagreements_of(state),
        "siderosis": _siderosis(state),
        "notes": [{"reader": note.reader, "text": note.text} for note in state.notes],
        "overrides": [
            {
                "form": form,
                "row": row,
                "computed": told["computed"],
                "value": told["value"],
                "reason": told["override"]["reason"],
                "reader": told["override"]["reader"],
            }
            for form, cells in forms.items()
            for row, told in cells.items()
            if told["override"]
        ],
        "changes": _changes(case, table),
        "orphaned": [orphan_json(orphan) for orphan in state.orphans],
        "software": {
            "version": case.summary.get("version"),
            "counted": (case.summary.get("counts") or {}).get("total"),
            "category": case.summary.get("category"),
            "count_interval_95": case.summary.get("count_interval_95"),
        },
        "applied_by": __version__,
        "interval_says": "A reader's count has no interval; while findings are undecided or "
        "not agreed on it is the interval of those, with the software's probabilities.",
    }
    told = as_text({"review": writing.plain(out), "rows": table.rows})
    return out | {"digest": hashlib.sha256(told.encode()).hexdigest()[:16]}


def _times(state: ScanState) -> Iterator[str]:
    for item in state.findings:
        if item.decision is not None:
            yield item.decision.at
        yield from (note.at for note in item.notes)
        yield from (vote.at for vote in item.votes.values() if vote.at)
    yield from (note.at for note in state.notes)
    yield from (override.at for override in state.overrides.values())
    if state.siderosis:
        yield state.siderosis.at


def _siderosis(state: ScanState) -> dict[str, Any] | None:
    told = state.siderosis
    if told is None:
        return None
    return {
        "extent": told.extent, "sulci": told.sulci, "note": told.note, "reader": told.reader,
    }  # fmt: skip


def disagreements_of(state: ScanState) -> list[str]:
    """Return what readers do not agree on, in words."""
    found = [
        f"{item.software.get('name', item.key)}: {item.disagreement}"
        for item in state.findings
        if item.disagreement
    ]
    return [*found, *state.disagreements]


def _changes(case: Case, table: Table) -> list[dict[str, Any]]:
    """Return the findings that a review left otherwise than the software, and those gone."""
    out: list[dict[str, Any]] = []
    for row, item in zip(table.rows, table.items, strict=True):
        own = item.software
        before = {"class": own["class"], "mars": own["mars"]} if own else None
        after = {"class": row["class"], "mars": row["mars"]}
        cut = item.outline_changed or item.place_changed
        if before != after or cut or item.origin != "software":
            reason = "" if row["review_note"] == "n/a" else row["review_note"]
            name = own["name"] if own and item.origin == "software" else row["name"]
            told = {"index": row["index"], "name": name, "before": before, "after": after}
            out.append(told | {"reason": reason})
    split = {key for item in table.items if item.origin == "split" for key in item.parents}
    here = {item.index for item in table.items}
    for lost in case.rows:
        if int(lost["index"]) not in here:
            before = {"class": lost["class"], "mars": lost["mars"]}
            key = software_key(lost["index"])
            reason = "split" if key in split else "merged with another"
            reason = "covered by another" if key in table.without else reason
            told = {"index": None, "name": lost["name"], "before": before, "after": None}
            out.append(told | {"reason": reason})
    return out
