"""Measure the brain mask against known truth: every protocol, and inputs that are bad.

usage: python validation/brain_mask.py WORK [--people 1] [--seed 9500] [--protocol random ...]
       [--full] [--table FILE]

Only simulates and masks; nothing else of the road is run. Without `--full`, voxels below
1.5 mm are made twice as large, so that a scan takes less long. What is finished in WORK is not
done again. The seeds were never used to set anything.
"""

import argparse
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from petechia.anatomy.brainmask import brain_mask, combined
from petechia.anatomy.deformation import deform
from petechia.anatomy.regions import label_regions
from petechia.anatomy.resample import coarse_grid, to_grid
from petechia.anatomy.sites import REGIONS
from petechia.assets.store import load_arrays
from petechia.core.grid import Grid
from petechia.core.morphology import distance_inside_mm
from petechia.errors import InputError
from petechia.evaluate.masks import dice, hausdorff95, score_mask
from petechia.pipeline.provenance import threads
from petechia.pipeline.stages import template
from petechia.simulate.atlas import atlas_from
from petechia.simulate.patient import SimulatedScan, SimulationParams, sample_patient, scan_patient
from petechia.simulate.protocols import PROTOCOLS, RANDOM, Protocol, random_protocol

ALL = (*(name for name in PROTOCOLS if name != "3t_tiny"), RANDOM)
CORTEX_MM, FLUID = 6.0, 0.6
"""Cortex: lobes this near to the brain's surface, without what decays less than this part of
the median there."""
OLDEST = 95.0


@dataclass(frozen=True, eq=False)
class Known:
    """One image and its true brain."""

    image: np.ndarray
    brain: np.ndarray
    grid: Grid


def protocol_of(name: str, full: bool, rng: np.random.Generator) -> Protocol:
    """Return an acquisition, with larger voxels unless in full."""
    if name == RANDOM:
        return random_protocol(rng, light=not full)
    protocol = PROTOCOLS[name]
    if full:
        return protocol
    factor = np.where(np.array(protocol.spacing_mm) < 1.5, 2.0, 1.0)
    i, j, k = (int(n / f) for n, f in zip(protocol.shape, factor, strict=True))
    x, y, z = (np.array(protocol.spacing_mm) * factor).tolist()
    return replace(protocol, shape=(i + i % 2, j + j % 2, k), spacing_mm=(x, y, z), head_mm=2.0)


def simulated(name: str, seed: int, *, full: bool, age: float | None = None) -> SimulatedScan:
    """Return a scan of a person with 30 microbleeds and 10 calcifications."""
    rng = np.random.default_rng(seed)
    params = SimulationParams(n_microbleeds=30, n_calcifications=10, age_years=age)
    atlas = atlas_from(load_arrays("template"))
    patient = sample_patient(params, atlas, rng)
    return scan_patient(patient, protocol_of(name, full, rng), atlas, rng)


def cortex_of(scan: SimulatedScan) -> np.ndarray:
    """Return the true cortex: tissue of the lobes near the surface of the true brain."""
    maps, grid = scan.truth.maps, scan.echoes.grid
    brain = maps["desc-brain_mask"] > 0
    lobes = [region.index for region in REGIONS if region.compartment == "lobar"]
    lobar = brain & np.isin(maps["desc-regions_dseg"], lobes)
    rate = maps["R2starmap"]
    fluid = rate < FLUID * np.median(rate[lobar])
    return lobar & ~fluid & (distance_inside_mm(brain, grid) < CORTEX_MM)


