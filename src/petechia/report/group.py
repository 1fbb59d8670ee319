"""The page of a cohort: how many, who, where, how sure, and what was left out."""

from collections.abc import Iterable, Sequence
from typing import Any

from petechia.report import frequency
from petechia.report import group_models as models
from petechia.report.curves import Axis, Plot
from petechia.report.evaluation import DASH, number
from petechia.report.frequency import Map
from petechia.report.group_methods import methods_of
from petechia.report.group_words import (
    MOST_LISTED,
    MOST_ROWS,
    PATTERNS,
    STATUS,
    GroupPage,
    Row,
    level_words,
    outcome_words,
    p_text,
    people_of,
    percent,
    ratio_text,
    scans_of,
    short,
    span,
    title_of,
)
from petechia.report.language import said, speaking, t
from petechia.report.page import environment
from petechia.report.wording import BINS, capital, plain, spaced

__all__ = ["GroupPage", "Map", "render_group"]


def render_group(page: GroupPage, language: str = "en") -> str:
    """Return the page of a cohort.

    Parameters
    ----------
    page : GroupPage
        What it is made of.
    language : str
        'en' or 'zh'.

    Returns
    -------
    str
        HTML without scripts that loads nothing. The same input gives the same text.
    """
    with speaking(language):
        return _render(page)


def _render(page: GroupPage) -> str:
    facts = page.facts
    return (
        environment()
        .get_template("group.html.j2")
        .render(
            facts=facts,
            people_of=people_of,
            scans_of=scans_of,
            answer=_answer(page),
            notes=[said(plain(text)) for text in (*facts["notes"], *page.notes)],
            left=_left(page.rows("left_out")),
            people=_people(page),
            prevalence=_prevalence(page),
            bands=_bands(page),
            counts=_counts(page),
            forests=models.forests(page),
            failed=models.failed(page),
            tests=models.tests(page),
            trends=models.trends(page),
            uncertainty=models.uncertainty(page),
            dispersion=models.dispersion(page),
            sites=_sites(page.rows("sites")),
            map=_map(page.lesions),
            changes=_changes(page),
            sequences=_sequences(page),
            quality=_quality(page),
            protocols=_protocols(page),
            missing=_missing(page),
            methods=methods_of(facts["plan"], page.tables),
            files=_files(page),
            ignored=[plain(name) for name in facts["ignored"]],
        )
    )


def _files(page: GroupPage) -> list[tuple[str, list[str]]]:
    """Return the title of each table with its files, and what else there is."""
    by: dict[str, list[str]] = {}
    for name in page.files:
        by.setdefault(name.rsplit(".", 1)[0], []).append(name)
    words = {"tables": "What each column means"}
    titles = {stem: page.titles.get(stem, words.get(stem, stem)) for stem in by}
    return [(said(titles[stem]), by[stem]) for stem in sorted(by)]


def _answer(page: GroupPage) -> dict[str, Any]:
    whole = [row for row in page.rows("prevalence") if row["factor"] == "all" and row["n"]]
    first = next((row for row in whole if row["outcome"] == "presence"), None)
    facts = page.facts
    reviewed = facts["n_reviewed"]
    counted = t("Counts are of software: no reader reviewed them.")
    if not facts["n_assessed"]:
        counted = ""
    elif reviewed:
        counted = t("{n} of {scans} assessed scans were reviewed by a reader.", n=reviewed,
                    scans=facts["n_assessed"])  # fmt: skip
        if reviewed == facts["n_assessed"]:
            counted = t("All assessed scans were reviewed by a reader.")
    begun = sum(bool(row["undecided"]) for row in page.rows("scans") if row["status"] == "assessed")
    if begun:
        counted += " " + t("Scans whose review is begun, with findings undecided: {n}.", n=begun)
    return {
        "share": None if first is None else percent(first["share"]),
        "cases": first["cases"] if first else 0,
        "n": first["n"] if first else 0,
        "interval": _interval(first) if first else DASH,
        "rows": [
            (outcome_words(row["outcome"]), f"{_of(row['cases'], row['n'])}: "
             f"{percent(row['share'])} ({_interval(row)})")
            for row in whole if row["outcome"] != "presence"
        ] + _expected(first),
        "counted": counted,
    }  # fmt: skip


