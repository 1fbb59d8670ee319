"""`petechia combine`: one image per echo from uncombined coils."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from petechia.apps.cli import steps
from petechia.apps.cli.words import LIST
from petechia.errors import ParameterError

if TYPE_CHECKING:
    from petechia.files.nifti import Volume


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words of this command."""
    add = parser.add_argument
    add("--phase", action=LIST, metavar="F", required=True, help="phase, a 4-D file per coil")
    add("--mag", action=LIST, metavar="F", required=True, help="magnitude, likewise")
    add("--te", action=LIST, metavar="S", required=True, help="echo times [s]")
    add("--phase-scale", type=float, metavar="K", help="phase times K is radians")
    add("--mask", type=Path, metavar="FILE", help="where there is signal (found)")
    add("--bipolar", choices=["auto", "yes", "no"], default="auto", help="even echoes read back")
    add("out", type=Path, help="phase to write [rad], 4-D, without the coils' offsets")
    add("out_mag", type=Path, help="magnitude to write, 4-D")
    steps.thread_words(parser)


def positionals(words: list[str]) -> int:
    """Return how many positionals the command cannot do without."""
    return 2


class CoilFiles(Sequence[Any]):
    """Coils as complex images, read one at a time."""

    def __init__(self, phase: list[str], magnitude: list[str], scale: float | None) -> None:
        if len(phase) != len(magnitude):
            raise ParameterError(
                f"{len(magnitude)} files for {len(phase)} of --phase",
                where="--mag",
                mend="Give one 4-D file of each for every coil, in the same order.",
            )
        self._phase, self._magnitude, self._scale = phase, magnitude, scale
        self.first: Volume = steps.stack(phase[:1], "--phase")[1]

    def __len__(self) -> int:
        return len(self._phase)

    def __getitem__(self, coil: Any) -> Any:
        """Return the echoes of one coil, (E, I, J, K) complex64."""
        from petechia.files.nifti import require_same_grid
        from petechia.phase.coils import CoilStack

        raw, image = steps.stack([self._phase[coil]], "--phase")
        magnitude, beside = steps.magnitudes([self._magnitude[coil]], "--mag")
        for volume in (image, beside):
            require_same_grid(volume.grid, str(volume.path), self.first.grid, str(self.first.path))
        phase = steps.in_radians(raw, image, self._scale)
        return CoilStack(phase[:, None], magnitude[:, None])[0]


def run(args: argparse.Namespace) -> int:
    """Combine the coils."""
    from petechia.apps.cli.words import items, numbers
    from petechia.files.nifti import read_mask
    from petechia.phase.coils import combine_coils
    from petechia.phase.evolution import McpcParams
    from petechia.pipeline.provenance import threads

    phase, magnitude = items(args.phase), items(args.mag)
    steps.require_outputs([args.out, args.out_mag], [*phase, *magnitude, args.mask])
    coils = CoilFiles(phase, magnitude, args.phase_scale)
    grid = coils.first.grid
    mask = None if args.mask is None else read_mask(args.mask, grid)
    params = McpcParams(bipolar=args.bipolar)
    with threads(steps.n_threads(args)):
        found = combine_coils(coils, numbers(args.te, "--te"), grid, mask, params)
    steps.save(args.out, found.phase_rad, coils.first)
    steps.save(args.out_mag, found.magnitude, coils.first)
    return 0
