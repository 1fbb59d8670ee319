"""The table and the label image of a scan as its readers left it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.files.columns import describe
from petechia.files.contract import contract
from petechia.files.output import OutputTree
from petechia.files.scan import ScanName
from petechia.files.writing import cell
from petechia.pipeline.review.cases import Case
from petechia.pipeline.review.fold import PLACE
from petechia.pipeline.review.originals import kept_folder
from petechia.pipeline.review.outline import runs_of
from petechia.pipeline.review.state import FindingState, Outline, ScanState
from petechia.pipeline.review.told import table_row

REVIEW_COLUMNS = ("reader", "reader_class", "software_class", "software_counted", "review_note")
"""Columns that an applied review adds to the table."""


@dataclass(slots=True, eq=False)
class Table:
    """Rows, labels, and the findings behind the rows."""

    rows: list[dict[str, str]] = field(default_factory=list)
    labels: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    items: list[FindingState] = field(default_factory=list)
    without: list[str] = field(default_factory=list)


def table_of(case: Case, state: ScanState) -> Table:
    """Return the table: the software's indices stay, what readers made follows."""
    canvas = case.canvas
    items = [_with_voxels(item, case) for item in state.findings]
    painted, left = canvas.paint([item.outline for item in items])
    free = max((int(row["index"]) for row in case.rows), default=0)
    numbers = np.zeros(len(items) + 1, dtype=np.int32)
    out = Table()
    placed: list[tuple[int, FindingState]] = []
    for n, item in enumerate(items, 1):
        if not left[n - 1]:
            out.without.append(item.key)
            continue
        index = item.index
        if index is None:
            free += 1
            index = free
        numbers[n] = index
        if left[n - 1] != len(canvas.voxels(item.outline)):  # partly below a smaller one
            item = _remeasured(item, np.flatnonzero(painted.ravel() == n), case)
        placed.append((index, item))
    for index, item in sorted(placed, key=lambda pair: pair[0]):
        row = table_row(item, index)
        if item.index is None or item.class_ != item.software.get("class"):
            row["name"] = new_name(case.rows, item.class_, index)
        out.rows.append(row | _review_cells(item, measured=row["moment_ppm_mm3"] != "n/a"))
        out.items.append(item)
    out.labels = numbers[painted]
    return out


def new_name(rows: Sequence[Mapping[str, str]], class_: str, index: int) -> str:
    """Return the name of a finding that a reader made or gave another class.

    Its number goes on after those of its class in the software's table, in the order of the
    index. It hangs on that table and the finding alone: no other decision changes it, and no
    two findings of a table have one name.

    Parameters
    ----------
    rows : sequence of mapping
        The software's table.
    class_ : str
        What the finding is now.
    index : int
        Of the finding, in the reviewed table; above all of the software's when readers made it.
    """
    words = class_.replace("_", " ")
    named = (row["name"].rpartition(" ") for row in rows)
    last = max((int(n) for kind, _, n in named if kind == words and n.isdecimal()), default=0)
    others = sorted(int(row["index"]) for row in rows if row["class"] != class_)
    made = max(0, index - max((int(row["index"]) for row in rows), default=0))
    return f"{words} {last + sum(n <= index for n in others) + made}"


def columns_of(case: Case) -> list[str]:
    """Return the columns of a reviewed table: the promised, the software's own, the review's."""
    promised = contract().finding_columns
    more = [name for name in (case.rows[0] if case.rows else {}) if name not in promised]
    return [*promised, *more, *REVIEW_COLUMNS]


def _with_voxels(item: FindingState, case: Case) -> FindingState:
    """Return a finding that has a voxel: that of its place where nobody drew it."""
    if item.outline:
        return item
    at = np.rint(case.grid.to_index((item.x_mm, item.y_mm, item.z_mm))).astype(int)
    at = np.clip(at, 0, np.asarray(case.grid.shape) - 1)
    flat = np.array([np.ravel_multi_index(tuple(at), case.grid.shape)])
    return _remeasured(replace(item, outline=Outline(runs=runs_of(flat))), flat, case)


def _remeasured(item: FindingState, flat: npt.NDArray[Any], case: Case) -> FindingState:
    told: dict[str, Any] = dict(case.canvas.told(flat) or {})
    if item.place_changed:
        told = {name: value for name, value in told.items() if name not in PLACE}
    return replace(item, outline_changed=True, **told)


def _review_cells(item: FindingState, *, measured: bool) -> dict[str, str]:
    decision, own = item.decision, item.software if item.origin == "software" else {}
    said = []
    if decision and decision.adjudicated:
        said.append("adjudicated")
    if decision and decision.reason:
        said.append(decision.reason)
    if item.too_wide:
        said.append("wider than 10 mm: a macrobleed")
    if item.parents:
        names = ", ".join(_told(key) for key in item.parents)
        said.append(f"{'part of' if item.origin == 'split' else 'merged with'} {names}")
    if item.merged and item.origin == "software":
        added = "the sum of theirs" if measured else "not measured"
        said.append(f"moment {added}; shape not measured")
    elif item.outline_changed and item.origin == "software":
        said.append("outline corrected; moment and shape are of the software's outline")
    if item.place_changed and item.origin == "software":
        said.append("site by a reader")
    if item.disagreement:
        said.append(f"readers disagree ({item.disagreement})")
    said += [f"{note.reader}: {note.text}" for note in item.notes]
    cells = {
        "reader": decision.reader if decision else "",
        "reader_class": decision.class_ if decision else "",
        "software_class": own.get("class", ""),
        "software_counted": own.get("counted", ""),
        "review_note": "; ".join(said),
    }
    return {name: cell(value) for name, value in cells.items()}


def _told(key: str) -> str:
    """Return what a key is called where people read it."""
    return f"finding {key[1:]}" if key.startswith("s") else f"added finding {key[1:]}"


def sidecar_of(tree: OutputTree, name: ScanName) -> dict[str, Any]:
    """Return the table's sidecar: the software's, and what the review's columns mean."""
    path = kept_folder(tree.root, name) / tree.sidecar_path("findings", name).name
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    return {**known, **describe(REVIEW_COLUMNS)}
