"""A study of two readers on simulated patients, from scans to a table of agreement.

usage: nice python validation/readers.py WORK [--n 10] [--seed 9600] [--n-threads 1]
       [--finished] [--table FILE]

The readers are simulated: each sees the truth with stated errors and sends his decisions to a
running `petechia review` over HTTP as the page does; what he adds is grown from his click there.
An adjudicator settles where they differ, and the agreement is what the server tells him. Figures
show that the road is whole and what its indices say of errors that are known; they say nothing of
people. What is finished in WORK is not done again; the reviewed output is made anew each time.
"""

import argparse
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from petechia.apps.cli.calibrate import told as calibration_lines
from petechia.core.matching import one_to_one
from petechia.evaluate.detection import MAIN_RULE
from petechia.files.find import find_scans
from petechia.pipeline.detector import points_of_slices
from petechia.pipeline.evaluation import EvaluationOptions, evaluate
from petechia.pipeline.evaluation_files import Side, find_sides
from petechia.pipeline.evaluation_read import read_table
from petechia.pipeline.provenance import threads
from petechia.pipeline.review.apply import apply_review
from petechia.pipeline.review.calibrate import recalibrate
from petechia.pipeline.review.cases import ReviewFolder
from petechia.pipeline.review.decided import decisions_of, read_decided
from petechia.pipeline.review.events import added_key
from petechia.pipeline.review.readings import slice_mm as slice_of
from petechia.pipeline.run import Options, run_all
from petechia.pipeline.settings import Settings
from petechia.pipeline.simulated import simulate_dataset
from petechia.pipeline.tree import finish_tree, prepare_tree
from petechia.simulate.patient import SimulationParams

PROTOCOL = "demo_light"
ADJUDICATOR = "adjudicator"
ADJUDICATOR_RIGHT = 0.97


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedReader:
    """How often a simulated reader is right.

    Attributes
    ----------
    name : str
    sensitivity : float
        Accepts a finding that is a visible microbleed.
    false_accept : float
        Accepts a finding that is none.
    missed_seen : float
        Adds a visible microbleed that the software did not ask about.
    shift_mm : float
        Standard deviation of each coordinate of what is added.
    seconds : float
        Median time of a decision; log-normal, with a spread of 0.5 of its logarithm.
    """

    name: str
    sensitivity: float
    false_accept: float
    missed_seen: float
    shift_mm: float
    seconds: float


READERS = (
    SimulatedReader(
        name="careful", sensitivity=0.95, false_accept=0.04, missed_seen=0.6, shift_mm=0.5,
        seconds=2.0,
    ),
    SimulatedReader(
        name="hasty", sensitivity=0.85, false_accept=0.10, missed_seen=0.3, shift_mm=1.0,
        seconds=1.2,
    ),
)  # fmt: skip
"""Simulated; their errors are stated here and were not fitted to anything."""


def patients(work: Path, n: int, seed: int, n_threads: int) -> tuple[Path, Path]:
    """Return the simulated dataset and the output of its run; what is finished stays."""
    raw, out = work / "raw", work / "output"
    done = work / f"raw_{n}_{seed}.done"
    if not done.exists():
        with threads(n_threads):
            simulate_dataset(
                raw, SimulationParams(protocol=PROTOCOL), n_subjects=n, seed=seed, varied=True,
                tell=lambda prefix: print(f"simulate {prefix}", flush=True),
            )  # fmt: skip
        done.touch()
    prepare_tree(out, raw)
    for outcome in run_all(find_scans(raw), out, Settings(), Options(n_threads=n_threads)):
        print(f"run {outcome.prefix}: {outcome.status} {outcome.message}", flush=True)
    finish_tree(out)
    return raw, out


class Truth:
    """What can be seen of one scan, in truth."""

    def __init__(self, side: Side) -> None:
        if side.table is None:
            raise SystemExit(f"{side.key}: no true lesions")
        self.rows = [
            row
            for row in read_table(side.table)
            if row["class"] == "microbleed" and row["visible"] == "1"
        ]
        self.places = _places(self.rows)


def _places(rows: Sequence[Mapping[str, Any]]) -> np.ndarray:
    return np.array(
        [[float(row[axis]) for axis in ("x_mm", "y_mm", "z_mm")] for row in rows]
    ).reshape(-1, 3)


class Seat:
    """One reader's session with a running server."""

    def __init__(self, link: str, rng: np.random.Generator) -> None:
        self.rng = rng
        base, _, token = link.partition("/?token=")
        self.client = httpx.Client(base_url=base, timeout=600)
        self.client.get("/", params={"token": token})
        told = self.get("/api/session")
        self.reader = told["reader"]
        self.client.headers.update({"x-csrf": told["csrf"], "origin": base})

    def get(self, address: str) -> Any:
        """Return what the server tells."""
        answer = self.client.get(address)
        answer.raise_for_status()
        return answer.json()

    def opened(self, scan: str) -> Mapping[str, Any]:
        """Return a scan as this reader sees it."""
        return self.get(f"/api/scans/{scan}")

    def send(self, opened: Mapping[str, Any], kind: str, finding: str = "", **told: Any) -> None:
        """Send one decision; `seconds` goes beside the payload."""
        made = str(uuid.UUID(bytes=self.rng.bytes(16), version=4))
        body = {
            "uuid": made, "kind": kind, "finding": added_key(made) if kind == "add" else finding,
            "fingerprint": opened["fingerprint"], "seconds": told.pop("seconds", 0.0),
            "payload": told,
        }  # fmt: skip
        answer = self.client.post(f"/api/scans/{opened['scan']}/events", json=body)
        if answer.status_code != 200:
            raise SystemExit(f"{opened['scan']}: {kind}: {answer.text}")


