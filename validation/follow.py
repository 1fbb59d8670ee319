"""Measure follow-up on simulated people who come twice, the second time under two protocols.

usage: python validation/follow.py WORK [--pairs 8] [--seed 9500] [--protocol demo_light]
       [--changed 1.5t_swi] [--microbleeds 9] [--new 4] [--grown 0.25] [--images]
       [--table FILE] [--make]

Everyone has the same protocol in both sessions, and another one besides in the second. What is
finished in WORK is not done again. The seeds were never used to set anything.
"""

import argparse
import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from petechia.core.intervals import wilson
from petechia.core.matching import one_to_one
from petechia.files.contract import contract, follow_path
from petechia.files.find import find_scans
from petechia.pipeline.follow import follow_all
from petechia.pipeline.provenance import threads
from petechia.pipeline.run import Options, run_all
from petechia.pipeline.settings import Settings
from petechia.pipeline.simulated import SecondVisit, simulate_dataset
from petechia.pipeline.tree import finish_tree, prepare_tree
from petechia.simulate.patient import SimulationParams

HIT_MM = 5.0
Row = Mapping[str, str]


@dataclass(slots=True)
class Score:
    """What was measured over all pairs of one kind."""

    pairs: int = 0
    refused: int = 0
    new: int = 0
    new_counted: int = 0
    new_found: int = 0
    new_unknown: int = 0
    false_new: int = 0
    false_gone: int = 0
    unchanged: int = 0
    covered: int = 0
    changes: int = 0
    false_grown: int = 0
    grown: int = 0
    grown_found: int = 0
    error_mm: list[float] = field(default_factory=list)
    stated_mm: list[float] = field(default_factory=list)
    z: list[float] = field(default_factory=list)


