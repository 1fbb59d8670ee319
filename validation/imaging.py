"""Measure every imaging method against known truth, from raw phase, on simulated heads.

usage: python validation/imaging.py WORK [--people 3] [--seed 9300] [--protocol demo_light ...]
       [--table FILE]

Each row of a family takes its place in the standard chain. The rows of the inversion family
are also given the true local field of the sources. What is finished in WORK is not done
again. The seeds were never used to set anything.
"""

import argparse
import copy
import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from baseline import simulated
from scipy import ndimage

from petechia.apps.cli.run import cores
from petechia.core.grid import Grid
from petechia.core.kernels import forward_field
from petechia.evaluate.maps import map_errors, rate_bias, region_bias, streaking
from petechia.files.find import find_scans
from petechia.files.nifti import read_nifti
from petechia.pipeline.evaluation_files import Side, find_sides
from petechia.pipeline.evaluation_maps import DEEP_NUCLEI
from petechia.pipeline.evaluation_read import read_table
from petechia.pipeline.provenance import threads
from petechia.pipeline.settings import FAMILIES, PRESETS, Settings
from petechia.pipeline.stages import STAGES, walk
from petechia.pipeline.work import Work

BALL_MM, RING_MM = 4.0, 6.0
CHAIN = ("unwrap", "background", "invert")
COLUMNS = (
    "kept", "nrmse", "nrmse_kept", "nrmse_tissue", "hfen", "xsim", "streaks", "nuclei_slope",
    "blood", "calcium",
)  # fmt: skip


class Truth:
    """The true maps of one scan."""

    def __init__(self, side: Side) -> None:
        image = read_nifti(side.maps["chi"])
        self.grid, self.chi = image.grid, image.only
        self.brain = read_nifti(side.maps["brain"]).only > 0.5
        self.rate = read_nifti(side.maps["r2star"]).only
        veins = read_nifti(side.maps["veins"]).only
        if side.labels is None or side.table is None:
            raise SystemExit(f"{side.key}: no true lesions")
        self.labels = read_nifti(side.labels).only.round().astype(int)
        self.lesions = read_table(side.table)
        near = ndimage.binary_dilation(self.labels > 0, np.ones((3, 3, 3)))
        self.tissue = self.brain & ~near & (veins < 0.3)
        regions = side.maps["regions"]
        self.regions = read_nifti(regions).only.round().astype(int)
        named = regions.with_name(regions.name.replace(".nii.gz", ".tsv"))
        with named.open(encoding="utf-8") as lines:
            self.nuclei = {
                int(row["index"]): row["name"]
                for row in csv.DictReader(lines, delimiter="\t")
                if row["site"] in DEEP_NUCLEI
            }
        inside = self.chi[self.brain].mean()
        self.local_field = forward_field(
            np.where(self.brain, self.chi - inside, 0).astype(np.float32), self.grid, 40.0
        )


def scores(chi: np.ndarray, kept: np.ndarray, truth: Truth) -> dict[str, float]:
    """Return the errors of a map that is 0 outside `kept`."""
    both = kept & truth.brain
    whole = map_errors(chi, truth.chi, truth.brain)
    inside = map_errors(chi, truth.chi, both, tissue=truth.tissue)
    streaks = streaking(chi, truth.chi, both, truth.labels > 0, truth.grid)
    _, slope = region_bias(chi, truth.chi, truth.regions, truth.nuclei, both)
    blood, calcium = moments(chi, both, truth)
    return {
        "kept": float(both.sum() / truth.brain.sum()),
        "nrmse": whole["nrmse"],
        "nrmse_kept": inside["nrmse"],
        "nrmse_tissue": inside["nrmse_tissue"],
        "hfen": inside["hfen"],
        "xsim": inside["xsim"],
        "streaks": float("nan") if streaks is None else streaks.against_elsewhere,
        "nuclei_slope": slope,
        "blood": float(np.median(blood)) if blood else float("nan"),
        "calcium": float(np.median(calcium)) if calcium else float("nan"),
    }


def moments(chi: np.ndarray, kept: np.ndarray, truth: Truth) -> tuple[list[float], list[float]]:
    """Return found over true sums around bleeds and calcifications that lie in the map."""
    blood, calcium = [], []
    for row in truth.lesions:
        own = truth.labels == int(row["index"])
        if row["class"] not in ("microbleed", "calcification") or not own.any():
            continue
        away = distance_from(np.argwhere(own).mean(axis=0), truth.grid)
        ball, ring = away <= BALL_MM, (away > BALL_MM) & (away <= RING_MM)
        if not kept[ball].all() or (truth.labels[ball | ring] > 0).sum() > own.sum():
            continue
        found, true = ((v[ball] - np.median(v[ring])).sum() for v in (chi, truth.chi))
        (blood if float(row["moment_ppm_mm3"]) > 0 else calcium).append(float(found / true))
    return blood, calcium


