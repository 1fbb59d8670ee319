"""Are probabilities frequencies: reliability curve, calibration error, Brier score."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.core.intervals import wilson
from petechia.errors import InputError, ParameterError
from petechia.evaluate.detection import MAIN_RULE, Estimate, outcome_of
from petechia.evaluate.resampling import Resampling
from petechia.evaluate.spots import Case, Floats

N_BINS = 10
OPEN_RANGE = (0.05, 0.95)
"""Probabilities between these are undecided: the calibration error that matters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """One bin of the reliability curve.

    Attributes
    ----------
    low, high : float
        Edges; a bin holds its lower edge, the last one also 1.
    n, positive : int
        Findings, and those that are true microbleeds.
    mean_probability, frequency : float
        What was said, and what is.
    frequency_low, frequency_high : float
        Wilson's 95 % interval.
    """

    low: float
    high: float
    n: int
    positive: int
    mean_probability: float
    frequency: float
    frequency_low: float
    frequency_high: float


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Calibration:
    """How far probabilities can be trusted.

    Attributes
    ----------
    n : int
        Findings with a probability.
    error, error_open : Estimate
        Expected calibration error over all findings, and over those with 0.05 < p < 0.95.
    brier, brier_skill : Estimate
        Mean squared error; and its gain over saying the base rate every time.
    bins : tuple of Bin
        Those that hold findings.
    """

    n: int
    error: Estimate
    error_open: Estimate
    brier: Estimate
    brier_skill: Estimate
    bins: tuple[Bin, ...]


def reliability(probability: Floats, is_true: npt.ArrayLike, n_bins: int = N_BINS) -> list[Bin]:
    """Return equally wide bins over 0 to 1; empty bins are left out.

    Raises
    ------
    InputError
        Probabilities outside 0 to 1, or lists of different length.
    """
    p, y = np.asarray(probability, float), np.asarray(is_true, float)
    if p.shape != y.shape or p.ndim != 1:
        raise InputError(
            f"{p.shape} probabilities, {y.shape} outcomes",
            where="reliability",
            mend="Give one outcome for each probability.",
        )
    if len(p) and not ((p >= 0) & (p <= 1)).all():
        raise InputError(
            f"a probability of {p[~((p >= 0) & (p <= 1))][0]}",
            where="reliability",
            mend="Probabilities lie between 0 and 1.",
        )
    if n_bins < 1:
        raise ParameterError(f"{n_bins} bins", where="reliability", mend="Give 1 bin or more.")
    at = _bin_of(p, n_bins)
    found = []
    for b in np.unique(at).tolist():
        inside = at == b
        n, positive = int(inside.sum()), int(y[inside].sum())
        low, high = wilson(positive, n)
        found.append(
            Bin(
                low=b / n_bins,
                high=(b + 1) / n_bins,
                n=n,
                positive=positive,
                mean_probability=float(p[inside].mean()),
                frequency=positive / n,
                frequency_low=low,
                frequency_high=high,
            )
        )
    return found


def _bin_of(p: Floats, n_bins: int) -> npt.NDArray[np.int64]:
    # rounding of p * n must not push 0.3 into the bin below
    return np.minimum(np.floor(p * n_bins + 1e-9), n_bins - 1).astype(np.int64)


def calibration_error(probability: Floats, is_true: npt.ArrayLike, n_bins: int = N_BINS) -> float:
    r"""Return the expected calibration error; NaN without findings.

    .. math:: \sum_b \frac{n_b}{n} \left| \bar p_b - \bar y_b \right|

    References
    ----------
    .. [1] Naeini, Cooper & Hauskrecht (2015), AAAI 29, 2901-2907,
       doi:10.1609/aaai.v29i1.9602.
    """
    p, y = np.asarray(probability, float), np.asarray(is_true, float)
    if not len(p):
        return float("nan")
    apart = np.bincount(_bin_of(p, n_bins), weights=p - y, minlength=n_bins)
    return float(np.abs(apart).sum() / len(p))


