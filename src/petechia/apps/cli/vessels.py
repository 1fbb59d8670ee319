"""`petechia vessels`: how much each voxel looks like a vessel, or a sheet."""

import argparse
from pathlib import Path

from petechia.apps.cli import steps


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words of this command."""
    add = parser.add_argument
    add("image", type=Path, help="susceptibility (vessels bright), or SWI with --dark")
    add("out", type=Path, help="likeness to write, 0 to 1")
    add("--mask", type=Path, metavar="FILE", help="brain mask; everything without")
    add("--dark", action="store_true", help="vessels are dark: SWI, magnitude")
    steps.method_words(parser, "frangi")
    steps.thread_words(parser)


def positionals(words: list[str]) -> int:
    """Return how many positionals the command cannot do without."""
    return 2


def run(args: argparse.Namespace) -> int:
    """Measure the likeness."""
    from dataclasses import replace

    from petechia.anatomy.vesselness import METHODS
    from petechia.files.nifti import read_nifti
    from petechia.pipeline.provenance import threads

    steps.require_outputs([args.out], [args.image, args.mask])
    row, params = steps.chosen(METHODS, args)
    image = read_nifti(args.image)
    image.grid.require_square(str(args.image))
    mask = steps.mask_or_everything(args.mask, image.grid)
    if args.dark:
        params = replace(params, dark=True)
    with threads(steps.n_threads(args)):
        (likeness,) = row({"image": image.only, "mask": mask}, grid=image.grid, settings=params)
    steps.save(args.out, likeness, image)
    return 0
