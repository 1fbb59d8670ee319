"""Find what all findings of a scan have in common, and put it into the model's card.

usage: python training/counts.py WORK [--install]

Reads what the last fit in WORK, corrected by `refine.py`, thought of whole heads on the whole road,
each by what other people gave. How many of a scan's findings are real has a likelihood under the
law of `core.counts`; the usual rate and the shared error are those that make the numbers of all
scans likeliest, of thin slices and of thick ones each by themselves. How often intervals hold is
told of each scan by what the others give. Voids are looked at one by one: pieces are not put
together, and second voids on a lesion and invisible lesions are left out.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from measures import TOLD, allowed, is_whole_head, read_examples
from package import ASSETS, CARD, put_card

from petechia.core.counts import CountDoubt, count_distribution
from petechia.lesions.criteria import count_interval
from petechia.lesions.slices import is_thick

RATE_SPREAD = 3.0
"""Wide: from one in a hundred findings to nine in ten."""
MOST_RATE = 0.45
"""The most that a person of the whole heads has: 65 microbleeds, among about 150 findings."""
RATES = (0.1, 0.2, 0.3, 0.4, MOST_RATE)
ERRORS = (0.0, 0.3, 0.5, 0.7, 0.9, 1.1, 1.3, 1.5, 1.8, 2.1, 2.5)
Scans = list[tuple[list[float], int]]


def read(work: Path) -> tuple[Scans, Scans]:
    """Return the probabilities of each whole head's findings, and how many are microbleeds.

    Of thin slices, and of thick ones.
    """
    model = work / "model"
    if not (model / TOLD).exists():
        raise SystemExit(
            f"{model}: no correction. Run training/fit.py and training/refine.py first."
        )
    with np.load(model / TOLD) as stored:
        p, label = stored["p"], stored["label"]
    e = read_examples(work)
    if not np.array_equal(label, e.label):
        raise SystemExit(f"{work}: the last fit was on other examples. Run training/fit.py again.")
    told = allowed(p, e)
    out: tuple[Scans, Scans] = ([], [])
    for n, fact in enumerate(e.facts):
        if is_whole_head(fact) and fact["variant"] == "whole":
            rows = (e.scan == n) & (e.label >= 0)
            of_slices = out[int(is_thick(max(fact["spacing_mm"])))]
            of_slices.append((told[rows].tolist(), int((e.label[rows] == 0).sum())))
    if not all(out):
        raise SystemExit(
            f"{work}: no whole heads in thin slices, or none in thick ones. "
            "Run training/heads.py --whole and --thick first."
        )
    return out


def doubts() -> list[CountDoubt]:
    """Return what is tried."""
    return [
        CountDoubt(
            usual_rate=rate, rate_spread=RATE_SPREAD, shared_error=error, most_rate=MOST_RATE
        )
        for rate, error in product(RATES, ERRORS)
    ]


def likelihoods(scans: Scans, tried: Sequence[CountDoubt]) -> npt.NDArray[np.float64]:
    """Return the log-likelihood (scans, tried) of each number."""
    laws = [[count_distribution(p, doubt)[n] for doubt in tried] for p, n in scans]
    return np.log(np.maximum(laws, 1e-12))


def held(scans: Scans, chosen: Sequence[CountDoubt | None]) -> dict[str, Any]:
    """Return how many intervals hold, and their median width."""
    bounds = [count_interval(p, doubt=doubt) for (p, _), doubt in zip(scans, chosen, strict=True)]
    inside = [low <= n <= high for (low, high), (_, n) in zip(bounds, scans, strict=True)]
    return {"held": sum(inside), "width": float(np.median([b - a for a, b in bounds]))}


def fitted(scans: Scans) -> dict[str, Any]:
    """Return what findings of a scan have in common, and how often intervals hold."""
    tried = doubts()
    each = likelihoods(scans, tried)
    best = tried[int(each.sum(axis=0).argmax())]
    by_others = [
        tried[int(np.delete(each, n, axis=0).sum(axis=0).argmax())] for n in range(len(scans))
    ]
    on = {"scans": len(scans), "by_others": held(scans, by_others),
          "independent": held(scans, [None] * len(scans))}  # fmt: skip
    return {"count_doubt": asdict(best), "counted_on": on}


def main() -> None:
    """Fit, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--install", action="store_true", help="write it into the package's card")
    args = parser.parse_args()
    thin, thick = (fitted(scans) for scans in read(args.work))
    print(f"thin slices: {thin}\nthick slices: {thick}")
    if args.install:
        card = json.loads((ASSETS / CARD).read_text(encoding="utf-8"))
        of_fit = json.loads((args.work / "model" / "card.json").read_text(encoding="utf-8"))
        if card["out_of_fold"] != of_fit["out_of_fold"]:
            raise SystemExit("The package holds another model. Run training/fit.py --install.")
        put_card(card | thin | {"thick_slices": card["thick_slices"] | thick})


if __name__ == "__main__":
    main()
