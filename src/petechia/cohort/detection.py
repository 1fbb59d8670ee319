"""The detector is not sure: its probabilities carried into prevalence and count models."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.cohort.design_matrix import Design
from petechia.cohort.estimates import Estimate, Fit, Floats


def count_distribution(probabilities: npt.ArrayLike) -> Floats:
    """Return the Poisson-binomial distribution of a scan's count (0 .. number of findings)."""
    raise NotImplementedError


def draw_counts(
    probabilities: Sequence[npt.ArrayLike], rng: np.random.Generator, n_draws: int = 50
) -> npt.NDArray[np.int64]:
    """Return (n_draws, N) counts, each finding there with its probability."""
    raise NotImplementedError


def uncertain_prevalence(
    probabilities: Sequence[npt.ArrayLike],
    rng: np.random.Generator,
    n_draws: int = 200,
    level: float = 0.95,
) -> Estimate:
    """Return the prevalence of any, with sampling and detection both in the interval."""
    raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class UncertainFit:
    """A model of counts as they were counted, and with the uncertainty of detection."""

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
    """Draw counts, refit, pool by Rubin's rules; probabilities by row of the table."""
    raise NotImplementedError
