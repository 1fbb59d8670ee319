"""Logistic regression, with Firth's penalty where the outcome is separated."""

from collections.abc import Callable

import numpy as np
import statsmodels.api as sm
from scipy import stats
from scipy.optimize import brentq

from petechia.cohort.design_matrix import Design
from petechia.cohort.estimates import NAN, Fit, Floats, Term, attempt
from petechia.cohort.fitting import fitted, refused, unfitted
from petechia.cohort.separation import blamed, separating_direction
from petechia.core.logistic import expit
from petechia.errors import ParameterError

PENALTIES = ("auto", "none", "firth")
STEPS = 60
MEASURE = "odds ratio"
FIRTH = "logistic regression, Firth's penalty"


def logistic_regression(design: Design, penalty: str = "auto", level: float = 0.95) -> Fit:
    """Return odds ratios.

    Parameters
    ----------
    design : Design
        Outcome 0 or 1.
    penalty : str
        'none': maximum likelihood, status 'separated' where it has no end; 'firth': penalised
        likelihood with profile intervals; 'auto': the first, and the second (with a note) where
        it is separated.
    level : float
        Of the intervals.

    References
    ----------
    .. [1] Firth (1993), Biometrika 80, 27-38, doi:10.1093/biomet/80.1.27.
    .. [2] Heinze & Schemper (2002), Stat. Med. 21, 2409-2419, doi:10.1002/sim.1047.
    """
    if penalty not in PENALTIES:
        raise ParameterError(
            f"penalty {penalty!r}", where="logistic_regression",
            mend=f"Choose one of {', '.join(PENALTIES)}.",
        )  # fmt: skip
    model = "logistic regression"
    trouble = refused(design, model, MEASURE)
    if trouble is not None:
        return trouble
    if not np.isin(design.y, (0.0, 1.0)).all():
        raise ParameterError(
            f"outcome {design.outcome!r} with values besides 0 and 1",
            where="logistic_regression",
            mend="Give presence, not a count.",
        )
    parted = blamed(separating_direction, design.x, design.y, design.names)
    notes = (*design.notes, *_few_events(design))
    if parted and penalty == "none":
        said = f"the outcome is separated by {parted}: the likelihood has no maximum"
        return unfitted(design, model, MEASURE, "separated", said, notes)
    if parted and penalty == "auto":
        notes = (*notes, f"the outcome is separated by {parted}: Firth's penalised likelihood")
    if penalty == "firth" or parted:
        return _firth(design, notes, level)
    return _plain(design, model, notes, level)


def _few_events(design: Design) -> tuple[str, ...]:
    events = int(min(design.y.sum(), (1 - design.y).sum()))
    k = design.x.shape[1] - 1
    if events >= 10 * k:
        return ()
    return (
        f"{events} events for {k} terms, fewer than ten for each: odds ratios lean away from 1",
    )


def _plain(design: Design, model: str, notes: tuple[str, ...], level: float) -> Fit:
    z, back = design.standardised()
    made, heard = attempt(
        lambda: sm.GLM(design.y, z, family=sm.families.Binomial(), offset=design.offset).fit(
            tol=1e-12, maxiter=200
        )
    )
    if made is None or not made.converged:
        said = f"the iteration did not converge ({heard or 'no reason told'})"
        return unfitted(design, model, MEASURE, "not_converged", said, notes)
    return fitted(
        design, model, MEASURE, [(name, "") for name in design.names], back @ made.params,
        back @ np.asarray(made.cov_params()) @ back.T, notes=notes, level=level,
        log_likelihood=float(made.llf), statistics={"events": float(design.y.sum())},
    )  # fmt: skip


