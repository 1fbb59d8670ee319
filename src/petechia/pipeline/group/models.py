"""Adjusted: one regression for each factor and outcome; every one says how its fit went."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.cohort.counts import choose_count_model, count_regression
from petechia.cohort.design_matrix import Design, build_design
from petechia.cohort.detection import fit_uncertain
from petechia.cohort.estimates import STATUSES, Fit, Term
from petechia.cohort.logistic import logistic_regression
from petechia.cohort.missing import fit_imputed, missingness
from petechia.cohort.multiplicity import adjusted_p
from petechia.cohort.ordinal import proportional_odds
from petechia.cohort.repeated import gee, mixed
from petechia.cohort.topography import PATTERNS, pattern_regression
from petechia.errors import PetechiaError
from petechia.pipeline.group.factors import Column
from petechia.pipeline.group.frame import BINS, Frame, grouped
from petechia.pipeline.group.plan import OUTCOMES, SCAN, Plan
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
OUTCOME, PERSON = "outcome", "person"
AS_PERSON = ("age", "sex")
COLUMNS = {
    "outcome": "what is explained", "exposure": "factor asked about", "adjusted": "1 with "
    "covariates, 0 without", "term": "coefficient", "asked": "1 for a term of the factor asked "
    "about", "part": "part of the model: zeros, threshold, spread, a pattern", "model": "in words",
    "measure": "what the ratio is", "ratio": "odds or rate ratio (or difference)",
    "ratio_low": "lower end of its interval", "ratio_high": "upper end",
    "coefficient": "on the scale of the link", "se": "its standard error", "p": "two-sided",
    "q": "p after Benjamini and Hochberg over the terms asked about of all models of this kind "
    "(adjusted or not)",
    "per": "difference the ratio is for", "n": "rows used", "left_out": "rows left out",
    "status": "how the fit went", "said": "in words", "adjusted_for": "covariates in the model",
    "notes": "what was dropped or done",
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Data:
    """The rows of models: columns for `build_design`, and what they are called."""

    table: dict[str, npt.NDArray[Any]]
    per: Mapping[str, str]
    reference: Mapping[str, str]
    frame: Frame


def data_of(frame: Frame, plan: Plan, expressions: list[str]) -> Data:
    """Return the table of models: numbers in steps, words as words."""
    table: dict[str, npt.NDArray[Any]] = dict(frame.facts)
    per: dict[str, str] = {"b0_t": "1 T", "slice_thickness_mm": "1 mm", "te_s": "10 ms"}
    table["te_s"] = frame.facts["te_s"] * 100
    reference = {}
    for expression in expressions:
        column = grouped(frame, expression)
        if column.factor.is_number:
            table[expression], per[expression] = _in_steps(column)
        else:
            table[expression] = _as_words(column)
            here = np.unique(column.values[~np.isnan(column.values)])
            if len(here):
                reference[expression] = _word(column.factor.levels[int(here[0])])
                per[expression] = f"against {column.factor.levels[int(here[0])]}"
    for name in ("sequence", "operating_point"):
        words, counts = np.unique([w for w in table[name] if w != "n/a"], return_counts=True)
        if len(words):
            reference[name] = str(words[int(np.argmax(counts))])
            per[name] = f"against {reference[name]}"
    table[PERSON] = np.array([row.subject for row in frame.scans], dtype=object)
    return Data(table, per, reference, frame)


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


def _word(level: str) -> str:
    # words that the statistics take for "not known" are levels here
    return {"none": "no", "unknown": "not known", "nan": "not a number"}.get(level, level)


def _as_words(column: Column) -> npt.NDArray[np.object_]:
    return np.array(
        ["n/a" if np.isnan(v) else _word(column.factor.levels[int(v)]) for v in column.values],
        dtype=object,
    )


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
    rows = _rows(frame, plan)
    exposures, covariates = exposures_of(rows, plan), covariates_of(rows, plan)
    data = data_of(rows, plan, list(dict.fromkeys([*exposures, *covariates])))
    scan = scan_covariates(rows, plan)
    for outcome in plan.outcome:
        repeated = plan.repeated if outcome in FAMILY else "none"
        kept = data
        if plan.repeated != "none" and repeated == "none":
            kept = data_of(
                frame.take(frame.chosen), plan, [*dict.fromkeys([*exposures, *covariates])]
            )
        table = kept.table | {OUTCOME: kept.frame.outcome(outcome)}
        for exposure in exposures:
            tell(f"{outcome}: {exposure}")
            others = [c for c in covariates if c != exposure and not _same(c, exposure)]
            for adjust in dict.fromkeys([(), (*others, *scan)]):
                fit = _fit(table, exposure, adjust, outcome, repeated, kept, plan)
                _add(out, fit, outcome, exposure, adjust, kept)
    for adjusted in (0, 1):
        told = [
            r for r in out.rows if r["asked"] and r["adjusted"] == adjusted and r["p"] is not None
        ]
        for row, q in zip(told, adjusted_p([r["p"] for r in told]), strict=True):
            row["q"] = tidy(float(q))
    return out


def _rows(frame: Frame, plan: Plan) -> Frame:
    """Return the rows of models: one scan of each person, or all that were assessed."""
    if plan.repeated == "none":
        return frame.take(frame.chosen)
    return frame.take(frame.assessed & frame.known)


def _same(covariate: str, exposure: str) -> bool:
    """Return whether an exposure is a covariate cut in two: `age>=65` and age."""
    return exposure.startswith(covariate) and exposure[len(covariate) :][:1] in tuple("<>:")


def scan_covariates(frame: Frame, plan: Plan) -> list[str]:
    """Return the columns of the scan that models are adjusted for."""
    names = [SCAN[name] for name in plan.adjust]
    return [n for n in names if n in frame.facts or (n == "site" and n in frame.people)]


def _fit(
    table: Mapping[str, npt.NDArray[Any]],
    exposure: str,
    adjust: tuple[str, ...],
    outcome: str,
    repeated: str,
    data: Data,
    plan: Plan,
) -> Fit:
    method = partial(_method, outcome=outcome, repeated=repeated, plan=plan)

    def fitted(columns: Mapping[str, Any]) -> Fit:
        design = build_design(
            columns, OUTCOME, [exposure], adjust,
            reference={k: v for k, v in data.reference.items() if k in (exposure, *adjust)},
            group=PERSON if repeated != "none" else None,
        )  # fmt: skip
        return method(design)

    try:
        if plan.missing == "impute":
            known = ~np.isnan(np.asarray(table[OUTCOME], dtype=float))
            whole = {name: np.asarray(values)[known] for name, values in table.items()}
            names = [exposure, *adjust, OUTCOME]
            if any(_lacks(whole[name]) for name in names):
                rng = np.random.default_rng([plan.seed, *map(ord, f"{outcome}{exposure}")])
                return fit_imputed(whole, names, fitted, rng, plan.imputations, plan.level)
            return fitted(whole)
        return fitted(table)
    except PetechiaError as error:
        return Fit(
            model=plan.model_of(outcome), outcome=outcome, measure="", status="too_few",
            said=f"not fitted: {error.what}",
        )  # fmt: skip


def _lacks(values: npt.NDArray[Any]) -> bool:
    if values.dtype == object:
        return bool((values == "n/a").any())
    return bool(np.isnan(values.astype(float)).any())


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


def _add(
    out: Table,
    fit: Fit,
    outcome: str,
    exposure: str,
    adjust: tuple[str, ...],
    data: Data,
) -> None:
    common = {
        "outcome": outcome, "exposure": exposure, "adjusted": int(bool(adjust)), "model": fit.model,
        "measure": fit.measure, "n": fit.n, "left_out": fit.left_out, "status": fit.status,
        "said": fit.said, "adjusted_for": ", ".join(adjust) or None,
        "notes": "; ".join(fit.notes) or None,
    }  # fmt: skip
    told = fit.terms or (Term(name=exposure),)
    for term in told:
        base = term.name.partition("[")[0]
        asked = base == exposure and term.part not in ("threshold", "spread")
        ratio = not np.isnan(term.ratio)
        out.add(
            **common,
            term=term.name,
            asked=int(asked),
            part=term.part or None,
            ratio=tidy(term.ratio if ratio else term.coefficient),
            ratio_low=tidy(term.ratio_low if ratio else term.low),
            ratio_high=tidy(term.ratio_high if ratio else term.high),
            coefficient=tidy(term.coefficient),
            se=tidy(term.se),
            p=tidy(term.p),
            per=data.per.get(base),
        )


def uncertainty_table(frame: Frame, plan: Plan, tell: Callable[[str], None]) -> Table:
    """Return rate ratios as counted, and with the detector's uncertainty carried along."""
    columns = {
        "exposure": "factor asked about", "term": "coefficient",
        "as_counted": "rate ratio of the counts", "as_counted_low": "", "as_counted_high": "",
        "with_detection": "rate ratio over counts drawn from the probabilities",
        "with_detection_low": "", "with_detection_high": "", "per": "difference it is for",
        "draws": "counts drawn for each scan", "said": "how the pooled fit went",
    }  # fmt: skip
    out = Table("uncertainty", "How far the detector's uncertainty moves rate ratios", columns)
    rows = frame.take(frame.chosen & frame.assessed)
    if "count" not in plan.outcome or plan.repeated != "none" or not len(rows.scans):
        return out
    exposures, covariates = exposures_of(rows, plan), covariates_of(rows, plan)
    data = data_of(rows, plan, list(dict.fromkeys([*exposures, *covariates])))
    scan = scan_covariates(rows, plan)
    table = data.table | {OUTCOME: rows.outcome("count")}
    chances = [np.asarray(row.probabilities) for row in rows.scans]
    model = plan.model if plan.model in COUNT_MODEL else "nb"
    for exposure in exposures:
        tell(f"uncertainty: {exposure}")
        others = [c for c in covariates if c != exposure and not _same(c, exposure)]
        adjust = (*others, *scan)
        try:
            design = build_design(
                table, OUTCOME, [exposure], adjust,
                reference={k: v for k, v in data.reference.items() if k in (exposure, *adjust)},
            )  # fmt: skip
            rng = np.random.default_rng([plan.seed, *map(ord, exposure)])
            told = fit_uncertain(
                design, chances,
                lambda d: count_regression(d, COUNT_MODEL[model], plan.level),
                rng, plan.draws, plan.level,
            )  # fmt: skip
        except PetechiaError as error:
            out.add(exposure=exposure, said=f"not fitted: {error.what}")
            continue
        terms = [
            t for t in told.pooled.terms if t.name.partition("[")[0] == exposure and not t.part
        ]
        naive = {(t.name, t.part): t for t in told.naive.terms}
        for term in terms or (Term(name=exposure),):
            plain = naive.get((term.name, term.part), Term(name=term.name))
            out.add(
                exposure=exposure, term=term.name, as_counted=tidy(plain.ratio),
                as_counted_low=tidy(plain.ratio_low), as_counted_high=tidy(plain.ratio_high),
                with_detection=tidy(term.ratio), with_detection_low=tidy(term.ratio_low),
                with_detection_high=tidy(term.ratio_high), per=data.per.get(exposure),
                draws=plan.draws, said=told.pooled.said,
            )  # fmt: skip
    return out


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
    covariates = covariates_of(rows, plan)
    data = data_of(rows, plan, covariates)
    table = data.table | {OUTCOME: rows.outcome("count")}
    exposures = covariates or [n for n in scan_covariates(rows, plan) if n in table][:1]
    try:
        design = build_design(table, OUTCOME, exposures, scan_covariates(rows, plan),
                              reference={k: v for k, v in data.reference.items()
                                         if k in exposures})  # fmt: skip
        choice = choose_count_model(design, level=plan.level)
    except PetechiaError as error:
        out.add(model="all", status="too_few", said=error.what)
        return out
    for key, fit in zip(COUNT_MODELS_IN_ORDER, choice.fits, strict=False):
        chosen = key == choice.chosen
        out.add(
            model=fit.model, aic=tidy(fit.aic), status=fit.status, chosen=int(chosen),
            dispersion=tidy(choice.dispersion), p_dispersion=tidy(choice.p_dispersion),
            zeros=choice.zeros, zeros_expected=tidy(choice.zeros_expected),
            p_zeros=tidy(choice.p_zeros), said=fit.said,
        )  # fmt: skip
    return out


COUNT_MODELS_IN_ORDER = (
    "poisson", "negative_binomial", "zero_inflated_poisson", "zero_inflated_negative_binomial",
    "hurdle_poisson", "hurdle_negative_binomial",
)  # fmt: skip


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


def outcome_title(outcome: str) -> str:
    """Return an outcome in words."""
    return OUTCOMES[outcome]


def status_words(status: str) -> str:
    """Return what a status means."""
    return STATUSES.get(status, status)
