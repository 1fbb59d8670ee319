"""Turn kept scans into examples: what the classifier is told of each void, and what it is.

usage: python training/examples.py WORK [--match NAMES]

For every scan of `heads.py` the detector looks at the whole scan, at every third one once more
without its phase, and at whole heads in thin slices twice more in thick ones (`merged.py`), most
with the contrast of a 2-D sequence (`contrast.py`). An example is a row of features, a cube, and a
label; what the features are is named by their hash, and examples of another hash are made again.
`cases.py` makes more of them.
"""

import argparse
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from contrast import Held, Lying, Sequence2D, of_head
from kept import Kept, read_kept
from measures import MERGED, MERGED_LOOKS, SLABS, is_drawn
from merged import Phasors, merged
from orders import Orders

from petechia.anatomy.regions import Regions
from petechia.anatomy.sites import REGIONS, VENTRICLE_LABELS
from petechia.anatomy.surroundings import air_cavities
from petechia.anatomy.tissue import tissue_map
from petechia.anatomy.tracking import track_veins
from petechia.assets.store import load_arrays
from petechia.core.grid import Grid
from petechia.core.morphology import distance_inside_mm
from petechia.evaluate.masks import dice
from petechia.lesions.classify import log_odds
from petechia.lesions.features import pipeline_hash
from petechia.lesions.findings import CLASSES
from petechia.lesions.inputs import LesionInputs
from petechia.lesions.known import Features
from petechia.lesions.look import Seen, look
from petechia.lesions.params import DetectParams
from petechia.lesions.slices import is_thick
from petechia.lesions.void import Void
from petechia.pipeline.provenance import threads
from petechia.simulate.atlas import Atlas, atlas_from

IGNORED = -1
"""Label of what is neither right nor wrong: a lesion's second void, an invisible lesion."""
VEIN_SHARE = 0.12
"""A void holds a vein when its voxels are blood by so much on average."""
EDGE_MM = 3.0
VARIANTS = ("whole", "no_phase")
SAME_BRAIN = 0.95
"""Least Dice overlap of the brain that is drawn again and the scan's own."""
FOUND = ("csf", "ventricle_mask", "air_mask")
STRUCTURE = "structure_"
"""What is kept of a scan that went the whole road."""


def inputs_of(kept: Kept, variant: str = "whole") -> LesionInputs:
    """Return what the detector is given; maps made of others are made here."""
    a, grid = kept.arrays, kept.grid
    mask = a["brain_mask"].astype(bool)
    phase = variant != "no_phase"
    swi, chi = (a.get("swi"), a.get("chi_ppm")) if phase else (None, None)
    dark = swi if swi is not None else a["magnitude"]
    places = a.get("found_regions", a["truth_regions"])
    regions = Regions(
        labels=places.astype(np.int16), table=REGIONS, grid=grid, ok=True, says="of the scan"
    )
    veins = track_veins(chi, dark, mask, grid)
    if "found_air_mask" in a:
        found = {name: a.get(f"found_{name}") for name in FOUND}
    else:
        found = _told_of_tissue(a, mask, grid, len(kept.facts["te_s"]))
    structures = {k.removeprefix(STRUCTURE): v for k, v in a.items() if k.startswith(STRUCTURE)}
    return LesionInputs(
        grid=grid,
        brain_mask=mask,
        b0_t=float(kept.facts["b0_t"]),
        reading_te_s=float(kept.facts["reading_te_s"]),
        magnitude=a["magnitude"],
        swi=swi,
        r2star=a.get("r2star"),
        local_field_ppm=a.get("local_field_ppm") if phase else None,
        field_noise_ppm=a.get("field_noise_ppm") if phase else None,
        field_mask=a["field_mask"].astype(bool) if phase and "field_mask" in a else None,
        chi_ppm=chi,
        total_field_ppm=a.get("total_field_ppm") if phase else None,
        vessel=veins.likeness,
        vein_length_mm=veins.length_mm,
        region_of=regions.at,
        structures=structures or None,
        sign_trusted=phase and "local_field_ppm" in a,
        **found,
    )


def _told_of_tissue(
    a: dict[str, npt.NDArray[Any]], mask: npt.NDArray[np.bool_], grid: Grid, n_echoes: int
) -> dict[str, npt.NDArray[Any] | None]:
    """Return fluid, ventricles and air as the road finds them where the sites are true."""
    echoes = np.stack([a["magnitude_first"], a.get("magnitude_last", a["magnitude"])])
    tissue = tissue_map(
        echoes if n_echoes > 1 else a["magnitude"][None],
        mask,
        grid,
        r2star=a.get("r2star"),
        prior_ventricles=np.isin(a["truth_regions"], VENTRICLE_LABELS),
    )
    return {
        "csf": tissue.csf if tissue.told else None,
        "ventricle_mask": tissue.ventricles,
        "air_mask": air_cavities(a["magnitude_first"], mask, grid),
    }


