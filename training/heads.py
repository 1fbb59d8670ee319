"""Simulate scans to train the detector on, and keep what it is given, with the truth.

usage: python training/heads.py WORK [--n 20] [--seed 20000]
       python training/heads.py WORK --whole [--n 20] [--seed 21000] [--first 0] [--thin-at TESLA]
       python training/heads.py WORK --thick [--n 20] [--seed 22000] [--first 0]
       python training/heads.py WORK --fine [--n 20] [--seed 23000] [--first 0]
       python training/heads.py WORK --veins [--n 20] [--seed 25000] [--first 0]
       python training/heads.py WORK --adopt OUTPUT RAW

Person n is drawn from (seed, n) and scanned three times: the whole head on a light grid, a
slab at full resolution twice, each by a protocol drawn at random. With `--whole` each is scanned
once, the whole head at full resolution, and goes the whole road: the brain mask, sites and tissue
are those that are found; with `--thick` the same, by 2-D protocols of thick slices alone, with
`--fine` by 3-D ones of 0.45 to 0.65 mm in plane, half of them interpolated; with `--veins` by 3-D
ones, of people whose veins are drawn too: few or many, straight or winding; with `--thin-at 7`
only of those people to whom a protocol of thin slices at 7 T falls. What is finished in WORK is
not made again, so that it can be stopped and started. `--adopt` takes a scan
that was run with `petechia run --save-intermediates` on a simulated dataset.

A kept scan is one `.npz`: the arrays of `LesionInputs` before anything is looked for (others can
be computed of them later) and the truth, cut to the brain.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.assets.store import load_arrays
from petechia.core.grid import Grid
from petechia.core.morphology import bounding_box, distance_inside_mm
from petechia.errors import PetechiaError
from petechia.files.find import find_scans
from petechia.files.nifti import read_nifti
from petechia.files.output import OutputTree
from petechia.files.scan import Header, Scan, ScanName
from petechia.pipeline.evaluation_files import find_sides
from petechia.pipeline.evaluation_read import read_table
from petechia.pipeline.provenance import threads
from petechia.pipeline.settings import Settings
from petechia.pipeline.stages import lesion_inputs, walk
from petechia.pipeline.work import Work
from petechia.simulate.atlas import Atlas, atlas_from
from petechia.simulate.heads import Heads
from petechia.simulate.patient import SimulationParams, sample_patient, scan_patient
from petechia.simulate.protocols import Protocol, random_protocol
from petechia.simulate.variety import varied_params, varied_vessels

MARGIN_MM = 12.0
SLAB_MM = 52.0
FORM = 1
"""Version of a kept scan."""
KINDS = ("rich", "natural", "clean")
SHARES = (0.55, 0.2, 0.25)
WHOLE = 3
"""The part that is a whole head at full resolution, on the whole road."""
THICK = 4
"""The same, in thick slices."""
FINE = 5
"""The same, in voxels finer in plane than `random_protocol` draws by itself."""
VEINS = 6
"""In thin slices again, of people with other veins than most."""
FINE_MM, FINE_ASPECT = (0.45, 0.65), (1.6, 4.0)
INTERPOLATED = (0.5, 1.0)
"""Part of k-space recorded along each axis, in half of the fine scans."""
ROAD = dict.fromkeys((WHOLE, THICK, FINE, VEINS), ("invert", "r2star", "swi", "regions", "tissue"))
SEEDS = {0: 20000, WHOLE: 21000, THICK: 22000, FINE: 23000, VEINS: 25000}
ONLY = {THICK: "2D", VEINS: "3D"}
FOUND = ("csf", "ventricle_mask", "air_mask")
"""What the road tells of tissue besides its images."""


def drawn_params(rng: np.random.Generator) -> tuple[str, SimulationParams]:
    """Draw what a person has: much of everything, what patients have, or no microbleeds."""
    kind = str(rng.choice(KINDS, p=SHARES))
    if kind == "natural":
        return kind, varied_params(rng)
    return kind, SimulationParams(
        n_microbleeds=0 if kind == "clean" else int(rng.integers(40, 66)),
        n_calcifications=int(rng.integers(4, 16)),
        clustered=float(rng.uniform(0.0, 0.25)),
        elongated=float(rng.uniform(0.0, 0.3)),
        n_macrobleeds=int(rng.random() < 0.2),
        n_cavernomas=int(rng.random() < 0.15),
        n_siderosis=int(rng.integers(0, 3)) if rng.random() < 0.3 else 0,
        n_iron=int(rng.integers(0, 7)),
        n_air_specks=int(rng.integers(0, 7)),
    )


def drawn_protocol(rng: np.random.Generator, part: int) -> Protocol:
    """Draw a protocol: the whole head (light grid in part 0), or a slab at full resolution."""
    if part == FINE:
        return fine_protocol(rng)
    protocol = random_protocol(rng, light=part == 0)
    while protocol.acquisition_type != ONLY.get(part, protocol.acquisition_type):
        protocol = random_protocol(rng)
    if part in (0, *ROAD) or protocol.acquisition_type == "2D":
        return protocol
    i, j, _ = protocol.shape
    slices = max(16, round(SLAB_MM / protocol.spacing_mm[2]))
    return replace(
        protocol,
        shape=(i, j, slices),
        centre_mm=(0.0, 0.0, float(rng.uniform(-45.0, 40.0))),
        head_mm=1.5,
    )


def fine_protocol(rng: np.random.Generator) -> Protocol:
    """Draw a 3-D protocol of fine voxels; many scanners store interpolated ones."""
    while True:
        protocol = random_protocol(rng, in_plane_mm=FINE_MM, aspect=FINE_ASPECT)
        if protocol.acquisition_type == "3D":
            break
    if rng.random() < 0.5:
        return replace(protocol, acquired=float(rng.uniform(*INTERPOLATED)))
    return protocol


def protocol_of(person: int, part: int, seed: int) -> Protocol:
    """Return the protocol of a person's scan."""
    return drawn_protocol(np.random.default_rng([seed, person, part, 991]), part)


