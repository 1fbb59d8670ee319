"""`petechia swi`: susceptibility-weighted image and its minimum projection."""

import argparse
from pathlib import Path

from petechia.apps.cli import steps


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words of this command."""
    steps.echo_words(parser, phase=True)
    parser.add_argument("--mip", type=Path, metavar="FILE", help="minimum projection to write")
    parser.add_argument("--slab", type=float, metavar="MM", help="thickness of the projection (9)")
    parser.add_argument(
        "--highpass", choices=["unwrapped", "homodyne"], help="high-pass phase (unwrapped)"
    )
    parser.add_argument("out", type=Path, help="SWI to write")
    steps.method_words(parser, "swi")
    steps.thread_words(parser)


def positionals(words: list[str]) -> int:
    """Return how many positionals the command cannot do without."""
    return 1


def run(args: argparse.Namespace) -> int:
    """Make the SWI."""
    from petechia.apps.cli.words import items, pairs
    from petechia.contrast.weighting import METHODS
    from petechia.errors import ParameterError
    from petechia.pipeline.settings import Settings

    if not args.phase:
        raise ParameterError(
            "--phase is missing", where="petechia swi", mend="SWI needs magnitude and phase."
        )
    inputs = [*items(args.mag), *items(args.phase), args.mask]
    steps.require_outputs([args.out, args.mip], inputs)
    steps.chosen(METHODS, args)  # raises before any work
    settings = Settings.build(
        phase_sign=args.phase_sign,
        weighting=args.method,
        highpass=args.highpass,
        slab_mm=args.slab,
        method_settings={args.method: pairs(args.set, "--set")},
    )
    work = steps.begun(args)
    work.settings = settings
    steps.walk_on(work, "swi", args)
    work.require_swi("petechia swi")
    steps.save(args.out, work.need("swi"), work.scan)
    if args.mip is not None:
        steps.save(args.mip, work.need("mip"), work.scan)
    return 0
