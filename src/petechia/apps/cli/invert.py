"""`petechia invert`: susceptibility from local field."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from petechia.apps.cli import steps

if TYPE_CHECKING:
    import numpy as np

    from petechia.core.grid import Grid


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words of this command."""
    add = parser.add_argument
    add(
        "field",
        type=Path,
        help="local field (total, for `single_step`) [ppm; Hz or rad/s by its sidecar, with --b0]",
    )
    add("out", type=Path, help="susceptibility to write [ppm], referenced")
    add("--mask", type=Path, metavar="FILE", required=True, help="where the field is valid")
    add("--weights", type=Path, metavar="FILE", help="trust in each voxel, 1 is usual")
    add(
        "--magnitude",
        type=Path,
        metavar="FILE",
        help="combined magnitude, for `medi`, `single_step`",
    )
    add("--b0", type=float, metavar="T", help="main field [T], for a field not in ppm")
    add(
        "--reference",
        default="brain",
        metavar="WHAT",
        help="what has the mean 0: brain (the whole mask), csf (needs --r2star), or a mask FILE",
    )
    add("--r2star", type=Path, metavar="FILE", help="R2* [1/s], to find CSF by")
    steps.method_words(parser, "tv")
    steps.thread_words(parser)


def positionals(words: list[str]) -> int:
    """Return how many positionals the command cannot do without."""
    return 2


def run(args: argparse.Namespace) -> int:
    """Invert the dipole field."""
    from petechia.core.canonical import Canonical
    from petechia.errors import ParameterError
    from petechia.files.nifti import read_nifti, require_same_grid
    from petechia.pipeline.given import field_in_ppm
    from petechia.pipeline.provenance import threads
    from petechia.qsm.inversion import METHODS
    from petechia.qsm.referencing import reference

    region_file = None if args.reference in ("brain", "csf") else Path(args.reference)
    inputs = [args.field, args.mask, args.weights, args.magnitude, args.r2star, region_file]
    steps.require_outputs([args.out], inputs)
    b0_t = steps.main_field(args.b0)
    row, params = steps.chosen(METHODS, args)
    steps.require_used(METHODS, args, {"weights": "weights", "magnitude": "magnitude"})
    image = read_nifti(args.field)
    image.grid.require_square(str(args.field))
    mask = steps.mask_or_everything(args.mask, image.grid)
    field = field_in_ppm(args.field, image.grid, b0_t, mask)
    weights = steps.weights_or_none(args.weights, mask, image.grid)
    arrays = {"field_ppm": field, "total_field_ppm": field, "weights": weights, "mask": mask}
    if args.magnitude is not None:
        echoes, first = steps.magnitudes([str(args.magnitude)], "--magnitude")
        require_same_grid(first.grid, str(first.path), image.grid, str(args.field))
        arrays["magnitude"] = echoes[0] if len(echoes) == 1 else first.only
    elif "magnitude" in row.needs:
        raise ParameterError(
            "no magnitude to take the edges from",
            where=f"petechia invert --method {args.method}",
            mend="Give --magnitude FILE.",
        )
    region = _region(args, mask, image.grid)
    order = Canonical.of(image.grid)  # penalties of differences to one side
    arrays = {name: None if a is None else order.forth(a) for name, a in arrays.items()}
    with threads(steps.n_threads(args)):
        (chi,) = row(arrays, grid=order.grid, settings=params)
    referenced, value = reference(order.back(chi), mask, image.grid, region)
    print(f"{value:.6g} ppm, the mean over {_NAMES.get(args.reference, args.reference)}, taken off")
    steps.save(args.out, referenced, image)
    return 0


_NAMES = {"brain": "the mask", "csf": "ventricular CSF"}


def _region(args: argparse.Namespace, mask: "np.ndarray", grid: "Grid") -> "np.ndarray | None":
    """Return the region that `--reference` names; None for the whole mask."""
    from petechia.errors import ParameterError
    from petechia.files.nifti import read_mask, read_on_grid
    from petechia.qsm.referencing import csf_mask

    if args.reference == "brain":
        return None
    if args.reference != "csf":
        return read_mask(Path(args.reference), grid)
    if args.r2star is None:
        raise ParameterError(
            "no R2* to find CSF by",
            where="--reference csf",
            mend="Give --r2star FILE, or a mask: --reference FILE.",
        )
    return csf_mask(read_on_grid(args.r2star, grid), mask, grid)
