"""`petechia invert`: susceptibility from local field."""

import argparse
from pathlib import Path

from petechia.apps.cli import steps


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words of this command."""
    add = parser.add_argument
    add(
        "field",
        type=Path,
        help="local field (total, for `single_step`) [ppm; Hz or rad/s by its sidecar, with --b0]",
    )
    add("out", type=Path, help="susceptibility to write [ppm], referenced to the mask's mean")
    add("--mask", type=Path, metavar="FILE", required=True, help="where the field is valid")
    add("--weights", type=Path, metavar="FILE", help="trust in each voxel, 1 is usual")
    add(
        "--magnitude",
        type=Path,
        metavar="FILE",
        help="combined magnitude, for `medi`, `single_step`",
    )
    add("--b0", type=float, metavar="T", help="main field [T], for a field not in ppm")
    steps.method_words(parser, "tv")
    steps.thread_words(parser)


def positionals(words: list[str]) -> int:
    """Return how many positionals the command cannot do without."""
    return 2


def run(args: argparse.Namespace) -> int:
    """Invert the dipole field."""
    from petechia.errors import ParameterError
    from petechia.files.nifti import read_nifti, read_on_grid
    from petechia.pipeline.given import field_in_ppm
    from petechia.pipeline.provenance import threads
    from petechia.qsm.inversion import METHODS
    from petechia.qsm.referencing import reference

    steps.require_outputs([args.out], [args.field, args.mask, args.weights, args.magnitude])
    b0_t = steps.main_field(args.b0)
    row, params = steps.chosen(METHODS, args)
    image = read_nifti(args.field)
    field = field_in_ppm(args.field, image.grid, b0_t)
    mask = steps.mask_or_everything(args.mask, image.grid)
    weights = None if args.weights is None else read_on_grid(args.weights, image.grid)
    arrays = {"field_ppm": field, "total_field_ppm": field, "weights": weights, "mask": mask}
    if args.magnitude is not None:
        arrays["magnitude"] = read_on_grid(args.magnitude, image.grid)
    elif "magnitude" in row.needs:
        raise ParameterError(
            "no magnitude to take the edges from",
            where=f"petechia invert --method {args.method}",
            mend="Give --magnitude FILE.",
        )
    with threads(steps.n_threads(args)):
        (chi,) = row(arrays, grid=image.grid, settings=params)
    referenced, _ = reference(chi, mask)
    steps.save(args.out, referenced, image)
    return 0
