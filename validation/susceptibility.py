"""Measure SWI of every kind, vesselness, source separation, vein oxygenation and deep nuclei.

usage: python validation/susceptibility.py WORK [--people 4] [--seed 9500] [--table FILE]
       [--measured src/petechia/pipeline/measured.toml]

Simulated people (3 T, four echoes, 1.2 mm, whatever a person may have) and their run through the
standard road, then everything that is read off its maps against the truth. What the truth maps
do not hold is drawn again from the seed: the two sources of tissue, and the nuclei. What is
finished in WORK is not done again. The seeds were never used to set anything.
"""

import argparse
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from contrast import contrast
from scipy import ndimage

from petechia.anatomy.head import noise_level
from petechia.anatomy.tracking import track_veins
from petechia.anatomy.vesselness import METHODS as VESSELNESS
from petechia.apps.cli.run import cores
from petechia.assets.store import load_arrays
from petechia.contrast.weighting import METHODS as WEIGHTING
from petechia.core.echoes import reading_echo
from petechia.core.grid import Grid
from petechia.files.find import find_scans
from petechia.files.nifti import read_nifti
from petechia.files.scan import Scan
from petechia.pipeline.evaluation_read import read_table
from petechia.pipeline.measured import renew
from petechia.pipeline.provenance import threads
from petechia.pipeline.run import Options, run_all
from petechia.pipeline.settings import Settings
from petechia.pipeline.simulated import simulate_dataset
from petechia.pipeline.tree import finish_tree, prepare_tree
from petechia.qsm.iron import nuclei_table
from petechia.qsm.oxygenation import saturation_of, venous_oxygenation
from petechia.qsm.separation import METHODS as SEPARATION
from petechia.qsm.separation.rates import RELAXIVITY, assumed_r2, decay_seen, r2prime_from
from petechia.simulate.atlas import Atlas, atlas_from
from petechia.simulate.head import Head, HeadParams, head_maps, make_head, sample_head, to_template
from petechia.simulate.patient import SimulationParams
from petechia.simulate.protocols import PROTOCOLS
from petechia.simulate.render import Pose, render, sample_pose
from petechia.simulate.signal import voxel_means
from petechia.simulate.tissues import TISSUES
from petechia.simulate.vessels import Vessels

PROTOCOL = "demo_light"
NUCLEI = ("caudate", "putamen", "pallidum", "thalamus")


def patients(work: Path, n: int, seed: int) -> list[tuple[Scan, Path]]:
    """Return the scans of `n` people and the folder of their results; what is there stays."""
    raw, out = work / "raw", work / "output"
    done = work / f"raw_{n}_{seed}.done"
    if not done.exists():
        with threads(cores()):
            simulate_dataset(
                raw, SimulationParams(protocol=PROTOCOL), n_subjects=n, seed=seed, varied=True
            )
        done.touch()
    refs = find_scans(raw)[:n]
    folders = [out / ref.name.folder for ref in refs]
    names = [f"{ref.name.prefix}_desc-petechia_summary.json" for ref in refs]
    left = [r for r, f, s in zip(refs, folders, names, strict=True) if not (f / s).exists()]
    if left:
        prepare_tree(out, raw)
        for outcome in run_all(left, out, Settings(), Options(n_threads=cores())):
            print(f"run {outcome.prefix}: {outcome.status} {outcome.message}", flush=True)
        finish_tree(out)
    return [(ref.load(), folder) for ref, folder in zip(refs, folders, strict=True)]


class Person:
    """The maps of one scan, and what is true."""

    def __init__(self, scan: Scan, found: Path, truth: Path, seed: int, number: int) -> None:
        prefix = scan.name.prefix
        self.scan, self.grid = scan, scan.echoes.grid
        names = {"chi": "Chimap", "swi": "swi", "rate": "R2starmap", "brain": "desc-brain_mask"}
        names["local"] = "desc-local_fieldmap"
        self.found = {k: read_nifti(found / f"{prefix}_{v}.nii.gz").only for k, v in names.items()}
        names = {"chi": "Chimap", "veins": "desc-veins_probseg", "brain": "desc-brain_mask"}
        names["labels"] = "desc-truth_dseg"
        self.true = {k: read_nifti(truth / f"{prefix}_{v}.nii.gz").only for k, v in names.items()}
        self.lesions = read_table(truth / f"{prefix}_desc-truth_dseg.tsv")
        self.brain = (self.true["brain"] > 0) & (self.found["chi"] != 0)
        near = ndimage.binary_dilation(self.true["labels"] > 0, iterations=2)
        self.tissue = self.brain & ~near & (self.true["veins"] < 0.05)
        atlas = atlas_from(load_arrays("template"))
        of_head = np.random.default_rng([seed, number]).spawn(3)[0]
        lay = np.random.default_rng([seed, number, 0, 0, 996]).spawn(3)[0]
        self.params = sample_head(atlas, of_head)
        self.pose = sample_pose(lay)
        self.atlas = atlas