def owners_of(
    voids: Sequence[Void], corner: npt.NDArray[np.int64], kept: Kept
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return the lesion that each void is of (0: none), and how many voxels they share.

    The one whose true void it shares most voxels with; else the one whose centre lies within
    1.5 mm or half a voxel of its own, as half a voxel.
    """
    grid, true = kept.grid, kept.arrays["truth_labels"]
    centres = {
        int(r["index"]): grid.to_index([float(r[k]) for k in ("x_mm", "y_mm", "z_mm")])
        for r in kept.facts["lesions"]
    }
    reach = max(1.5, 0.5 * float(grid.spacing_mm.max()))
    owner, share = np.zeros(len(voids), dtype=np.int64), np.zeros(len(voids))
    for n, void in enumerate(voids):
        at = void.body + corner
        met = true[tuple(at.T)]
        counts = np.bincount(met[met > 0].astype(np.int64)) if (met > 0).any() else np.zeros(1)
        if counts.max() > 0:
            owner[n], share[n] = int(counts.argmax()), float(counts.max())
        else:
            middle = at.mean(axis=0)
            for index, place in centres.items():
                if np.linalg.norm((place - middle) * grid.spacing_mm) < reach:
                    owner[n], share[n] = index, 0.5
    return owner, share


def visible_of(kept: Kept) -> list[int]:
    """Return the visible microbleeds within the brain mask."""
    inside, shape = kept.arrays["brain_mask"] > 0, np.asarray(kept.grid.shape)
    listed = []
    for row in kept.facts["lesions"]:
        if row["class"] == "microbleed" and int(row["visible"]):
            place = [float(row[k]) for k in ("x_mm", "y_mm", "z_mm")]
            at = np.rint(kept.grid.to_index(place)).astype(int)
            if (at >= 0).all() and (at < shape).all() and inside[tuple(at)]:
                listed.append(int(row["index"]))
    return listed


def labels_of(seen: Seen, kept: Kept) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return each void's class, as an index of `CLASSES` or `IGNORED`, and its lesion (0: none).

    Of several voids on one lesion (`owners_of`) the one with most voxels counts and the others
    are ignored. The rest is a vein where the voxels are venous blood, air and tissue at the edge
    of the brain, and undetermined elsewhere.
    """
    a, grid, corner = kept.arrays, kept.grid, seen.corner
    rows = {int(r["index"]): r for r in kept.facts["lesions"]}
    veins = a["truth_veins"]
    edge = distance_inside_mm(a["truth_brain"] > 0, grid)
    label = np.full(len(seen.voids), IGNORED, dtype=np.int64)
    owner, share = owners_of(seen.voids, corner, kept)
    for n, void in enumerate(seen.voids):
        if owner[n]:
            continue
        at = void.body + corner
        middle = tuple(np.rint(at.mean(axis=0)).astype(int))
        if veins[tuple(at.T)].mean() > VEIN_SHARE:
            label[n] = CLASSES.index("vessel")
        elif edge[middle] < EDGE_MM or seen.features[n].shape.outside_fraction > 0.1:
            label[n] = CLASSES.index("air_tissue")
        else:
            label[n] = CLASSES.index("undetermined")
    for index in np.unique(owner[owner > 0]):
        row = rows.get(int(index))
        mine = np.flatnonzero(owner == index)
        if row is None or not int(row["visible"]):
            continue
        kind = str(row["class"])
        if kind in ("siderosis", "macrobleed", "iron"):  # of many voids each
            label[mine] = CLASSES.index(kind)
        elif kind in CLASSES:
            label[mine[np.argmax(share[mine])]] = CLASSES.index(kind)
    return label, owner


def examples_of(kept: Kept, seen: Seen) -> dict[str, npt.NDArray[Any]]:
    """Return table, cubes, labels and facts of one look at a scan."""
    label, owner = labels_of(seen, kept)
    told = seen.describe()
    bleed = CLASSES.index("microbleed")
    rows = {int(r["index"]): r for r in kept.facts["lesions"]}
    reached = set(owner[label == bleed].tolist())
    listed = visible_of(kept)
    moments = [float(rows[n]["moment_ppm_mm3"]) for n in listed]
    return {
        "table": told.table,
        "cubes": told.cubes.astype(np.float16),
        "label": label,
        "owner": owner,
        "rules": np.array([sum(log_odds(f).values()) for f in seen.features]),
        "place_mm": np.array(
            [kept.grid.to_mm(v.body.mean(axis=0) + seen.corner) for v in seen.voids]
        ).reshape(-1, 3),
        "moment": np.array(
            [abs(float(rows[n]["moment_ppm_mm3"])) if n in rows else 0.0 for n in owner]
        ),
        "diameter": np.array([f.shape.diameter_mm for f in seen.features]),
        "sign_z": np.array([_z(f) for f in seen.features]),
        "visible": np.array(listed),
        "visible_moment": np.array(moments),
        "reached": np.array([n in reached for n in listed], dtype=bool),
        "n_voids": np.array(len(seen.centres_vox)),
    }


def write(out: Path, made: dict[str, npt.NDArray[Any]], kept: Kept, **facts: Any) -> None:
    """Write one look; a half-written one never gets its name."""
    told = {k: v for k, v in kept.facts.items() if k != "lesions"} | facts
    told["spacing_mm"] = kept.grid.spacing_mm.tolist()
    part = out.with_suffix(".part.npz")
    np.savez(part, facts=np.array(json.dumps(told)), **made)
    part.rename(out)


def _z(f: Features) -> float:
    return f.fit.significance if f.fit is not None and f.phase == "signed" else float("nan")


def make_missing(work: Path, match: str = "*") -> Iterator[str]:
    """Make the examples that are not there, whole looks first; yield what was made."""
    params, orders = DetectParams(), Orders.read(work)
    folder = work / f"examples_{pipeline_hash()}"
    folder.mkdir(parents=True, exist_ok=True)
    paths = sorted(p for p in (work / "scans").glob(f"{match}.npz") if ".part" not in p.name)
    for variant in VARIANTS:
        for path in paths:
            out = folder / f"{path.stem}.{variant}.npz"
            if out.exists() or (variant == "no_phase" and not _also(path.stem)):
                continue
            kept = read_kept(path)
            if variant == "no_phase" and "swi" not in kept.arrays:
                continue
            order = orders.of(kept.grid, kept.facts["person"])
            made = examples_of(kept, look(inputs_of(kept, variant), params, order))
            write(out, made, kept, variant=variant, scan=path.stem, orders=orders.digest)
            yield (
                f"{out.name}: {int(made['n_voids'])} voids, {len(made['label'])} described, "
                f"{int(made['reached'].sum())} of {len(made['visible'])} visible microbleeds"
            )
    atlas = atlas_from(load_arrays("template"))
    for path in paths:
        outs = [folder / f"{path.stem}.{name}.npz" for name in MERGED_LOOKS]
        if all(out.exists() for out in outs) or not _thin_head(path):
            continue
        kept = read_kept(path)
        lying = of_head(kept.facts, atlas) if is_drawn(kept.facts) else None
        yield from make_merged(inputs_of(kept), kept, outs, path.stem, lying, atlas, orders)


def make_merged(
    inputs: LesionInputs,
    kept: Kept,
    outs: Sequence[Path],
    scan: str,
    lying: Lying | None,
    atlas: Atlas,
    orders: Orders,
    **facts: Any,
) -> Iterator[str]:
    """Look at a head with its slices merged, once for each path that is not there.

    Whose tissue is not known (`lying` is None) keeps their contrast.
    """
    held = None if lying is None else Held(lying, kept.grid, atlas)
    if held is not None and dice(held.brain, kept.arrays["truth_brain"] > 0) < SAME_BRAIN:
        raise SystemExit(f"{scan}: the person that is drawn by its seeds is not the one scanned.")
    phasors = Phasors.of(inputs, kept)
    for way, out in enumerate(outs):
        if out.exists():
            continue
        rng = np.random.default_rng([_number(scan), 11 + way])
        sequence = None if held is None else Sequence2D.drawn(rng)
        contrast = None if held is None else held.in_2d(sequence, inputs.reading_te_s)
        seen, truth = merged(inputs, kept, rng, contrast, way, phasors)
        order = orders.of(seen.grid, {**kept.facts, **facts}["person"])
        made = examples_of(truth, look(seen, DetectParams(), order))
        told = None if sequence is None else asdict(sequence)
        facts_of_it = facts | {"scan": scan, "sequence": told, "orders": orders.digest}
        write(out, made, truth, variant=MERGED, **facts_of_it)
        yield f"{out.name}: {len(made['label'])} described"


def _thin_head(path: Path) -> bool:
    """Return whether a scan is a whole head in thin slices; its arrays are not read."""
    with np.load(path, allow_pickle=False) as stored:
        facts = json.loads(str(stored["facts"]))
    spacing = Grid((1, 1, 1), np.asarray(facts["affine"])).spacing_mm
    return facts["protocol"] not in SLABS and not is_thick(spacing.max())


def _also(stem: str) -> bool:
    """Return whether a scan is looked at without its phase, too: every third one."""
    return _number(stem) % 3 == 0


def _number(stem: str) -> int:
    return int(hashlib.sha256(stem.encode()).hexdigest(), 16)


def main() -> None:
    """Make what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--match", default="*", help="names of kept scans, with wildcards")
    args = parser.parse_args()
    with threads(1):
        for text in make_missing(args.work, args.match):
            print(text, flush=True)


if __name__ == "__main__":
    main()
