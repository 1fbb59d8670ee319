"""Exposed or not by ill or not: odds ratio, risk ratio, risk difference and their tests."""

from dataclasses import dataclass

from petechia.cohort.estimates import Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoByTwo:
    """All that is told of a table of two rows (exposed, not) and two columns (case, not).

    Attributes
    ----------
    cases, total, cases_0, total_0 : int
        Exposed with the finding, exposed; the same of those not exposed.
    odds_ratio, odds_ratio_exact, risk_ratio, risk_difference : Estimate
        Wald (Woolf) on the logarithm; conditional with exact interval; Wald (Katz); Newcombe.
        With an empty cell the two Wald ratios have 0.5 added to every cell, and say so.
    chi2, p_chi2, chi2_yates, p_yates : float
        Pearson's, without and with the continuity correction; NaN where a margin is empty.
    p_fisher : float
        Two-sided exact.
    least_expected : float
        Smallest expected count: below 5 read Fisher's.
    why : str
        Why something is missing.
    """

    cases: int
    total: int
    cases_0: int
    total_0: int
    odds_ratio: Estimate
    odds_ratio_exact: Estimate
    risk_ratio: Estimate
    risk_difference: Estimate
    chi2: float
    p_chi2: float
    chi2_yates: float
    p_yates: float
    p_fisher: float
    least_expected: float
    why: str = ""


def two_by_two(cases: int, total: int, cases_0: int, total_0: int, level: float = 0.95) -> TwoByTwo:
    """Return association of an exposure (cases of total) against none (cases_0 of total_0)."""
    raise NotImplementedError
