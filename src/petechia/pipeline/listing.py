"""The scans of an output folder: their order, which finished and which failed."""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from petechia.files.contract import contract, ending


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How one scan stands.

    A run that fails leaves a crash file, and the next one that does not removes it: a scan that
    has one failed, whatever an earlier run left of it.

    Attributes
    ----------
    scan : str
        Prefix.
    failed : bool
        Its last run failed.
    told_in : Path
        Its summary, or the crash file of the run that failed.
    """

    scan: str
    failed: bool
    told_in: Path


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
    told_in = summaries | crashes
    return {
        scan: Standing(scan=scan, failed=scan in crashes, told_in=told_in[scan])
        for scan in sorted(told_in, key=natural)
    }


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
