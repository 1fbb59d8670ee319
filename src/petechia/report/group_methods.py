"""How the numbers of a cohort were made: sentences with their sources, of what was done only."""

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


def methods_of(
    plan: Mapping[str, Any], tables: Mapping[str, Sequence[Row]]
) -> list[tuple[str, str]]:
    """Return (sentence, DOI or '') of what was done.

    Parameters
    ----------
    plan : mapping
        As `Plan.as_dict` gives it.
    tables : mapping
        Rows by table: what is empty was not done.
    """
    level = f"{100 * plan['level']:g} %"
    out: list[tuple[str, str]] = [
        ("Microbleeds were found, named and counted by Petechia; their sites follow the Microbleed "
         "Anatomical Rating Scale.", "10.1212/WNL.0b013e3181c34a7d"),
        ("People enter with one scan each: assessed before not assessable, of the "
         f"{plan['session']} session, with phase before without. Scans that failed or were not "
         "assessable enter no denominator.", ""),
        (f"Prevalence with Wilson's {level} interval", "10.1080/01621459.1927.10502953"),
        ("and, in the table, the exact one.", "10.1093/biomet/26.4.404"),
    ]  # fmt: skip
    if tables.get("associations"):
        out += [
            ("Groups against their reference by odds ratio and risk ratio (Wald on the logarithm), "
             "risk difference (Newcombe)",
             "10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I"),
            ("and Pearson's chi-square, or Fisher's exact test where an expected count is below 5.", ""),
        ]  # fmt: skip
    if tables.get("trends"):
        out.append(("Trends over ordered groups by the Cochran-Armitage test.", "10.2307/3001775"))
    if tables.get("models"):
        out += _models(plan, tables["models"])
    if tables.get("uncertainty"):
        out.append(
            (f"The detector's uncertainty was carried by {plan['draws']} draws of each scan's count "
             "from the probabilities of its findings, fits pooled by Rubin's rules.",
             "10.1002/9780470316696")
        )  # fmt: skip
    if any(
        r.get("q") is not None for name in ("models", "associations") for r in tables.get(name, ())
    ):
        out.append(
            ("q is p after Benjamini and Hochberg over the family that each table names.",
             "10.1111/j.2517-6161.1995.tb02031.x")
        )  # fmt: skip
    if tables.get("before_after"):
        out.append(
            ("The same people twice: ratio of counts by robust Poisson regression clustered by "
             "person, Wilcoxon's signed ranks, McNemar's exact test of presence.", "10.1007/BF02295996")
        )  # fmt: skip
    if tables.get("sequences"):
        out += [
            ("Counts by two sequences: limits of agreement of log(count + 1)", "10.1177/096228029900800204"),
            ("and intraclass correlation; lesions matched one to one in scanner space.",
             "10.1037/0033-2909.86.2.420"),
            ("How often lesions look unambiguous is compared as a ratio of frequencies, as by Lee and "
             "others (2022); the rule for unambiguous is ours.", ""),
        ]  # fmt: skip
    out += [
        ("The map shows, on the ICBM 152 2009c template, the share of people with a counted "
         f"microbleed within {plan['smooth_mm']:g} mm; places go by the affine part of each scan's "
         "registration.", "10.1016/j.neuroimage.2010.07.033"),
        ("Regressions by statsmodels and scipy.", "10.25080/Majora-92bf1922-011"),
    ]  # fmt: skip
    return out


def _models(plan: Mapping[str, Any], rows: Sequence[Row]) -> list[tuple[str, str]]:
    kinds = list(dict.fromkeys(str(r["model"]) for r in rows if r["status"] == "fitted"))
    out: list[tuple[str, str]] = []
    if kinds:
        out.append((f"One regression for each factor and outcome: {'; '.join(kinds)}.", ""))
    adjusted = max((str(r["adjusted_for"] or "") for r in rows), key=len)
    if adjusted:
        out.append(
            (f"Adjusted for {adjusted.replace('_', ' ')} (the factor itself left out) where they vary.", "")
        )  # fmt: skip
    if any("firth" in f"{r['model']} {r.get('notes')}".lower() for r in rows):
        out.append(
            ("Where the outcome is separated, by penalised likelihood.", "10.1093/biomet/80.1.27")
        )
    if plan["repeated"] == "gee":
        out.append(
            (
                "All scans of each person, by generalised estimating equations.",
                "10.1093/biomet/73.1.13",
            )
        )
    if plan["repeated"] == "mixed":
        out.append(("All scans of each person, with a random intercept.", ""))
    if plan["missing"] == "impute":
        out.append(
            (f"Missing values: {plan['imputations']} completed tables by chained equations, pooled by "
             "Rubin's rules.", "10.1002/9780470316696")
        )  # fmt: skip
    else:
        out.append(("Rows that lack a value were left out; each model says how many.", ""))
    return out
