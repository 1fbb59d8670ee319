"""Measure how well a CT is brought to a gradient echo, and calcium read there.

usage: python validation/ct.py WORK [--people 2] [--seed 9710] [--poses 10]
       [--only-done] [--table FILE]

Simulated people with microbleeds and calcifications are scanned by gradient echo; each is then
laid into a simulated CT anew, turned by up to 30 degrees and displaced by up to 40 mm, with
thin and thick slices, a leaning gantry, a cut field of view, and bed and headrest in view.
Besides, each gradient echo is given the CT of another person. The error of a registration is
taken over the true brain; density is read at the true voids. What is finished in WORK is not
done again. The seeds were never used to set anything.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from petechia.anatomy.brainmask import brain_mask
from petechia.anatomy.ct import LEAST_FLUID, fluid_on_ct, to_ct
from petechia.anatomy.density import DILATED_MM, density_at, skull_voxels
from petechia.anatomy.regions import label_regions
from petechia.anatomy.registration import register
from petechia.anatomy.sites import VENTRICLE_LABELS
from petechia.anatomy.template import template_from
from petechia.anatomy.tissue import tissue_map
from petechia.apps.cli.run import cores
from petechia.assets.store import load_arrays
from petechia.contrast.combine import combine_magnitude
from petechia.pipeline.provenance import threads
from petechia.simulate.atlas import Atlas, atlas_from
from petechia.simulate.ct import CtProtocol, simulate_ct
from petechia.simulate.head import CENTRE_MM, make_head
from petechia.simulate.heads import Heads
from petechia.simulate.patient import (
    Patient,
    SimulatedScan,
    SimulationParams,
    sample_patient,
    scan_patient,
)
from petechia.simulate.protocols import PROTOCOLS
from petechia.simulate.render import Pose, sample_pose

GRADIENT_ECHOES = ("demo_light", "1.5t_t2star_2d_5mm")
CTS = {
    "5 mm": CtProtocol(shape=(240, 240, 36), pixel_mm=1.0),
    "1.5 mm": CtProtocol(shape=(240, 240, 120), pixel_mm=1.0, slice_mm=1.5, noise_hu=10.0),
    "5 mm, gantry leans 18 degrees": CtProtocol(shape=(240, 240, 36), pixel_mm=1.0, tilt_deg=18.0),
    "2.5 mm, lower part cut": CtProtocol(
        shape=(240, 240, 44), pixel_mm=1.0, slice_mm=2.5, noise_hu=7.0
    ),
}
CUT_MM = 25.0
HEAD_MM = 1.2


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Subject:
    """A person as the gradient echo saw them."""

    patient: Patient
    pose: Pose
    scan: SimulatedScan
    magnitude: np.ndarray
    brain: np.ndarray
    fluid: np.ndarray


def subject(atlas: Atlas, protocol: str, person: int, seed: int) -> Subject:
    """Draw a person, scan them, find the brain."""
    params = SimulationParams(n_microbleeds=15, n_calcifications=14)
    patient = sample_patient(params, atlas, np.random.default_rng([seed, person]))
    pose = sample_pose(np.random.default_rng([seed, person, 1]))
    chosen = replace(PROTOCOLS[protocol], head_mm=1.2)
    rng = np.random.default_rng([seed, person, 2])
    scan = scan_patient(patient, chosen, atlas, rng, pose=pose, heads=Heads(most=0))
    echoes = scan.echoes
    arrays = load_arrays("template")
    there = template_from(arrays)
    brain = brain_mask(echoes.magnitude, echoes.grid, there).mask
    magnitude = combine_magnitude(echoes.magnitude, echoes.te_s)
    site = register(magnitude, echoes.grid, there, mask=brain)
    regions = label_regions(site, there, brain, echoes.grid).labels
    tissue = tissue_map(
        echoes.magnitude, brain, echoes.grid,
        prior_csf=site.to_scan(arrays["csf"], nearest=False, grid=echoes.grid),
        prior_ventricles=np.isin(regions, VENTRICLE_LABELS),
    )  # fmt: skip
    return Subject(
        patient=patient, pose=pose, scan=scan, magnitude=magnitude, brain=brain, fluid=tissue.csf
    )


def laid_anew(pose: Pose, rng: np.random.Generator) -> Pose:
    """Return a pose up to 30 degrees and 40 mm from another."""
    axis, way = (v / np.linalg.norm(v) for v in rng.normal(size=(2, 3)))
    turn = Rotation.from_rotvec(np.deg2rad(rng.uniform(0, 30)) * axis).as_matrix()
    return Pose(turn=turn @ pose.turn, shift_mm=pose.shift_mm + rng.uniform(0, 40) * way)


def from_scanner(pose: Pose) -> np.ndarray:
    """Return the map from scanner to head [mm]."""
    out = np.eye(4)
    out[:3, :3] = pose.turn.T
    out[:3, 3] = CENTRE_MM - pose.turn.T @ pose.shift_mm
    return out


def measured(who: Subject, head: Any, patient: Patient, name: str, rng: Any) -> dict[str, Any]:
    """Lay a head into a CT, bring the CT to the scan, and measure; `patient` is in the CT."""
    pose = laid_anew(who.pose, rng)
    ct = CTS[name]
    if name.endswith("cut"):
        ct = replace(ct, centre_mm=tuple(pose.shift_mm + np.array([0.0, 0.0, CUT_MM])))
    hu = simulate_ct(head, patient.sources, pose, ct, rng)
    grid = who.scan.echoes.grid
    fit = to_ct(who.magnitude, who.brain, grid, hu, ct.grid)
    agree = fluid_on_ct(who.fluid, who.brain, grid, hu, ct.grid, fit.matrix)
    says = fit.says if agree >= LEAST_FLUID or not fit.ok else f"fluid agrees by {agree:.2f}"
    out: dict[str, Any] = {
        "ct": name, "ok": bool(fit.ok and not agree < LEAST_FLUID), "says": says,
        "uncertainty_mm": fit.uncertainty_mm, "overlap": fit.overlap, "fluid": agree,
    }  # fmt: skip
    if patient is not who.patient:
        return out
    truth = np.linalg.inv(from_scanner(pose)) @ from_scanner(who.pose)
    places = grid.to_mm(np.argwhere(who.scan.truth.maps["desc-brain_mask"] > 0)[::97])
    error = np.linalg.norm(
        (np.c_[places, np.ones(len(places))] @ (fit.matrix - truth).T)[:, :3], axis=1
    )
    out |= {"error_mm": float(error.mean()), "worst_mm": float(np.percentile(error, 95))}
    if not fit.ok:
        return out
    skull = skull_voxels(hu, ct.grid)
    reach = DILATED_MM + fit.uncertainty_mm
    out["read"] = []
    for n, row in enumerate(who.scan.truth.lesions):
        voxels = np.argwhere(who.scan.truth.labels == n + 1)
        if row["class"] not in ("microbleed", "calcification") or not len(voxels):
            continue
        if who.patient.sources[n].bodies:  # plaques of the falx, which the simulated CT leaves out
            continue
        density = density_at(grid.to_mm(voxels), fit.matrix, hu, skull, ct.grid, reach)
        volume = abs(float(row["moment_ppm_mm3"]) / float(row["chi_ppm"]))
        out["read"].append([row["class"], volume, density.hu, density.says])
    return out


def scored(
    work: Path, atlas: Atlas, protocol: str, person: int, seed: int, poses: int, only_done: bool
) -> dict[str, Any]:
    """Measure one person in all poses; what was measured before is not done again."""
    names = [f"own_{n}" for n in range(poses)] + [f"other_{n}" for n in range(2)]
    places = {name: work / "ct" / f"{protocol}_{person}_{name}.json" for name in names}
    who, heads = None, {}
    for name, place in places.items():
        if place.exists() or only_done:
            continue
        who = who or subject(atlas, protocol, person, seed)
        kind, n = name.split("_")
        rng = np.random.default_rng([seed, person, 3 if kind == "own" else 4, int(n)])
        patient = who.patient
        if kind == "other":
            clean = SimulationParams(n_microbleeds=0)
            patient = sample_patient(clean, atlas, np.random.default_rng([seed, person, 5]))
        if kind not in heads:
            heads = {kind: make_head(patient.head, atlas, HEAD_MM)}
        row = measured(who, heads[kind], patient, list(CTS)[int(n) % len(CTS)], rng)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(row, indent=1), encoding="utf-8")
    rows = {
        name: json.loads(place.read_text("utf-8"))
        for name, place in places.items()
        if place.exists()
    }
    own = [row for name, row in rows.items() if name.startswith("own")]
    other = [row for name, row in rows.items() if name.startswith("other")]
    return {"protocol": protocol, "own": own, "other": other}


def lines(people: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the tables."""
    every = [(p["protocol"], row) for p in people for row in p["own"]]
    yield "| gradient echo, CT | poses | accepted | median error | 95 % | worst | worst accepted | uncertainty |"  # noqa: E501
    yield "|---|---|---|---|---|---|---|---|"
    for protocol in dict.fromkeys(p for p, _ in every):
        for name in CTS:
            rows = [r for p, r in every if p == protocol and r["ct"] == name]
            if rows:
                yield f"| {protocol}, {name} | " + _errors(rows)
    yield "| all | " + _errors([row for _, row in every])
    yield ""
    refused = [row["says"] for _, row in every if not row["ok"]]
    yield f"Refused: {'; '.join(refused) or 'none'}."
    others = [row for p in people for row in p["other"]]
    wrong = sum(row["ok"] for row in others)
    overlap = ", ".join(f"{row['overlap']:.2f}" for row in others)
    fluids = [", ".join(f"{r['fluid']:.2f}" for r in rows if "fluid" in r)
              for rows in (others, [row for _, row in every])]  # fmt: skip
    told = (
        f"{wrong} of {len(others)} accepted (overlaps {overlap}; agreement on fluid {fluids[0]})"
        if others
        else "not measured"
    )
    yield f"CT of another person: {told}."
    yield f"Agreement on fluid with one's own CT: {fluids[1]}; refused below {LEAST_FLUID}."
    yield ""
    yield "| at true voids, registered CT | read | not read | median HU | 95 % HU | >= 100 HU |"
    yield "|---|---|---|---|---|---|"
    reads = [(row["ct"], *r) for _, row in every for r in row.get("read", ())]
    for name in CTS:
        for kind, low, high in (
            ("microbleed", 0, np.inf), ("calcification", 0, 5), ("calcification", 5, np.inf),
        ):  # fmt: skip
            own = [r for r in reads if r[0] == name and r[1] == kind and low <= r[2] < high]
            hu = np.array([r[3] for r in own if r[3] is not None])
            if not own or not len(hu):
                continue
            size = "" if kind == "microbleed" else f" {'below' if high == 5 else 'from'} 5 mm3"
            yield (
                f"| {kind}{size}, CT {name} | {len(hu)} | {len(own) - len(hu)} | "
                f"{np.median(hu):.0f} | {np.percentile(hu, 95):.0f} | {(hu >= 100).mean():.2f} |"
            )


