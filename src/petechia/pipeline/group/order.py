"""The order of each person's sessions."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from petechia.files.scan import ScanName
from petechia.pipeline.group.factors import Column
from petechia.pipeline.group.scans import ScanRow
from petechia.pipeline.listing import natural
from petechia.pipeline.session_times import by_times, in_time


def session_order(
    scans: Sequence[ScanRow], people: Mapping[str, Column], images: Path | None
) -> tuple[npt.NDArray[np.intp], list[str]]:
    """Return the place of each scan's session among those of its person, and notes.

    Parameters
    ----------
    scans : sequence of ScanRow
    people : mapping
        Facts of the person at each scan: where `days` tells all sessions of a person, they go
        by it.
    images : Path or None
        The raw dataset: else they go by the dates or ages in its tables where those tell all of
        them, else by label.
    """
    by: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for n in sorted(range(len(scans)), key=lambda n: natural(scans[n].session or "")):
        by[scans[n].subject][scans[n].session or ""].append(n)
    days = people.get("days")
    known = days.values if days is not None and days.factor.is_number else None
    places, said = np.zeros(len(scans), dtype=np.intp), Counter[str]()
    for sessions in by.values():
        rows = list(sessions.values())
        times = [_first(known, some) for some in rows]
        if None in times:
            names = [[ScanName(tuple(scans[n].entities.items())) for n in some] for some in rows]
            order, says = in_time(images, names)
        else:
            order, says = by_times(times)
        said.update([says] if says else [])
        for place, which in enumerate(order):
            places[rows[which]] = place
    return places, [f"Of {n} people {says}." for says, n in said.items()]


def _first(values: npt.NDArray[np.float64] | None, rows: Sequence[int]) -> float | None:
    """Return the first value of the rows that is known."""
    told = (float(values[n]) for n in rows) if values is not None else ()
    return next((value for value in told if not np.isnan(value)), None)
