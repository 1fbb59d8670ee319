"""Count wrongly unwrapped voxels against known truth and beside niimath's ROMEO.

usage: python validation/unwrapping.py WORK [--people 1] [--seed 9400] [--protocol 3t_tiny ...]
       [--crop FOLDER] [--table FILE]

Both get the same phase (offset removed), magnitude and mask. They unwrap the first echo in space,
and the others after it (template; ours after the fit of all before, or the neighbour alone) or
each echo by itself. A voxel is wrong when its phase is more than half a turn from the true
field's, after the whole turns that most of its connected part has too many are taken from each
echo. CROP holds Mag.nii.gz and Phase.nii.gz of a real scan, where the two can only be compared.
What is finished in WORK is not done again. The seeds were never used to set anything.
"""

import argparse
import json
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import nibabel as nib
import numpy as np
from baseline import simulated
from scipy import ndimage

from petechia.core.grid import Grid
from petechia.core.units import radians_per_ppm
from petechia.files.find import find_scans
from petechia.files.nifti import read_mask, read_nifti
from petechia.phase.offsets import mcpc3ds, remove_offsets
from petechia.phase.unwrap.romeo import RomeoParams, romeo

TURN = 2 * np.pi
CROP_SCALE, CROP_TE_S = 855.0, (0.004, 0.008, 0.012)


def by_niimath(
    phase: np.ndarray, magnitude: np.ndarray, te_s: tuple[float, ...], mask: np.ndarray, each: bool
) -> np.ndarray:
    """Return phase unwrapped by niimath's ROMEO."""
    with tempfile.TemporaryDirectory() as folder:
        for name, volume in (("p", phase), ("m", magnitude)):
            image = nib.Nifti1Image(np.moveaxis(volume, 0, 3), np.eye(4))
            nib.save(image, Path(folder) / f"{name}.nii")
        nib.save(nib.Nifti1Image(mask.astype(np.uint8), np.eye(4)), Path(folder) / "k.nii")
        times = ",".join(f"{1000 * t:g}" for t in te_s)
        order = ["niimath", "p.nii", "-romeo", "m.nii", "-t", times, "-k", "k.nii"]
        order += ["-no-phase-rescale", *(["-i"] if each else []), "o.nii"]
        subprocess.run(order, cwd=folder, check=True, capture_output=True)
        found = next(p for p in Path(folder).glob("o.nii*") if "mask" not in p.name)
        return np.moveaxis(np.asarray(nib.load(found).dataobj, np.float32), 3, 0)


