"""Put lesions into a real scan by physics, and see what is found: tissue, veins and noise are real.

usage: python validation/implanted.py MAG PHASE --te 0.004,0.008,0.012 --b0 7 [--phase-sign +1]
       [--scans 40] [--seed 9900] [--sources 4] [--no-phase] [--last-echo] [--table FILE]

MAG and PHASE are 4-D NIfTI files of a piece of a head without microbleeds, all of it brain. Each
scan is the real one with a few magnetised spheres: the signal of every voxel near one is
multiplied by the mean over its parts of the turn by the sphere's exact field, none inside the
sphere; further off the phase alone turns. That takes a voxel's tissue for even. Moments are
log-uniform, a third are calcium; places are at random, away from each other and the border.
A source is visible when some voxel loses 0.3 of its magnitude at the last echo.
"""

import argparse
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from petechia.api import detect
from petechia.core.echoes import Echoes
from petechia.core.grid import Grid
from petechia.core.intervals import wilson
from petechia.core.matching import one_to_one
from petechia.core.units import radians_per_ppm
from petechia.files.loose import scan_from_files

STRATA = ((0.3, 1.0), (1.0, 3.0), (3.0, 10.0), (10.0, 30.0))
BORDER_MM, APART_MM, NEAR_MM, HIT_MM = 4.5, 7.0, 5.0, 2.5
VISIBLE = 0.3
Floats = npt.NDArray[np.float64]


def field_ppm(offset_mm: Floats, b0_dir: Floats, moment: float, radius_mm: float) -> Floats:
    """Return the field of a magnetised sphere at offsets (..., 3) from its middle [ppm]."""
    r = np.maximum(np.linalg.norm(offset_mm, axis=-1), 1e-6)
    cosine = offset_mm @ b0_dir / r
    out = moment / (4 * np.pi) * (3 * cosine**2 - 1) / np.maximum(r, radius_mm) ** 3
    return np.where(r < radius_mm, 0.0, out)


def factors(
    grid: Grid, centre_vox: Floats, moment: float, radius_mm: float, b0_t: float, te_s: list[float]
) -> npt.NDArray[np.complex128]:
    """Return what every echo and voxel (E, I, J, K) is multiplied by."""
    at = np.stack(np.indices(grid.shape), axis=-1)
    away = (at - centre_vox) * grid.spacing_mm
    far = field_ppm(away, grid.b0_dir, moment, radius_mm)
    turns = np.array([radians_per_ppm(b0_t, te) for te in te_s])
    out = np.exp(1j * turns[:, None, None, None] * far)
    near = np.argwhere(np.linalg.norm(away, axis=-1) < NEAR_MM)
    n = np.maximum(np.ceil(grid.spacing_mm / 0.08).astype(int), 2)
    parts = np.stack(
        np.meshgrid(*[(np.arange(k) + 0.5) / k - 0.5 for k in n], indexing="ij"), axis=-1
    ).reshape(-1, 3)
    for i, j, k in near:
        offset = ([i, j, k] - centre_vox + parts) * grid.spacing_mm
        there = field_ppm(offset, grid.b0_dir, moment, radius_mm)
        tissue = np.linalg.norm(offset, axis=-1) >= radius_mm
        out[:, i, j, k] = (np.exp(1j * turns[:, None] * there) * tissue).mean(axis=1)
    return out


def places(rng: np.random.Generator, grid: Grid, n: int) -> list[Floats]:
    """Return voxel indices of `n` places away from the border and from each other."""
    size = np.asarray(grid.shape) * grid.spacing_mm
    found: list[Floats] = []
    while len(found) < n:
        mm = rng.uniform(BORDER_MM, size - BORDER_MM)
        if all(np.linalg.norm(mm - other) > APART_MM for other in found):
            found.append(mm)
    return [mm / grid.spacing_mm - 0.5 for mm in found]


