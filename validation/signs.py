"""Measure what is read on T2w, FLAIR and T1w of unseen simulated people.

usage: python validation/signs.py WORK [--people 8] [--seed 9500] [--only-done] [--table FILE]

Every person has a gradient echo on 2.4 mm voxels, which gives brain, sites and the place of the
head, and T1w, T2w and FLAIR in another pose: volumes of 1 mm for even numbers, axial slices of
3 mm (T2w) and 5 mm (FLAIR) with pixels of 0.7 mm for odd ones. Loads of hyperintensity, lacunes,
perivascular spaces and edema are drawn for each. Besides, every gradient echo is given the FLAIR
of the person before. Truth is what was drawn. What is finished in WORK is not done again.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from petechia.anatomy.brainmask import brain_mask
from petechia.anatomy.companion import LEAST_PEAK, to_companion
from petechia.anatomy.deformation import deform
from petechia.anatomy.regions import label_regions
from petechia.anatomy.registration import register
from petechia.anatomy.signs.fit import fluid_agreement
from petechia.anatomy.signs.normal import over_white_matter
from petechia.anatomy.signs.places import box_of, places_on
from petechia.anatomy.signs.read import NAMES, Sign, read_flair, read_spaces
from petechia.anatomy.signs.spaces import SpaceParams, fullest
from petechia.anatomy.sites import VENTRICLE_LABELS
from petechia.anatomy.template import template_from
from petechia.anatomy.tissue import tissue_map
from petechia.assets.store import load_arrays
from petechia.contrast.combine import combine_magnitude
from petechia.core.grid import Grid
from petechia.pipeline.provenance import threads
from petechia.pipeline.signs import LEAST_FLUID
from petechia.simulate.atlas import Atlas, atlas_from
from petechia.simulate.companions import (
    COMPANIONS,
    LABELS,
    moved,
    simulate_companion,
    sliced,
    truth_labels,
)
from petechia.simulate.head import Head, to_template
from petechia.simulate.heads import Heads
from petechia.simulate.patient import SimulationParams, sample_patient, scan_patient
from petechia.simulate.protocols import PROTOCOLS
from petechia.simulate.render import Pose, sample_pose
from petechia.simulate.signs import Signs, sample_signs, tube_shares

HEAD_MM = 1.2
SEEN = 0.3
"""A true space counts as visible where a millimetre voxel holds so much of it."""
SLICES_MM = {"T2w": 3.0, "FLAIR": 5.0}
MATCH_MM = 5.0


def person(work: Path, atlas: Atlas, n: int, seed: int) -> dict[str, Any]:
    """Return what was measured on one person; made when it is not there."""
    place = work / "signs" / f"{seed}_{n}.json"
    if place.exists():
        return json.loads(place.read_text("utf-8"))
    patient = sample_patient(SimulationParams(), atlas, np.random.default_rng([seed, n]))
    pose = sample_pose(np.random.default_rng([seed, n, 1]))
    heads = Heads(most=1)
    protocol = replace(PROTOCOLS["3t_tiny"], head_mm=HEAD_MM)
    rng = np.random.default_rng([seed, n, 2])
    scan = scan_patient(patient, protocol, atlas, rng, pose=pose, heads=heads)
    head = heads.of(patient.head, atlas, HEAD_MM).head
    spaces = None if patient.flow is None else patient.flow.spaces.segments
    signs = sample_signs(head, atlas, np.random.default_rng([seed, n, 3]), None, spaces)
    images, poses = {}, {}
    for at, (kind, whole) in enumerate(COMPANIONS.items()):
        own = sliced(whole, SLICES_MM[kind]) if n % 2 and kind in SLICES_MM else whole
        rng = np.random.default_rng([seed, n, 4, at])
        poses[kind] = moved(pose, rng)
        images[kind] = (simulate_companion(head, signs, poses[kind], own, rng), own.grid)
    keep = work / "signs" / f"{seed}_{n}_flair.npz"
    keep.parent.mkdir(parents=True, exist_ok=True)
    image, grid = images["FLAIR"]
    np.savez_compressed(keep, image=image.astype(np.float16), affine=grid.affine)
    row = measured(work, atlas, head, signs, scan.echoes, images, poses, n, seed)
    place.write_text(json.dumps(row, indent=1), encoding="utf-8")
    return row


def measured(
    work: Path, atlas: Atlas, head: Head, signs: Signs, echoes: Any,
    images: dict[str, tuple[np.ndarray, Grid]], poses: dict[str, Pose], n: int, seed: int,
) -> dict[str, Any]:  # fmt: skip
    """Read one person's scans as the road does, and compare with the truth."""
    arrays = load_arrays("template")
    there, grid = template_from(arrays), echoes.grid
    magnitude = combine_magnitude(echoes.magnitude, echoes.te_s)
    brain = brain_mask(echoes.magnitude, grid, there)
    fit = brain.registration or register(magnitude, grid, there, mask=brain.mask)
    fit = deform(fit, magnitude, brain.mask, there)
    regions = label_regions(fit, there, brain.mask, grid)
    tissue = tissue_map(
        echoes.magnitude, brain.mask, grid,
        prior_csf=fit.to_scan(arrays["csf"], nearest=False),
        prior_ventricles=np.isin(regions.labels, VENTRICLE_LABELS),
    )  # fmt: skip
    start = time.process_time()
    normal, where, agree, peaks = {}, {}, {}, {}
    for kind, (image, own) in images.items():
        rigid, peaks[kind] = to_companion(magnitude, grid, image, own)
        agree[kind] = fluid_agreement(
            tissue.csf, brain.mask, grid, image, own, rigid, kind == "T2w"
        )
        box = box_of(brain.mask, grid, rigid, own)
        tissue_of = {name: arrays[name] for name in ("wm", "gm", "csf")}
        where[kind] = (
            places_on(own.cut(box), rigid, brain.mask, regions.labels, fit, tissue_of), rigid, box
        )  # fmt: skip
        normal[kind] = image[box]
    flair = over_white_matter(normal["FLAIR"], where["FLAIR"][0])
    t2w = over_white_matter(normal["T2w"], where["T2w"][0])
    assert flair is not None and t2w is not None
    others = {k: found for k in ("T2w", "T1w") if (found := _on(k, "FLAIR", normal, where))}
    reading = read_flair(flair, where["FLAIR"][0], others)
    found = {
        **reading.signs,
        **read_spaces(t2w, where["T2w"][0], _on("FLAIR", "T2w", normal, where)),
    }
    seconds = time.process_time() - start
    out: dict[str, Any] = {
        "slices": bool(n % 2), "seconds": seconds, "agree": agree, "peaks": peaks,
        "read": {name: _plain(found[name]) for name in NAMES},
    }  # fmt: skip
    place, rigid, box = where["FLAIR"]
    labels = truth_labels(signs, head.grid, poses["FLAIR"], images["FLAIR"][1])[box]
    out["overlap"] = _overlap(labels, reading.labels, place.grid)
    out["truth"] = _truth(signs, head, atlas, labels, place.grid)
    out["lacunes"] = _matched(signs, poses["FLAIR"], reading.sites["lacunes"])
    before = work / "signs" / f"{seed}_{n - 1}_flair.npz"
    if before.exists():
        with np.load(before) as kept:
            image = kept["image"].astype(np.float32)
            own = Grid(image.shape, kept["affine"])
        rigid, peak = to_companion(magnitude, grid, image, own)
        agreement = fluid_agreement(tissue.csf, brain.mask, grid, image, own, rigid, False)
        out["other"] = {"peak": peak, "agree": agreement}
    return out


