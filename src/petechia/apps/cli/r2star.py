"""`petechia r2star`: R2* and T2* from the magnitude of echoes."""

import argparse
from pathlib import Path

from petechia.apps.cli import steps
from petechia.apps.cli.words import LIST


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words of this command."""
    add = parser.add_argument
    add("--mag", action=LIST, metavar="F", required=True, help="magnitude, one per echo or 4-D")
    add("--te", action=LIST, metavar="S", required=True, help="echo times [s]")
    add("--mask", type=Path, metavar="FILE", help="0 is written outside")
    add("--t2star", type=Path, metavar="FILE", help="also write T2* [s]")
    add("--s0", type=Path, metavar="FILE", help="also write the signal at echo time 0")
    add("--field", type=Path, metavar="FILE", help="total field [ppm; Hz or rad/s by its sidecar]")
    add("--b0", type=float, metavar="T", help="main field [T]; needed with --field")
    add("--noise-sd", type=float, metavar="S", help="noise of real and imaginary part (measured)")
    add("--acquisition", choices=["2D", "3D"], help="how slices were excited (3D)")
    add("out", type=Path, help="R2* to write [1/s]")
    steps.method_words(parser, "nonlinear")
    steps.thread_words(parser)


def positionals(words: list[str]) -> int:
    """Return how many positionals the command cannot do without."""
    return 1


def run(args: argparse.Namespace) -> int:
    """Fit the decay."""
    from petechia.anatomy.head import noise_level
    from petechia.apps.cli.words import items, numbers
    from petechia.contrast.relaxation import METHODS, t2star_from
    from petechia.core.echoes import check_echo_times
    from petechia.errors import ParameterError
    from petechia.pipeline.given import field_in_ppm
    from petechia.pipeline.provenance import threads

    outputs = [args.out, args.t2star, args.s0]
    steps.require_outputs(outputs, [*items(args.mag), args.mask, args.field])
    b0_t = steps.main_field(args.b0)
    if args.field is not None and b0_t is None:
        raise ParameterError("--b0 is missing", where="--field", mend="Give the main field too.")
    row, params = steps.chosen(METHODS, args)
    read = {"field": "field_ppm", "noise_sd": "noise_sd", "acquisition": "acquisition_type"}
    steps.require_used(METHODS, args, read)
    magnitude, image = steps.magnitudes(items(args.mag), "--mag")
    te_s = numbers(args.te, "--te")
    check_echo_times(te_s, len(magnitude), "--te")
    mask = steps.mask_or_everything(args.mask, image.grid)
    field = None
    if args.field is not None:
        field = field_in_ppm(args.field, image.grid, b0_t, mask)
    arrays = {
        "magnitude": magnitude,
        "te_s": te_s,
        "noise_sd": args.noise_sd,
        "field_ppm": field,
        "b0_t": b0_t,
        "acquisition_type": args.acquisition,
    }
    with threads(steps.n_threads(args)):
        if "noise_sd" in row.needs and args.noise_sd is None:
            arrays["noise_sd"] = noise_level(magnitude[-1], image.grid)
        r2star, s0 = row(arrays, grid=image.grid, settings=params)
    steps.save(args.out, r2star * mask, image)
    if args.t2star is not None:
        steps.save(args.t2star, t2star_from(r2star) * mask, image)
    if args.s0 is not None:
        steps.save(args.s0, s0 * mask, image)
    return 0
