"""Results that stand already: whether they are of the same scan, settings and version."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from petechia.errors import FileError, InputError
from petechia.files.nifti import sha256_of
from petechia.files.output import OutputTree
from petechia.files.scan import Scan, ScanName, ScanRef


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
