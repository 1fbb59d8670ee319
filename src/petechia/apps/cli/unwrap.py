"""`petechia unwrap`: phase without offset and wraps, and the field of all echoes."""

import argparse
from pathlib import Path

from petechia.apps.cli import steps
from petechia.apps.cli.words import LIST
from petechia.errors import ParameterError


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words of this command."""
    add = parser.add_argument
    add("--phase", action=LIST, metavar="F", required=True, help="phase, one per echo or 4-D")
    add(
        "--mag",
        action=LIST,
        metavar="F",
        help="magnitude, likewise: weighs the offset, the field, and the path of most methods",
    )
    add("--te", action=LIST, metavar="S", required=True, help="echo times [s]")
    add("--phase-scale", type=float, metavar="K", help="phase times K is radians")
    add("--mask", type=Path, metavar="FILE", help="where to unwrap (everywhere)")
    add("--b0", type=float, metavar="T", help="main field [T], for --field")
    add("--field", type=Path, metavar="FILE", help="also write the total field [ppm]")
    add("out", type=Path, help="unwrapped phase to write [rad], 4-D for several echoes")
    steps.method_words(parser, "romeo")
    steps.thread_words(parser)


def positionals(words: list[str]) -> int:
    """Return how many positionals the command cannot do without."""
    return 1


def run(args: argparse.Namespace) -> int:
    """Remove what all echoes share, unwrap, and fit the field when it is asked for."""
    import numpy as np

    from petechia.apps.cli.words import items, numbers
    from petechia.core.echoes import check_echo_times
    from petechia.files.nifti import require_same_grid
    from petechia.phase.fieldmap import METHODS as FIELDMAP
    from petechia.phase.offsets import remove_offsets
    from petechia.phase.unwrap import METHODS
    from petechia.pipeline.provenance import threads

    if args.field is not None and args.b0 is None:
        raise ParameterError(
            "--b0 is missing", where="--field", mend="The field in ppm needs the main field."
        )
    inputs = [*items(args.phase), *items(args.mag), args.mask]
    steps.require_outputs([args.out, args.field], inputs)
    b0_t = steps.main_field(args.b0)
    row, params = steps.chosen(METHODS, args)
    raw, image = steps.stack(items(args.phase), "--phase")
    te_s = numbers(args.te, "--te")
    check_echo_times(te_s, len(raw), "--te")
    phase = steps.in_radians(raw, image, args.phase_scale)
    magnitude = np.ones_like(phase)
    if args.mag:
        magnitude, beside = steps.magnitudes(items(args.mag), "--mag")
        require_same_grid(beside.grid, str(beside.path), image.grid, str(image.path))
        if magnitude.shape != phase.shape:
            raise ParameterError(
                f"magnitude {magnitude.shape} and phase {phase.shape} differ",
                where="--mag",
                mend="Give as many magnitude echoes as phase echoes, on one grid.",
            )
    mask = steps.mask_or_everything(args.mask, image.grid)
    with threads(steps.n_threads(args)):
        if len(phase) > 1:  # else echoes are unwrapped by what does not grow with their times
            phase = remove_offsets(phase, magnitude, te_s, mask, image.grid).phase_rad
        arrays = {"phase_rad": phase, "magnitude": magnitude, "te_s": te_s, "mask": mask}
        (unwrapped,) = row(arrays, grid=image.grid, settings=params)
        steps.save(args.out, unwrapped, image)
        if args.field is not None and b0_t is not None:
            fit = FIELDMAP["weighted"]
            arrays |= {"unwrapped_rad": unwrapped, "b0_t": b0_t}
            field_ppm, _noise, _residual = fit(arrays, grid=image.grid, settings=fit.settings())
            steps.save(args.field, field_ppm, image)
    return 0
