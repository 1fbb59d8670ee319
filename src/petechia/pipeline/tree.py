"""The output folder as a whole: its description, its index page, who writes a scan in it."""

import fcntl
import json
import logging
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from petechia.errors import InUseError
from petechia.files.contract import follow_path
from petechia.files.dicom.results.write import FOLDER
from petechia.files.output import DATASET_NAME, OutputTree
from petechia.files.scan import ScanName
from petechia.files.writing import output_error, write_text
from petechia.pipeline.dicom_export import stale_exports
from petechia.pipeline.listing import standing_of
from petechia.pipeline.results import INTERMEDIATE
from petechia.report.data import IndexRow
from petechia.report.index import render_index

LOG = logging.getLogger(__name__)


def prepare_tree(
    root: Path, dataset: Path | None, *, intermediates: bool = False, dicom: bool = False
) -> None:
    """Make the output folder and what describes it.

    Parameters
    ----------
    root : Path
        The output folder.
    dataset : Path or None
        The raw BIDS dataset that is read, if it is one.
    intermediates : bool
        True when images that BIDS has no names for are going to be written too.
    dicom : bool
        True when results are going to be written as DICOM too.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    ignore = (*([INTERMEDIATE] if intermediates else []), *([FOLDER] if dicom else []))
    OutputTree(root).write_dataset_description(dataset, ignore)
    sweep(root)


def ignore_dicom(root: Path) -> None:
    """Add the folder of DICOM objects to .bidsignore of an output folder that is there."""
    ignore(root, FOLDER)


def ignore(root: Path, line: str) -> None:
    """Add a line to .bidsignore of an output folder that is there."""
    path = root / ".bidsignore"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    if line not in lines:
        write_text(path, "\n".join([*lines, line]) + "\n")


HELD_S = 60.0
"""How long to wait for another run that is writing the same scan [s]."""


@contextmanager
def alone(tree: OutputTree, name: ScanName) -> Iterator[None]:
    """Hold the results of a scan against other runs; the lock goes with the process."""
    path = tree.path("log", name).with_name(f".{name.prefix}.lock")
    try:
        stream = path.open("ab")
    except OSError as error:
        raise output_error(error, path) from error
    with stream:
        until_s = time.monotonic() + HELD_S
        while not _taken(stream):
            if time.monotonic() > until_s:
                raise InUseError(
                    "another run is writing the results of this scan",
                    where=name.prefix,
                    mend="Wait for it to end and run again, or name another OUTPUT.",
                )
            time.sleep(0.2)
        yield


def _taken(stream: BinaryIO) -> bool:
    """Take a lock, if nobody has it."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        LOG.warning("write: this disk knows no locks (%s): no two runs at once", error.strerror)
    return True


def is_output(root: Path) -> bool:
    """Return whether a folder says that it is an output folder of ours."""
    try:
        text = (root / "dataset_description.json").read_text(encoding="utf-8")
        return bool(json.loads(text).get("Name") == DATASET_NAME)
    except (OSError, ValueError, AttributeError):
        return False


def ignore_written(paths: Iterable[Path]) -> None:
    """Add files that BIDS does not know to .bidsignore of the output folder that they lie in.

    By their own names in the folder itself or among the results of a person, else by the name
    of the folder in it.
    """
    for path in paths:
        place = path.resolve()
        root = next((above for above in place.parents if is_output(above)), None)
        if root is not None:
            inside = place.relative_to(root)
            of_a_person = inside.parts[0].startswith("sub-")
            ignore(root, inside.as_posix() if of_a_person else inside.parts[0])


STALE_DICOM = "Its DICOM objects are of earlier results."


def finish_tree(root: Path) -> None:
    """Write the index page of all scans in the folder, of this run and of earlier ones."""
    rows = {}
    stale = {folder.name for folder in stale_exports(root)}
    for scan, stands in standing_of(root).items():
        row = _row(stands.told_in, _failed if stands.failed else _done, scan)
        if not stands.failed:
            of_before = STALE_DICOM if row.prefix in stale else ""
            message = " ".join(filter(None, (row.message, stands.says, of_before)))
            row = replace(row, follow=_follow_up(root, row.prefix), message=message)
        rows[row.prefix] = row
    if rows:
        OutputTree(root).write_text("index", None, render_index(list(rows.values())))


def _follow_up(root: Path, prefix: str) -> str:
    """Return the name of the follow-up page of a scan's person; "" when there is none."""
    page = follow_path(root, "page", prefix.partition("_")[0])
    return page.name if page.is_file() else ""


STALE_S = 3600.0
"""A half-written file that nobody has touched for so long belongs to a run that was killed."""


def sweep(root: Path) -> None:
    """Remove what was half-written when it was killed; it never had a final name."""
    now = time.time()
    for path in list(root.rglob(".*.part")):
        with suppress(OSError):
            if now - path.stat().st_mtime > STALE_S:
                (shutil.rmtree if path.is_dir() else Path.unlink)(path)


def _row(path: Path, read: Callable[[dict[str, Any]], IndexRow], prefix: str) -> IndexRow:
    """Return the row of one file; a broken file costs its own row only."""
    try:
        return read(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        message = f"{path.name} cannot be read: run this scan again."
        return IndexRow(prefix=prefix, status="failed", message=message)


def _failed(crash: dict[str, Any]) -> IndexRow:
    return IndexRow(prefix=crash["scan"], status="failed", message=crash["message"])


def _done(summary: dict[str, Any]) -> IndexRow:
    prefix = summary["source"]["name"]
    return IndexRow(
        prefix=prefix,
        status="done",
        message=" ".join([*summary["not_assessable"][: _refused(summary)], *_reviewed(summary)]),
        counts=summary["counts"],
        category=summary["category"],
        count_bin=summary["count_bin"] or "",
        link=f"{prefix}.html",
    )


def _reviewed(summary: dict[str, Any]) -> list[str]:
    review = summary.get("review") or {}
    readers = ", ".join(review.get("readers") or ())
    left = f", {review['undecided']} undecided" if review.get("undecided") else ""
    return [f"Reviewed by {readers}{left}."] if readers else []


def _refused(summary: dict[str, Any]) -> bool:
    return bool(summary["category"] == "not_assessable")
