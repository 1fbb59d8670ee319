"""Results that stand already: whether they are of the same scan, settings and version."""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from petechia.errors import FileError, InputError, PetechiaError
from petechia.files.nifti import sha256_of
from petechia.files.output import OutputTree
from petechia.files.scan import Scan, ScanName, ScanRef
from petechia.pipeline.review.log import ReviewLog, log_path

LOG = logging.getLogger(__name__)


def named_hashes(scan: Scan) -> list[str]:
    """Return the hash of every image with its name: two that change places are another scan."""
    return [f"{Path(source.path).name} {source.sha256}" for source in scan.sources]


PART = "of single steps"
"""Marks a summary whose other files no whole run has made."""


def mark_of_steps(mark: str, tree: OutputTree, name: ScanName, *, force: bool) -> str:
    """Return the fingerprint of single steps; refuse to mix them with other results.

    That of the whole run where one stands that made the very same; else one of its own, so
    that a whole run does not take their summary for a finished one.

    Raises
    ------
    InputError
        If results of other input, settings or version stand there, unless `force`.
    """
    part = hashlib.sha256(f"{mark} {PART}".encode()).hexdigest()
    try:
        then = json.loads(tree.path("summary", name).read_text(encoding="utf-8"))["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError):
        return part
    if force:
        return part
    if then not in (mark, part):
        raise InputError(
            "--steps would mix with results of other input, settings or version",
            where=tree.path("summary", name).name,
            mend="Name another output folder; or add --force, after which a whole run makes all "
            "results anew.",
        )
    return str(then)


class OtherScanError(InputError):
    """Results of another scan stand where those of this one would be written."""


def image_sha256(scan: Scan) -> str:
    """Return the hash of the first magnitude's voxels: files that are exported anew keep it."""
    voxels = np.ascontiguousarray(scan.echoes.magnitude[0], dtype="<f4")
    return hashlib.sha256(voxels.tobytes()).hexdigest()


MOST_MARKS = 8
MARK_LETTERS = 16


def marks_of(summary: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what an input is known by; () when its summary tells nothing.

    The beginnings of the hash of its first magnitude's voxels and of the least hashes of its
    files: two inputs that hold files in common share a mark, but for a few among very many.
    """
    hashes = sorted(_hashes(summary))[:MOST_MARKS]
    image = str(summary.get("image_sha256") or "")
    return tuple(one[:MARK_LETTERS] for one in (image, *hashes) if one)


def require_same_scan(scan: Scan, image: str, tree: OutputTree, name: ScanName) -> None:
    """Refuse to write over the results of a scan that has no file or image in common with this.

    Those that readers have decided on stay in any case. Those that nobody has looked at stay
    where a scan has no name of its own: DICOM and loose files of everybody are `sub-01`. In a
    BIDS dataset the name is the person's, and files that were converted anew replace the old.

    Parameters
    ----------
    scan : Scan
        To be analysed.
    image : str
        Its `image_sha256`.
    tree, name
        Where results may stand.

    Raises
    ------
    OtherScanError
        Results of another scan stand there.
    """
    try:
        then = json.loads(tree.path("summary", name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    known = _hashes(then) if isinstance(then, dict) else set()
    if not known or known & {source.sha256 for source in scan.sources}:
        return
    if then.get("image_sha256") == image:
        return
    decided = "review" in then or _has_decisions(tree.root, name)
    if not decided and (scan.kind == "BIDS" or "image_sha256" not in then):
        LOG.warning("write: replaces results that were made of none of these files")
        return
    which = "reviewed results" if decided else "results"
    raise OtherScanError(
        f"{which} of another scan stand there: none of its files, nor its first image, is in "
        "this one",
        where=tree.path("summary", name).name,
        mend="Give --subject another name, or name another OUTPUT; or, if it is the same exam "
        "and its files were really replaced, add --force.",
    )


def _hashes(summary: Mapping[str, Any]) -> set[str]:
    told = summary.get("input_sha256")
    return {str(one) for one in told.values()} if isinstance(told, dict) else set()


def _has_decisions(root: Path, name: ScanName) -> bool:
    """Return whether readers have decided on a scan; a log that cannot be read may say so."""
    path = log_path(root)
    if not path.is_file():
        return False
    try:
        with ReviewLog(path) as log:
            return bool(log.events(name.prefix))
    except PetechiaError:
        return True


def finished(
    ref: ScanRef, tree: OutputTree, marked: Callable[[Sequence[str]], str]
) -> dict[str, Any] | None:
    """Return the summary of an earlier run of the same bytes, facts, settings and version.

    `marked` makes the fingerprint of hashes. Images that lie where `ref` says are hashed, not
    read.
    """
    try:
        summary = json.loads(tree.path("summary", ref.name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(summary, dict) or not tree.path("report", ref.name).exists():
        return None
    try:
        then = list(summary["input_sha256"].values())
        whole = summary["counts"]["total"] >= 0 and isinstance(summary["not_assessable"], list)
    except (KeyError, TypeError, AttributeError):
        return None
    if not whole:
        return None
    try:
        hashes = [sha256_of(Path(path)) for path in ref.paths]
    except (OSError, FileError):  # DICOM and archives: names relative to the input
        hashes = []
    now = [f"{Path(path).name} {one}" for path, one in zip(ref.paths, hashes, strict=False)]
    if set(hashes) != set(then):  # changed files, or names that only reading can find
        now = named_hashes(ref.load())
    return summary if summary.get("fingerprint") == marked(now) else None
