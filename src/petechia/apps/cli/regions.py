"""`petechia regions`: anatomical sites on the scan's own grid."""

import argparse
from pathlib import Path

from petechia.apps.cli import steps


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words of this command."""
    add = parser.add_argument
    add("magnitude", help="magnitude; echoes with commas between, or 4-D")
    add("out", type=Path, help="label image to write; its table goes beside it (.tsv)")
    add("--mask", type=Path, metavar="FILE", help="brain mask; found when it is not given")
    steps.thread_words(parser)


def positionals(words: list[str]) -> int:
    """Return how many positionals the command cannot do without."""
    return 2


def run(args: argparse.Namespace) -> int:
    """Register the atlas and write its labels."""
    import numpy as np

    from petechia.anatomy.brainmask import brain_mask
    from petechia.anatomy.deformation import deform
    from petechia.anatomy.regions import label_regions
    from petechia.anatomy.registration import register
    from petechia.apps.cli.words import items
    from petechia.errors import UnfitError
    from petechia.pipeline.provenance import threads
    from petechia.pipeline.stages import template

    steps.require_outputs([args.out], [*items([args.magnitude]), args.mask])
    magnitude, image = steps.magnitudes(items([args.magnitude]), "MAGNITUDE")
    there = template()
    with threads(steps.n_threads(args)):
        if args.mask is None:
            found = brain_mask(magnitude, image.grid, there)
            mask, registration = found.mask, found.registration
        else:
            mask, registration = steps.mask_or_everything(args.mask, image.grid), None
        combined = np.sqrt(np.square(magnitude).sum(axis=0))
        registration = registration or register(combined, image.grid, there, mask=mask)
        registration = deform(registration, combined, mask, there)
        regions = label_regions(registration, there, mask, image.grid)
    if not regions.ok:
        raise UnfitError(
            regions.says,
            where=args.magnitude,
            mend="Sites are not named when the template does not fit; give a whole head or --mask.",
        )
    steps.save(args.out, regions.labels, image)
    columns = ["index", "name", "site", "side", "compartment"]
    rows = [{c: str(getattr(region, c)) for c in columns} for region in regions.table]
    steps.save_table(args.out, rows, columns)
    return 0
