"""The detector is not sure: its probabilities carried into prevalence and count models.

A finding is there with its calibrated probability. Counts are drawn so, the model is fitted to
each draw, and Rubin's rules join them: what the detector does not know widens the interval. It
holds as far as the probabilities hold, in each group that is compared; what was never found as a
candidate is not in them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.cohort.design_matrix import Design
from petechia.cohort.estimates import NAN, Estimate, Fit, Floats
from petechia.cohort.missing import pooled_fit, rubin
from petechia.core.logistic import expit
from petechia.errors import ParameterError


def count_distribution(probabilities: npt.ArrayLike) -> Floats:
    """Return the Poisson-binomial distribution of a scan's count (0 .. number of findings).

    References
    ----------
    .. [1] Chen & Liu (1997), Stat. Sin. 7, 875-892.
    """
    told = np.array([1.0])
    for p in _checked(probabilities):
        told = np.convolve(told, [1 - p, p])
    return told


def _checked(probabilities: npt.ArrayLike) -> Floats:
    p = np.asarray(probabilities, dtype=np.float64).ravel()
    if ((p < 0) | (p > 1) | ~np.isfinite(p)).any():
        raise ParameterError(
            "probabilities outside 0 to 1", where="detection", mend="Give calibrated ones."
        )
    return p


def draw_counts(
    probabilities: Sequence[npt.ArrayLike], rng: np.random.Generator, n_draws: int = 50
) -> npt.NDArray[np.int64]:
    """Return (n_draws, N) counts, each finding there with its probability, on its own."""
    counts = np.zeros((n_draws, len(probabilities)), dtype=np.int64)
    for n, of_scan in enumerate(probabilities):
        p = _checked(of_scan)
        counts[:, n] = (rng.random((n_draws, len(p))) < p).sum(axis=1)
    return counts


def uncertain_prevalence(
    probabilities: Sequence[npt.ArrayLike],
    rng: np.random.Generator,
    n_draws: int = 200,
    level: float = 0.95,
) -> Estimate:
    """Return the prevalence of any, with sampling and detection both in the interval.

    Parameters
    ----------
    probabilities : sequence of arrays
        Of all findings of each assessable scan (none: an empty array).
    rng : numpy Generator
        Of the draws.
    n_draws : int
        Number of them.

    Notes
    -----
    The value is the mean over scans of the probability of at least one; the interval is pooled
    on the logit (0.5 added to each side).
    """
    n = len(probabilities)
    about = {"measure": "proportion", "method": "Rubin's rules over draws, logit", "n": n}
    if not n:
        return Estimate(why="no scan", **about)  # type: ignore[arg-type]
    any_ = np.array([1 - float(np.prod(1 - _checked(p))) for p in probabilities])
    cases = (rng.random((n_draws, n)) < any_).sum(axis=1)
    logits = np.log((cases + 0.5) / (n - cases + 0.5))
    spread = 1 / (cases + 0.5) + 1 / (n - cases + 0.5)
    told = rubin(logits, spread, df_complete=max(n - 1, 1), level=level).estimate
    low, high = (float(v) for v in expit([told.low, told.high]))
    return Estimate(value=float(any_.mean()), low=low, high=high, se=NAN, **about)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, kw_only=True)
class UncertainFit:
    """A model of counts as they were counted, and with the uncertainty of detection.

    Attributes
    ----------
    naive : Fit
        Of the design's own outcome: counts taken for certain.
    pooled : Fit
        Of drawn counts: `statistics['fraction_missing']` tells what the detector's doubt costs.
    """

    naive: Fit
    pooled: Fit


def fit_uncertain(
    design: Design,
    probabilities: Sequence[npt.ArrayLike],
    fit: Callable[[Design], Fit],
    rng: np.random.Generator,
    n_draws: int = 50,
    level: float = 0.95,
) -> UncertainFit:
    """Draw counts, refit, pool by Rubin's rules.

    Parameters
    ----------
    design : Design
        Outcome: counts, or presence (0 or 1) when `fit` is of presence.
    probabilities : sequence of arrays
        Of all findings of each row of the table that the design was built of (`design.rows`
        picks from it).
    fit : callable
        From a design whose outcome is drawn counts to a fit.

    References
    ----------
    .. [1] Rubin (1987), Multiple Imputation for Nonresponse in Surveys, Wiley,
       doi:10.1002/9780470316696.
    """
    if len(design.rows) and int(design.rows.max()) >= len(probabilities):
        raise ParameterError(
            f"probabilities of {len(probabilities)} scans, row {int(design.rows.max())} asked for",
            where="fit_uncertain", mend="Give those of every row of the table.",
        )  # fmt: skip
    own = [probabilities[int(row)] for row in design.rows]
    drawn = draw_counts(own, rng, n_draws)
    fits = [fit(design.with_outcome(counts)) for counts in drawn]
    return UncertainFit(naive=fit(design), pooled=pooled_fit(fits, level))
