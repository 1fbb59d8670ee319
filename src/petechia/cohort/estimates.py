"""What every method of this room hands back: an estimate, or a fitted model that tells how it went.

A model whose iteration ended early, whose outcome is separated, or whose Hessian cannot be
inverted keeps its words and gives no p-value, no interval and no coefficient.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from scipy import stats

Floats = npt.NDArray[np.float64]
Columns = Mapping[str, Any]
"""A table: name to column. A pandas DataFrame serves, and so does a dict of arrays."""
NAN = float("nan")
T = TypeVar("T")

STATUSES = {
    "fitted": "converged; estimates, intervals and p-values hold under the model",
    "separated": "a term foretells the outcome without fail: its estimate has no end",
    "not_converged": "the iteration ended before its goal",
    "singular": "the Hessian cannot be inverted: the data do not tell the terms apart",
    "too_few": "fewer rows (or events, or groups) than the model needs",
    "no_variation": "the outcome, or all that was to explain it, is the same in every row",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number with its interval.

    Attributes
    ----------
    name : str
        What it is of.
    value, low, high : float
        Estimate and interval; NaN where they are not defined; infinite where they have no end.
    se : float
        Standard error: of the logarithm where `measure` ends with 'ratio', else of the value.
    p : float
        Of the hypothesis of no difference (ratio 1, difference 0); NaN where none is tested.
    n : int
        People, scans or findings behind it.
    measure : str
        'proportion', 'odds ratio', 'risk ratio', 'rate ratio', 'difference', 'rate', ...
    method : str
        Of interval and p-value, in words.
    why : str
        Why something is not defined, or what was done about it; empty when nothing is to be said.
    """

    name: str = ""
    value: float = NAN
    low: float = NAN
    high: float = NAN
    se: float = NAN
    p: float = NAN
    n: int = 0
    measure: str = ""
    method: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One coefficient of a model.

    Attributes
    ----------
    name : str
        Column of the design: 'age', 'sequence[swi]' for a level against the reference.
    part : str
        '' for the main part; 'zeros' for the part that makes zeros; 'threshold' of an ordinal
        model; 'spread' for dispersion and variances.
    coefficient, se, low, high : float
        On the scale of the link (log, log-odds, or the outcome's own); NaN unless fitted.
    p : float
        Two-sided, of coefficient 0.
    ratio, ratio_low, ratio_high : float
        Exponentials (odds or rate ratio); NaN where the model has no logarithmic link.
    """

    name: str
    part: str = ""
    coefficient: float = NAN
    se: float = NAN
    low: float = NAN
    high: float = NAN
    p: float = NAN
    ratio: float = NAN
    ratio_low: float = NAN
    ratio_high: float = NAN


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A model and how its fit went.

    Attributes
    ----------
    model : str
        In words: 'negative binomial regression (log link)'.
    outcome, measure : str
        Column that was explained; what the exponentials are ('odds ratio', 'rate ratio'), or
        'difference'.
    status : str
        A key of `STATUSES`.
    said : str
        A sentence for the reader: that it converged, or what is wrong.
    terms : tuple of Term
        NaN throughout unless `ok`.
    n, left_out : int
        Rows used; rows left out because a value was missing.
    notes : tuple of str
        Covariates that were dropped and why, how a separation was dealt with, ...
    log_likelihood, aic : float
        NaN where the method has no likelihood.
    statistics : dict
        Further numbers by name (dispersion, clusters, p of an assumption).
    covariance : (K, K) array of float
        Of the coefficients of all terms in their order.
    """

    model: str
    outcome: str
    measure: str
    status: str
    said: str
    terms: tuple[Term, ...] = ()
    n: int = 0
    left_out: int = 0
    notes: tuple[str, ...] = ()
    log_likelihood: float = NAN
    aic: float = NAN
    statistics: Mapping[str, float] = field(default_factory=dict)
    covariance: Floats = field(default_factory=lambda: np.zeros((0, 0)))

    @property
    def ok(self) -> bool:
        """Return whether estimates and p-values may be read."""
        return self.status == "fitted"

    def term(self, name: str, part: str = "") -> Term:
        """Return a term by its name; KeyError when the model has none."""
        for term in self.terms:
            if (term.name, term.part) == (name, part):
                return term
        raise KeyError(name)


def normal_terms(
    names: list[tuple[str, str]],
    coefficients: npt.ArrayLike,
    covariance: npt.ArrayLike,
    *,
    ratios: bool,
    level: float = 0.95,
    df: float = np.inf,
) -> tuple[Term, ...]:
    """Return Wald terms of (name, part); Student's with `df` degrees of freedom."""
    value = np.asarray(coefficients, dtype=np.float64)
    se = np.sqrt(np.clip(np.diag(np.asarray(covariance, dtype=np.float64)), 0, None))
    reach = float(stats.t.ppf(0.5 + level / 2, df)) * se
    with np.errstate(divide="ignore", invalid="ignore"):
        p = 2 * stats.t.sf(np.abs(value / se), df)
    made = []
    for (name, part), b, s, r, chance in zip(names, value, se, reach, p, strict=True):
        edges = np.array([b, b - r, b + r])
        plain = not ratios or part in ("threshold", "spread")
        exp = np.full(3, NAN) if plain else np.exp(np.clip(edges, -700, 700))
        made.append(
            Term(
                name=name, part=part, coefficient=float(b), se=float(s),
                low=float(edges[1]), high=float(edges[2]),
                p=NAN if part == "spread" else float(chance),
                ratio=float(exp[0]), ratio_low=float(exp[1]), ratio_high=float(exp[2]),
            )
        )  # fmt: skip
    return tuple(made)


def attempt(fit: Callable[[], T]) -> tuple[T | None, str]:
    """Return what `fit` gives, and what its library warned of or failed with, in its words.

    statsmodels tells of trouble by warnings and by exceptions of several kinds; here they become
    words, and the caller decides by looking at the result.
    """
    with warnings.catch_warnings(record=True) as heard, np.errstate(all="ignore"):
        warnings.simplefilter("always")
        try:
            made = fit()
        except (np.linalg.LinAlgError, ValueError, FloatingPointError, ZeroDivisionError) as error:
            return None, f"{type(error).__name__}: {error}"
        except Exception as error:  # PerfectSeparationError and kin have no common base
            if type(error).__module__.startswith("statsmodels"):
                return None, f"{type(error).__name__}: {error}"
            raise
    return made, "; ".join(dict.fromkeys(type(w.message).__name__ for w in heard))
