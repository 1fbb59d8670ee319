"""Accuracy of every R2* method, and what each SWI shows, against simulated truth.

usage: python validation/contrast.py DATASET [--table FILE]

DATASET is one of `petechia simulate` with several echoes and known truth. Prints the bias of each
R2* row by Monte-Carlo and on the scans, by how many cycles of phase the field's gradient makes
across a voxel at the last echo; and the contrast of veins and of microbleeds in each kind of SWI.
"""

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from petechia.contrast.relaxation import METHODS
from petechia.core.grid import Grid
from petechia.core.units import hz_per_ppm
from petechia.files.bids import find_bids_scans
from petechia.files.nifti import read_nifti
from petechia.files.scan import Scan
from petechia.pipeline.settings import Settings
from petechia.pipeline.stages import walk
from petechia.pipeline.work import Work

ECHO_TIMES_MS = ((5, 10, 15, 20, 25), (5, 11.5, 18, 24.5), (6, 13, 20, 27))
RATES = (30.0, 100.0, 200.0, 300.0)
CYCLES = (0.0, 0.1, 0.2, 0.35, 0.5, 1.0, np.inf)
IMAGES: dict[str, dict[str, Any]] = {
    "swi, homodyne": {"highpass": "homodyne"},
    "swi, unwrapped": {},
    "swi, unwrapped, triangular mask": {"method_settings": {"swi": {"mask": "triangular"}}},
    "clear_swi": {"weighting": "clear_swi"},
}


def monte_carlo() -> Iterator[str]:
    """Yield the table of biases at a signal-to-noise of 100 (amplitude at echo time 0)."""
    yield "| echo times [ms] | R2* | " + " | ".join(METHODS) + " |"
    yield "|---|---|" + "---|" * len(METHODS)
    rng, grid = np.random.default_rng(0), Grid((40, 40, 40))
    for te_ms in ECHO_TIMES_MS:
        te_s = tuple(t / 1000 for t in te_ms)
        for rate in RATES:
            pure = np.exp(-rate * np.asarray(te_s))[:, None, None, None] * np.ones(grid.shape)
            noise = rng.normal(size=pure.shape) + 1j * rng.normal(size=pure.shape)
            arrays = _arrays(np.abs(pure + 0.01 * noise).astype(np.float32), te_s, 0.01, None)
            found = [row(arrays, grid=grid)[0] for row in METHODS.values()]
            cells = [f"{np.median(f) - rate:+.1f} ({f.std():.0f})" for f in found]
            echoes = ", ".join(f"{t:g}" for t in te_ms)
            yield f"| {echoes} | {rate:.0f} | " + " | ".join(cells) + " |"


def _arrays(magnitude: Any, te_s: tuple[float, ...], noise_sd: float, field: Any) -> dict[str, Any]:
    return {
        "magnitude": magnitude,
        "te_s": te_s,
        "noise_sd": noise_sd,
        "field_ppm": field,
        "b0_t": 3.0,
        "acquisition_type": "3D",
    }


def truth_of(root: Path, scan: Scan) -> dict[str, Any]:
    """Return the true maps of a scan by suffix."""
    folder = root / "derivatives" / "truth" / scan.name.folder
    names = ("R2starmap", "desc-field_fieldmap", "desc-brain_mask", "desc-truth_dseg")
    names += ("desc-veins_probseg",)
    maps = {n: read_nifti(folder / f"{scan.name.prefix}_{n}.nii.gz").only for n in names}
    maps["desc-brain_mask"] = maps["desc-brain_mask"] > 0
    return maps


def walked(scan: Scan, mask: Any, step: str, **settings: Any) -> Work:
    """Return the scan at `step`, its phase unwrapped by the road."""
    work = Work(scan=scan, settings=Settings.build(phase_sign="+1", **settings))
    work.given_mask = mask
    walk(work, [step])
    return work


