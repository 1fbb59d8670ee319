"""Several scans of one person, or many people of one site: GEE and mixed models."""

from petechia.cohort.design_matrix import Design
from petechia.cohort.estimates import Fit

FAMILIES = ("poisson", "negative_binomial", "binomial", "gaussian")


def gee(
    design: Design,
    family: str = "poisson",
    correlation: str = "exchangeable",
    level: float = 0.95,
) -> Fit:
    """Return population-average effects, robust to how scans of a group are correlated.

    `design.groups` says whose each row is. Below 40 groups the errors are bias-reduced
    (Mancl & DeRouen) and Student's t is used; below 5 there is no fit.
    """
    raise NotImplementedError


def mixed(design: Design, family: str = "poisson", level: float = 0.95) -> Fit:
    """Return effects within a group, with a random intercept for each.

    'gaussian' by REML (of log(1 + count), say); 'poisson' and 'binomial' by adaptive
    Gauss-Hermite quadrature. Term 'group' of part 'spread' is the SD of the intercepts.
    """
    raise NotImplementedError
