"""Adjusted: one regression for each factor and outcome; every one says how its fit went."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.cohort.counts import choose_count_model, count_regression
from petechia.cohort.design_matrix import NOT_ADJUSTED, Design, build_design, known, read_column
from petechia.cohort.estimates import Fit, Term
from petechia.cohort.logistic import logistic_regression
from petechia.cohort.missing import fit_imputed, missingness
from petechia.cohort.multiplicity import adjusted_p
from petechia.cohort.ordinal import proportional_odds
from petechia.cohort.repeated import gee, mixed
from petechia.cohort.topography import PATTERNS, pattern_regression
from petechia.errors import PetechiaError
from petechia.pipeline.group.factors import Column
from petechia.pipeline.group.frame import BINS, Frame, grouped
from petechia.pipeline.group.plan import SCAN, Plan
from petechia.pipeline.group.prevalence import default_groups
from petechia.pipeline.group.tables import Table, tidy

COUNT_MODEL = {
    "nb": "negative_binomial",
    "poisson": "poisson",
    "zip": "zero_inflated_poisson",
    "zinb": "zero_inflated_negative_binomial",
    "hurdle": "hurdle_negative_binomial",
    "hurdle-poisson": "hurdle_poisson",
}
FAMILY = {
    "presence": "binomial",
    "lobar": "binomial",
    "deep": "binomial",
    "count": "negative_binomial",
}
OUTCOME, PERSON, CLUSTER = "outcome", "person", "cluster"
AS_PERSON = ("age", "sex")
NOTHING = "nothing"
"""What a model is adjusted for in which no covariate varies."""
COLUMNS = {
    "outcome": "what is explained", "exposure": "factor asked about", "adjusted": "1 with "
    "covariates, 0 without", "term": "coefficient", "asked": "1 for a term of the factor asked "
    "about", "part": "part of the model: zeros, threshold, spread, a pattern", "model": "in words",
    "measure": "what the ratio is", "ratio": "odds or rate ratio, or difference; none for what is "
    "no ratio: thresholds, dispersion, spread",
    "ratio_low": "lower end of its interval", "ratio_high": "upper end",
    "coefficient": "on the scale of the link", "se": "its standard error", "p": "two-sided",
    "q": "p after Benjamini and Hochberg over the terms asked about of all models of this kind "
    "(adjusted or not)",
    "per": "difference the ratio is for", "n": "rows used", "left_out": "rows left out",
    "status": "how the fit went", "said": "in words",
    "adjusted_for": "covariates that vary: in the model, or told by what is in it",
    "notes": "what was dropped or done",
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Data:
    """The rows of models: columns for `build_design`, and what they are called.

    `factors` are the columns of words, also where the words are digits.
    """

    table: dict[str, npt.NDArray[Any]]
    per: Mapping[str, str]
    reference: Mapping[str, str]
    factors: frozenset[str]
    frame: Frame


def data_of(frame: Frame, plan: Plan, expressions: list[str]) -> Data:
    """Return the table of models: numbers in steps, words as words."""
    table: dict[str, npt.NDArray[Any]] = dict(frame.facts)
    per: dict[str, str] = {"b0_t": "1 T", "slice_thickness_mm": "1 mm", "te_s": "10 ms"}
    table["te_s"] = frame.facts["te_s"] * 100
    reference, factors = {}, {"sequence", "operating_point"}
    of_scan = [name for name in scan_covariates(frame, plan) if name in frame.people]
    for expression in dict.fromkeys([*expressions, *of_scan]):
        column = grouped(frame, expression)
        if column.factor.is_number:
            table[expression], per[expression] = _in_steps(column)
        else:
            table[expression] = _as_words(column)
            factors.add(expression)
            here = np.unique(column.values[~np.isnan(column.values)])
            if len(here):
                reference[expression] = column.factor.levels[int(here[0])]
                per[expression] = f"against {reference[expression]}"
    for name in ("sequence", "operating_point"):
        words, counts = np.unique([w for w in table[name] if w != "n/a"], return_counts=True)
        if len(words):
            reference[name] = str(words[int(np.argmax(counts))])
            per[name] = f"against {reference[name]}"
    table[PERSON] = np.array([row.subject for row in frame.scans], dtype=object)
    table[CLUSTER] = _as_words(grouped(frame, plan.cluster)) if plan.cluster else table[PERSON]
    return Data(table, per, reference, frozenset(factors), frame)


def _in_steps(column: Column) -> tuple[npt.NDArray[np.float64], str]:
    step = column.factor.step
    unit = column.factor.unit if column.factor.unit != "1" else ""
    if step:
        return column.values / step, f"{step:g} {unit}".strip()
    known = column.values[~np.isnan(column.values)]
    sd = float(known.std(ddof=1)) if len(known) > 1 else 0.0
    if not sd:
        return column.values, f"1 {unit}".strip()
    return column.values / sd, f"1 SD ({sd:.3g} {unit})".replace(" )", ")")


def _as_words(column: Column) -> npt.NDArray[np.object_]:
    return np.array(column.words(), dtype=object)


def covariates_of(frame: Frame, plan: Plan) -> list[str]:
    """Return the covariates of the person: those asked for, else age and sex where known."""
    if plan.covariates is not None:
        for name in plan.covariates:
            grouped(frame, name)
        return list(plan.covariates)
    return [n for n in AS_PERSON if n in frame.people and not frame.people[n].factor.text]


def exposures_of(frame: Frame, plan: Plan) -> list[str]:
    """Return the factors asked about."""
    for expression in plan.groups:
        grouped(frame, expression)
    return list(plan.groups) or [n for n in default_groups(frame) if n != "site"]


def models_table(frame: Frame, plan: Plan, tell: Callable[[str], None]) -> Table:
    """Return every coefficient of every model; one whose fit failed has a row that says so."""
    out = Table("models", "Regressions", dict(COLUMNS))
    for outcome in plan.outcome:
        for question in questions(frame, plan, outcome):
            tell(f"{outcome}: {question.exposure}")
            _add(out, answer(question), question)
    for adjusted in (0, 1):
        told = [
            r for r in out.rows if r["asked"] and r["adjusted"] == adjusted and r["p"] is not None
        ]
        for row, q in zip(told, adjusted_p([r["p"] for r in told]), strict=True):
            row["q"] = tidy(float(q))
    return out


def _same(covariate: str, exposure: str) -> bool:
    """Return whether an exposure is a covariate cut in two: `age>=65` and age."""
    return exposure.startswith(covariate) and exposure[len(covariate) :][:1] in tuple("<>:")


def scan_covariates(frame: Frame, plan: Plan) -> list[str]:
    """Return the columns of the scan that models are adjusted for."""
    names = [SCAN[name] for name in plan.adjust]
    return [n for n in names if n in frame.facts or (n == "site" and n in frame.people)]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Question:
    """One regression that is asked for.

    Attributes
    ----------
    table : mapping
        Columns, the outcome among them.
    exposure, outcome : str
    adjust : tuple of str
        Covariates.
    repeated : str
        'none', 'gee' or 'mixed'.
    data : Data
    plan : Plan
    """

    table: Mapping[str, npt.NDArray[Any]]
    exposure: str
    outcome: str
    adjust: tuple[str, ...]
    repeated: str
    data: Data
    plan: Plan

    def design(self, columns: Mapping[str, Any]) -> Design:
        """Return the design of the table, or of one that was completed."""
        there = (self.exposure, *self.adjust)
        return build_design(
            columns, OUTCOME, [self.exposure], self.adjust,
            reference={k: v for k, v in self.data.reference.items() if k in there},
            group=CLUSTER if self.repeated != "none" else None,
            factors=self.data.factors,
        )  # fmt: skip

    def fit(self, design: Design) -> Fit:
        """Return the fit of a design."""
        return _method(design, self.outcome, self.repeated, self.plan)

    def column_of(self, term: str) -> str:
        """Return the exposure or covariate that a term is of; '' of none (the intercept)."""
        names = (self.exposure, *self.adjust)
        return max((n for n in names if term == n or term.startswith(f"{n}[")), key=len, default="")

    def lacking(self) -> list[str]:
        """Return the columns that are known of some and not of all."""
        out = []
        for name in dict.fromkeys((self.exposure, *self.adjust)):
            there = known(read_column(self.table, name)) if name in self.table else np.ones(1)
            if there.any() and not there.all():
                out.append(name)
        return out

    def complete_with(self) -> list[str]:
        """Return the columns by which missing values are told: those that anybody has."""
        names = dict.fromkeys((self.exposure, *self.adjust))
        return [n for n in names if n in self.table and known(read_column(self.table, n)).any()]

    def assessed(self) -> Mapping[str, npt.NDArray[Any]]:
        """Return the rows in which the outcome could be told: an outcome is never completed."""
        told = known(read_column(self.table, OUTCOME))
        return {name: np.asarray(values)[told] for name, values in self.table.items()}

    def person(self, rows: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[Any] | None:
        """Return whose each row is, where people have several."""
        return rows[PERSON] if self.repeated != "none" else None

    def rng(self) -> np.random.Generator:
        """Return the randomness of this question."""
        return np.random.default_rng([self.plan.seed, *map(ord, self.outcome + self.exposure)])

    def unfitted(self, error: PetechiaError) -> Fit:
        """Return the fit that an error ended."""
        return Fit(
            model=self.plan.model_of(self.outcome), outcome=self.outcome, measure="",
            status="too_few", said=f"not fitted: {error.what}",
        )  # fmt: skip


def questions(frame: Frame, plan: Plan, outcome: str) -> Iterator[Question]:
    """Yield each factor's regression of an outcome, without and with covariates.

    One scan of each person, or all that were assessed where the plan has repeated scans and the
    outcome a model for them.
    """
    repeated = plan.repeated if outcome in FAMILY else "none"
    rows = frame.take(frame.chosen if repeated == "none" else frame.assessed & frame.known)
    exposures, covariates = exposures_of(rows, plan), covariates_of(rows, plan)
    data = data_of(rows, plan, list(dict.fromkeys([*exposures, *covariates])))
    scan = scan_covariates(rows, plan)
    table = data.table | {OUTCOME: rows.outcome(outcome)}
    for exposure in exposures:
        others = [c for c in covariates if c != exposure and not _same(c, exposure)]
        for adjust in dict.fromkeys([(), tuple(n for n in (*others, *scan) if n != exposure)]):
            yield Question(
                table=table, exposure=exposure, outcome=outcome, adjust=adjust, repeated=repeated,
                data=data, plan=plan,
            )  # fmt: skip


def answer(question: Question) -> Fit:
    """Return the fit of a question; missing values are completed where the plan says so."""
    q, plan = question, question.plan
    try:
        rows = q.assessed()
        if plan.missing != "impute" or not q.lacking():
            return q.fit(q.design(q.table))
        told = np.asarray(rows[OUTCOME], dtype=np.float64)
        by = "log_count" if q.outcome == "count" else OUTCOME
        return fit_imputed(
            {**rows, "log_count": np.log1p(told)}, [*q.complete_with(), by],
            lambda columns: q.fit(q.design(columns)),
            q.rng(), plan.imputations, plan.level, q.person(rows), q.data.factors,
        )  # fmt: skip
    except PetechiaError as error:
        return q.unfitted(error)


def _method(design: Design, outcome: str, repeated: str, plan: Plan) -> Fit:
    if repeated == "gee":
        return gee(design, FAMILY[outcome], level=plan.level)
    if repeated == "mixed":
        family = "poisson" if outcome == "count" else FAMILY[outcome]
        return mixed(design, family, level=plan.level)
    model = plan.model_of(outcome)
    if model in ("logistic", "firth"):
        penalty = "firth" if model == "firth" else "auto"
        return logistic_regression(design, penalty, plan.level)
    if model == "ordinal":
        return proportional_odds(design, BINS, plan.level)
    if model == "multinomial":
        return pattern_regression(design, PATTERNS, plan.level)
    if model == "auto":
        choice = choose_count_model(design, level=plan.level)
        return choice.fit() if choice.chosen else choice.fits[0]
    return count_regression(design, COUNT_MODEL[model], plan.level)


def _add(out: Table, fit: Fit, question: Question) -> None:
    exposure, adjust = question.exposure, question.adjust
    told = fit.terms or (Term(name=exposure),)
    kept = [n for n in adjust if not any(why.format(n) in fit.notes for why in NOT_ADJUSTED)]
    common = {
        "outcome": question.outcome, "exposure": exposure, "adjusted": int(bool(adjust)),
        "model": fit.model, "measure": fit.measure, "n": fit.n, "left_out": fit.left_out,
        "status": fit.status, "said": fit.said,
        "adjusted_for": ", ".join(kept) or (NOTHING if adjust else None),
        "notes": "; ".join(fit.notes) or None,
    }  # fmt: skip
    for term in told:
        base = question.column_of(term.name)
        asked = base == exposure and term.part not in ("threshold", "spread")
        ratios = fit.measure.endswith("ratio")
        ends = (term.coefficient, term.low, term.high)
        if ratios:
            ends = (term.ratio, term.ratio_low, term.ratio_high)
        out.add(
            **common,
            term=term.name,
            asked=int(asked),
            part=term.part or None,
            **dict(zip(("ratio", "ratio_low", "ratio_high"), map(tidy, ends), strict=True)),
            coefficient=tidy(term.coefficient),
            se=tidy(term.se),
            p=tidy(term.p),
            per=question.data.per.get(base),
        )


def missing_table(frame: Frame, plan: Plan) -> Table:
    """Return how much of each factor is missing, and whether that goes with the outcome."""
    columns = {
        "factor": "factor", "known": "people", "missing": "people", "share": "missing / all",
        "p_with_outcome": "of a difference of presence between those known and missing",
    }  # fmt: skip
    out = Table("missing", "What is missing", columns)
    rows = frame.take(frame.chosen & frame.assessed)
    names = list(dict.fromkeys([*default_factors(rows), *exposures_of(rows, plan)]))
    if not names or not len(rows.scans):
        return out
    data = data_of(rows, plan, names)
    table = data.table | {OUTCOME: rows.outcome("presence")}
    for told in missingness(table, names, OUTCOME):
        out.add(
            factor=told.name, known=told.known, missing=told.missing, share=tidy(told.share),
            p_with_outcome=tidy(told.p_with_outcome),
        )  # fmt: skip
    return out


def default_factors(frame: Frame) -> list[str]:
    """Return every usable factor of the table."""
    return [n for n, c in frame.people.items() if c.factor.known and not c.factor.text]
