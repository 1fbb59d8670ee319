"""`petechia background`: local field from total field."""

import argparse
from pathlib import Path

from petechia.apps.cli import steps


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words of this command."""
    add = parser.add_argument
    add(
        "field",
        type=Path,
        help="total field (ppm, or by its sidecar; the result has the same unit)",
    )
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
    from petechia.files.nifti import read_nifti
    from petechia.phase.background import METHODS
    from petechia.pipeline.given import stated_units
    from petechia.pipeline.provenance import threads

    inputs = [args.field, args.mask, args.weights]
    steps.require_outputs([args.out, args.out_mask], inputs, beside=[".json"])
    row, params = steps.chosen(METHODS, args)
    steps.require_used(METHODS, args, {"weights": "weights"})
    image = read_nifti(args.field)
    image.grid.require_square(str(args.field))
    mask = steps.mask_or_everything(args.mask, image.grid)
    arrays = {
        "field_ppm": image.only,
        "weights": steps.weights_or_none(args.weights, mask, image.grid),
        "mask": mask,
    }
    with threads(steps.n_threads(args)):
        local, valid = row(arrays, grid=image.grid, settings=params)
    steps.save(args.out, local, image)
    steps.save_facts(args.out, {"Units": stated_units(args.field)})
    if args.out_mask is not None:
        steps.save(args.out_mask, valid, image)
    return 0
