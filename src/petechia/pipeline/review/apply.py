"""Decisions into the results: table, labels, mask, summary, report, index page, DICOM.

The software's own files are kept aside first, and every apply begins from those: applying
twice gives the same bytes, and when every decision is taken back the software's files return.
"""

import fcntl
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from petechia.errors import FileError, InUseError, PetechiaError
from petechia.files import writing
from petechia.files.output import OutputTree
from petechia.files.writing import output_error
from petechia.pipeline.dicom_export import (
    export_dicom,
    export_folder,
    is_stale,
    reference_for,
)
from petechia.pipeline.review.cases import Case, ReviewFolder
from petechia.pipeline.review.consensus import consensus
from petechia.pipeline.review.events import Event
from petechia.pipeline.review.log import FOLDER, ReviewLog, log_path
from petechia.pipeline.review.originals import header_of, keep, kept_folder, places_of, restore
from petechia.pipeline.review.page import report_data
from petechia.pipeline.review.rerun import of_another_scan
from petechia.pipeline.review.rerun import root as root_of
from petechia.pipeline.review.rounds import standing_state
from petechia.pipeline.review.state import ScanState
from petechia.pipeline.review.summary import disagreements_of, reviewed
from petechia.pipeline.review.tables import columns_of, sidecar_of, table_of
from petechia.pipeline.tree import finish_tree, ignore, sweep
from petechia.report.page import render

LOG = logging.getLogger(__name__)
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
    of_another : int
        Decisions that were made on another scan, of other images, and are not applied.
    """

    scan: str
    status: str
    message: str = ""
    counted: int = 0
    software_counted: int = 0
    undecided: int = 0
    disagreements: int = 0
    orphans: int = 0
    of_another: int = 0


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
        Of which round; left out: each scan's newest that is finished, or else its newest.
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
    nothing = FileError(
        "holds no decisions", where=str(path), mend="Review a scan first:  petechia review OUTPUT"
    )
    if not path.is_file():
        raise nothing
    outcomes = []
    with ReviewLog(path) as log, _alone(root):
        tree = OutputTree(root)
        sweep(root)
        ignore(root, FOLDER)
        if not (scans := log.scans()):
            raise nothing
        for scan in scans:
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
        outcome = _apply(folder, tree, state, dicom)
        marks = state.basis.marks
        outcome = replace(outcome, of_another=_of_another(events, marks))
        if (
            round is None
            and (newest := max(_rounds(events, reader, marks), default=0)) > state.round
        ):
            begun = f"round {newest} is begun, not finished: round {state.round} stands"
            outcome = replace(outcome, message=", ".join(filter(None, (begun, outcome.message))))
        return outcome
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

    Without a round it is the newest finished one (of that reader), or else the newest.
    """
    basis = folder.case(scan).basis
    only = None if reader is None else [reader]
    rounds = [round] if round is not None else _rounds(events, reader, basis.marks)
    return standing_state(rounds, lambda n: consensus(basis, events, round=n, only=only))


def _rounds(events: Sequence[Event], reader: str | None, marks: Sequence[str]) -> list[int]:
    """Return the rounds of the events on this scan, or else of all."""
    mine = [event for event in events if reader in (None, event.reader)]
    here = [event.round for event in mine if not of_another_scan(event, marks)]
    return here or [event.round for event in mine]


def _of_another(events: Sequence[Event], marks: Sequence[str]) -> int:
    """Return how many decisions were made on another scan, each finding once a reader."""
    there = [event for event in events if of_another_scan(event, marks)]
    return len({(e.fingerprint, root_of(e.finding), e.reader, e.round) for e in there})


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
        disagreements=len(disagreements_of(state)),
        orphans=sum(not orphan.other_scan for orphan in state.orphans),
    )
    kept = kept_folder(tree.root, case.name)
    if is_untouched(state):
        if not kept.is_dir():
            return replace(told, status="untouched")
        restore(tree, case.name)
    else:
        keep(tree, case)
        told = replace(told, counted=_write(folder, tree, case, state))
    told = replace(told, status="restored" if is_untouched(state) else "applied")
    if dicom is not None:
        export_dicom(tree, case.name, reference_for(tree, case.name, dicom))
    elif export_folder(tree.root, case.name).is_dir() and is_stale(tree, case.name) is not False:
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


def _write(folder: ReviewFolder, tree: OutputTree, case: Case, state: ScanState) -> int:
    """Write the results of a scan as its readers left it; return how many are counted."""
    name, places = case.name, places_of(tree, case.name)
    table = table_of(case, state)
    summary = reviewed(case, state, table)
    page = render(report_data(folder, tree, case, summary, table))
    header = header_of(kept_folder(tree.root, name) / places["findings"].name)
    counted = [int(row["index"]) for row in table.rows if row["counted"] == "1"]
    columns = columns_of(case)
    writing.write_nifti(places["findings"], table.labels, case.grid, header)
    tree.write_table("findings", name, table.rows, columns)
    writing.write_json(places["sidecar"], sidecar_of(tree, name))
    writing.write_nifti(places["microbleeds"], np.isin(table.labels, counted), case.grid, header)
    tree.write_text("report", name, page)
    tree.write_json("summary", name, summary)
    return len(counted)


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
