"""`petechia demo`: a simulated patient from scan to report."""

import argparse
from pathlib import Path

from petechia.apps.cli.words import count

SEED, MICROBLEEDS, CALCIFICATIONS, PROTOCOL = 1, 9, 3, "demo_light"
"""The patient of the demo."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words of this command."""
    add = parser.add_argument
    add("--out", type=Path, default=Path("petechia-demo"), metavar="DIR", help="(petechia-demo)")
    add("--seed", type=int, default=SEED, metavar="N", help="another patient")
    add("--n-threads", type=count, metavar="N", help="threads (all cores)")


def positionals(words: list[str]) -> int:
    """Return how many positionals the command cannot do without."""
    return 0


def run(args: argparse.Namespace) -> int:
    """Simulate the patient, run everything, print the report's path."""
    from petechia.apps.cli.outcomes import conclude, progress
    from petechia.apps.cli.run import cores
    from petechia.files.find import find_scans
    from petechia.pipeline.provenance import threads
    from petechia.pipeline.run import Options, run_all
    from petechia.pipeline.settings import Settings
    from petechia.pipeline.simulated import simulate_dataset
    from petechia.pipeline.tree import finish_tree, prepare_tree
    from petechia.simulate.patient import SimulationParams

    raw, out = args.out / "raw", args.out / "output"
    n_threads = args.n_threads or cores()
    person = SimulationParams(
        protocol=PROTOCOL, n_microbleeds=MICROBLEEDS, n_calcifications=CALCIFICATIONS
    )
    print("simulating a patient ...", flush=True)
    with threads(n_threads):
        simulate_dataset(raw, person, seed=args.seed)
    print("from scan to report ...", flush=True)
    prepare_tree(out, raw)
    options = Options(force=True, n_threads=n_threads)
    with progress(1) as tell:
        outcomes = list(run_all(find_scans(raw), out, Settings(), options, tell=tell))
    finish_tree(out)
    print(
        f"truth: {MICROBLEEDS} microbleeds and {CALCIFICATIONS} "
        "calcifications were put in; not all of them need be visible"
    )
    print(f"review it:  petechia review {out} --images {raw}")
    return conclude(outcomes, out)
