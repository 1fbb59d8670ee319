"""Series of a folder to scans: which phase belongs to which magnitude."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from petechia.core.grid import Grid
from petechia.errors import GridMismatchError
from petechia.files.echo_parts import SAME_TE_S, Image
from petechia.files.nifti import require_same_grid
from petechia.files.sidecars import (
    DIFFERENCE,
    IMAGINARY,
    MAGNITUDE,
    PHASE,
    REAL,
    is_processed_swi,
    number,
)

SHORT_TE_S = 0.004
"""Magnitude alone, with all echo times below this, has no contrast of susceptibility [s]."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Found:
    """One NIfTI file of a folder with what its name and sidecar say."""

    image: Image
    base: str
    sidecar: Mapping[str, Any]
    grid: Grid | None
    te_s: tuple[float, ...]
    b0_t: float | None = None

    @property
    def series(self) -> float:
        """Series number; 0 when the sidecar does not say."""
        return number(self.sidecar.get("SeriesNumber")) or 0.0


@dataclass(slots=True)
class Series:
    """Images of one role that belong together."""

    role: str
    images: list[Found] = field(default_factory=list)

    @property
    def first(self) -> Found:
        """Its first image."""
        return self.images[0]

    @property
    def te_s(self) -> tuple[float, ...]:
        """All its echo times, sorted."""
        return tuple(sorted(t for found in self.images for t in found.te_s))


def by_series(found: Iterable[Found]) -> list[Series]:
    """Return the files of each folder, base name and role together, in series order."""
    groups: dict[tuple[Any, ...], Series] = {}
    for one in found:
        key = (one.base, one.image.role, is_processed_swi(one.sidecar))
        groups.setdefault(key, Series(one.image.role)).images.append(one)
    return sorted(groups.values(), key=lambda s: (s.first.series, s.first.image.shown))


def pair(series: Sequence[Series], left_out: dict[str, str]) -> list[list[Found]]:
    """Return scans: each magnitude series with its phase, or real with imaginary."""
    free = [s for s in series if s.role != MAGNITUDE]
    magnitudes = [s for s in series if s.role == MAGNITUDE]
    plain = [s for s in magnitudes if not is_processed_swi(s.first.sidecar)]
    scans: list[tuple[Series, list[Series]]] = []
    for one in plain or magnitudes:
        partners = []
        for role in (PHASE, REAL, IMAGINARY, DIFFERENCE):
            best = _nearest(one, [s for s in free if s.role == role])
            if best is not None:
                free.remove(best)
                partners.append(best)
        scans.append((one, partners))
    for one in [s for s in free if s.role == REAL]:
        best = _nearest(one, [s for s in free if s.role == IMAGINARY])
        if best is not None:
            free = [s for s in free if s is not one and s is not best]
            scans.append((one, [best]))
    _tell(free, "no magnitude on its grid in its folder", left_out)
    if plain:
        weighted = [s for s in magnitudes if is_processed_swi(s.first.sidecar)]
        _tell(weighted, "weighted by the scanner (SWI); the plain magnitude is used", left_out)
    short = [one for one, partners in scans if not partners and _is_short(one)]
    _tell(short, f"echo times below {SHORT_TE_S * 1e3:g} ms and no phase", left_out)
    kept = [(one, partners) for one, partners in scans if one not in short]
    kept.sort(key=lambda scan: (scan[0].first.series, scan[0].first.image.shown))
    return [[f for s in (one, *partners) for f in s.images] for one, partners in kept]


def _tell(series: Iterable[Series], why: str, left_out: dict[str, str]) -> None:
    left_out.update({found.image.shown: why for s in series for found in s.images})


def _is_short(series: Series) -> bool:
    return bool(series.te_s) and max(series.te_s) < SHORT_TE_S


def _nearest(one: Series, others: Iterable[Series]) -> Series | None:
    """Return the series on the same grid that most likely is of the same acquisition."""
    fitting = [other for other in others if _fits(one, other)]
    return min(fitting, key=lambda other: _distance(one.first, other.first), default=None)


def _fits(one: Series, other: Series) -> bool:
    if Path(one.first.image.path).parent != Path(other.first.image.path).parent:
        return False
    if one.first.base == other.first.base:
        return True
    if one.first.grid is None or other.first.grid is None:
        return False
    try:
        require_same_grid(one.first.grid, "", other.first.grid, "")
    except GridMismatchError:
        return False
    if not one.te_s or not other.te_s or other.role == DIFFERENCE:
        return True
    return any(abs(a - b) < SAME_TE_S for a in one.te_s for b in other.te_s)


def _distance(one: Found, other: Found) -> tuple[bool, bool, float, bool]:
    times = (one.sidecar.get("AcquisitionTime"), other.sidecar.get("AcquisitionTime"))
    return (
        one.base != other.base,
        times[0] != times[1],
        abs(one.series - other.series),
        other.series < one.series,
    )
