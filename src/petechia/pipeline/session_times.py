"""When the sessions of a person were, by the tables of the raw dataset, and their order."""

import csv
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from petechia.core.units import DAYS_A_YEAR
from petechia.files.bids_names import name_of, parse_name
from petechia.files.scan import ScanName

DAY_S = 86400.0


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
        return DAYS_A_YEAR * (now[1] - then[1])
    return None


def in_time(images: Path | None, sessions: Sequence[Sequence[ScanName]]) -> tuple[list[int], str]:
    """Return the order of sessions in time, and what there is to say of it: see `by_times`.

    Parameters
    ----------
    images : Path or None
        The raw dataset, whose tables tell when a scan was made.
    sessions : sequence of sequence of ScanName
        In the order of their labels.
    """
    return by_times([_days_after(images, sessions[0], one) for one in sessions])


def by_times(times: Sequence[float | None]) -> tuple[list[int], str]:
    """Return the order of sessions by their times, None where one is not known.

    Parameters
    ----------
    times : sequence of float or None
        Of each session, in the order of their labels; any unit, any beginning.

    Returns
    -------
    order : list of int
        Positions in `times`, the earliest first: by times where all are known, else by label.
    says : str
        Why the order is not that of the labels, or may be wrong; "" else.
    """
    labels = list(range(len(times)))
    known = [time for time in times if time is not None]
    if len(known) == len(labels):
        order = sorted(labels, key=known.__getitem__)
        says = "sessions are ordered by their dates, which contradict their labels"
        return order, says if order != labels else ""
    if any(a > b for a, b in pairwise(known)):
        return labels, "dates contradict the order of the labels, and are not known of all"
    return labels, ""


def _days_after(
    images: Path | None, first: Sequence[ScanName], other: Sequence[ScanName]
) -> float | None:
    told = (interval_days(images, a, b) for a in first for b in other)
    return next((days for days in told if days is not None), None)


def _when(images: Path, name: ScanName) -> tuple[datetime | None, float | None]:
    """Return the date of a scan, and the age at its session [years]."""
    subject, session = f"sub-{name.get('sub')}", f"ses-{name.get('ses')}"
    folder = images / subject
    scans = _rows(folder / session / f"{subject}_{session}_scans.tsv")
    date = next((d for row in scans if _is_of(row, name) and (d := _date(row))), None)
    for row in _rows(folder / f"{subject}_sessions.tsv"):
        if row.get("session_id") == session:
            age = None
            with suppress(TypeError, ValueError):
                age = float(row.get("age"))  # type: ignore[arg-type]
            return date or _date(row), age
    return date, None


def _is_of(row: Mapping[str, str], name: ScanName) -> bool:
    """Return whether a row of scans.tsv is a file of the scan."""
    named = parse_name(Path(row.get("filename") or "").name)
    return named is not None and name_of(named.entities) == name


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
