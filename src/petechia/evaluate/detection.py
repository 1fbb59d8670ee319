"""Detections against truth: who was hit by which rule, and the rates that follow.

Three rules, all reported because published figures use different ones:

`one_to_one`  each finding serves at most one lesion and each lesion one finding: most
              pairs first, then least total distance, within max(5 mm, slice thickness)
`centroid`    centres at most 5 mm apart; one finding may serve several lesions
`touch`       at least one shared voxel; components are 26-connected

Findings are matched to the visible microbleeds first. Those left over that meet an
invisible microbleed, or a lesion of a class that is forgiven, are neither right nor false.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.core.matching import Matches, one_to_one, within
from petechia.errors import InputError, ParameterError
from petechia.evaluate.resampling import Resampling, by_group
from petechia.evaluate.spots import (
    LEAST_RADIUS_MM,
    MICROBLEED,
    Bools,
    Case,
    Extent,
    Floats,
    Rows,
    require_cases,
)

RULES = {
    "one_to_one": "optimal one-to-one matching within max(5 mm, slice thickness)",
    "centroid": "centres within 5 mm, one may serve several",
    "touch": "at least one shared voxel, 26-connected",
}
"""Rules of what is a hit; the first is the main one."""
MAIN_RULE = "one_to_one"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Outcome:
    """Who was hit in one scan.

    Attributes
    ----------
    lesion : (V,) ndarray of int
        Rows of the visible true microbleeds.
    hit : (V,) ndarray of bool
        Which of them were found.
    counted, good, false : (P,) ndarray of bool
        Findings that count, that meet a visible microbleed, that meet nothing that excuses
        them. Counted ones that are neither good nor false are left out of every rate.
    pairs : (M, 2) ndarray of int
        (row of the lesion, row of the finding).
    """

    lesion: Rows
    hit: Bools
    counted: Bools
    good: Bools
    false: Bools
    pairs: npt.NDArray[np.int64]


def match(case: Case, rule: str, lesion: Rows, finding: Rows) -> Matches:
    """Return who meets whom among chosen rows of truth and findings.

    Raises
    ------
    ParameterError
        An unknown rule.
    InputError
        Rule 'touch' without voxels.
    """
    if rule == "touch":
        return _touching(case, lesion, finding)
    true_mm, found_mm = case.truth.place_mm[lesion], case.predicted.place_mm[finding]
    if rule == "one_to_one":
        return one_to_one(true_mm, found_mm, case.radius_mm)
    if rule == "centroid":
        return within(true_mm, found_mm, LEAST_RADIUS_MM)
    raise ParameterError(
        f"no rule {rule!r}", where="match", mend=f"Choose from {', '.join(RULES)}."
    )


def _touching(case: Case, lesion: Rows, finding: Rows) -> Matches:
    true, found = case.truth.extent, case.predicted.extent
    if true is None or found is None:
        raise InputError(
            "no voxels to touch",
            where=case.name,
            mend="Give label images of truth and findings on one grid, or use another rule.",
        )
    ours, theirs = _chosen(true, lesion), _chosen(found, finding)
    order = np.argsort(ours.voxel, kind="stable")
    first = np.searchsorted(ours.voxel[order], theirs.voxel, side="left")
    n_met = np.searchsorted(ours.voxel[order], theirs.voxel, side="right") - first
    # a voxel may hold several bare places: every one of them is met
    met = np.repeat(first - np.cumsum(n_met) + n_met, n_met) + np.arange(n_met.sum())
    both = np.stack([ours.owner[order[met]], np.repeat(theirs.owner, n_met)], axis=1)
    pairs = np.unique(both.astype(np.int64).reshape(-1, 2), axis=0)
    hit, good = np.zeros(len(lesion), dtype=bool), np.zeros(len(finding), dtype=bool)
    hit[pairs[:, 0]] = True
    good[pairs[:, 1]] = True
    return Matches(hit=hit, good=good, pairs=pairs)


def _chosen(extent: Extent, rows: Rows) -> Extent:
    """Return the extent of `rows` alone, numbered by their position in `rows`."""
    highest = max(int(extent.owner.max(initial=-1)), int(rows.max(initial=-1)))
    position = np.full(highest + 1, -1, dtype=np.intp)
    position[rows] = np.arange(len(rows))
    owner = position[extent.owner]
    return Extent(voxel=extent.voxel[owner >= 0], owner=owner[owner >= 0])


def outcome_of(
    case: Case,
    *,
    rule: str = MAIN_RULE,
    counted: Bools | None = None,
    forgiven: Sequence[str] = (),
) -> Outcome:
    """Return who was hit in one scan.

    Parameters
    ----------
    case : Case
        Truth and findings.
    rule : str
        One of `RULES`.
    counted : (P,) ndarray of bool, optional
        Findings that count; by default those that the tool counts.
    forgiven : sequence of str
        Classes of true lesions that may be found without being false, e.g. calcifications
        where there is no phase.
    """
    truth = case.truth
    counts = case.predicted.counted if counted is None else counted
    finding = np.flatnonzero(counts)
    wanted = (truth.kind == MICROBLEED) & truth.visible
    lesion = np.flatnonzero(wanted)
    matched = match(case, rule, lesion, finding)
    left = finding[~matched.good]
    excusing = ~wanted & ((truth.kind == MICROBLEED) | np.isin(truth.kind, list(forgiven)))
    excused = match(case, rule, np.flatnonzero(excusing), left).good
    good, false = np.zeros(len(counts), dtype=bool), np.zeros(len(counts), dtype=bool)
    good[finding[matched.good]] = True
    false[left[~excused]] = True
    pairs = np.stack([lesion[matched.pairs[:, 0]], finding[matched.pairs[:, 1]]], axis=1)
    return Outcome(
        lesion=lesion, hit=matched.hit, counted=counts, good=good, false=false, pairs=pairs
    )


def tally(outcome: Outcome) -> Floats:
    """Return the numbers of one scan that are summed over scans.

    Lesions hit, lesions, right and false findings, scans (1), false findings in a scan without
    lesions, and whether it is one.
    """
    false, clean = int(outcome.false.sum()), len(outcome.hit) == 0
    good = int(outcome.good.sum())
    return np.array(
        [outcome.hit.sum(), len(outcome.hit), good, false, 1, false * clean, clean], dtype=float
    )


def _ratio(above: npt.ArrayLike, below: npt.ArrayLike) -> Floats:
    numerator, denominator = np.asarray(above, float), np.asarray(below, float)
    safe = np.where(denominator > 0, denominator, 1.0)
    return np.where(denominator > 0, numerator / safe, np.nan)


def sensitivity(summed: Floats) -> Floats:
    """Return visible lesions found over visible lesions; NaN when there are none."""
    return _ratio(summed[..., 0], summed[..., 1])


def precision(summed: Floats) -> Floats:
    """Return right findings over right and false ones; NaN without any."""
    return _ratio(summed[..., 2], summed[..., 2] + summed[..., 3])


def f1(summed: Floats) -> Floats:
    """Return 2 TP / (2 TP + FP + FN) with TP the lesions found; NaN without lesions.

    0 when there are lesions and none is found, NaN when there is nothing to find, however
    many were falsely found: those are told by the false positives of clean scans.
    """
    hits, lesions, _, false = (summed[..., n] for n in range(4))
    return np.where(lesions > 0, _ratio(2 * hits, lesions + hits + false), np.nan)


def false_per_scan(summed: Floats) -> Floats:
    """Return the mean number of false findings of a scan."""
    return _ratio(summed[..., 3], summed[..., 4])


def false_per_clean_scan(summed: Floats) -> Floats:
    """Return the mean number of false findings of scans without a visible microbleed."""
    return _ratio(summed[..., 5], summed[..., 6])


RATES: dict[str, Callable[[Floats], Floats]] = {
    "sensitivity": sensitivity,
    "precision": precision,
    "f1": f1,
    "false_per_scan": false_per_scan,
    "false_per_clean_scan": false_per_clean_scan,
}
"""Rates of a tally (..., 7), or of sums of tallies."""
_MADE_OF = {
    "sensitivity": (0, 1),
    "precision": (2, 3),
    "f1": (0, 1, 3),
    "false_per_scan": (3, 4),
    "false_per_clean_scan": (5, 6),
}
"""Numbers of a tally that a rate is made of: a scan where all are 0 does not enter it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number with its 95 % interval; NaN where it is not defined."""

    value: float
    low: float = float("nan")
    high: float = float("nan")
    n: int = 0
    """Scans, lesions or findings that enter it."""


def pooled(tallies: Floats, resampling: Resampling) -> dict[str, Estimate]:
    """Return each rate over all scans together, with its interval by subject.

    There is no interval where the scans that enter a rate are of one subject.

    Parameters
    ----------
    tallies : (N, 7) ndarray
        One row of `tally` for each scan.
    resampling : Resampling
        Of the subjects of these scans.
    """
    sums = resampling.sums(tallies)
    found = {}
    for name, rate in RATES.items():
        enters = (tallies[:, _MADE_OF[name]] != 0).any(axis=1)
        low, high = resampling.interval(rate(sums), enters)
        value = float(rate(tallies.sum(axis=0)))
        found[name] = Estimate(value=value, low=low, high=high, n=int(enters.sum()))
    return found


def macro(tallies: Floats, resampling: Resampling) -> dict[str, dict[str, Estimate]]:
    """Return mean and median over scans of each rate, over the scans where it is defined."""
    found = {}
    for name, rate in RATES.items():
        values = rate(tallies)
        n = int(np.isfinite(values).sum())
        mean, median = resampling.mean(values), resampling.median(values)
        found[name] = {
            "mean": Estimate(value=mean[0], low=mean[1], high=mean[2], n=n),
            "median": Estimate(value=median[0], low=median[1], high=median[2], n=n),
        }
    return found


def outcomes(
    cases: Sequence[Case], *, rule: str = MAIN_RULE, forgiven: Sequence[str] = ()
) -> list[Outcome]:
    """Return the outcome of each scan by one rule."""
    require_cases(cases)
    return [outcome_of(case, rule=rule, forgiven=forgiven) for case in cases]


def tallies_of(scored: Sequence[Outcome]) -> Floats:
    """Return the (N, 7) tallies of scans."""
    return np.stack([tally(outcome) for outcome in scored])


def subjects_of(cases: Sequence[Case]) -> Rows:
    """Return the number of the subject of each scan, from 0."""
    return by_group([case.subject for case in cases])
