"""Logistic regression, with Firth's penalty where the outcome is separated."""

from petechia.cohort.design_matrix import Design
from petechia.cohort.estimates import Fit

PENALTIES = ("auto", "none", "firth")


def logistic_regression(design: Design, penalty: str = "auto", level: float = 0.95) -> Fit:
    """Return odds ratios.

    Parameters
    ----------
    penalty : str
        'none': maximum likelihood, status 'separated' where it has no end; 'firth': penalised
        likelihood with profile intervals; 'auto': the first, and the second (with a note) where
        it is separated.
    """
    raise NotImplementedError
