"""Fit the order of dark spots in thick slices: which 150 of about 2000 are measured.

usage: python training/shortlist.py WORK [--match NAMES]

Every void of the scans of `heads.py` whose slices are thick is told whether it is a microbleed.
What is measured of each before it is chosen is joined by a logistic fit, each measure as two
straight lines between its 2nd, 50th and 98th percentile in microbleeds. Prints the share of visible
microbleeds among the first 150 of people not fitted on, before and after, and the table THICK of
`petechia.lesions.shortlist`, fitted on all. Voids are kept in WORK/shortlist; delete that when what
is measured of them changes.
"""

import argparse
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
from examples import inputs_of, owners_of, visible_of
from kept import Kept, read_kept
from sklearn.linear_model import LogisticRegression

from petechia.lesions.look import shaped
from petechia.lesions.params import DetectParams
from petechia.lesions.search import search
from petechia.lesions.shortlist import THICK, worth
from petechia.lesions.void import Void
from petechia.pipeline.provenance import threads

Floats = npt.NDArray[np.float64]
MEASURES = (
    "depth", "depth_over_texture", "parenchyma", "sphericity", "log_voxels", "inscribed_mm",
    "margin_sharpness", "chi_ppm", "homogeneity", "background", "outside", "elongation", "through",
    "one_way", "vein_mm", "symmetric", "vessel",
)  # fmt: skip
KNOTS = {"chi_ppm": (0.0, 0.1, 0.4)}
"""Where there is no map, every value is 0: percentiles would tell little."""
PERCENTILES = (2, 50, 98)
FIRST = 150
FOLDS = 4
BESIDE = ("calcification", "macrobleed")
"""What a microbleed's order should neither take nor leave."""


@dataclass(frozen=True, eq=False)
class Voids:
    """All voids of the scans, one after another; `real` is 1, 0, or -1 for neither."""

    told: dict[str, Floats]
    real: npt.NDArray[np.int64]
    scan: npt.NDArray[np.int64]
    person: npt.NDArray[np.str_]
    visible: int


def real_of(kept: Kept, voids: list[Void], corner: np.ndarray) -> npt.NDArray[np.int64]:
    """Return 1 for the largest void of each visible microbleed, -1 for neither, 0 for the rest."""
    rows = {int(r["index"]): r for r in kept.facts["lesions"]}
    owner, share = owners_of(voids, corner, kept)
    real = np.zeros(len(voids), dtype=np.int64)
    for index in np.unique(owner[owner > 0]):
        mine, row = np.flatnonzero(owner == index), rows.get(int(index))
        if row is None or not int(row["visible"]) or row["class"] in BESIDE:
            real[mine] = -1
        elif row["class"] == "microbleed":
            real[mine] = -1
            real[mine[np.argmax(share[mine])]] = 1
    return real


def read_voids(work: Path, match: str) -> Voids:
    """Measure the voids of every scan of thick slices, or read what was kept of them."""
    folder, params = work / "shortlist", DetectParams()
    folder.mkdir(exist_ok=True)
    parts, people = [], []
    for path in sorted((work / "scans").glob(f"{match}.npz")):
        out = folder / path.name
        if ".part" in path.name:
            continue
        if not out.exists():
            kept = read_kept(path)
            if not kept.thick:
                continue
            spots = search(inputs_of(kept), params)
            some, _, _, told = shaped(spots, params)
            part = out.with_suffix(".part.npz")
            np.savez(
                part, real=real_of(kept, some, spots.corner), visible=len(visible_of(kept)),
                person=kept.facts["person"], **{k: [t[k] for t in told] for k in MEASURES},
            )  # fmt: skip
            part.rename(out)
            print(f"{path.stem}: {len(some)} voids", flush=True)
        with np.load(out) as stored:
            parts.append({k: stored[k] for k in (*MEASURES, "real", "visible")})
            people.append(str(stored["person"]))
    sizes = [len(p["real"]) for p in parts]
    return Voids(
        told={k: np.concatenate([p[k] for p in parts]) for k in MEASURES},
        real=np.concatenate([p["real"] for p in parts]),
        scan=np.repeat(np.arange(len(parts)), sizes),
        person=np.repeat(people, sizes),
        visible=sum(int(p["visible"]) for p in parts),
    )


def lines_of(voids: Voids) -> dict[str, tuple[float, ...]]:
    """Return where the straight lines of each measure meet."""
    real = voids.real == 1
    found = {
        k: tuple(np.unique(np.percentile(v[real], PERCENTILES).round(3)))
        for k, v in voids.told.items()
    }
    return found | KNOTS


def hinges(voids: Voids, knots: dict[str, tuple[float, ...]]) -> Floats:
    """Return what rises from 0 to 1 between neighbouring knots of each measure."""
    return np.stack(
        [
            np.clip((voids.told[k] - low) / (high - low), 0, 1)
            for k, at in knots.items()
            for low, high in pairwise(at)
        ],
        axis=1,
    )


def among_first(voids: Voids, score: Floats) -> float:
    """Return the share of visible microbleeds among the first voids of their scans."""
    found = 0
    for s in np.unique(voids.scan):
        rows = np.flatnonzero(voids.scan == s)
        first = rows[np.argsort(-score[rows], kind="stable")[:FIRST]]
        found += int((voids.real[first] == 1).sum())
    return found / voids.visible


def fitted(rise: Floats, real: npt.NDArray[np.int64]) -> tuple[Floats, float]:
    """Return what each hinge adds to the log-odds, and the log-odds without any."""
    known = real >= 0
    model = LogisticRegression(C=1.0, max_iter=1000).fit(rise[known], real[known])
    return model.coef_[0], float(model.intercept_[0])


def main() -> None:
    """Fit, tell how it does, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--match", default="*", help="names of kept scans, with wildcards")
    args = parser.parse_args()
    with threads(1):
        voids = read_voids(args.work, args.match)
    knots = lines_of(voids)
    rise = hinges(voids, knots)
    people = np.unique(voids.person)
    fold = dict(zip(people, np.random.default_rng(1).permutation(len(people)) % FOLDS, strict=True))
    row_fold = np.array([fold[p] for p in voids.person])
    score = np.zeros(len(rise))
    for k in range(FOLDS):
        slopes, _ = fitted(rise[row_fold != k], voids.real[row_fold != k])
        score[row_fold == k] = rise[row_fold == k] @ slopes
    each = [
        dict(zip(voids.told, row, strict=True)) for row in zip(*voids.told.values(), strict=True)
    ]
    now = np.array([worth(told, THICK) for told in each])
    reached = int((voids.real == 1).sum())
    print(
        f"{voids.scan.max() + 1} scans, {len(rise)} voids; of {voids.visible} visible microbleeds "
        f"{reached} have one; among the first {FIRST}: {among_first(voids, score):.3f} "
        f"(people not fitted on), by THICK as it is {among_first(voids, now):.3f}"
    )
    slopes, start = fitted(rise, voids.real)
    sure = np.bincount(voids.scan, rise @ slopes + start > 0).astype(int)
    print(f"sure, in the five scans with most: {np.sort(sure)[-5:].tolist()}")
    at, start = 0, start + DetectParams().shortlist.sure
    for name, where in knots.items():
        steps = slopes[at : at + len(where) - 1]
        at += len(where) - 1
        values = np.concatenate([[0.0], np.cumsum(steps)]) + (start if name == MEASURES[0] else 0)
        told = ", ".join(f"{x:g}" for x in where), ", ".join(f"{v:.2f}" for v in values)
        print(f'    "{name}": (({told[0]}), ({told[1]})),')


if __name__ == "__main__":
    main()
