"""Decisions into the results: table, labels, mask, summary, report, index page, DICOM.

The software's own files are kept aside first, and every apply begins from those: applying
twice gives the same bytes, and when every decision is taken back the software's files return.
"""

import fcntl
import hashlib
import json
import logging
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from petechia import __version__
from petechia.errors import FileError, InUseError, PetechiaError
from petechia.files import writing
from petechia.files.columns import describe
from petechia.files.contract import contract
from petechia.files.finished import read_rows, read_summary, read_volume
from petechia.files.output import OutputTree
from petechia.files.scan import ScanName
from petechia.files.writing import cell, output_error
from petechia.lesions.criteria import count_interval
from petechia.pipeline.dicom_export import export_dicom, export_folder, reference_for
from petechia.pipeline.review.cases import Case, ReviewFolder
from petechia.pipeline.review.consensus import consensus
from petechia.pipeline.review.events import Event, as_text
from petechia.pipeline.review.images import decayed, echoes_of
from petechia.pipeline.review.log import FOLDER, ReviewLog, log_path
from petechia.pipeline.review.outline import Canvas, measured, runs_of
from petechia.pipeline.review.queue import SOFTWARE
from petechia.pipeline.review.state import FindingState, Outline, ScanState, basis_of
from petechia.pipeline.review.told import findings_of, forms_of, orphan_json, summary_of, table_row
from petechia.pipeline.tree import finish_tree, ignore
from petechia.report.data import ReportData
from petechia.report.page import render

LOG = logging.getLogger(__name__)
REVIEW_COLUMNS = ("reader", "reader_class", "software_class", "software_counted", "review_note")
"""Columns that an applied review adds to the table."""
KEPT = ("findings", "microbleeds", "report", "table", "sidecar", "summary")
"""What is kept of the software, the summary last."""
LINKED = ("findings", "microbleeds", "report")
"""Large files are kept as second names of themselves where the disk can: results are never
written in place."""
LOCK = "apply.lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyOutcome:
    """How applying ended for one scan.

    Attributes
    ----------
    scan : str
    status : str
        'applied'; 'restored': nothing is decided any more, and the software's own files are
        back; 'untouched': nobody has decided anything; 'failed'.
    message : str
        Why it failed, or a remark.
    counted, software_counted : int
        Microbleeds after and before.
    undecided : int
        Findings that nobody has decided on.
    disagreements : int
        What readers do not agree on.
    orphans : int
        Decisions whose finding this run does not have.
    """

    scan: str
    status: str
    message: str = ""
    counted: int = 0
    software_counted: int = 0
    undecided: int = 0
    disagreements: int = 0
    orphans: int = 0


def apply_review(
    root: Path,
    *,
    reader: str | None = None,
    round: int | None = None,
    images: Path | None = None,
    dicom: Path | None = None,
    tell: Callable[[ApplyOutcome], None] = lambda _: None,
) -> list[ApplyOutcome]:
    """Put the decisions of the log into the results of every scan that has some.

    Parameters
    ----------
    root : Path
        Output folder of `petechia run`.
    reader : str, optional
        Whose decisions; left out: what all readers say together (`consensus`).
    round : int, optional
        Of which round; left out: each scan's newest.
    images : Path, optional
        Input of the run: the report shows its magnitude again.
    dicom : Path, optional
        Folder of the source images: the DICOM objects are made again too.
    tell : callable
        Told the outcome of each scan.

    Returns
    -------
    list of ApplyOutcome
        A scan that fails leaves the others, and its own files as they were.

    Raises
    ------
    FileError
        `root` is no output folder, its log cannot be read, or another apply is at work.
    """
    folder = ReviewFolder(root, images)
    path = log_path(root)
    if not path.is_file():
        raise FileError(
            "holds no decisions",
            where=str(path),
            mend="Review a scan first:  petechia review OUTPUT",
        )
    outcomes = []
    with ReviewLog(path) as log, _alone(root):
        tree = OutputTree(root)
        ignore(root, FOLDER)
        for scan in log.scans():
            outcome = _outcome(folder, tree, log.events(scan), scan, reader, round, dicom)
            LOG.info("%s: %s %s", scan, outcome.status, outcome.message)
            tell(outcome)
            outcomes.append(outcome)
        finish_tree(root)
    return outcomes


