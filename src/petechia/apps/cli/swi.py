"""`petechia swi`: susceptibility-weighted image and its minimum projection."""

import argparse
from pathlib import Path

from petechia.apps.cli import steps


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words of this command."""
    steps.echo_words(parser, phase=True)
    parser.add_argument("--mip", type=Path, metavar="FILE", help="minimum projection to write")
    parser.add_argument("out", type=Path, help="SWI to write")
    steps.thread_words(parser)


def positionals(words: list[str]) -> int:
    """Return how many positionals the command cannot do without."""
    return 1


def run(args: argparse.Namespace) -> int:
    """Make the SWI."""
    from petechia.apps.cli.words import items
    from petechia.errors import ParameterError

    if not args.phase:
        raise ParameterError(
            "--phase is missing", where="petechia swi", mend="SWI needs magnitude and phase."
        )
    inputs = [*items(args.mag), *items(args.phase), args.mask]
    steps.require_outputs([args.out, args.mip], inputs)
    work = steps.begun(args)
    steps.walk_on(work, "swi", args)
    steps.save(args.out, work.need("swi"), work.scan)
    if args.mip is not None:
        steps.save(args.mip, work.need("mip"), work.scan)
    return 0
