"""Measure the sites named on simulated heads of every protocol, and on bad inputs.

usage: python validation/regions.py WORK [--people 1] [--seed 9500] [--protocol NAME ...]
       [--skip-bad] [--table FILE]

Light: of each simulated dataset only the magnitude is used; brain mask, registration and
labels are the road's own. A scan holds 30 microbleeds and 10 calcifications, and the sites of
all that lie in a region are compared at their true centres; voxels are compared with the true
regions. The truth's regions are the template's, brought along by the simulator's deformation:
what is measured is the registration, not whether an anatomist draws the same borders.

Protocols but the 5 mm and the demo one are simulated on voxels twice as large along
every axis. A bad input is one head on 2.4 mm voxels spoiled, with its truth spoiled alike:
`right` when 0.85 of its voxels have their site and 0.95 the right side, `refused` when nothing
is named, else `wrong`; there the deformable fit, which refuses nothing, is left out. What is
finished in WORK is not done again. The seeds were never used to set anything.
"""

import argparse
import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from acceptance import lightened
from baseline import LEFT_OUT
from scipy import ndimage

from petechia.anatomy.brainmask import brain_mask
from petechia.anatomy.deformation import deform
from petechia.anatomy.regions import Regions, label_regions
from petechia.anatomy.registration import register
from petechia.anatomy.sites import COMPARTMENT_OF, REGIONS
from petechia.contrast.combine import combine_magnitude
from petechia.core.grid import Grid
from petechia.core.intervals import wilson
from petechia.errors import PetechiaError
from petechia.files.find import find_scans
from petechia.files.nifti import read_nifti
from petechia.pipeline.evaluation_files import find_sides
from petechia.pipeline.evaluation_read import read_table
from petechia.pipeline.provenance import threads
from petechia.pipeline.simulated import simulate_dataset
from petechia.pipeline.stages import template
from petechia.simulate.patient import SimulationParams
from petechia.simulate.protocols import PROTOCOLS

