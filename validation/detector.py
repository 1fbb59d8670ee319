"""Compare classifiers of the same voids, on people that they were not trained on.

usage: python validation/detector.py WORK [--seed 1] [--blob-epochs 4] [--scans 12] [--table FILE]
       [--left-out-epochs 0] [--families NAME ...] [--folds 3]

WORK is that of training/fit.py, which must have run: its predictions are out of fold. Beside the
rows of the classification family stand the hand-set rules and ours without phase; a plain 3-D
network trained on Gaussian blobs in the dark channel; fast radial symmetry with a threshold; and
trees trained without one family of protocols, tested on it, and with --left-out-epochs the
network, too (ten minutes for each of three folds and families; --folds 1 compares them on the
people of the first fold). What a network answered is kept in WORK/left_out, so that it can be
stopped and started. Every classifier gets the threshold that makes 0.5 false findings a scan on
these very scans, so that sensitivities compare. Needs the extra `train`.
"""

import argparse
import hashlib
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
from examples import inputs_of
from fit import (
    FOLDS,
    SLICED,
    calibrated,
    fit_bleeds,
    fit_joint,
    folds_of,
    hard_ones,
    in_thick,
    scores_of,
    told_by_size,
)
from kept import read_kept
from measures import (
    CALCIUM,
    THICK,
    Examples,
    family_of_scan,
    is_drawn,
    is_merged,
    metrics,
    read_examples,
    turn_of,
)

from petechia.core.matching import one_to_one
from petechia.lesions.candidates.radial_symmetry import RadialSymmetryParams, radial_symmetry
from petechia.lesions.features import NAMES
from petechia.lesions.features.patches import BALL, CHANNELS, SIDE
from petechia.lesions.model import joined, kinds_of
from petechia.lesions.signal import relative_signal

ALLOWED = 0.5
FAMILIES = ("multi-echo", "single-echo", THICK)
HEAD = (
    "| classifier | scans | 0.3-1 | 1-3 | 3-10 | >10 | false a scan | in clean scans | F1 | ECE "
    "(0.05-0.95) | Brier skill |"
)


def at_allowed(p: np.ndarray, e: Examples, scans: list[int]) -> dict[str, Any]:
    """Return the metrics at the lowest threshold that makes no more false findings than allowed."""
    grid = np.unique(np.concatenate([np.linspace(0.01, 0.99, 99), np.quantile(p, [0.99, 0.995])]))
    told = [metrics(p, e, scans, float(t)) for t in grid]
    good = [m for m in told if m["false_a_scan"] <= ALLOWED]
    return good[0] if good else told[-1]


def line(name: str, m: dict[str, Any]) -> str:
    """Return a row of the table."""
    share = [f"{f}/{a}" for f, a in zip(m["found"], m["asked"], strict=True)]
    clean = "-" if m["false_a_clean_scan"] is None else f"{m['false_a_clean_scan']:.2f}"
    skill = "-" if m["brier_skill"] is None else f"{m['brier_skill']:.2f}"
    cells = [name, str(m["scans"]), *share, f"{m['false_a_scan']:.2f}", clean, f"{m['f1']:.3f}"]
    ece = f"{m['ece']:.3f}"
    return f"| {' | '.join([*cells, ece, skill])} |"


def blob_network(e: Examples, fold: np.ndarray, seed: int, epochs: int) -> np.ndarray:
    """Return log-odds, out of fold, of a network that has seen Gaussian blobs only."""
    from network import answers, train_network

    rng = np.random.default_rng([seed, 11])
    dark = CHANNELS.index("dark")
    cubes = np.zeros_like(e.cubes)
    cubes[:, dark] = e.cubes[:, dark]
    out = np.zeros(len(e.label))
    for k in np.unique(fold):
        rows = np.flatnonzero((fold[e.scan] != k) & (e.label > 0) & ~is_merged(e.facts)[e.scan])
        rows = np.sort(rng.choice(rows, min(3000, len(rows)), replace=False))
        made = np.repeat(cubes[rows], 2, axis=0)
        label = np.repeat(e.label[rows], 2)
        for n in range(0, len(made), 2):  # every other one gets a blob where nothing was dark
            width = rng.uniform(0.8, 2.2)
            blob = rng.uniform(0.3, 0.95) * np.exp(-(BALL.radius_mm**2) / (2 * width**2))
            shell = np.abs(made[n, dark]) < 0.25
            made[n, dark] = made[n, dark] * shell + blob.reshape(SIDE, SIDE, SIDE)
            label[n] = 0
        everything = np.arange(len(made))
        net = train_network(made, label, np.ones(len(made), bool), everything, seed + k, epochs)
        held = np.flatnonzero(fold[e.scan] == k)
        out[held] = answers(net, cubes[held])
    return out


