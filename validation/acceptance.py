"""Simulate people over all protocols, ask the BIDS validator, and count what the scans hold.

usage: python validation/acceptance.py WORK [--people 20] [--seed 9500] [--light] [--validator FILE]

The first people get a protocol each, in the order of the table (the drawn one, 'random', is the
last), and have what `petechia simulate` gives unless asked otherwise. The others are `--varied`,
under the two quick protocols, with phase as a vendor's whole numbers. What is finished in WORK is
not done again, so that it can be stopped and started. A vein is cut across where a slice shows it
as a spot: no longer than three times its width, at most 12 mm2, in slices at least 5 mm apart so
that none counts twice. With --light voxels are twice as large along every encoded axis, and the
scans made within seconds: timing, field, tilt, slices and file formats stay.
"""

import argparse
import csv
import json
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.apps.cli.run import cores
from petechia.files.contract import contract
from petechia.pipeline import simulated as pipeline
from petechia.pipeline.provenance import threads
from petechia.pipeline.simulated import simulate_dataset
from petechia.simulate.patient import SimulationParams
from petechia.simulate.protocols import PROTOCOLS, RANDOM, Protocol, random_protocol

NAMES = (*PROTOCOLS, RANDOM)
QUICK = ("3t_tiny", "demo_light")
UNITS = ("rad", "siemens", "philips", "ge")
VEIN, SPOT_MM2, LONGER, APART_MM = 0.2, 12.0, 3.0, 5.0


def protocol_of(person: int) -> str:
    """Return the protocol of a person."""
    return NAMES[person] if person < len(NAMES) else QUICK[person % len(QUICK)]


def lightened(protocol: Protocol) -> Protocol:
    """Return a protocol with voxels twice as large along every encoded axis."""
    if protocol.head_mm >= 2.0:
        return protocol
    n = 2 if protocol.acquisition_type == "2D" else 3
    return replace(
        protocol,
        shape=tuple(-(-s // 2) if a < n else s for a, s in enumerate(protocol.shape)),
        spacing_mm=tuple(2 * d if a < n else d for a, d in enumerate(protocol.spacing_mm)),
        head_mm=2.0,
    )


def simulated(root: Path, person: int, seed: int, *, light: bool) -> dict[str, float]:
    """Make the dataset of one person; return what it cost."""
    if light:
        PROTOCOLS.update({name: lightened(protocol) for name, protocol in PROTOCOLS.items()})
        pipeline.random_protocol = partial(random_protocol, light=True)
    shutil.rmtree(root, ignore_errors=True)
    later = person >= len(NAMES)
    begin = time.perf_counter(), time.process_time()
    with threads(cores()):
        simulate_dataset(
            root, SimulationParams(), protocols=[protocol_of(person)], seed=seed + person,
            varied=later, phase_units=UNITS[person % len(UNITS)] if later else "rad",
        )  # fmt: skip
    return {
        "seconds": time.perf_counter() - begin[0],
        "processor_s": time.process_time() - begin[1],
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2,
    }


def errors_of(root: Path, validator: str) -> list[str]:
    """Return the errors that the validator finds in a dataset and in its derivatives."""
    told = []
    for place in (root, root / "derivatives" / "truth"):
        done = subprocess.run(
            [validator, "--format", "json", str(place)], capture_output=True, text=True, check=False
        )
        issues = json.loads(done.stdout)["issues"]["issues"]
        told += [f"{i['code']} {i['location']}" for i in issues if i["severity"] == "error"]
    return told


def held(root: Path) -> dict[str, float]:
    """Return what is true of a scan: lesions by class, those that show, veins cut across."""
    (table,) = root.glob("derivatives/truth/sub-*/anat/*_desc-truth_dseg.tsv")
    stem = table.name.removesuffix("_desc-truth_dseg.tsv")
    missing = [
        m for m in contract().truth.maps if not (table.parent / f"{stem}_{m}.nii.gz").exists()
    ]
    if missing:
        raise SystemExit(f"{table.parent} lacks {', '.join(missing)}")
    with table.open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    if rows and tuple(rows[0])[: len(contract().truth.columns)] != contract().truth.columns:
        raise SystemExit(f"{table} has columns {tuple(rows[0])}")
    of = {name: [r for r in rows if r["class"] == name] for name in ("microbleed", "calcification")}
    veins = nib.load(table.parent / f"{stem}_desc-veins_probseg.nii.gz")
    return {
        "microbleeds": len(of["microbleed"]),
        "microbleeds_visible": sum(r["visible"] == "1" for r in of["microbleed"]),
        "calcifications": len(of["calcification"]),
        "others": len(rows) - len(of["microbleed"]) - len(of["calcification"]),
        "veins_cut": cut_across(veins.get_fdata(dtype=np.float32), veins.header.get_zooms()[:3]),
    }


def cut_across(veins: npt.NDArray[np.float32], spacing_mm: tuple[float, ...]) -> int:
    """Return how many veins show as spots in slices."""
    found = 0
    stride = max(1, int(np.ceil(APART_MM / spacing_mm[2] - 1e-6)))
    for k in range(0, veins.shape[2], stride):
        parts, n = ndimage.label(veins[:, :, k] > VEIN, structure=np.ones((3, 3)))
        area = np.bincount(parts.ravel(), minlength=n + 1)[1:] * spacing_mm[0] * spacing_mm[1]
        for box, size in zip(ndimage.find_objects(parts), area, strict=True):
            sides = [(s.stop - s.start) * d for s, d in zip(box, spacing_mm[:2], strict=True)]
            found += size <= SPOT_MM2 and max(sides) <= LONGER * min(sides)
    return int(found)


def one(work: Path, person: int, seed: int, validator: str, *, light: bool) -> None:
    """Simulate, validate and count one person's scan, and keep what came out."""
    root = work / f"person_{person:02d}"
    told = {"protocol": protocol_of(person)} | simulated(root, person, seed, light=light)
    told |= held(root) | {"errors": errors_of(root, validator)}
    (work / f"person_{person:02d}.json").write_text(json.dumps(told))


def main() -> None:
    """Do what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--seed", type=int, default=9500)
    parser.add_argument("--validator", default="bids-validator-deno")
    parser.add_argument("--light", action="store_true")
    parser.add_argument("--only", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    if args.only is not None:
        one(args.work, args.only, args.seed, args.validator, light=args.light)
        return
    for person in range(args.people):
        if not (args.work / f"person_{person:02d}.json").exists():
            # a process of its own: memory is told of each
            subprocess.run([sys.executable, *sys.argv, "--only", str(person)], check=True)
    print("| protocol | person | microbleeds, visible | calcifications | others | veins cut across "
          "| seconds | processor [s] | peak [GB] | errors |\n" + "|---" * 10 + "|")  # fmt: skip
    for person in range(args.people):
        t = json.loads((args.work / f"person_{person:02d}.json").read_text())
        print(
            f"| {t['protocol']} | {person} | {t['microbleeds']}, {t['microbleeds_visible']} "
            f"| {t['calcifications']} | {t['others']} | {t['veins_cut']} | {t['seconds']:.0f} "
            f"| {t['processor_s']:.0f} | {t['peak_gb']:.1f} | {len(t['errors'])} |"
        )


if __name__ == "__main__":
    main()
