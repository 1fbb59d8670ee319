"""Measure what is read on T2w, FLAIR and T1w of unseen simulated people, placed as they truly lie.

usage: python validation/signs.py WORK [--people 8] [--seed 9500] [--only-done] [--table FILE]

T1w, T2w and FLAIR of a person lie a little apart: volumes of 1 mm for even numbers, axial slices
of 3 mm (T2w) and 5 mm (FLAIR) with pixels of 0.7 mm for odd ones. Loads of hyperintensity,
lacunes and edema are drawn for each, and perivascular spaces, which nothing counts; truth is what
was drawn. The place of
the head and the brain are the true ones, the template is laid on by the affine part of the true
map: registration is not measured here, but that sites are some millimetres off is in it.

How well fluid agrees is measured between a gradient echo of 2 mm voxels and each scan, and with
the FLAIR of the person before laid on as well as two heads can be. What is finished in WORK is
not done again.
"""

import argparse
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from petechia.anatomy.compared import sampled
from petechia.anatomy.regions import label_regions
from petechia.anatomy.registration import Registration
from petechia.anatomy.signs.fit import fluid_agreement
from petechia.anatomy.signs.normal import over_white_matter
from petechia.anatomy.signs.places import box_of, places_on
from petechia.anatomy.signs.read import Sign, read_flair
from petechia.anatomy.sites import VENTRICLE_LABELS
from petechia.anatomy.template import template_from
from petechia.anatomy.tissue import tissue_map
from petechia.assets.store import load_arrays
from petechia.core.grid import Grid
from petechia.pipeline.provenance import threads
from petechia.pipeline.signs import LEAST_FLUID
from petechia.simulate.atlas import Atlas, atlas_from
from petechia.simulate.companions import (
    COMPANIONS,
    LABELS,
    laid,
    moved,
    simulate_companion,
    sliced,
    truth_labels,
)
from petechia.simulate.flow import sample_flow
from petechia.simulate.head import CENTRE_MM, Head, head_maps, make_head, sample_head
from petechia.simulate.render import Pose, sample_pose
from petechia.simulate.signs import Signs, sample_signs

HEAD_MM = 1.4
_AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])
_AFFINE[:3, 3] = (-95.0, -115.0, -90.0)
GRADIENT_ECHO = Grid((96, 116, 91), _AFFINE)
"""Voxels of the gradient echo."""
SLICES_MM = {"T2w": 3.0, "FLAIR": 5.0}
MATCH_MM = 5.0


def person(work: Path, atlas: Atlas, n: int, seed: int) -> dict[str, Any]:
    """Return what was measured on one person; made when it is not there."""
    place = work / "signs" / f"{seed}_{n}.json"
    if place.exists():
        return json.loads(place.read_text("utf-8"))
    of_head, of_flow = np.random.default_rng([seed, n]).spawn(2)
    drawn = sample_head(atlas, of_head)
    head = make_head(drawn, atlas, HEAD_MM)
    pose = sample_pose(np.random.default_rng([seed, n, 1]))
    echo = gradient_echo(head, pose, np.random.default_rng([seed, n, 2]))
    spaces = sample_flow(atlas, drawn, of_flow).spaces.segments
    signs = sample_signs(head, atlas, np.random.default_rng([seed, n, 3]), None, spaces)
    images, poses = {}, {"GRE": pose}
    for at, (kind, whole) in enumerate(COMPANIONS.items()):
        own = sliced(whole, SLICES_MM[kind]) if n % 2 and kind in SLICES_MM else whole
        rng = np.random.default_rng([seed, n, 4, at])
        poses[kind] = moved(pose, rng)
        images[kind] = (simulate_companion(head, signs, poses[kind], own, rng), own.grid)
    keep = work / "signs" / f"{seed}_{n}_flair.npz"
    keep.parent.mkdir(parents=True, exist_ok=True)
    image, grid = images["FLAIR"]
    lying = from_scanner(poses["FLAIR"])
    np.savez(keep, image=image.astype(np.float16), affine=grid.affine, lying=lying)
    row = measured(work, atlas, head, signs, echo, images, poses, n, seed)
    place.write_text(json.dumps(row, indent=1), encoding="utf-8")
    return row