class _Penalised:
    """Firth's likelihood of one design (standardised columns)."""

    def __init__(self, x: Floats, y: Floats, offset: Floats) -> None:
        self.x, self.y, self.offset = x, y, offset

    def parts(self, b: Floats) -> tuple[float, Floats, Floats]:
        """Return penalised log-likelihood, its score, and the information."""
        eta = self.x @ b + self.offset
        p = expit(eta)
        w = p * (1 - p)
        information = (self.x * w[:, None]).T @ self.x
        _, log_det = np.linalg.slogdet(information)
        likelihood = float((self.y * eta - np.logaddexp(0, eta)).sum() + 0.5 * log_det)
        inverse = np.linalg.pinv(information, hermitian=True)
        hat = w * np.einsum("ij,jk,ik->i", self.x, inverse, self.x)
        return likelihood, self.x.T @ (self.y - p + hat * (0.5 - p)), information

    def maximum(self, start: Floats, held: int | None = None) -> tuple[Floats, float, bool]:
        """Return the maximising coefficients (one held where it is), the value, and success."""
        free = np.array([k for k in range(len(start)) if k != held], dtype=np.intp)
        b = start.copy()
        value, score, information = self.parts(b)
        for _ in range(STEPS):
            if not len(free):
                return b, value, True
            step = np.linalg.lstsq(information[np.ix_(free, free)], score[free], rcond=None)[0]
            if float(score[free] @ step) < 1e-11:  # twice what is left to gain
                return b, value, True
            step *= min(1.0, 5.0 / max(float(np.abs(step).max()), 1e-12))
            size = 1.0
            while size > 1e-5:
                moved = b.copy()
                moved[free] += size * step
                told = self.parts(moved)
                if told[0] >= value:
                    break
                size /= 2
            else:
                return b, value, bool(score[free] @ step < 1e-6)
            b, (value, score, information) = moved, told
        return b, value, False


def _firth(design: Design, notes: tuple[str, ...], level: float) -> Fit:
    """Return Firth's estimates, with p-values and intervals of the penalised profile."""
    z, back = design.standardised()
    plain = _Penalised(z, design.y, design.offset)
    b, top, met = plain.maximum(np.zeros(z.shape[1]))
    if not met:
        said = "the penalised iteration did not converge"
        return unfitted(design, FIRTH, MEASURE, "not_converged", said, notes)
    covariance = back @ np.linalg.pinv(plain.parts(b)[2], hermitian=True) @ back.T
    value = back @ b
    se = np.sqrt(np.diag(covariance))
    size = np.diag(back)  # of the slopes: profiles are the same on standardised columns
    terms = []
    for k, name in enumerate(design.names):
        if name == "intercept" and len(design.names) > 1:  # of nobody: Wald's will do
            low, high = (float(value[k] + way * se[k]) for way in stats.norm.interval(level))
            p = float(2 * stats.norm.sf(abs(value[k]) / se[k]))
        else:
            ends = _profile(plain, b, k, float(se[k] / size[k]), level)
            low, high, p = ends[0] * size[k], ends[1] * size[k], ends[2]
        terms.append(
            Term(
                name=name, coefficient=float(value[k]), se=float(se[k]), low=float(low),
                high=float(high), p=p, ratio=_power(value[k]), ratio_low=_power(low),
                ratio_high=_power(high),
            )
        )  # fmt: skip
    return Fit(
        model=FIRTH, outcome=design.outcome, measure=MEASURE, status="fitted",
        said="converged; intervals and p-values of the penalised profile", terms=tuple(terms),
        n=len(design.y), left_out=design.left_out, notes=notes, log_likelihood=top, aic=NAN,
        statistics={"events": float(design.y.sum())}, covariance=covariance,
    )  # fmt: skip


def _power(value: float) -> float:
    return float(np.exp(np.clip(value, -700, 700))) if np.isfinite(value) else float(np.exp(value))


def _profile(
    model: _Penalised, best: Floats, k: int, se: float, level: float
) -> tuple[float, float, float]:
    """Return the interval and p of one coefficient by the likelihood ratio."""
    top = model.parts(best)[0]
    limit = float(stats.chi2.ppf(level, 1)) / 2

    def loss(at: float) -> float:
        start = best.copy()
        start[k] = at
        return top - model.maximum(start, held=k)[1]

    p = float(stats.chi2.sf(max(0.0, 2 * loss(0.0)), 1))
    return _edge(loss, best[k], -se, limit), _edge(loss, best[k], se, limit), p


def _edge(loss: Callable[[float], float], centre: float, step: float, limit: float) -> float:
    """Return where the profile has fallen by `limit`, on the side of `step`; infinite if never."""
    inner, outer = centre, centre + step
    for _ in range(12):
        if loss(outer) > limit:
            return float(brentq(lambda at: loss(at) - limit, inner, outer, xtol=1e-8, rtol=1e-10))
        inner, outer, step = outer, outer + 2 * step, 2 * step
    return float(np.copysign(np.inf, step))