def _outcome(
    folder: ReviewFolder,
    tree: OutputTree,
    events: Sequence[Event],
    scan: str,
    reader: str | None,
    round: int | None,
    dicom: Path | None,
) -> ApplyOutcome:
    try:
        if folder.find(scan) is None:
            raise FileError(
                "has decisions, but no results in this folder",
                where=scan,
                mend="Run it again; its decisions are kept.",
            )
        state = state_of(folder, events, scan, reader, round)
        return _apply(folder, tree, state, dicom)
    except PetechiaError as error:
        return ApplyOutcome(scan=scan, status="failed", message=writing.without_places(str(error)))
    except OSError as error:
        told = output_error(error, Path(str(error.filename or scan)))
        return ApplyOutcome(scan=scan, status="failed", message=writing.without_places(str(told)))


def state_of(
    folder: ReviewFolder,
    events: Sequence[Event],
    scan: str,
    reader: str | None = None,
    round: int | None = None,
) -> ScanState:
    """Return a scan as its readers leave it together, or as one of them does, measured.

    Without a round it is the newest that has events (of that reader).
    """
    case = folder.case(scan)
    canvas = Canvas(case.labels, case.grid)
    basis = basis_of(case.summary, case.rows, canvas.measure)
    rounds = [e.round for e in events if reader is None or e.reader == reader]
    number = round if round is not None else max(rounds, default=1)
    only = None if reader is None else [reader]
    return consensus(basis, events, round=number, only=only)


def _apply(
    folder: ReviewFolder, tree: OutputTree, state: ScanState, dicom: Path | None
) -> ApplyOutcome:
    case = folder.case(state.scan)
    told = ApplyOutcome(
        scan=state.scan,
        status="applied",
        counted=state.counted,
        software_counted=sum(row["counted"] == "1" for row in case.rows),
        undecided=state.n_undecided,
        disagreements=len(_disagreements(state)),
        orphans=len(state.orphans),
    )
    kept = kept_folder(tree.root, case.name)
    if is_untouched(state):
        if not kept.is_dir():
            return replace(told, status="untouched")
        _restore(tree, case.name)
    else:
        _keep(tree, case)
        _write(folder, tree, case, state)
    told = replace(told, status="restored" if is_untouched(state) else "applied")
    if dicom is not None:
        export_dicom(tree, case.name, reference_for(tree, case.name, dicom))
    elif export_folder(tree.root, case.name).is_dir():
        told = replace(
            told,
            message="its DICOM objects are of before: give --dicom FOLDER to make them again",
        )
    return told


def is_untouched(state: ScanState) -> bool:
    """Return whether everything is as the software left it."""
    changed = any(
        item.decided or item.origin != "software" or item.outline_changed or item.notes
        or item.place_changed or item.parents or item.disagreement
        for item in state.findings
    )  # fmt: skip
    said = state.gone or state.overrides or state.siderosis or state.notes or state.disagreements
    return not (changed or said or state.finished)


# --- the software's own files -----------------------------------------------------------------


def kept_folder(root: Path, name: ScanName) -> Path:
    """Return where the software's own files of a scan are kept."""
    return Path(root) / FOLDER / SOFTWARE / name.prefix


def _places(tree: OutputTree, name: ScanName) -> dict[str, Path]:
    keys = ("findings", "microbleeds", "report", "summary")
    places = {key: tree.path(key, name) for key in keys}
    places["table"] = tree.table_path("findings", name)
    places["sidecar"] = tree.sidecar_path("findings", name)
    return {key: places[key] for key in KEPT}


def _keep(tree: OutputTree, case: Case) -> None:
    """Keep the software's own files aside, unless those of these results are there already.

    The folder appears whole or not at all. Results that are there already are told by their
    fingerprint, never by what the present files hold: those may be half applied.
    """
    kept, places = kept_folder(tree.root, case.name), _places(tree, case.name)
    summary = kept / places["summary"].name
    if summary.is_file() and read_summary(summary)["fingerprint"] == case.fingerprint:
        return
    part = kept.with_name(f".{uuid.uuid4().hex}.part")
    try:
        part.mkdir(parents=True)
        for key, path in places.items():
            if path.exists():
                _copy(path, part / path.name, link=key in LINKED)
        if kept.exists():  # of an earlier run
            shutil.rmtree(kept)
        part.replace(kept)
    except OSError as error:
        raise output_error(error, kept) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _restore(tree: OutputTree, name: ScanName) -> None:
    kept = kept_folder(tree.root, name)
    for key, path in _places(tree, name).items():
        source = kept / path.name
        if not source.exists():
            continue
        part = path.parent / f".{uuid.uuid4().hex}.part"
        try:
            _copy(source, part, link=key in LINKED)
            part.replace(path)
        except OSError as error:
            raise output_error(error, path) from error
        finally:
            with suppress(OSError):  # two names of one file: nothing was renamed
                part.unlink(missing_ok=True)


