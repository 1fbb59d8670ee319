"""Measure how far one source's moment comes again when a head is scanned twice by one protocol.

usage: python validation/change.py WORK [--seed 300] [--places 120] [--table FILE]

WORK is that of `validation/follow.py`. Sources of known moment are put at one place of both
sessions' local fields and measured as the detector does, with the void that each makes there. So
anatomy, noise, field processing and the turned head are the sessions' own; the source's own
way through unwrapping and background removal is left out. `ChangeParams` was set on it.
"""

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from follow import true_map, truth_of
from scipy.spatial import cKDTree

from petechia.core.grid import Grid
from petechia.core.morphology import erode_mm
from petechia.core.units import hz_per_ppm
from petechia.files.finished import read_volume
from petechia.lesions.change import change_of
from petechia.lesions.dipole import means_and_slopes
from petechia.lesions.findings import Finding
from petechia.lesions.moment import fit_moments

B0_T, TE_S = 3.0, 0.018
MOMENTS = (0.4, 15.0)
CHI_PPM = (0.4, 1.2)
NOISE = 0.03
REACH_VOX, VOID_MM = 14, 6.0
AWAY_MM, INSIDE_MM = 10.0, 8.0
STRATA = ((0.4, 1.0), (1.0, 3.0), (3.0, 15.0))
WITHIN = (np.stack(np.meshgrid(*[np.arange(5)] * 3, indexing="ij"), -1).reshape(-1, 3) - 2) / 5


def session(out: Path, scan: str) -> dict[str, Any]:
    """Return the maps of a finished scan."""
    (folder,) = out.glob(f"sub-01/{scan.split('_')[1]}/anat")
    names = {
        "field": "desc-local_fieldmap", "chi": "Chimap", "mask": "desc-brain_mask",
        "labels": "desc-findings_dseg",
    }  # fmt: skip
    maps = {key: read_volume(folder / f"{scan}_{name}.nii.gz") for key, name in names.items()}
    told: dict[str, Any] = {key: volume for key, (volume, _) in maps.items()}
    told["grid"] = maps["field"][1]
    told["usable"] = (told["mask"] > 0.5) & (told["labels"] < 0.5)
    return told


def put(
    told: dict[str, Any], place_mm: np.ndarray, moment: float, chi: float, rng: np.random.Generator
) -> tuple[np.ndarray, float, bool]:
    """Add a source to a session; return its void's middle [voxel], radius [mm], visibility."""
    grid: Grid = told["grid"]
    at = grid.to_index(place_mm)
    low = np.maximum(np.floor(at) - REACH_VOX, 0).astype(int)
    high = np.minimum(low + 2 * REACH_VOX + 1, grid.shape)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    index = np.stack(
        np.meshgrid(*[np.arange(s.start, s.stop) for s in box], indexing="ij"), axis=-1
    )
    offset = (index - at) * grid.spacing_mm
    shape = offset.shape[:3]
    dipole = means_and_slopes(offset.reshape(-1, 3), grid.b0_dir, grid.spacing_mm)[:, 0]
    told["field"][box] += moment * dipole.reshape(shape)
    near = np.linalg.norm(offset, axis=-1) < VOID_MM + 3
    fine = offset[near][:, None] + WITHIN * grid.spacing_mm
    r, radius = np.linalg.norm(fine, axis=-1), np.cbrt(0.75 / np.pi * moment / chi)
    cosine = (fine @ grid.b0_dir) / np.maximum(r, 1e-6)
    field = moment / (4 * np.pi) * (3 * cosine**2 - 1) / np.maximum(r, radius) ** 3 * (r > radius)
    turned = np.exp(2j * np.pi * hz_per_ppm(B0_T) * TE_S * field) * np.where(r > radius, 1, 0.3)
    signal = np.ones(shape)
    signal[near] = np.abs(turned.mean(axis=1))
    signal += NOISE * rng.normal(size=shape)
    depth = 1 - float(signal[near].min())
    told["usable"][box] &= ~(near & (signal < max(0.5, 1 - 0.5 * depth)))
    body = (signal < 1 - 0.5 * depth) & (np.linalg.norm(offset, axis=-1) < VOID_MM)
    inside = np.argwhere(body) + low
    size = np.cbrt(0.75 / np.pi * len(inside) * grid.voxel_mm3)
    return inside.mean(axis=0), float(size), depth > 0.3