SITE = np.array(["", *(r.site for r in REGIONS)])
COMPARTMENT = np.array(["", *(r.compartment for r in REGIONS)])
SIDE = np.array(["", *(r.side for r in REGIONS)])
PARENCHYMA = np.flatnonzero(COMPARTMENT != "n/a")[1:]
RIGHT_SITES, RIGHT_SIDES = 0.85, 0.95
WHOLE = ("1.5t_t2star_2d_5mm", "demo_light")
"""Protocols simulated on their own voxels; the others' are twice as large along every axis."""
BAD_PROTOCOL, BAD_MM = "demo_light", (2.4, 2.4, 2.4)
"""What is spoiled, and on what voxels."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Head:
    """A magnitude and where everything truly is; no truth when there is no brain."""

    magnitude: np.ndarray
    grid: Grid
    regions: np.ndarray
    lesions: tuple[dict[str, str], ...] = ()


def simulated(work: Path, protocol: str, person: int, seed: int, age: float | None = None) -> Head:
    """Return a simulated head, made when it is not there; all but `WHOLE` on larger voxels."""
    name = protocol if protocol in WHOLE else f"{protocol}-light"
    root = work / "raw" / (f"{name}_{person}" + (f"_age{age:g}" if age else ""))
    done = root.with_name(f"{root.name}.done")  # beside it: no file of a BIDS dataset
    if not done.exists():
        shutil.rmtree(root, ignore_errors=True)
        if protocol not in WHOLE:
            PROTOCOLS[name] = lightened(PROTOCOLS[protocol])
        params = SimulationParams(
            protocol=name, n_microbleeds=30, n_calcifications=10, age_years=age
        )
        with threads(1):
            simulate_dataset(root, params, seed=seed + person)
        done.touch()
    echoes = next(iter(find_scans(root))).load().echoes
    side = next(iter(find_sides(root / "derivatives" / "truth", None, truth=True)))
    return Head(
        magnitude=combine_magnitude(echoes.magnitude, echoes.te_s),
        grid=echoes.grid,
        regions=read_nifti(side.maps["regions"]).only.round().astype(np.int16),
        lesions=tuple(read_table(side.table)) if side.table else (),
    )


def named(head: Head, deformed: bool = True) -> tuple[Regions, float, float]:
    """Return the regions of a head, CPU seconds of the mask, and of the rest."""
    there = template()
    start = time.process_time()
    with threads(1):
        brain = brain_mask(head.magnitude, head.grid, there)
        masked = time.process_time()
        fit = brain.registration or register(head.magnitude, head.grid, there, mask=brain.mask)
        if deformed:
            fit = deform(fit, head.magnitude, brain.mask, there)
        regions = label_regions(fit, there, brain.mask, head.grid)
    return regions, masked - start, time.process_time() - masked


def measured(head: Head) -> dict[str, Any]:
    """Return counts at lesions and shares of voxels of one head."""
    found, mask_s, rest_s = named(head)
    score: dict[str, Any] = {"ok": found.ok, "mask_s": mask_s, "rest_s": rest_s}
    wrong, n, sites, compartments = [], 0, 0, 0
    for row in head.lesions:
        if row["class"] not in ("microbleed", "calcification") or row["site"] not in COMPARTMENT_OF:
            continue
        region = found.at(head.grid.to_index([float(row[k]) for k in ("x_mm", "y_mm", "z_mm")]))
        n += 1
        hit = region is not None and (region.site, region.side) == (row["site"], row["side"])
        sites += hit
        compartments += region is not None and region.compartment == row["compartment"]
        if not hit:
            wrong.append([f"{row['side']} {row['site']}", region.name if region else "none"])
    true = np.isin(head.regions, PARENCHYMA)
    both = true & (found.labels > 0)
    score |= {"lesions": n, "sites": sites, "compartments": compartments, "wrong": wrong}
    score["voxel_sites"] = float(np.mean(head.regions[both] == found.labels[both]))
    score["voxel_compartments"] = float(
        np.mean(COMPARTMENT[head.regions[both]] == COMPARTMENT[found.labels[both]])
    )
    score["dice"] = {}
    for site in COMPARTMENT_OF:
        labels = np.flatnonzero(site == SITE)
        one, other = np.isin(head.regions, labels), np.isin(found.labels, labels)
        score["dice"][site] = float(2 * (one & other).sum() / max(one.sum() + other.sum(), 1))
    return score


def judged(head: Head) -> tuple[str, str]:
    """Return the verdict on a spoiled head, and why."""
    try:
        found, _, _ = named(head, deformed=False)
    except PetechiaError as error:
        return "refused", error.what
    if not found.ok:
        return "refused", found.says
    both = np.isin(head.regions, PARENCHYMA) & np.isin(found.labels, PARENCHYMA)
    if not both.any():
        return "wrong", "sites where there is no brain"
    sites = float(np.mean(head.regions[both] == found.labels[both]))
    sides = [SIDE[labels[both]] for labels in (head.regions, found.labels)]
    paired = (sides[0] != "midline") & (sides[1] != "midline")
    side = float(np.mean(sides[0][paired] == sides[1][paired]))
    verdict = "right" if sites >= RIGHT_SITES and side >= RIGHT_SIDES else "wrong"
    return verdict, f"{sites:.2f} of voxels at their site, {side:.2f} on their side"


def turned(head: Head, axis: int, degrees: float) -> Head:
    """Turn the head within its field of view about an axis of the world; the header stays."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    one, other = (a for a in range(3) if a != axis)
    turn = np.eye(4)
    turn[one, one], turn[one, other], turn[other, one], turn[other, other] = c, -s, s, c
    places = np.argwhere(head.regions > 0)
    middle = head.grid.to_mm(places.mean(axis=0))
    turn[:3, 3] = middle - turn[:3, :3] @ middle
    return resampled(head, head.grid, turn)


def resampled(head: Head, grid: Grid, world: np.ndarray | None = None) -> Head:
    """Return the head on another grid, moved by `world` (new place to old place)."""
    matrix = np.linalg.inv(head.grid.affine) @ (np.eye(4) if world is None else world) @ grid.affine
    ratio = grid.spacing_mm / head.grid.spacing_mm

    def bring(volume: np.ndarray, order: int) -> np.ndarray:
        if order:
            volume = ndimage.gaussian_filter(volume, np.where(ratio > 1.5, 0.4 * ratio, 0))
        return ndimage.affine_transform(
            volume, matrix[:3, :3], matrix[:3, 3], grid.shape, order=order, mode="constant"
        )

    return replace(
        head, magnitude=bring(head.magnitude, 1), regions=bring(head.regions, 0), grid=grid
    )


