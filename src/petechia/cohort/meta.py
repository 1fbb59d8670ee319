"""Several studies in one: DerSimonian-Laird, Hartung-Knapp, heterogeneity, prediction."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy.typing as npt

from petechia.cohort.estimates import Estimate, Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """A meta-analysis, on the scale of analysis (log ratio, logit or raw).

    Attributes
    ----------
    names : tuple of str
    effects, variances, weights : (K,) array of float
        Of the studies; weights of the random-effects mean sum to 1.
    fixed, random, hartung_knapp : Estimate
        Inverse variance; DerSimonian-Laird; the same mean with Hartung-Knapp's interval.
    mantel_haenszel : Estimate
        Of tables only.
    prediction : tuple of float
        Interval of the effect in a new study (t, K - 2).
    q, p_q, tau2, i2 : float
        Heterogeneity.
    scale : str
        'raw', 'log ratio' or 'logit': how to turn it back.
    """

    names: tuple[str, ...]
    effects: Floats
    variances: Floats
    weights: Floats
    fixed: Estimate
    random: Estimate
    hartung_knapp: Estimate
    prediction: tuple[float, float]
    q: float
    p_q: float
    tau2: float
    i2: float
    scale: str
    mantel_haenszel: Estimate = field(default_factory=Estimate)
    notes: tuple[str, ...] = ()

    def back(self, value: float) -> float:
        """Return a value of the scale of analysis as a ratio, a proportion or itself."""
        raise NotImplementedError


def meta_analysis(
    effects: npt.ArrayLike,
    variances: npt.ArrayLike,
    names: Sequence[str] = (),
    scale: str = "raw",
    level: float = 0.95,
) -> Meta:
    """Return the pooled effect of studies with known variances."""
    raise NotImplementedError


def meta_ratios(
    cases: Sequence[int],
    totals: Sequence[int],
    cases_0: Sequence[int],
    totals_0: Sequence[int],
    names: Sequence[str] = (),
    measure: str = "odds ratio",
    level: float = 0.95,
) -> Meta:
    """Return pooled odds or risk ratios of tables; 0.5 is added where a cell is empty."""
    raise NotImplementedError


def meta_proportions(
    cases: Sequence[int], totals: Sequence[int], names: Sequence[str] = (), level: float = 0.95
) -> Meta:
    """Return the pooled proportion, of logits."""
    raise NotImplementedError
