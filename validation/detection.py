"""Measure detection alone, on simulated scans whose imaging is kept.

usage: python validation/detection.py WORK [--people 1] [--seed 9600] [--protocol NAME]...
       [--light] [--microbleeds 30] [--calcifications 10] [--own-people] [--lean] [--again]
       [--table FILE]
       python validation/detection.py WORK --datasets RAW:OUT [--datasets RAW:OUT]...
       [--again] [--table FILE]
       python validation/detection.py WORK --heads HEADS [--again] [--table FILE]

Each scan is simulated and goes down the road up to the detector once; what the detector is given
is kept in WORK/inputs, so that a change of the detector is measured in half a minute a scan
(--again); with --lean it is deleted once measured. With --own-people no person is scanned under two
protocols. With --datasets the inputs come from datasets that are there: RAW with its truth, OUT
made by `petechia run --save-intermediates`. With --heads they are the scans that
`training/heads.py HEADS` made, of people that the detector was never trained on. With --light
voxels are twice as large along every encoded axis. Seeds from 9600 set nothing, but for 9800 to
9805, 9820 to 9823, 9840 to 9845, 9860 to 9862, 9870 to 9873, 9880 to 9885, 9900 to 9903, 9920 to
9923, 34100 to 34107, 34110 to 34114, 34120 to 34124, 34126, 34127, 34130 and 34140 to 34143, with
which the detector was trained (training/README.md).

How lesions are counted. Only visible ones (a void in the truth) are asked for. A microbleed has a
candidate when a measured void overlaps its own or lies within 2 mm of its centre. Moment and size
are read from the finding that overlaps it most, of candidates that are one to one with a lesion.
Detection matches counted findings one to one within 5 mm or a slice; what meets an invisible
microbleed counts neither way. Probabilities are judged over all findings.
"""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from acceptance import lightened
from detection_tables import lines

from petechia.anatomy.regions import Regions
from petechia.anatomy.sites import REGIONS
from petechia.apps.cli.run import cores
from petechia.core.grid import Grid
from petechia.core.matching import distances_mm, one_to_one
from petechia.core.morphology import bounding_box, distance_inside_mm
from petechia.files.find import find_scans
from petechia.files.nifti import read_nifti
from petechia.files.scan import ScanRef
from petechia.lesions.detect import detect
from petechia.lesions.inputs import ARRAYS, LesionInputs
from petechia.lesions.params import DetectParams
from petechia.lesions.slices import is_thick
from petechia.pipeline.detector import detector
from petechia.pipeline.evaluation_files import find_sides
from petechia.pipeline.evaluation_read import read_table
from petechia.pipeline.provenance import threads
from petechia.pipeline.settings import Settings
from petechia.pipeline.simulated import simulate_dataset
from petechia.pipeline.stages import lesion_inputs, tissue_stage, walk
from petechia.pipeline.work import Work
from petechia.simulate.patient import SimulationParams
from petechia.simulate.protocols import PROTOCOLS

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
from examples import inputs_of
from kept import read_kept

STRUCTURE = "structure_"
MARGIN_MM = 15.0
COUNTED_WITHIN_MM, CANDIDATE_WITHIN_MM = 5.0, 2.0
ALL = 1_000_000


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Case:
    """What the detector is given of one scan, and the truth on the same grid."""

    inputs: LesionInputs
    labels: np.ndarray
    lesions: list[dict[str, str]]