def one_scan(
    echoes: Echoes,
    rng: np.random.Generator,
    args: argparse.Namespace,
    tally: dict[str, Counter[str]],
    moments: dict[str, list[float]],
) -> None:
    """Put sources into a scan, detect, count."""
    grid, te_s, sign = echoes.grid, list(echoes.te_s), args.phase_sign
    assert echoes.phase_rad is not None
    signal = echoes.magnitude * np.exp(1j * echoes.phase_rad)
    told = []
    for centre in places(rng, grid, args.sources):
        moment = float(np.exp(rng.uniform(np.log(STRATA[0][0]), np.log(STRATA[-1][1]))))
        radius = float(np.cbrt(3 * moment / (4 * np.pi * rng.uniform(1.0, 6.0))))
        moment *= -1 if rng.random() < 1 / 3 else 1
        by = factors(grid, centre, moment * (1 if sign == "+1" else -1), radius, echoes.b0_t, te_s)
        signal *= by
        seen = bool((np.abs(by[-1]) < 1 - VISIBLE).any())
        told.append((grid.to_mm(centre), moment, seen))
    kept = slice(-1, None) if args.last_echo else slice(None)
    result = detect(
        np.abs(signal[kept]),
        None if args.no_phase else np.angle(signal[kept]),
        te_s=tuple(te_s[kept]),
        b0_t=echoes.b0_t,
        affine=grid.affine,
        mask=echoes.magnitude[0] > 0,
        phase_sign="auto" if args.no_phase else sign,
    )
    rows = result.findings
    at = np.array([[r[f"{a}_mm"] for a in "xyz"] for r in rows], dtype=float).reshape(-1, 3)
    pairs = one_to_one(np.array([p for p, *_ in told]), at, HIT_MM).pairs
    row_of = {int(t): rows[int(p)] for t, p in pairs}
    for index, (_, moment, seen) in enumerate(told):
        kind = "calcium" if moment < 0 else "blood"
        (stratum,) = [n for n, (low, high) in enumerate(STRATA) if low <= abs(moment) < high]
        mine = tally.setdefault(f"{kind} {stratum}", Counter())
        row = row_of.get(index)
        mine["put in"] += 1
        mine["visible"] += seen
        mine["described"] += seen and row is not None
        if row is None or not seen:
            continue
        mine["counted"] += row["counted"] in (1, "1")
        mine[f"class {row['class']}"] += 1
        fitted = row["moment_ppm_mm3"]
        if fitted not in (None, "n/a"):
            moments.setdefault(f"{kind} {stratum}", []).append(float(fitted) / moment)
    mine = tally.setdefault("else", Counter())
    taken = {id(row) for row in row_of.values()}
    mine["counted"] += sum(row["counted"] in (1, "1") and id(row) not in taken for row in rows)
    mine["scans"] += 1


def page(args: argparse.Namespace, tally: dict[str, Counter[str]], moments: dict) -> str:
    """Return the page of what was measured."""
    lines = [
        "# Lesions put into a real scan",
        "",
        f"Made {datetime.now(UTC):%Y-%m-%d} by `python validation/implanted.py MAG PHASE --te "
        f"{args.te} --b0 {args.b0:g} --phase-sign {args.phase_sign} --scans {args.scans} --seed "
        f"{args.seed} --sources {args.sources}{' --no-phase' * args.no_phase}"
        f"{' --last-echo' * args.last_echo}`.",
        "",
        "| kind | ppm mm3 | put in | visible | described | counted, of visible | "
        "found/true moment, median (10 to 90 %) | named |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind in ("blood", "calcium"):
        for n, (low, high) in enumerate(STRATA):
            mine = tally.get(f"{kind} {n}", Counter())
            ratio = moments.get(f"{kind} {n}", [])
            told = "-"
            if ratio:
                a, b, c = np.quantile(ratio, (0.1, 0.5, 0.9))
                told = f"{b:.2f} ({a:.2f} to {c:.2f}), {len(ratio)}"
            share = "-"
            if mine["visible"]:
                a, b = wilson(mine["counted"], mine["visible"])
                share = f"{mine['counted']}/{mine['visible']} ({a:.2f} to {b:.2f})"
            named = ", ".join(
                f"{k.removeprefix('class ')} {v}" for k, v in mine.most_common() if "class" in k
            )
            lines.append(
                f"| {kind} | {low:g}-{high:g} | {mine['put in']} | {mine['visible']} | "
                f"{mine['described']} | {share} | {told} | {named} |"
            )
    rest = tally["else"]
    lines += [
        "",
        f"Counted where nothing was put in: {rest['counted']} in {rest['scans']} scans.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, and print the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("mag", type=Path)
    add("phase", type=Path)
    add("--te", required=True, help="echo times [s], with commas")
    add("--b0", type=float, required=True, help="field [T]")
    add("--phase-sign", choices=("+1", "-1"), default="+1")
    add("--scans", type=int, default=40)
    add("--seed", type=int, default=9900)
    add("--sources", type=int, default=4)
    add("--no-phase", action="store_true", help="detect on magnitude alone")
    add("--last-echo", action="store_true", help="detect on the last echo alone")
    add("--table", type=Path)
    args = parser.parse_args()
    times = [float(t) for t in args.te.split(",")]
    echoes = scan_from_files([args.mag], [args.phase], times, args.b0).echoes
    tally: dict[str, Counter[str]] = {}
    moments: dict[str, list[float]] = {}
    for n in range(args.scans):
        rng = np.random.default_rng([args.seed, n])
        one_scan(echoes, rng, args, tally, moments)
        print(n, {k: dict(v) for k, v in sorted(tally.items())}, flush=True)
    text = page(args, tally, moments)
    print(text)
    if args.table:
        args.table.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
