"""Measure fluid, veins and superficial siderosis against known truth, on simulated heads.

usage: python validation/tissue.py WORK [--people 2] [--seed 9500] [--protocol demo_light ...]
       [--only-siderosis] [--table FILE]

Every other person has three patches of superficial siderosis. The whole road is run; with
--only-siderosis it ends before the detector, and siderosis alone is looked for. What is
finished in WORK is not done again. The seeds were never used to set anything.

Truth. Fluid: where the true R2* is nearer to that of fluid than to the median of the brain.
Ventricles: the true region map. Veins: the true share of vein in a voxel. A void is a vein's
when it holds no lesion and a voxel that is vein to 30 % or more.
"""

import argparse
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from petechia.anatomy.sites import VENTRICLE_LABELS
from petechia.apps.cli.run import cores
from petechia.files.find import find_scans
from petechia.files.nifti import read_nifti
from petechia.lesions.context import contexts
from petechia.lesions.siderosis import find_siderosis
from petechia.pipeline.evaluation_files import Side, find_sides
from petechia.pipeline.evaluation_read import read_table
from petechia.pipeline.provenance import threads
from petechia.pipeline.settings import Settings
from petechia.pipeline.simulated import simulate_dataset
from petechia.pipeline.stages import STAGES, lesion_inputs, walk
from petechia.pipeline.work import Work
from petechia.simulate.patient import SimulationParams

MICROBLEEDS, PATCHES = 12, 3
FLUID_RATE = 6.3
"""R2* of fluid at 1.5 and 3 T [1/s]; T2* of 158 ms."""
VEIN_MM = 8.0


def simulated(work: Path, protocol: str, person: int, seed: int) -> Path:
    """Return the dataset of one person, simulated when it is not there."""
    root = work / "raw" / f"{protocol}_{person}"
    done = root.with_name(f"{root.name}.done")
    if not done.exists():
        shutil.rmtree(root, ignore_errors=True)
        params = SimulationParams(
            protocol=protocol,
            n_microbleeds=MICROBLEEDS,
            n_siderosis=0 if person % 2 else PATCHES,
        )
        simulate_dataset(root, params, seed=seed + person)
        done.touch()
    return root


def overlap(found: np.ndarray, true: np.ndarray) -> float:
    """Return the Dice coefficient."""
    return float(2 * (found & true).sum() / max(found.sum() + true.sum(), 1))


def share(part: np.ndarray, whole: np.ndarray) -> float:
    """Return which part of `whole` is in `part`."""
    return float((part & whole).sum() / whole.sum()) if whole.any() else float("nan")


def fluid_scores(work: Work, truth: dict[str, np.ndarray]) -> dict[str, float]:
    """Return how well fluid and ventricles were told."""
    tissue = work.need("tissue")
    brain = truth["brain"] > 0.5
    fluid = brain & (truth["r2star"] < (FLUID_RATE + np.median(truth["r2star"][brain])) / 2)
    ventricles = np.isin(truth["regions"].round(), VENTRICLE_LABELS)
    found = tissue.csf > 0.5
    return {
        "fluid_dice": overlap(found & brain, fluid),
        "fluid_recall": share(found, fluid),
        "fluid_precision": share(fluid, found),
        "ventricle_dice": overlap(tissue.ventricles, ventricles),
        "template_ventricle_dice": overlap(
            np.isin(work.need("regions").labels, VENTRICLE_LABELS), ventricles
        ),
    }


def vein_scores(work: Work, truth: dict[str, np.ndarray]) -> dict[str, float]:
    """Return recall and precision of voxels of tubes of at least 8 mm."""
    found = work.need("veins").length_mm >= VEIN_MM
    veins = (truth["veins"] > 0.5) & work.need("mask")
    near = ndimage.binary_dilation(truth["veins"] > 0.05)
    return {
        "vein_recall": share(found, veins),
        "vein_recall_within_a_voxel": share(ndimage.binary_dilation(found), veins),
        "vein_precision_within_a_voxel": share(near, found),
    }


def void_scores(work: Work, truth: dict[str, np.ndarray], kind: dict[int, str]) -> dict[str, Any]:
    """Return what the context says of voids of bleeds and of veins."""
    labels, true = work.need("detection").labels, truth["labels"].round().astype(int)
    bleeds, veins = [], []
    for n, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        body = np.argwhere(labels[box] == n) + [s.start for s in box]
        held = true[tuple(body.T)]
        held = held[held > 0]
        if held.size:
            if kind[int(np.bincount(held).argmax())] == "microbleed":
                bleeds.append(body)
        elif truth["veins"][tuple(body.T)].max() >= 0.3:
            veins.append(body)
    inputs = lesion_inputs(work)
    lengths = [
        [float(c.vein_beyond_mm or 0.0) for c in contexts(group, inputs)]
        for group in (bleeds, veins)
    ]
    return {"bleed_beyond_mm": lengths[0], "vein_beyond_mm": lengths[1]}


