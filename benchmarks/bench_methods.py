"""Time and memory of every method, as ratios that hold across machines.

usage: python benchmarks/bench_methods.py [--sizes 96,96,64 160,160,128] [--only NAME ...]
       [--gain] [--table FILE] [--measured src/petechia/pipeline/measured.toml]

Time is processor time over that of one real three-dimensional Fourier transform and back
(`irfftn(rfftn(x))`, float32, same size, one worker), both the least of several, taken in turn.
Memory is what numpy holds at the peak beyond the inputs, in volumes of float32. One thread:
run with OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1. With the package's source first on PYTHONPATH,
rows of another version can be measured. `--measured` renews the costs that
`petechia methods` prints, of the size that the aims are stated for.
"""

import argparse
import time
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage
from scipy.fft import irfftn, rfftn, set_workers

from petechia.contrast.highpass import unwrapped_highpass
from petechia.core.grid import Grid
from petechia.core.kernels import forward_field
from petechia.phase.offsets import mcpc3ds
from petechia.pipeline.measured import renew
from petechia.pipeline.provenance import threads
from petechia.pipeline.settings import ALONE, FAMILIES

SIZES = ((96, 96, 64), (160, 160, 128), (256, 256, 160))
STATED = (160, 160, 128)
TE_S = (0.005, 0.0115, 0.018, 0.0245)
PEER = {
    "laplacian": (9, 4),
    "romeo": (33, 12),
    "offsets (MCPC-3D-S)": (28, 20),
    "whole field map": (52, 35),
    "vsharp": (118, 40),
    "pdf": (2200, 120),
    "resharp": (250, 80),
    "sharp": (12, 8),
    "lbv": (94, 60),
    "ismv": (220, 80),
    "tkd": (5, 2.5),
    "tikhonov": (5, 2.5),
    "l2": (5, 2.5),
    "tv": (172, 80),
    "nltv": (1800, 200),
    "medi": (200, 120),
    "rts": (82, 50),
    "ndi": (1440, 150),
    "ilsqr": (960, 250),
    "tgv": (3300, 700),
    "arlo": (3, 3),
    "SWI from phase": (9, 6),
    "frangi": (164, 80),
}
"""Ratios at 160 x 160 x 128: of the best compiled peer, and what ours should stay below."""


def phantom(shape: tuple[int, int, int]) -> dict[str, Any]:
    """Return every input that a row may need: an ellipsoid of tissue with strong sources."""
    rng = np.random.default_rng(0)
    grid = Grid.from_spacing(shape, np.full(3, 192.0 / max(shape)))
    centre = np.array(shape) / 2
    index = np.indices(shape, dtype=np.float32)
    radius = np.sqrt(sum(((index[a] - centre[a]) / (0.38 * shape[a])) ** 2 for a in range(3)))
    mask = radius < 1
    chi = np.where(mask, 0.3 * ndimage.gaussian_filter(rng.normal(size=shape), 2), 0)
    for n in range(40):
        at = (centre + rng.uniform(-0.25, 0.25, 3) * shape).astype(int)
        chi[tuple(slice(a - 1, a + 2) for a in at)] = 1.0 if n % 2 else -0.8
    local = forward_field(chi.astype(np.float32), grid)
    air = forward_field(np.where(radius < 1.15, -9.0, 0).astype(np.float32), grid)
    total = (local + 0.15 * air).astype(np.float32)
    magnitude, phase = [], []
    for te_s in TE_S:
        size = np.where(radius < 1.1, np.exp(-25 * te_s), 0.02)
        angle = 2 * np.pi * 127.74 * total * te_s + 0.4 * index[0] / shape[0]
        noise = rng.normal(size=shape) + 1j * rng.normal(size=shape)
        signal = size * np.exp(1j * angle) + 0.01 * noise
        magnitude.append(np.abs(signal).astype(np.float32))
        phase.append(np.angle(signal).astype(np.float32))
    return {
        "grid": grid,
        "mask": mask,
        "field_ppm": (local * mask).astype(np.float32),
        "total_field_ppm": total,
        "chi_ppm": chi.astype(np.float32),
        "r2prime": (137 * np.abs(chi)).astype(np.float32),
        "weights": mask.astype(np.float32),
        "phase_rad": np.stack(phase),
        "magnitude": np.stack(magnitude),
        "te_s": TE_S,
        "b0_t": 3.0,
        "noise_sd": 0.01,
        "acquisition_type": "3D",
    }


