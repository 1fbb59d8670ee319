"""Fit what is added to trees and network, on people that neither was trained on.

usage: python training/refine.py WORK [--cases INPUTS ...] [--seed 1] [--install]

WORK holds scans of `heads.py` that no model was trained on (WORK/scans); INPUTS are folders of
cases that `validation/detection.py` keeps: people as `petechia simulate` makes them, by named
protocols. Looks at each are kept in WORK as `examples.py` keeps its own, so that it can be
stopped and started. A sum of features, held small, is added to the log-odds of trees and network
by logistic regression: one for thin slices with a sign, one for those without. How it does is
told of each person by what the others give, and so are the operating points, which are those of
named protocols; all of it goes into the card.
"""

import argparse
import hashlib
import io
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from examples import VARIANTS, Kept, examples_of, make_missing, write
from fit import numbers_of, told_to_join
from measures import (
    THICK,
    Examples,
    metrics,
    operating_points,
    read_examples,
)
from package import ASSETS, CARD, SOURCE, put, put_card
from sklearn.linear_model import LogisticRegression

from petechia.anatomy.tracking import track_veins
from petechia.assets.store import manifest
from petechia.core.logistic import expit
from petechia.lesions.features import NAMES, SCAN_NAMES, Described, pipeline_hash
from petechia.lesions.inputs import LesionInputs
from petechia.lesions.linear import Linear
from petechia.lesions.look import look
from petechia.lesions.model import KINDS, LINEAR, Model, arrays_of, joint_log_odds, kinds_of
from petechia.lesions.params import DetectParams
from petechia.lesions.slices import is_thick
from petechia.pipeline.detector import detector
from petechia.pipeline.provenance import threads

sys.path.insert(0, str(Path(__file__).parents[1] / "validation"))
from detection import Case, load

MAY = {"screening": (2.0, 1.0), "balanced": (0.5, 0.2), "counting": (0.2, 0.1)}
"""False findings that each operating point may make: a scan, and a scan of somebody without
microbleeds. Less than the targets allow there: these few people chose the sum as well."""
HELD = 0.03
"""Inverse strength of the penalty on weights per spread of a feature."""
BASE_SCALE = 5.0
"""The log-odds that are added to are held by the penalty so many times less."""
LEAST = 0.01
"""Voids of smaller probability are not fitted to: nearly all are veins."""
OF_VOID = [n for n, name in enumerate(NAMES) if name not in SCAN_NAMES]
GROUPS = {
    "thin slices with a sign": [n for n, kind in enumerate(KINDS) if kind.endswith(", signed")],
    "thin slices without": [n for n, kind in enumerate(KINDS) if kind.endswith(", no sign")],
}
"""Kinds of scans that have a sum together. Thick slices have none: it gained little with the named
protocol and lost with drawn ones."""


def kept_of(case: Case) -> Kept:
    """Return a case of `validation/detection.py` as a scan of `heads.py`, as far as it is asked."""
    lesions = [{**row, "index": n} for n, row in enumerate(case.lesions, start=1)]
    none = np.zeros(case.inputs.grid.shape, dtype=np.float32)
    arrays = {
        "truth_labels": case.labels, "brain_mask": case.inputs.brain_mask,
        "truth_brain": case.inputs.brain_mask, "truth_veins": none,
    }  # fmt: skip
    return Kept({"lesions": lesions}, arrays, case.inputs.grid)


def without_phase(inputs: LesionInputs) -> LesionInputs:
    """Return what the detector would be given of a scan had its phase not been stored."""
    dark = inputs.magnitude
    veins = track_veins(None, dark, inputs.brain_mask, inputs.grid)
    gone = dict.fromkeys((
        "swi", "local_field_ppm", "field_noise_ppm", "field_mask", "chi_ppm", "total_field_ppm",
        "filtered_field_ppm",
    ))  # fmt: skip
    return replace(
        inputs, **gone, sign_trusted=False, vessel=veins.likeness, vein_length_mm=veins.length_mm
    )


