"""Regression of counts: Poisson, negative binomial, zero-inflated and hurdle."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import statsmodels.api as sm
from scipy import stats
from scipy.linalg import block_diag
from statsmodels.discrete.truncated_model import (
    TruncatedLFNegativeBinomialP,
    TruncatedLFPoisson,
)

from petechia.cohort.design_matrix import Design
from petechia.cohort.estimates import NAN, Fit, Floats, attempt
from petechia.cohort.fitting import fitted, refused, unfitted
from petechia.cohort.logistic import logistic_regression
from petechia.cohort.ratios import LEAST_PEOPLE
from petechia.cohort.separation import blamed, emptying_direction
from petechia.errors import ParameterError

MEASURE = "rate ratio"
NAMES = {
    "poisson": "Poisson regression, robust errors",
    "negative_binomial": "negative binomial regression",
    "zero_inflated_poisson": "zero-inflated Poisson regression",
    "zero_inflated_negative_binomial": "zero-inflated negative binomial regression",
    "hurdle_poisson": "hurdle: logistic, then Poisson of those with any",
    "hurdle_negative_binomial": "hurdle: logistic, then negative binomial of those with any",
}
COUNT_MODELS = tuple(NAMES)
LEAST_ALPHA = 1e-5
"""Below it a dispersion is none."""


def count_regression(design: Design, model: str = "negative_binomial", level: float = 0.95) -> Fit:
    """Return rate ratios of a count model; terms of the zeros have part 'zeros'.

    Parameters
    ----------
    design : Design
        Outcome: whole numbers from 0.
    model : str
        One of `COUNT_MODELS`. `poisson` has robust (sandwich) errors. In zero-inflated models the
        share of those who never have any is the same for all ('zeros': its log-odds), and rate
        ratios are of the others. In hurdle models 'zeros' are the odds of none, and rate ratios
        are of the untruncated mean of those with any.
    level : float
        Of the intervals.

    Notes
    -----
    The negative binomial has variance mu + alpha mu^2; 'dispersion' is alpha. Where counts spread
    no more than Poisson's, alpha is at its bound 0 and the Poisson fit is given, with a note.

    References
    ----------
    .. [1] Hilbe (2011), Negative Binomial Regression, 2nd ed., Cambridge University Press.
    .. [2] Lambert (1992), Technometrics 34, 1-14, doi:10.2307/1269547.
    .. [3] Mullahy (1986), J. Econom. 33, 341-365, doi:10.1016/0304-4076(86)90002-3.
    """
    if model not in NAMES:
        raise ParameterError(
            f"model {model!r}", where="count_regression",
            mend=f"Choose one of {', '.join(COUNT_MODELS)}.",
        )  # fmt: skip
    if (design.y < 0).any() or (design.y % 1 != 0).any():
        raise ParameterError(
            f"outcome {design.outcome!r} is not of counts", where="count_regression",
            mend="Give whole numbers from 0; a volume is told by `exposure_time`.",
        )  # fmt: skip
    trouble = refused(design, NAMES[model], MEASURE, spare=2)
    if trouble is not None:
        return trouble
    if not model.startswith("hurdle"):
        parted = _emptied(design, design.y)
        if parted:
            said = f"nobody has any where {parted} tells so: its rate ratio is 0 or has no end"
            return unfitted(design, NAMES[model], MEASURE, "separated", said)
    return _FITS[model](design, level)


def _emptied(design: Design, y: Floats) -> str:
    """Return the columns along which a mean goes to 0 where nobody has any."""
    return blamed(emptying_direction, design.x, y, design.names)


def _mean(design: Design) -> tuple[Any, Floats]:
    """Return the Poisson fit on standardised columns, and its means."""
    z, _ = design.standardised()
    made, heard = attempt(
        lambda: sm.GLM(design.y, z, family=sm.families.Poisson(), offset=design.offset).fit(
            cov_type="HC1", tol=1e-11, maxiter=200
        )
    )
    if made is None or not made.converged:
        return heard, np.full(len(design.y), NAN)
    return made, np.asarray(made.fittedvalues, dtype=np.float64)


def _poisson(design: Design, level: float) -> Fit:
    made, mu = _mean(design)
    name = NAMES["poisson"]
    if isinstance(made, str) or made is None:
        said = f"the iteration did not converge ({made or 'no reason told'})"
        return unfitted(design, name, MEASURE, "not_converged", said)
    _, back = design.standardised()
    robust = back @ np.asarray(made.cov_params()) @ back.T
    covariance, notes = _at_least_poisson(design, robust, mu)
    spread = float(((design.y - mu) ** 2 / mu).sum() / (len(mu) - len(made.params)))
    return fitted(
        design, name, MEASURE, [(n, "") for n in design.names], back @ made.params,
        covariance, notes=notes, level=level,
        log_likelihood=float(made.llf), statistics={"pearson_dispersion": spread},
    )  # fmt: skip


def _at_least_poisson(design: Design, robust: Floats, mu: Floats) -> tuple[Floats, tuple[str, ...]]:
    """Return robust covariances, no variance below Poisson's where few people tell a term.

    The residuals of a group of one are 0, and so would be its part of the robust variance.
    """
    if not (few := design.told_by_few(LEAST_PEOPLE)):
        return robust, design.notes
    plain = np.linalg.pinv(design.x.T @ (mu[:, None] * design.x))
    least = np.sqrt(np.maximum(np.diag(plain) / np.diag(robust), 1.0))
    said = f"fewer than {LEAST_PEOPLE} rows tell {', '.join(few)}: errors are at least Poisson's"
    return robust * np.outer(least, least), (*design.notes, said)


def _negative_binomial(design: Design, level: float) -> Fit:
    name = NAMES["negative_binomial"]
    start, mu = _mean(design)
    if not np.isfinite(mu).all():
        return unfitted(
            design, name, MEASURE, "not_converged", "the Poisson start did not converge"
        )
    extra = float(((design.y - mu) ** 2 - design.y).sum())
    if extra <= 0:  # the likelihood falls as soon as alpha leaves 0
        return _at_bound(design, level)
    z, back = design.standardised()
    alpha = max(extra / float((mu**2).sum()), 0.05)
    made, heard = _maximum(
        lambda: sm.NegativeBinomial(design.y, z, offset=design.offset),
        np.append(np.asarray(start.params), alpha),
    )
    if made is None:
        return unfitted(design, name, MEASURE, "not_converged", heard)
    if made.params[-1] < LEAST_ALPHA:
        return _at_bound(design, level)
    names = [*((n, "") for n in design.names), ("dispersion", "spread")]
    return _finish(design, name, made, names, block_diag(back, 1.0), level)


def _at_bound(design: Design, level: float) -> Fit:
    plain = _poisson(design, level)
    note = "counts spread no more than Poisson's: dispersion 0, the Poisson fit is given"
    return replace(
        plain, model=NAMES["negative_binomial"], notes=(*plain.notes, note), aic=plain.aic + 2,
        statistics={**plain.statistics, "dispersion": 0.0},
    )  # fmt: skip


NEWTON, BFGS, SIMPLEX = ("newton", 100), ("bfgs", 1000), ("nm", 4000)


def _maximum(
    model: Callable[[], Any],
    start: Floats,
    methods: tuple[tuple[str, int], ...] = (NEWTON, BFGS, SIMPLEX),
) -> tuple[Any, str]:
    """Return a converged result with an invertible Hessian by one method or another, or why not."""
    said = "the iteration did not converge"
    for method, steps in methods:
        made, heard = attempt(
            lambda method=method, steps=steps: model().fit(  # type: ignore[misc]
                start_params=start, method=method, maxiter=steps, disp=0, warn_convergence=False
            )
        )
        if made is None:
            said = f"the iteration failed ({heard})"
            continue
        if not made.mle_retvals["converged"] or not np.isfinite(made.llf):
            continue
        spread, _ = attempt(lambda made=made: np.asarray(made.cov_params()))  # type: ignore[misc]
        if spread is not None and np.isfinite(spread).all() and (np.diag(spread) > 0).all():
            return made, ""
        said = "the Hessian cannot be inverted where the iteration ended"
    return None, said


def _finish(
    design: Design,
    name: str,
    made: Any,
    names: list[tuple[str, str]],
    back: Floats,
    level: float,
    notes: tuple[str, ...] = (),
) -> Fit:
    value = back @ np.asarray(made.params)
    statistics = {
        n: float(v) for (n, part), v in zip(names, value, strict=True) if part == "spread"
    }
    return fitted(
        design, name, MEASURE, names, value, back @ np.asarray(made.cov_params()) @ back.T,
        notes=(*design.notes, *notes), level=level, log_likelihood=float(made.llf),
        statistics=statistics,
    )  # fmt: skip


def _inflated(negative_binomial: bool) -> Callable[[Design, float], Fit]:
    def fit(design: Design, level: float) -> Fit:
        key = "zero_inflated_" + ("negative_binomial" if negative_binomial else "poisson")
        name = NAMES[key]
        start, mu = _mean(design)
        if not np.isfinite(mu).all():
            said = "the Poisson start did not converge"
            return unfitted(design, name, MEASURE, "not_converged", said)
        excess = float((design.y == 0).mean() - np.exp(-mu).mean())
        none = "no more zeros than such counts make by themselves: their part cannot be told"
        if excess <= 0:
            return unfitted(design, name, MEASURE, "singular", none)
        z, back = design.standardised()
        share = min(max(excess, 0.02), 0.9)
        first = [np.log(share / (1 - share)), *np.asarray(start.params)]
        first[1 + design.names.index("intercept")] -= np.log(1 - share)
        kind = sm.ZeroInflatedNegativeBinomialP if negative_binomial else sm.ZeroInflatedPoisson
        if negative_binomial:
            first.append(0.5)
        made, heard = _maximum(
            lambda: kind(design.y, z, exog_infl=np.ones((len(z), 1)), offset=design.offset),
            np.array(first),
            (BFGS, NEWTON, SIMPLEX),  # its Hessian is numerical, and slow
        )
        if made is None:
            status = "singular" if "Hessian" in heard else "not_converged"
            return unfitted(design, name, MEASURE, status, heard)
        if made.params[0] < -8:
            return unfitted(design, name, MEASURE, "singular", none)
        if negative_binomial and made.params[-1] < LEAST_ALPHA:
            said = "the dispersion is at its bound 0: read the zero-inflated Poisson model"
            return unfitted(design, name, MEASURE, "singular", said)
        names = [("intercept", "zeros"), *((n, "") for n in design.names)]
        if negative_binomial:
            names.append(("dispersion", "spread"))
        parts = (np.eye(1), back, np.eye(1)) if negative_binomial else (np.eye(1), back)
        return _finish(design, name, made, names, block_diag(*parts), level)

    return fit


def _hurdle(negative_binomial: bool) -> Callable[[Design, float], Fit]:
    def fit(design: Design, level: float) -> Fit:
        name = NAMES["hurdle_" + ("negative_binomial" if negative_binomial else "poisson")]
        none = logistic_regression(
            replace(design.with_outcome(design.y == 0), offset=np.zeros(len(design.y))),
            "none",
            level,
        )
        if not none.ok:
            return unfitted(design, name, MEASURE, none.status, f"part of the zeros: {none.said}")
        some = design.y > 0
        part = replace(
            design, y=design.y[some], x=design.x[some], offset=design.offset[some],
            rows=design.rows[some],
        )  # fmt: skip
        above, heard = _above_zero(part, negative_binomial)
        if above is None:
            status = "separated" if "1 is" in heard else "not_converged"
            status = "too_few" if "rows" in heard else status
            return unfitted(design, name, MEASURE, status, f"part of those with any: {heard}")
        made, back = above
        names = [(n, "") for n in design.names] + [("dispersion", "spread")] * negative_binomial
        own = block_diag(back, 1.0) if negative_binomial else back
        value = own @ np.asarray(made.params)
        covariance = own @ np.asarray(made.cov_params()) @ own.T
        k = len(design.names)
        return fitted(
            design, name, MEASURE, [*names, *((n, "zeros") for n in design.names)],
            np.concatenate([value, [none.term(n).coefficient for n in design.names]]),
            block_diag(covariance, none.covariance), level=level,
            log_likelihood=float(made.llf) + none.log_likelihood, n_parameters=len(value) + k,
            statistics={"dispersion": float(value[-1])} if negative_binomial else {},
        )  # fmt: skip

    return fit


def _above_zero(part: Design, negative_binomial: bool) -> tuple[tuple[Any, Floats] | None, str]:
    """Return the zero-truncated fit of those with any and its way back, or why there is none."""
    n, k = part.x.shape
    if n < k + 2 + negative_binomial:
        return None, f"{n} rows for {k} coefficients"
    if np.linalg.matrix_rank(part.x) < k or part.y.max() == 1:
        return None, "the columns do not all vary, or nobody has more than one"
    parted = _emptied(part, part.y - 1)
    if parted:
        return None, f"1 is all that anybody has where {parted} tells so"
    z, back = part.standardised()
    kind = TruncatedLFNegativeBinomialP if negative_binomial else TruncatedLFPoisson
    first = np.zeros(k + negative_binomial)
    first[part.names.index("intercept")] = np.log(part.y.mean()) - part.offset.mean()
    if negative_binomial:
        first[-1] = 0.5
    made, heard = _maximum(lambda: kind(part.y, z, offset=part.offset), first)
    if made is not None and negative_binomial and made.params[-1] < LEAST_ALPHA:
        return None, "the dispersion is at its bound 0: read the Poisson hurdle"
    return (None, heard) if made is None else ((made, back), "")


_FITS: dict[str, Callable[[Design, float], Fit]] = {
    "poisson": _poisson,
    "negative_binomial": _negative_binomial,
    "zero_inflated_poisson": _inflated(False),
    "zero_inflated_negative_binomial": _inflated(True),
    "hurdle_poisson": _hurdle(False),
    "hurdle_negative_binomial": _hurdle(True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CountChoice:
    """All count models of one design, and the one of least AIC.

    Attributes
    ----------
    models : tuple of str
        Names, in the order of `fits`.
    fits : tuple of Fit
        One for each model, also those that failed.
    chosen : str
        Name of the model of least AIC among those that fitted; '' when none did.
    said : str
        In words, with the AIC of each.
    dispersion : float
        Pearson's chi-square over its degrees of freedom of the Poisson model (1 = Poisson).
    p_dispersion : float
        One-sided, of more spread than Poisson (Cameron & Trivedi).
    zeros, zeros_expected, p_zeros : float
        Scans without any; expected by Poisson; one-sided score test of more (van den Broek).
    """

    models: tuple[str, ...]
    fits: tuple[Fit, ...]
    chosen: str
    said: str
    dispersion: float
    p_dispersion: float
    zeros: int
    zeros_expected: float
    p_zeros: float

    def fit(self, model: str = "") -> Fit:
        """Return the fit of a model; the chosen one where none is named.

        Raises
        ------
        KeyError
            If there is none of that name, or none fitted.
        """
        name = model or self.chosen
        if name not in self.models:
            raise KeyError(name)
        return self.fits[self.models.index(name)]


def choose_count_model(
    design: Design, models: Sequence[str] = COUNT_MODELS, level: float = 0.95
) -> CountChoice:
    """Fit every model, test dispersion and zeros, and choose by AIC.

    Notes
    -----
    A p-value of a model that was chosen by the same data is somewhat too small; where the model
    can be named beforehand (negative binomial), name it.

    References
    ----------
    .. [1] Cameron & Trivedi (1990), J. Econom. 46, 347-364, doi:10.1016/0304-4076(90)90014-K.
    .. [2] van den Broek (1995), Biometrics 51, 738-743, doi:10.2307/2532959.
    """
    fits = tuple(count_regression(design, model, level) for model in models)
    scored = {m: f.aic for m, f in zip(models, fits, strict=True) if f.ok and np.isfinite(f.aic)}
    chosen = min(scored, key=lambda m: scored[m]) if scored else ""
    told = "; ".join(
        f"{m} {scored[m]:.1f}" if m in scored else f"{m}: {f.status}"
        for m, f in zip(models, fits, strict=True)
    )
    said = f"least AIC: {chosen} ({told})" if chosen else f"no count model fitted ({told})"
    return CountChoice(
        models=tuple(models), fits=fits, chosen=chosen, said=said, **_departures(design)
    )


def _departures(design: Design) -> dict[str, Any]:
    """Return tests of spread and of zeros beyond those of the Poisson model."""
    zeros = int((design.y == 0).sum())
    nothing = {
        "dispersion": NAN, "p_dispersion": NAN, "zeros": zeros, "zeros_expected": NAN,
        "p_zeros": NAN,
    }  # fmt: skip
    if refused(design, "", MEASURE) is not None or _emptied(design, design.y):
        return nothing
    _, mu = _mean(design)
    n, k = design.x.shape
    if not np.isfinite(mu).all():
        return nothing
    y = design.y
    own = ((y - mu) ** 2 - y) / mu  # regressed on mu, without constant
    slope = float((own * mu).sum() / (mu**2).sum())
    left = own - slope * mu
    se = float(np.sqrt((left**2).sum() / (n - 1) / (mu**2).sum()))
    none = np.exp(-mu)
    pull = float((((y == 0) - none) / none).sum())
    bend = (design.x * mu[:, None]).T @ design.x
    told = design.x.T @ mu
    variance = float(((1 - none) / none).sum() - told @ np.linalg.lstsq(bend, told, rcond=None)[0])
    return {
        "dispersion": float(((y - mu) ** 2 / mu).sum() / (n - k)),
        "p_dispersion": float(stats.norm.sf(slope / se)) if se else NAN,
        "zeros": zeros, "zeros_expected": float(none.sum()),
        "p_zeros": float(stats.norm.sf(pull / np.sqrt(variance))) if variance > 0 else NAN,
    }  # fmt: skip