def relaxation(scan: Scan, truth: dict[str, Any]) -> Iterator[str]:
    """Yield the table of errors of R2* by how steep the field is."""
    work = walked(scan, truth["desc-brain_mask"], "r2star")
    echoes, grid = scan.echoes, scan.echoes.grid
    arrays = _arrays(echoes.magnitude, echoes.te_s, work.noise_sd, None)
    arrays |= {"b0_t": echoes.b0_t, "acquisition_type": scan.header.acquisition_type}
    found = {f"`{n}`": row(arrays, grid=grid)[0] for n, row in METHODS.items()}
    found["`nonlinear` with the field"] = METHODS["nonlinear"](
        arrays | {"field_ppm": work.total_field_ppm}, grid=grid
    )[0]
    inner = ndimage.binary_erosion(truth["desc-brain_mask"])
    steep = np.max([np.abs(np.gradient(truth["desc-field_fieldmap"], axis=a)) for a in range(3)], 0)
    cycles = steep * hz_per_ppm(echoes.b0_t) * echoes.te_s[-1]
    parts = {
        f"{low:g}-{high:g}": inner & (cycles >= low) & (cycles < high)
        for low, high in pairwise(CYCLES)
    }
    parts["voids of bleeds"] = inner & (truth["desc-truth_dseg"] > 0)
    yield "| cycles | voxels | " + " | ".join(found) + " |"
    yield "|---|---|" + "---|" * len(found)
    for name, part in parts.items():
        errors = [(rate - truth["R2starmap"])[part] for rate in found.values()]
        cells = [f"{np.median(np.abs(e)):.1f} ({np.median(e):+.1f})" for e in errors]
        yield f"| {name} | {part.sum()} | " + " | ".join(cells) + " |"


def weighting(scan: Scan, truth: dict[str, Any]) -> Iterator[str]:
    """Yield the table of contrasts: darkness inside, over the spread of the tissue around."""
    inside = truth["desc-brain_mask"]
    spots = {
        "veins": (truth["desc-veins_probseg"] > 0.5) & inside,
        "bleeds": (truth["desc-truth_dseg"] > 0) & inside,
    }
    grid = scan.echoes.grid
    works = {name: walked(scan, inside, "swi", **given) for name, given in IMAGES.items()}
    reading = next(iter(works.values())).reading_echo
    images = {"magnitude at the reading echo": scan.echoes.magnitude[reading]}
    images |= {name: work.need("swi") for name, work in works.items()}
    inner = ndimage.binary_erosion(inside, iterations=round(6 / float(grid.spacing_mm.min())))
    yield "| image | veins, whole brain | bleeds | veins, 6 mm from the edge |"
    yield "|---|---|---|---|"
    for name, image in images.items():
        cells = [contrast(image, spots[k], inside, spots) for k in ("veins", "bleeds")]
        cells.append(contrast(image, spots["veins"] & inner, inner, spots))
        yield f"| {name} | " + " | ".join(f"{c:.2f}" for c in cells) + " |"


def contrast(image: Any, spot: Any, inside: Any, spots: dict[str, Any]) -> float:
    """Return the fall from the tissue 2 to 5 voxels around to the spot, in its spreads."""
    near = ndimage.binary_dilation(spot, iterations=2)
    around = ndimage.binary_dilation(spot, iterations=5) & ~near & inside
    for other in spots.values():
        around &= ~ndimage.binary_dilation(other, iterations=2)
    spread = np.subtract(*np.percentile(image[around], [75, 25])) / 1.349
    return float((np.median(image[around]) - np.median(image[spot])) / spread)


def main() -> None:
    """Print the tables, and write them when asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--table", type=Path)
    args = parser.parse_args()
    lines = [
        f"# R2* and SWI\n\nMeasured {datetime.now(UTC):%Y-%m-%d} by `validation/contrast.py`.\n"
    ]
    lines += ["## Bias of the median (standard deviation) [1/s] at SNR 100\n", *monte_carlo()]
    for ref in find_bids_scans(args.dataset):
        scan = ref.load()
        truth = truth_of(args.dataset, scan)
        lines += [f"\n## {scan.name.prefix}: median |error| (bias) of R2* [1/s]\n"]
        lines += relaxation(scan, truth)
        lines += [f"\n## {scan.name.prefix}: contrast over spread\n", *weighting(scan, truth)]
    print("\n".join(lines))
    if args.table:
        args.table.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
