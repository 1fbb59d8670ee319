"""Measure the detector on simulated scans of every protocol, beside a simple one.

usage: python validation/baseline.py WORK [--people 3] [--seed 9000] [--table FILE]

Simulates people (every third one without microbleeds), runs the whole road, runs a
Laplacian of Gaussian with a threshold on the same magnitudes inside the same brain masks,
evaluates both and writes one table. What is finished in WORK is not done again, so that it
can be stopped and started. The seeds were never used to set a threshold.
"""

import argparse
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from petechia.apps.cli.run import cores
from petechia.core.echoes import reading_echo
from petechia.core.morphology import erode_mm
from petechia.files.find import find_scans
from petechia.files.nifti import read_mask
from petechia.files.output import OutputTree
from petechia.files.writing import plain, write_table
from petechia.lesions.candidates.blob import BlobParams, blob
from petechia.lesions.signal import relative_signal
from petechia.pipeline.evaluation import EvaluationOptions, evaluate
from petechia.pipeline.provenance import threads
from petechia.pipeline.run import Options, run_all
from petechia.pipeline.settings import Settings
from petechia.pipeline.simulated import simulate_dataset
from petechia.pipeline.tree import finish_tree, prepare_tree
from petechia.simulate.patient import SimulationParams
from petechia.simulate.protocols import PROTOCOLS

MICROBLEEDS = 12
LOG_RADIUS_MM, LOG_THRESHOLD, LOG_EDGE_MM = 2.1, 0.25, 3.0
ALL = 1e-6
LEFT_OUT = ("3t_tiny",)


def simulated(work: Path, protocol: str, person: int, seed: int) -> Path:
    """Return the dataset of one person and protocol, simulated when it is not there."""
    root = work / "raw" / f"{protocol}_{person}"
    done = root.with_name(f"{root.name}.done")  # beside it: no file of a BIDS dataset
    if not done.exists():
        shutil.rmtree(root, ignore_errors=True)
        bleeds = 0 if is_clean(person) else MICROBLEEDS
        params = SimulationParams(protocol=protocol, n_microbleeds=bleeds)
        with threads(cores()):
            simulate_dataset(root, params, seed=seed + person)
        done.touch()
    return root


def run_road(root: Path, out: Path) -> None:
    """Run the whole road on one dataset; finished scans are skipped."""
    prepare_tree(out, root)
    for outcome in run_all(find_scans(root), out, Settings(), Options(n_threads=cores())):
        if outcome.status == "failed":
            raise SystemExit(outcome.message)
    finish_tree(out)


def run_log(root: Path, out: Path, into: Path) -> None:
    """Write what a Laplacian of Gaussian with a threshold finds, as a table of centres."""
    params = BlobParams(
        radii_mm=(LOG_RADIUS_MM,), threshold=LOG_THRESHOLD, threshold_sd=0.0, limit=100_000
    )
    for ref in find_scans(root):
        echoes = ref.load().echoes
        grid = echoes.grid
        brain = read_mask(OutputTree(out).path("brain_mask", ref.name), grid)
        magnitude = echoes.magnitude[reading_echo(echoes.te_s, echoes.b0_t)]
        signal = relative_signal(magnitude, brain, grid).value
        found = blob(signal, erode_mm(brain, grid, LOG_EDGE_MM), grid, params)
        rows = [
            # any rising function of the score will do: it only orders them
            {"x_mm": x, "y_mm": y, "z_mm": z, "probability": score / (score + 1)}
            for (x, y, z), score in zip(
                grid.to_mm(found.places_vox).tolist(), found.score.tolist(), strict=True
            )
        ]
        columns = ["x_mm", "y_mm", "z_mm", "probability"]
        write_table(into / f"{ref.name.prefix}_log.tsv", rows, columns)


