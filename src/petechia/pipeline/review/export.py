"""Decisions handed out: one row an event, one row a finding and reader, tables by reader."""

import csv
import io
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from petechia.errors import ParameterError
from petechia.files.dicom.results.origin import Origin
from petechia.files.writing import cell, write_nifti, write_table
from petechia.pipeline.review.cases import ReviewFolder
from petechia.pipeline.review.events import Event, as_text, reader_label
from petechia.pipeline.review.log import FOLDER
from petechia.pipeline.review.originals import kept_geometry
from petechia.pipeline.review.state import ScanState
from petechia.pipeline.review.summary import review_summary
from petechia.pipeline.review.tables import applied

FORMATS = ("tsv", "csv")
EVENT_COLUMNS = (
    "id", "at", "scan", "reader", "round", "finding", "kind", "payload", "seconds", "taken_back",
    "fingerprint", "anchor", "version", "uuid",
)  # fmt: skip
FINDING_COLUMNS = (
    "scan", "reader", "round", "finding", "index", "origin", "asked", "verdict", "class", "mars",
    "counted", "reason", "site", "side", "compartment", "x_mm", "y_mm", "z_mm", "volume_mm3",
    "diameter_mm", "outline_changed", "seconds", "at", "note", "software_class",
    "software_probability", "software_counted",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@")
"""A spreadsheet would take a text that begins so for a formula."""


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


def finding_rows(states: Iterable[ScanState]) -> Iterator[dict[str, Any]]:
    """Yield one row for each finding as each state has it (of one reader, or the consensus)."""
    for state in states:
        for item in state.findings:
            decision = item.decision
            yield {
                "scan": state.scan,
                "reader": state.reader or "consensus",
                "round": state.round,
                "finding": item.key,
                "index": item.index,
                "origin": item.origin,
                "asked": int(item.asked),
                "verdict": decision.verdict if decision else None,
                "class": item.class_,
                "mars": item.mars,
                "counted": int(item.counted),
                "reason": decision.reason if decision else None,
                "site": item.site,
                "side": item.side,
                "compartment": item.compartment,
                "x_mm": item.x_mm,
                "y_mm": item.y_mm,
                "z_mm": item.z_mm,
                "volume_mm3": item.volume_mm3,
                "diameter_mm": item.diameter_mm,
                "outline_changed": int(item.outline_changed),
                "seconds": item.seconds,
                "at": decision.at if decision else None,
                "note": " / ".join(note.text for note in item.notes),
                "software_class": item.software.get("class"),
                "software_probability": item.probability,
                "software_counted": item.software.get("counted"),
            }


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


def write_reader_table(folder: ReviewFolder, root: Path, state: ScanState) -> tuple[Path, Path]:
    """Write one reader's findings as a table and label image of BIDS; return both files.

    They lie below `review/readers/<label>/`, under the names of the results with
    `desc-<label>` for `desc-findings`. The label is the reader's name made safe
    (`events.reader_label`), "consensus" for all together.
    """
    case = folder.case(state.scan)
    label = reader_label(state.reader) if state.reader else "consensus"
    rows, labels, columns = applied(case, state)
    place = Path(root) / FOLDER / "readers" / label / case.name.folder
    stem = f"{state.scan}_desc-{label}_dseg"
    table, image = place / f"{stem}.tsv", place / f"{stem}.nii.gz"
    write_nifti(image, labels, case.grid, kept_geometry(folder, case))
    write_table(table, rows, columns)
    return table, image


def structured_report_of(folder: ReviewFolder, state: ScanState, origin: Origin) -> Any:
    """Return the DICOM SR of one reader's table, with the reader as its observer.

    Raises
    ------
    GridMismatchError
        The results are not of these images.
    """
    from petechia.files.dicom.results.identity import Identity, settle
    from petechia.files.dicom.results.structured_report import structured_report

    case = folder.case(state.scan)
    rows, labels, _ = applied(case, state)
    origin.planes(labels, case.grid)
    summary = review_summary(case, state)
    told = f"{summary['fingerprint']}{summary['review']['digest']}{state.reader}"
    identity = Identity(origin=origin, fingerprint=told)
    with warnings.catch_warnings():  # names of patients are as the source has them
        warnings.simplefilter("ignore")
        return settle(structured_report(identity, rows, summary), identity, "sr")