def voxels(head: Head, spacing_mm: tuple[float, float, float]) -> Head:
    """Return the head on voxels of another size."""
    step = np.array(spacing_mm) / head.grid.spacing_mm
    i, j, k = np.maximum(np.floor(head.grid.shape / step), 1).astype(int)
    affine = head.grid.affine.copy()
    affine[:3, :3] *= step
    affine[:3, 3] = head.grid.to_mm((step - 1) / 2)
    return resampled(head, Grid((int(i), int(j), int(k)), affine))


def cut(head: Head, axis: int, low: float, high: float) -> Head:
    """Keep a part of the brain's extent along an axis, from `low` to `high` of it."""
    along = np.flatnonzero((head.regions > 0).any(axis=tuple(a for a in range(3) if a != axis)))
    first, extent = along[0], along[-1] - along[0] + 1
    edges = [int(first + extent * part) for part in (low, high)]
    box = [slice(0, n) for n in head.grid.shape]
    box[axis] = slice(max(edges[0], 0), min(edges[1], head.grid.shape[axis]))
    where = (box[0], box[1], box[2])
    return replace(
        head,
        magnitude=head.magnitude[where],
        regions=head.regions[where],
        grid=head.grid.cut(where),
    )


def relabelled(head: Head, flips: tuple[int, ...], order: tuple[int, ...] = (0, 1, 2)) -> Head:
    """Let the header lie: the array is flipped and its axes exchanged, the affine is not."""
    grid = Grid(tuple(head.grid.shape[a] for a in order), head.grid.affine)
    magnitude = np.flip(head.magnitude, flips).transpose(order)
    regions = np.flip(head.regions, flips).transpose(order)
    return replace(head, magnitude=magnitude.copy(), regions=regions.copy(), grid=grid)


def stored(head: Head, flips: tuple[int, ...], order: tuple[int, ...] = (0, 1, 2)) -> Head:
    """Store the array in another order, and say so in the header: nothing is wrong."""
    shape = np.array(head.grid.shape)
    matrix = np.eye(4)
    for axis in flips:
        matrix[axis, axis], matrix[axis, 3] = -1, shape[axis] - 1
    affine = head.grid.affine @ matrix @ np.eye(4)[:, [*order, 3]]
    lied = relabelled(head, flips, order)
    return replace(lied, grid=Grid(lied.grid.shape, affine))


def scaled(head: Head, factor: float) -> Head:
    """Give the header voxels of another size."""
    affine = head.grid.affine.copy()
    affine[:3] *= factor
    return replace(head, grid=Grid(head.grid.shape, affine))


def seen(head: Head, change: Callable[[np.ndarray, np.random.Generator], np.ndarray]) -> Head:
    """Change what is seen of the head and leave where it is."""
    image = change(head.magnitude.astype(np.float64), np.random.default_rng(7))
    return replace(head, magnitude=image.astype(np.float32))


