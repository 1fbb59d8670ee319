"""The scans of an output folder, quickly: what each summary and table says, kept by file times."""

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from petechia.errors import FileError
from petechia.files.contract import contract, place
from petechia.files.finished import read_summary
from petechia.files.scan import ScanName
from petechia.files.writing import write_text
from petechia.pipeline.listing import crash_says, standing_of
from petechia.pipeline.review.events import PREFIX
from petechia.pipeline.review.state import ASKED_FROM

SOFTWARE = "software"
"""Below the review's folder: what the software said of a scan whose decisions were applied."""
CACHE = "index.json"
CACHE_VERSION = 1
_LINES = (
    re.compile(rb'\n  "fingerprint": "([0-9A-Za-z]*)"'),
    re.compile(rb'\n  "category": "([a-z_]*)"'),
    re.compile(rb'\n  "counts": \{\n    "total": ([0-9]+)'),
)
_LEADING = contract().finding_columns[:6]
_HEADER = "\t".join(_LEADING).encode()
_ROW = re.compile(rb"\n[^\t\n]+\t[^\t\n]*\t[^\t\n]*\t[^\t\n]*\t([^\t\n]*)\t([^\t\n]*)")
"""Probability and counted of a row, the fifth and sixth column: ten thousand tables are read."""
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
    warning : str
        What went wrong after its results were whole; "" when nothing did.
    """

    scan: str
    fingerprint: str = ""
    n_findings: int = 0
    n_asked: int = 0
    counted: int = 0
    category: str = ""
    problem: str = ""
    warning: str = ""

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


class Queue:
    """The scans of an output folder; what did not change on disk is not read again.

    Parameters
    ----------
    root : Path
        The output folder.
    cache : Path
        Folder of the cache, which need not be writable, and of what the software said of
        scans whose decisions were applied.
    """

    def __init__(self, root: Path, cache: Path) -> None:
        self.root = root
        self._cache, self._kept = cache / CACHE, cache / SOFTWARE
        self._known: dict[str, tuple[Stamp, Listed]] = _read_cache(self._cache)

    def refresh(self) -> dict[str, Listed]:
        """Return every scan by its prefix, in natural order."""
        found: dict[str, tuple[Stamp, Listed]] = {}
        changed = False
        kept = _names(self._kept)
        warnings: dict[str, str] = {}
        for scan, stands in standing_of(self.root).items():
            if not PREFIX.fullmatch(scan):
                continue
            summary = stands.told_in
            if stands.failed:
                problem = crash_says(summary)
                found[scan] = (stamp_of(summary), Listed(scan=scan, problem=problem))
                continue
            warnings[scan] = stands.says
            table = self.root / place(str(contract().file("findings").table), scan_name(scan))
            stamp = stamp_of(summary, table)
            known = self._known.get(scan)
            if known is None or known[0] != stamp:
                if scan in kept:
                    summary, table = software_files(self._kept / scan, summary, table)
                known, changed = (stamp, read_listed(scan, summary, table)), True
            found[scan] = known
        changed = changed or found.keys() != self._known.keys()
        self._known = found
        if changed:
            _write_cache(self._cache, self._known)
        return {
            scan: replace(listed, warning=warnings[scan]) if warnings.get(scan) else listed
            for scan, (_, listed) in self._known.items()
        }


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


def software_files(kept: Path, *own: Path) -> list[Path]:
    """Return files of the results, the summary first, as the software wrote them.

    Those that an applied review kept, when they are of the results that lie there now.
    """
    try:
        told = read_summary(kept / own[0].name)["fingerprint"]
        if told == read_summary(own[0])["fingerprint"]:
            return [kept / path.name for path in own]
    except FileError:
        pass
    return list(own)


def read_listed(scan: str, summary: Path, table: Path) -> Listed:
    """Return what the queue shows of a scan; a broken one says why."""
    try:
        fingerprint, category, counted = _summary_says(summary)
        n, asked = _count_rows(table)
        return Listed(
            scan=scan,
            fingerprint=fingerprint,
            n_findings=n,
            n_asked=asked,
            counted=counted,
            category=category,
        )
    except FileError as error:
        return Listed(scan=scan, problem=f"{error.where}: {error.what}")
    except (KeyError, TypeError, ValueError) as error:
        why = f"{summary.name}: not a summary of this version ({type(error).__name__})"
        return Listed(scan=scan, problem=why)


def _summary_says(path: Path) -> tuple[str, str, int]:
    """Return fingerprint, category and count of a summary.

    Our own writer puts one top-level key on a line: those lines are looked for, which is ten
    times quicker than reading it all; anything else is read as JSON.
    """
    try:
        content = path.read_bytes()
    except OSError:
        content = b""
    found = [pattern.search(content) for pattern in _LINES]
    if content.endswith(b"\n}\n") and all(found):
        texts = [match.group(1).decode() for match in found if match]
        return texts[0], texts[1], int(texts[2])
    told = read_summary(path)
    return str(told["fingerprint"]), str(told["category"]), int(told["counts"]["total"])


def _count_rows(table: Path) -> tuple[int, int]:
    """Return how many rows a table has, and how many of them are asked."""
    try:
        content = table.read_bytes()
    except OSError as error:
        raise FileError(
            f"cannot be read ({type(error).__name__})", where=table.name, mend="Run it again."
        ) from error
    if not content.startswith(_HEADER):
        raise FileError("not a table of findings", where=table.name, mend="Run it again.")
    rows = _ROW.findall(content, content.find(b"\n"))
    asked = sum(counted == b"1" or _probability(p) >= ASKED_FROM for p, counted in rows)
    return len(rows), asked


def _probability(text: bytes) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _names(folder: Path) -> set[str]:
    try:
        return set(os.listdir(folder))  # noqa: PTH208 - no paths are made of ten thousand names
    except OSError:
        return set()


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