def _of(some: Any, all_: Any) -> str:
    return t("{some} of {all}", some=some, all=all_)


def _expected(row: Row | None) -> list[tuple[str, str]]:
    """Return the share that the probabilities of all findings expect."""
    if row is None or row.get("with_detection") is None:
        return []
    interval = _interval(row, "with_detection")
    return [
        (t("Any, expected by the probabilities of all findings"),
         f"{percent(row['with_detection'])} ({interval})")
    ]  # fmt: skip


def _interval(row: Row, kind: str = "wilson") -> str:
    low, high = row.get(f"{kind}_low"), row.get(f"{kind}_high")
    if low is None or high is None:
        return DASH
    return span(f"{100 * low:.1f}", f"{100 * high:.1f}")


def _left(rows: Sequence[Row]) -> dict[str, Any]:
    groups = [
        (words, sum(row["status"] == status for row in rows)) for status, words in STATUS.items()
    ]
    return {
        "groups": [(t(words), n) for words, n in groups if n],
        "rows": [
            (plain(row["scan"] or row["participant_id"]), t(STATUS[row["status"]]),
             said(plain(row["reason"])))
            for row in rows[:MOST_LISTED]
        ],
        "more": max(0, len(rows) - MOST_LISTED),
    }  # fmt: skip


def _people(page: GroupPage) -> list[dict[str, str]]:
    out, last = [], None
    for row in page.rows("characteristics"):
        cells = {}
        for who in ("all", "with", "without"):
            if row.get("group"):
                cells[who] = f"{row[f'{who}_n']} ({percent(row.get(f'{who}_share'), 0)})"
            elif row.get(f"{who}_median") is None:
                cells[who] = DASH
            else:
                quarters = span(f"{row[f'{who}_q1']:g}", f"{row[f'{who}_q3']:g}")
                cells[who] = f"{row[f'{who}_median']:g} ({quarters})"
        unit = row.get("unit")
        title = title_of(page, row["factor"])
        title += f" [{said(unit)}]" if unit and unit != "1" else ""
        shown = title if row["factor"] != last else ""
        last = row["factor"]
        out.append(
            {"factor": shown, "group": level_words(row["group"]) if row.get("group") else
             t("median (quartiles)"), "known": str(row["known"]) if shown else "", **cells}
        )  # fmt: skip
    return out[: 2 * MOST_ROWS]


def _prevalence(page: GroupPage) -> list[dict[str, Any]]:
    """Return a row for each group, its outcomes side by side."""
    outcomes = list(dict.fromkeys(row["outcome"] for row in page.rows("prevalence")))
    by: dict[tuple[str, str], dict[str, Row]] = {}
    for row in page.rows("prevalence"):
        by.setdefault((row["factor"], row["group"]), {})[row["outcome"]] = row
    out, last = [], None
    for (factor, group), found in by.items():
        cells = [
            f"{row['cases']}/{row['n']}, {percent(row['share'])} ({_interval(row)})"
            if row and row["n"] else DASH
            for row in (found.get(outcome) for outcome in outcomes)
        ]  # fmt: skip
        out.append(
            {
                "factor": ""
                if factor == last
                else t("All")
                if factor == "all"
                else title_of(page, factor),
                "group": t("all people") if group == "all" else level_words(group),
                "cells": cells,
            }
        )
        last = factor
    heads = [outcome_words(outcome) for outcome in outcomes]
    return [{"heads": heads, "rows": out}] if out else []


