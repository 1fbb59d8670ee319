"""`petechia detect`: dark spots of one scan, found, measured and named."""

import argparse
from pathlib import Path

from petechia.apps.cli import steps


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words of this command."""
    steps.echo_words(parser, phase=True)
    parser.add_argument(
        "out", type=Path, help="label image to write; beside it its table (.tsv) and counts (.json)"
    )
    parser.add_argument("--operating-point", help="screening, balanced or counting (balanced)")
    steps.thread_words(parser)


def positionals(words: list[str]) -> int:
    """Return how many positionals the command cannot do without."""
    return 1


def run(args: argparse.Namespace) -> int:
    """Detect, write labels, table and counts, and say what was found."""
    from petechia.apps.cli.words import items
    from petechia.lesions.findings import COLUMNS, EXTRA_COLUMNS
    from petechia.pipeline.fitness.acquisition import check_acquisition
    from petechia.pipeline.fitness.check import require_assessable
    from petechia.pipeline.summary import counted, model, warnings
    from petechia.report.data import RESEARCH_USE

    inputs = [*items(args.mag), *items(args.phase), args.mask]
    steps.require_outputs([args.out], inputs, beside=(".tsv", ".json"))
    where = items(args.mag)[0] if items(args.mag) else "--mag"
    work = steps.begun(args)
    require_assessable(check_acquisition(work.echoes, work.scan.header), where)
    steps.walk_on(work, "detect", args)
    require_assessable(work.checks, where)
    detection = work.need("detection")
    steps.save(args.out, detection.labels, work.scan)
    rows = [finding.row() for finding in detection.findings]
    steps.save_table(args.out, rows, [*COLUMNS, *EXTRA_COLUMNS])
    told = counted(work)
    facts = {
        **told,
        "fitness": [check.as_dict() for check in work.checks],
        "model": model(
            work.settings.classification, work.settings.site(), work.slice_mm, signed=work.signed
        ),
        "settings": work.settings.as_dict(),
        "warnings": warnings(work),
        "research_use_only": RESEARCH_USE,
    }
    steps.save_facts(args.out, facts)
    point, (low, high) = told["operating_point"], told["count_interval_95"]
    unsigned = any(f.counted and f.sign == "not_assessed" for f in detection.findings)
    calcium = " or calcifications, which no sign tells apart" if unsigned else ""
    print(
        f"{told['counts']['total']} counted as microbleeds{calcium} "
        f"(probability {point['threshold']:g} and more, {point['name']}); "
        f"95 % interval {low} to {high}"
    )
    limits = [check.says for check in work.checks if check.status in ("limited", "refused")]
    for line in [*limits, *warnings(work), RESEARCH_USE]:
        print(line)
    return 0
