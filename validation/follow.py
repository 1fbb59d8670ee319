"""Measure follow-up on simulated people who come twice, the second time under two protocols.

usage: python validation/follow.py WORK [--pairs 8] [--seed 9500] [--protocol demo_light]
       [--changed 1.5t_swi] [--microbleeds 9] [--new 4] [--grown 0.25] [--table FILE] [--make]

Everyone has the same protocol in both sessions, and another one besides in the second. What is
finished in WORK is not done again. The seeds were never used to set anything.
"""

import argparse
from pathlib import Path

from petechia.files.find import find_scans
from petechia.pipeline.provenance import threads
from petechia.pipeline.run import Options, run_all
from petechia.pipeline.settings import Settings
from petechia.pipeline.simulated import SecondVisit, simulate_dataset
from petechia.pipeline.tree import finish_tree, prepare_tree
from petechia.simulate.patient import SimulationParams


def made(work: Path, seed: int, args: argparse.Namespace) -> tuple[Path, Path]:
    """Return raw dataset and results of one person, made unless they are there."""
    raw, out = work / f"raw_{seed}", work / f"output_{seed}"
    done = work / f"raw_{seed}.done"
    with threads(args.n_threads):
        if not done.exists():
            person = SimulationParams(n_microbleeds=args.microbleeds, n_calcifications=5)
            later = SecondVisit(
                protocols=(args.protocol, args.changed), n_new=args.new, grown=args.grown
            )
            simulate_dataset(raw, person, protocols=[args.protocol], seed=seed, second=later)
            done.touch()
        prepare_tree(out, raw)
        for outcome in run_all(find_scans(raw), out, Settings(), Options(n_threads=args.n_threads)):
            print(seed, outcome, flush=True)
        finish_tree(out)
    return raw, out


def main() -> None:
    """Make people, follow them, score."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("work", type=Path)
    add("--pairs", type=int, default=8)
    add("--seed", type=int, default=9500)
    add("--protocol", default="demo_light")
    add("--changed", default="1.5t_swi")
    add("--microbleeds", type=int, default=9)
    add("--new", type=int, default=4)
    add("--grown", type=float, default=0.25)
    add("--n-threads", type=int, default=1)
    add("--table", type=Path)
    add("--make", action="store_true", help="make people only")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    for n in range(args.pairs):
        made(args.work, args.seed + n, args)


if __name__ == "__main__":
    main()
