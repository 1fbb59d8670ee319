"""Tell what other operating points would count, on people never trained on.

usage: python training/points.py INPUTS ... --slices thin|thick

INPUTS are folders of cases that `validation/detection.py` keeps (WORK/inputs): people with
microbleeds and without, of which those with such slices are judged. Of the thresholds that keep
to what the targets allow (thin slices: half a false finding a scan, 0.3 in people without
microbleeds; thick ones: one and 0.3, calcifications not counted against it) the lowest is told.
The points of the card are those of `refine.py`, out of fold: this looks at them with other people.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from petechia.core.matching import distances_mm, one_to_one
from petechia.lesions.detect import detect
from petechia.lesions.params import DetectParams
from petechia.lesions.slices import is_thick
from petechia.pipeline.detector import detector

sys.path.insert(0, str(Path(__file__).parents[1] / "validation"))
from detection import ALL, Case, load
from detection_tables import STRATA

ALLOWED = {"thin": (0.5, 0.3), "thick": (1.0, 0.3)}
"""False findings in a scan of somebody with microbleeds, and without."""
TRIED = np.round(np.arange(0.3, 0.96, 0.05), 2)


def told(case: Case) -> list[tuple[list[int], int, int]]:
    """Return, for each threshold, visible microbleeds counted by moment, false ones, and calcium.

    What meets an invisible microbleed counts neither way.
    """
    found = detect(case.inputs, DetectParams(most_findings=ALL), detector()).findings
    p = np.array([f.probability for f in found])
    places = np.array([(f.x_mm, f.y_mm, f.z_mm) for f in found]).reshape(-1, 3)
    true = np.array([[float(r[a]) for a in ("x_mm", "y_mm", "z_mm")] for r in case.lesions])
    bleed, calcium = (
        np.array([r["class"] == kind for r in case.lesions], dtype=bool)
        for kind in ("microbleed", "calcification")
    )
    shown = bleed & np.array([r["visible"] == "1" for r in case.lesions], dtype=bool)
    moment = np.array([float(r["moment_ppm_mm3"]) for r in case.lesions])
    radius = max(5.0, float(case.inputs.grid.spacing_mm.max()))
    out = []
    for least in TRIED:
        counted = places[p >= least]
        met = one_to_one(true[shown], counted, radius)
        hit = moment[shown][met.hit]
        wrong = counted[~met.good]
        near = distances_mm(true, wrong) <= radius
        excused, stone = (near[k].any(axis=0) for k in (bleed & ~shown, calcium))
        by_moment = [int(((hit >= a) & (hit < b)).sum()) for a, b in STRATA]
        out.append((by_moment, int((~excused & ~stone).sum()), int((stone & ~excused).sum())))
    return out


def main() -> None:
    """Judge, print what each threshold finds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("inputs", type=Path, nargs="+")
    parser.add_argument("--slices", choices=list(ALLOWED), required=True)
    args = parser.parse_args()
    scans, clean = [], []
    for path in (p for folder in args.inputs for p in sorted(folder.glob("*.npz"))):
        case = load(path)
        if bool(is_thick(case.inputs.grid.spacing_mm.max())) == (args.slices == "thick"):
            lesions = [r["class"] == "microbleed" and r["visible"] == "1" for r in case.lesions]
            (scans if any(lesions) else clean).append(told(case))
    names = [f"{a:g}-{b:g}" if np.isfinite(b) else f">{a:g}" for a, b in STRATA]
    print(f"| from | {' | '.join(names)} | false a scan ({len(scans)}) | calcium | "
          f"in clean scans ({len(clean)}) | calcium |")  # fmt: skip
    good = []
    allowed, allowed_clean = ALLOWED[args.slices]
    for n, least in enumerate(TRIED):
        found = np.sum([s[n][0] for s in scans], axis=0).tolist()
        cells = [np.mean([s[n][k] for s in some]) for some in (scans, clean) for k in (1, 2)]
        print(f"| {least} | {' | '.join(map(str, found))} | "
              f"{' | '.join(f'{c:.2f}' for c in cells)} |")  # fmt: skip
        stones = np.array(cells[1::2]) if args.slices == "thin" else np.zeros(2)
        if cells[0] + stones[0] <= allowed and cells[2] + stones[1] <= allowed_clean:
            good.append(float(least))
    if not good:
        raise SystemExit("no threshold keeps to what is allowed, or no scan has such slices")
    print("lowest that is allowed:", good[0])


if __name__ == "__main__":
    main()
