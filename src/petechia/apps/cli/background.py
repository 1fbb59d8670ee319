"""`petechia background`: local field from total field."""

import argparse
from pathlib import Path

from petechia.apps.cli import steps


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words of this command."""
    add = parser.add_argument
    add("field", type=Path, help="total field (any unit; the result has the same)")
    add("out", type=Path, help="local field to write")
    add("--mask", type=Path, metavar="FILE", required=True, help="brain mask")
    add("--weights", type=Path, metavar="FILE", help="trust in each voxel, for methods that ask")
    add("--out-mask", type=Path, metavar="FILE", help="where the local field is valid")
    steps.method_words(parser, "vsharp")
    steps.thread_words(parser)


def positionals(words: list[str]) -> int:
    """Return how many positionals the command cannot do without."""
    return 2


def run(args: argparse.Namespace) -> int:
    """Remove the background field."""
    from petechia.files.nifti import read_nifti, read_on_grid
    from petechia.phase.background import METHODS
    from petechia.pipeline.provenance import threads

    steps.require_outputs([args.out, args.out_mask], [args.field, args.mask, args.weights])
    row, params = steps.chosen(METHODS, args)
    image = read_nifti(args.field)
    weights = None if args.weights is None else read_on_grid(args.weights, image.grid)
    arrays = {
        "field_ppm": image.only,
        "weights": weights,
        "mask": steps.mask_or_everything(args.mask, image.grid),
    }
    with threads(steps.n_threads(args)):
        local, valid = row(arrays, grid=image.grid, settings=params)
    steps.save(args.out, local, image)
    if args.out_mask is not None:
        steps.save(args.out_mask, valid, image)
    return 0
