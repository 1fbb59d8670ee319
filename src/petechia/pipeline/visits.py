"""One session of a person, as the follow-up reads it from an output folder."""

import csv
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.core.grid import Grid
from petechia.errors import FileError
from petechia.files.contract import contract, place
from petechia.files.finished import read_rows, read_summary, read_volume
from petechia.files.scan import ScanName
from petechia.lesions.findings import Finding, from_row
from petechia.lesions.forced import Maps
from petechia.pipeline.review.cases import ReviewFolder
from petechia.pipeline.review.images import dark_image

HIDING = ("macrobleed", "air_tissue")
"""Classes within whose voids a microbleed cannot be told."""
DAY_S = 86400.0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Visit:
    """One scan of a person, with the readers' decisions where they were applied.

    Attributes
    ----------
    name : ScanName
    summary : mapping
        Of its run, or of the review that was applied.
    findings : tuple of Finding
        All.
    maps : Maps
        What it shows at a place.
    labels : (I, J, K) ndarray of int
        The voids of the findings by their index.
    """

    name: ScanName
    summary: Mapping[str, Any]
    findings: tuple[Finding, ...]
    maps: Maps
    labels: npt.NDArray[np.int32]

    @property
    def scan(self) -> str:
        """Its prefix."""
        return self.name.prefix

    @property
    def grid(self) -> Grid:
        """Of its volumes."""
        return self.maps.grid

    @property
    def assessable(self) -> bool:
        """False when the scan cannot show microbleeds at all."""
        return bool(self.summary["category"] != "not_assessable")

    @property
    def places_mm(self) -> npt.NDArray[np.float64]:
        """Where its findings lie, its own scanner RAS, (N, 3) [mm]."""
        places = [f.source_mm or (f.x_mm, f.y_mm, f.z_mm) for f in self.findings]
        return np.array(places, dtype=np.float64).reshape(-1, 3)

    @property
    def protocol(self) -> dict[str, Any]:
        """What decides what can be seen, for a comparison of protocols."""
        told = self.summary["protocol"]
        return {**told, "reading_te_s": self.summary["reading_te_s"]}


def read_visit(folder: ReviewFolder, scan: str) -> Visit:
    """Return a finished scan.

    Raises
    ------
    FileError
        A file of it cannot be read, or it has no image in which bleeds are dark.
    """
    case = folder.case(scan)
    agreed = contract()
    table = folder.root / place(str(agreed.file("findings").table), case.name)
    summary = read_summary(case.path("summary"))
    findings = tuple(from_row(row) for row in read_rows(table))
    labels, grid = read_volume(case.path("findings"))
    labels = np.rint(labels).astype(np.int32)
    dark = dark_image(folder, case)
    if dark is None or case.mask is None:
        raise FileError(
            "no image in which bleeds are dark is at hand",
            where=scan,
            mend="Give the input of the run as --images, or run the scan again with all steps.",
        )
    hiding = [f.index for f in findings if f.class_ in HIDING]
    maps: dict[str, npt.NDArray[Any] | None] = {}
    for key in ("local_field", "chi"):
        path = case.path(key)
        maps[key] = read_volume(path)[0] if path.is_file() else None
    return Visit(
        name=case.name,
        summary=summary,
        findings=findings,
        maps=Maps.of(
            np.asarray(dark, dtype=np.float32),
            case.mask,
            grid,
            labels,
            np.isin(labels, hiding),
            maps["local_field"],
            maps["chi"],
        ),
        labels=labels,
    )


def interval_days(images: Path | None, first: ScanName, second: ScanName) -> float | None:
    """Return the time between two scans by the raw dataset's tables; None when it is not told.

    `acq_time` of scans.tsv or sessions.tsv, else `age` [years] of sessions.tsv. Dates themselves
    are passed on to nobody.
    """
    if images is None:
        return None
    then, now = (_when(images, name) for name in (first, second))
    if then[0] is not None and now[0] is not None:
        with suppress(TypeError):  # one with a time zone, the other without
            return (now[0] - then[0]).total_seconds() / DAY_S
    if then[1] is not None and now[1] is not None:
        return 365.25 * (now[1] - then[1])
    return None


def in_time(images: Path | None, sessions: Sequence[Sequence[ScanName]]) -> tuple[list[int], str]:
    """Return the order of sessions in time, and what there is to say of it.

    Parameters
    ----------
    images : Path or None
        The raw dataset, whose tables tell when a scan was made.
    sessions : sequence of sequence of ScanName
        In the order of their labels.

    Returns
    -------
    order : list of int
        Positions in `sessions`, the earliest first: by dates or ages where they tell all, else
        by label.
    says : str
        Why the order is not that of the labels, or may be wrong; "" else.
    """
    labels = list(range(len(sessions)))
    after = [_days_after(images, sessions[0], one) for one in sessions]
    known = [n for n in labels if after[n] is not None]
    times = [after[n] or 0.0 for n in labels]
    order = sorted(labels, key=lambda n: times[n]) if len(known) == len(labels) else labels
    if order != labels:
        return order, "sessions are ordered by their dates, which contradict their labels"
    if any(times[a] > times[b] for a, b in pairwise(known)):
        return order, "dates contradict the order of the labels, and are not known of all"
    return order, ""


def _days_after(
    images: Path | None, first: Sequence[ScanName], other: Sequence[ScanName]
) -> float | None:
    told = (interval_days(images, a, b) for a in first for b in other)
    return next((days for days in told if days is not None), None)


def _when(images: Path, name: ScanName) -> tuple[datetime | None, float | None]:
    subject, session = f"sub-{name.get('sub')}", f"ses-{name.get('ses')}"
    folder = images / subject
    for row in _rows(folder / session / f"{subject}_{session}_scans.tsv"):
        if Path(row.get("filename") or "").name.startswith(name.prefix):
            return _date(row), None
    for row in _rows(folder / f"{subject}_sessions.tsv"):
        if row.get("session_id") == session:
            age = None
            with suppress(TypeError, ValueError):
                age = float(row.get("age"))  # type: ignore[arg-type]
            return _date(row), age
    return None, None


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    except (OSError, ValueError, csv.Error):
        return []


def _date(row: Mapping[str, str]) -> datetime | None:
    try:
        return datetime.fromisoformat(row.get("acq_time") or "")
    except ValueError:
        return None