def rows_of(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table."""
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))


def truth_of(raw: Path, scan: str) -> dict[str, dict[str, str]]:
    """Return the true lesions of a scan by index."""
    folder = raw / "derivatives" / "truth"
    (path,) = folder.rglob(contract().truth.table.replace("<p>", scan))
    return {row["index"]: row for row in rows_of(path)}


def places(rows: list[dict[str, str]]) -> np.ndarray:
    """Return x, y, z of rows, (N, 3)."""
    return np.array([[float(r[f"{a}_mm"]) for a in "xyz"] for r in rows]).reshape(-1, 3)


def true_map(before: dict[str, dict[str, str]], now: dict[str, dict[str, str]]) -> np.ndarray:
    """Return the rigid map of lesions that are in both."""
    both = [i for i in before if i in now]
    one, other = places([before[i] for i in both]), places([now[i] for i in both])
    middles = one.mean(axis=0), other.mean(axis=0)
    left, _, right = np.linalg.svd((one - middles[0]).T @ (other - middles[1]))
    turn = right.T @ np.diag([1, 1, np.linalg.det(right.T @ left.T)]) @ left.T
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = turn, middles[1] - turn @ middles[0]
    return out


def scored(raw: Path, out: Path, score: dict[str, Score]) -> None:
    """Add what was measured of one person."""
    told = json.loads(follow_path(out, "summary", "sub-01").read_text())
    table = rows_of(follow_path(out, "table", "sub-01"))
    for part in told["comparisons"]:
        kind = "same protocol" if part["same_protocol"] else "changed protocol"
        s = score.setdefault(kind, Score())
        s.pairs += 1
        before, now = (truth_of(raw, part[key]) for key in ("against", "scan"))
        if not part["followed"]:
            s.refused += 1
            continue
        fit = np.array(part["registration"]["matrix_against_to_scan"])
        at = np.array([[x, y, z] for x in (-50, 50) for y in (-60, 60) for z in (-30, 50)])
        apart = at @ (fit - true_map(before, now))[:3, :3].T + (fit - true_map(before, now))[:3, 3]
        s.error_mm.append(float(np.sqrt((apart**2).sum(axis=1).mean())))
        s.stated_mm.append(float(part["registration"]["uncertainty_mm"]))
        rows = [r for r in table if r["scan"] == part["scan"] and r["against"] == part["against"]]
        _fates(rows, before, now, out, part["scan"], s)


def _fates(
    rows: list[dict[str, str]],
    before: dict[str, dict[str, str]],
    now: dict[str, dict[str, str]],
    out: Path,
    scan: str,
    s: Score,
) -> None:
    bleeds = [r for r in now.values() if r["class"] == "microbleed"]
    pairs = one_to_one(places(bleeds), places(rows), HIT_MM).pairs if rows else []
    row_of = {bleeds[int(t)]["index"]: rows[int(p)] for t, p in pairs}
    for lesion in bleeds:
        row, index = row_of.get(lesion["index"]), lesion["index"]
        if index not in before:
            if lesion["visible"] == "1":
                s.new += 1
                s.new_counted += row is not None and row["counted"] == "1"
                s.new_found += row is not None and row["state"] == "new"
                s.new_unknown += row is not None and row["state"] == "not_assessable"
            continue
        true = float(lesion["moment_ppm_mm3"]) - float(before[index]["moment_ppm_mm3"])
        same = abs(true) < 1e-6
        if row is None:
            continue
        s.false_gone += row["state"] == "not_seen"
        if row["change_ppm_mm3"] == "n/a":
            continue
        low, high = float(row["change_low_ppm_mm3"]), float(row["change_high_ppm_mm3"])
        s.changes += 1
        s.covered += low <= true <= high
        s.z.append((float(row["change_ppm_mm3"]) - true) / max((high - low) / 3.92, 1e-9))
        if same:
            s.unchanged += 1
            s.false_grown += low > 0
        else:
            s.grown += 1
            s.grown_found += low > 0
    new = [r for r in rows if r["state"] == "new" and r["class"] == "microbleed"]
    truly = {id(row_of[i]) for i in row_of if i not in before}
    s.false_new += sum(id(r) not in truly for r in new)


def part_of(n: int, of: int) -> str:
    """Return a share with its 95 % interval."""
    if not of:
        return "none"
    low, high = wilson(n, of)
    return f"{n}/{of} = {n / of:.2f} ({low:.2f} to {high:.2f})"


def table_text(score: dict[str, Score], args: argparse.Namespace) -> str:
    """Return the page of what was measured."""
    command = (
        f"python validation/follow.py WORK --pairs {args.pairs} --seed {args.seed} "
        f"--protocol {args.protocol} --changed {args.changed} --microbleeds {args.microbleeds} "
        f"--new {args.new} --grown {args.grown}{' --images' * args.images}"
    )
    lines = [
        "# Follow-up on simulated pairs",
        "",
        f"Made {datetime.now(UTC):%Y-%m-%d} by `{command}`.",
        "",
        "Everyone comes twice, with the same protocol and with another one; new ones are counted "
        "when their void is visible in the later scan. Targets: new found at least 0.9, false new "
        "at most 0.1 a pair, under a changed protocol at most 0.3.",
        "",
        "| | " + " | ".join(score) + " |",
        "|---|" + "---|" * len(score),
    ]
    facts = {
        "pairs (refused)": lambda s: f"{s.pairs} ({s.refused})",
        "visible new called new": lambda s: part_of(s.new_found, s.new),
        "visible new counted by the detector": lambda s: part_of(s.new_counted, s.new),
        "of those called new": lambda s: part_of(s.new_found, s.new_counted),
        "visible new called not assessable": lambda s: part_of(s.new_unknown, s.new),
        "false new a pair": lambda s: f"{s.false_new / max(s.pairs - s.refused, 1):.2f}",
        "old called not seen, a pair": lambda s: (
            f"{s.false_gone / max(s.pairs - s.refused, 1):.2f}"
        ),
        "change interval covers the true change": lambda s: part_of(s.covered, s.changes),
        "spread of change over its error": lambda s: f"{np.std(s.z):.2f}" if s.z else "none",
        "unchanged called grown": lambda s: part_of(s.false_grown, s.unchanged),
        "grown (1.4 to 3 times) called grown": lambda s: part_of(s.grown_found, s.grown),
        "rigid error, median and worst [mm]": lambda s: (
            f"{np.median(s.error_mm):.2f}, {max(s.error_mm):.2f}" if s.error_mm else "none"
        ),
        "stated uncertainty, median [mm]": lambda s: (
            f"{np.median(s.stated_mm):.2f}" if s.stated_mm else "none"
        ),
    }
    lines += [
        f"| {name} | " + " | ".join(fact(s) for s in score.values()) + " |"
        for name, fact in facts.items()
    ]
    return "\n".join([*lines, ""])


def made(work: Path, seed: int, args: argparse.Namespace) -> tuple[Path, Path]:
    """Return raw dataset and results of one person, made unless they are there."""
    raw, out = work / f"raw_{seed}", work / f"output_{seed}"
    done = work / f"raw_{seed}.done"
    with threads(args.n_threads):
        if not done.exists():
            person = SimulationParams(n_microbleeds=args.microbleeds, n_calcifications=5)
            later = SecondVisit(
                protocols=(args.protocol, args.changed), n_new=args.new, grown=args.grown
            )
            simulate_dataset(raw, person, protocols=[args.protocol], seed=seed, second=later)
            done.touch()
        prepare_tree(out, raw)
        for outcome in run_all(find_scans(raw), out, Settings(), Options(n_threads=args.n_threads)):
            print(seed, outcome.prefix, outcome.status, flush=True)
        finish_tree(out)
    return raw, out


def main() -> None:
    """Make people, follow them, score."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("work", type=Path)
    add("--pairs", type=int, default=8)
    add("--seed", type=int, default=9500)
    add("--protocol", default="demo_light")
    add("--changed", default="1.5t_swi")
    add("--microbleeds", type=int, default=9)
    add("--new", type=int, default=4)
    add("--grown", type=float, default=0.25)
    add("--images", action="store_true", help="compare magnitudes; magnitude-only scans need it")
    add("--n-threads", type=int, default=1)
    add("--table", type=Path)
    add("--make", action="store_true", help="make people only")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    score: dict[str, Score] = {}
    for n in range(args.pairs):
        raw, out = made(args.work, args.seed + n, args)
        if not args.make:
            with threads(args.n_threads):
                images = raw if args.images else None
                follow_all(out, images=images, tell=lambda one: print(one.says, flush=True))
            scored(raw, out, score)
    if not args.make:
        text = table_text(score, args)
        print(text)
        if args.table:
            args.table.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
