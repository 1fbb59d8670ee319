"""Unadjusted: 2x2 tables of each group against its reference, and trends over ordered groups."""

from typing import Any

import numpy as np

from petechia.cohort.multiplicity import adjusted_p
from petechia.cohort.trend import cochran_armitage
from petechia.cohort.two_by_two import two_by_two
from petechia.pipeline.group.factors import Column
from petechia.pipeline.group.frame import Frame
from petechia.pipeline.group.plan import Plan
from petechia.pipeline.group.prevalence import YES_NO_OUTCOMES, groups_of
from petechia.pipeline.group.tables import Table, interval_columns, spread, tidy

LEAST_EXPECTED = 5.0
"""Below this expected count Fisher's exact test is the one to read."""


def associations_table(frame: Frame, plan: Plan) -> Table:
    """Return a row for each level of each factor against the reference, for each outcome."""
    columns = {
        "outcome": "what is looked for", "factor": "what people are told apart by",
        "group": "exposed", "reference": "not exposed", "cases": "exposed with it",
        "n": "exposed", "cases_0": "not exposed with it", "n_0": "not exposed",
        "left_out": "people without outcome or without a known group",
        **interval_columns("odds_ratio", "odds ratio, Wald"),
        **interval_columns("odds_ratio_exact", "conditional odds ratio, exact interval"),
        **interval_columns("risk_ratio", "risk ratio, Wald"),
        **interval_columns("risk_difference", "risk difference, Newcombe"),
        "chi2": "Pearson's chi-square", "p_chi2": "its p", "p_yates": "with the continuity "
        "correction", "p_fisher": "Fisher's exact p", "p": "the one to read: Fisher's where an "
        "expected count is below 5, else Pearson's", "test": "which that is",
        "q": "p after Benjamini and Hochberg over all rows of this table", "remark": "what to know",
    }  # fmt: skip
    out = Table("associations", "Groups against their reference, not adjusted", columns)
    chosen = frame.take(frame.chosen)
    for outcome in _outcomes(plan):
        present = chosen.outcome(outcome)
        for column in groups_of(chosen, plan):
            if column.factor.name == plan.by and plan.by not in plan.groups:
                continue  # bands of prevalence have no reference: their trend is told
            _levels(out, outcome, present, column, plan.level)
    _with_q(out)
    return out


def _outcomes(plan: Plan) -> list[str]:
    return [name for name in YES_NO_OUTCOMES if name in plan.outcome] or ["presence"]


def _levels(out: Table, outcome: str, present: np.ndarray, column: Column, level: float) -> None:
    known = ~np.isnan(present) & ~np.isnan(column.values)
    codes = [c for c in range(len(column.factor.levels)) if (known & (column.values == c)).any()]
    if len(codes) < 2:
        return
    zero = known & (column.values == codes[0])
    for code in codes[1:]:
        one = known & (column.values == code)
        told = two_by_two(
            int(present[one].sum()), int(one.sum()), int(present[zero].sum()), int(zero.sum()),
            level,
        )  # fmt: skip
        exact = not told.least_expected >= LEAST_EXPECTED
        p = told.p_fisher if exact else told.p_chi2
        out.add(
            outcome=outcome,
            factor=column.factor.name,
            group=column.factor.levels[code],
            reference=column.factor.levels[codes[0]],
            cases=told.cases,
            n=told.total,
            cases_0=told.cases_0,
            n_0=told.total_0,
            left_out=int((~known).sum()),
            **spread("odds_ratio", told.odds_ratio),
            **spread("odds_ratio_exact", told.odds_ratio_exact),
            **spread("risk_ratio", told.risk_ratio),
            **spread("risk_difference", told.risk_difference),
            chi2=tidy(told.chi2),
            p_chi2=tidy(told.p_chi2),
            p_yates=tidy(told.p_yates),
            p_fisher=tidy(told.p_fisher),
            p=tidy(p),
            test="Fisher" if exact else "Pearson",
            remark=told.why or told.odds_ratio.why or None,
        )


def trends_table(frame: Frame, plan: Plan) -> Table:
    """Return the trend of each outcome over each factor of three or more ordered groups."""
    columns = {
        "outcome": "what is looked for", "factor": "ordered groups", "groups": "in order",
        "cases": "with it, in that order", "n": "people, in that order",
        "scores": "of the groups: place of each word in its order, lower edge of each band over "
        "the width, from the first", "z": "Cochran-Armitage", "p": "two-sided",
        "slope": "rise of the share with each 1 of score",
        "q": "p after Benjamini and Hochberg over this table", "remark": "what to know",
    }  # fmt: skip
    out = Table("trends", "Trends over ordered groups", columns)
    chosen = frame.take(frame.chosen)
    for outcome in _outcomes(plan):
        present = chosen.outcome(outcome)
        for column in groups_of(chosen, plan):
            known = ~np.isnan(present) & ~np.isnan(column.values)
            codes = [c for c in range(len(column.factor.levels))
                     if (known & (column.values == c)).any()]  # fmt: skip
            if not column.factor.ordered or len(codes) < 3:
                continue
            who = [known & (column.values == c) for c in codes]
            cases, totals = [int(present[w].sum()) for w in who], [int(w.sum()) for w in who]
            scores = [(column.factor.scores or range(c + 1))[c] for c in codes]
            told = cochran_armitage(cases, totals, scores)
            out.add(
                outcome=outcome,
                factor=column.factor.name,
                groups=", ".join(column.factor.levels[c] for c in codes),
                cases=", ".join(map(str, cases)),
                n=", ".join(map(str, totals)),
                scores=", ".join(f"{score:g}" for score in scores),
                z=tidy(told.z),
                p=tidy(told.p),
                slope=tidy(told.slope),
                remark=told.why or None,
            )
    _with_q(out)
    return out


def _with_q(table: Table) -> None:
    """Fill the column q: the false discovery rate over the rows that have a p."""
    rows: list[dict[str, Any]] = [row for row in table.rows if row.get("p") is not None]
    for row, q in zip(rows, adjusted_p([row["p"] for row in rows]), strict=True):
        row["q"] = tidy(float(q))
