"""`petechia evaluate`: a tool's results against the truth, by every published rule."""

import argparse
from pathlib import Path
from typing import Any

from petechia.apps.cli.words import LIST, items, several

PRINTED = {
    "sensitivity": "sensitivity",
    "precision": "precision",
    "f1": "F1",
    "false_per_scan": "false/scan",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words of this command."""
    add = parser.add_argument
    add("predicted", type=Path, help="results of a run, or label images, probabilities, tables")
    add("truth", type=Path, help="simulated dataset, label images, masks, or tables")
    add(
        "--out",
        type=Path,
        default=Path("petechia-evaluation"),
        metavar="DIR",
        help="where to write",
    )
    add("--threshold", type=float, metavar="P", help="count from this probability (as the tool)")
    add("--forgive", action=LIST, metavar="CLASS", help="true classes not held against the tool")
    add(
        "--missing",
        default="skip",
        metavar="HOW",
        help="truth without result: skip or empty (skip)",
    )
    add("--predicted-pattern", metavar="GLOB", help="which files, e.g. '*_pred.nii.gz'")
    add("--truth-pattern", metavar="GLOB", help="which files, e.g. '*_CMB.nii.gz'")
    add("--n-resamples", type=int, default=2000, metavar="N", help="draws of the bootstrap (2000)")
    add("--seed", type=int, default=0, metavar="N", help="of the bootstrap (0)")
    add("--valdo-distance", type=float, default=5.0, metavar="D", help="of VALDO's rule (5)")
    add("--valdo-unit", default="mm", metavar="UNIT", help="mm or voxel (mm)")
    add("--valdo-connectivity", type=int, default=26, metavar="N", help="6, 18 or 26 (26)")


def positionals(words: list[str]) -> int:
    """Return how many positionals the command cannot do without."""
    return 2


def run(args: argparse.Namespace) -> int:
    """Evaluate, write and tell."""
    from petechia.evaluate.valdo import ValdoParams
    from petechia.pipeline.evaluation import EvaluationOptions, evaluate, write_evaluation

    options = EvaluationOptions(
        threshold=args.threshold,
        forgiven=tuple(items(args.forgive)),
        missing=args.missing,
        predicted_pattern=args.predicted_pattern,
        truth_pattern=args.truth_pattern,
        n_resamples=args.n_resamples,
        seed=args.seed,
        valdo=ValdoParams(
            distance=args.valdo_distance,
            unit=args.valdo_unit,
            connectivity=args.valdo_connectivity,
        ),
    )
    evaluation = evaluate(args.predicted, args.truth, options)
    written = write_evaluation(evaluation, args.out)
    _tell(evaluation.result)
    print(f"report: {written[-1]}")
    return 0


def _tell(result: dict[str, Any]) -> None:
    """Print the pooled rates, and which scans had no partner."""
    for key, words in (
        ("scans_without_result", "true scans without a result"),
        ("results_without_truth", "results without a true scan"),
    ):
        if result[key]:
            print(f"{len(result[key])} {words}: {', '.join(result[key])}")
    print(f"{several(result['n_scans'], 'scan')} compared")
    for rule, found in result.get("detection", {}).items():
        rates = [f"{words} {found['pooled'][n].value:.2f}" for n, words in PRINTED.items()]
        print(f"{rule:11}{', '.join(rates)}".replace("nan", "n/a"))
    for note in result["notes"]:
        print(f"note: {note}")
