"""The scans of an output folder, quickly: what each summary and table says, kept by file times."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from petechia.errors import FileError
from petechia.files.contract import contract, place
from petechia.files.finished import read_summary
from petechia.files.scan import ScanName
from petechia.files.writing import write_text
from petechia.pipeline.review.state import ASKED_FROM

SUMMARY = "_desc-petechia_summary.json"
CRASH = "_crash.json"
CACHE = "index.json"
CACHE_VERSION = 1
_SCAN = re.compile(r"sub-[A-Za-z0-9+]+(?:_[a-z]+-[A-Za-z0-9+]+)*")
Stamp = tuple[int, ...]
"""Times and sizes of the files that were read [ns, bytes]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One scan as the queue shows it.

    Attributes
    ----------
    scan : str
        Prefix.
    fingerprint : str
        Of the summary.
    n_findings, n_asked, counted : int
        Rows of the table, those that need a decision, those that are counted.
    category : str
        As in the summary.
    problem : str
        Why it cannot be read; "" when it can.
    """

    scan: str
    fingerprint: str = ""
    n_findings: int = 0
    n_asked: int = 0
    counted: int = 0
    category: str = ""
    problem: str = ""

    @property
    def name(self) -> ScanName:
        """Its BIDS entities."""
        return scan_name(self.scan)

    @property
    def subject(self) -> str:
        """Label of the participant."""
        return self.name.get("sub") or ""

    @property
    def session(self) -> str:
        """Label of the session; "" when there is none."""
        return self.name.get("ses") or ""


def scan_name(prefix: str) -> ScanName:
    """Return the entities of a prefix."""
    parts = (entity.partition("-") for entity in prefix.split("_"))
    return ScanName(tuple((key, value) for key, _, value in parts))


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return a key by which `ses-2` comes before `ses-10`."""
    parts = re.split(r"(\d+)", text)
    return tuple((1, int(p), "") if n % 2 else (0, 0, p) for n, p in enumerate(parts) if p)


class Queue:
    """The scans of an output folder; what did not change on disk is not read again.

    Parameters
    ----------
    root : Path
        The output folder.
    cache : Path
        Folder of the cache; it need not be writable.
    """

    def __init__(self, root: Path, cache: Path) -> None:
        self.root = root
        self._cache = cache / CACHE
        self._known: dict[str, tuple[Stamp, Listed]] = _read_cache(self._cache)

    def refresh(self) -> dict[str, Listed]:
        """Return every scan by its prefix, in natural order."""
        found: dict[str, tuple[Stamp, Listed]] = {}
        changed = False
        for scan, summary, table in _places(self.root):
            stamp = stamp_of(summary, table)
            known = self._known.get(scan)
            if known is None or known[0] != stamp:
                known, changed = (stamp, read_listed(scan, summary, table)), True
            found[scan] = known
        for scan, path in _crashes(self.root):
            if scan not in found:
                found[scan] = (stamp_of(path), Listed(scan=scan, problem=_crash_says(path)))
        changed = changed or found.keys() != self._known.keys()
        self._known = {scan: found[scan] for scan in sorted(found, key=natural)}
        if changed:
            _write_cache(self._cache, self._known)
        return {scan: listed for scan, (_, listed) in self._known.items()}


def stamp_of(*paths: Path) -> Stamp:
    """Return what changes when one of the files does; zeros for what is not there."""
    out: list[int] = []
    for path in paths:
        try:
            told = path.stat()
        except OSError:
            out += [0, 0]
        else:
            out += [told.st_mtime_ns, told.st_size]
    return tuple(out)


def read_listed(scan: str, summary: Path, table: Path) -> Listed:
    """Return what the queue shows of a scan; a broken one says why."""
    try:
        told = read_summary(summary)
        n, asked = _count_rows(table)
        return Listed(
            scan=scan,
            fingerprint=str(told["fingerprint"]),
            n_findings=n,
            n_asked=asked,
            counted=int(told["counts"]["total"]),
            category=str(told["category"]),
        )
    except FileError as error:
        return Listed(scan=scan, problem=f"{error.where}: {error.what}")
    except (KeyError, TypeError, ValueError) as error:
        why = f"{summary.name}: not a summary of this version ({type(error).__name__})"
        return Listed(scan=scan, problem=why)


def _probability(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _count_rows(table: Path) -> tuple[int, int]:
    """Return how many rows a table has, and how many of them are asked."""
    try:
        lines = table.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise FileError(
            f"cannot be read ({type(error).__name__})", where=table.name, mend="Run it again."
        ) from error
    columns = lines[0].split("\t") if lines else []
    if "counted" not in columns or "probability" not in columns:
        raise FileError("not a table of findings", where=table.name, mend="Run it again.")
    p, c = columns.index("probability"), columns.index("counted")
    asked = 0
    for line in lines[1:]:
        cells = line.split("\t", max(p, c) + 1)
        if len(cells) > max(p, c):
            asked += cells[c] == "1" or _probability(cells[p]) >= ASKED_FROM
    return len(lines) - 1, asked


def _places(root: Path) -> Iterator[tuple[str, Path, Path]]:
    """Return prefix, summary and table of every scan; plain listing, no pattern matching."""
    for subject in _folders(root, "sub-"):
        for level in (subject, *_folders(subject, "ses-")):
            anat = os.path.join(level, "anat")  # noqa: PTH118 - ten thousand times
            for file in _files(anat, SUMMARY):
                scan = file.removesuffix(SUMMARY)
                if _SCAN.fullmatch(scan):
                    table = place(str(contract().file("findings").table), scan_name(scan))
                    yield scan, Path(anat, file), root / table


def _folders(place: Path | str, start: str) -> list[str]:
    with suppress(OSError), os.scandir(place) as entries:
        return [e.path for e in entries if e.name.startswith(start) and e.is_dir()]
    return []


def _files(place: str, end: str) -> list[str]:
    with suppress(OSError):
        return [name for name in os.listdir(place) if name.endswith(end)]  # noqa: PTH208
    return []


def _crashes(root: Path) -> Iterator[tuple[str, Path]]:
    for file in _files(str(root / "logs"), CRASH):
        scan = file.removesuffix(CRASH)
        if _SCAN.fullmatch(scan):
            yield scan, root / "logs" / file


def _crash_says(path: Path) -> str:
    try:
        return str(json.loads(path.read_bytes())["message"])
    except (OSError, ValueError, KeyError, TypeError):
        return "its run failed"


def _read_cache(path: Path) -> dict[str, tuple[Stamp, Listed]]:
    try:
        read = json.loads(path.read_bytes())
        if read["version"] != CACHE_VERSION:
            return {}
        return {
            scan: (tuple(stamp), Listed(**listed))
            for scan, (stamp, listed) in read["scans"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}  # a cache that is not there, or not whole, is made again


def _write_cache(path: Path, known: Mapping[str, tuple[Stamp, Listed]]) -> None:
    scans = {scan: [stamp, asdict(listed)] for scan, (stamp, listed) in known.items()}
    with suppress(FileError):  # a full disk costs time, not the review
        write_text(path, json.dumps({"version": CACHE_VERSION, "scans": scans}))
