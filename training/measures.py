"""The examples as they are read, and what a classifier is told to be worth on them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.evaluate.calibration import brier_skill, calibration_error, error_by_chance
from petechia.lesions.classify import FORBIDDEN
from petechia.lesions.features import NAMES, pipeline_hash
from petechia.lesions.findings import CLASSES
from petechia.lesions.slices import is_thick

STRATA = ((0.3, 1.0), (1.0, 3.0), (3.0, 10.0), (10.0, np.inf))
PHASE = NAMES.index("phase")
CALCIUM = CLASSES.index("calcification")
POINTS_FALSE = {"screening": (2.0, 1.0), "balanced": (0.5, 0.3), "counting": (0.2, 0.15)}
"""False findings that each operating point may make, out of fold: a scan, and a scan of somebody
without microbleeds."""
TOLD = "told_by_others.npz"
"""What `refine.py` says of each void by the people of the others, in WORK/model."""
THICK = "thick slices"
MERGED = "merged"
"""A look at thin slices that were made thick ones."""
MERGED_LOOKS = (MERGED, f"{MERGED}_again")
"""Ways to merge the slices of one head, by the names that their files end in."""
OTHER_LOOKS = {"no_phase": "phase dropped", MERGED: "slices merged"}
SLABS = ("random_0", "random_1", "random_2")
"""Protocols of `heads.py` that show a light grid or a slab, with the true brain mask and sites."""
THICK_FALSE = {"screening": (3.0, 2.0), "balanced": (1.0, 0.6), "counting": (0.4, 0.3)}
"""The same for thick slices: less is seen in them, and more may be false."""


@dataclass(frozen=True, eq=False)
class Examples:
    """All examples, scan after scan.

    Attributes
    ----------
    table, label, rules, moment, sign_z, diameter, scan
        In step; `scan` is an index of `facts`.
    cubes : ndarray of float16
        In step.
    facts : list of dict
        Of each scan, with `visible_moment`: the visible microbleeds.
    """

    table: npt.NDArray[np.float32]
    label: npt.NDArray[np.int64]
    rules: npt.NDArray[np.float64]
    moment: npt.NDArray[np.float64]
    sign_z: npt.NDArray[np.float64]
    diameter: npt.NDArray[np.float64]
    scan: npt.NDArray[np.int64]
    cubes: npt.NDArray[np.float16]
    facts: list[dict[str, Any]]


def read_examples(work: Path) -> Examples:
    """Read the examples of this version's features."""
    folder = work / f"examples_{pipeline_hash()}"
    paths = sorted(p for p in folder.glob("*.npz") if ".part" not in p.name)
    if not paths:
        raise SystemExit(f"{folder}: no examples. Run training/examples.py first.")
    columns: dict[str, list[Any]] = {k: [] for k in (
        "table", "label", "rules", "moment", "sign_z", "diameter", "scan", "cubes"
    )}  # fmt: skip
    facts = []
    for number, path in enumerate(paths):
        with np.load(path, allow_pickle=False) as stored:
            told = json.loads(str(stored["facts"]))
            told["visible_moment"] = stored["visible_moment"].tolist()
            told["reached"] = stored["reached"].tolist()
            told["look"] = path.stem
            for name in ("table", "label", "rules", "moment", "sign_z", "diameter", "cubes"):
                columns[name].append(stored[name])
            size = len(stored["label"])
        columns["scan"].append(np.full(size, number))
        facts.append(told)
    return Examples(**{k: np.concatenate(v) for k, v in columns.items()}, facts=facts)


def allowed(p: np.ndarray, e: Examples) -> npt.NDArray[np.float64]:
    """Return probabilities within what sign and size forbid, as the detector gives them."""
    forbidden = (e.sign_z <= -3) | (e.diameter > 10.04)
    return np.where(forbidden, np.minimum(p, FORBIDDEN), p)


