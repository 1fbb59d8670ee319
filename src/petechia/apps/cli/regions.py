"""`petechia regions`: anatomical sites on the scan's own grid."""

import argparse
import sys
from pathlib import Path

from petechia.apps.cli import steps


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words of this command."""
    add = parser.add_argument
    add("magnitude", help="magnitude; echoes with commas between, or 4-D")
    add("out", type=Path, help="label image to write; its table goes beside it (.tsv)")
    add("--mask", type=Path, metavar="FILE", help="brain mask; found when it is not given")
    add("--t1w", type=Path, metavar="FILE", help="T1w of the same person, to register by")
    add("--t2w", type=Path, metavar="FILE", help="T2w likewise")
    add("--segmentation", type=Path, metavar="FILE", help="FreeSurfer or SynthSeg, likewise")
    steps.thread_words(parser)


def positionals(words: list[str]) -> int:
    """Return how many positionals the command cannot do without."""
    return 2


def run(args: argparse.Namespace) -> int:
    """Register the atlas and write its labels."""
    import numpy as np

    from petechia.anatomy.brainmask import brain_mask
    from petechia.apps.cli.run import require_files
    from petechia.apps.cli.words import items
    from petechia.errors import UnfitError
    from petechia.files.scan import Beside
    from petechia.pipeline.provenance import threads
    from petechia.pipeline.sites import find_sites
    from petechia.pipeline.stages import template

    given = [args.mask, args.t1w, args.t2w, args.segmentation]
    steps.require_outputs([args.out], [*items([args.magnitude]), *given], beside=(".tsv",))
    beside = Beside(t1w=args.t1w, t2w=args.t2w, segmentation=args.segmentation)
    for word, path in zip(("--t1w", "--t2w", "--segmentation"), given[1:], strict=True):
        require_files(word, [] if path is None else [str(path)])
    magnitude, image = steps.magnitudes(items([args.magnitude]), "MAGNITUDE")
    there = template()
    with threads(steps.n_threads(args)):
        own = True
        if args.mask is None:
            found = brain_mask(magnitude, image.grid, there)
            mask, registration = found.mask, found.registration
            own = found.method != "template"
        else:
            mask, registration = steps.mask_or_everything(args.mask, image.grid), None
        combined = np.sqrt(np.square(magnitude).sum(axis=0))
        sites = find_sites(
            combined, mask, image.grid, there, beside, registration, outline_tells=own
        )
    regions = sites.regions
    for line in sites.says:
        print(line, file=sys.stderr)
    if not regions.ok:
        raise UnfitError(
            regions.says,
            where=args.magnitude,
            mend="Sites are not named when the template does not fit; give a whole head or --mask.",
        )
    print(f"Sites named: {regions.says}.", file=sys.stderr)
    steps.save(args.out, regions.labels, image)
    columns = ["index", "name", "site", "side", "compartment"]
    rows = [{c: str(getattr(region, c)) for c in columns} for region in regions.table]
    steps.save_table(args.out, rows, columns)
    return 0
