"""Measure how far a lesion's moment comes again when a head is scanned twice.

usage: python validation/change.py WORK --seed 9500 [--pairs 8] [--table FILE]

WORK is that of `validation/follow.py`. Every true microbleed that a finding lies at in both
sessions counts, visible or not: the error of its change is the measured change less the true one.
"""

import argparse
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from follow import HIT_MM, places, rows_of, truth_of

from petechia.core.matching import one_to_one
from petechia.files.contract import contract
from petechia.lesions.change import Z95, change_of
from petechia.lesions.findings import Finding

STRATA = ((0.0, 1.0), (1.0, 3.0), (3.0, 10.0), (10.0, np.inf), (0.0, np.inf))


def measured(moment: float, error: float) -> Finding:
    """Return a finding of which only the moment counts."""
    return Finding(
        index=1, name="", class_="microbleed", sign="paramagnetic", probability=1.0, counted=True,
        mars="possible", x_mm=0.0, y_mm=0.0, z_mm=0.0, volume_mm3=1.0, diameter_mm=1.0,
        moment_ppm_mm3=moment, moment_se_ppm_mm3=error, chi_mean_ppm=None, side="n/a", site="n/a",
        compartment="n/a", parenchyma_fraction=None, sphericity=None, margin_sharpness=None,
        homogeneity=None, evidence="",
    )  # fmt: skip


def session(raw: Path, out: Path, scan: str) -> dict[str, tuple[float, Finding]]:
    """Return true moment and measured one of every microbleed that was measured, by its index."""
    true = [r for r in truth_of(raw, scan).values() if r["class"] == "microbleed"]
    (table,) = out.rglob(contract().files["findings"].table.replace("<p>", scan))
    rows = rows_of(table)
    told = {}
    for t, f in one_to_one(places(true), places(rows), HIT_MM).pairs:
        row = rows[int(f)]
        if row["moment_ppm_mm3"] != "n/a":
            moment, error = (float(row[f"moment_{k}ppm_mm3"]) for k in ("", "se_"))
            one = true[int(t)]
            told[one["index"]] = (float(one["moment_ppm_mm3"]), measured(moment, error))
    return told


def errors(raw: Path, out: Path, scans: tuple[str, str], same: bool) -> list[tuple[float, ...]]:
    """Return true moment, error of the change, its stated error and that of both moments."""
    first, second = (session(raw, out, scan) for scan in scans)
    rows = []
    for index in sorted(first.keys() & second.keys()):
        (true, a), (later, b) = first[index], second[index]
        own, both = change_of(a, b, same_protocol=same), change_of(a, b)
        if own is not None and both is not None:
            stated = [(c.high - c.low) / (2 * Z95) for c in (own, both)]
            rows.append((true, own.value - (later - true), *stated))
    return rows


def lines_of(kind: str, rows: list[tuple[float, ...]]) -> list[str]:
    """Return the lines of one kind of pairs."""
    every, out = np.array(rows).reshape(-1, 4), []
    for low, high in STRATA:
        true, wrong, own, both = every[(every[:, 0] >= low) & (every[:, 0] < high)].T
        if not len(true):
            continue
        spread = 1.4826 * np.median(np.abs(wrong))
        out.append(
            f"| {kind} | {low:g} to {high:g} | {len(true)} | {wrong.std():.3f} | {spread:.3f} "
            f"| {(wrong / both).std():.2f} | {(wrong / own).std():.2f} "
            f"| {np.median(own):.3f} | {(np.abs(wrong) > Z95 * own).mean():.3f} |"
        )
    return out


def main() -> None:
    """Read finished pairs, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("work", type=Path)
    add("--seed", type=int, required=True)
    add("--pairs", type=int, default=8)
    add("--protocol", default="demoLight", help="as in the names of the scans")
    add("--changed", default="15tSwi")
    add("--table", type=Path)
    args = parser.parse_args()
    kinds: dict[str, list[tuple[float, ...]]] = {"same protocol": [], "changed protocol": []}
    for seed in range(args.seed, args.seed + args.pairs):
        raw, out = args.work / f"raw_{seed}", args.work / f"output_{seed}"
        before = f"sub-01_ses-1_acq-{args.protocol}"
        for kind, acq in zip(kinds, (args.protocol, args.changed), strict=True):
            after = f"sub-01_ses-2_acq-{acq}"
            kinds[kind] += errors(raw, out, (before, after), kind == "same protocol")
    lines = [
        "# A moment measured twice",
        "",
        f"Made {datetime.now(UTC):%Y-%m-%d} by `python validation/change.py WORK --seed "
        f"{args.seed} --pairs {args.pairs}`, on the sessions of `python validation/follow.py WORK "
        f"--seed {args.seed} --pairs {args.pairs}`.",
        "",
        "| pairs | moment [ppm mm3] | lesions | standard deviation of the change's error [ppm mm3] "
        "| the same from its median | spread over both errors | spread over the stated error "
        "| stated error, median [ppm mm3] | beyond 1.96 of it |",
        "|---" * 9 + "|",
    ]
    lines += [line for kind, rows in kinds.items() for line in lines_of(kind, rows)]
    text = "\n".join([*lines, ""])
    print(text)
    if args.table:
        args.table.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
