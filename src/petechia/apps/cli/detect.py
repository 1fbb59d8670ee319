"""`petechia detect`: dark spots of one scan, found, measured and named."""

import argparse
from pathlib import Path

from petechia.apps.cli import steps


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words of this command."""
    steps.echo_words(parser, phase=True)
    parser.add_argument("out", type=Path, help="label image to write; its table beside it (.tsv)")
    steps.thread_words(parser)


def positionals(words: list[str]) -> int:
    """Return how many positionals the command cannot do without."""
    return 1


def run(args: argparse.Namespace) -> int:
    """Detect and write labels and table."""
    from petechia.apps.cli.words import items
    from petechia.files.contract import contract
    from petechia.pipeline.fitness import check_acquisition, require_assessable

    inputs = [*items(args.mag), *items(args.phase), args.mask]
    steps.require_outputs([args.out], inputs)
    where = items(args.mag)[0] if items(args.mag) else "--mag"
    work = steps.begun(args)
    require_assessable(check_acquisition(work.echoes, work.scan.header), where)
    steps.walk_on(work, "detect", args)
    require_assessable(work.checks, where)
    detection = work.need("detection")
    steps.save(args.out, detection.labels, work.scan)
    rows = [finding.row() for finding in detection.findings]
    steps.save_table(args.out, rows, list(contract().finding_columns))
    for line in detection.says:
        print(line)
    return 0