def error_by_chance(
    probability: Floats, rng: np.random.Generator, n_bins: int = N_BINS, draws: int = 500
) -> float:
    """Return the calibration error that perfect probabilities would have; NaN without findings.

    Few findings never agree with their probabilities to the letter: outcomes are drawn from the
    probabilities themselves, and the mean of the errors is what an error must be held against.

    Parameters
    ----------
    probability : (N,) ndarray of float
        Of the findings.
    rng : Generator
        Draws the outcomes.
    n_bins, draws : int
        Bins of the curve, and how often outcomes are drawn.

    References
    ----------
    .. [1] Broecker & Smith (2007), Weather Forecast. 22, 651-661, doi:10.1175/WAF993.1
       (consistency resampling).
    """
    p = np.asarray(probability, float)
    if not len(p):
        return float("nan")
    errors = [calibration_error(p, rng.random(len(p)) < p, n_bins) for _ in range(draws)]
    return float(np.mean(errors))


def brier_score(probability: Floats, is_true: npt.ArrayLike) -> float:
    """Return the mean of (p - y)^2; NaN without findings.

    References
    ----------
    .. [1] Brier (1950), Mon. Weather Rev. 78, 1-3,
       doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2.
    """
    p, y = np.asarray(probability, float), np.asarray(is_true, float)
    return float(((p - y) ** 2).mean()) if len(p) else float("nan")


def brier_skill(probability: Floats, is_true: npt.ArrayLike) -> float:
    """Return 1 - Brier / (Brier of the base rate); NaN when all findings are alike."""
    y = np.asarray(is_true, float)
    base = float(y.mean() * (1 - y.mean())) if len(y) else 0.0
    return 1 - brier_score(probability, y) / base if base > 0 else float("nan")


def judged_findings(
    cases: Sequence[Case], *, rule: str = MAIN_RULE, forgiven: Sequence[str] = ()
) -> tuple[Floats, npt.NDArray[np.bool_], npt.NDArray[np.intp]]:
    """Return probability, truth and scan of every finding that can be judged.

    A finding is true when it meets a visible microbleed by the rule, all findings with a
    probability taking part. Those that meet an invisible one, or a forgiven class, are
    left out; of several on one lesion only one is true by the one-to-one rule.
    """
    probability, is_true, scan = [], [], []
    for n, case in enumerate(cases):
        known = np.isfinite(case.predicted.probability)
        outcome = outcome_of(case, rule=rule, counted=known, forgiven=forgiven)
        kept = outcome.good | outcome.false
        probability.append(case.predicted.probability[kept])
        is_true.append(outcome.good[kept])
        scan.append(np.full(int(kept.sum()), n, dtype=np.intp))
    return np.concatenate(probability), np.concatenate(is_true), np.concatenate(scan)


def calibration(
    cases: Sequence[Case],
    resampling: Resampling,
    *,
    rule: str = MAIN_RULE,
    forgiven: Sequence[str] = (),
    n_bins: int = N_BINS,
) -> Calibration | None:
    """Return the calibration of all findings of all scans; None without probabilities."""
    p, y, scan = judged_findings(cases, rule=rule, forgiven=forgiven)
    if not len(p):
        return None
    table = np.stack([p, y.astype(float)], axis=1)
    draws = resampling.for_rows(scan)
    undecided = (p > OPEN_RANGE[0]) & (p < OPEN_RANGE[1])
    open_table = np.where(undecided[:, None], table, np.nan)

    def estimate(values: Floats, of: str) -> Estimate:
        measure = {
            "error": lambda t: calibration_error(t[:, 0], t[:, 1], n_bins),
            "brier": lambda t: brier_score(t[:, 0], t[:, 1]),
            "skill": lambda t: brier_skill(t[:, 0], t[:, 1]),
        }[of]
        value, low, high = draws.statistic(values, measure)
        n = int(np.isfinite(values[:, 0]).sum())
        return Estimate(value=value, low=low, high=high, n=n)

    return Calibration(
        n=len(p),
        error=estimate(table, "error"),
        error_open=estimate(open_table, "error"),
        brier=estimate(table, "brier"),
        brier_skill=estimate(table, "skill"),
        bins=tuple(reliability(p, y, n_bins)),
    )
