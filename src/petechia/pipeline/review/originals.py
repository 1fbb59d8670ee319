"""The software's own files of a reviewed scan, kept aside and put back."""

import os
import shutil
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

import nibabel as nib

from petechia.errors import FileError
from petechia.files.finished import read_summary
from petechia.files.output import OutputTree
from petechia.files.scan import ScanName
from petechia.files.writing import output_error
from petechia.pipeline.review.cases import Case
from petechia.pipeline.review.log import FOLDER
from petechia.pipeline.review.queue import SOFTWARE

KEPT = ("findings", "microbleeds", "report", "table", "sidecar", "summary")
"""What is kept of the software, the summary last."""
LINKED = ("findings", "microbleeds", "report")
"""Large files are kept as second names of themselves where the disk can: results are never
written in place."""


def kept_folder(root: Path, name: ScanName) -> Path:
    """Return where the software's own files of a scan are kept."""
    return Path(root) / FOLDER / SOFTWARE / name.prefix


def places_of(tree: OutputTree, name: ScanName) -> dict[str, Path]:
    """Return the files that are kept, the summary last."""
    keys = ("findings", "microbleeds", "report", "summary")
    places = {key: tree.path(key, name) for key in keys}
    places["table"] = tree.table_path("findings", name)
    places["sidecar"] = tree.sidecar_path("findings", name)
    return {key: places[key] for key in KEPT}


def keep(tree: OutputTree, case: Case) -> None:
    """Keep the software's own files aside, unless those of these results are there already.

    The folder appears whole or not at all. Results that are there already are told by their
    fingerprint, never by what the present files hold: those may be half applied.
    """
    kept, places = kept_folder(tree.root, case.name), places_of(tree, case.name)
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


def restore(tree: OutputTree, name: ScanName) -> None:
    """Put the software's own files back."""
    kept = kept_folder(tree.root, name)
    for key, path in places_of(tree, name).items():
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


def header_of(path: Path) -> Any:
    """Return the header whose geometry the new images take over bit by bit."""
    try:
        return nib.load(path).header
    except (OSError, nib.filebasedimages.ImageFileError) as error:
        raise FileError(
            f"cannot be read ({type(error).__name__})", where=path.name, mend="Run the scan again."
        ) from error
