"""Proportional odds for ordered categories (count bins, grades), with a check of the assumption."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from scipy import stats
from statsmodels.miscmodels.ordinal_model import OrderedModel

from petechia.cohort.design_matrix import Design
from petechia.cohort.estimates import NAN, Fit, Floats, attempt
from petechia.cohort.fitting import fitted, refused, unfitted
from petechia.cohort.logistic import logistic_regression
from petechia.cohort.separation import separating_direction
from petechia.core.logistic import expit
from petechia.errors import ParameterError

MODEL, MEASURE = "proportional odds (ordinal logistic) regression", "odds ratio"
DOUBTFUL = 0.05


def proportional_odds(
    design: Design, words: Sequence[str] | None = None, level: float = 0.95
) -> Fit:
    """Return odds ratios of a higher category; y holds 0, 1, 2, ... in order.

    Parameters
    ----------
    design : Design
        Outcome: the place of the category. Categories that nobody is in are passed over.
    words : sequence of str, optional
        Names of the categories, for the thresholds.
    level : float
        Of the intervals.

    Notes
    -----
    `statistics['p_proportional']` is Brant's: one odds ratio for all cuts, or one for each. A
    note says when the assumption is doubtful (p < 0.05); with many people it is small long
    before it matters. NaN where a cut alone is separated.

    References
    ----------
    .. [1] McCullagh (1980), J. R. Stat. Soc. B 42, 109-142,
       doi:10.1111/j.2517-6161.1980.tb01109.x.
    .. [2] Brant (1990), Biometrics 46, 1171-1178, doi:10.2307/2532457.
    """
    seen, y = np.unique(design.y, return_inverse=True)
    if (design.y % 1 != 0).any() or (len(design.y) and design.y.min() < 0):
        raise ParameterError(
            "categories that are not 0, 1, 2, ...", where="proportional_odds",
            mend="Give the place of each category in their order.",
        )  # fmt: skip
    trouble = refused(design, MODEL, MEASURE, spare=len(seen))
    if trouble is not None:
        return trouble
    labels = [str(int(v)) if words is None else str(words[int(v)]) for v in seen]
    at = design.names.index("intercept")
    columns = [n for n in range(len(design.names)) if n != at]
    stacked, above = _stacked(design.x[:, columns], y, len(seen))
    if separating_direction(stacked, above).any():
        said = "a term puts the categories in order without fail: the likelihood has no maximum"
        return unfitted(design, MODEL, MEASURE, "separated", said)
    z, back = design.standardised()
    made, heard = attempt(
        lambda: OrderedModel(y, z[:, columns], offset=design.offset, distr="logit").fit(
            method="bfgs", maxiter=2000, disp=0, warn_convergence=False
        )
    )
    if made is None or not made.mle_retvals["converged"]:
        said = f"the iteration did not converge ({heard or 'no reason told'})"
        return unfitted(design, MODEL, MEASURE, "not_converged", said)
    covariance, _ = attempt(lambda: np.asarray(made.cov_params()))
    if covariance is None:
        return unfitted(design, MODEL, MEASURE, "singular", "the Hessian cannot be inverted")
    k, cuts = len(columns), len(seen) - 1
    params = np.asarray(made.params, dtype=np.float64)
    thresholds = params[k] + np.concatenate([[0.0], np.cumsum(np.exp(params[k + 1 :]))])
    # slopes and thresholds of the design's own columns, from what was fitted
    turn = np.zeros((k + cuts, len(params)))
    turn[:k, :k] = back[np.ix_(columns, columns)]
    turn[k:, :k] = -back[at, columns]
    turn[k:, k] = 1.0
    for cut in range(1, cuts):
        turn[k + cut :, k + cut] = np.exp(params[k + cut])
    value = np.concatenate([turn[:k, :k] @ params[:k], thresholds + turn[k:, :k] @ params[:k]])
    names = [(design.names[n], "") for n in columns]
    names += [(f"{a}|{b}", "threshold") for a, b in pairwise(labels)]
    p = _brant(design, y, len(seen))
    notes = design.notes
    if p < DOUBTFUL:
        notes = (*notes, f"one odds ratio for all cuts is doubtful (Brant, p = {p:.3g})")
    return fitted(
        design, MODEL, MEASURE, names, value, turn @ covariance @ turn.T, notes=notes, level=level,
        log_likelihood=float(made.llf), statistics={"p_proportional": p, "categories": len(seen)},
    )  # fmt: skip


def _stacked(x: Floats, y: np.ndarray, q: int) -> tuple[Floats, Floats]:
    """Return all cuts one below the other, each with an intercept of its own."""
    parts, above = [], []
    for cut in range(q - 1):
        own = np.zeros((len(x), q - 1))
        own[:, cut] = 1.0
        parts.append(np.hstack([own, x]))
        above.append((y > cut).astype(np.float64))
    return np.concatenate(parts), np.concatenate(above)


def _brant(design: Design, y: np.ndarray, q: int) -> float:
    """Return the p of equal slopes at all cuts; NaN where one cannot be fitted."""
    if q < 3:
        return NAN
    z, _ = design.standardised()
    plain = replace(design, x=z)
    slopes, chances, inverses = [], [], []
    for cut in range(q - 1):
        made = logistic_regression(plain.with_outcome(y > cut), "none")
        if not made.ok:
            return NAN
        b = np.array([term.coefficient for term in made.terms])
        slopes.append(b)
        chances.append(expit(z @ b + design.offset))
        inverses.append(made.covariance)
    keep = [n for n, name in enumerate(design.names) if name != "intercept"]
    k = len(keep)
    spread = np.zeros((k * (q - 1), k * (q - 1)))
    for i in range(q - 1):
        for j in range(i, q - 1):
            w = chances[j] - chances[i] * chances[j]  # being above j is being above i
            block = inverses[i] @ ((z * w[:, None]).T @ z) @ inverses[j]
            block = block[np.ix_(keep, keep)]
            spread[i * k : (i + 1) * k, j * k : (j + 1) * k] = block
            spread[j * k : (j + 1) * k, i * k : (i + 1) * k] = block.T
    all_ = np.concatenate([b[keep] for b in slopes])
    contrast = np.hstack([np.tile(-np.eye(k), (q - 2, 1)), np.eye(k * (q - 2))])
    apart = contrast @ all_
    between = contrast @ spread @ contrast.T
    if np.linalg.matrix_rank(between) < len(apart):
        return NAN
    return float(stats.chi2.sf(apart @ np.linalg.solve(between, apart), len(apart)))
