"""What models and tests say of a cohort, for its page."""

from typing import Any

from petechia.report.evaluation import number
from petechia.report.forest import ForestRow, forest
from petechia.report.group_methods import covariate_words
from petechia.report.group_words import (
    MOST_LISTED,
    MOST_ROWS,
    PATTERNS,
    GroupPage,
    Row,
    level_words,
    outcome_words,
    p_text,
    ratio_text,
    step_words,
    title_of,
)
from petechia.report.language import said, t
from petechia.report.wording import capital, plain, spaced


def _asked(page: GroupPage, adjusted: int) -> list[Row]:
    return [r for r in page.rows("models") if r["asked"] and r["adjusted"] == adjusted]


def _term(page: GroupPage, row: Row) -> str:
    words = title_of(page, row["exposure"])
    level = row["term"].removeprefix(row["exposure"])
    if level:
        words += f": {level_words(level[1:-1])}"
    elif row.get("per"):
        words += t(", per {step}", step=step_words(row["per"]))
    part = row.get("part")
    if part:
        words += f" ({t(PATTERNS[part]).lower() if part in PATTERNS else said(spaced(part))})"
    return words


def forests(page: GroupPage) -> list[dict[str, Any]]:
    """Return for each outcome the adjusted ratios as a picture and a table."""
    out = []
    crude = {(r["outcome"], r["term"], r.get("part")): r for r in _asked(page, 0)}
    every = _asked(page, 1) or _asked(page, 0)
    for outcome in dict.fromkeys(r["outcome"] for r in every):
        rows = [r for r in every if r["outcome"] == outcome]
        fitted = [r for r in rows if r["status"] == "fitted" and r["ratio"] is not None]
        every_one = fitted or rows
        measure = said(fitted[0]["measure"] if fitted else "ratio")
        drawn = [
            ForestRow(
                label=_term(page, r),
                text=f"{ratio_text(r)}  p {p_text(r['p'])}"
                if r["status"] == "fitted" else t("not fitted"),
                value=r["ratio"] if r["status"] == "fitted" else None,
                low=r["ratio_low"], high=r["ratio_high"],
                strong=r.get("q") is not None and r["q"] < 0.05,
            )
            for r in rows[:MOST_ROWS]
        ]  # fmt: skip
        table = [
            {
                "term": _term(page, r),
                "crude": ratio_text(crude.get((outcome, r["term"], r.get("part")), {})),
                "adjusted": ratio_text(r),
                "p": p_text(r["p"]),
                "q": p_text(r.get("q")),
                "n": r["n"],
                "left_out": r["left_out"],
                "said": "" if r["status"] == "fitted" else said(plain(r["said"])),
                "notes": said(plain(r.get("notes") or "")),
            }
            for r in rows
        ]
        adjusted_for = sorted({r["adjusted_for"] for r in rows if r.get("adjusted_for")}, key=len)
        out.append(
            {
                "title": outcome_words(outcome),
                "model": "; ".join(said(m) for m in dict.fromkeys(r["model"] for r in every_one)),
                "measure": capital(measure),
                "svg": forest(
                    drawn, capital(measure),
                    t(
                        "Forest plot: {measure} of {outcome} for {n} terms; the same numbers stand "
                        "in the table below",
                        measure=measure, outcome=outcome_words(outcome).lower(), n=len(drawn),
                    ),
                ),
                "rows": table,
                "adjusted_for": covariate_words(adjusted_for[-1]) if adjusted_for else "",
            }
        )  # fmt: skip
    return out


def failed(page: GroupPage) -> list[str]:
    """Return which models did not converge or were not fitted, and why."""
    rows = [r for r in page.rows("models") if r["status"] != "fitted"]
    told = dict.fromkeys(
        (f"{outcome_words(r['outcome'])}, {title_of(page, r['exposure'])}, "
         f"{t('adjusted') if r['adjusted'] else t('not adjusted')}", said(plain(r["said"])))
        for r in rows
    )  # fmt: skip
    return [f"{what}: {why}" for what, why in told][:MOST_LISTED]


def tests(page: GroupPage) -> list[dict[str, str]]:
    """Return the table of factors by themselves."""
    return [
        {
            "outcome": outcome_words(r["outcome"]),
            "factor": f"{title_of(page, r['factor'])}: "
            + t("{group} against {reference}", group=level_words(r["group"]),
                reference=level_words(r["reference"])),
            "exposed": f"{r['cases']}/{r['n']}",
            "others": f"{r['cases_0']}/{r['n_0']}",
            "odds": ratio_text(r, "odds_ratio_exact" if r["test"] == "Fisher" else "odds_ratio"),
            "risk": ratio_text(r, "risk_ratio"),
            "difference": ratio_text(r, "risk_difference"),
            "p": f"{p_text(r['p'])} ({r['test']})",
            "q": p_text(r.get("q")),
        }
        for r in page.rows("associations")
    ]  # fmt: skip


def trends(page: GroupPage) -> list[dict[str, str]]:
    """Return the trends over ordered groups."""
    return [
        {
            "outcome": outcome_words(r["outcome"]),
            "factor": title_of(page, r["factor"]),
            "groups": "; ".join(level_words(word) for word in r["groups"].split(", ")),
            "scores": "; ".join(r["scores"].split(", ")),
            "cases": "; ".join(
                f"{a}/{b}" for a, b in zip(r["cases"].split(", "), r["n"].split(", "), strict=True)
            ),
            "z": number(r["z"]),
            "p": p_text(r["p"]),
            "q": p_text(r.get("q")),
        }
        for r in page.rows("trends")
    ]


def uncertainty(page: GroupPage) -> list[dict[str, str]]:
    """Return ratios as counted, and with the uncertainty of detection."""
    return [
        {
            "outcome": outcome_words(r["outcome"]),
            "term": _term(page, {**r, "term": r.get("term") or r["exposure"]}),
            "plain": ratio_text(r, "as_counted"),
            "carried": ratio_text(r, "with_detection"),
            # of a fit that went well, what its interval is; else all of it
            "said": said(plain(r["said"] if r.get("with_detection") is None
                               else r["said"].partition("; ")[2])),
        }
        for r in page.rows("uncertainty")
    ]  # fmt: skip


def dispersion(page: GroupPage) -> dict[str, Any] | None:
    """Return what the spread of counts says of the model."""
    rows = page.rows("dispersion")
    if not rows:
        return None
    first = rows[0]
    models = [
        (said(plain(r["model"])), number(r.get("aic"), 1), t("least AIC") if r.get("chosen") else
         "" if r["status"] == "fitted" else said(plain(r["said"])))
        for r in rows
    ]  # fmt: skip
    return {
        "models": models,
        "dispersion": number(first.get("dispersion")),
        "p_dispersion": p_text(first.get("p_dispersion")),
        "zeros": first.get("zeros"),
        "expected": number(first.get("zeros_expected"), 1),
    }