def radial_baseline(work: Path, e: Examples, most: int) -> dict[str, Any]:
    """Return the metrics of radial symmetry with one threshold on some of the scans."""
    totals, lesions = 0, []
    # cases of the validation are no scans of WORK
    drawn = [f["scan"] for f in e.facts if f["variant"] == "whole" and is_drawn(f)]
    names = drawn[:: max(1, len(drawn) // most)]
    for name in names:
        kept = read_kept(work / "scans" / f"{name}.npz")
        inputs = inputs_of(kept, "no_phase")
        signal = relative_signal(inputs.magnitude, inputs.brain_mask, inputs.grid).value
        found = radial_symmetry(signal, inputs.brain_mask, inputs.grid, RadialSymmetryParams())
        rows = [
            r for r in kept.facts["lesions"] if r["class"] == "microbleed" and int(r["visible"])
        ]
        true = np.array([[float(r[k]) for k in ("x_mm", "y_mm", "z_mm")] for r in rows])
        index = np.rint(inputs.grid.to_index(true.reshape(-1, 3))).astype(int)
        inside = ((index >= 0) & (index < inputs.grid.shape)).all(axis=1)
        inside[inside] = inputs.brain_mask[tuple(index[inside].T)]
        true = true.reshape(-1, 3)[inside]
        lesions.append((len(true), inputs, found, true))
        totals += len(true)
    best: dict[str, Any] = {}
    every = np.concatenate([found.score for _, _, found, _ in lesions])
    for t in np.quantile(every, 1 - np.geomspace(1e-4, 1.0, 40)):
        good = false = 0
        for _, inputs, found, true in lesions:
            at = inputs.grid.to_mm(found.places_vox[found.score >= t]).reshape(-1, 3)
            reach = max(5.0, float(inputs.grid.spacing_mm.max()))
            met = one_to_one(true, at, reach) if len(true) and len(at) else None
            hit = int(met.hit.sum()) if met is not None else 0
            good, false = good + hit, false + len(at) - hit
        f1 = 2 * good / max(good + false + totals, 1)
        if f1 > best.get("f1", -1):
            best = {"f1": f1, "sensitivity": good / max(totals, 1), "false": false / len(lesions),
                    "scans": len(lesions), "lesions": totals, "threshold": float(t)}  # fmt: skip
    return best


def _never(family: str) -> str:
    """Return what a row says of a family that was not trained on."""
    made = ", thin slices merged" if family == THICK else ""
    return f"never trained on it{made}"


def _asked(e: Examples) -> np.ndarray:
    """Return labels that are asked for: not calcium without a sign, nor of merged slices."""
    unsigned = e.table[:, NAMES.index("phase")] <= 1
    return np.where(unsigned & (e.label == CALCIUM) | is_merged(e.facts)[e.scan], -1, e.label)


def left_out(
    e: Examples,
    evidence: np.ndarray,
    seed: int,
    epochs: int,
    families: Sequence[str],
    folds: int,
    work: Path,
) -> Iterator[str]:
    """Yield rows: a classifier tested on a family that it has, or has not, been trained on.

    `evidence` is the log-odds out of fold of trees and network trained on all families. Without
    `epochs` no network is trained, and trees alone are compared; networks are compared on the
    people of so many `folds`. Without thick slices there are those that were made of thin ones.
    """
    fold_of = folds_of(e.facts, seed)
    fold, known, thick = fold_of[e.scan], told_by_size(e), in_thick(e)
    label = _asked(e)
    whole = np.array([f["variant"] == "whole" for f in e.facts])
    family = np.array([family_of_scan(f) for f in e.facts])
    for name in families:
        if not (whole & (family == name)).any():
            continue
        of_family = (family == name)[e.scan]
        unknown = np.zeros_like(evidence)
        for k in np.unique(fold):
            train, held = (fold != k) & ~of_family, fold == k
            unknown[held, 0] = scores_of(fit_bleeds(e, train, seed), e.table[held], thick[held])
        for k in range(folds if epochs else 0):
            rows = np.flatnonzero((fold != k) & ~of_family & (known >= 0))
            test = np.flatnonzero((fold == k) & of_family)
            unknown[test, 1] = _answered(
                work, f"{name}_{k}", e, hard_ones(known, unknown[:, 0]), rows, test,
                seed * 10 + k, epochs,
            )  # fmt: skip
        for row, columns, of in (("trees", [0], FOLDS), ("trees and network", [0, 1], folds)):
            if len(columns) > 1 and not epochs:
                continue
            scans = np.flatnonzero(whole & (family == name) & (fold_of < of)).tolist()
            asked = np.where(of_family & (fold < of), label, -1)
            for text, out in (("trained on it too", evidence), (_never(name), unknown)):
                # the threshold is set on the family itself in both: ranks are compared
                one = np.zeros(len(label), np.int64)
                p = joined(out[:, columns], one, fit_joint(out[:, columns], one, asked))
                yield line(f"{row}, {name}: {text}", at_allowed(p, e, scans))


def _answered(
    work: Path,
    name: str,
    e: Examples,
    hard: np.ndarray,
    rows: np.ndarray,
    test: np.ndarray,
    seed: int,
    epochs: int,
) -> np.ndarray:
    """Return the log-odds of `test` by a network trained on `rows`, kept in WORK/left_out."""
    from network import answers, train_network

    known = told_by_size(e)
    taught = hashlib.sha256(e.table.tobytes())
    for values in (known, hard, rows, test, np.array([seed, epochs])):
        taught.update(values.astype(np.int64).tobytes())
    told = work / "left_out" / f"{name.replace(' ', '-')}_{taught.hexdigest()[:12]}.npy"
    if not told.exists():
        turn = turn_of(e.facts)[e.scan]
        net = train_network(e.cubes, known, hard, rows, seed, epochs, thick=SLICED, turn=turn)
        told.parent.mkdir(exist_ok=True)
        part = told.with_suffix(".part.npy")
        np.save(part, answers(net, e.cubes[test]))
        part.rename(told)
    answer: np.ndarray = np.load(told)
    return answer


def table(
    work: Path,
    seed: int,
    epochs: int,
    scans: int,
    of_left_out: int,
    families: Sequence[str],
    folds: int,
) -> Iterator[str]:
    """Yield the lines of the table."""
    e = read_examples(work)
    fold = folds_of(e.facts, seed)
    with np.load(work / "model" / "out_of_fold.npz") as stored:
        kept = {name: stored[name] for name in stored.files}
    whole = [n for n, f in enumerate(e.facts) if f["variant"] == "whole"]
    label = _asked(e)
    yield HEAD
    yield "|---" * 11 + "|"
    names = {
        "combined": "ours",
        "trees": "ours without network",
        "network": "ours without features",
    }
    for row, name in names.items():
        if f"p_{row}" in kept:
            yield line(name, at_allowed(kept[f"p_{row}"], e, whole))
    kinds = kinds_of(e.table)
    rules = calibrated(e.rules[:, None], kinds, label, fold[e.scan])
    yield line("hand-set rules, made probabilities", at_allowed(rules, e, whole))
    some = [n for n, f in enumerate(e.facts) if f["variant"] == "no_phase"]
    same = {f["scan"] for n, f in enumerate(e.facts) if n in some}
    pairs = [n for n in whole if e.facts[n]["scan"] in same]
    best = kept.get("p_combined", kept["p_trees"])
    yield line("ours, scans that are also looked at without phase", at_allowed(best, e, pairs))
    yield line("ours without phase, the same scans", at_allowed(best, e, some))
    yield from left_out(e, kept["evidence"], seed, of_left_out, families, folds, work)
    if epochs:
        blobs = blob_network(e, fold, seed, epochs)[:, None]
        p = calibrated(blobs, kinds, label, fold[e.scan])
        yield line("plain network trained on Gaussian blobs", at_allowed(p, e, whole))
    r = radial_baseline(work, e, scans)
    yield ""
    yield (
        "Radial symmetry with the one threshold that is best for these very scans: "
        f"F1 {r['f1']:.3f}, sensitivity {r['sensitivity']:.2f}, {r['false']:.1f} false a scan "
        f"({r['scans']} scans, {r['lesions']} visible microbleeds)."
    )


def main() -> None:
    """Compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--blob-epochs", type=int, default=4)
    parser.add_argument("--scans", type=int, default=12)
    parser.add_argument(
        "--left-out-epochs", type=int, default=0, help="of a network without a family (0: trees)"
    )
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=FAMILIES)
    parser.add_argument(
        "--folds", type=int, choices=range(1, FOLDS + 1), default=FOLDS,
        help="on whose people networks without a family are compared",
    )  # fmt: skip
    parser.add_argument("--table", type=Path)
    args = parser.parse_args()
    text = [
        f"{datetime.now(UTC):%Y-%m-%d}: `python validation/detector.py {' '.join(sys.argv[1:])}`\n"
    ]
    for told in table(
        args.work, args.seed, args.blob_epochs, args.scans,
        args.left_out_epochs, args.families, args.folds,
    ):  # fmt: skip
        print(told, flush=True)
        text.append(told)
        if args.table:  # what is there is kept when it is stopped
            args.table.write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