def sizes_of_sources(head: Head, pose: Pose) -> np.ndarray:
    """Return the sum of the sizes of both sources of tissue on the scan [ppm].

    As the simulator makes decay of them: what each tissue has against water, the iron of
    nuclei, and the grain of both.
    """
    protocol = PROTOCOLS[PROTOCOL]
    sizes = np.abs(head.iron_ppm)
    for name in ("gm", "wm", "csf"):
        sizes = sizes + head.fractions[name] * np.float32(abs(TISSUES[name].chi_ppm))
    seen = head_maps(head, protocol.b0_t, protocol.tr_s, protocol.flip_deg)
    rate = (sizes * np.float32(RELAXIVITY)).astype(np.float32)
    maps = render(
        head,
        type(seen)(chi_ppm=seen.chi_ppm, s0=seen.s0, r2star=rate, fat=seen.fat),
        Vessels(segments=np.zeros((0, 7)), chi_ppm=0.0), pose, protocol,
    )  # fmt: skip
    return voxel_means(maps.r2star, maps.grid) / RELAXIVITY


def nuclei_of(
    params: HeadParams, pose: Pose, atlas: Atlas, brain: np.ndarray, grid: Grid
) -> dict[tuple[str, str], np.ndarray]:
    """Return where each nucleus truly is."""
    at = np.argwhere(brain)
    there = to_template(pose.to_head(grid.to_mm(at)), params, atlas)
    index = atlas.grid.to_index(there).T
    out = {}
    for name in NUCLEI:
        part = ndimage.map_coordinates(atlas.nuclei[name], index, order=1) > 0.5
        for side, half in (("left", there[:, 0] < 0), ("right", there[:, 0] >= 0)):
            mask = np.zeros(grid.shape, dtype=bool)
            mask[tuple(at[part & half].T)] = True
            out[name, side] = mask
    return out


def weighted_images(person: Person) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield the contrast of microbleeds and veins in each kind of image."""
    echoes, grid = person.scan.echoes, person.grid
    reading = reading_echo(echoes.te_s, echoes.b0_t)
    arrays = {
        "magnitude": echoes.magnitude[reading], "te_s": echoes.te_s,
        "chi_ppm": person.found["chi"],
    }  # fmt: skip
    stacked = arrays | {"magnitude": echoes.magnitude}
    images = {
        "magnitude": arrays["magnitude"],
        "swi": person.found["swi"],
        "tswi": WEIGHTING["tswi"](arrays, grid=grid)[0],
        "smwi": WEIGHTING["smwi"](stacked, grid=grid)[0],
        "smwi, diamagnetic": WEIGHTING["smwi"](
            stacked, grid=grid, settings=WEIGHTING["smwi"].settings(sources="diamagnetic")
        )[0],
    }
    kinds = {int(r["index"]): r["class"] for r in person.lesions if r["visible"] == "1"}
    spots = {
        name: np.isin(person.true["labels"], [n for n, kind in kinds.items() if kind == name])
        for name in ("microbleed", "calcification")
    }
    spots["veins"] = person.true["veins"] > 0.5
    spots = {name: spot & person.brain for name, spot in spots.items()}
    for name, image in images.items():
        yield (
            f"image: {name}",
            {
                f"of {kind}": contrast(image, spot, person.brain, spots)
                for kind, spot in spots.items()
                if spot.any()
            },
        )


def vesselness(person: Person) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield how well each measure on the map tells voxels that are half vein."""
    veins = (person.true["veins"] > 0.5)[person.brain]
    for name, row in VESSELNESS.items():
        (likeness,) = row({"image": person.found["chi"], "mask": person.brain}, grid=person.grid)
        value = likeness[person.brain]
        order = np.argsort(-value, kind="stable")
        hits = np.cumsum(veins[order])
        precision = hits / np.arange(1, len(order) + 1)
        dice = 2 * hits / (np.arange(1, len(order) + 1) + veins.sum())
        yield (
            f"vesselness: {name}",
            {
                "average_precision": float(precision[veins[order]].mean()),
                "best_dice": float(dice.max()),
            },
        )