def _bands(page: GroupPage) -> dict[str, Any] | None:
    """Return the picture of prevalence over bands of a number."""
    by = page.facts["plan"]["by"]
    name, _, width = by.partition(":")
    rows = [
        row for row in page.rows("prevalence")
        if row["factor"] == by and row["outcome"] == "presence" and row["n"]
        and row["group"] != "not known"
    ]  # fmt: skip
    if not width or len(rows) < 2:
        return None
    step = float(width)
    starts = [float(row["group"].partition(" to ")[0]) for row in rows]
    middle = [start + step / 2 for start in starts]
    title = title_of(page, name)
    plot = Plot(
        x=Axis(title=title, low=min(starts) - step / 4, high=max(starts) + 1.25 * step),
        y=Axis(title=t("People with a microbleed [%]"), low=0, high=100),
        says=t("Prevalence by {title}", title=title)
        + ": "
        + "; ".join(
            f"{level_words(r['group'])}: {_of(percent(r['share'], 0), r['n'])}" for r in rows
        ),
        lines=[([(x, 100 * r["share"]) for x, r in zip(middle, rows, strict=True)], True)],
        points=[(x, 100 * r["share"], 0) for x, r in zip(middle, rows, strict=True)],
        bars=[
            (x, 100 * r["wilson_low"], 100 * r["wilson_high"])
            for x, r in zip(middle, rows, strict=True)
        ],
    )
    return {"svg": plot.svg(), "title": title}


def _counts(page: GroupPage) -> dict[str, Any] | None:
    rows = page.rows("counts")
    if not rows or not rows[0]["n"]:
        return None
    whole, out, last = rows[0], [], None
    for row in rows[:MOST_ROWS]:
        factor = row["factor"]
        shown = "" if factor == last else t("All") if factor == "all" else title_of(page, factor)
        last = factor
        cells = [DASH] * 7
        if row["n"]:
            cells = [
                str(row["total"]), number(row["mean"], 2), number(row["sd"], 1),
                f"{row['median']:g} ({span(format(row['q1'], 'g'), format(row['q3'], 'g'))})",
                str(row["most"]),
                str(row["bin_>=5"]), str(row["above_10"]),
            ]  # fmt: skip
        group = t("all people") if row["group"] == "all" else level_words(row["group"])
        out.append({"factor": shown, "group": group, "n": row["n"], "cells": cells})
    n = whole["n"]
    patterns = [
        (t(words), whole[key], percent(whole[key] / n), 100 * whole[key] / n)
        for key, words in PATTERNS.items() if whole[key] or key != "pattern_unknown"
    ]  # fmt: skip
    bins = [
        (
            t(words),
            whole[f"bin_{key}"],
            percent(whole[f"bin_{key}"] / n),
            100 * whole[f"bin_{key}"] / n,
        )
        for key, words in BINS.items()
    ]
    return {"rows": out, "patterns": patterns, "bins": bins}


def _sites(rows: Sequence[Row]) -> list[dict[str, Any]]:
    most = max((r["count"] for r in rows if r["kind"] == "site"), default=0) or 1
    return [
        {
            "group": r["kind"] == "compartment",
            "place": capital(spaced(r["place"])),
            "count": r["count"],
            "sides": f"{r['left']} / {r['right']} / {r['midline']}",
            "people": _of(r["people"], r["n"]),
            "share": percent(r["share"]),
            "rate": ratio_text(r, "rate"),
            "bar": round(100 * r["count"] / most, 1)
            if r["kind"] == "site" and r["count"]
            else None,
        }
        for r in rows
        if r["count"] or r["place"] != "not known"
    ]


def _map(told: Map | None) -> dict[str, Any] | None:
    if told is None:
        return None
    return {
        "slices": frequency.slices(told),
        "glasses": frequency.glasses(told),
        "legend": frequency.steps(told.most) if told.most > 0 else [],
        "n": told.n_people,
        "without": told.n_without,
        "lesions": len(told.places),
        "radius": f"{told.radius_mm:g}",
        "most": percent(told.most),
    }