def make_cases(work: Path, folders: Sequence[Path]) -> Iterator[str]:
    """Look at the cases that were not looked at, and once more without phase; yield what was."""
    out = work / f"examples_{pipeline_hash()}"
    out.mkdir(parents=True, exist_ok=True)
    paths = [p for folder in folders for p in sorted(folder.glob("*.npz"))]
    if len({p.name for p in paths}) < len(paths):
        raise SystemExit(f"{[str(f) for f in folders]}: cases of one name in two folders")
    for path in paths:
        ways = {v: out / f"case_{path.stem}.{v}.npz" for v in VARIANTS}
        if ".part" in path.name or all(at.exists() for at in ways.values()):
            continue
        case = load(path)
        name, _, seed = path.stem.rpartition("_")
        facts = {
            "person": f"case-{seed}",
            "protocol": name.removesuffix("-clean"),
            "scan": path.stem,
        }
        for variant, at in ways.items():
            if at.exists() or (variant == "no_phase" and not case.inputs.has_field):
                continue
            inputs = case.inputs if variant == "whole" else without_phase(case.inputs)
            made = examples_of(kept_of(case), look(inputs, DetectParams()))
            write(at, made, kept_of(case), variant=variant, **facts)
            yield f"{at.name}: {len(made['label'])} described"


@dataclass(frozen=True, eq=False)
class Correction:
    """What becomes of the log-odds of trees and network, in each of `KINDS`.

    Attributes
    ----------
    constant, slope : (M,) ndarray
        Of the log-odds themselves; 0 and 1 where nothing was fitted.
    linear : Linear
        What is added.
    """

    constant: npt.NDArray[np.float64]
    slope: npt.NDArray[np.float64]
    linear: Linear

    def log_odds(
        self, base: np.ndarray, table: np.ndarray, kinds: np.ndarray
    ) -> npt.NDArray[np.float64]:
        """Return the log-odds of rows."""
        added = self.linear.scores(table, kinds)
        return np.asarray(self.constant[kinds] + self.slope[kinds] * base + added)


def fitted(
    table: np.ndarray,
    base: np.ndarray,
    label: np.ndarray,
    kinds: np.ndarray,
    held: float = HELD,
    groups: Iterable[str] = GROUPS,
) -> Correction:
    """Fit the sum of each group of kinds that has microbleeds and others."""
    form = len(KINDS), len(NAMES)
    linear = Linear(middle=np.zeros(form), spread=np.ones(form), weight=np.zeros(form))
    told = Correction(constant=np.zeros(len(KINDS)), slope=np.ones(len(KINDS)), linear=linear)
    for own in (GROUPS[name] for name in groups):
        some = (label >= 0) & (expit(base) > LEAST) & np.isin(kinds, own)
        x, y = table[some], label[some] == 0
        if not len(y) or y.all() or not y.any():
            continue
        known = [n for n in OF_VOID if not np.isnan(x[:, n]).all()]
        at = np.ix_(own, known)
        linear.middle[at] = np.nanmean(x[:, known], axis=0, dtype=np.float64)
        linear.spread[at] = np.nanstd(x[:, known], axis=0, dtype=np.float64) + 1e-6
        features = linear.standard(x, kinds[some])[:, known]
        model = LogisticRegression(C=held, max_iter=5000)
        model.fit(np.column_stack([BASE_SCALE * base[some], features]), y)
        linear.weight[at] = model.coef_[0, 1:]
        told.constant[own], told.slope[own] = model.intercept_[0], BASE_SCALE * model.coef_[0, 0]
    return told


def kept_out(
    e: Examples, base: np.ndarray, label: np.ndarray, kinds: np.ndarray
) -> npt.NDArray[np.float64]:
    """Return the log-odds of the voids of each person by a fit to the others."""
    out = np.array(base)
    row_person = np.array([f["person"] for f in e.facts])[e.scan]
    for person in np.unique(row_person):
        held, rest = row_person == person, row_person != person
        needed = [name for name, own in GROUPS.items() if np.isin(kinds[held], own).any()]
        told = fitted(e.table[rest], base[rest], label[rest], kinds[rest], groups=needed)
        out[held] = told.log_odds(base[held], e.table[held], kinds[held])
    return out


