"""Exposed or not by ill or not: odds ratio, risk ratio, risk difference and their tests."""

from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.stats.contingency import odds_ratio as conditional
from statsmodels.stats.proportion import confint_proportions_2indep

from petechia.cohort.estimates import NAN, Estimate, Floats
from petechia.errors import ParameterError

ADDED = "a cell is empty: 0.5 was added to each; read the exact interval"
LEAST_PEOPLE = 5
"""In a group of fewer, a ratio with a large-sample interval is not given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoByTwo:
    """All that is told of a table of two rows (exposed, not) and two columns (case, not).

    Attributes
    ----------
    cases, total, cases_0, total_0 : int
        Exposed with the finding, exposed; the same of those not exposed.
    odds_ratio, odds_ratio_exact, risk_ratio, risk_difference : Estimate
        Wald (Woolf) on the logarithm; conditional with exact interval; Wald (Katz); Newcombe.
        With an empty cell the two Wald ratios have 0.5 added to every cell, and say so; where a
        group has fewer than `LEAST_PEOPLE` they are not given. The exact one always is.
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
    """Return association of an exposure (cases of total) against none (cases_0 of total_0).

    Raises
    ------
    ParameterError
        If there are more cases than people, or fewer than none.

    References
    ----------
    .. [1] Woolf (1955), Ann. Hum. Genet. 19, 251-253, doi:10.1111/j.1469-1809.1955.tb01348.x.
    .. [2] Katz et al. (1978), Biometrics 34, 469-474, doi:10.2307/2530610.
    .. [3] Newcombe (1998), Stat. Med. 17, 873-890,
       doi:10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I.
    .. [4] Haldane (1956), Ann. Hum. Genet. 20, 309-311, doi:10.1111/j.1469-1809.1955.tb01285.x.
    """
    for some, all_ in ((cases, total), (cases_0, total_0)):
        if not 0 <= some <= all_:
            raise ParameterError(
                f"{some} cases of {all_}", where="two_by_two",
                mend="Cases lie between 0 and the number of people.",
            )  # fmt: skip
    table = np.array([[cases, total - cases], [cases_0, total_0 - cases_0]], dtype=np.float64)
    why = _empty_margin(table)
    few = int(table.sum(axis=1).min())
    small = f"too few: {few} in a group, a ratio asks for {LEAST_PEOPLE}"
    odds, risk = _ratios(table, level, why or (small if few < LEAST_PEOPLE else ""))
    return TwoByTwo(
        cases=cases, total=total, cases_0=cases_0, total_0=total_0, odds_ratio=odds,
        odds_ratio_exact=_exact(table, level, why), risk_ratio=risk,
        risk_difference=_difference(table, level), **_tests(table, why), why=why,
    )  # fmt: skip


def _empty_margin(table: Floats) -> str:
    if not table.sum(axis=1).all():
        return "a group has nobody in it"
    if not table[:, 0].any():
        return "nobody is a case"
    return "" if table[:, 1].any() else "everybody is a case"


def _ratios(table: Floats, level: float, why: str) -> tuple[Estimate, Estimate]:
    n = int(table.sum())
    about = (("odds ratio", "Wald (Woolf)"), ("risk ratio", "Wald (Katz)"))
    if why:
        odds, risk = (Estimate(measure=m, method=w, n=n, why=why) for m, w in about)
        return odds, risk
    note = "" if table.all() else ADDED
    t = table if table.all() else table + 0.5
    (a, b), (c, d) = t
    pair = (
        (np.log(a * d / (b * c)), np.sqrt((1 / t).sum())),
        (np.log(a / (a + b) * (c + d) / c), np.sqrt(1 / a - 1 / (a + b) + 1 / c - 1 / (c + d))),
    )
    z = float(stats.norm.ppf(0.5 + level / 2))
    made = [
        Estimate(
            value=float(np.exp(log)), low=float(np.exp(log - z * se)),
            high=float(np.exp(log + z * se)), se=float(se),
            p=float(2 * stats.norm.sf(abs(log) / se)), n=n, measure=m, method=w, why=note,
        )
        for (log, se), (m, w) in zip(pair, about, strict=True)
    ]  # fmt: skip
    return made[0], made[1]


def _exact(table: Floats, level: float, why: str) -> Estimate:
    whole = table.astype(np.int64)
    about = {"measure": "odds ratio", "method": "conditional, exact", "n": int(table.sum())}
    if why:
        return Estimate(why=why, **about)  # type: ignore[arg-type]
    with np.errstate(all="ignore"):
        made = conditional(whole, kind="conditional")
        ends = made.confidence_interval(confidence_level=level)
    return Estimate(
        value=float(made.statistic), low=float(ends.low), high=float(ends.high),
        p=float(stats.fisher_exact(whole).pvalue), **about,  # type: ignore[arg-type]
    )  # fmt: skip


def _difference(table: Floats, level: float) -> Estimate:
    about = {"measure": "difference", "method": "Newcombe", "n": int(table.sum())}
    n, n_0 = table.sum(axis=1)
    if not (n and n_0):
        return Estimate(why="a group has nobody in it", **about)  # type: ignore[arg-type]
    p, p_0 = table[0, 0] / n, table[1, 0] / n_0
    low, high = confint_proportions_2indep(
        table[0, 0], n, table[1, 0], n_0, compare="diff", method="newcomb", alpha=1 - level
    )
    se = float(np.sqrt(p * (1 - p) / n + p_0 * (1 - p_0) / n_0))
    return Estimate(value=float(p - p_0), low=float(low), high=float(high), se=se, **about)  # type: ignore[arg-type]


def _tests(table: Floats, why: str) -> dict[str, float]:
    names = ("chi2", "p_chi2", "chi2_yates", "p_yates", "p_fisher", "least_expected")
    if why:
        return dict.fromkeys(names, NAN)
    plain = stats.chi2_contingency(table, correction=False)
    yates = stats.chi2_contingency(table, correction=True)
    fisher = stats.fisher_exact(table.astype(np.int64))
    told = (
        plain.statistic, plain.pvalue, yates.statistic, yates.pvalue, fisher.pvalue,
        plain.expected_freq.min(),
    )  # fmt: skip
    return {name: float(value) for name, value in zip(names, told, strict=True)}