def noisy(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noise of a third of the tissue's signal."""
    sd = np.percentile(image, 90) / 3
    return np.hypot(image + rng.normal(0, sd, image.shape), rng.normal(0, sd, image.shape))


def shaded(image: np.ndarray, _: np.random.Generator) -> np.ndarray:
    """Shade by a factor of 12 from back to front, as a surface coil does."""
    ramp = np.linspace(0, 1, image.shape[1])[None, :, None]
    return image * 12.0 ** (ramp - 1)


def wrapped(head: Head) -> Head:
    """Fold the head over by a quarter of the field of view."""
    step = head.grid.shape[1] // 4
    magnitude, regions = (np.roll(v, step, axis=1) for v in (head.magnitude, head.regions))
    return replace(head, magnitude=magnitude, regions=regions)


def ball(head: Head, shells: bool) -> Head:
    """Put a phantom of the head's size in its place."""
    shape = head.grid.shape
    steps = [(np.arange(n) - n / 2) * d for n, d in zip(shape, head.grid.spacing_mm, strict=True)]
    radius = np.sqrt(
        steps[0][:, None, None] ** 2 + steps[1][None, :, None] ** 2 + steps[2][None, None, :] ** 2
    )
    image = 100.0 * (radius < 80)
    if shells:
        image[(radius > 66) & (radius < 73)] = 8
        image[radius < 20] = 140
    rng = np.random.default_rng(3)
    image = np.hypot(image + rng.normal(0, 3, shape), rng.normal(0, 3, shape))
    return replace(
        head, magnitude=image.astype(np.float32), regions=np.zeros_like(head.regions), lesions=()
    )


def noise(head: Head, _: Any = None) -> Head:
    """Put noise in its place."""
    rng = np.random.default_rng(5)
    image = np.hypot(*(rng.normal(0, 10, head.grid.shape) for _ in range(2)))
    return replace(head, magnitude=image.astype(np.float32), regions=np.zeros_like(head.regions))


BAD: dict[str, Callable[[Head], Head]] = {
    "as it was": lambda h: h,
    "stored LAS (negative determinant)": lambda h: stored(h, (0,)),
    "stored PIL (axes exchanged)": lambda h: stored(h, (0, 1, 2), (1, 2, 0)),
    "header lies: upside down (z)": lambda h: relabelled(h, (2,)),
    "header lies: back to front (y)": lambda h: relabelled(h, (1,)),
    "header lies: turned by 180 degrees about z": lambda h: relabelled(h, (0, 1)),
    "header lies: turned by 180 degrees about x": lambda h: relabelled(h, (1, 2)),
    "turned by 40 degrees about x": lambda h: turned(h, 0, 40),
    "turned by -40 degrees about x": lambda h: turned(h, 0, -40),
    "turned by 40 degrees about y": lambda h: turned(h, 1, 40),
    "turned by 40 degrees about z": lambda h: turned(h, 2, 40),
    "turned by 90 degrees about z (lying on the side)": lambda h: turned(h, 2, 90),
    "upper third": lambda h: cut(h, 2, 0.67, 1.2),
    "middle third": lambda h: cut(h, 2, 0.33, 0.67),
    "middle fifth": lambda h: cut(h, 2, 0.45, 0.65),
    "lower third": lambda h: cut(h, 2, -1.0, 0.33),
    "left half": lambda h: cut(h, 0, -1.0, 0.5),
    "right half": lambda h: cut(h, 0, 0.5, 2.0),
    "front half": lambda h: cut(h, 1, 0.5, 2.0),
    "back half": lambda h: cut(h, 1, -1.0, 0.5),
    "voxels of 1 x 1 x 10 mm": lambda h: voxels(h, (1, 1, 10)),
    "sagittal slices of 7 mm": lambda h: voxels(h, (7, 1.5, 1.5)),
    "no skull": lambda h: seen(h, lambda image, _: image * (h.regions > 0)),
    "infant size: 0.75": lambda h: scaled(h, 0.75),
    "infant size: 0.6": lambda h: scaled(h, 0.6),
    "voxel size doubled in the header": lambda h: scaled(h, 2.0),
    "noise of a third of the signal": lambda h: seen(h, noisy),
    "shading by a factor of 12": lambda h: seen(h, shaded),
    "wrapped by a quarter along y": wrapped,
    "noise only": noise,
    "a ball": lambda h: ball(h, False),
    "a ball with shells": lambda h: ball(h, True),
    "header lies: turned by 180 degrees about y": lambda h: relabelled(h, (0, 2)),
    "header lies: y and z exchanged": lambda h: relabelled(h, (), (0, 2, 1)),
    "header lies: y and z exchanged, z flipped": lambda h: relabelled(h, (2,), (0, 2, 1)),
    "header lies: x and y exchanged": lambda h: relabelled(h, (), (1, 0, 2)),
    "header lies: axes cycled": lambda h: relabelled(h, (), (1, 2, 0)),
}
"""What is done to a head."""


def kept(place: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what was measured before, or measure and keep it."""
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(make(), indent=1), encoding="utf-8")
    found: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
    return found


def spoiled(work: Path, seed: int) -> dict[str, list[str]]:
    """Return the verdict on every bad input."""
    place = work / "regions" / "bad.json"
    found: dict[str, list[str]] = json.loads(place.read_text()) if place.exists() else {}
    for name, spoil in BAD.items():
        if name not in found:
            head = voxels(simulated(work, BAD_PROTOCOL, 0, seed), BAD_MM)
            found[name] = list(judged(spoil(head)))
            _save(place, found, name)
    old = "atrophied: 95 years"
    if old not in found:
        head = voxels(simulated(work, BAD_PROTOCOL, 1, seed, age=95.0), BAD_MM)
        found[old] = list(judged(head))
        _save(place, found, old)
    return found


def _save(place: Path, found: dict[str, list[str]], name: str) -> None:
    print(name, *found[name], sep=": ", flush=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(found, indent=1), encoding="utf-8")


def lines(scans: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    """Yield the tables of accuracy, a row for each protocol."""
    yield (
        "| protocol | scans | lesions | sites right (95 %) | compartments right (95 %) | "
        "voxels: site | voxels: compartment | mask s | registration s |"
    )
    yield "|---" * 9 + "|"
    for name, found in {**scans, "all": [row for rows in scans.values() for row in rows]}.items():
        n = sum(row["lesions"] for row in found)
        cells = [name, str(len(found)), str(n)]
        for what in ("sites", "compartments"):
            right = sum(row[what] for row in found)
            low, high = wilson(right, n)
            cells.append(f"{right / n:.3f} ({low:.2f} to {high:.2f})")
        for what, form in (("voxel_sites", ".3f"), ("voxel_compartments", ".3f"),
                           ("mask_s", ".0f"), ("rest_s", ".0f")):  # fmt: skip
            cells.append(format(float(np.median([row[what] for row in found])), form))
        yield f"| {' | '.join(cells)} |"
    yield ""
    yield "| Dice | " + " | ".join(scans) + " |"
    yield "|---" * (len(scans) + 1) + "|"
    for site in COMPARTMENT_OF:
        medians = [np.median([row["dice"][site] for row in rows]) for rows in scans.values()]
        yield f"| {site} | " + " | ".join(f"{m:.2f}" for m in medians) + " |"
    yield ""
    yield "Lesions at another site (true, found):"
    yield ""
    for name, rows in scans.items():
        for true, found in (pair for row in rows for pair in row["wrong"]):
            yield f"- {name}: {true}, {found}"


def main() -> None:
    """Simulate, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--people", type=int, default=1)
    parser.add_argument("--seed", type=int, default=9500)
    parser.add_argument("--protocol", action="append", default=[])
    parser.add_argument("--skip-bad", action="store_true")
    parser.add_argument("--table", type=Path)
    args = parser.parse_args()
    names = args.protocol or [name for name in PROTOCOLS if name not in LEFT_OUT]
    scans = {
        name: [
            kept(
                args.work / "regions" / f"{name}_{person}.json",
                lambda name=name, person=person: measured(
                    simulated(args.work, name, person, args.seed)
                ),
            )
            for person in range(args.people)
        ]
        for name in names
    }
    written(args, scans)
    if not args.skip_bad:
        spoiled(args.work, args.seed)
    print(written(args, scans))


def written(args: argparse.Namespace, scans: dict[str, list[dict[str, Any]]]) -> str:
    """Return the tables of what was measured so far; write them where that is asked for."""
    command = f"python validation/regions.py WORK --people {args.people} --seed {args.seed}"
    text = [f"# Sites: {datetime.now(UTC):%Y-%m-%d}", "", f"    {command}", ""]
    text += [*"\n\n".join(__doc__.split("\n\n")[2:]).strip().splitlines(), "", *lines(scans)]
    place = args.work / "regions" / "bad.json"
    if place.exists():
        found: dict[str, list[str]] = json.loads(place.read_text(encoding="utf-8"))
        counts = {
            v: sum(row[0] == v for row in found.values()) for v in ("right", "refused", "wrong")
        }
        of = f"{len(found)} of {len(BAD) + 1} measured"
        counted = ", ".join(f"{n} {v}" for v, n in counts.items())
        text += ["", f"Bad inputs, {of}: {counted}.", ""]
        text += ["| input | verdict | why |", "|---|---|---|"]
        text += [f"| {name} | {verdict} | {why} |" for name, (verdict, why) in found.items()]
    if args.table:
        args.table.write_text("\n".join(text) + "\n", encoding="utf-8")
    return "\n".join(text)


if __name__ == "__main__":
    main()