def metrics(
    p: np.ndarray,
    e: Examples,
    scans: Sequence[int],
    threshold: npt.ArrayLike,
    rng: np.random.Generator | None = None,
) -> dict[str, Any]:
    """Return how predictions did on some scans: counts that can be summed.

    `threshold` is one for all, or one for each scan of `e`. With `rng` the calibration error of
    perfect probabilities is told, too.
    """
    least = np.broadcast_to(threshold, len(e.facts))
    limited = allowed(p, e)
    found, asked = np.zeros(len(STRATA)), np.zeros(len(STRATA))
    false = clean_false = clean = good = total = 0.0
    ps, ys = [], []
    for s in scans:
        rows = np.flatnonzero(e.scan == s)
        fact = e.facts[s]
        unsigned = not (e.table[rows, PHASE] > 1).all()
        q = limited[rows]
        label = e.label[rows]
        forgiven = (label < 0) | (unsigned & (label == CALCIUM))
        counted = q >= least[s]
        moments = np.asarray(fact["visible_moment"])
        for n, (low, high) in enumerate(STRATA):
            asked[n] += ((moments >= low) & (moments < high)).sum()
            hit = counted & (label == 0)
            found[n] += (hit & (e.moment[rows] >= low) & (e.moment[rows] < high)).sum()
        good += (counted & (label == 0)).sum()
        total += len(moments)
        wrong = float((counted & (label != 0) & ~forgiven).sum())
        false += wrong
        if not len(moments):
            clean += 1
            clean_false += wrong
        ps.append(q[~forgiven])
        ys.append(label[~forgiven] == 0)
    p_all, y_all = np.concatenate(ps), np.concatenate(ys)
    undecided = (p_all > 0.05) & (p_all < 0.95)
    return {
        "scans": len(scans),
        "found": found.astype(int).tolist(),
        "asked": asked.astype(int).tolist(),
        "false_a_scan": round(false / max(len(scans), 1), 3),
        "clean_scans": int(clean),
        "false_a_clean_scan": round(clean_false / clean, 3) if clean else None,
        "f1": round(float(2 * good / max(good + false + total, 1)), 3),
        "ece": round(calibration_error(p_all[undecided], y_all[undecided]), 3),
        "undecided": int(undecided.sum()),
        **({"ece_by_chance": round(error_by_chance(p_all[undecided], rng), 3)} if rng else {}),
        "brier_skill": round(brier_skill(p_all, y_all), 3) if y_all.any() else None,
    }


def is_whole_head(fact: dict[str, Any]) -> bool:
    """Return whether a scan is a whole head whose mask, sites and tissue are those found."""
    return fact["protocol"] not in SLABS


def is_drawn(fact: dict[str, Any]) -> bool:
    """Return whether person and protocol are those of `heads.py`, not of `petechia simulate`."""
    return str(fact["protocol"]).startswith("random_")


def by_slices(facts: Sequence[dict[str, Any]]) -> tuple[list[int], list[int]]:
    """Return the looks at thin slices and at thick ones; merged slices are neither."""
    thick, real = is_thick([max(f["spacing_mm"]) for f in facts]), ~is_merged(facts)
    return np.flatnonzero(~thick & real).tolist(), np.flatnonzero(thick & real).tolist()


def is_merged(facts: Sequence[dict[str, Any]]) -> npt.NDArray[np.bool_]:
    """Return of which looks the slices were merged: they serve to train alone."""
    return np.array([fact["variant"] == MERGED for fact in facts])


def turn_of(facts: Sequence[dict[str, Any]]) -> npt.NDArray[np.int64]:
    """Return in which epochs the network sees each look: -1 in all, n when it is way n's turn.

    The ways to merge one head take turns, so that they cost no more time than one.
    """
    ways = [str(fact["look"]).rpartition(".")[2] for fact in facts]
    return np.array([MERGED_LOOKS.index(way) if way in MERGED_LOOKS else -1 for way in ways])


def family_of(fact: dict[str, Any]) -> str:
    """Return the family of protocols that a scan belongs to."""
    if fact["variant"] != "whole":
        return OTHER_LOOKS[fact["variant"]]
    if is_thick(max(fact["spacing_mm"])):
        return THICK
    return "multi-echo" if len(fact["te_s"]) > 1 else "single-echo"


def family_of_scan(fact: dict[str, Any]) -> str:
    """Return the family of the protocol that a look's scan was made by, however it is looked at."""
    made = {"spacing_mm": [1.0]} if fact["variant"] == MERGED else {}
    return family_of(fact | {"variant": "whole"} | made)


def operating_points(
    p: np.ndarray, e: Examples, scans: Sequence[int], may: dict[str, tuple[float, float]]
) -> dict[str, float]:
    """Return the lowest threshold, in hundredths, that keeps to the false findings allowed.

    Over all scans, over those of people with few microbleeds or none, and over those with none.
    Never below 0.1, and rising from screening to counting.
    """
    grid = np.round(np.arange(0.10, 0.96, 0.01), 2)
    few = [s for s in scans if len(e.facts[s]["visible_moment"]) < 8]
    over_all = [metrics(p, e, scans, t)["false_a_scan"] for t in grid]
    over_few = [metrics(p, e, few, t) for t in grid] if few else []
    out, least = {}, 0.1
    for name, (most, clean) in may.items():
        good = [
            float(t)
            for n, t in enumerate(grid)
            if t >= least
            and over_all[n] <= most
            and (not few or over_few[n]["false_a_scan"] <= most)
            and (not few or (over_few[n]["false_a_clean_scan"] or 0.0) <= clean)
        ]
        least = good[0] if good else 0.95
        out[name] = round(least, 2)
    return out
