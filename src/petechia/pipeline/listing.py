"""The scans of an output folder: their order, which finished and which failed."""

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from petechia.files.contract import contract, ending

EXPORT = "dicom"
"""The stage that comes after a scan's results are whole: a fault of it leaves them so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How one scan stands.

    A run that fails leaves a crash file, and the next one that does not removes it: a scan that
    has one failed, whatever an earlier run left of it. But where only the export of the results
    to DICOM failed, the results are those of that very run.

    Attributes
    ----------
    scan : str
        Prefix.
    failed : bool
        Its last run failed.
    told_in : Path
        Its summary, or the crash file of the run that failed.
    says : str
        Why its results were not exported; "" when nothing went wrong.
    """

    scan: str
    failed: bool
    told_in: Path
    says: str = ""


def standing_of(
    root: Path, onerror: Callable[[OSError], None] = lambda _: None
) -> dict[str, Standing]:
    """Return every scan of an output folder by its prefix, in natural order.

    Parameters
    ----------
    root : Path
        OUTPUT of `petechia run`.
    onerror : callable
        Called with the error of a folder that cannot be listed, whose scans are then missing.

    Notes
    -----
    Plain listing of the folders where scans can lie: 10,000 take a second.
    """
    agreed = contract()
    summary, crash = (ending(agreed.file(key).name) for key in ("summary", "crash"))
    logs = root / Path(agreed.file("crash").name.removeprefix("OUTPUT/")).parent
    summaries = {
        entry.name.removesuffix(summary): Path(entry.path)
        for folder in _folders(root, onerror)
        for entry in _inside(folder, onerror)
        if entry.name.endswith(summary)
    }
    crashes = {
        entry.name.removesuffix(crash): Path(entry.path)
        for entry in _inside(logs, onerror)
        if entry.name.endswith(crash)
    }
    return {
        scan: standing(scan, summaries.get(scan), crashes.get(scan))
        for scan in sorted(summaries | crashes, key=natural)
    }


def standing(scan: str, summary: Path | None, crash: Path | None) -> Standing:
    """Return how a scan stands by its summary and crash file; None: it has none, not both."""
    if crash is None or (summary is not None and not_exported(crash)):
        assert summary is not None
        says = "" if crash is None else f"Its export to DICOM failed: {crash_says(crash)}"
        return Standing(scan=scan, failed=False, told_in=summary, says=says)
    return Standing(scan=scan, failed=True, told_in=crash)


def not_exported(crash: Path) -> bool:
    """Return whether only the export failed, by a crash file."""
    return _crash(crash).get("stage") == EXPORT


def crash_says(path: Path) -> str:
    """Return why a run failed, by its crash file."""
    message = _crash(path).get("message")
    return message if isinstance(message, str) else "its run failed"


def _crash(path: Path) -> dict[str, object]:
    try:
        told = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _folders(root: Path, onerror: Callable[[OSError], None]) -> Iterator[str]:
    """Yield the folders `anat` of every person and session, there or not."""
    for subject in _inside(root, onerror):
        if subject.name.startswith("sub-") and subject.is_dir():
            sessions = (e for e in _inside(subject, onerror) if e.name.startswith("ses-"))
            yield from (f"{level.path}/anat" for level in (subject, *sessions))


def _inside(
    folder: str | os.PathLike[str], onerror: Callable[[OSError], None]
) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        onerror(error)
        return []


def natural(text: str) -> tuple[list[str | int], str]:
    """Return the key that sorts labels and prefixes as people do: `m6` before `m12`.

    Numbers go before words. The text itself ends the key: `ses-1` and `ses-01` are two.
    """
    parts = re.split(r"(\d+)", text)
    return [int(part) if n % 2 else part for n, part in enumerate(parts)], text