def _on(kind: str, target: str, images: dict[str, Any], where: dict[str, Any]) -> Any:
    from petechia.anatomy.compared import sampled

    world = where[kind][1] @ np.linalg.inv(where[target][1])
    brought = sampled(images[kind], where[kind][0].grid, world, where[target][0].grid)
    return over_white_matter(brought, where[target][0])


def _plain(sign: Sign) -> dict[str, Any]:
    return {"state": sign.state, "low": sign.low, "high": sign.high, "measure": sign.measure}


def _overlap(labels: np.ndarray, found: Any, grid: Grid) -> dict[str, list[float]]:
    """Return Dice and volumes [mL] of hyperintensity and edema."""
    ml, out = grid.voxel_mm3 / 1000, {}
    for name, words in (("hyperintensity", ("periventricular", "deep")), ("edema", ("edema",))):
        true = np.isin(labels, [LABELS[w] for w in words])
        seen = np.isin(found, [LABELS[w] for w in words])
        both = int((true & seen).sum())
        dice = 2 * both / max(int(true.sum() + seen.sum()), 1)
        out[name] = [dice, float(true.sum() * ml), float(seen.sum() * ml)]
    return out


def _truth(
    signs: Signs, head: Head, atlas: Atlas, labels: np.ndarray, grid: Grid
) -> dict[str, Any]:
    """Return grades as drawn and spaces counted as the software counts, on true places."""
    share = tube_shares(signs.spaces, head)
    visible = share > SEEN
    index = np.argwhere(visible)
    template = to_template(head.grid.to_mm(index), head.params, atlas)
    p = SpaceParams()
    out: dict[str, Any] = {
        "fazekas_periventricular": signs.periventricular,
        "fazekas_deep": signs.deep,
        "lacunes": len(signs.lacunes),
        "edema_ml": float((labels == LABELS["edema"]).sum() * grid.voxel_mm3 / 1000),
    }
    left = np.zeros(visible.shape, dtype=bool)
    left[tuple(index.T)] = template[:, 0] < 0
    low, high = p.ganglia_mm
    for name, part in (
        ("centrum_semiovale_pvs", template[:, 2] > p.centrum_above_mm),
        ("basal_ganglia_pvs", (template[:, 2] > low) & (template[:, 2] < high)),
    ):
        mask = np.zeros(visible.shape, dtype=bool)
        mask[tuple(index[part].T)] = True
        out[name] = fullest(mask, left, head.grid, p.slab_mm)
    return out