def separation(person: Person) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield the errors of both sources in tissue, with R2 assumed and with the true R2'."""
    grid, echoes = person.grid, person.scan.echoes
    head = make_head(person.params, person.atlas, PROTOCOLS[PROTOCOL].head_mm)
    sizes = sizes_of_sources(head, person.pose)
    # the truth map is relative to its mean; against water the tissue means are known
    chi = person.true["chi"] + _mean_against_water(person, head)
    both = np.maximum(sizes, np.abs(chi))
    true = (both + chi) / 2, (chi - both) / 2
    reading = reading_echo(echoes.te_s, echoes.b0_t)
    seen = decay_seen(echoes.magnitude, noise_level(echoes.magnitude[reading], grid), grid)
    mask = person.brain & (person.found["local"] != 0)
    rates = {
        "R2 assumed": r2prime_from(person.found["rate"], assumed_r2(echoes.b0_t), mask, grid),
        "R2' true": (RELAXIVITY * sizes * mask).astype(np.float32),
    }
    inside = person.tissue & mask & seen
    # the noise of the field goes as one over the signal
    signal = echoes.magnitude[reading] / np.median(echoes.magnitude[reading][mask])
    weights = np.minimum(signal, 2).astype(np.float32) * mask
    for name, row in SEPARATION.items():
        for words, rate in rates.items():
            found = row(
                {
                    "chi_ppm": person.found["chi"], "field_ppm": person.found["local"],
                    "r2prime": rate, "b0_t": echoes.b0_t, "weights": weights, "mask": mask,
                },
                grid=grid,
            )  # fmt: skip
            yield f"separation: {name}, {words}", _two_errors(found, true, inside)
    yield (
        "separation: nothing told apart",
        _two_errors(
            (np.maximum(person.found["chi"], 0), np.minimum(person.found["chi"], 0)), true, inside
        ),
    )


def _mean_against_water(person: Person, head: Head) -> float:
    """Return the mean of the brain against water, which the truth map has taken off."""
    brain = head.brain > 0.5
    mean = sum(
        float(head.fractions[name][brain].mean(dtype=float)) * TISSUES[name].chi_ppm
        for name in ("gm", "wm", "csf")
    )
    return mean + float(head.iron_ppm[brain].mean(dtype=float))


def _two_errors(
    found: tuple[np.ndarray, ...], true: tuple[np.ndarray, ...], inside: np.ndarray
) -> dict[str, float]:
    out = {}
    for name, ours, theirs in zip(("positive", "negative"), found, true, strict=True):
        a, b = ours[inside].astype(float), theirs[inside].astype(float)
        out[f"nrmse_{name}"] = 100 * float(np.sqrt(((a - b) ** 2).sum() / (b**2).sum()))
        out[f"bias_{name}"] = 1000 * float((a - b).mean())
        out[f"r_{name}"] = float(np.corrcoef(a, b)[0, 1])
    return out


def oxygen(person: Person) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield saturation from our map, and from the true map, beside what the true blood gives."""
    inside = (person.true["veins"] > 0.98) & (person.true["brain"] > 0)
    around = person.tissue
    vein = float(np.median(person.true["chi"][inside]) - np.median(person.true["chi"][around]))
    true, _ = saturation_of(vein)
    brain = person.found["brain"] > 0
    near = ndimage.binary_dilation(person.true["labels"] > 0, iterations=2)
    veins = track_veins(person.found["chi"], person.found["swi"], brain, person.grid)
    for words, chi in (("our map", person.found["chi"]), ("the true map", person.true["chi"])):
        found = venous_oxygenation(
            chi.astype(np.float32), veins.likeness, veins.length_mm, brain & ~near, person.grid
        )
        row = {"true": true, "places": float(found.n_places), "veins": float(found.n_veins)}
        if found.saturation is not None and found.interval_95 is not None:
            low, high = found.interval_95
            row |= {
                "found": found.saturation, "error": found.saturation - true,
                "half_interval": (high - low) / 2, "covered": float(low <= true <= high),
            }  # fmt: skip
        yield f"oxygen: {words}", row


def nuclei(person: Person) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield found and true medians of the nuclei, and the slope of one over the other."""
    masks = nuclei_of(
        person.params, person.pose, person.atlas, person.true["brain"] > 0, person.grid
    )
    clear = person.brain & ~ndimage.binary_dilation(person.true["labels"] > 0, iterations=3)
    found = nuclei_table(person.found["chi"], masks, clear, person.grid)
    true = nuclei_table(person.true["chi"], masks, clear, person.grid)
    pairs = [(row.name, row.chi_ppm, other.chi_ppm) for row, other in zip(found, true, strict=True)]
    for name in NUCLEI:
        own = [(a, b) for n, a, b in pairs if n == name]
        if own:
            a, b = np.mean(own, axis=0)
            yield f"nuclei: {name}", {"found": float(a), "true": float(b)}
    a, b = np.array([p[1] for p in pairs]), np.array([p[2] for p in pairs])
    yield "nuclei: all", {"slope": float(np.polyfit(b, a, 1)[0])}


