"""The output folder as a whole: its description, its index page."""

import json
from pathlib import Path
from typing import Any

from petechia.files.output import OutputTree
from petechia.report.data import IndexRow
from petechia.report.index import render_index


def prepare_tree(root: Path, dataset: Path | None) -> None:
    """Make the output folder and what describes it; `dataset` is a raw BIDS dataset, if read.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    OutputTree(root).write_dataset_description(dataset)


def finish_tree(root: Path) -> None:
    """Write the index page of all scans in the folder, of this run and of earlier ones."""
    tree = OutputTree(root)
    rows = [_done(path) for path in sorted(root.glob("sub-*/**/*_desc-petechia_summary.json"))]
    for path in sorted((root / "logs").glob("*_crash.json")):
        crash = json.loads(path.read_text(encoding="utf-8"))
        rows = [row for row in rows if row.prefix != crash["scan"]]
        rows.append(IndexRow(prefix=crash["scan"], status="failed", message=crash["message"]))
    if rows:
        tree.write_text("index", None, render_index(rows))


def _done(path: Path) -> IndexRow:
    summary = json.loads(path.read_text(encoding="utf-8"))
    prefix = summary["source"]["name"]
    return IndexRow(
        prefix=prefix,
        status="done",
        message=" ".join(summary["not_assessable"][:1]) if _refused(summary) else "",
        counts=summary["counts"],
        category=summary["category"],
        count_bin=str(summary["count_bin"]),
        link=f"{prefix}.html",
    )


def _refused(summary: dict[str, Any]) -> bool:
    return bool(summary["category"] == "not_assessable")