def _changes(page: GroupPage) -> dict[str, Any] | None:
    rows, new = page.rows("before_after"), page.rows("incidence")
    if not rows and not new:
        return None
    return {
        "first": said(rows[0]["from"]) if rows else "",
        "second": said(rows[0]["to"]) if rows else "",
        "same": rows[0]["same_protocol"] if rows else 0,
        "pairs": rows[0]["pairs"] if rows else 0,
        "rows": [
            {
                "place": capital(spaced(r["place"])), "pairs": r["pairs"],
                "before": short(r["before"]), "after": short(r["after"]),
                "ratio": ratio_text(r), "difference": ratio_text(r, "difference"),
                "p": p_text(r["p_signed_rank"]), "gained": r["gained"], "lost": r["lost"],
                "p_mcnemar": p_text(r["p_mcnemar"]),
            }
            for r in rows
        ],
        "incidence": [
            {
                "factor": t("All")
                if r["factor"] == "all"
                else capital(title_of(page, r["factor"])),
                "group": "" if r["group"] == "all" else level_words(r["group"]),
                "people": r["people"],
                "new": str(r["new"]) if r["new"] == r["new_most"]
                else span(str(r["new"]), str(r["new_most"])),
                "out": r["not_followed"], "other": r["other_protocol"],
                "years": short(r["person_years"]),
                "rate": ratio_text(r, "rate"), "robust": ratio_text(r, "rate_robust"),
                "risk": f"{r['with_new']}: {ratio_text(r, 'risk')}",
            }
            for r in new
        ],
    }  # fmt: skip


def _and(one: Any, other: Any) -> str:
    return t("{one} and {other}", one=one, other=other)


def _sequences(page: GroupPage) -> dict[str, Any] | None:
    if "sequences" not in page.tables:
        return None
    return {
        "counts": [
            {
                "pair": _and(plain(r["first"]), plain(r["second"])), "pairs": r["pairs"],
                "totals": _and(r["total_first"], r["total_second"]), "ratio": ratio_text(r),
                "presence": " / ".join(
                    str(r[key]) for key in ("both", "only_first", "only_second", "neither")
                ),
                "p": p_text(r["p_mcnemar"]),
                "bias": f"{short(r['bias'])} "
                f"({span(short(r['limits_low']), short(r['limits_high']))})",
                "icc": ratio_text(r, "icc_absolute"), "kappa": ratio_text(r, "kappa"),
            }
            for r in page.rows("sequences")
        ],
        "lesions": [
            {
                "pair": _and(plain(r["first"]), plain(r["second"])), "both": r["both"],
                "first": r["only_first"], "second": r["only_second"], "f1": ratio_text(r, "f1"),
                "gain": ratio_text(r, "gain"), "p": p_text(r["p"]),
            }
            for r in page.rows("sequence_lesions")
        ],
        "looks": [
            {
                "pair": _and(plain(r["first"]), plain(r["second"])),
                "measure": capital(spaced(r["measure"])), "lesions": r["lesions"],
                "medians": _and(short(r.get("median_first")), short(r.get("median_second"))),
                "shares": _and(*(percent(r.get(f"share_{s}"), 0) for s in ("first", "second"))),
                "ratio": ratio_text(r), "p": p_text(r.get("p")),
            }
            for r in page.rows("sequence_looks") if r["lesions"]
        ],
    }  # fmt: skip


def _quality(page: GroupPage) -> list[dict[str, Any]]:
    """Return how many scans passed each fitness check."""
    return [
        {
            **{key: r[key] for key in ("ok", "limited", "refused", "unknown")},
            "check": capital(said(spaced(r["check"]))),
            "commonest": said(plain(r.get("commonest") or "")),
        }
        for r in page.rows("quality")
    ]


def _protocols(page: GroupPage) -> list[list[str]]:
    return [
        [
            plain(r["scanner"]), short(r["b0_t"]), said(plain(r["sequence"])), short(r["te_ms"]),
            short(r["slice_thickness_mm"]), str(r["scans"]), str(r["assessed"]),
            str(r["with_any"]), short(r["mean"]),
        ]
        for r in page.rows("protocols")[:MOST_ROWS]
    ]  # fmt: skip


def _missing(page: GroupPage) -> list[list[str]]:
    rows: Iterable[Row] = page.rows("missing")
    return [
        [title_of(page, r["factor"]), str(r["known"]), str(r["missing"]), percent(r["share"]),
         p_text(r["p_with_outcome"])]
        for r in rows if r["missing"]
    ]  # fmt: skip
