"""Measure every imaging method against known truth, from raw phase, on simulated heads.

usage: python validation/imaging.py WORK [--people 3] [--seed 9300] [--protocol demo_light ...]
       [--rows NAME ...] [--table FILE] [--measured src/petechia/pipeline/measured.toml]

Each row of a family takes its place in the standard chain. The rows of the inversion family
are also given the true local field of the sources. What is finished in WORK is not done
again, row by row. The seeds were never used to set anything. `--measured` renews the errors
that `petechia methods` prints.
"""

import argparse
import copy
import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
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
from petechia.pipeline.measured import renew
from petechia.pipeline.provenance import threads
from petechia.pipeline.settings import FAMILIES, PRESETS, Settings
from petechia.pipeline.stages import STAGES, walk
from petechia.pipeline.work import Work

BALL_MM, RING_MM = 4.0, 6.0
CHAIN = ("unwrap", "background", "invert")
COLUMNS = (
    "kept", "nrmse", "nrmse_kept", "nrmse_tissue", "hfen", "xsim", "streaks", "nuclei_slope",
    "blood", "calcium", "field",
)  # fmt: skip
TOLD = ("kept", "nrmse", "nrmse_kept", "hfen", "xsim", "blood", "calcium")
"""What `petechia methods` knows of a row of the imaging chain."""


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


def field_error(work: Work, truth: Truth) -> float:
    """Return the error of the local field in tissue, less its mean, over the true one [%]."""
    own = work.local_mask & truth.tissue
    true = truth.local_field[own]
    away = work.local_field_ppm[own] - true
    return float(100 * np.linalg.norm(away - away.mean()) / np.linalg.norm(true))


def jobs(start: Work, truth: Truth) -> Iterator[tuple[str, Callable[[], dict[str, float]]]]:
    """Yield a name and the measurement of every row."""

    def chain(settings: Settings, first: str) -> dict[str, float]:
        work = chained(start, settings, first)
        found = scores(work.chi_ppm, work.chi_ppm != 0, truth)
        return found | {"field": field_error(work, truth)} if first == "background" else found

    def from_true_field(name: str) -> dict[str, float]:
        work = copy.copy(start)
        work.settings = replace(Settings(phase_sign="+1"), inversion=name)
        work.methods, work.sign_settled = [], False
        work.local_field_ppm = work.total_field_ppm = truth.local_field
        work.mask = work.local_mask = truth.brain
        work.field_noise_ppm = None
        STAGES["invert"].run(work)
        return scores(work.chi_ppm, work.chi_ppm != 0, truth)

    for preset in PRESETS:
        settings = replace(Settings.build(preset=preset), phase_sign="+1")
        yield f"preset: {preset}", partial(chain, settings, "unwrap")
    for family, first in (
        ("unwrap", "unwrap"), ("fieldmap", "unwrap"), ("background", "background"),
        ("inversion", "invert"),
    ):  # fmt: skip
        for name in FAMILIES[family]:
            settings = replace(Settings(phase_sign="+1"), **{family: name})
            if family == "background":  # the standard inversion takes the total field
                settings = replace(settings, inversion="tv")
            yield f"{family}: {name}", partial(chain, settings, first)
    for name in FAMILIES["inversion"]:
        yield f"true local field: {name}", partial(from_true_field, name)
    for name in FAMILIES["relaxation"]:
        yield f"relaxation: {name}", partial(rate, name, start, truth)


def rate(name: str, start: Work, truth: Truth) -> dict[str, float]:
    """Return the errors of R2* in tissue; none where the echoes do not allow it."""
    work = copy.copy(start)
    work.settings, work.methods = replace(Settings(), relaxation=name), []
    STAGES["r2star"].run(work)
    if work.r2star is None:
        return {}
    error = rate_bias(work.r2star, truth.rate, truth.tissue & (work.r2star > 0))
    return {"bias": error.bias, "rmse": error.rmse, "slope": error.slope}


