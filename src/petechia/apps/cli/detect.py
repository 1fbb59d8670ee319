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
    from petechia.errors import UnfitError
    from petechia.files.contract import contract

    inputs = [*items(args.mag), *items(args.phase), args.mask]
    steps.require_outputs([args.out], inputs)
    work = steps.work_until("detect", args)
    if work.detection is None:
        raise UnfitError(
            work.why_not("microbleeds")[0].rstrip("."),
            where=items(args.mag)[0],
            mend="Take a scan with longer echo times and smaller voxels; see `petechia run`.",
        )
    steps.save(args.out, work.detection.labels, work.scan)
    rows = [finding.row() for finding in work.detection.findings]
    steps.save_table(args.out, rows, list(contract().finding_columns))
    for line in work.detection.says:
        print(line)
    return 0