def evidence_of(e: Examples, model: Model, work: Path) -> npt.NDArray[np.float64]:
    """Return the log-odds of trees and network; what was told of a look is not asked again."""
    arrays = (*model.bleed.arrays().values(), *model.joint["combined"])
    trees = hashlib.sha256(b"".join(a.tobytes() for a in arrays)).hexdigest()
    folder = work / f"evidence_{trees[:8]}_{manifest()['detector_network']['sha256'][:8]}"
    folder.mkdir(exist_ok=True)
    parts = []
    for n, fact in enumerate(e.facts):
        at, rows = folder / f"{fact['look']}.npy", e.scan == n
        if not at.exists():
            told = Described(table=e.table[rows], cubes=e.cubes[rows].astype(np.float32))
            np.save(at, model.evidence(told, "combined"))
        parts.append(np.load(at))
        if len(parts[-1]) != rows.sum():
            raise SystemExit(f"{at}: of another look. Delete {folder}.")
    return np.concatenate(parts)


def judged(
    p: dict[str, np.ndarray],
    e: Examples,
    kinds: np.ndarray,
    points: dict[str, np.ndarray],
    drawn: np.ndarray,
    seed: int,
) -> dict[str, Any]:
    """Return the metrics of each row on each group of scans, and by whose protocols they are."""
    told: dict[str, Any] = {}
    kind = np.array([kinds[e.scan == n][0] for n in range(len(e.facts))])
    whole = np.array([f["variant"] == "whole" for f in e.facts])
    groups = {"all": whole} | {name: np.isin(kind, own) for name, own in GROUPS.items()}
    groups[THICK] = whole & (kind == KINDS.index(THICK))
    for group, own in groups.items():
        for of, some in (("", own), (", named", own & ~drawn), (", drawn", own & drawn)):
            for name in p if some.any() else ():
                rng = np.random.default_rng(seed)
                scans = np.flatnonzero(some).tolist()
                told[f"{name}, {group}{of}"] = metrics(p[name], e, scans, points[name], rng)
    return told


def arrays_with(
    told: Correction, arrays: dict[str, npt.NDArray[Any]]
) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a model with a correction of its row `combined`."""
    joint = np.pad(arrays["joint_combined"] * told.slope[:, None], ((0, 0), (0, 1)))
    joint[:, 0] += told.constant
    joint[:, -1] = 1.0
    return arrays | told.linear.arrays(LINEAR) | {"joint_refined": joint}


def install(e: Examples, told: Correction, card: dict[str, Any], measured: dict[str, Any]) -> None:
    """Put the sum, how it is joined, its points and what it is worth into the package."""
    arrays = arrays_of((ASSETS / "detector.npz").read_bytes())
    content = io.BytesIO()
    np.savez_compressed(content, **arrays_with(told, arrays))
    put("detector", "detector.npz", content.getvalue(), SOURCE)
    card |= {"name": f"petechia-detector-{datetime.now(UTC):%Y-%m-%d}", "default": "refined"}
    on = {k: v for k, v in numbers_of(e).items() if k != "classes"}
    card["refined"] = {"on": on, "told_by_others": measured}
    card.setdefault("out_of_fold_at", card["points_of_combined"]["balanced"])
    put_card(card)


def main() -> None:
    """Look, fit, print how it does, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--cases", type=Path, nargs="*", default=[])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--install", action="store_true")
    args = parser.parse_args()
    with threads(1):
        for text in chain(make_cases(args.work, args.cases), make_missing(args.work)):
            print(text, flush=True)
        e, model = read_examples(args.work), detector()
        evidence = evidence_of(e, model, args.work)
    kinds, label = kinds_of(e.table), told_to_join(e)
    base = joint_log_odds(evidence, kinds, model.joint["combined"])
    p = {"combined": expit(base), "refined": expit(kept_out(e, base, label, kinds))}
    thick = is_thick([max(f["spacing_mm"]) for f in e.facts])
    drawn = np.array([f["protocol"].startswith("random_") for f in e.facts])
    card = json.loads((ASSETS / CARD).read_text(encoding="utf-8"))
    before = card.get("points_of_combined", card["operating_points"])
    of_thick = card["thick_slices"]["operating_points"]["balanced"]
    scans = np.flatnonzero(~thick & ~drawn).tolist()
    points = operating_points(p["refined"], e, scans, MAY)
    balanced = {
        name: np.where(thick, of_thick, thin["balanced"])
        for name, thin in (("combined", before), ("refined", points))
    }
    measured = judged(p, e, kinds, balanced, drawn, args.seed)
    for name, line in measured.items():
        print(name, line, flush=True)
    print(points, flush=True)
    if args.install:
        card |= {"points_of_combined": before, "operating_points": points}
        install(e, fitted(e.table, base, label, kinds), card, measured)


if __name__ == "__main__":
    main()
