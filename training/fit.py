"""Train, calibrate and write the detector's model from examples.

usage: python training/fit.py WORK [--seed 1] [--epochs 40] [--no-network | --keep-network]
       [--thickened SHARE] [--width CHANNELS] [--names NPZ] [--install]

Examples are those of `examples.py`. People are kept apart: everything that is told of the model
(joining, operating points, metrics) comes from predictions on people not trained on. Written to
WORK/model: detector.npz, detector.onnx, card.json, out_of_fold.npz. With --install they are put
into the package and its manifest. The same seed and examples give the same trees to the last
bit, and the same network on the same kind of CPU and number of threads.
"""

import argparse
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from measures import (
    CALCIUM,
    MERGED_LOOKS,
    PHASE,
    POINTS_FALSE,
    THICK,
    THICK_FALSE,
    TOLD,
    Examples,
    by_slices,
    family_of,
    is_drawn,
    is_merged,
    is_whole_head,
    metrics,
    operating_points,
    read_examples,
    turn_of,
)
from orders import Orders
from package import SOURCE, put, put_card
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from petechia.lesions.features import NAMES, PHASE_NAMES, SIGNED_NAMES, pipeline_hash
from petechia.lesions.findings import CLASSES
from petechia.lesions.model import KINDS, joined, kinds_of
from petechia.lesions.slices import THICK_MM, is_thick
from petechia.lesions.trees import Trees

FOLDS = 3
OF_SCAN = 7
"""So many features, the last, are one number for a whole scan."""
WITHOUT_PHASE = [
    n for n, name in enumerate(NAMES) if name in PHASE_NAMES or name.startswith("dark_swi_")
]
WITHOUT_SIGN = [n for n, name in enumerate(NAMES) if name in SIGNED_NAMES]
WITHOUT_DECAY = [n for n, name in enumerate(NAMES) if name.startswith("decay_")]
SPEAK_FOR = (
    "field_signed_significance", "field_explained", "field_log_moment", "map_dipole_near",
    "form_sphericity",
    "form_parenchyma", "dark_round_3", "dark_round_5", "dark_round_7",
)  # fmt: skip
SPEAK_AGAINST = (
    "form_outside", "tube_through", "tube_one_way", "tube_chi_through", "tube_chi_one_way",
    "thread_elongation", "thread_reach",
)  # fmt: skip
TREND = [1 if n in SPEAK_FOR else -1 if n in SPEAK_AGAINST else 0 for n in NAMES]
"""What anatomy and physics say of the direction, so that no simulator can teach the contrary."""
MACRO = CLASSES.index("macrobleed")
RARE = tuple(CLASSES.index(c) for c in ("macrobleed", "calcification", "iron", "siderosis"))
SLICED = 0.15
"""Share of the network's batches that are seen as thick slices would show them."""
EASY = -3.0
"""Log-odds of the trees out of fold up to which a void that is no microbleed is seen in one of five
epochs of the network."""
INDEPENDENT = {"usual_rate": 0.5, "rate_spread": 0.0, "shared_error": 0.0}
"""Findings of a scan, until training/counts.py has measured what they have in common."""
WHOLE_WEIGHT = 2.0
"""What a void counts of a whole head that went the whole road: it is what will be met."""
THICK_WEIGHT = 0.5
"""And in thick slices, merged ones among them, where every void is a coarse picture of one."""
THICK_IN_THIN, THIN_IN_THICK = 0.2, 0.1
"""What voids of the other slices count for the trees of thin slices and of thick ones."""


def folds_of(facts: Sequence[dict[str, Any]], seed: int) -> npt.NDArray[np.int64]:
    """Return the fold of each scan: all scans of a person are in one."""
    people = sorted({f["person"] for f in facts})
    order = np.random.default_rng([seed, 3]).permutation(len(people))
    fold = {person: int(n % FOLDS) for person, n in zip(people, order, strict=True)}
    return np.array([fold[f["person"]] for f in facts])


