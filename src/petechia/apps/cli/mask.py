"""`petechia mask`: the brain on a magnitude image; where its phase can be trusted."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from petechia.apps.cli import steps
from petechia.apps.cli.words import LIST
from petechia.errors import ParameterError

if TYPE_CHECKING:
    import numpy as np

    from petechia.files.nifti import Volume


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words of this command."""
    add = parser.add_argument
    add("magnitude", help="magnitude; echoes with commas between, or 4-D")
    add("out", type=Path, help="mask to write (.nii.gz)")
    add("--mask", type=Path, metavar="FILE", help="brain mask to begin with; found when not given")
    phase = parser.add_argument_group("only where the phase can be trusted, voids of lesions kept")
    phase.add_argument("--phase", action=LIST, metavar="F", help="phase, one per echo or 4-D")
    phase.add_argument("--te", action=LIST, metavar="S", help="echo times [s], with --phase")
    phase.add_argument("--phase-scale", type=float, metavar="K", help="phase times K is radians")
    phase.add_argument(
        "--reliable", type=Path, metavar="FILE", help="also write the mask with its holes left open"
    )
    phase.add_argument("--quality", type=Path, metavar="FILE", help="also write the quality, 0-1")
    steps.thread_words(parser)


def positionals(words: list[str]) -> int:
    """Return how many positionals the command cannot do without."""
    return 2


def run(args: argparse.Namespace) -> int:
    """Find the brain, leave out what has no phase when that is asked for, and write the mask."""
    from petechia.anatomy.brainmask import brain_mask
    from petechia.apps.cli.words import items
    from petechia.files.nifti import read_mask
    from petechia.pipeline.provenance import threads
    from petechia.pipeline.stages import template

    phases = items(args.phase)
    for option in ("te", "phase_scale", "reliable", "quality"):
        if getattr(args, option) is not None and not phases:
            raise ParameterError(
                "--phase is missing",
                where=f"--{option.replace('_', '-')}",
                mend="Quality is that of the phase: give --phase and --te.",
            )
    inputs = [*items([args.magnitude]), *phases, args.mask]
    steps.require_outputs([args.out, args.reliable, args.quality], inputs)
    magnitude, image = steps.magnitudes(items([args.magnitude]), "MAGNITUDE")
    with threads(steps.n_threads(args)):
        if args.mask is not None:
            mask = read_mask(args.mask, image.grid)
        else:
            found = brain_mask(magnitude, image.grid, template())
            mask = found.mask
            size_ml = mask.sum() * image.grid.voxel_mm3 / 1000
            print(f"{size_ml:.0f} mL of brain, found by: {found.method}")
            for line in found.says:
                print(line)
        if phases:
            mask = _trusted(args, phases, magnitude, mask, image)
    steps.save(args.out, mask, image)
    return 0


def _trusted(
    args: argparse.Namespace,
    phases: list[str],
    magnitude: "np.ndarray",
    mask: "np.ndarray",
    image: "Volume",
) -> "np.ndarray":
    """Return the part of the mask with trustworthy phase, holes filled; write its company."""
    from petechia.apps.cli.words import numbers
    from petechia.core.echoes import check_echo_times
    from petechia.files.nifti import require_same_grid
    from petechia.phase.masking import quality_masks
    from petechia.phase.quality import phase_quality

    raw, first = steps.stack(phases, "--phase")
    require_same_grid(first.grid, str(first.path), image.grid, str(image.path))
    te_s = numbers(args.te, "--te")
    check_echo_times(te_s, len(raw), "--te")
    if len(magnitude) != len(raw):
        raise ParameterError(
            f"{len(magnitude)} magnitude and {len(raw)} phase echoes",
            where="--phase",
            mend="Give as many magnitude echoes as phase echoes.",
        )
    phase = steps.in_radians(raw, first, args.phase_scale)
    quality = phase_quality(phase, magnitude, te_s, mask, image.grid)
    reliable, filled, threshold = quality_masks(quality, mask, image.grid)
    kept, holes = filled.sum() / mask.sum(), (filled & ~reliable).sum() / mask.sum()
    print(
        f"quality from {threshold:.2f}: {100 * kept:.1f} % of the mask, "
        f"{100 * holes:.2f} % of it filled holes"
    )
    if args.reliable is not None:
        steps.save(args.reliable, reliable, image)
    if args.quality is not None:
        steps.save(args.quality, quality, image)
    return filled
