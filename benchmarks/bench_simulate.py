"""How fast scans and training patches are simulated: seconds of processor time on one thread.

Run with OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python benchmarks/bench_simulate.py [protocol ...]
"""

import resource
import sys
import time

import numpy as np

from petechia.assets.store import load_arrays
from petechia.simulate.atlas import atlas_from
from petechia.simulate.patches import cache_head, make_patches
from petechia.simulate.patient import SimulationParams, sample_patient, simulate
from petechia.simulate.protocols import PROTOCOLS

N_PATCHES = 300


def main(names: list[str]) -> None:
    """Print a row for each protocol."""
    arrays = load_arrays("template")
    atlas = atlas_from(arrays)
    print(f"{'protocol':20} {'scan [s]':>9} {'patches/s':>10} {'echoes':>7} {'peak [MB]':>10}")
    for name in names:
        params = SimulationParams(protocol=name, n_microbleeds=9)
        simulate(SimulationParams(protocol="3t_tiny"), np.random.default_rng(0), arrays)  # warm
        begin = time.process_time()
        simulate(params, np.random.default_rng(0), arrays)
        scan_s = time.process_time() - begin
        patient = sample_patient(params, atlas, np.random.default_rng(0))
        head = cache_head(patient, PROTOCOLS[name], atlas, np.random.default_rng(1))
        make_patches([head], 10, np.random.default_rng(0))
        begin = time.process_time()
        make_patches([head], N_PATCHES, np.random.default_rng(1))
        rate = N_PATCHES / (time.process_time() - begin)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        echoes = len(PROTOCOLS[name].te_s)
        print(f"{name:20} {scan_s:9.1f} {rate:10.0f} {echoes:7d} {peak:10.0f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or ["3t_tiny", "demo_light"])