def _copy(source: Path, target: Path, *, link: bool) -> None:
    if link:
        try:
            os.link(source, target)
        except OSError:
            pass  # a disk without links
        else:
            return
    shutil.copyfile(source, target)


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Hold the folder against another apply; the lock goes with the process."""
    path = Path(root) / FOLDER / LOCK
    try:
        stream = path.open("a+b")
    except OSError as error:
        raise output_error(error, path) from error
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InUseError(
                "decisions are being applied to this folder already",
                where=str(root),
                mend="Wait for it to end, and apply again.",
            ) from None
        yield


# --- the new files ----------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class _Table:
    """Rows, labels, and the findings behind the rows."""

    rows: list[dict[str, str]] = field(default_factory=list)
    labels: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    items: list[FindingState] = field(default_factory=list)
    without: list[str] = field(default_factory=list)


def _write(folder: ReviewFolder, tree: OutputTree, case: Case, state: ScanState) -> None:
    name, places = case.name, _places(tree, case.name)
    table = _table(case, state)
    summary = _summary(case, state, table)
    data = ReportData(
        prefix=state.scan,
        summary=summary,
        findings=table.rows,
        labels=table.labels,
        volumes=_volumes(folder, tree, case),
        grid=case.grid,
        methods=(case.summary.get("report") or {}).get("methods") or (),
        says=tuple((case.summary.get("report") or {}).get("says") or ()),
        language=(case.summary.get("report") or {}).get("language") or "en",
        region_table=_region_table(case),
    )
    page = render(data)
    header = _header(kept_folder(tree.root, name) / places["findings"].name)
    counted = [int(row["index"]) for row in table.rows if row["counted"] == "1"]
    columns = _columns(case)
    writing.write_nifti(places["findings"], table.labels, case.grid, header)
    tree.write_table("findings", name, table.rows, columns)
    writing.write_json(places["sidecar"], _sidecar(tree, name))
    writing.write_nifti(places["microbleeds"], np.isin(table.labels, counted), case.grid, header)
    tree.write_text("report", name, page)
    tree.write_json("summary", name, summary)


def applied(
    case: Case, state: ScanState
) -> tuple[list[dict[str, str]], npt.NDArray[np.int32], list[str]]:
    """Return table, label image (I, J, K) and columns of a scan as a state has them."""
    table = _table(case, state)
    return table.rows, table.labels, _columns(case)


def review_summary(case: Case, state: ScanState) -> dict[str, Any]:
    """Return the summary of a scan as a state has it."""
    return _summary(case, state, _table(case, state))


def kept_geometry(folder: ReviewFolder, case: Case) -> Any:
    """Return the header of the software's label image."""
    name = case.path("findings").name
    kept = kept_folder(folder.root, case.name) / name
    return _header(kept if kept.is_file() else case.path("findings"))


def _columns(case: Case) -> list[str]:
    promised = contract().finding_columns
    more = [name for name in (case.rows[0] if case.rows else {}) if name not in promised]
    return [*promised, *more, *REVIEW_COLUMNS]


def _table(case: Case, state: ScanState) -> _Table:
    """Return the table: the software's indices stay, what readers made follows."""
    canvas = Canvas(case.labels, case.grid)
    items = [_with_voxels(item, case) for item in state.findings]
    painted, left = canvas.paint([item.outline for item in items])
    free = max((int(row["index"]) for row in case.rows), default=0)
    numbers = np.zeros(len(items) + 1, dtype=np.int32)
    out = _Table()
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
        out.rows.append(table_row(item, index) | _review_cells(item))
        out.items.append(item)
    out.labels = numbers[painted]
    return out


def _with_voxels(item: FindingState, case: Case) -> FindingState:
    """Return a finding that has a voxel: that of its place where nobody drew it."""
    if item.outline:
        return item
    at = np.rint(case.grid.to_index((item.x_mm, item.y_mm, item.z_mm))).astype(int)
    at = np.clip(at, 0, np.asarray(case.grid.shape) - 1)
    flat = np.array([np.ravel_multi_index(tuple(at), case.grid.shape)])
    return _remeasured(replace(item, outline=Outline(runs=runs_of(flat))), flat, case)


def _remeasured(item: FindingState, flat: npt.NDArray[Any], case: Case) -> FindingState:
    sizes: dict[str, Any] = measured(flat, case.grid) or {}
    return replace(item, outline_changed=True, **sizes)


