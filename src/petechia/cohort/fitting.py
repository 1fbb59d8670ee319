"""The frame around every fit: what is refused before, and what is believed after."""

import numpy as np
import numpy.typing as npt

from petechia.cohort.design_matrix import Design
from petechia.cohort.estimates import NAN, Fit, Term, normal_terms

LEAST_ROWS = 10
"""Large-sample intervals of fewer rows are numbers that mean nothing."""


def refused(
    design: Design, model: str, measure: str, spare: int = 1, events: bool = True
) -> Fit | None:
    """Return why there is nothing to fit, if so: too few rows or events, or no variation.

    `events`: rows unlike the commonest value of the outcome (of counts: with any) must be as many
    as coefficients, for each of them has to be told from something.
    """
    n, k = design.x.shape
    least = max(k + spare, LEAST_ROWS)
    if n < least:
        said = f"too few: {n} rows for {k} coefficients, {least} are needed"
        return unfitted(design, model, measure, "too_few", said)
    if np.ptp(design.y) == 0:
        said = f"{design.outcome} is {design.y[0]:g} in every row"
        return unfitted(design, model, measure, "no_variation", said)
    if not design.exposures:
        return unfitted(design, model, measure, "no_variation", "no exposure varies")
    told = n - int(np.unique(design.y, return_counts=True)[1].max())
    if events and told < k:
        said = (
            f"too few: {told} rows differ from the commonest {design.outcome}, for {k} coefficients"
        )
        return unfitted(design, model, measure, "too_few", said)
    return None


def unfitted(
    design: Design,
    model: str,
    measure: str,
    status: str,
    said: str,
    notes: tuple[str, ...] | None = None,
) -> Fit:
    """Return the fit that gives no number, and why."""
    return Fit(
        model=model, outcome=design.outcome, measure=measure, status=status, said=said,
        terms=tuple(Term(name=name) for name in design.names), n=len(design.y),
        left_out=design.left_out, notes=design.notes if notes is None else notes,
    )  # fmt: skip


def fitted(
    design: Design,
    model: str,
    measure: str,
    names: list[tuple[str, str]],
    coefficients: npt.ArrayLike,
    covariance: npt.ArrayLike,
    *,
    notes: tuple[str, ...] | None = None,
    level: float = 0.95,
    df: float = np.inf,
    log_likelihood: float = NAN,
    n_parameters: int | None = None,
    statistics: dict[str, float] | None = None,
    said: str = "converged",
) -> Fit:
    """Return the fit with its terms, or 'singular' where a variance is not a positive number."""
    spread = np.asarray(covariance, dtype=np.float64)
    value = np.asarray(coefficients, dtype=np.float64)
    told = design.notes if notes is None else notes
    if (
        not np.isfinite(spread).all()
        or not np.isfinite(value).all()
        or (np.diag(spread) <= 0).any()
    ):
        why = "the Hessian cannot be inverted: the data do not tell the terms apart"
        return unfitted(design, model, measure, "singular", why, told)
    k = len(value) if n_parameters is None else n_parameters
    ratios = measure.endswith("ratio")
    return Fit(
        model=model, outcome=design.outcome, measure=measure, status="fitted", said=said,
        terms=normal_terms(names, value, spread, ratios=ratios, level=level, df=df),
        n=len(design.y), left_out=design.left_out, notes=told, log_likelihood=log_likelihood,
        aic=2 * k - 2 * log_likelihood, statistics=statistics or {}, covariance=spread,
    )  # fmt: skip
