"""A study of two readers on simulated patients, from scans to a table of agreement.

usage: nice python validation/readers.py WORK [--n 10] [--seed 9600] [--n-threads 1]
       [--table FILE]

The readers are simulated: each sees the truth with stated errors, decides through the log as the
reader's desk does, and an adjudicator settles where they differ. Figures show that the road is
whole and what its indices say of errors that are known; they say nothing of people. What is
finished in WORK is not done again; the reviewed output is made anew each time.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

from petechia.files.find import find_scans
from petechia.pipeline.provenance import threads
from petechia.pipeline.run import Options, run_all
from petechia.pipeline.settings import Settings
from petechia.pipeline.simulated import simulate_dataset
from petechia.pipeline.tree import finish_tree, prepare_tree
from petechia.simulate.patient import SimulationParams

PROTOCOL = "demo_light"
ADJUDICATOR = "adjudicator"


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedReader:
    """How often a simulated reader is right.

    Attributes
    ----------
    name : str
    sensitivity : float
        Accepts a finding that is a visible microbleed.
    false_accept : float
        Accepts a finding that is none.
    missed_seen : float
        Adds a visible microbleed that the software did not ask about.
    shift_mm : float
        Standard deviation of each coordinate of what is added.
    seconds : float
        Median time of a decision; log-normal, with a spread of 0.5 of its logarithm.
    """

    name: str
    sensitivity: float
    false_accept: float
    missed_seen: float
    shift_mm: float
    seconds: float


READERS = (
    SimulatedReader(
        name="careful", sensitivity=0.95, false_accept=0.04, missed_seen=0.6, shift_mm=0.5,
        seconds=2.0,
    ),
    SimulatedReader(
        name="hasty", sensitivity=0.85, false_accept=0.10, missed_seen=0.3, shift_mm=1.0,
        seconds=1.2,
    ),
)  # fmt: skip
"""Simulated; their errors are stated here and were not fitted to anything."""


def patients(work: Path, n: int, seed: int, n_threads: int) -> tuple[Path, Path]:
    """Return the simulated dataset and the output of its run; what is finished stays."""
    raw, out = work / "raw", work / "output"
    done = work / f"raw_{n}_{seed}.done"
    if not done.exists():
        with threads(n_threads):
            simulate_dataset(
                raw, SimulationParams(protocol=PROTOCOL), n_subjects=n, seed=seed, varied=True,
                tell=lambda prefix: print(f"simulate {prefix}", flush=True),
            )  # fmt: skip
        done.touch()
    prepare_tree(out, raw)
    for outcome in run_all(find_scans(raw), out, Settings(), Options(n_threads=n_threads)):
        print(f"run {outcome.prefix}: {outcome.status} {outcome.message}", flush=True)
    finish_tree(out)
    return raw, out


def main() -> None:
    """Run the study and write its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--n", type=int, default=10)
    parser.add_argument("--seed", type=int, default=9600)
    parser.add_argument("--n-threads", type=int, default=1)
    parser.add_argument("--table", type=Path)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    raw, out = patients(args.work, args.n, args.seed, args.n_threads)


if __name__ == "__main__":
    main()