def wrong(
    unwrapped: np.ndarray, true_rad: np.ndarray, mask: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return which voxels (E, I, J, K) lie more than half a turn from the truth."""
    labels, n = ndimage.label(mask)
    away = unwrapped - true_rad
    bad = np.zeros(away.shape, bool)
    for echo, out in zip(away, bad, strict=True):
        middle = ndimage.median(echo, labels, np.arange(1, n + 1))
        common = np.concatenate([[0.0], TURN * np.round(np.asarray(middle) / TURN)])
        out[mask] = np.abs(echo[mask] - common[labels[mask]]) > np.pi
    return bad


def congruent(unwrapped: np.ndarray, phase: np.ndarray, mask: np.ndarray) -> float:
    """Return the largest distance from whole turns that were added, in turns."""
    turns = (unwrapped - phase)[:, mask].astype(np.float64) / TURN
    return float(np.abs(turns - np.round(turns)).max())


def compared(
    phase: np.ndarray, magnitude: np.ndarray, te_s: tuple[float, ...], mask: np.ndarray, grid: Grid
) -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """Yield the way, the phase that went in, and what came out of ours and of niimath."""
    offset_free, _ = mcpc3ds(phase, magnitude, te_s, mask, grid)
    inputs = (offset_free, magnitude, te_s, mask)
    theirs = by_niimath(*inputs, False)
    for follow in ("fit", "neighbour"):
        ours = romeo(*inputs, grid, RomeoParams(follow=follow))
        yield f"template, {follow}", offset_free, ours, theirs
    ours = romeo(*inputs, grid, RomeoParams(individual=True))
    yield "each echo", offset_free, ours, by_niimath(*inputs, True)


def on_simulated(root: Path) -> list[dict[str, object]]:
    """Return the counts of one simulated scan."""
    echoes = next(iter(find_scans(root))).load().echoes
    truth = root / "derivatives" / "truth"
    field = read_nifti(next(truth.rglob("*_desc-field_fieldmap.nii.gz"))).only
    mask = read_mask(next(truth.rglob("*_desc-brain_mask.nii.gz")), echoes.grid)
    te_s = echoes.phase_te_s
    true_rad = np.stack([field * np.float32(radians_per_ppm(echoes.b0_t, t)) for t in te_s])
    rows = []
    inputs = (echoes.phase_rad, echoes.magnitude, te_s, mask, echoes.grid)
    for way, given, ours, theirs in compared(*inputs):
        rows.append(
            {
                "way": way, "voxels": int(mask.sum()), "echoes": len(te_s),
                "wrong": [[int(b.sum()) for b in wrong(out, true_rad, mask)]
                          for out in (ours, theirs)],
                "congruent": [congruent(out, given, mask) for out in (ours, theirs)],
            }
        )  # fmt: skip
    return rows


def on_crop(folder: Path) -> tuple[list[dict[str, object]], str]:
    """Return where the two differ in the real crop, common turns apart, and its readout."""
    image = nib.load(folder / "Mag.nii.gz")
    magnitude = np.moveaxis(np.asarray(image.dataobj, np.float32), 3, 0)
    stored = np.asarray(nib.load(folder / "Phase.nii.gz").dataobj, np.float32)
    phase = np.moveaxis(stored * np.float32(CROP_SCALE), 3, 0)
    grid = Grid(phase.shape[1:], image.affine)
    mask = np.ones(grid.shape, bool)
    rows = []
    for way, given, ours, theirs in compared(phase, magnitude, CROP_TE_S, mask, grid):
        turns = np.round((ours - theirs) / TURN)
        common = np.median(turns, axis=(1, 2, 3), keepdims=True)
        rows.append(
            {
                "way": way, "voxels": mask.size, "echoes": len(given),
                "differ": [int((t != c).sum()) for t, c in zip(turns, common, strict=True)],
                "congruent": [congruent(ours, given, mask), congruent(theirs, given, mask)],
            }
        )  # fmt: skip
    found = remove_offsets(phase, magnitude, CROP_TE_S, mask, grid)
    return rows, found.says


def scored(work: Path, protocol: str, person: int, seed: int) -> list[dict[str, object]]:
    """Measure one head, unless that was done before."""
    kept = work / "unwrapping" / f"{protocol}_{person}.json"
    if not kept.exists():
        found = on_simulated(simulated(work, protocol, person, seed))
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(found, indent=1), encoding="utf-8")
    rows: list[dict[str, object]] = json.loads(kept.read_text(encoding="utf-8"))
    return rows


def main() -> None:
    """Simulate, unwrap, count, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--people", type=int, default=1)
    parser.add_argument("--seed", type=int, default=9400)
    parser.add_argument("--protocol", action="append", default=[])
    parser.add_argument("--crop", type=Path)
    parser.add_argument("--table", type=Path)
    args = parser.parse_args()
    text = [f"{datetime.now(UTC):%Y-%m-%d}\n"]
    text += ["| scan | way | voxels | wrong by echo, ours | niimath | wrong %, ours | niimath |"]
    text[-1] += " off whole turns |"
    text += ["|---|---|---|---|---|---|---|---|"]
    for protocol in args.protocol or ["3t_tiny", "demo_light", "3t_megre_1mm"]:
        for person in range(args.people):
            for row in scored(args.work, protocol, person, args.seed):
                all_voxels = row["voxels"] * row["echoes"]
                cells = [f"{protocol} {person}", row["way"], str(row["voxels"])]
                cells += [" ".join(map(str, counts)) for counts in row["wrong"]]
                cells += [f"{100 * sum(counts) / all_voxels:.4f}" for counts in row["wrong"]]
                cells += [f"{max(row['congruent']):.0e}"]
                text.append(f"| {' | '.join(cells)} |")
    if args.crop:
        text += ["", "| real crop | voxels | differ by echo | off whole turns, ours and niimath |"]
        text += ["|---|---|---|---|"]
        rows, readout = on_crop(args.crop)
        for row in rows:
            off = ", ".join(f"{c:.0e}" for c in row["congruent"])
            counts = " ".join(map(str, row["differ"]))
            text.append(f"| {row['way']} | {row['voxels']} | {counts} | {off} |")
        text += ["", readout]
    print("\n".join(text))
    if args.table:
        args.table.write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
