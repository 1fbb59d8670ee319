"""`petechia group`: a cohort's tables, models, map and page from its outputs and its people."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from petechia.apps.cli.words import LIST, items, several, whole
from petechia.errors import ParameterError

if TYPE_CHECKING:
    from petechia.pipeline.group.write import Group


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words of this command."""
    add = parser.add_argument
    add("output", nargs="?", type=Path, help="folder of petechia run")
    add("--participants", type=Path, metavar="FILE", help="participants.tsv of BIDS, or its folder")
    add("--out", type=Path, metavar="DIR", help="where to write (OUTPUT/group)")
    add("--config", type=Path, metavar="FILE", help="the plan as TOML: names as below")
    add("--groups", action=LIST, metavar="F", help="factors: hypertension, age>=65, age:10 (all)")
    add("--covariates", action=LIST, metavar="C", help="of the person, in models (age,sex)")
    add(
        "--adjust",
        action=LIST,
        metavar="S",
        help="of the scan, in models: field, sequence, thickness, te, site, operating_point, none"
        " (field,sequence,thickness)",
    )
    add(
        "--outcome",
        action=LIST,
        metavar="O",
        help="presence, count, bin, lobar, deep, category (presence,count,lobar,deep)",
    )
    add("--by", metavar="COL:WIDTH", help="bands of prevalence, or none (age:10)")
    add(
        "--model",
        metavar="M",
        help="logistic, firth; nb, poisson, zip, zinb, hurdle, hurdle-poisson, auto; ordinal; "
        "multinomial (the usual of each outcome)",
    )
    add("--repeated", metavar="HOW", help="all scans of each person: gee or mixed (none)")
    add("--cluster", metavar="COL", help="with --repeated: what scans come together by (person)")
    add("--missing", metavar="HOW", help="complete or impute (complete)")
    add("--imputations", type=whole, metavar="N", help="completed tables (20)")
    add("--draws", type=whole, metavar="N", help="draws of counts from probabilities (20)")
    add("--session", metavar="S", help="which stands for a person: first, last or a label (first)")
    add("--acq", action=LIST, metavar="A", help="only scans of these acquisitions")
    add("--compare", metavar="ENTITY", help="compare sequences of the same people: acq")
    add("--event", metavar="COL", help="column of sessions that says pre or post (timepoint)")
    add("--smooth-mm", type=float, metavar="R", help="radius of the lesion map (6)")
    add("--level", type=float, metavar="P", help="of intervals (0.95)")
    add("--seed", type=whole, metavar="N", help="of imputations and draws (0)")
    add("--language", choices=("en", "zh"), default="en", help="of the page (en)")
    add("--sql", metavar="QUERY", help="print a select over the tables, nothing else")
    add("--write-dictionary", type=Path, metavar="FILE", help="write participants.json and stop")


LISTS = ("groups", "covariates", "adjust", "outcome", "acq")
PLAIN = (
    "by", "model", "repeated", "cluster", "missing", "imputations", "draws", "session", "compare",
    "event", "smooth_mm", "level", "seed",
)  # fmt: skip


def positionals(words: list[str]) -> int:
    """Return how many positionals the command cannot do without."""
    return 0 if any(word.startswith("--write-dictionary") for word in words) else 1


def run(args: argparse.Namespace) -> int:
    """Analyse, write and tell."""
    if args.write_dictionary is not None:
        from petechia.pipeline.group.factors import write_dictionary

        write_dictionary(args.write_dictionary)
        print(f"dictionary: {args.write_dictionary}")
        return 0
    if args.output is None:
        raise ParameterError(
            "no OUTPUT", where="petechia group", mend="Give the folder of petechia run."
        )
    from petechia.pipeline.group.plan import build_plan
    from petechia.pipeline.group.tables import query
    from petechia.pipeline.group.write import analyse, write_group

    given: dict[str, Any] = {
        name: tuple(items(getattr(args, name))) for name in LISTS if getattr(args, name) is not None
    }
    given |= {name: getattr(args, name) for name in PLAIN}
    plan = build_plan(args.config, given)
    if args.participants is None and (plan.groups or plan.covariates):
        raise ParameterError(
            "groups without a table of participants",
            where="petechia group",
            mend="Give --participants participants.tsv.",
        )
    group = analyse(args.output, args.participants, plan)
    page, notes = write_group(group, args.output, args.out, args.language)
    if args.sql:
        names, rows = query(page.parent, list(group.tables.values()), args.sql)
        print("\t".join(names))
        for row in rows:
            print("\t".join("n/a" if cell is None else str(cell) for cell in row))
        return 0
    _tell(group, [*notes, *group.frame.notes])
    print(f"report: {page}")
    return 0


def _tell(group: "Group", notes: list[str]) -> None:
    """Print the summary lines: who, how many, which models did not fit."""
    facts = group.facts
    print(
        f"{several(facts['n_scans'], 'scan')} of {several(facts['n_people'], 'person', 'people')}: "
        f"{facts['n_assessed']} assessed, "
        f"{facts['n_not_assessable']} not assessable, {facts['n_failed']} failed, "
        f"{facts['n_unreadable']} unreadable"
    )
    for row in group.tables["prevalence"].rows:
        if row["factor"] == "all" and row["share"] is not None:
            print(
                f"{row['outcome']}: {row['cases']} of {row['n']} people "
                f"({100 * row['share']:.1f} %, {100 * row['wilson_low']:.1f} to "
                f"{100 * row['wilson_high']:.1f})"
            )
    models = group.tables.get("models")
    failed = sorted(
        {
            (row["outcome"], row["exposure"], row["said"])
            for row in (models.rows if models else ())
            if row["status"] != "fitted" and row["adjusted"]
        }
    )
    for outcome, exposure, said in failed[:10]:
        print(f"not fitted: {outcome} by {exposure}: {said}", file=sys.stderr)
    if len(failed) > 10:
        print(f"and {len(failed) - 10} more models that were not fitted", file=sys.stderr)
    for note in notes:
        print(f"note: {note}")