def measured(person: Person) -> dict[str, dict[str, float]]:
    """Return every row of one person."""
    out: dict[str, dict[str, float]] = {}
    for part in (weighted_images, vesselness, separation, oxygen, nuclei):
        out |= dict(part(person))
        print(part.__name__, flush=True)
    return out


def lines(people: list[dict[str, dict[str, float]]]) -> Iterator[str]:
    """Yield one table a part: medians over people."""
    parts = list(dict.fromkeys(name.partition(":")[0] for row in people for name in row))
    for part in parts:
        rows = list(dict.fromkeys(n for row in people for n in row if n.startswith(part + ":")))
        columns = list(dict.fromkeys(c for row in people for n in rows for c in row.get(n, {})))
        yield f"\n## {part}\n"
        yield "| row | " + " | ".join(c.replace("_", " ") for c in columns) + " | people |"
        yield "|---" * (len(columns) + 2) + "|"
        for name in rows:
            cells = [_median(people, name, c) for c in columns]
            n = sum(name in row for row in people)
            yield f"| {name.partition(': ')[2]} | " + " | ".join(cells) + f" | {n} |"


def _median(people: list[dict[str, Any]], name: str, column: str) -> str:
    values = [row[name][column] for row in people if column in row.get(name, {})]
    values = [v for v in values if np.isfinite(v)]
    if not values:
        return "n/a"
    if column == "covered":
        return f"{sum(values):.0f} of {len(values)}"
    digits = 0 if column.startswith("nrmse") or column in ("places", "veins") else 3
    digits = 1 if column.startswith(("bias", "of ")) else digits
    return f"{np.median(values):.{digits}f}"


def told(people: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Return what `petechia methods` shall know, by the name of the row: medians over people.

    Contrast of bleeds and veins, average precision for veins, error of both sources [%] with
    R2 assumed.
    """
    columns = {
        "image": {"bleeds": "of microbleed", "veins": "of veins"},
        "vesselness": {"precision": "average_precision"},
        "separation": {"positive": "nrmse_positive", "negative": "nrmse_negative"},
    }
    out: dict[str, dict[str, float]] = {}
    for name in people[0]:
        part, _, words = name.partition(": ")
        row, _, assumed = words.partition(", ")
        wanted = columns.get(part, {})
        if not wanted or row in ("magnitude", "nothing told apart"):
            continue
        if assumed not in ("", "R2 assumed"):
            continue
        values = {
            new: np.median([p[name][old] for p in people if old in p.get(name, {})])
            for new, old in wanted.items()
        }
        if all(np.isfinite(v) for v in values.values()):
            out[row] = {new: round(float(v), 2) for new, v in values.items()}
    return out


def main() -> None:
    """Simulate, run, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--people", type=int, default=4)
    parser.add_argument("--seed", type=int, default=9500)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--measured", type=Path, help="file of `petechia methods` to renew")
    args = parser.parse_args()
    people = []
    for number, (scan, found) in enumerate(patients(args.work, args.people, args.seed)):
        kept = args.work / "susceptibility" / f"{scan.name.prefix}.json"
        if not kept.exists():
            truth = args.work / "raw" / "derivatives" / "truth" / scan.name.folder
            with threads(cores()):
                rows = measured(Person(scan, found, truth, args.seed, number))
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(rows, indent=1), encoding="utf-8")
        people.append(json.loads(kept.read_text(encoding="utf-8")))
    text = [
        f"{datetime.now(UTC):%Y-%m-%d}, {len(people)} people, seed {args.seed}.",
        *lines(people),
    ]
    print("\n".join(text))
    if args.table:
        args.table.write_text("\n".join(text) + "\n", encoding="utf-8")
    if args.measured:
        rows = {
            name: row | {"heads": len(people), "seed": args.seed}
            for name, row in told(people).items()
        }
        about = f"on simulated heads from raw phase, last {datetime.now(UTC):%Y-%m-%d}"
        renew(args.measured, "accuracy", about, rows)


if __name__ == "__main__":
    main()