def rows(data: dict[str, Any]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield every row with its name, ready to be called without arguments."""
    grid, mask = data["grid"], data["mask"]
    one = data["magnitude"][-1]
    unwrap = FAMILIES["unwrap"]["romeo"]
    fit = FAMILIES["fieldmap"][next(iter(FAMILIES["fieldmap"]))]
    (turned,) = unwrap(data, grid=grid)
    special = {
        "unwrap": {},
        "fieldmap": {"unwrapped_rad": turned},
        "background": {"field_ppm": data["total_field_ppm"]},
        "inversion": {"magnitude": one},
        "relaxation": {},
        "weighting": {"highpass_rad": data["phase_rad"][-1], "magnitude": one},
        "vesselness": {"image": data["chi_ppm"]},
    }
    for family, methods in {**FAMILIES, **ALONE}.items():
        for name, row in methods.items():
            inputs = data | special.get(family, {})
            if "te_s" in row.needs:
                inputs |= {"magnitude": data["magnitude"]}
            if name == "laplacian":  # one echo, as the peer's figure
                inputs |= {"phase_rad": data["phase_rad"][:1]}
            yield name, lambda row=row, inputs=inputs: row(inputs, grid=grid)

    def offsets() -> Any:
        return mcpc3ds(data["phase_rad"], data["magnitude"], TE_S, mask, grid)

    def field_map() -> Any:
        phase, _ = offsets()
        (unwrapped,) = unwrap(data | {"phase_rad": phase}, grid=grid)
        return fit(data | {"unwrapped_rad": unwrapped, "phase_rad": phase}, grid=grid)

    def weighted() -> Any:
        high = unwrapped_highpass(turned[-1], mask, grid)
        return FAMILIES["weighting"]["swi"]({"magnitude": one, "highpass_rad": high}, grid=grid)

    yield "offsets (MCPC-3D-S)", offsets
    yield "whole field map", field_map
    yield "SWI from phase", weighted


def least(
    call: Callable[[], Any], times: int, clock: Callable[[], float] = time.process_time
) -> float:
    """Return the least processor time (or that of another clock) of several calls [s]."""
    best = np.inf
    for _ in range(times):
        begin = clock()
        call()
        best = min(best, clock() - begin)
    return best


def measure(call: Callable[[], Any], unit: Callable[[], Any], voxels: int) -> tuple[float, ...]:
    """Return seconds, ratio to `unit`, and volumes held at the peak."""
    call()  # compiles
    unit_s = least(unit, 3)
    seconds = least(call, 2)
    unit_s = min(unit_s, least(unit, 3))
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return seconds, seconds / unit_s, peak / (4 * voxels)


def table(
    size: tuple[int, int, int], only: list[str], found: dict[str, dict[str, float]]
) -> Iterator[str]:
    """Yield the lines of the table of one size; put the rows of the stated one into `found`."""
    data = phantom(size)
    x = np.random.default_rng(0).normal(size=size).astype(np.float32)

    def unit() -> Any:
        return irfftn(rfftn(x), s=size)

    stated = size == STATED
    yield f"## {size[0]} x {size[1]} x {size[2]}, the transform {least(unit, 5) * 1e3:.0f} ms\n"
    yield "| method | seconds | ratio | volumes |" + (" peer | at most | met |" if stated else "")
    yield "|---|---|---|---|" + ("---|---|---|" if stated else "")
    for name, call in rows(data):
        if only and name not in only:
            continue
        seconds, ratio, volumes = measure(call, unit, x.size)
        if stated:
            found[name] = {"ratio": round(ratio, 1), "volumes": round(volumes, 1)}
        line = f"| {name} | {seconds:.2f} | {ratio:.1f} | {volumes:.1f} |"
        if stated:
            peer, most = PEER.get(name, ("", ""))
            met = "" if most == "" else "yes" if ratio <= float(most) else "**no**"
            line += f" {peer} | {most} | {met} |"
        yield line


def gains(size: tuple[int, int, int], only: list[str]) -> Iterator[str]:
    """Yield the lines of what a second thread gains: wall time of one over that of two."""
    data = phantom(size)
    yield f"## Two threads, {size[0]} x {size[1]} x {size[2]}\n"
    yield "| method | one, seconds | two, seconds | gain |\n|---|---|---|---|"
    for name, call in rows(data):
        if only and name not in only:
            continue
        took = []
        for n in (1, 2):
            with threads(n), set_workers(n):
                call()
                took.append(least(call, 2, time.perf_counter))
        yield f"| {name} | {took[0]:.2f} | {took[1]:.2f} | {took[0] / took[1]:.2f} |"


def main() -> None:
    """Print the tables, and write them when asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=[",".join(map(str, s)) for s in SIZES])
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--table", type=Path)
    parser.add_argument("--measured", type=Path, help="file of `petechia methods` to renew")
    parser.add_argument("--gain", action="store_true", help="also time a second thread")
    args = parser.parse_args()
    found: dict[str, dict[str, float]] = {}
    lines = [f"Measured {datetime.now(UTC):%Y-%m-%d} on one thread.\n"]
    with threads(1), set_workers(1):
        for text in args.sizes:
            i, j, k = (int(n) for n in text.split(","))
            for line in table((i, j, k), args.only, found):
                print(line, flush=True)
                lines.append(line)
            lines.append("")
    if args.gain:
        for line in gains(STATED, args.only):
            print(line, flush=True)
            lines.append(line)
    if args.measured and found:
        size = " x ".join(map(str, STATED))
        about = f"at {size}, one thread, last {datetime.now(UTC):%Y-%m-%d}"
        renew(args.measured, "speed", about, found)
    if args.table:
        args.table.parent.mkdir(parents=True, exist_ok=True)
        args.table.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