def scores(predicted: Path, truth: Path, *, phase: bool, counted: float | None) -> dict:
    """Return what the table tells of one tool on one dataset, as counts that can be summed."""
    forgiven = () if phase else ("calcification",)
    options = EvaluationOptions(threshold=counted, forgiven=forgiven, n_resamples=1)
    result = plain(evaluate(predicted, truth, options).result)
    strata = {s["name"]: s for s in result["strata"] if s["by"] == "moment"}
    main = result["detection"]["one_to_one"]["pooled"]
    maps = result.get("maps") or {}
    return {
        "strata": {name: (s["found"], s["lesions"]) for name, s in strata.items()},
        "false": main["false_per_scan"]["value"],
        "dice": maps.get("mask_dice", {}).get("median"),
        "nrmse": maps.get("chi_nrmse", {}).get("median"),
        "signs": {k: result["blood_or_calcium"]["all"][k] for k in ("right", "wrong", "unclear")},
    }


def line(tool: str, protocol: str, scans: dict[int, dict]) -> str:
    """Return one row of the table from the scores of a protocol's scans, by person."""
    found = list(scans.values())
    cells = []
    for name in ("0.3 to 1", "1 to 3", "3 to 10", "10"):
        rows = [v for s in found for k, v in s["strata"].items() if _is(k, name)]
        cells.append(f"{sum(r[0] for r in rows)}/{sum(r[1] for r in rows)}")
    false = f"{np.mean([s['false'] for s in found]):.1f}"
    clean = [s["false"] for n, s in scans.items() if is_clean(n)]
    signs = [sum(s["signs"][k] for s in found) for k in ("right", "wrong", "unclear")]
    told = "/".join(map(str, signs)) if tool == "petechia" and sum(signs) else "-"
    row = [protocol, tool, str(len(found)), *cells, false]
    row += [f"{np.mean(clean):.1f}" if clean else "-", told]
    row += [_median(found, "dice", ".3f"), _median(found, "nrmse", ".0f")]
    return f"| {' | '.join(row)} |"


def _median(found: list[dict], key: str, form: str) -> str:
    values = [s[key] for s in found if s[key] is not None]
    return format(float(np.median(values)), form) if values else "-"


def is_clean(person: int) -> bool:
    """Return whether this person has no microbleeds: every third one."""
    return person % 3 == 1


def _is(stratum: str, name: str) -> bool:
    return stratum.startswith(name) if " to " in name else " to " not in stratum and name in stratum


def measure(work: Path, protocol: str, person: int, seed: int) -> None:
    """Simulate, run and score one scan, unless that was done before."""
    name = f"{protocol}_{person}"
    kept = work / "scores" / f"{name}.json"
    if kept.exists():
        return
    raw = simulated(work, protocol, person, seed)
    out, log = work / "out" / name, work / "log" / name
    run_road(raw, out)
    run_log(raw, out, log)
    phase = PROTOCOLS[protocol].phase
    both = [
        scores(out, raw, phase=phase, counted=None),
        scores(log, raw, phase=phase, counted=ALL),
    ]
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(both))
    print(name, flush=True)


def table_of(work: Path, protocols: list[str]) -> str:
    """Return the table of all scans scored so far."""
    lines = [
        "| protocol | detector | scans | 0.3-1 | 1-3 | 3-10 | >10 | false a scan "
        "| in clean scans | signs right/wrong/unclear | mask Dice | chi NRMSE % |",
        "|---" * 12 + "|",
    ]
    for protocol in protocols:
        files = [work / "scores" / f"{protocol}_{n}.json" for n in range(1000)]
        found = {n: json.loads(p.read_text()) for n, p in enumerate(files) if p.exists()}
        if found:
            for at, tool in enumerate(("petechia", "LoG")):
                lines.append(line(tool, protocol, {n: both[at] for n, both in found.items()}))
    return "\n".join(lines)


def main() -> None:
    """Run what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--people", type=int, default=3)
    parser.add_argument("--seed", type=int, default=9000)
    parser.add_argument("--protocol", action="append")
    parser.add_argument("--table", type=Path)
    args = parser.parse_args()
    protocols = args.protocol or [name for name in PROTOCOLS if name not in LEFT_OUT]
    for person in range(args.people):
        for protocol in protocols:
            measure(args.work, protocol, person, args.seed)
            table = table_of(args.work, protocols)
            if args.table is not None:
                command = f"python validation/baseline.py WORK --seed {args.seed}"
                stamp = datetime.now(UTC).date().isoformat()
                args.table.write_text(f"{stamp}: `{command}`\n\n{table}\n", encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