@contextmanager
def served(out: Path, images: Path) -> Iterator[dict[str, str]]:
    """Serve an output to the readers and the adjudicator; give the link of each."""
    names = ",".join(reader.name for reader in READERS)
    words = ["review", str(out), "--images", str(images), "--no-browser", "--readers", names]
    words += ["--adjudicator", ADJUDICATOR]
    command = [sys.executable, "-m", "petechia", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            links = {}
            for line in process.stdout:
                if "token=" in line:
                    name, _, link = line.strip().partition(": ")
                    links[name] = link
                if "Ctrl-C" in line:
                    break
            yield links
        finally:
            process.terminate()


def read(reader: SimulatedReader, seat: Seat, truths: Mapping[str, Truth]) -> None:
    """Let a simulated reader decide on every scan."""
    rng = seat.rng

    def seconds() -> float:
        return round(float(reader.seconds * np.exp(0.5 * rng.normal())), 2)

    for scan in sorted(truths):
        opened = seat.opened(scan)
        near = max(5.0, slice_of(opened))
        asked = [item for item in opened["state"]["findings"] if item["asked"]]
        met = one_to_one(truths[scan].places, _places(asked), near)
        for item, true in zip(asked, met.good.tolist(), strict=True):
            says = rng.random() < (reader.sensitivity if true else reader.false_accept)
            verdict = {"verdict": "accept"} if says else {"verdict": "reject", "class": "vessel"}
            seat.send(opened, "decide", item["key"], seconds=seconds(), **verdict)
        for row, hit in zip(truths[scan].rows, met.hit.tolist(), strict=True):
            if not hit and rng.random() < reader.missed_seen:
                at = _places([row])[0] + reader.shift_mm * rng.normal(size=3)
                place = dict(zip(("x_mm", "y_mm", "z_mm"), np.round(at, 2).tolist(), strict=True))
                kind = {"class": "microbleed"}
                seat.send(opened, "add", seconds=seconds(), **place, **kind)
        seat.send(opened, "finish")
        print(f"{reader.name}: {scan}", flush=True)


def adjudicate(seat: Seat, truths: Mapping[str, Truth], right: float) -> int:
    """Let an adjudicator settle what the readers differ on; return how many."""
    rows = seat.get("/api/disagreements")
    for row in rows:
        opened = seat.opened(row["scan"])
        near = max(5.0, slice_of(opened))
        true = one_to_one(truths[row["scan"]].places, _places([row["place"]]), near).good.any()
        says = bool(true) == (seat.rng.random() < right)
        verdict = {"verdict": "accept"} if says else {"verdict": "reject", "class": "vessel"}
        seat.send(opened, "adjudicate", row["finding"], **verdict)
    left = [row for row in seat.get("/api/disagreements") if not row["settled"]]
    if left:
        raise SystemExit(f"{len(left)} disagreements are not settled")
    return len(rows)


def rates(predicted: Path, raw: Path) -> dict[str, float]:
    """Return sensitivity, precision, F1 and false findings a scan by the main rule."""
    result = evaluate(predicted, raw, EvaluationOptions(n_resamples=200)).result
    pooled = result["detection"][MAIN_RULE]["pooled"]
    return {name: pooled[name].value for name in RATES}


ENDS = ("", "_low", "_high")
RATES = ("sensitivity", "precision", "f1", "false_per_scan")


def study(work: Path, raw: Path, out: Path, seed: int) -> dict[str, Any]:
    """Read, adjudicate, apply and evaluate; everything that the table tells."""
    reviewed = work / "reviewed"
    shutil.rmtree(reviewed, ignore_errors=True)
    shutil.copytree(out, reviewed)
    found = {side.key: side for side in find_sides(raw, None, truth=True)}
    truths = {scan: Truth(_side_of(scan, found)) for scan in ReviewFolder(reviewed).listed()}
    rng = np.random.default_rng(seed)
    with served(reviewed, raw) as links:
        for reader, own in zip(READERS, rng.spawn(len(READERS)), strict=True):
            read(reader, Seat(links[reader.name], own), truths)
        judge = Seat(links[ADJUDICATOR], rng)
        told = judge.get("/api/agreement")
        settled = adjudicate(judge, truths, ADJUDICATOR_RIGHT)
    scans = read_decided(reviewed)
    moved = recalibrate(decisions_of(scans), points_of_slices())
    before = rates(out, raw)
    applied = apply_review(reviewed)
    return {
        "scans": len(truths),
        "visible": sum(len(truth.rows) for truth in truths.values()),
        "agreement": told,
        "settled": settled,
        "calibration": moved,
        "before": before,
        "after": rates(reviewed, raw),
        "applied": sum(outcome.status == "applied" for outcome in applied),
    }


def _side_of(scan: str, sides: Mapping[str, Side]) -> Side:
    whose = dict(part.split("-", 1) for part in scan.split("_"))
    for key, side in sides.items():
        if key == scan or whose.items() <= dict(side.entities).items():
            return side
    raise SystemExit(f"{scan}: no truth among {', '.join(sides)}")


def table(found: Mapping[str, Any], command: str) -> str:
    """Return the page."""
    told = found["agreement"]
    pair, overall = told["pairs"][0], told["overall"]
    lesions = pair["lesions"]
    rows = [
        ("lesion-level F1, bootstrap over people", *(lesions[f"f1{k}"] for k in ENDS)),
        *(
            (name, pair[key]["value"], pair[key]["low"], pair[key]["high"])
            for name, key in (
                ("kappa of presence", "kappa_presence"),
                ("kappa of category", "kappa_category"),
                ("ICC(2,1) of counts", "icc_counts"),
            )
        ),
        *(
            (name, of[key]["value"], of[key]["low"], of[key]["high"])
            for name, of, key in (
                ("Gwet's AC1 of presence", overall, "gwet_ac1"),
                ("Gwet's AC1 of verdicts on its findings", overall["findings"], "gwet_ac1"),
                ("Fleiss' kappa of the same", overall["findings"], "fleiss"),
            )
        ),
    ]  # fmt: skip
    limits = pair["bland_altman"]
    at = ", ".join(f"{n}: {low} to {high}" for n, (low, high) in limits["counts_around"].items())
    lines = [
        f"# A study of two simulated readers, {datetime.now(UTC):%Y-%m-%d}",
        "",
        f"`{command}`",
        "",
        f"{found['scans']} simulated patients ({PROTOCOL}), {found['visible']} visible "
        "microbleeds. **The readers are simulated**: each knows the truth and errs at random as "
        "stated, independently of the other; decisions were sent to a running server over "
        "HTTP. The figures show that the road from scans to a table "
        "is whole. They say nothing of people, and nothing of how quick a person is.",
        "",
        "| Simulated reader | accepts a true one | accepts a false one | adds a missed one "
        "| shift mm | median s, set | median s, log |",
        "|---|---|---|---|---|---|---|",
    ]
    for r in READERS:
        lines.append(
            f"| {r.name} | {r.sensitivity} | {r.false_accept} | {r.missed_seen} | {r.shift_mm} | "
            f"{r.seconds} | {told['seconds'][r.name]['median']:.2f} |"
        )
    lines += [
        "",
        f"Both marked {lesions['both']} lesions, only {pair['readers'][0]} "
        f"{lesions['only_first']}, only {pair['readers'][1]} {lesions['only_second']}; "
        f"{found['settled']} disagreements went to a simulated adjudicator who is right with "
        f"probability {ADJUDICATOR_RIGHT}.",
        "",
        "| Agreement | value | 95 % low | 95 % high |",
        "|---|---|---|---|",
        *(f"| {name} | {_n(v)} | {_n(low)} | {_n(high)} |" for name, v, low, high in rows),
        "",
        f"Bland-Altman of counts on square roots: bias {_n(limits['bias'])}, limits "
        f"{_n(limits['low'])} to {_n(limits['high'])}; in counts, by the first reader's: {at}.",
        "",
        "| Against truth, one to one within 5 mm or a slice | sensitivity | precision | F1 "
        "| false/scan |",
        "|---|---|---|---|---|",
    ]
    for name in ("before", "after"):
        word = {"before": "software", "after": "consensus, after `petechia review --apply`"}[name]
        lines.append(f"| {word} | {' | '.join(_n(found[name][k]) for k in RATES)} |")
    lines += ["", f"Applied to {found['applied']} of {found['scans']} scans."]
    lines += [
        "",
        "`petechia calibrate` on the consensus:",
        "",
        *calibration_lines(found["calibration"]),
    ]
    return "\n".join(lines) + "\n"


def _n(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def main() -> None:
    """Run the study and write its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--n", type=int, default=10)
    parser.add_argument("--seed", type=int, default=9600)
    parser.add_argument("--n-threads", type=int, default=1)
    parser.add_argument("--finished", action="store_true", help="only what is finished in WORK")
    parser.add_argument("--table", type=Path)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    raw, out = args.work / "raw", args.work / "output"
    if not args.finished:
        raw, out = patients(args.work, args.n, args.seed, args.n_threads)
    found = study(args.work, raw, out, args.seed)
    command = f"python validation/readers.py WORK --n {args.n} --seed {args.seed}"
    command += " --finished" if args.finished else ""
    page = table(found, command)
    print(page)
    (args.table or args.work / "readers.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