def _matched(signs: Signs, pose: Pose, found: list[tuple[float, float, float]]) -> list[list[Any]]:
    """Return [diameter, rim, found] of true lacunes, then what was found in excess."""
    left = list(found)
    out: list[list[Any]] = []
    for lacune in signs.lacunes:
        at = pose.to_scanner(lacune.centre_mm)
        away = [float(np.linalg.norm(np.asarray(place) - at)) for place in left]
        hit = bool(away) and min(away) <= max(MATCH_MM, lacune.diameter_mm / 2)
        if hit:
            left.pop(int(np.argmin(away)))
        out.append([lacune.diameter_mm, lacune.rim, hit])
    return [*out, ["excess", len(left)]]


def lines(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the tables."""
    for name, some in (("1 mm", [r for r in rows if not r["slices"]]),
                       ("3 mm T2w, 5 mm FLAIR", [r for r in rows if r["slices"]])):  # fmt: skip
        if some:
            yield f"## {name}: {len(some)} people"
            yield ""
            yield from _of(some)
            yield ""
    own = [r["agree"][k] for r in rows for k in r["agree"]]
    peaks = [r["peaks"][k] for r in rows for k in r["peaks"]]
    refused = sum(a < LEAST_FLUID or p < LEAST_PEAK for a, p in zip(own, peaks, strict=True))
    yield f"Own scans: {refused} of {len(own)} refused; agreement on fluid {_spread(own)}, peak {_spread(peaks)}."  # noqa: E501
    other = [r["other"] for r in rows if "other" in r]
    if other:
        taken = sum(o["agree"] >= LEAST_FLUID and o["peak"] >= LEAST_PEAK for o in other)
        yield (
            f"FLAIR of another person: {taken} of {len(other)} taken; agreement on fluid "
            f"{_spread([o['agree'] for o in other])}, peak {_spread([o['peak'] for o in other])}."
        )
    yield ""
    seconds = [r["seconds"] for r in rows]
    yield f"Registration and reading of three scans: {_spread(seconds, 0)} s of one processor."


def _spread(values: list[float], digits: int = 2) -> str:
    return f"{min(values):.{digits}f} to {max(values):.{digits}f}"


def _of(rows: list[dict[str, Any]]) -> Iterator[str]:
    over = np.array([r["overlap"]["hyperintensity"] for r in rows])
    some = over[over[:, 1] > 0.5]
    yield "| sign | measured |"
    yield "|---|---|"
    if len(some):
        error = np.abs(some[:, 2] - some[:, 1])
        yield (
            f"| hyperintensity above 0.5 mL ({len(some)}) | Dice median {np.median(some[:, 0]):.2f}, "
            f"least {some[:, 0].min():.2f}; volume error median {np.median(error):.1f} mL of "
            f"{np.median(some[:, 1]):.1f} |"
        )
    for name in ("fazekas_periventricular", "fazekas_deep"):
        yield f"| {name} | {_grades(rows, name)} |"
    lacunes = [entry for r in rows for entry in r["lacunes"]]
    true = [entry for entry in lacunes if entry[0] != "excess"]
    excess = sum(entry[1] for entry in lacunes if entry[0] == "excess")
    rimmed = [e for e in true if e[1]]
    yield (
        f"| lacunes | {sum(e[2] for e in true)} of {len(true)} found ({sum(e[2] for e in rimmed)} of "
        f"{len(rimmed)} with a rim); {excess} in excess in {len(rows)} scans |"
    )
    for name in ("lacunes", "basal_ganglia_pvs", "centrum_semiovale_pvs"):
        yield f"| {name}, range read | {_within(rows, name)} |"
    yes = [r for r in rows if r["truth"]["edema_ml"] > 1]
    no = [r for r in rows if r["truth"]["edema_ml"] <= 1]
    found, open_ = (
        [sum(r["read"]["edema"]["state"] == word for r in part) for part in (yes, no)]
        for word in ("yes", "unsure")
    )
    yield (
        f"| edema | {found[0]} of {len(yes)} suspected, {open_[0]} unsure; without edema {found[1]} "
        f"of {len(no)} suspected, {open_[1]} unsure |"
    )


def _grades(rows: list[dict[str, Any]], name: str) -> str:
    read = [(r["read"][name], r["truth"][name]) for r in rows if r["read"][name]["low"] is not None]
    sure = [(s, t) for s, t in read if s["low"] == s["high"]]
    right = sum(s["low"] == t for s, t in sure)
    held = sum(s["low"] <= t <= s["high"] for s, t in read if s["low"] != s["high"])
    wrong = "; ".join(f"{t} read {s['low']} ({s['measure']})" for s, t in sure if s["low"] != t)
    return (
        f"{right} of {len(sure)} sure grades right; {held} of {len(read) - len(sure)} unsure ones hold "
        f"the grade" + (f"; wrong: {wrong}" if wrong else "")
    )


def _within(rows: list[dict[str, Any]], name: str) -> str:
    read = [(r["read"][name], r["truth"][name]) for r in rows if r["read"][name]["low"] is not None]
    if not read:
        return "not assessed"
    held = sum(s["low"] <= t <= s["high"] for s, t in read)
    told = ", ".join(f"{t} in {s['low']}-{s['high']}" for s, t in read)
    return f"{held} of {len(read)} hold the truth ({told})"


def main() -> None:
    """Simulate, read, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--people", type=int, default=8)
    parser.add_argument("--seed", type=int, default=9500)
    parser.add_argument("--only-done", action="store_true", help="tables of what is there")
    parser.add_argument("--table", type=Path)
    args = parser.parse_args()
    atlas = atlas_from(load_arrays("template"))
    rows = []
    with threads(1):
        for n in range(args.people):
            done = (args.work / "signs" / f"{args.seed}_{n}.json").exists()
            if done or not args.only_done:
                rows.append(person(args.work, atlas, n, args.seed))
    command = f"python validation/signs.py WORK --people {args.people} --seed {args.seed}"
    text = [
        f"# Signs on T2w, FLAIR and T1w\n\n{datetime.now(UTC):%Y-%m-%d}, `{command}`. "
        f"{len(rows)} of {args.people} people done. All simulated: nothing of this was measured "
        "on scans of people.\n",
        *lines(rows),
    ]
    print("\n".join(text))
    if args.table:
        args.table.write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