def siderosis_scores(
    work: Work, truth: dict[str, np.ndarray], rows: list[dict[str, str]]
) -> dict[str, Any]:
    """Return how many visible patches were hit, and how many findings hit none."""
    true = truth["labels"].round().astype(int)
    patches = [int(r["index"]) for r in rows if r["class"] == "siderosis" and r["visible"] == "1"]
    inputs = lesion_inputs(work)
    find_siderosis(inputs)  # again: the first time compiles
    start = time.process_time()
    sheets, refused = find_siderosis(inputs)
    seconds = time.process_time() - start
    if refused is not None:
        print(f"siderosis not assessed: {refused}")
    near = []
    for sheet in sheets:
        body = np.zeros(true.shape, dtype=bool)
        body[tuple(sheet.body.T)] = True
        near.append(ndimage.binary_dilation(body, iterations=2))
    return {
        "siderosis_assessed": int(refused is None),
        "patches": len(patches),
        "patches_hit": sum(any((true[m] == p).any() for m in near) for p in patches),
        "foci": len(near),
        "foci_false": sum(not np.isin(true[m], patches).any() for m in near),
        "siderosis_cpu_s": seconds,
    }


def measured(root: Path, only_siderosis: bool) -> dict[str, Any]:
    """Run the road on the first scan of a dataset and return all scores."""
    scan = next(iter(find_scans(root))).load()
    side: Side = next(s for s in find_sides(root / "derivatives" / "truth", None, truth=True))
    if side.labels is None or side.table is None:
        raise SystemExit(f"{side.key}: no true lesions")
    names = ("brain", "r2star", "veins", "regions")
    truth = {name: read_nifti(side.maps[name]).only for name in names}
    truth["labels"] = read_nifti(side.labels).only
    rows = read_table(side.table)
    work, seconds = Work(scan=scan, settings=Settings()), {}

    @contextmanager
    def around(name: str) -> Iterator[None]:
        start = time.process_time()
        yield
        seconds[name] = time.process_time() - start

    walk(work, ["tissue" if only_siderosis else "detect"], around)
    if only_siderosis:
        return siderosis_scores(work, truth, rows)
    STAGES["tissue"].run(work)  # again: the first time compiles
    start = time.process_time()
    STAGES["tissue"].run(work)
    return {
        **fluid_scores(work, truth),
        **vein_scores(work, truth),
        **void_scores(work, truth, {int(r["index"]): r["class"] for r in rows}),
        **siderosis_scores(work, truth, rows),
        "tissue_cpu_s": time.process_time() - start,
    }


def scored(
    work: Path, protocol: str, person: int, seed: int, only_siderosis: bool
) -> dict[str, Any]:
    """Measure one head, unless that was done before."""
    kept = work / ("siderosis" if only_siderosis else "tissue") / f"{protocol}_{person}.json"
    if not kept.exists():
        with threads(cores()):
            found = measured(simulated(work, protocol, person, seed), only_siderosis)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(found, indent=1), encoding="utf-8")
    table: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
    return table


def lines(heads: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield the tables."""
    numbers = [k for k, v in next(iter(heads.values())).items() if not isinstance(v, list)]
    yield "| | " + " | ".join(heads) + " |"
    yield "|---" * (len(heads) + 1) + "|"
    for name in numbers:
        cells = (f"{h[name]:.3g}" for h in heads.values())
        yield f"| {name} | " + " | ".join(cells) + " |"
    if not any("bleed_beyond_mm" in h for h in heads.values()):
        return
    bleeds, veins = (
        np.concatenate([np.asarray(h[name], dtype=float) for h in heads.values()])
        for name in ("bleed_beyond_mm", "vein_beyond_mm")
    )
    yield ""
    yield "Tube beyond the void, mm:"
    yield ""
    yield "| void of | n | 10 % | 25 % | 50 % | 75 % | 90 % |"
    yield "|---" * 7 + "|"
    for name, values in (("a microbleed", bleeds), ("a vein", veins)):
        if values.size:
            cells = (f"{v:.1f}" for v in np.percentile(values, [10, 25, 50, 75, 90]))
            yield f"| {name} | {values.size} | " + " | ".join(cells) + " |"
    if bleeds.size and veins.size:
        above = np.mean(veins[:, None] > bleeds) + 0.5 * np.mean(veins[:, None] == bleeds)
        yield ""
        yield f"Area under the curve: {above:.2f}."


def main() -> None:
    """Simulate, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--people", type=int, default=2)
    parser.add_argument("--seed", type=int, default=9500)
    parser.add_argument("--protocol", action="append", default=[])
    parser.add_argument("--only-siderosis", action="store_true")
    parser.add_argument("--table", type=Path)
    args = parser.parse_args()
    heads = {
        f"{protocol} {args.seed + person}": scored(
            args.work, protocol, person, args.seed, args.only_siderosis
        )
        for protocol in args.protocol or ["demo_light"]
        for person in range(args.people)
    }
    asked = "".join(f" --protocol {p}" for p in args.protocol)
    if args.only_siderosis:
        asked += " --only-siderosis"
    command = f"python validation/tissue.py WORK --people {args.people} --seed {args.seed}{asked}"
    text = [
        f"{datetime.now(UTC):%Y-%m-%d}, {len(heads)} heads: `{command}`\n",
        *lines(heads),
    ]
    print("\n".join(text))
    if args.table:
        args.table.write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