def scored(
    work: Path, protocol: str, person: int, seed: int, rows: list[str]
) -> dict[str, dict[str, float]]:
    """Measure one head, row by row, less what was done before."""
    kept = work / "imaging" / f"{protocol}_{person}.json"
    kept.parent.mkdir(parents=True, exist_ok=True)
    table: dict[str, dict[str, float]] = {}
    if kept.exists():
        table = json.loads(kept.read_text(encoding="utf-8"))
    root = simulated(work, protocol, person, seed)
    scan = next(iter(find_scans(root))).load()
    side = next(s for s in find_sides(root / "derivatives" / "truth", None, truth=True))
    start, begun = Work(scan=scan, settings=Settings(phase_sign="+1")), False
    truth = Truth(side)
    with threads(cores()):
        for name, measure in jobs(start, truth):
            if name in table or (rows and name.partition(": ")[2] not in rows):
                continue
            if not begun:
                walk(start, ["background"])
                begun = True
            found = measure()
            if found:
                table[name] = found
                kept.write_text(json.dumps(table, indent=1), encoding="utf-8")
                print(protocol, person, name, flush=True)
    return table


def lines(heads: list[dict[str, dict[str, float]]]) -> Iterator[str]:
    """Yield the tables: medians over heads."""
    order = [*dict.fromkeys(name for head in heads for name in head)]
    names = [name for name in order if not name.startswith("relaxation")]
    yield "| row | " + " | ".join(COLUMNS) + " |"
    yield "|---" * (len(COLUMNS) + 1) + "|"
    for name in names:
        yield f"| {name} | " + " | ".join(_median(heads, name, c) for c in COLUMNS) + " |"
    yield ""
    yield "| row | bias 1/s | rmse 1/s | slope |"
    yield "|---|---|---|---|"
    for name in order:
        if name.startswith("relaxation"):
            cells = " | ".join(_median(heads, name, c) for c in ("bias", "rmse", "slope"))
            yield f"| {name} | {cells} |"


def _median(heads: list[dict[str, dict[str, float]]], name: str, column: str) -> str:
    value = middle(heads, name, column)
    if value is None:
        return "n/a" if column in TOLD else ""
    digits = 0 if column in ("nrmse", "nrmse_kept", "nrmse_tissue", "hfen", "field") else 2
    return f"{value:.{digits}f}"


def middle(heads: list[dict[str, dict[str, float]]], name: str, column: str) -> float | None:
    """Return the median over heads; None when no head has it."""
    values = [head[name][column] for head in heads if column in head.get(name, {})]
    values = [v for v in values if np.isfinite(v)]
    return float(np.median(values)) if values else None


def told(heads: list[dict[str, dict[str, float]]], seed: int) -> dict[str, dict[str, float]]:
    """Return what `petechia methods` shall know, by the name of the row, and of which heads."""
    out: dict[str, dict[str, float]] = {}
    for family in ("unwrap", "fieldmap", "background", "inversion", "relaxation"):
        for name in FAMILIES[family]:
            columns = ("bias", "rmse", "slope") if family == "relaxation" else TOLD
            found = {c: middle(heads, f"{family}: {name}", c) for c in columns}
            if any(value is not None for value in found.values()):
                out[name] = {c: round(v, 2) for c, v in found.items() if v is not None}
                out[name] |= {"heads": len(heads), "seed": seed}
    return out


def main() -> None:
    """Simulate, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--people", type=int, default=3)
    parser.add_argument("--seed", type=int, default=9300)
    parser.add_argument("--protocol", action="append", default=[])
    parser.add_argument("--rows", nargs="+", default=[], help="only rows of these names")
    parser.add_argument("--table", type=Path)
    parser.add_argument("--measured", type=Path, help="file of `petechia methods` to renew")
    args = parser.parse_args()
    heads: list[dict[str, Any]] = [
        scored(args.work, protocol, person, args.seed, args.rows)
        for protocol in args.protocol or ["demo_light"]
        for person in range(args.people)
    ]
    text = [f"{datetime.now(UTC):%Y-%m-%d}, {len(heads)} heads.\n", *lines(heads)]
    print("\n".join(text))
    if args.table:
        args.table.write_text("\n".join(text) + "\n", encoding="utf-8")
    if args.measured:
        about = f"on simulated heads from raw phase, last {datetime.now(UTC):%Y-%m-%d}"
        renew(args.measured, "accuracy", about, told(heads, args.seed))


if __name__ == "__main__":
    main()
