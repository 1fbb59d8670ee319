"""What one scan costs: processor time, wall time, peak memory, storage.

usage: python benchmarks/bench_cost.py WORK [--protocol demo_light ...] [--preset standard ...]
       [--raw DIR] [--n-threads 1]

Simulates one person for each protocol into WORK (or takes DIR/<protocol>_0 as it is), runs
`petechia run` on it in a process of its own and prints one line of a table. What is finished
is run again: the time is what is wanted.
"""

import argparse
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from petechia.pipeline.provenance import threads
from petechia.pipeline.simulated import simulate_dataset
from petechia.simulate.patient import SimulationParams


def main() -> None:
    """Simulate, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--protocol", action="append", default=[])
    parser.add_argument("--preset", action="append", default=[])
    parser.add_argument("--raw", type=Path)
    parser.add_argument("--n-threads", type=int, default=1)
    args = parser.parse_args()
    print("| protocol | preset | processor s | wall s | peak MB | input MB | output MB | files |")
    print("|---|---|---|---|---|---|---|---|")
    for protocol in args.protocol or ["demo_light"]:
        raw = (args.raw or args.work / "raw") / f"{protocol}_0"
        if not raw.exists():
            with threads(args.n_threads):
                simulate_dataset(raw, SimulationParams(protocol=protocol, n_microbleeds=12))
        for preset in args.preset or ["standard"]:
            out = args.work / "out" / f"{protocol}_{preset}"
            print(line(raw, out, protocol, preset, args.n_threads), flush=True)


def line(raw: Path, out: Path, protocol: str, preset: str, n_threads: int) -> str:
    """Run once; return the row."""
    n = str(n_threads)
    words = ["run", str(raw), str(out), "--preset", preset, "--force", "--n-threads", n]
    env = {**os.environ, "OMP_NUM_THREADS": n, "NUMBA_NUM_THREADS": n}
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-m", "petechia", *words], check=True, env=env)
    wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    read = [p for p in raw.rglob("sub-*") if p.is_file() and "derivatives" not in p.parts]
    made = [p for p in out.rglob("*") if p.is_file()]
    cells = [protocol, preset, f"{spent:.0f}", f"{wall:.0f}", f"{after.ru_maxrss / 1024:.0f}"]
    cells += [f"{sum(p.stat().st_size for p in files) / 1e6:.0f}" for files in (read, made)]
    return f"| {' | '.join([*cells, str(len(made))])} |"


if __name__ == "__main__":
    main()