def from_scanner(pose: Pose) -> np.ndarray:
    """Return the map from scanner to head [mm]."""
    out = np.eye(4)
    out[:3, :3] = pose.turn.T
    out[:3, 3] = CENTRE_MM - pose.turn.T @ pose.shift_mm
    return out


def affine_of(head: Head) -> np.ndarray:
    """Return the affine part of the map from head to template [mm]."""
    out = np.eye(4)
    out[:3, :3] = head.params.matrix
    out[:3, 3] = CENTRE_MM - head.params.matrix @ CENTRE_MM
    return out


def gradient_echo(head: Head, pose: Pose, rng: np.random.Generator) -> np.ndarray:
    """Return the magnitude of a gradient echo, without what fields do to it."""
    maps = head_maps(head, 3.0, 0.03, 15.0, np.zeros(head.grid.shape, dtype=np.float32))
    image = laid(maps.s0 * np.exp(-0.02 * maps.r2star), head.grid, pose, GRADIENT_ECHO)
    level = np.percentile(image, 90)
    noise = rng.standard_normal((2, *image.shape)) * level / 60
    return np.hypot(image / level * level + noise[0], noise[1]).astype(np.float32)


def measured(
    work: Path, atlas: Atlas, head: Head, signs: Signs, magnitude: np.ndarray,
    images: dict[str, tuple[np.ndarray, Grid]], poses: dict[str, Pose], n: int, seed: int,
) -> dict[str, Any]:  # fmt: skip
    """Read one person's scans as the road does, and compare with the truth."""
    arrays = load_arrays("template")
    there, grid = template_from(arrays), GRADIENT_ECHO
    fit = Registration(
        matrix=affine_of(head) @ from_scanner(poses["GRE"]), scan_grid=grid,
        template_grid=there.grid, quality=1.0, ok=True, says="true",
    )  # fmt: skip
    brain = laid(head.brain, head.grid, poses["GRE"], grid) > 0.5
    regions = label_regions(fit, there, brain, grid).labels
    tissue = tissue_map(
        magnitude, brain, grid,
        prior_csf=fit.to_scan(arrays["csf"], nearest=False),
        prior_ventricles=np.isin(regions, VENTRICLE_LABELS),
    )  # fmt: skip
    start = time.process_time()
    normal, where, agree = {}, {}, {}
    tissue_of = {name: arrays[name] for name in ("wm", "gm", "csf")}
    for kind, (image, own) in images.items():
        rigid = np.linalg.inv(from_scanner(poses[kind])) @ from_scanner(poses["GRE"])
        agree[kind] = fluid_agreement(tissue.csf, brain, grid, image, own, rigid, kind == "T2w")
        box = box_of(brain, grid, rigid, own)
        placed = places_on(own.cut(box), rigid, brain, regions, fit, tissue_of)
        where[kind], normal[kind] = (placed, rigid, box), image[box]
    flair = over_white_matter(normal["FLAIR"], where["FLAIR"][0])
    assert flair is not None
    others = {k: found for k in ("T2w", "T1w") if (found := _on(k, "FLAIR", normal, where))}
    reading = read_flair(flair, where["FLAIR"][0], others)
    found = reading.signs
    seconds = time.process_time() - start
    out: dict[str, Any] = {
        "slices": bool(n % 2), "seconds": seconds, "agree": agree,
        "read": {name: _plain(found[name]) for name in found},
    }  # fmt: skip
    place, rigid, box = where["FLAIR"]
    labels = truth_labels(signs, head.grid, poses["FLAIR"], images["FLAIR"][1])[box]
    out["overlap"] = _overlap(labels, reading.labels, place.grid)
    out["truth"] = _truth(signs, labels, place.grid)
    out["lacunes"] = _matched(signs, poses["FLAIR"], reading.sites["lacunes"])
    before = work / "signs" / f"{seed}_{n - 1}_flair.npz"
    if before.exists():
        with np.load(before) as kept:
            image = kept["image"].astype(np.float32)
            own, lying = Grid(image.shape, kept["affine"]), kept["lying"]
        rigid = np.linalg.inv(lying) @ from_scanner(poses["GRE"])
        out["other"] = fluid_agreement(tissue.csf, brain, grid, image, own, rigid, False)
    return out


