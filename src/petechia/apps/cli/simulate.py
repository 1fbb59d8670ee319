"""`petechia simulate`: a BIDS dataset of simulated patients with their truth."""

import argparse
from pathlib import Path

from petechia.apps.cli.words import LIST, count, items


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words of this command."""
    add = parser.add_argument
    add("out", type=Path, help="folder of the dataset to write")
    add("--protocol", action=LIST, metavar="P", help="one or more; every person gets each")
    add("--n-subjects", type=count, default=1, metavar="N", help="people (1)")
    add("--seed", type=int, default=0, metavar="N", help="same seed, same dataset (0)")
    add("--microbleeds", type=int, metavar="N", help="of each person (drawn as patients have)")
    add("--calcifications", type=int, default=3, metavar="N", help="of each person (3)")
    add("--pattern", default="mixed", help="mixed, lobar or deep (mixed)")
    add("--snr", type=float, help="signal to noise in place of the protocol's")
    units = ["rad", "siemens"]
    add("--phase-units", choices=units, default="rad", help="siemens: whole numbers (rad)")


def positionals(words: list[str]) -> int:
    """Return how many positionals the command cannot do without."""
    return 1


def run(args: argparse.Namespace) -> int:
    """Simulate and write."""
    from petechia.apps.cli.run import progress
    from petechia.pipeline.simulated import simulate_dataset
    from petechia.simulate.patient import SimulationParams

    params = SimulationParams(
        n_microbleeds=args.microbleeds,
        n_calcifications=args.calcifications,
        pattern=args.pattern,
        snr=args.snr,
    )
    with progress(args.n_subjects) as tell:
        written = simulate_dataset(
            args.out,
            params,
            protocols=items(args.protocol),
            n_subjects=args.n_subjects,
            seed=args.seed,
            phase_units=args.phase_units,
            tell=lambda prefix: tell(prefix, "simulating"),
        )
    print(f"{len(written)} scans in {args.out}; truth in {args.out / 'derivatives' / 'truth'}")
    return 0
