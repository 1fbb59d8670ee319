"""Detections against truth: hits by a rule, then rates with their intervals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from petechia.core.intervals import bootstrap
from petechia.core.matching import Matches, one_to_one, within
from petechia.errors import InputError, ParameterError

MOMENT_EDGES = (0.3, 1.0, 3.0, 10.0, np.inf)
"""Strata of the magnetic moment [ppm mm^3]."""

Floats = npt.NDArray[np.floating]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Truth:
    """True microbleeds of one scan.

    Attributes
    ----------
    place_mm : (T, 3) ndarray of float
        Scanner RAS [mm].
    moment : (T,) ndarray of float
        Magnetic moment [ppm mm^3]; NaN where not known.
    visible : (T,) ndarray of bool
        Only these can be missed; a prediction on an invisible one is neither hit nor false.
    """

    place_mm: Floats
    moment: Floats
    visible: Bools

    def __post_init__(self) -> None:
        if not len(self.place_mm) == len(self.moment) == len(self.visible):
            raise InputError(
                f"{len(self.place_mm)} places, {len(self.moment)} moments, "
                f"{len(self.visible)} flags",
                where="Truth",
                mend="Give one of each per lesion.",
            )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Predictions:
    """Predicted microbleeds of one scan.

    Attributes
    ----------
    place_mm : (P, 3) ndarray of float
        Scanner RAS [mm].
    probability : (P,) ndarray of float
        Higher is surer.
    counted : (P,) ndarray of bool
        Whether the tool counts it at its operating point.
    """

    place_mm: Floats
    probability: Floats
    counted: Bools

    def at(self, threshold: float) -> "Predictions":
        """Return the predictions whose probability is at least `threshold`, all counted."""
        keep = self.probability >= threshold
        return Predictions(
            place_mm=self.place_mm[keep],
            probability=self.probability[keep],
            counted=np.ones(int(keep.sum()), dtype=bool),
        )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ScanScore:
    """Hits of one scan by one rule.

    Attributes
    ----------
    hit : (V,) ndarray of bool
        Of the visible true lesions.
    moment : (V,) ndarray of float
        Theirs [ppm mm^3].
    n_good, n_false : int
        Counted predictions that meet a visible lesion, and those that meet none at all.
    """

    hit: Bools
    moment: Floats
    n_good: int
    n_false: int


Rule = Callable[[Floats, Floats, float], Matches]
RULES: dict[str, Rule] = {"one_to_one": one_to_one, "within": within}
"""Rules on places; `core.matching.touching` is the one on labels."""


def score_scan(
    truth: Truth, predictions: Predictions, *, rule: str = "one_to_one", radius_mm: float = 5.0
) -> ScanScore:
    """Return the hits of one scan.

    Counted predictions are matched to the visible lesions first; those left over that lie
    on an invisible one are left out, and the rest are false positives.

    Parameters
    ----------
    truth, predictions
        Of the same scan, in the same millimetres.
    rule : str
        'one_to_one' or 'within'.
    radius_mm : float
        Usually max(5 mm, slice thickness).
    """
    if rule not in RULES:
        raise ParameterError(
            f"no rule {rule!r}", where="score_scan", mend=f"Choose from {', '.join(RULES)}."
        )
    counted = predictions.place_mm[predictions.counted].reshape(-1, 3)
    seen = truth.place_mm[truth.visible].reshape(-1, 3)
    hidden = truth.place_mm[~truth.visible].reshape(-1, 3)
    matches = RULES[rule](seen, counted, radius_mm)
    left = counted[~matches.good]
    excused = RULES[rule](hidden, left, radius_mm).good
    return ScanScore(
        hit=matches.hit,
        moment=truth.moment[truth.visible],
        n_good=int(matches.good.sum()),
        n_false=int((~excused).sum()),
    )


def sensitivity(scores: Sequence[ScanScore]) -> float:
    """Return the pooled fraction of visible lesions found; NaN when there are none."""
    n = sum(len(score.hit) for score in scores)
    return sum(int(score.hit.sum()) for score in scores) / n if n else float("nan")


def precision(scores: Sequence[ScanScore]) -> float:
    """Return the pooled fraction of counted predictions that are right; NaN without any."""
    good = sum(score.n_good for score in scores)
    n = good + sum(score.n_false for score in scores)
    return good / n if n else float("nan")


def f1(scores: Sequence[ScanScore]) -> float:
    """Return 2 TP / (2 TP + FP + FN), pooled; NaN when there is neither truth nor prediction."""
    hits = sum(int(score.hit.sum()) for score in scores)
    missed = sum(len(score.hit) for score in scores) - hits
    false = sum(score.n_false for score in scores)
    below = 2 * hits + missed + false
    return 2 * hits / below if below else float("nan")


def false_per_scan(scores: Sequence[ScanScore]) -> float:
    """Return the mean number of false positives of a scan."""
    return float(np.mean([score.n_false for score in scores])) if scores else float("nan")


MEASURES: dict[str, Callable[[Sequence[ScanScore]], float]] = {
    "sensitivity": sensitivity,
    "precision": precision,
    "f1": f1,
    "false_per_scan": false_per_scan,
}


def pooled(
    scores: Sequence[ScanScore], rng: np.random.Generator, *, n_resamples: int = 2000
) -> dict[str, tuple[float, float, float]]:
    """Return every measure over all scans with its bootstrap interval by scan.

    Returns
    -------
    dict of str to (value, low, high)
        95 % intervals; scans are the units that are resampled.
    """
    found = {}
    for name, measure in MEASURES.items():

        def of(at: npt.NDArray[np.intp], measure: Callable[..., float] = measure) -> float:
            return measure([scores[i] for i in at])

        low, high = bootstrap(of, len(scores), rng, n_resamples=n_resamples)
        found[name] = (measure(scores), low, high)
    return found


def macro(scores: Sequence[ScanScore]) -> dict[str, tuple[float, float]]:
    """Return mean and median over scans of every measure that is defined in a scan."""
    found = {}
    for name, measure in MEASURES.items():
        values = np.array([measure([score]) for score in scores], dtype=float)
        values = values[np.isfinite(values)]
        found[name] = (
            (float(values.mean()), float(np.median(values)))
            if len(values)
            else (float("nan"), float("nan"))
        )
    return found


def by_moment(
    scores: Sequence[ScanScore], edges: Sequence[float] = MOMENT_EDGES
) -> list[tuple[float, float, int, int]]:
    """Return (from, to, found, visible) of each stratum of the moment [ppm mm^3]."""
    hit = np.concatenate([score.hit for score in scores]) if scores else np.zeros(0, bool)
    size = np.abs(np.concatenate([score.moment for score in scores])) if scores else np.zeros(0)
    strata = []
    for low, high in pairwise(edges):
        inside = (size >= low) & (size < high)
        strata.append((float(low), float(high), int(hit[inside].sum()), int(inside.sum())))
    return strata


def froc(
    truths: Sequence[Truth],
    predictions: Sequence[Predictions],
    thresholds: Sequence[float],
    *,
    radius_mm: float = 5.0,
) -> list[tuple[float, float, float]]:
    """Return (threshold, false positives a scan, sensitivity) along thresholds."""
    curve = []
    for threshold in thresholds:
        scores = [
            score_scan(truth, predicted.at(threshold), radius_mm=radius_mm)
            for truth, predicted in zip(truths, predictions, strict=True)
        ]
        curve.append((float(threshold), false_per_scan(scores), sensitivity(scores)))
    return curve