def _on(kind: str, target: str, images: dict[str, Any], where: dict[str, Any]) -> Any:
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


def _truth(signs: Signs, labels: np.ndarray, grid: Grid) -> dict[str, Any]:
    """Return grades and loads as drawn."""
    return {
        "fazekas_periventricular": signs.periventricular,
        "fazekas_deep": signs.deep,
        "lacunes": len(signs.lacunes),
        "edema_ml": float((labels == LABELS["edema"]).sum() * grid.voxel_mm3 / 1000),
    }


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
    for kind in COMPANIONS:
        yield f"Agreement on fluid, {kind}: {_spread([r['agree'][kind] for r in rows])}."
    other = [r["other"] for r in rows if "other" in r]
    if other:
        yield f"With the FLAIR of another person: {_spread(other)}. Refused below {LEAST_FLUID}."
    yield ""
    seconds = [r["seconds"] for r in rows]
    yield f"Reading of three scans, without registration: {_spread(seconds, 0)} s of one processor."


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
            f"| hyperintensity above 0.5 mL ({len(some)}) | Dice median "
            f"{np.median(some[:, 0]):.2f}, least {some[:, 0].min():.2f}; volume error median "
            f"{np.median(error):.1f} mL of {np.median(some[:, 1]):.1f} |"
        )
    for name in ("fazekas_periventricular", "fazekas_deep"):
        yield f"| {name} | {_grades(rows, name)} |"
    lacunes = [entry for r in rows for entry in r["lacunes"]]
    true = [entry for entry in lacunes if entry[0] != "excess"]
    excess = sum(entry[1] for entry in lacunes if entry[0] == "excess")
    rimmed = [e for e in true if e[1]]
    yield (
        f"| lacunes | {sum(e[2] for e in true)} of {len(true)} found "
        f"({sum(e[2] for e in rimmed)} of {len(rimmed)} with a rim); "
        f"{excess} in excess in {len(rows)} scans |"
    )
    yes = [r for r in rows if r["truth"]["edema_ml"] > 1]
    no = [r for r in rows if r["truth"]["edema_ml"] <= 1]
    found, open_ = (
        [sum(r["read"]["edema"]["state"] == word for r in part) for part in (yes, no)]
        for word in ("yes", "unsure")
    )
    yield (
        f"| edema | {found[0]} of {len(yes)} suspected, {open_[0]} unsure; without edema "
        f"{found[1]} of {len(no)} suspected, {open_[1]} unsure |"
    )


def _grades(rows: list[dict[str, Any]], name: str) -> str:
    read = [(r["read"][name], r["truth"][name]) for r in rows if r["read"][name]["low"] is not None]
    sure = [(s, t) for s, t in read if s["low"] == s["high"]]
    right = sum(s["low"] == t for s, t in sure)
    held = sum(s["low"] <= t <= s["high"] for s, t in read if s["low"] != s["high"])
    wrong = "; ".join(f"{t} read {s['low']} ({s['measure']})" for s, t in sure if s["low"] != t)
    return (
        f"{right} of {len(sure)} sure grades right; {held} of {len(read) - len(sure)} unsure ones "
        f"hold the grade" + (f"; wrong: {wrong}" if wrong else "")
    )


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
