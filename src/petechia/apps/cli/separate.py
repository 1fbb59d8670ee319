"""`petechia separate`: paramagnetic and diamagnetic susceptibility apart."""

import argparse
from pathlib import Path

from petechia.apps.cli import steps


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words of this command."""
    steps.echo_words(parser, phase=True)
    add = parser.add_argument
    add("--r2", type=float, metavar="R", help="R2 of all tissue [1/s] (12.3 at 1.5 and 3 T)")
    add("--r2-map", type=Path, metavar="FILE", help="measured R2 [1/s]")
    add("--r2prime", type=Path, metavar="FILE", help="measured R2' [1/s]: R2* is not fitted")
    add("--valid", type=Path, metavar="FILE", help="write where both are known (not in voids)")
    add("positive", type=Path, help="paramagnetic susceptibility to write [ppm]")
    add("negative", type=Path, help="diamagnetic susceptibility to write [ppm]")
    steps.method_words(parser, "voxelwise")
    steps.thread_words(parser)


def positionals(words: list[str]) -> int:
    """Return how many positionals the command cannot do without."""
    return 2


def run(args: argparse.Namespace) -> int:
    """Separate the sources."""
    from petechia.apps.cli.words import items
    from petechia.errors import ParameterError
    from petechia.files.nifti import read_nifti, require_same_grid
    from petechia.pipeline.provenance import threads
    from petechia.pipeline.separation import separate
    from petechia.qsm.separation import METHODS

    if not args.phase:
        raise ParameterError(
            "--phase is missing", where="petechia separate", mend="Give magnitude and phase."
        )
    given = [args.r2, args.r2_map, args.r2prime]
    if sum(one is not None for one in given) > 1:
        raise ParameterError(
            "more than one of --r2, --r2-map and --r2prime",
            where="petechia separate",
            mend="Give the best of them.",
        )
    inputs = [*items(args.mag), *items(args.phase), args.mask, args.r2_map, args.r2prime]
    steps.require_outputs([args.positive, args.negative, args.valid], inputs)
    row, params = steps.chosen(METHODS, args)
    work = steps.begun(args)
    maps = {}
    for option, path in (("r2", args.r2_map), ("r2prime", args.r2prime)):
        if path is not None:
            image = read_nifti(path)
            require_same_grid(image.grid, str(path), work.grid, "the scan")
            maps[option] = image.only
    with threads(steps.n_threads(args)):
        found = separate(work, row, params, **({"r2": args.r2} | maps))
    steps.save(args.positive, found.positive_ppm, work.scan)
    steps.save(args.negative, found.negative_ppm, work.scan)
    if args.valid is not None:
        steps.save(args.valid, found.valid, work.scan)
    print(f"{found.says}; 0 is {work.chi_reference}; the voids of bleeds and stones are blank")
    return 0
