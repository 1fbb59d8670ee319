"""Where a detector is good and where it is not: sensitivity and false positives by stratum."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from petechia.evaluate.detection import (
    Estimate,
    Outcome,
    false_per_scan,
    sensitivity,
    tallies_of,
)
from petechia.evaluate.resampling import Resampling
from petechia.evaluate.spots import Bools, Case, Floats, Words

INF = float("inf")
MOMENT_EDGES = (0.0, 0.3, 1.0, 3.0, 10.0, INF)
"""Of the moment's size [ppm mm^3]; each stratum holds its lower edge."""
DIAMETER_EDGES_MM = (0.0, 2.0, 3.0, 5.0, 10.0, INF)
SLICE_EDGES_MM = (0.0, 1.5, 3.0, INF)
LOADS = ((0, 0), (1, 4), (5, 10), (11, 49), (50, None))
"""Visible microbleeds of a scan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stratum:
    """Rates in one stratum.

    Attributes
    ----------
    by, name : str
        What is stratified ('moment', 'site', ...) and which part ('1 to 3 ppm mm3').
    found, lesions : int
        Visible microbleeds found, and all of them.
    sensitivity : Estimate
        With its interval by subject.
    false_per_scan : Estimate or None
        For strata of scans; a false finding has no true size or site.
    """

    by: str
    name: str
    found: int
    lesions: int
    sensitivity: Estimate
    false_per_scan: Estimate | None = None


def strata_of(
    cases: Sequence[Case], scored: Sequence[Outcome], resampling: Resampling
) -> list[Stratum]:
    """Return the strata by moment, diameter, site, compartment, slice thickness and load."""
    lesions = [_Sorted(cases, scored, resampling)]
    found: list[Stratum] = []
    for by, edges, unit, column in (
        ("moment", MOMENT_EDGES, "ppm mm3", "moment"),
        ("apparent diameter", DIAMETER_EDGES_MM, "mm", "diameter_mm"),
    ):
        size = np.abs(lesions[0].column(column))
        found += [
            lesions[0].of(by, _between(low, high, unit), (size >= low) & (size < high))
            for low, high in pairwise(edges)
        ]
        found.append(lesions[0].of(by, "not known", ~np.isfinite(size)))
    for by in ("compartment", "site"):
        words = lesions[0].words(by)
        found += [lesions[0].of(by, name, words == name) for name in sorted(set(words.tolist()))]
    found = [stratum for stratum in found if stratum.lesions]
    return found + _of_scans(cases, scored, resampling)


class _Sorted:
    """The visible microbleeds of all scans in one list."""

    def __init__(
        self, cases: Sequence[Case], scored: Sequence[Outcome], resampling: Resampling
    ) -> None:
        self.cases, self.scored = cases, scored
        self.hit = np.concatenate([outcome.hit for outcome in scored])
        scan = np.repeat(np.arange(len(scored)), [len(outcome.hit) for outcome in scored])
        self.draws = resampling.for_rows(scan)

    def column(self, name: str) -> Floats:
        parts = [getattr(c.truth, name)[o.lesion] for c, o in self._both()]
        return np.concatenate(parts)

    def words(self, name: str) -> Words:
        parts = [getattr(c.truth, name)[o.lesion] for c, o in self._both()]
        return np.concatenate(parts)

    def _both(self) -> list[tuple[Case, Outcome]]:
        return list(zip(self.cases, self.scored, strict=True))

    def of(self, by: str, name: str, inside: Bools) -> Stratum:
        value, low, high = self.draws.mean(np.where(inside, self.hit.astype(float), np.nan))
        n = int(inside.sum())
        return Stratum(
            by=by,
            name=name,
            found=int(self.hit[inside].sum()),
            lesions=n,
            sensitivity=Estimate(value=value, low=low, high=high, n=n),
        )


def _of_scans(
    cases: Sequence[Case], scored: Sequence[Outcome], resampling: Resampling
) -> list[Stratum]:
    table = tallies_of(scored)
    load, slices = table[:, 1], np.array([case.slice_mm for case in cases])
    parts: list[tuple[str, str, Bools]] = [
        ("slice thickness", _between(low, high, "mm"), (slices >= low) & (slices < high))
        for low, high in pairwise(SLICE_EDGES_MM)
    ]
    for least, most in LOADS:
        name = f"{least} or more" if most is None else f"{least} to {most}" if most else "none"
        parts.append(("load", name, (load >= least) & (load <= (INF if most is None else most))))
    return [
        _scans(by, name, inside, table, resampling) for by, name, inside in parts if inside.any()
    ]


def _scans(by: str, name: str, inside: Bools, table: Floats, resampling: Resampling) -> Stratum:
    kept = table * inside[:, None]
    sums, n = resampling.sums(kept), int(inside.sum())

    def estimate(rate: Callable[[Floats], Floats], enters: Bools) -> Estimate:
        low, high = resampling.interval(rate(sums), enters)
        return Estimate(value=float(rate(kept.sum(axis=0))), low=low, high=high, n=n)

    return Stratum(
        by=by,
        name=name,
        found=int(kept[:, 0].sum()),
        lesions=int(kept[:, 1].sum()),
        sensitivity=estimate(sensitivity, kept[:, 1] > 0),
        false_per_scan=estimate(false_per_scan, inside),
    )


def _between(low: float, high: float, unit: str) -> str:
    if high == INF:
        return f"{low:g} {unit} and more"
    return f"{low:g} to {high:g} {unit}" if low else f"below {high:g} {unit}"