def keep(path: Path, case: Case, regions: np.ndarray) -> None:
    """Write a case, cut to the brain and a margin."""
    inputs = case.inputs
    margin = np.ceil(MARGIN_MM / inputs.grid.spacing_mm).astype(int)
    box = tuple(
        slice(max(s.start - m, 0), min(s.stop + m, n))
        for s, m, n in zip(bounding_box(inputs.brain_mask), margin, inputs.grid.shape, strict=True)
    )
    arrays = {name: getattr(inputs, name) for name in ARRAYS}
    arrays = {k: v[box] for k, v in arrays.items() if v is not None}
    arrays = {k: v if v.dtype == bool else v.astype(np.float32) for k, v in arrays.items()}
    for name, where in (inputs.structures or {}).items():
        arrays[f"{STRUCTURE}{name}"] = where[box]
    grid = inputs.grid.cut(box)
    facts = {
        "affine": grid.affine.tolist(),
        "b0_t": inputs.b0_t,
        "reading_te_s": inputs.reading_te_s,
        "sign_trusted": bool(inputs.sign_trusted),
        "lesions": case.lesions,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part.npz")
    np.savez(
        part,
        facts=np.array(json.dumps(facts)),
        truth_labels=case.labels[box].astype(np.int16),
        region_labels=regions[box].astype(np.int16),
        **arrays,
    )
    part.replace(path)


def load(path: Path) -> Case:
    """Read a case that `keep` wrote."""
    with np.load(path) as kept:
        arrays = {name: kept[name] for name in kept.files}
    facts = json.loads(str(arrays.pop("facts")))
    labels, regions = arrays.pop("truth_labels"), arrays.pop("region_labels")
    grid = Grid(labels.shape, np.array(facts["affine"]))
    known = {f.name for f in fields(LesionInputs)}
    structures = {k.removeprefix(STRUCTURE): v for k, v in arrays.items() if STRUCTURE in k}
    where = Regions(labels=regions, table=REGIONS, grid=grid, ok=bool(regions.any()), says="")
    inputs = LesionInputs(
        grid=grid,
        b0_t=facts["b0_t"],
        reading_te_s=facts["reading_te_s"],
        sign_trusted=facts["sign_trusted"],
        structures=structures or None,
        region_of=where.at if where.ok else None,
        **{k: v for k, v in arrays.items() if k in known},
    )
    return Case(inputs=inputs, labels=labels, lesions=facts["lesions"])


def simulated(
    work: Path, name: str, protocol: str, seed: int, counts: tuple[int, int], *, light: bool
) -> Path:
    """Return the kept inputs of one simulated person, made when they are not there."""
    path = work / "inputs" / f"{name}.npz"
    if path.exists():
        return path
    table = dict(PROTOCOLS)
    if light:
        PROTOCOLS.update({k: lightened(v) for k, v in table.items()})
    root = work / "raw" / name
    params = SimulationParams(
        protocol=protocol, n_microbleeds=counts[0], n_calcifications=counts[1]
    )
    with threads(cores()):
        simulate_dataset(root, params, seed=seed)
        PROTOCOLS.update(table)
        start = Work(scan=next(iter(find_scans(root))).load(), settings=Settings())
        walk(start, ["invert", "r2star", "swi", "regions", "tissue"])
        inputs = lesion_inputs(start)
    labels, lesions = truth_of(root)
    regions = start.regions.labels if start.regions is not None and start.regions.ok else None
    keep(
        path,
        Case(inputs=inputs, labels=labels, lesions=lesions),
        np.zeros(inputs.grid.shape) if regions is None else regions,
    )
    return path


def truth_of(
    root: Path, entities: frozenset[tuple[str, str]] = frozenset()
) -> tuple[np.ndarray, list[dict[str, str]]]:
    """Return true labels and rows of a scan of a dataset, of the only one when none is named."""
    sides = find_sides(root / "derivatives" / "truth", None, truth=True)
    side = sides[0] if len(sides) == 1 else next((s for s in sides if s.entities == entities), None)
    if side is None:
        raise SystemExit(f"{root}: no truth of {sorted(entities)}")
    if side.labels is None or side.table is None:
        raise SystemExit(f"{root}: no true lesions")
    return read_nifti(side.labels).only.round().astype(np.int16), read_table(side.table)


def from_dataset(work: Path, name: str, ref: ScanRef, raw: Path, out: Path) -> Path:
    """Return the kept inputs of a scan of a dataset that was run, made when they are not there."""
    path, stem = work / "inputs" / f"{name}.npz", ref.name.prefix
    if path.exists():
        return path
    mask_file = next(out.rglob(f"{stem}_desc-brain_mask.nii.gz"), None)
    if mask_file is None:
        raise SystemExit(f"{out}: no results of {stem}. Run petechia run --save-intermediates.")
    work_on = Work(scan=ref.load(), settings=Settings())
    work_on.mask = read_nifti(mask_file).only > 0.5
    names = {
        "swi": "_swi", "r2star": "_R2starmap", "local_field_ppm": "_desc-local_fieldmap",
        "total_field_ppm": "_desc-totalfield", "field_noise_ppm": "_desc-fieldnoise",
        "chi_ppm": "_Chimap",
    }  # fmt: skip
    for attribute, ending in names.items():
        for file in out.rglob(f"{stem}{ending}.nii.gz"):
            setattr(work_on, attribute, read_nifti(file).only.astype(np.float32))
    if work_on.local_field_ppm is not None:
        work_on.local_mask = work_on.local_field_ppm != 0
    (summary,) = out.rglob(f"{stem}_desc-petechia_summary.json")
    checks = json.loads(summary.read_text(encoding="utf-8"))["fitness"]
    work_on.sign_trusted = any(
        c["check"].startswith("handedness") and c["status"] == "ok" for c in checks
    )
    tissue_stage(work_on)
    inputs = lesion_inputs(work_on)
    (regions,) = out.rglob(f"{stem}_desc-regions_dseg.nii.gz")
    labels, lesions = truth_of(raw, frozenset(ref.name.entities))
    keep(path, Case(inputs=inputs, labels=labels, lesions=lesions), read_nifti(regions).only)
    return path


def family_of(path: Path) -> str:
    """Return the family of protocols of a scan of `training/heads.py`."""
    with np.load(path) as kept:
        facts = json.loads(str(kept["facts"]))
    if is_thick(Grid((1, 1, 1), np.array(facts["affine"])).spacing_mm.max()):
        return "thick slices"
    return "multi-echo" if len(facts["te_s"]) > 1 else "single-echo"


def of_head(path: Path) -> Case:
    """Return a scan of `training/heads.py` with its truth."""
    kept = read_kept(path)
    lesions = [{k: str(v) for k, v in row.items()} for row in kept.facts["lesions"]]
    return Case(inputs=inputs_of(kept), labels=kept.arrays["truth_labels"], lesions=lesions)


def measured(case: Case, params: DetectParams | None = None) -> dict[str, Any]:
    """Detect, and return what became of every lesion and what every finding was."""
    begin = time.perf_counter()
    slice_mm = float(case.inputs.grid.spacing_mm.max())
    model = detector(slice_mm=slice_mm, signed=case.inputs.has_sign)
    balanced = model.operating_points["balanced"]
    found = detect(
        case.inputs, params or DetectParams(most_findings=ALL, threshold=balanced), model
    )
    seconds = time.perf_counter() - begin
    grid, labels = case.inputs.grid, case.labels
    edge = distance_inside_mm(case.inputs.brain_mask, grid)
    places = np.array([[f.x_mm, f.y_mm, f.z_mm] for f in found.findings]).reshape(-1, 3)
    true_mm = np.array(
        [[float(r[a]) for a in ("x_mm", "y_mm", "z_mm")] for r in case.lesions]
    ).reshape(-1, 3)
    away = distances_mm(true_mm, places)
    overlap = np.zeros(away.shape)
    both = (labels > 0) & (found.labels > 0)
    np.add.at(overlap, (labels[both] - 1, found.labels[both] - 1), 1)
    chosen = _own(overlap, away)
    size = np.bincount(found.labels.ravel(), minlength=len(places) + 1)[1:]
    true_size = np.bincount(labels.ravel(), minlength=len(true_mm) + 1)[1:]
    lesions = []
    for n, row in enumerate(case.lesions):
        m = chosen.get(n)
        f = None if m is None else found.findings[m]
        at = np.clip(np.rint(grid.to_index(true_mm[n])).astype(int), 0, np.array(grid.shape) - 1)
        near = away[n].min() if len(places) else np.inf
        told: dict[str, Any] = {
            "class": row["class"],
            "visible": row["visible"] == "1",
            "true_moment": float(row["moment_ppm_mm3"]),
            "true_diameter": float(row["apparent_diameter_mm"]),
            "edge_mm": float(edge[tuple(at)]),
            "candidate": bool(overlap[n].any() or near <= CANDIDATE_WITHIN_MM),
        }
        if f is not None and m is not None:
            told |= {
                "found_class": f.class_,
                "sign": f.sign,
                "probability": f.probability,
                "moment": f.moment_ppm_mm3,
                "se": f.moment_se_ppm_mm3,
                "diameter": f.diameter_mm,
                "dice": float(2 * overlap[n, m] / max(size[m] + true_size[n], 1)),
            }
        lesions.append(told)
    return {
        "seconds": seconds,
        "slice_mm": slice_mm,
        "candidates": len(found.findings),
        "lesions": lesions,
        **_detected(case, found.findings, true_mm, places),
    }


def _own(overlap: np.ndarray, away: np.ndarray) -> dict[int, int]:
    """Return which finding is whose: the largest overlap first, then the nearest in 2 mm."""
    if not overlap.size:
        return {}
    score = np.where(overlap > 0, overlap + 1.0, np.where(away <= 2.0, 1.0 / (1.0 + away), 0.0))
    own: dict[int, int] = {}
    for flat in np.argsort(-score, axis=None, kind="stable"):
        n, m = np.unravel_index(flat, score.shape)
        if score[n, m] <= 0:
            break
        if int(n) not in own and int(m) not in own.values():
            own[int(n)] = int(m)
    return own


def _detected(
    case: Case, findings: Sequence[Any], true_mm: np.ndarray, places: np.ndarray
) -> dict[str, Any]:
    """Return hits by lesion, false positives, and probabilities with their truth."""
    radius = max(COUNTED_WITHIN_MM, float(case.inputs.grid.spacing_mm.max()))
    bleed = np.array([r["class"] == "microbleed" for r in case.lesions], dtype=bool)
    shown = np.array([r["visible"] == "1" for r in case.lesions], dtype=bool)
    asked, hidden = bleed & shown, bleed & ~shown
    counted = np.array([f.counted for f in findings], dtype=bool)
    hits = one_to_one(true_mm[asked], places[counted], radius)
    hit = np.zeros(len(bleed), dtype=bool)
    hit[np.flatnonzero(asked)[hits.hit]] = True
    false = places[counted][~hits.good]
    excused = _near(false, true_mm[hidden], radius)
    on_calcium = _near(
        false, true_mm[np.array([r["class"] == "calcification" for r in case.lesions])], radius
    )
    # every finding with a probability takes part, the surest first
    p = np.array([f.probability for f in findings])
    said = one_to_one(true_mm[asked], places, radius).good
    judged = said | ~_near(places, true_mm[hidden], radius)
    return {
        "hit": hit.tolist(),
        "false": int((~excused).sum()),
        "false_calcification": int((on_calcium & ~excused).sum()),
        "p": p[judged].round(4).tolist(),
        "y": said[judged].astype(int).tolist(),
    }


def _near(places: np.ndarray, others: np.ndarray, radius_mm: float) -> np.ndarray:
    """Return which places lie within a radius of any other."""
    if not len(places) or not len(others):
        return np.zeros(len(places), dtype=bool)
    return np.asarray((distances_mm(others, places) <= radius_mm).any(axis=0))


def main() -> None:
    """Simulate or read, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--people", type=int, default=1)
    parser.add_argument("--seed", type=int, default=9600)
    parser.add_argument("--protocol", action="append", default=[])
    parser.add_argument("--microbleeds", type=int, default=30)
    parser.add_argument("--calcifications", type=int, default=10)
    parser.add_argument("--light", action="store_true")
    parser.add_argument("--datasets", action="append", default=[], metavar="RAW:OUT")
    parser.add_argument("--own-people", action="store_true", help="other people a protocol")
    parser.add_argument("--lean", action="store_true", help="keep results only, no inputs")
    parser.add_argument("--heads", type=Path, help="scans of training/heads.py, never trained on")
    parser.add_argument("--again", action="store_true", help="measure once more")
    parser.add_argument("--table", type=Path)
    args = parser.parse_args()
    scans: dict[str, dict[str, Any]] = {}
    for name, make in _cases(args):
        kept = args.work / "detection" / f"{name}.json"
        if args.again or not kept.exists():
            made = make()
            case = load(made) if isinstance(made, Path) else made
            with threads(cores()):
                told = measured(case)
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(told), encoding="utf-8")
            if args.lean and not (args.datasets or args.heads):
                (args.work / "inputs" / f"{name}.npz").unlink()
                shutil.rmtree(args.work / "raw" / name, ignore_errors=True)
        scans[name] = json.loads(kept.read_text(encoding="utf-8"))
    text = [f"{datetime.now(UTC):%Y-%m-%d}, {len(scans)} scans.", *lines(scans)]
    print("\n".join(text))
    if args.table:
        args.table.write_text("\n".join(text) + "\n", encoding="utf-8")


def _cases(args: argparse.Namespace) -> Iterator[tuple[str, Callable[[], Path | Case]]]:
    """Yield the name of each scan and how its inputs are had."""
    if args.heads:
        for path in sorted((args.heads / "scans").glob("*.npz")):
            if ".part" not in path.name:
                yield f"{family_of(path)}_{path.stem.replace('_', '-')}", lambda p=path: of_head(p)
        return
    for pair in args.datasets:
        raw, _, out = map(Path, pair.partition(":"))
        for ref in find_scans(raw):
            name = f"{raw.name}_{ref.name.prefix.replace('_', '-')}"
            yield (
                name,
                lambda n=name, s=ref, r=raw, o=out: from_dataset(args.work, n, s, r, o),
            )
    if args.datasets:
        return
    counts = (args.microbleeds, args.calcifications)
    ending = ("-light" if args.light else "") + ("" if counts[0] else "-clean")
    for number, protocol in enumerate(args.protocol or ["demo_light"]):
        first = args.seed + (number * args.people if args.own_people else 0)
        for seed in range(first, first + args.people):
            name = f"{protocol}{ending}_{seed}"
            yield (
                name,
                lambda n=name, p=protocol, s=seed: simulated(
                    args.work, n, p, s, counts, light=args.light
                ),
            )


if __name__ == "__main__":
    main()
