"""Regression of counts: Poisson, negative binomial, zero-inflated and hurdle."""

from collections.abc import Sequence
from dataclasses import dataclass

from petechia.cohort.design_matrix import Design
from petechia.cohort.estimates import Fit

COUNT_MODELS = (
    "poisson",
    "negative_binomial",
    "zero_inflated_poisson",
    "zero_inflated_negative_binomial",
    "hurdle_poisson",
    "hurdle_negative_binomial",
)


def count_regression(design: Design, model: str = "negative_binomial", level: float = 0.95) -> Fit:
    """Return rate ratios of a count model; terms of the zeros have part 'zeros'.

    `poisson` has robust (sandwich) errors. In zero-inflated models 'zeros' are the odds of a
    person who never has any; in hurdle models, the odds of none.
    """
    raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class CountChoice:
    """All count models of one design, and the one of least AIC.

    Attributes
    ----------
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
        Scans without any; expected by Poisson; score test of more (van den Broek).
    """

    fits: tuple[Fit, ...]
    chosen: str
    said: str
    dispersion: float
    p_dispersion: float
    zeros: int
    zeros_expected: float
    p_zeros: float

    def fit(self, model: str = "") -> Fit:
        """Return the fit of a model; the chosen one where none is named."""
        raise NotImplementedError


def choose_count_model(
    design: Design, models: Sequence[str] = COUNT_MODELS, level: float = 0.95
) -> CountChoice:
    """Fit every model, test dispersion and zeros, and choose by AIC."""
    raise NotImplementedError