def scan_stream(seed: int, person: int, part: int) -> np.random.Generator:
    """Return what a person's scan is drawn from: how they lie, coil, noise."""
    return np.random.default_rng([seed, person, part, 992])


def is_thin_at(protocol: Protocol, b0_t: float) -> bool:
    """Return whether a protocol has thin slices and is of a field [T]."""
    return protocol.b0_t == b0_t and protocol.acquisition_type != "2D"


def rough_mask(
    brain: npt.NDArray[np.bool_], grid: Grid, rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """Return the true brain with an edge that wanders by about a millimetre, as found masks do."""
    away = distance_inside_mm(brain, grid) - distance_inside_mm(~brain, grid)
    coarse = [max(2, int(n * d / 12.0)) for n, d in zip(grid.shape, grid.spacing_mm, strict=True)]
    wander = rng.normal(rng.uniform(-0.6, 0.6), 1.0, coarse)
    factors = np.asarray(grid.shape) / np.asarray(coarse)
    smooth = ndimage.zoom(wander, factors, order=1, grid_mode=True, mode="nearest")
    return np.asarray(away[tuple(map(slice, smooth.shape))] > smooth, dtype=bool)


def kept_arrays(work: Work, truth: dict[str, npt.NDArray[Any]]) -> tuple[dict[str, Any], Grid]:
    """Return the arrays of a scan that has walked the road, cut to the brain, and their grid."""
    mask = work.need("mask")
    margin = np.ceil(MARGIN_MM / work.grid.spacing_mm).astype(int)
    box = tuple(
        slice(max(s.start - int(m), 0), min(s.stop + int(m), n))
        for s, m, n in zip(bounding_box(mask), margin, work.grid.shape, strict=True)
    )
    volumes = {
        "brain_mask": mask,
        "magnitude": work.echoes.magnitude[work.reading_echo],
        "magnitude_first": work.echoes.magnitude[0],
        "magnitude_last": work.echoes.magnitude[-1],
        "swi": work.swi,
        "r2star": work.r2star,
        "local_field_ppm": work.local_field_ppm,
        "total_field_ppm": work.total_field_ppm if work.local_field_ppm is not None else None,
        "field_noise_ppm": work.field_noise_ppm,
        "field_mask": work.local_mask,
        "chi_ppm": work.chi_ppm,
        **{f"truth_{name}": volume for name, volume in truth.items()},
    }
    if work.tissue is not None:
        found = lesion_inputs(work)
        volumes |= {f"found_{name}": getattr(found, name) for name in FOUND}
        for name, where in (found.structures or {}).items():
            volumes[f"structure_{name}"] = where
        if work.regions is not None and work.regions.ok:
            volumes["found_regions"] = work.regions.labels.astype(np.int16)
    arrays = {}
    for name, volume in volumes.items():
        if volume is None:
            continue
        wide = volume.dtype.kind == "f"
        arrays[name] = np.ascontiguousarray(volume[box], dtype=np.float32 if wide else None)
    return arrays, work.grid.cut(box)


def save(path: Path, arrays: dict[str, Any], grid: Grid, facts: dict[str, Any]) -> None:
    """Write one kept scan; a half-written one never gets its name."""
    facts = {"form": FORM, "affine": grid.affine.tolist(), **facts}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part.npz")
    np.savez(part, facts=np.array(json.dumps(facts)), **arrays)
    part.rename(path)


def make(path: Path, person: int, part: int, seed: int, atlas: Atlas, heads: Heads) -> None:
    """Simulate one scan, walk it to its maps, keep it."""
    of_person = np.random.default_rng([seed, person, 990])
    kind, params = drawn_params(of_person)
    if part == VEINS:
        params = replace(params, vessels=varied_vessels(of_person))
    patient = heads_patient(params, seed, person, atlas)
    protocol = protocol_of(person, part, seed)
    rng = scan_stream(seed, person, part)
    scan = scan_patient(patient, protocol, atlas, rng, heads=heads)
    work = Work(
        scan=Scan(
            echoes=scan.echoes, name=ScanName((("sub", f"{person:03d}"),)),
            header=Header(**scan.header), kind="arrays", sources=(),
        ),
        settings=Settings(phase_sign="+1"),
    )  # fmt: skip
    if part not in ROAD:
        brain = scan.truth.maps["desc-brain_mask"] > 0
        work.given_mask = rough_mask(brain, scan.echoes.grid, rng)
    walk(work, ROAD.get(part, ("invert", "r2star", "swi")))
    arrays, grid = kept_arrays(
        work,
        {
            "labels": scan.truth.labels,
            "brain": scan.truth.maps["desc-brain_mask"],
            "veins": scan.truth.maps["desc-veins_probseg"].astype(np.float32),
            "regions": scan.truth.maps["desc-regions_dseg"],
        },
    )
    facts = {
        "person": f"{seed}-{person}", "protocol": f"random_{part}", "kind": kind,
        "b0_t": protocol.b0_t, "te_s": list(protocol.te_s),
        "reading_te_s": work.reading_te_s, "acquisition_type": protocol.acquisition_type,
        "lesions": scan.truth.lesions,
    }  # fmt: skip
    save(path, arrays, grid, facts)


_LAST: dict[tuple[int, int], Any] = {}


def heads_patient(params: SimulationParams, seed: int, person: int, atlas: Atlas) -> Any:
    """Return the person, the same object for each of their scans: `Heads` knows them by it."""
    key = (seed, person)
    if key not in _LAST:
        _LAST.clear()
        _LAST[key] = sample_patient(params, atlas, np.random.default_rng([seed, person]))
    return _LAST[key]


def adopt(path: Path, output: Path, raw: Path, name: str) -> None:
    """Keep a scan that `petechia run --save-intermediates` has made of a simulated dataset."""
    ref = next(iter(find_scans(raw)))
    scan = ref.load()
    tree = OutputTree(output)
    side = next(s for s in find_sides(raw / "derivatives" / "truth", None, truth=True))
    if side.labels is None or side.table is None:
        raise SystemExit(f"{raw}: no true lesions")
    work = Work(scan=scan, settings=Settings())

    def volume(key: str) -> Any:
        at = tree.path(key, ref.name)
        return read_nifti(at).only if at.exists() else None

    work.mask = volume("brain_mask") > 0.5
    work.swi, work.r2star = volume("swi"), volume("r2star")
    work.local_field_ppm, work.chi_ppm = volume("local_field"), volume("chi")
    if work.local_field_ppm is not None:
        noise = next(output.rglob("*_desc-fieldnoise.nii.gz"), None)
        work.field_noise_ppm = None if noise is None else read_nifti(noise).only
        work.local_mask = work.local_field_ppm != 0
        total = next(output.rglob("*_desc-totalfield.nii.gz"), None)
        work.total_field_ppm = None if total is None else read_nifti(total).only
    truth = {"labels": read_nifti(side.labels).only.round().astype(np.int16)}
    for key, map_name in (("brain", "brain"), ("veins", "veins"), ("regions", "regions")):
        found = read_nifti(side.maps[map_name]).only
        truth[key] = found if key == "veins" else found.round().astype(np.int16)
    arrays, grid = kept_arrays(work, truth)
    person = name.rpartition("_")[2]
    facts = {
        "person": f"7100-{person}", "protocol": name, "kind": "adopted",
        "b0_t": scan.echoes.b0_t, "te_s": list(scan.echoes.te_s),
        "reading_te_s": work.reading_te_s, "acquisition_type": scan.header.acquisition_type,
        "lesions": read_table(side.table),
    }  # fmt: skip
    save(path, arrays, grid, facts)


def main() -> None:
    """Make or adopt what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--n", type=int, default=20, help="people")
    parser.add_argument("--first", type=int, default=0, help="number of the first person")
    parser.add_argument(
        "--seed", type=int, help="20000; --whole 21000, --thick 22000, --fine 23000, --veins 25000"
    )
    parser.add_argument("--whole", action="store_true", help="whole heads on the whole road")
    parser.add_argument("--thick", action="store_true", help="the same, in thick slices alone")
    parser.add_argument("--fine", action="store_true", help="the same, in fine voxels alone")
    parser.add_argument("--veins", action="store_true", help="the same, with veins drawn at random")
    parser.add_argument("--thin-at", type=float, metavar="TESLA", help="thin slices at this field")
    parser.add_argument("--adopt", nargs=2, type=Path, metavar=("OUTPUT", "RAW"))
    args = parser.parse_args()
    kept = args.work / "scans"
    if args.adopt:
        output, raw = args.adopt
        path = kept / f"adopted_{raw.name}.npz"
        if not path.exists():
            adopt(path, output, raw, raw.name)
        return
    roads = {THICK: args.thick, FINE: args.fine, VEINS: args.veins, WHOLE: args.whole}
    parts: Sequence[int] = [part for part, on in roads.items() if on][:1] or range(WHOLE)
    seed = args.seed if args.seed is not None else SEEDS[parts[0]]
    atlas, heads = atlas_from(load_arrays("template")), Heads(most=2)
    with threads(1):
        for person in range(args.first, args.first + args.n):
            for part in parts:
                path = kept / f"{seed}_{person:03d}_{part}.npz"
                wanted = args.thin_at is None or is_thin_at(
                    protocol_of(person, part, seed), args.thin_at
                )
                if path.exists() or not wanted:
                    continue
                try:
                    make(path, person, part, seed, atlas, heads)
                except PetechiaError as error:  # the road refuses a scan: there is nothing to learn
                    print(f"{path.name}: {error}", flush=True)
                    continue
                print(path.name, flush=True)


if __name__ == "__main__":
    main()