def _review_cells(item: FindingState) -> dict[str, str]:
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
    if item.outline_changed and item.origin == "software":
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


def _sidecar(tree: OutputTree, name: ScanName) -> dict[str, Any]:
    path = kept_folder(tree.root, name) / tree.sidecar_path("findings", name).name
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    return {**known, **describe(REVIEW_COLUMNS)}


def _header(path: Path) -> Any:
    """Return the header whose geometry the new images take over bit by bit."""
    try:
        return nib.load(path).header
    except (OSError, nib.filebasedimages.ImageFileError) as error:
        raise FileError(
            f"cannot be read ({type(error).__name__})", where=path.name, mend="Run the scan again."
        ) from error


# --- the summary ------------------------------------------------------------------------------


def _summary(case: Case, state: ScanState, table: _Table) -> dict[str, Any]:
    drawn = replace(state, findings=tuple(table.items))
    counted = summary_of(drawn)
    counted["count_interval_95"] = _interval(drawn)
    if not state.basis.assessable:
        counted |= {"category": "not_assessable", "count_interval_95": None}
    out = dict(case.summary) | counted
    return out | {"review": _review(case, drawn, table, counted["criteria"])}


def _interval(state: ScanState) -> list[int] | None:
    """Return the interval of the count: what was decided is certain.

    None when a reader has decided on all that was asked: a reader's count has no interval
    of its own. While something is undecided it is the interval that remains.
    """
    if not state.n_undecided:
        return None
    certain = {False: 0.0, True: 1.0}
    chances = [
        certain[item.counted] if item.decided else round(finding.probability, 3)
        for item, finding in zip(state.findings, findings_of(state), strict=True)
    ]
    return list(count_interval(chances))


def _review(
    case: Case, state: ScanState, table: _Table, criteria: Mapping[str, Any]
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
        "without_voxels": table.without,
        "disagreements": _disagreements(state),
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
        "changes": _changes(case, state, table),
        "orphaned": [orphan_json(orphan) for orphan in state.orphans],
        "software": {
            "version": case.summary.get("version"),
            "counted": (case.summary.get("counts") or {}).get("total"),
            "category": case.summary.get("category"),
            "count_interval_95": case.summary.get("count_interval_95"),
        },
        "applied_by": __version__,
        "interval_says": "A reader's count has no interval; while findings are undecided it is "
        "the interval of those, with the software's probabilities.",
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


def _disagreements(state: ScanState) -> list[str]:
    found = [
        f"{item.software.get('name', item.key)}: {item.disagreement}"
        for item in state.findings
        if item.disagreement
    ]
    return [*found, *state.disagreements]


def _changes(case: Case, state: ScanState, table: _Table) -> list[dict[str, Any]]:
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
            reason = "split" if f"s{lost['index']}" in split else "merged with another"
            told = {"index": None, "name": lost["name"], "before": before, "after": None}
            out.append(told | {"reason": reason})
    return out


# --- the report -------------------------------------------------------------------------------


def _volumes(folder: ReviewFolder, tree: OutputTree, case: Case) -> dict[str, Any]:
    """Return what the report shows, from the output and, where they are at hand, the images."""
    keys = ("swi", "mip", "chi", "r2star", "local_field", "brain_mask", "regions")
    found: dict[str, Any] = {}
    for key in keys:
        path = tree.path(key, case.name)
        if not path.is_file():
            continue
        volume, grid = read_volume(path)
        if grid.shape == case.grid.shape:
            found[key] = volume > 0 if key == "brain_mask" else volume
    magnitude = _magnitude(folder, case)
    return found | ({} if magnitude is None else {"magnitude": magnitude})


def _magnitude(folder: ReviewFolder, case: Case) -> npt.NDArray[Any] | None:
    """Return the echo that dark spots are read at; computed from S0 and R2* without images."""
    ref = folder.input(case.scan)
    if ref is not None:
        with suppress(PetechiaError):
            echoes = list(echoes_of(ref, case).values())
            times = np.asarray(case.summary["protocol"]["te_s"])
            return echoes[int(np.abs(times - float(case.summary["reading_te_s"])).argmin())]
    if case.path("s0").is_file() and case.path("r2star").is_file():
        return decayed(case)
    return None


def _region_table(case: Case) -> list[dict[str, Any]]:
    path = case.path("regions")
    table = path.with_name(path.name.replace(".nii.gz", ".tsv"))
    if not path.is_file() or not table.is_file():
        return []
    return [{**row, "index": int(row["index"])} for row in read_rows(table)]
