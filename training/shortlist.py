"""Grow the orders of dark spots: which 150 of about 2000 are measured, in thin slices and in thick.

usage: python training/shortlist.py WORK [INPUTS ...] [--install]

Every void of the whole heads of `heads.py` (`--whole`, `--thick`), and of the cases that
`validation/detection.py` keeps in the folders INPUTS, is told whether it is a microbleed. What is
measured of each before it is chosen (`MEASURES` of `petechia.lesions.shortlist`) is told apart by
trees. Prints the share of visible microbleeds among the first 150 of people not fitted on, by these
trees and by the tables that serve without a model, and writes WORK/orders.npz: trees grown on all,
and on the people of the other folds, by which `examples.py` and `cases.py` look at each person.
`fit.py` puts those of all beside its own trees; `--install` puts them beside those of the package.
Voids are kept in WORK/shortlist; delete that when what is measured of them changes.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from cases import kept_of, load, person_of
from examples import inputs_of, owners_of, visible_of
from fit import plain
from heads import THICK as THICK_HEAD
from heads import WHOLE
from kept import Kept, read_kept
from orders import NAMES, Orders
from package import ASSETS, CARD, put_arrays, put_card
from sklearn.ensemble import HistGradientBoostingClassifier

from petechia.lesions.inputs import LesionInputs
from petechia.lesions.look import shaped
from petechia.lesions.model import arrays_of
from petechia.lesions.params import DetectParams
from petechia.lesions.search import search
from petechia.lesions.shortlist import MEASURES, THICK, THIN, Order, trained_worth, worth
from petechia.lesions.trees import Trees
from petechia.lesions.void import Void
from petechia.pipeline.calibration import SLICES
from petechia.pipeline.provenance import threads

Floats = npt.NDArray[np.float64]
FIRST = DetectParams().shortlist.most
SURE = DetectParams().shortlist.sure
FOLDS = 4
SEED = 1
BESIDE = ("calcification", "macrobleed")
"""What a microbleed's order should neither take nor leave."""
TABLES = (THIN, THICK)
CASE = "case_"


@dataclass(frozen=True, eq=False)
class Scan:
    """The voids of one scan: `real` is 1 for a microbleed, 0 for none, -1 for neither."""

    told: tuple[dict[str, float], ...]
    real: npt.NDArray[np.int64]
    person: str
    thick: bool
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


def scans_in(work: Path, folders: Sequence[Path]) -> dict[str, Path]:
    """Return the path of every whole head and case, by the name that its voids are kept under.

    Other people are for other things: those of fine voxels and of drawn veins are measured by.
    """
    found = {
        path.name: path
        for part in (WHOLE, THICK_HEAD)
        for path in sorted((work / "scans").glob(f"*_{part}.npz"))
    }
    for path in (p for folder in folders for p in sorted(folder.glob("*.npz"))):
        if ".part" in path.name:
            continue
        if (name := f"{CASE}{path.name}") in found:
            raise SystemExit(f"{path}: a case of this name is in another folder, too")
        found[name] = path
    return found


def read_scan(name: str, path: Path) -> tuple[Kept, LesionInputs, str]:
    """Return the truth of a head or a case, what the detector is given, and who it is."""
    if not name.startswith(CASE):
        kept = read_kept(path)
        return kept, inputs_of(kept), kept.facts["person"]
    case = load(path)
    return kept_of(case), case.inputs, person_of(path)


def measure_scan(out: Path, kept: Kept, inputs: LesionInputs, person: str) -> None:
    """Measure the voids of a scan and keep what is told of them."""
    params = DetectParams()
    spots = search(inputs, params)
    some, _, _, told = shaped(spots, params)
    part = out.with_suffix(".part.npz")
    np.savez(
        part, real=real_of(kept, some, spots.corner), visible=len(visible_of(kept)),
        person=person, thick=kept.thick, **{k: [t[k] for t in told] for k in MEASURES},
    )  # fmt: skip
    part.rename(out)