def distance_from(place: np.ndarray, grid: Grid) -> np.ndarray:
    """Return the distance of every voxel from a place in voxels [mm]."""
    steps = [
        ((np.arange(n) - p) * d) ** 2
        for n, p, d in zip(grid.shape, place, grid.spacing_mm, strict=True)
    ]
    return np.sqrt(steps[0][:, None, None] + steps[1][None, :, None] + steps[2][None, None, :])


def chained(start: Work, settings: Settings, first: str) -> Work:
    """Return a copy of `start` with the road redone from the stage `first` to the map."""
    work = copy.copy(start)
    work.settings, work.methods, work.sign_settled = settings, [], False
    for name in CHAIN[CHAIN.index(first) :]:
        STAGES[name].run(work)
    return work


def measured(root: Path) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield a name and scores for every row, on the first scan of a dataset."""
    scan = next(iter(find_scans(root))).load()
    side = next(s for s in find_sides(root / "derivatives" / "truth", None, truth=True))
    truth = Truth(side)
    start = Work(scan=scan, settings=Settings(phase_sign="+1"))
    walk(start, ["background"])
    for preset in PRESETS:
        settings = replace(Settings.build(preset=preset), phase_sign="+1")
        work = chained(start, settings, "unwrap")
        yield f"preset: {preset}", scores(work.chi_ppm, work.chi_ppm != 0, truth)
    for family, first in (
        ("unwrap", "unwrap"), ("fieldmap", "unwrap"), ("background", "background"),
        ("inversion", "invert"),
    ):  # fmt: skip
        for name in FAMILIES[family]:
            settings = replace(Settings(phase_sign="+1"), **{family: name})
            if family == "background":  # the standard inversion takes the total field
                settings = replace(settings, inversion="tv")
            work = chained(start, settings, first)
            yield f"{family}: {name}", scores(work.chi_ppm, work.chi_ppm != 0, truth)
    for name in FAMILIES["inversion"]:
        work = copy.copy(start)
        work.settings = replace(Settings(phase_sign="+1"), inversion=name)
        work.methods, work.sign_settled = [], False
        work.local_field_ppm = work.total_field_ppm = truth.local_field
        work.mask = work.local_mask = truth.brain
        work.field_noise_ppm = None
        STAGES["invert"].run(work)
        yield f"true local field: {name}", scores(work.chi_ppm, work.chi_ppm != 0, truth)
    yield from rates(start, truth)


def rates(start: Work, truth: Truth) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield the errors of R2* in tissue for every row that the echoes allow."""
    for name in FAMILIES["relaxation"]:
        work = copy.copy(start)
        work.settings, work.methods = replace(Settings(), relaxation=name), []
        STAGES["r2star"].run(work)
        if work.r2star is None:
            return
        error = rate_bias(work.r2star, truth.rate, truth.tissue & (work.r2star > 0))
        yield (
            f"relaxation: {name}",
            {"bias": error.bias, "rmse": error.rmse, "slope": error.slope},
        )


def scored(work: Path, protocol: str, person: int, seed: int) -> dict[str, dict[str, float]]:
    """Measure one head, unless that was done before."""
    kept = work / "imaging" / f"{protocol}_{person}.json"
    if not kept.exists():
        root = simulated(work, protocol, person, seed)
        with threads(cores()):
            found = dict(measured(root))
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(found, indent=1), encoding="utf-8")
    table: dict[str, dict[str, float]] = json.loads(kept.read_text(encoding="utf-8"))
    return table


def lines(heads: list[dict[str, dict[str, float]]]) -> Iterator[str]:
    """Yield the tables: medians over heads."""
    names = [name for name in heads[0] if not name.startswith("relaxation")]
    yield "| row | " + " | ".join(COLUMNS) + " |"
    yield "|---" * (len(COLUMNS) + 1) + "|"
    for name in names:
        yield f"| {name} | " + " | ".join(_median(heads, name, c) for c in COLUMNS) + " |"
    yield ""
    yield "| row | bias 1/s | rmse 1/s | slope |"
    yield "|---|---|---|---|"
    for name in heads[0]:
        if name.startswith("relaxation"):
            middle = " | ".join(_median(heads, name, c) for c in ("bias", "rmse", "slope"))
            yield f"| {name} | {middle} |"


def _median(heads: list[dict[str, dict[str, float]]], name: str, column: str) -> str:
    values = [head[name][column] for head in heads if name in head]
    values = [v for v in values if np.isfinite(v)]
    if not values:
        return "n/a"
    digits = 0 if column in ("nrmse", "nrmse_kept", "nrmse_tissue", "hfen") else 2
    return f"{np.median(values):.{digits}f}"


def main() -> None:
    """Simulate, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--people", type=int, default=3)
    parser.add_argument("--seed", type=int, default=9300)
    parser.add_argument("--protocol", action="append", default=[])
    parser.add_argument("--table", type=Path)
    args = parser.parse_args()
    heads: list[dict[str, Any]] = [
        scored(args.work, protocol, person, args.seed)
        for protocol in args.protocol or ["demo_light"]
        for person in range(args.people)
    ]
    text = [f"{datetime.now(UTC):%Y-%m-%d}, {len(heads)} heads.\n", *lines(heads)]
    print("\n".join(text))
    if args.table:
        args.table.write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