def measured(moment: float, error: float) -> Finding:
    """Return a finding of which only the moment counts."""
    return Finding(
        index=1, name="", class_="microbleed", sign="paramagnetic", probability=1.0, counted=True,
        mars="possible", x_mm=0.0, y_mm=0.0, z_mm=0.0, volume_mm3=1.0, diameter_mm=1.0,
        moment_ppm_mm3=moment, moment_se_ppm_mm3=error, chi_mean_ppm=None, side="n/a", site="n/a",
        compartment="n/a", parenchyma_fraction=None, sphericity=None, margin_sharpness=None,
        homogeneity=None, evidence="",
    )  # fmt: skip


def twice(work: Path, seed: int, n: int) -> list[tuple[float, Finding, Finding]]:
    """Return true moment and both measurements of every source that is visible in both."""
    raw, out = work / f"raw_{seed}", work / f"output_{seed}"
    scans = [f"sub-01_ses-{ses}_acq-demoLight" for ses in (1, 2)]
    sessions = [session(out, scan) for scan in scans]
    turn = true_map(*(truth_of(raw, scan) for scan in scans))
    rng = np.random.default_rng(seed)
    first = sessions[0]
    grid: Grid = first["grid"]
    inner = np.argwhere(erode_mm(first["mask"] > 0.5, grid, INSIDE_MM))
    taken = cKDTree(np.argwhere(first["labels"] > 0.5) * grid.spacing_mm)
    inner = inner[taken.query(inner * grid.spacing_mm)[0] > AWAY_MM]
    at = grid.to_mm(
        inner[rng.choice(len(inner), n, replace=False)] + rng.uniform(-0.5, 0.5, (n, 3))
    )
    moments = np.exp(rng.uniform(*np.log(MOMENTS), n))
    chi = rng.uniform(*CHI_PPM, n)
    fits, seen = [], np.ones(n, dtype=bool)
    for told, places in zip(sessions, (at, at @ turn[:3, :3].T + turn[:3, 3]), strict=True):
        voids = [put(told, *one, rng) for one in zip(places, moments, chi, strict=True)]
        middles, sizes, visible = zip(*voids, strict=True)
        seen &= np.array(visible)
        fits.append(
            fit_moments(
                told["field"], None, told["usable"], np.array(middles), np.array(sizes),
                told["grid"], chi_ppm=told["chi"], field_mask=told["mask"] > 0.5,
            )
        )  # fmt: skip
    return [
        (float(m), *(measured(f.moment_ppm_mm3, f.se_ppm_mm3) for f in pair))
        for m, ok, *pair in zip(moments, seen, *fits, strict=True)
        if ok and None not in pair
    ]


def told_in_words(pairs: list[tuple[float, Finding, Finding]], args: argparse.Namespace) -> str:
    """Return the page of what was measured."""
    lines = [
        "# A moment measured twice under one protocol",
        "",
        f"Made {datetime.now(UTC):%Y-%m-%d} by `python validation/change.py WORK "
        f"--seed {args.seed} --places {args.places}`, on the sessions of "
        f"`python validation/follow.py WORK --pairs 1 --seed {args.seed}`.",
        "",
        "Sources put into both local fields at one place of a head that lies otherwise: anatomy, "
        "noise and grid are the sessions' own. The source's own way through unwrapping and "
        "background removal is not in it. `ChangeParams` was set on this seed: no measure of how "
        "well it holds.",
        "",
        "| moment [ppm mm3] | sources | standard deviation of the change [ppm mm3] "
        "| spread over both errors | spread over the stated error of a change "
        "| beyond 1.96 of it |",
        "|---|---|---|---|---|---|",
    ]
    for low, high in (*STRATA, (STRATA[0][0], STRATA[-1][1])):
        some = [pair for pair in pairs if low <= pair[0] < high]
        both = [(change_of(a, b), change_of(a, b, same_protocol=True)) for _, a, b in some]
        full, own = (
            np.array([c.value * 2 * 1.959964 / (c.high - c.low) for c in side])  # type: ignore[union-attr]
            for side in zip(*both, strict=True)
        )
        spread = np.std([c.value for c, _ in both])  # type: ignore[union-attr]
        lines.append(
            f"| {low:g} to {high:g} | {len(some)} | {spread:.3f} | {full.std():.2f} "
            f"| {own.std():.2f} | {(np.abs(own) > 1.959964).mean():.3f} |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    """Put, measure, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("work", type=Path)
    add("--seed", type=int, default=300)
    add("--places", type=int, default=120)
    add("--table", type=Path)
    args = parser.parse_args()
    text = told_in_words(twice(args.work, args.seed, args.places), args)
    print(text)
    if args.table:
        args.table.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