def read_voids(work: Path, folders: Sequence[Path]) -> list[Scan]:
    """Measure the voids of every scan, or read what was kept of them."""
    kept_in, scans = work / "shortlist", []
    kept_in.mkdir(exist_ok=True)
    for name, path in scans_in(work, folders).items():
        out = kept_in / name
        if not out.exists():
            measure_scan(out, *read_scan(name, path))
            print(name, flush=True)
        with np.load(out) as stored:
            columns = [stored[k].tolist() for k in MEASURES]
            scans.append(
                Scan(
                    told=tuple(
                        dict(zip(MEASURES, row, strict=True))
                        for row in zip(*columns, strict=True)
                    ),
                    real=stored["real"],
                    person=str(stored["person"]),
                    thick=bool(stored["thick"]),
                    visible=int(stored["visible"]),
                )
            )  # fmt: skip
    return scans


def grown(scans: Sequence[Scan]) -> Trees:
    """Return trees that tell microbleeds from all other voids of scans."""
    table = np.array([[one[k] for k in MEASURES] for s in scans for one in s.told])
    real = np.concatenate([s.real for s in scans])
    known = real >= 0
    model = HistGradientBoostingClassifier(
        max_iter=300, learning_rate=0.05, max_leaf_nodes=8, min_samples_leaf=25,
        l2_regularization=5.0, max_features=0.3, early_stopping=False, random_state=SEED,
    )  # fmt: skip
    return plain(model.fit(table[known], real[known]))


def among_first(scans: Sequence[Scan], scores: Sequence[Floats]) -> int:
    """Return how many visible microbleeds are among the first voids of their scans."""
    found = 0
    for scan, score in zip(scans, scores, strict=True):
        first = np.argsort(-score, kind="stable")[:FIRST]
        found += int((scan.real[first] == 1).sum())
    return found


def by_others(scans: Sequence[Scan]) -> tuple[dict[str, int], list[Trees]]:
    """Return the fold of each person, and trees grown without the people of each fold."""
    people = sorted({s.person for s in scans})
    drawn = np.random.default_rng(SEED).permutation(len(people)) % FOLDS
    fold = dict(zip(people, drawn.tolist(), strict=True))
    return fold, [grown([s for s in scans if fold[s.person] != k]) for k in range(FOLDS)]


def facts_of(scans: Sequence[Scan], told: Sequence[Floats], table: Order) -> dict[str, Any]:
    """Return on what an order is grown, and how many microbleeds come first by it.

    `told` is the worth of each void by trees of other people.
    """
    by_table = [np.array([worth(one, table) for one in s.told]) for s in scans]
    return {
        "scans": len(scans),
        "people": len({s.person for s in scans}),
        "visible_microbleeds": sum(s.visible for s in scans),
        "with_a_void": sum(int((s.real == 1).sum()) for s in scans),
        "first": FIRST,
        "among_first": among_first(scans, told),
        "among_first_by_table": among_first(scans, by_table),
        "most_that_are_sure": max(int((t > SURE).sum()) for t in told),
    }


def main() -> None:
    """Grow the orders, tell how they do, keep them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("inputs", type=Path, nargs="*")
    parser.add_argument("--install", action="store_true")
    args = parser.parse_args()
    with threads(1):
        every = read_voids(args.work, args.inputs)
    orders = Orders({}, {}, {}, {"measures": list(MEASURES)})
    for thick, (name, table) in enumerate(zip(NAMES, TABLES, strict=True)):
        scans = [s for s in every if s.thick == bool(thick)]
        if len({s.person for s in scans}) < FOLDS:
            raise SystemExit(f"fewer than {FOLDS} people with {SLICES[thick]} slices")
        fold, trees = by_others(scans)
        told = [trained_worth(s.told, trees[fold[s.person]]) for s in scans]
        orders.facts[SLICES[thick]] = facts_of(scans, told, table)
        print(SLICES[thick], orders.facts[SLICES[thick]], flush=True)
        orders.fold[name], orders.by_others[name], orders.grown[name] = fold, trees, grown(scans)
    orders.write(args.work)
    if args.install:
        put_arrays(arrays_of((ASSETS / "detector.npz").read_bytes()) | orders.arrays())
        card = json.loads((ASSETS / CARD).read_text(encoding="utf-8"))
        put_card(card | {"orders": orders.facts})


if __name__ == "__main__":
    main()
