"""The free-response curve: sensitivity against false positives a scan, and its area."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from petechia.errors import ParameterError
from petechia.evaluate.detection import MAIN_RULE, outcome_of, tally
from petechia.evaluate.resampling import Resampling
from petechia.evaluate.spots import Case, Floats, require_cases

AREA_UP_TO = 4.0
"""The area is taken from 0 to so many false positives a scan, over that width."""
STOPS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""False positives a scan at which the mean sensitivity is also told."""
MOST_THRESHOLDS = 200


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Froc:
    """A free-response curve by falling threshold.

    Attributes
    ----------
    threshold, false_per_scan, sensitivity : (K,) ndarray
        Points; at a threshold all findings of that probability and above count.
    area, area_low, area_high : float
        Mean height of the step curve from 0 to `AREA_UP_TO` false positives a scan, with
        its 95 % interval by subject: 1 is perfect.
    at_stops : dict of float to float
        Height of the step curve at `STOPS`.
    """

    threshold: Floats
    false_per_scan: Floats
    sensitivity: Floats
    area: float
    area_low: float
    area_high: float
    at_stops: dict[float, float]


def froc(
    cases: Sequence[Case],
    resampling: Resampling,
    *,
    rule: str = MAIN_RULE,
    forgiven: Sequence[str] = (),
) -> Froc | None:
    """Return the curve over the probability of findings; None without probabilities.

    Every finding enters by its probability of being a microbleed, whatever its class. The
    matching is done anew at each threshold. With more than 200 different probabilities,
    200 evenly ranked ones are taken.
    """
    require_cases(cases)
    every = np.concatenate([case.predicted.probability for case in cases])
    known = np.unique(every[np.isfinite(every)])[::-1]
    if not len(known):
        return None
    if len(known) > MOST_THRESHOLDS:
        known = known[np.linspace(0, len(known) - 1, MOST_THRESHOLDS).round().astype(int)]
    # (K, N, 7): a tally for each threshold and scan
    tallies = np.stack([[_at(case, t, rule, forgiven) for case in cases] for t in known])
    rates, heights = _curve(tallies.sum(axis=1))
    sums = np.stack([resampling.sums(table) for table in tallies], axis=1)  # (B, K, 7)
    drawn = np.array([area_under(*_curve(table)) for table in sums])
    low, high = resampling.interval(drawn)
    return Froc(
        threshold=known,
        false_per_scan=rates,
        sensitivity=heights,
        area=area_under(rates, heights),
        area_low=low,
        area_high=high,
        at_stops={stop: step_height(rates, heights, stop) for stop in STOPS},
    )


def _at(case: Case, threshold: float, rule: str, forgiven: Sequence[str]) -> Floats:
    counted = case.predicted.probability >= threshold
    return tally(outcome_of(case, rule=rule, counted=counted, forgiven=forgiven))


def _curve(tallies: Floats) -> tuple[Floats, Floats]:
    """Return false positives a scan and sensitivity of (K, 7) summed tallies."""
    lesions = np.where(tallies[:, 1] > 0, tallies[:, 1], np.nan)
    return tallies[:, 3] / tallies[:, 4], tallies[:, 0] / lesions


def step_height(rates: Floats, heights: Floats, at: float) -> float:
    """Return the best sensitivity with at most `at` false positives a scan; NaN without lesions."""
    if np.isnan(heights).all():
        return float("nan")
    within = heights[rates <= at + 1e-12]
    return float(within.max()) if len(within) else 0.0


def area_under(rates: Floats, heights: Floats, up_to: float = AREA_UP_TO) -> float:
    """Return the mean height of the step curve over 0 to `up_to` false positives a scan.

    The curve is the best sensitivity reached with that many false positives or fewer: 0
    left of its first point, flat right of its last.
    """
    if up_to <= 0:
        raise ParameterError(
            f"up_to = {up_to}",
            where="area_under",
            mend="Give a positive number of false positives.",
        )
    if np.isnan(heights).all():
        return float("nan")
    order = np.lexsort((heights, rates))
    x, y = rates[order], np.maximum.accumulate(heights[order])
    inside = x < up_to
    edges = np.concatenate([x[inside], [up_to]])
    return float((np.diff(edges) * y[inside]).sum() / up_to) if inside.any() else 0.0
