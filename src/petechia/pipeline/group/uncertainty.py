"""Which law counts follow, and how far the detector's doubt moves ratios."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from petechia.cohort.counts import NAMES, choose_count_model, count_regression
from petechia.cohort.design_matrix import Design, build_design
from petechia.cohort.detection import fit_uncertain, fit_uncertain_imputed
from petechia.cohort.estimates import Fit, Term
from petechia.errors import PetechiaError
from petechia.pipeline.group.frame import Frame
from petechia.pipeline.group.models import (
    OUTCOME,
    Question,
    covariates_of,
    data_of,
    questions,
    scan_covariates,
)
from petechia.pipeline.group.plan import Plan
from petechia.pipeline.group.tables import Table, tidy

DRAWN = ("presence", "count")
"""Outcomes that follow from how many findings are real, wherever they lie."""


def uncertainty_table(
    frame: Frame, plan: Plan, models: Table, tell: Callable[[str], None]
) -> Table:
    """Return adjusted ratios as counted, and with the detector's doubt in their intervals.

    The same regressions as in `models`: repeated scans, clusters and completed values alike.
    """
    columns = {
        "outcome": "what is explained", "exposure": "factor asked about", "term": "coefficient",
        "as_counted": "odds or rate ratio of the counts, as in models", "as_counted_low": "",
        "as_counted_high": "",
        "with_detection": "the same over counts drawn from the probabilities of all findings",
        "with_detection_low": "", "with_detection_high": "", "per": "difference it is for",
        "draws": "counts drawn for each scan", "share_of_doubt": "largest fraction of information "
        "that is lost by not being sure", "said": "how the pooled fit went",
    }  # fmt: skip
    out = Table("uncertainty", "How far the detector's uncertainty moves ratios", columns)
    for outcome in (name for name in DRAWN if name in plan.outcome):
        last: dict[str, Question] = {q.exposure: q for q in questions(frame, plan, outcome)}
        for exposure, question in last.items():
            tell(f"uncertainty of {outcome}: {exposure}")
            _add(out, _drawn(question, models), question, models)
    return out


def _drawn(q: Question, models: Table) -> Fit:
    """Return the pooled fit over drawn counts of the adjusted question."""
    plan = q.plan

    def fit(design: Design) -> Fit:
        if q.outcome == "presence":
            return q.fit(design.with_outcome(design.y > 0))
        if plan.model == "auto" and q.repeated == "none":
            return count_regression(design, _chosen(q, models), plan.level)
        return q.fit(design)

    try:
        scans = [row.probabilities for row in q.data.frame.scans]
        doubts = [row.count_doubt for row in q.data.frame.scans]
        if plan.missing != "impute" or not q.lacking():
            return fit_uncertain(
                q.design(q.table), scans, fit, q.rng(), plan.draws, plan.level, doubts
            )
        rows = q.assessed()
        sure = np.flatnonzero(np.isfinite(np.asarray(q.table[OUTCOME], dtype=np.float64)))
        return fit_uncertain_imputed(
            rows, q.complete_with(), OUTCOME, [scans[n] for n in sure],
            lambda columns: fit(q.design(columns)),
            q.rng(), plan.draws, plan.level, q.person(rows), [doubts[n] for n in sure],
            q.data.factors,
        )  # fmt: skip
    except PetechiaError as error:
        return q.unfitted(error)


def _rows_of(q: Question, models: Table) -> list[dict[str, object]]:
    return [
        row for row in models.rows
        if (row["outcome"], row["exposure"], row["adjusted"])
        == (q.outcome, q.exposure, int(bool(q.adjust)))
    ]  # fmt: skip


def _chosen(q: Question, models: Table) -> str:
    """Return the count model that was chosen by AIC for the counts as they are."""
    names = {words: name for name, words in NAMES.items()}
    found = [names.get(str(row["model"])) for row in _rows_of(q, models)]
    return next((name for name in found if name), "negative_binomial")


def _add(out: Table, fit: Fit, q: Question, models: Table) -> None:
    asked = [t for t in fit.terms if q.column_of(t.name) == q.exposure and not t.part]
    counted = {row["term"]: row for row in _rows_of(q, models) if row.get("part") is None}
    for term in asked or (Term(name=q.exposure),):
        plain = counted.get(term.name, {})
        out.add(
            outcome=q.outcome,
            exposure=q.exposure,
            term=term.name,
            **{f"as_counted{end}": plain.get(f"ratio{end}") for end in ("", "_low", "_high")},
            with_detection=tidy(term.ratio),
            with_detection_low=tidy(term.ratio_low),
            with_detection_high=tidy(term.ratio_high),
            per=q.data.per.get(q.exposure),
            draws=q.plan.draws,
            share_of_doubt=tidy(fit.statistics.get("fraction_missing", np.nan), 3),
            said=fit.said,
        )


def dispersion_table(frame: Frame, plan: Plan) -> Table:
    """Return which law the counts follow: dispersion, zeros, and the AIC of every model."""
    columns = {
        "model": "count model", "aic": "lower is better", "status": "how the fit went",
        "chosen": "1 for the least AIC", "dispersion": "of Poisson; 1 when it fits",
        "p_dispersion": "of more spread than Poisson's", "zeros": "people without any",
        "zeros_expected": "by Poisson", "p_zeros": "of more zeros", "said": "in words",
    }  # fmt: skip
    out = Table("dispersion", "Which law the counts follow", columns)
    if "count" not in plan.outcome:
        return out
    rows = frame.take(frame.chosen & frame.assessed)
    covariates, scan = covariates_of(rows, plan), scan_covariates(rows, plan)
    data = data_of(rows, plan, covariates)
    table = data.table | {OUTCOME: rows.outcome("count")}
    adjust = (*covariates, *scan)
    try:
        reference = {k: v for k, v in data.reference.items() if k in adjust}
        design = build_design(table, OUTCOME, (), adjust, reference=reference, factors=data.factors)
        design = replace(design, exposures=("intercept",))  # asked about is the count itself
        choice = choose_count_model(design, level=plan.level)
    except PetechiaError as error:
        out.add(model="all", status="too_few", said=error.what)
        return out
    for key, fit in zip(choice.models, choice.fits, strict=True):
        out.add(
            model=fit.model, aic=tidy(fit.aic), status=fit.status, chosen=int(key == choice.chosen),
            dispersion=tidy(choice.dispersion), p_dispersion=tidy(choice.p_dispersion),
            zeros=choice.zeros, zeros_expected=tidy(choice.zeros_expected),
            p_zeros=tidy(choice.p_zeros), said=fit.said,
        )  # fmt: skip
    return out
