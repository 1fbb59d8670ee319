"""`petechia mask`: the brain on a magnitude image."""

import argparse
from pathlib import Path

from petechia.apps.cli import steps


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words of this command."""
    parser.add_argument("magnitude", help="magnitude; echoes with commas between, or 4-D")
    parser.add_argument("out", type=Path, help="mask to write (.nii.gz)")
    steps.thread_words(parser)


def positionals(words: list[str]) -> int:
    """Return how many positionals the command cannot do without."""
    return 2


def run(args: argparse.Namespace) -> int:
    """Find the brain and write its mask."""
    from petechia.anatomy.brainmask import brain_mask
    from petechia.apps.cli.words import items
    from petechia.pipeline.provenance import threads
    from petechia.pipeline.stages import template

    steps.require_outputs([args.out], [*items([args.magnitude])])
    magnitude, image = steps.magnitudes(items([args.magnitude]), "MAGNITUDE")
    with threads(steps.n_threads(args)):
        found = brain_mask(magnitude, image.grid, template())
    for line in found.says:
        print(line)
    steps.save(args.out, found.mask, image)
    return 0
