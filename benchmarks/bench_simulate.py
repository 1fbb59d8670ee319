"""How fast scans and training patches are simulated: seconds of processor time on one thread.

Run with OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
    python benchmarks/bench_simulate.py [protocol ...]
8_echoes is `demo_light` with eight of them.
"""

import resource
import sys
import time
from dataclasses import replace

import numpy as np

from petechia.assets.store import load_arrays
from petechia.simulate.atlas import atlas_from
from petechia.simulate.patches import cache_head, make_patches
from petechia.simulate.patient import SimulationParams, sample_patient, scan_patient
from petechia.simulate.protocols import PROTOCOLS

N_PATCHES = 200
REPEATS = 3
EIGHT = replace(PROTOCOLS["demo_light"], te_s=tuple(np.linspace(0.003, 0.0245, 8)))


def main(names: list[str]) -> None:
    """Print a row for each protocol."""
    atlas = atlas_from(load_arrays("template"))
    warm = sample_patient(SimulationParams(n_microbleeds=9), atlas, np.random.default_rng(0))
    scan_patient(warm, PROTOCOLS["3t_tiny"], atlas, np.random.default_rng(0))
    print(f"{'protocol':20} {'scan [s]':>9} {'patches/s':>10} {'echoes':>7} {'peak [MB]':>10}")
    for name in names:
        protocol = EIGHT if name == "8_echoes" else PROTOCOLS[name]
        begin = time.process_time()
        patient = sample_patient(SimulationParams(n_microbleeds=9), atlas, np.random.default_rng(0))
        scan_patient(patient, protocol, atlas, np.random.default_rng(0))
        scan_s = time.process_time() - begin
        head = cache_head(patient, protocol, atlas, np.random.default_rng(1))
        make_patches([head], 10, np.random.default_rng(0))
        least = np.inf
        for _ in range(REPEATS):
            begin = time.process_time()
            make_patches([head], N_PATCHES, np.random.default_rng(1))
            least = min(least, time.process_time() - begin)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{name:20} {scan_s:9.1f} {N_PATCHES / least:10.0f} {len(protocol.te_s):7d} "
            f"{peak:10.0f}",
            flush=True,
        )
        del head


if __name__ == "__main__":
    main(sys.argv[1:] or ["3t_tiny", "demo_light", "8_echoes"])