def _errors(rows: list[dict[str, Any]]) -> str:
    error = np.array([row["error_mm"] for row in rows])
    ok = np.array([row["ok"] for row in rows])
    kept = f"{error[ok].max():.2f}" if ok.any() else "n/a"
    told = np.median([row["uncertainty_mm"] for row in rows])
    return (
        f"{len(rows)} | {ok.sum()} | {np.median(error):.2f} | {np.percentile(error, 95):.2f} | "
        f"{error.max():.2f} | {kept} | {told:.2f} |"
    )


def main() -> None:
    """Simulate, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--people", type=int, default=2)
    parser.add_argument("--seed", type=int, default=9710)
    parser.add_argument("--poses", type=int, default=10)
    parser.add_argument("--only-done", action="store_true", help="tables of what is there")
    parser.add_argument("--table", type=Path)
    args = parser.parse_args()
    atlas = atlas_from(load_arrays("template"))
    with threads(cores()):
        people = [
            scored(args.work, atlas, protocol, person, args.seed, args.poses, args.only_done)
            for person, protocol in enumerate(
                GRADIENT_ECHOES[n % len(GRADIENT_ECHOES)] for n in range(args.people)
            )
        ]
    command = (
        f"python validation/ct.py WORK --people {args.people} --seed {args.seed} "
        f"--poses {args.poses}"
    )
    text = [
        f"# A CT brought to the gradient echo\n\n{datetime.now(UTC):%Y-%m-%d}, `{command}`. "
        f"{sum(len(p['own']) for p in people)} of {args.people * args.poses} poses done. "
        "Errors in mm, mean over the true brain; all simulated.\n",
        *lines(people),
    ]
    print("\n".join(text))
    if args.table:
        args.table.write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
