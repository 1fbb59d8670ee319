"""Decisions handed out: one row an event."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from petechia.errors import ParameterError
from petechia.files.writing import cell
from petechia.pipeline.review.events import Event, as_text

FORMATS = ("tsv", "csv")
EVENT_COLUMNS = (
    "id", "at", "scan", "reader", "round", "finding", "kind", "payload", "seconds", "taken_back",
    "fingerprint", "anchor", "version", "uuid",
)  # fmt: skip
OPINION_OF_ANCHOR = ("class", "moment")
"""What an anchor holds of the software's opinion."""
_FORMULA = ("=", "+", "-", "@")
"""A spreadsheet would take a text that begins so for a formula."""


def without_opinion(event: Event) -> Event:
    """Return an event as a blind reader may see it."""
    kept = {name: v for name, v in event.anchor.items() if name not in OPINION_OF_ANCHOR}
    return replace(event, anchor=kept)


def event_rows(events: Iterable[Event]) -> list[dict[str, Any]]:
    """Return one row for each event, in their order; `taken_back` is 1 for undone ones."""
    given = list(events)
    undone = {event.payload["event"] for event in given if event.kind == "undo"}
    return [
        {name: getattr(event, name) for name in EVENT_COLUMNS if name != "taken_back"}
        | {
            "payload": as_text(dict(event.payload)),
            "anchor": as_text(dict(event.anchor)),
            "taken_back": int(event.id in undone),
        }
        for event in given
    ]


def as_table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], form: str) -> str:
    """Return rows as text: TSV as BIDS has it ("n/a"), or CSV as spreadsheets read it.

    In a CSV, text from people that begins like a formula gets an apostrophe in front.

    Raises
    ------
    ParameterError
        `form` is none of `FORMATS`.
    """
    if form not in FORMATS:
        raise ParameterError(
            f"{form!r} is no format", where="export", mend=f"Choose one of {', '.join(FORMATS)}."
        )
    if form == "tsv":
        lines = ["\t".join(columns)]
        lines += ["\t".join(cell(row.get(name)) for name in columns) for row in rows]
        return "\n".join(lines) + "\n"
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_harmless(row.get(name)) for name in columns])
    return out.getvalue()


def _harmless(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return "" if value is None else value


def decisions(events: Iterable[Event], form: str = "tsv") -> str:
    """Return all events as a table in text; `form` is tsv or csv."""
    return as_table(event_rows(events), EVENT_COLUMNS, form)
