"""How many have them: prevalence and counts, of all, by band and by group."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from petechia.cohort.detection import uncertain_prevalence
from petechia.cohort.prevalence import prevalence
from petechia.core.counts import chance_of_any
from petechia.pipeline.group.factors import Column
from petechia.pipeline.group.frame import BINS, PATTERNS, Frame, grouped
from petechia.pipeline.group.plan import Plan
from petechia.pipeline.group.tables import Table, tidy

Floats = npt.NDArray[np.float64]
YES_NO_OUTCOMES = ("presence", "lobar", "deep")
MOST_GROUPS = 30


def groups_of(frame: Frame, plan: Plan) -> list[Column]:
    """Return the factors of words that people are told apart by, bands of `by` first."""
    out = []
    name, width = plan.bands()
    if name and name in frame.people:
        out.append(grouped(frame, f"{name}:{width:g}" if width else name))
    wanted = plan.groups or default_groups(frame)
    for expression in wanted:
        if expression in frame.people and frame.column(expression).factor.is_number:
            continue  # a number without a cut: in the models
        out.append(grouped(frame, expression))
    return [column for column in out if 1 <= column.n_levels <= MOST_GROUPS]


NO_GROUPS = ("days", "timepoint")
"""Columns of the sessions: they tell visits apart, not people."""


def default_groups(frame: Frame) -> list[str]:
    """Return the factors of the shipped dictionary that the table has and that vary."""
    chosen = frame.take(frame.chosen)
    return [
        name
        for name, column in chosen.people.items()
        if column.factor.known
        and not column.factor.text
        and name not in NO_GROUPS
        and column.n_levels >= 2
    ]


def parts(column: Column) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    """Yield each level that anybody has, and who; those not known last."""
    for code, word in enumerate(column.factor.levels):
        who = column.values == code
        if who.any():
            yield word, who
    unknown = np.isnan(column.values)
    if unknown.any():
        yield "not known", unknown


def prevalence_table(frame: Frame, plan: Plan) -> Table:
    """Return prevalence of every yes-or-no outcome: of all, and in each group."""
    columns = {
        "outcome": "what is looked for", "factor": "what people are told apart by",
        "group": "group", "cases": "people with it", "n": "people in whom it could be told",
        "not_assessable": "people left out", "share": "cases / n",
        "wilson_low": "Wilson's interval", "wilson_high": "", "exact_low": "exact interval "
        "(Clopper-Pearson)", "exact_high": "", "with_detection": "share expected by the "
        "probabilities of all findings, also those not counted (any microbleed only)",
        "with_detection_low": "interval over people and over the detector's doubt",
        "with_detection_high": "",
    }  # fmt: skip
    out = Table("prevalence", "Prevalence", columns)
    chosen = frame.take(frame.chosen)
    groups = groups_of(chosen, plan)
    names = [name for name in YES_NO_OUTCOMES if name in plan.outcome] or ["presence"]
    if "bin" in plan.outcome or "count" in plan.outcome:
        names.append("5 or more")
    for name in names:
        if name == "5 or more":
            value = chosen.outcome("bin")
            present = np.where(np.isnan(value), np.nan, value == BINS.index(">=5"))
        else:
            present = chosen.outcome(name)
        chances = _chances(chosen) if name == "presence" else np.full(len(present), np.nan)
        _row(out, (name, "all", "all"), present, chances, plan)
        for column in groups:
            for word, who in parts(column):
                _row(out, (name, column.factor.name, word), present[who], chances[who], plan)
    return out


def _chances(frame: Frame) -> Floats:
    """Return each scan's probability of any microbleed; NaN where it was not assessed."""
    return np.array(
        [
            chance_of_any(s.probabilities, s.count_doubt) if s.assessed else np.nan
            for s in frame.scans
        ]
    )


def _row(
    out: Table, what: tuple[str, str, str], present: Floats, chances: Floats, plan: Plan
) -> None:
    outcome, factor, group = what
    told = prevalence(present, name=group, level=plan.level)
    sure = chances[np.isfinite(chances)]
    doubt = uncertain_prevalence(list(sure[:, None]), plan.level)
    out.add(
        outcome=outcome,
        factor=factor,
        group=group,
        cases=told.cases,
        n=told.assessable,
        not_assessable=told.not_assessable,
        share=tidy(told.share),
        wilson_low=tidy(told.wilson[0]) if told.assessable else None,
        wilson_high=tidy(told.wilson[1]) if told.assessable else None,
        exact_low=tidy(told.exact[0]) if told.assessable else None,
        exact_high=tidy(told.exact[1]) if told.assessable else None,
        with_detection=tidy(doubt.value),
        with_detection_low=tidy(doubt.low),
        with_detection_high=tidy(doubt.high),
    )


def counts_table(frame: Frame, plan: Plan) -> Table:
    """Return how many microbleeds people have: of all, and in each group."""
    columns = {
        "factor": "what people are told apart by", "group": "group", "n": "people assessed",
        "total": "microbleeds", "mean": "a person", "sd": "standard deviation",
        "median": "of all people", "q1": "lower quartile", "q3": "upper quartile",
        "most": "largest count", "median_of_positive": "median of those who have any",
        "above_10": "people with more than 10",
        **{f"bin_{word}": f"people with {word}" for word in BINS},
        **{word: f"people of pattern {word}" for word in PATTERNS.values()},
        "pattern_unknown": "people whose pattern is not known",
    }  # fmt: skip
    out = Table("counts", "Numbers of microbleeds", columns)
    chosen = frame.take(frame.chosen)
    count, pattern = chosen.outcome("count"), chosen.outcome("category")
    everybody = np.ones(len(count), dtype=bool)
    listed = [("all", "all", everybody)]
    for column in groups_of(chosen, plan):
        listed += [(column.factor.name, word, who) for word, who in parts(column)]
    for factor, group, who in listed:
        who = who & ~np.isnan(count)
        there, kind = count[who], pattern[who]
        if not len(there):
            out.add(factor=factor, group=group, n=0)
            continue
        positive = there[there > 0]
        q1, median, q3 = np.quantile(there, [0.25, 0.5, 0.75])
        out.add(
            factor=factor,
            group=group,
            n=len(there),
            total=int(there.sum()),
            mean=tidy(float(there.mean()), 4),
            sd=tidy(float(there.std(ddof=1)), 4) if len(there) > 1 else None,
            median=float(median),
            q1=float(q1),
            q3=float(q3),
            most=int(there.max()),
            median_of_positive=float(np.median(positive)) if len(positive) else None,
            above_10=int((there > 10).sum()),
            **{"bin_0": int((there == 0).sum()), "bin_1-4": int(((there > 0) & (there < 5)).sum()),
               "bin_>=5": int((there >= 5).sum())},
            **{word: int((kind == n).sum()) for n, word in enumerate(PATTERNS.values())},
            pattern_unknown=int(np.isnan(kind).sum()),
        )  # fmt: skip
    return out
