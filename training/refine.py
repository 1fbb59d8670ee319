"""Fit what is added to trees and network, and find from which probability findings count.

usage: python training/refine.py WORK [--seed 1] [--install]

Reads what the last fit in WORK (`fit.py`) thought of all voids, each by classifiers trained on
other people. A sum of features, held small, is added to the log-odds of trees and network by
logistic regression: one for thin slices with a sign, one for those without. How it does is told of
each person by what the others give. Operating points of thin slices, and `balanced` of thick ones,
are those of people as `petechia simulate` makes them, by named protocols (`cases.py`), out of fold;
`screening` and `counting` of thick slices are the fit's. All of it goes into the card.
"""

import argparse
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from fit import numbers_of, told_to_join
from measures import (
    THICK,
    THICK_FALSE,
    TOLD,
    Examples,
    by_slices,
    is_drawn,
    is_merged,
    metrics,
    operating_points,
    read_examples,
)
from package import ASSETS, CARD, put_arrays, put_card
from sklearn.linear_model import LogisticRegression

from petechia.core.logistic import expit, logit
from petechia.lesions.features import NAMES, SCAN_NAMES
from petechia.lesions.linear import Linear
from petechia.lesions.model import KINDS, LINEAR, arrays_of, joint_log_odds, kinds_of

Bounds = tuple[float, float]
MAY = {"screening": (2.0, 1.0), "balanced": (0.5, 0.2), "counting": (0.2, 0.1)}
"""False findings that each operating point may make: a scan, and a scan of somebody without
microbleeds. Less than the targets allow there: these few people chose the sum as well."""
MAY_THICK = (1.0, 0.2)
"""The same of `balanced` in slices of 3 mm and more; calcifications, which look alike there, are
not among them. Less than the 0.3 that are asked for: people kept out have more than these eight."""
MAY_DRAWN = (2 * THICK_FALSE["balanced"][0], 2 * THICK_FALSE["balanced"][1])
"""And by drawn protocols, which are more motley: twice what a fit allows itself out of fold, where
classifiers of fewer people judge."""
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


def last_fit(
    work: Path, e: Examples
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], dict[str, Any]]:
    """Return what the last fit gave these examples out of fold, and its arrays.

    That is the log-odds of trees and network, and their joint log-odds, calibrated out of fold too.
    """
    model = work / "model"
    if not (model / "out_of_fold.npz").exists():
        raise SystemExit(f"{model}: no fit. Run training/fit.py first.")
    with np.load(model / "out_of_fold.npz") as stored:
        evidence, p, label = (stored[name] for name in ("evidence", "p_combined", "label"))
    if not np.array_equal(label, e.label):
        raise SystemExit(f"{model}: the last fit was on other examples. Run training/fit.py again.")
    return evidence, logit(p), arrays_of((model / "detector.npz").read_bytes())


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
    whole, real = np.array([f["variant"] == "whole" for f in e.facts]), ~is_merged(e.facts)
    groups = {"all": whole} | {name: real & np.isin(kind, own) for name, own in GROUPS.items()}
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


def install(e: Examples, arrays: dict[str, npt.NDArray[Any]], card: dict[str, Any]) -> None:
    """Put the sum, how it is joined, its points and what it is worth into the package."""
    put_arrays(arrays)
    card |= {"name": f"petechia-detector-{datetime.now(UTC):%Y-%m-%d}", "default": "refined"}
    on = numbers_of(e)
    # merged slices take no part in the sum
    card["refined"]["on"] = {
        "scans": on["scans"], "people": on["people"], "looks": on["looks"] - on["merged"],
        "merged": on["merged"],
    }  # fmt: skip
    put_card(card)


def bounds_of_few(e: Examples, named: Sequence[int]) -> Bounds:
    """Return what named scans of thick slices may make, a scan and in clean ones.

    Nothing is asked of so few clean ones that one false finding would be too many.
    """
    clean = sum(not len(e.facts[n]["visible_moment"]) for n in named)
    most, most_clean = MAY_THICK
    return most, most_clean if clean * most_clean >= 1 else np.inf


def main() -> None:
    """Fit, print how it does, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--install", action="store_true")
    args = parser.parse_args()
    e = read_examples(args.work)
    evidence, base, arrays = last_fit(args.work, e)
    kinds, label = kinds_of(e.table), told_to_join(e)
    p = {"combined": expit(base), "refined": expit(kept_out(e, base, label, kinds))}
    thin, thick = by_slices(e.facts)
    drawn = np.array([is_drawn(f) for f in e.facts])
    card = json.loads((ASSETS / CARD).read_text(encoding="utf-8"))
    fit_card = json.loads((args.work / "model" / "card.json").read_text(encoding="utf-8"))
    if "orders" not in fit_card:
        raise SystemExit(f"{args.work}: a fit without orders of dark spots. Run fit.py again.")
    card["orders"] = fit_card["orders"]  # those among the arrays of the fit
    before = fit_card["operating_points"]
    thick_points = fit_card["thick_slices"]["operating_points"]
    named, named_thick = ([n for n in own if not drawn[n]] for own in (thin, thick))
    drawn_thick = [n for n in thick if drawn[n]]
    if not named or not named_thick:
        raise SystemExit(f"{args.work}: no cases of thin and thick slices. Run training/cases.py.")
    signed = np.array([kinds[e.scan == n][0] for n in range(len(e.facts))])
    signed = np.isin(signed, GROUPS["thin slices with a sign"])
    points, without_sign = (
        operating_points(p["refined"], e, [n for n in named if signed[n] == told], MAY)
        for told in (True, False)
    )
    own = max(
        operating_points(p["refined"], e, scans, {"balanced": may})["balanced"]
        for scans, may in ((named_thick, bounds_of_few(e, named_thick)), (drawn_thick, MAY_DRAWN))
    )
    thick_points = thick_points | {
        "balanced": float(np.clip(own, thick_points["screening"], thick_points["counting"]))
    }
    balanced = {}
    for name, of_thin in (("combined", before), ("refined", points)):
        balanced[name] = np.full(len(e.facts), of_thin["balanced"])
        balanced[name][thick] = thick_points["balanced"]
    balanced["refined"][[n for n in thin if not signed[n]]] = without_sign["balanced"]
    measured = judged(p, e, kinds, balanced, drawn, args.seed)
    for name, line in measured.items():
        print(name, line, flush=True)
    print(points, without_sign, thick_points, flush=True)
    np.savez_compressed(args.work / "model" / TOLD, p=p["refined"], label=e.label)
    if args.install:
        if card["out_of_fold"] != fit_card["out_of_fold"]:
            raise SystemExit("The package holds another model. Run training/fit.py --install.")
        of_thick = card["thick_slices"]
        of_thick["out_of_fold_at"] = fit_card["thick_slices"]["operating_points"]["balanced"]
        of_thick["operating_points"] = thick_points
        card |= {
            "points_of_combined": before,
            "operating_points": points,
            "without_sign": {"operating_points": without_sign},
            "out_of_fold_at": before["balanced"],
            "refined": {"told_by_others": measured},
        }
        joint = joint_log_odds(evidence, kinds, arrays["joint_combined"])
        told = fitted(e.table, joint, label, kinds)
        install(e, arrays_with(told, arrays), card)


if __name__ == "__main__":
    main()