def scored(scan: SimulatedScan, sites: bool) -> dict[str, float | str]:
    """Return how well the mask of a scan agrees with the truth."""
    grid, true = scan.echoes.grid, scan.truth.maps["desc-brain_mask"] > 0
    there = template()
    begin = time.process_time()
    found = brain_mask(scan.echoes.magnitude, grid, there)
    seconds = time.process_time() - begin
    if sites and found.registration:  # how long it takes to name the sites, too
        fit = deform(found.registration, combined(scan.echoes.magnitude, grid), found.mask, there)
        label_regions(fit, there, found.mask, grid)
    sites_s = time.process_time() - begin - seconds
    places = np.array([[row[c] for c in ("x_mm", "y_mm", "z_mm")] for row in scan.truth.lesions])
    score = score_mask(found.mask, true, grid, places)
    return {
        "method": found.method,
        "dice": score.dice,
        "h95": score.hausdorff95_mm,
        "slice": float(grid.spacing_mm.max()),
        "lesions": score.centres_inside,
        "n": len(places),
        "cortex": float(found.mask[cortex_of(scan)].mean()),
        "seconds": seconds,
        "sites_s": sites_s,
    }


def bad_inputs(scan: SimulatedScan) -> Iterator[tuple[str, Known]]:
    """Yield what goes wrong with a head, and what is no head, at 2.4 mm."""
    rng = np.random.default_rng(0)
    grid = scan.echoes.grid
    small = coarse_grid(grid, 2.4)
    truth = (scan.truth.maps["desc-brain_mask"] > 0).astype(np.float32)

    def seen(image: np.ndarray, onto: Grid) -> Known:
        brain = np.asarray(to_grid(truth, grid, onto)) > 0.5
        return Known(np.asarray(to_grid(image, grid, onto), dtype=np.float32), brain, onto)

    plain = seen(combined(scan.echoes.magnitude, grid), small)
    image, brain = plain.image, plain.brain
    yield "as it is", plain
    yield "one late echo", seen(scan.echoes.magnitude[-1], small)
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in image.shape), indexing="ij")
    shade = np.exp(0.8 * x - 0.6 * y + 0.7 * z + 0.8 * (x**2 + y**2))
    yield "coil shading of 1 to 20 and more", replace(plain, image=(image * shade).astype("f4"))
    yield "12 voids of 16 mm at the surface", replace(plain, image=_voids(plain, rng))
    yield "skull stripped", replace(plain, image=image * brain)
    for name, scale in (("infant, 0.75 in size", 0.75), ("1.2 in size", 1.2)):
        yield name, replace(plain, grid=_elsewhere(small, np.eye(3) * scale))
    for name, axis in (("pitched", 0), ("rolled", 1), ("turned", 2)):
        there = _elsewhere(small, _turn(40.0, axis))
        yield f"{name} by 40 degrees", replace(plain, grid=there)
    for name, axis in (("left and right", 0), ("front and back", 1), ("top and bottom", 2)):
        flip = np.eye(3)
        flip[axis, axis] = -1
        yield f"header with {name} exchanged", replace(plain, grid=_elsewhere(small, flip))
    i, j, k = image.shape
    ends = np.flatnonzero(brain.any(axis=(0, 1)))
    mid, slab = int(ends.mean()), int(15.0 / small.spacing_mm[2])
    for name, low, high in (
        ("left half", (0, 0, 0), (i // 2, j, k)),
        ("front half", (0, j // 2, 0), (i, j, k)),
        ("upper half", (0, 0, k // 2), (i, j, k)),
        ("lower half", (0, 0, 0), (i, j, k // 2)),
        ("slab of 30 mm, middle", (0, 0, mid - slab), (i, j, mid + slab)),
        ("slab of 30 mm, top", (0, 0, ends[-1] - 2 * slab), (i, j, ends[-1])),
        ("slab of 60 mm, middle", (0, 0, mid - 2 * slab), (i, j, mid + 2 * slab)),
    ):
        box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        yield name, Known(image[box], brain[box], small.cut(box))
    yield "slices of 12 mm, 1:10", seen(combined(scan.echoes.magnitude, grid), _thick(grid, 12.0))
    level = float(np.median(image[brain]))
    for name, snr in (("signal to noise of 10", 10), ("signal to noise of 3", 3)):
        yield name, replace(plain, image=_noisy(image, level / snr, rng))
    none = replace(plain, brain=np.zeros_like(brain))
    noise = _noisy(np.zeros_like(image), 1.0, rng)
    many = np.sqrt((rng.normal(0, 1, (32, *image.shape)) ** 2).sum(axis=0)).astype(np.float32)
    middle = x**2 + y**2 + z**2
    yield "noise alone", replace(none, image=noise)
    yield "noise of 16 coils", replace(none, image=many)
    yield "noise, bright in the middle", replace(none, image=noise * np.exp(-middle).astype("f4"))
    yield "noise in an ellipse of zeros", replace(none, image=noise * (middle < 0.9))
    yield "noise of 16 coils in an ellipse", replace(none, image=many * (middle < 0.9))


def _voids(known: Known, rng: np.random.Generator) -> np.ndarray:
    rim = np.argwhere(known.brain & (distance_inside_mm(known.brain, known.grid) < 3))
    image = known.image.copy()
    voxels = np.argwhere(np.ones(image.shape, dtype=bool))
    for place in rim[rng.choice(len(rim), 12, replace=False)]:
        away = np.linalg.norm((voxels - place) * known.grid.spacing_mm, axis=1)
        image[(away < 8).reshape(image.shape)] *= 0.1
    return image


def _noisy(image: np.ndarray, sd: float, rng: np.random.Generator) -> np.ndarray:
    real, imaginary = rng.normal(0, sd, (2, *image.shape))
    return np.hypot(image + real, imaginary).astype(np.float32)


def _turn(degrees: float, axis: int) -> np.ndarray:
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    a, b = (n for n in range(3) if n != axis)
    out = np.eye(3)
    out[[a, a, b, b], [a, b, a, b]] = c, -s, s, c
    return out


def _elsewhere(grid: Grid, change: np.ndarray) -> Grid:
    whole = np.eye(4)
    whole[:3, :3] = change
    return Grid(grid.shape, whole @ grid.affine)


def _thick(grid: Grid, slice_mm: float) -> Grid:
    slices = int(grid.shape[2] * grid.spacing_mm[2] / slice_mm)
    step = grid.shape[2] / slices
    affine = grid.affine.copy()
    affine[:3, 2] *= step
    affine[:3, 3] = grid.to_mm((0, 0, (step - 1) / 2))
    return Grid((grid.shape[0], grid.shape[1], slices), affine)


def answered(known: Known) -> dict[str, float | str]:
    """Return what is said of one bad input."""
    try:
        found = brain_mask(known.image, known.grid, template())
    except InputError as error:
        return {"method": "refused", "says": str(error)}
    if not known.brain.any():
        return {"method": found.method, "says": "a mask of what is no head"}
    says = "" if found.method == "template" else " ".join(found.says)
    return {
        "method": found.method,
        "dice": dice(found.mask, known.brain),
        "h95": hausdorff95(found.mask, known.brain, known.grid),
        "lost": float((known.brain & ~found.mask).sum() / known.brain.sum()),
        "says": says,
    }


def measure(work: Path, protocols: list[str], person: int, seed: int, *, full: bool) -> None:
    """Measure one person in every protocol, unless that was done before."""
    for name in protocols:
        kept = work / f"{name}_{person}{'_full' if full else ''}.json"
        if not kept.exists():
            scan = simulated(name, seed + person, full=full)
            kept.write_text(json.dumps(scored(scan, sites=full)), encoding="utf-8")
            print(kept.stem, kept.read_text(encoding="utf-8"), flush=True)


def measure_bad(work: Path, seed: int) -> None:
    """Measure the bad inputs and the oldest head, unless that was done before."""
    kept, oldest = work / "bad.json", f"aged {OLDEST:.0f}, wide ventricles and sulci"
    rows = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    if oldest in rows:
        return

    def told(name: str, known: Known) -> None:
        if name not in rows:
            rows[name] = answered(known)
            kept.write_text(json.dumps(rows, indent=1), encoding="utf-8")
            print(name, rows[name], flush=True)

    for name, known in bad_inputs(simulated("demo_light", seed, full=False)):
        told(name, known)
    old = simulated("demo_light", seed, full=False, age=OLDEST)
    brain = old.truth.maps["desc-brain_mask"] > 0
    told(oldest, Known(combined(old.echoes.magnitude, old.echoes.grid), brain, old.echoes.grid))


def lines(work: Path) -> Iterator[str]:
    """Yield the tables of what was measured so far."""
    yield (
        "| protocol | scans | Dice median | Dice min | Hausdorff 95 mm, median | most "
        "| largest voxel mm | lesion centres inside | cortex inside, median | min | seconds, "
        "mask | deformable fit and labels |"
    )
    yield "|---" * 12 + "|"
    for name, end in ((name, end) for end in ("", "_full") for name in ALL):
        files = sorted(p for p in work.glob("*.json") if re.fullmatch(rf"{name}_\d+{end}", p.stem))
        rows = [json.loads(f.read_text(encoding="utf-8")) for f in files]
        if not rows:
            continue
        get = {key: np.array([row[key] for row in rows]) for key in rows[0] if key != "method"}
        inside = (get["lesions"] * get["n"]).sum()
        cells = [
            name + (", own voxels" if end else ""), f"{len(rows)}",
            f"{np.median(get['dice']):.3f}", f"{get['dice'].min():.3f}",
            f"{np.median(get['h95']):.1f}", f"{get['h95'].max():.1f}", f"{get['slice'].max():.1f}",
            f"{inside:.0f}/{get['n'].sum():.0f}", f"{np.median(get['cortex']):.3f}",
            f"{get['cortex'].min():.3f}", f"{np.median(get['seconds']):.0f}",
            f"{np.median(get['sites_s']):.0f}" if end else "-",
        ]  # fmt: skip
        yield f"| {' | '.join(cells)} |"
    bad = work / "bad.json"
    if bad.exists():
        yield "\nBad inputs; when some are missing, the measurement was stopped before its end.\n"
        yield "| input | method | Dice | Hausdorff 95 mm | brain lost % | what is said |"
        yield "|---" * 6 + "|"
        for name, row in json.loads(bad.read_text(encoding="utf-8")).items():
            values = [
                f"{row['dice']:.3f} | {row['h95']:.1f} | {100 * row['lost']:.1f}"
                if "dice" in row
                else "- | - | -"
            ]
            yield f"| {name} | {row['method']} | {values[0]} | {row['says']} |"


def main() -> None:
    """Measure what is missing, then print and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--people", type=int, default=1)
    parser.add_argument("--seed", type=int, default=9500)
    parser.add_argument("--protocol", action="append", default=[], choices=ALL)
    parser.add_argument("--full", action="store_true", help="voxels of the protocols' own size")
    parser.add_argument("--table", type=Path)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    with threads(1):
        for person in range(args.people):
            measure(args.work, args.protocol or list(ALL), person, args.seed, full=args.full)
        written(args)
        if not args.full:
            measure_bad(args.work, args.seed)
    print(written(args))


def written(args: argparse.Namespace) -> str:
    """Return the tables of what was measured so far; write them where that is asked for."""
    command = f"python validation/brain_mask.py WORK --people {args.people} --seed {args.seed}"
    own = sorted({p.stem.rsplit("_", 2)[0] for p in args.work.glob("*_full.json")})
    more = [f"{command} --full --protocol {name}" for name in own]
    text = "\n".join(
        (
            f"{datetime.now(UTC):%Y-%m-%d}\n",
            *(f"    {line}" for line in (command, *more)),
            "\nVoxels are made twice as large where below 1.5 mm, unless the protocol's own are "
            "named; seconds are of one processor. 30 microbleeds and 10 calcifications a scan. "
            "Cortex: tissue of the lobes within 6 mm of the true surface of the brain.\n",
            *lines(args.work),
        )
    )
    if args.table:
        args.table.write_text(text + "\n", encoding="utf-8")
    return text


if __name__ == "__main__":
    main()