def degraded(
    table: npt.NDArray[np.float32], label: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return rows as a poorer scan would give them: no phase, no sign, no second echo.

    Also their labels, calcifications without a sign being ignored, and the row each is made of.
    """
    signed, multi = table[:, PHASE] > 1, table[:, NAMES.index("multi_echo")] > 0
    tables, labels, rows = [], [], []
    for gone, of, phase in (
        (WITHOUT_PHASE, signed, 0.0), (WITHOUT_SIGN, signed, 1.0), (WITHOUT_DECAY, multi, None),
    ):  # fmt: skip
        some = np.flatnonzero(of)
        new = table[some].copy()
        new[:, gone] = np.nan
        told = label[some].copy()
        if phase is None:
            new[:, NAMES.index("multi_echo")] = 0
        else:
            new[:, PHASE] = phase
            told[told == CALCIUM] = -1
        tables.append(new)
        labels.append(told)
        rows.append(some)
    return np.concatenate(tables), np.concatenate(labels), np.concatenate(rows)


def grown(
    table: np.ndarray,
    label: np.ndarray,
    weight: np.ndarray,
    seed: int,
    most: int,
    trend: Sequence[int] | None = None,
) -> Any:
    """Return a fitted forest of the library; a column that is missing everywhere is never asked.

    `trend` is +1 or -1 for columns whose larger values may only speak for, or against.
    """
    table = np.where(np.isnan(table).all(axis=0), 0, table)
    model = HistGradientBoostingClassifier(
        max_iter=most, learning_rate=0.05, max_leaf_nodes=16, min_samples_leaf=25,
        l2_regularization=5.0, max_features=0.3, early_stopping=False, random_state=seed,
        monotonic_cst=trend,
    )  # fmt: skip
    return model.fit(table, label, sample_weight=weight)


def plain(model: Any, classes: Sequence[int] | None = None) -> Trees:
    """Return a forest of the library as plain arrays.

    `classes` gives the outputs that there must be, for labels the forest never saw a score of
    -12.
    """
    parts: dict[str, list[Any]] = {k: [] for k in (
        "feature", "threshold", "left", "right", "missing_left", "value"
    )}  # fmt: skip
    roots, column, start = [], [], 0
    known = list(model.classes_)
    for trees in model._predictors:
        for k, tree in enumerate(trees):
            nodes = tree.nodes
            leaf = nodes["is_leaf"].astype(bool)
            parts["feature"].append(np.where(leaf, -1, nodes["feature_idx"]).astype(np.int16))
            parts["threshold"].append(np.where(leaf, 0, nodes["num_threshold"]).astype(np.float64))
            parts["left"].append((nodes["left"] + start).astype(np.int32))
            parts["right"].append((nodes["right"] + start).astype(np.int32))
            parts["missing_left"].append(nodes["missing_go_to_left"].astype(bool))
            parts["value"].append(np.where(leaf, nodes["value"], 0).astype(np.float64))
            roots.append(start)
            column.append(k if classes is None or len(known) == 2 else classes.index(known[k]))
            start += len(nodes)
    base = np.ravel(model._baseline_prediction).astype(np.float64)
    if classes is None:
        baseline = base
    else:
        baseline = np.full(len(classes), -12.0)
        for k, value in zip(known, base, strict=True):
            baseline[classes.index(k)] = value
    return Trees(
        baseline=baseline, root=np.array(roots, np.int32), column=np.array(column, np.int32),
        **{k: np.concatenate(v) for k, v in parts.items()},
    )  # fmt: skip


def weights(e: Examples) -> npt.NDArray[np.float64]:
    """Return what each void counts in training."""
    of_scan = [
        (WHOLE_WEIGHT if is_whole_head(f) else 1.0)
        * (THICK_WEIGHT if is_thick(max(f["spacing_mm"])) else 1.0)
        for f in e.facts
    ]
    return np.array(of_scan)[e.scan] * shares(e)


def shares(e: Examples) -> npt.NDArray[np.float64]:
    """Return what part of its weight each void has: the ways to merge one head share one."""
    return np.where(is_merged(e.facts), 1 / len(MERGED_LOOKS), 1.0)[e.scan]


def fit_bleed(
    table: np.ndarray,
    label: np.ndarray,
    weight: np.ndarray,
    share: np.ndarray,
    seed: int,
    most: int = 220,
) -> Trees:
    """Return trees for microbleed against the rest, on whole and poorer scans.

    A void counts `weight`, each of its poorer pictures 0.4 times `share`.
    """
    poor, poor_label, rows = degraded(table, label)
    x, y = np.concatenate([table, poor]), np.concatenate([label, poor_label])
    weight = np.concatenate([weight, 0.4 * share[rows]])
    known = y >= 0
    return plain(grown(x[known], (y[known] == 0).astype(int), weight[known], seed, most, TREND))


def fit_bleeds(e: Examples, rows: np.ndarray, seed: int) -> dict[str, Trees]:
    """Return trees for microbleed against the rest, for thin slices and for thick ones.

    `rows` tells which voids they learn from: little from those of the other slices.
    """
    known, weight, share, thick = told_by_size(e), weights(e), shares(e), in_thick(e)
    out = {}
    for name, own, other, scale in (
        ("bleed_", ~thick, THICK_IN_THIN, 1.0),
        ("bleed_thick_", thick, THIN_IN_THICK, 1 / THICK_WEIGHT),
    ):
        part = np.where(own, 1.0, other)
        of = (weight * part * scale, share * part)
        out[name] = fit_bleed(e.table[rows], known[rows], *(w[rows] for w in of), seed)
    return out


def scores_of(trees: dict[str, Trees], table: np.ndarray, thick: np.ndarray) -> np.ndarray:
    """Return the log-odds of voids by the trees for their slices."""
    thin, own = trees.values()
    out = np.zeros(len(table))
    out[~thick], out[thick] = thin.scores(table[~thick])[:, 0], own.scores(table[thick])[:, 0]
    return out


def in_thick(e: Examples) -> npt.NDArray[np.bool_]:
    """Return which voids lie in thick slices, merged ones among them."""
    return np.array(is_thick([max(f["spacing_mm"]) for f in e.facts]))[e.scan]


def told_by_size(e: Examples) -> npt.NDArray[np.int64]:
    """Return labels without what the rule of 10 mm names, whatever the model thinks.

    Macrobleeds look like very large microbleeds: as examples of the contrary they would teach
    the wrong thing.
    """
    return np.where((e.diameter > 10.04) & np.isin(e.label, (0, MACRO)), -1, e.label)


def told_to_join(e: Examples) -> npt.NDArray[np.int64]:
    """Return labels as they are when log-odds are joined: without a sign, calcium is neither.

    Scans whose slices were merged teach trees and network, and tell nothing of probabilities.
    """
    known = told_by_size(e)
    unsigned = (e.table[:, PHASE] < 2) & (known == CALCIUM)
    return np.where(unsigned | is_merged(e.facts)[e.scan], -1, known)


def fit_other(table: np.ndarray, label: np.ndarray, weight: np.ndarray, seed: int) -> Trees:
    """Return trees for the other classes of what is no microbleed."""
    some = label > 0
    model = grown(table[some], label[some], weight[some], seed, 60)
    return plain(model, list(range(1, len(CLASSES))))


def names_of(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the trees of another fit for the other classes, as arrays of `detector.npz`."""
    with np.load(path, allow_pickle=False) as stored:
        found = {name: stored[name] for name in stored.files if name.startswith("other_")}
    if not found:
        raise SystemExit(f"{path}: no trees of other classes")
    return found


def fit_joint(
    evidence: np.ndarray, kinds: np.ndarray, label: np.ndarray
) -> npt.NDArray[np.float64]:
    """Return constant and slopes of the log-odds (5, K + 1), of each of `KINDS` by itself."""
    out = np.zeros((len(KINDS), evidence.shape[1] + 1))
    for kind in range(len(KINDS)):
        rows = (kinds == kind) & (label >= 0)
        x, y = np.clip(evidence[rows], -15, 15), label[rows] == 0
        if y.all() or not y.any():  # nothing to learn from: take the evidence as it is
            out[kind] = [0.0, *np.full(evidence.shape[1], 1.0 / evidence.shape[1])]
            continue
        fitted = LogisticRegression(C=10.0, max_iter=1000).fit(x, y)
        out[kind] = [fitted.intercept_[0], *fitted.coef_[0]]
    return out


def calibrated(
    evidence: np.ndarray, kinds: np.ndarray, label: np.ndarray, row_fold: np.ndarray
) -> npt.NDArray[np.float64]:
    """Return probabilities of each fold by a joint that was fitted on the others."""
    out = np.zeros(len(evidence))
    for k in range(FOLDS):
        held = row_fold == k
        weights = fit_joint(evidence[~held], kinds[~held], label[~held])
        out[held] = joined(evidence[held], kinds[held], weights)
    return out


def hard_ones(label: np.ndarray, trees: np.ndarray) -> npt.NDArray[np.bool_]:
    """Return which voids the network sees in every epoch of theirs; `trees` is out of fold."""
    return (label == 0) | (trees > EASY) | np.isin(label, RARE)


def cross_validated(
    e: Examples,
    fold: np.ndarray,
    seed: int,
    epochs: int,
    network: bool,
    kept: Path | None,
    **of_network: Any,
) -> tuple[npt.NDArray[np.float64], list[Any]]:
    """Return the log-odds (N, 2) of trees and network out of fold, and the networks.

    With `kept` the networks' evidence is that of the last fit on the same examples.
    """
    known, thick = told_by_size(e), in_thick(e)
    row_fold = fold[e.scan]
    trees = np.zeros(len(e.table))
    seen = np.full(len(e.table), np.nan)
    for k in range(FOLDS):
        begin = time.time()
        held = row_fold == k
        forests = fit_bleeds(e, ~held, seed)
        trees[held] = scores_of(forests, e.table[held], thick[held])
        print(f"fold {k}: trees {time.time() - begin:.0f} s", flush=True)
    networks: list[Any] = []
    if kept is not None:
        with np.load(kept) as last:
            if not np.array_equal(last["label"], e.label):
                raise SystemExit(f"{kept}: the last fit was on other examples")
            seen = last["evidence"][:, 1]
        if np.isnan(seen).any():
            raise SystemExit(f"{kept}: the last fit had no network")
    elif network:
        from network import answers, train_network

        hard = hard_ones(known, trees)
        for k in range(FOLDS):
            begin = time.time()
            rows = np.flatnonzero((row_fold != k) & (known >= 0))
            net = train_network(
                e.cubes, known, hard, rows, seed * 10 + k, epochs,
                turn=turn_of(e.facts)[e.scan], **of_network,
            )  # fmt: skip
            networks.append(net)
            held = row_fold == k
            seen[held] = answers(net, e.cubes[held])
            print(f"fold {k}: network {time.time() - begin:.0f} s", flush=True)
    return np.stack([trees, seen], axis=1), networks


def by_family(
    p: dict[str, np.ndarray], e: Examples, balanced: np.ndarray, seed: int
) -> dict[str, Any]:
    """Return the metrics of each row of the classification table on each family of scans."""
    families = [family_of(f) for f in e.facts]
    scans = {"all": [n for n, f in enumerate(e.facts) if f["variant"] == "whole"]}
    for family in ("multi-echo", "single-echo", THICK, "phase dropped"):
        scans[family] = [n for n, own in enumerate(families) if own == family]
    return {
        f"{name}, {family}": metrics(q, e, some, balanced, np.random.default_rng(seed))
        for name, q in p.items()
        for family, some in scans.items()
        if some
    }


def ranges_of(e: Examples) -> tuple[np.ndarray, np.ndarray, list[float]]:
    """Return the least and the largest of each feature, and the share of each scan outside.

    Of scans as they are: merged slices are no protocol.
    """
    real = ~is_merged(e.facts)
    table = e.table[real[e.scan]]
    low, high = (np.nanmin(table, axis=0), np.nanmax(table, axis=0))
    core_low, core_high = np.nanpercentile(table, [0.1, 99.9], axis=0)
    for n in range(len(NAMES) - OF_SCAN):
        low[n], high[n] = core_low[n], core_high[n]
    outside = [
        float(((e.table[e.scan == s] < low) | (e.table[e.scan == s] > high)).mean())
        for s in np.flatnonzero(real)
    ]
    return low, high, outside


def numbers_of(e: Examples) -> dict[str, Any]:
    """Return how much there is to learn from."""
    whole = [f for f in e.facts if f["variant"] == "whole"]
    return {
        "looks": len(e.facts),
        "merged": int(is_merged(e.facts).sum()),
        "scans": len(whole),
        "people": len({f["person"] for f in e.facts}),
        "voids": len(e.label),
        "classes": {c: int((e.label == n).sum()) for n, c in enumerate(CLASSES)},
        "microbleeds_visible": int(sum(len(f["visible_moment"]) for f in whole)),
    }


def main() -> None:
    """Train, calibrate, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--no-network", action="store_true")
    parser.add_argument("--keep-network", action="store_true", help="that of the last fit in WORK")
    parser.add_argument("--thickened", type=float, default=SLICED, metavar="SHARE",
                        help="of the network's batches, in thick slices (0.15)")  # fmt: skip
    parser.add_argument("--width", type=int, help="of the network's first map (16)")
    parser.add_argument("--names", type=Path, metavar="NPZ",
                        help="of another fit, whose trees name what is no microbleed")  # fmt: skip
    parser.add_argument("--install", action="store_true")
    args = parser.parse_args()
    begin = time.time()
    e = read_examples(args.work)
    orders = Orders.read(args.work)
    orders.require(e.facts)
    fold = folds_of(e.facts, args.seed)
    print(f"{len(e.facts)} looks, {len(e.label)} voids, {int((e.label == 0).sum())} microbleeds",
          flush=True)  # fmt: skip
    label = told_to_join(e)
    out = args.work / "model"
    kept = out / "out_of_fold.npz" if args.keep_network else None
    evidence, networks = cross_validated(
        e, fold, args.seed, args.epochs, not args.no_network, kept,
        thick=args.thickened, **({} if args.width is None else {"width": args.width}),
    )  # fmt: skip
    columns = {"trees": [0]}
    if networks or args.keep_network:
        columns |= {"network": [1], "combined": [0, 1]}
    best = list(columns)[-1]
    kinds = kinds_of(e.table)
    joint = {name: fit_joint(evidence[:, c], kinds, label) for name, c in columns.items()}
    p = {
        name: calibrated(evidence[:, c], kinds, label, fold[e.scan]) for name, c in columns.items()
    }
    # looks without phase, too: many scans have none
    thin, thick = by_slices(e.facts)
    points = operating_points(p[best], e, thin, POINTS_FALSE)
    thick_points = operating_points(p[best], e, thick, THICK_FALSE)
    balanced = np.full(len(e.facts), points["balanced"])
    balanced[thick] = thick_points["balanced"]
    table = by_family(p, e, balanced, args.seed)
    for name, line in table.items():
        print(name, line, flush=True)
    out.mkdir(exist_ok=True)
    trained = json.loads((out / "card.json").read_text())["trained_on"] if kept else None
    # cases of the validation keep no veins, and merged slices hold less of one than a void
    veins = (np.array([is_drawn(fact) for fact in e.facts]) & ~is_merged(e.facts))[e.scan]
    bleeds = fit_bleeds(e, np.ones(len(e.label), bool), args.seed)
    bleed = {k: v for name, trees in bleeds.items() for k, v in trees.arrays(name).items()}
    if args.names is None:
        other = fit_other(e.table[veins], e.label[veins], weights(e)[veins], args.seed)
        names = other.arrays("other_")
    else:
        names = names_of(args.names)
    low, high, outside = ranges_of(e)
    np.savez_compressed(
        out / "detector.npz",
        **bleed, **names, **orders.arrays(),
        **{f"joint_{name}": w for name, w in joint.items()},
        low=low.astype(np.float32), high=high.astype(np.float32),
    )  # fmt: skip
    if networks:
        from network import Mean, to_onnx

        (out / "detector.onnx").write_bytes(to_onnx(Mean(networks).eval()))
    elif best == "trees" and (out / "detector.onnx").exists():
        (out / "detector.onnx").unlink()
    card = {
        "name": f"petechia-detector-{datetime.now(UTC):%Y-%m-%d}",
        "features": pipeline_hash(),
        "classes": list(CLASSES),
        "default": best,
        "operating_points": points,
        "thick_slices": {
            "from_mm": THICK_MM,
            "operating_points": thick_points,
            "count_doubt": INDEPENDENT,
        },
        "count_doubt": INDEPENDENT,
        "outside_limit": round(float(np.quantile(outside, 0.98)) * 1.5, 4),
        "trained_on": numbers_of(e)
        | {
            "seed": args.seed,
            "epochs": 0 if best == "trees" else trained["epochs"] if trained else args.epochs,
            # of a whole fit: that which made the network that is kept
            "minutes": trained["minutes"] if trained else round((time.time() - begin) / 60, 1),
        },
        "orders": orders.facts,
        "out_of_fold": table,
        "licence": "Apache-2.0",
        "limits": "Trained and validated on simulated scans only. Research use only.",
    }
    (out / TOLD).unlink(missing_ok=True)  # of another fit
    (out / "card.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    np.savez_compressed(
        out / "out_of_fold.npz", evidence=evidence, label=e.label, scan=e.scan,
        rules=e.rules, moment=e.moment, **{f"p_{k}": v for k, v in p.items()},
    )  # fmt: skip
    print(points, thick_points, f"{(time.time() - begin) / 60:.1f} minutes", flush=True)
    if args.install:
        install(out)
        put_card(card)
        print("Now run training/refine.py --install: by default the row `refined` is asked.")


def install(out: Path) -> None:
    """Put the arrays and the network of the model into the package."""
    put("detector", "detector.npz", (out / "detector.npz").read_bytes(), SOURCE)
    network, content = out / "detector.onnx", None
    if network.exists():
        from network import halved

        content = halved(network.read_bytes())
    put("detector_network", "detector.onnx", content, SOURCE)


if __name__ == "__main__":
    main()
