"""How the numbers of a cohort were made: sentences with their sources, of what was done only."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from petechia.report.language import said, t

Row = Mapping[str, Any]
Sentence = tuple[str, str]
COVARIATES = {"b0_t": "field", "slice_thickness_mm": "slice thickness", "te_s": "echo time"}
RUBIN = "10.1002/9780470316696"


def covariate_words(listed: str) -> str:
    """Return the columns `a, b_c` as words."""
    return ", ".join(said(COVARIATES.get(n, n.replace("_", " "))) for n in listed.split(", "))


def methods_of(plan: Mapping[str, Any], tables: Mapping[str, Sequence[Row]]) -> list[Sentence]:
    """Return (sentence, DOI or '') of what was done.

    Parameters
    ----------
    plan : mapping
        As `Plan.as_dict` gives it.
    tables : mapping
        Rows by table: what is empty was not done.
    """
    return [*_counted(plan), *_groups(plan, tables), *_pairs(tables), *_map(plan)]


def _counted(plan: Mapping[str, Any]) -> Iterator[Sentence]:
    yield (
        t(
            "Microbleeds were found, named and counted by Petechia; their sites follow "
            "the Microbleed Anatomical Rating Scale."
        ),
        "10.1212/WNL.0b013e3181c34a7d",
    )
    yield (
        t(
            "People enter with one scan each: assessed before not assessable, of the "
            "{session} session, with phase before without. Scans that failed or were not "
            "assessable enter no denominator.",
            session=said(plan["session"]),
        ),
        "",
    )
    level = f"{100 * plan['level']:g}"
    yield (
        t("Prevalence is told with Wilson's {level} % interval.", level=level),
        "10.1080/01621459.1927.10502953",
    )
    yield (
        t("The table has the exact interval too (Clopper and Pearson)."),
        "10.1093/biomet/26.4.404",
    )
    yield (
        t(
            "Beside it stands the share expected by the probabilities of all findings, "
            "with Wilson's interval of as many people as are left by the detector's "
            "doubt."
        ),
        "10.1080/00031305.2018.1473796",
    )


def _groups(plan: Mapping[str, Any], tables: Mapping[str, Sequence[Row]]) -> Iterator[Sentence]:
    if tables.get("associations"):
        yield (
            t(
                "Groups are compared with their reference by odds ratio and risk ratio "
                "(Wald on the logarithm), and by Pearson's chi-square; where an expected "
                "count is below 5 by the exact odds ratio and Fisher's test."
            ),
            "",
        )
        yield (
            t("Risk differences have Newcombe's interval."),
            "10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I",
        )
    if tables.get("trends"):
        yield t("Trends over ordered groups by the Cochran-Armitage test."), "10.2307/3001775"
    if tables.get("models"):
        yield from _models(plan, tables["models"])
    if tables.get("uncertainty"):
        yield (
            t(
                "The detector's uncertainty is carried by {n} draws of each scan's count "
                "from the probabilities of its findings, fits pooled by Rubin's rules.",
                n=plan["draws"],
            ),
            RUBIN,
        )
    tested = [row for name in ("models", "associations", "trends") for row in tables.get(name, ())]
    if any(row.get("q") is not None for row in tested):
        yield (
            t("q is p after Benjamini and Hochberg over the family that each table names."),
            "10.1111/j.2517-6161.1995.tb02031.x",
        )


def _models(plan: Mapping[str, Any], rows: Sequence[Row]) -> Iterator[Sentence]:
    kinds = list(dict.fromkeys(str(row["model"]) for row in rows if row["status"] == "fitted"))
    if kinds:
        names = "; ".join(said(kind) for kind in kinds)
        yield t("One regression for each factor and outcome: {names}.", names=names), ""
    adjusted = max((str(row["adjusted_for"] or "") for row in rows), key=len)
    if adjusted not in ("", "nothing"):
        words = covariate_words(adjusted)
        yield t("Adjusted for {names} (the factor itself left out), where they vary.",
                names=words), ""  # fmt: skip
    if any("firth" in f"{row['model']} {row.get('notes')}".lower() for row in rows):
        yield (
            t("Where the outcome is separated: penalised likelihood."),
            "10.1093/biomet/80.1.27",
        )
    if plan["repeated"] == "gee":
        yield (
            t("All scans of each person enter, by generalised estimating equations."),
            "10.1093/biomet/73.1.13",
        )
    if plan["repeated"] == "mixed":
        yield t("All scans of each person enter, with a random intercept for each group."), ""
    if plan["repeated"] != "none":
        group = said(plan["cluster"].replace("_", " ") or "person")
        yield t("Scans are taken to come together by {group}.", group=group), ""
    if plan["missing"] == "impute":
        yield (
            t(
                "Missing values: {n} completed tables by chained equations, pooled by "
                "Rubin's rules.",
                n=plan["imputations"],
            ),
            RUBIN,
        )
    else:
        yield t("Rows that lack a value were left out; each model says how many."), ""


def _pairs(tables: Mapping[str, Sequence[Row]]) -> Iterator[Sentence]:
    if tables.get("before_after"):
        yield (
            t(
                "The same people twice: ratio of counts by robust Poisson regression "
                "clustered by person, Wilcoxon's signed ranks, McNemar's exact test of "
                "presence."
            ),
            "10.1007/BF02295996",
        )
    if tables.get("incidence"):
        yield (
            t(
                "Incidence: new microbleeds by the person-years between scans, with exact"
                " Poisson intervals and with intervals robust to lesions that come "
                "together."
            ),
            "",
        )
    if tables.get("sequences"):
        yield (
            t("Counts by two sequences: limits of agreement of log(count + 1)."),
            "10.1177/096228029900800204",
        )
        yield t("Intraclass correlation of counts."), "10.1037/0033-2909.86.2.420"
    if tables.get("sequence_looks"):
        yield (
            t(
                "How often lesions look unambiguous is compared as a ratio of "
                "frequencies, as by Lee and others (2022, PMID 36168880); the rule for "
                "unambiguous is this program's."
            ),
            "",
        )


def _map(plan: Mapping[str, Any]) -> Iterator[Sentence]:
    yield (
        t(
            "The map shows, on the ICBM 152 2009c template, the share of people with a "
            "counted microbleed within {radius} mm; places go by the affine part of each "
            "scan's registration.",
            radius=f"{plan['smooth_mm']:g}",
        ),
        "10.1016/j.neuroimage.2010.07.033",
    )
    yield t("Regressions by statsmodels and scipy."), "10.25080/Majora-92bf1922-011"
