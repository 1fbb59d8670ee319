"""Take a simulated cohort with known effects through a Dask cluster, follow-up and statistics.

usage: python validation/cohort.py WORK [--people 60] [--seed 9550] [--until simulate|run|all]
       [--kill-after 5] [--table FILE]

Simulates people of 45 to 90 years, half of them with hypertension. How many microbleeds each
has is drawn from a negative binomial with a stated mean, so that the rate ratios of age and
of hypertension are known. Every fourth person comes twice; half are scanned with several
echoes, half with one. Then `petechia run --engine dask` takes all scans on a scheduler with
two workers, of which one is killed (SIGKILL) when a few scans are done, and `petechia follow`
and `petechia group` take what came out. What is finished in WORK is not done again. The
seeds were never used to set anything.
"""

import argparse
import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from petechia.apps.cli.run import cores
from petechia.assets.store import load_arrays
from petechia.files.contract import contract, place
from petechia.files.output import OutputTree
from petechia.files.raw_bids import TRUTH_FOLDER, write_dataset
from petechia.files.scan import ScanName
from petechia.pipeline.provenance import threads
from petechia.pipeline.simulated import write_simulated
from petechia.simulate.atlas import Atlas, atlas_from
from petechia.simulate.heads import Heads
from petechia.simulate.patient import Patient, SimulationParams, sample_patient, scan_patient
from petechia.simulate.protocols import Protocol
from petechia.simulate.variety import follow_up

MEAN_AT_65 = 1.5
"""Microbleeds of a person of 65 without hypertension, on average."""
PER_DECADE, WITH_HYPERTENSION = 1.6, 2.5
"""Rate ratios."""
DISPERSION = 0.5
"""Variance of the counts is the mean + this times its square."""
MOST = 40
"""No person gets more microbleeds than this."""
TWICE = 4
"""Every fourth person comes twice; of those every fifth changes the protocol in between."""
LIGHT = Protocol(
    b0_t=3.0,
    te_s=(0.008, 0.014, 0.020),
    tr_s=0.030,
    flip_deg=15.0,
    shape=(126, 152, 60),
    spacing_mm=(1.5, 1.5, 2.8),
    snr=80.0,
    head_mm=2.0,
)
SCANNERS = {
    "lightMegre": LIGHT,
    "lightSwi": replace(LIGHT, te_s=(0.020,), snr=50.0, flow_compensated=True),
}
"""Coarse grids: a cohort goes through them in the time one scan at 1 mm needs tens of."""
ABOUT = {
    "age": {"Description": "Age at the first session", "Units": "year"},
    "hypertension": {"Description": "Hypertension", "Levels": {"0": "no", "1": "yes"}},
    "protocol": {"Description": "Acquisition of the first session"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One line of participants.tsv, and how many microbleeds were put in."""

    label: str
    age: float
    hypertension: int
    microbleeds: int
    scanners: tuple[str, ...]

    @property
    def mean(self) -> float:
        """Microbleeds that such a person has on average."""
        return mean_of(self.age, self.hypertension)


def mean_of(age: float, hypertension: int) -> float:
    """Return the mean of the negative binomial."""
    by_age = PER_DECADE ** ((age - 65.0) / 10.0)
    return float(MEAN_AT_65 * by_age * WITH_HYPERTENSION**hypertension)


def drawn_people(n: int, seed: int) -> list[Person]:
    """Draw the cohort; person k does not depend on how many there are."""
    return [_drawn(k, np.random.default_rng([seed, k, 1])) for k in range(n)]


def _drawn(k: int, rng: np.random.Generator) -> Person:
    age, hypertension = round(float(rng.uniform(45.0, 90.0)), 1), int(rng.random() < 0.5)
    own = rng.gamma(1 / DISPERSION, DISPERSION * mean_of(age, hypertension))
    first, other = sorted(SCANNERS, reverse=bool(rng.random() < 0.5))
    again: tuple[str, ...] = ()
    if k % TWICE == 0:
        again = (other if k // TWICE % 5 == 4 else first,)
    return Person(
        label=f"{k + 1:02d}",
        age=age,
        hypertension=hypertension,
        microbleeds=min(int(rng.poisson(own)), MOST),
        scanners=(first, *again),
    )


# --- simulate


def simulated(work: Path, people: list[Person], seed: int) -> Path:
    """Write the dataset; scans that are there are not made again."""
    raw, done = work / "raw", work / "simulated"
    done.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = [
        {
            "participant_id": p.label,
            "age": p.age,
            "hypertension": p.hypertension,
            "protocol": p.scanners[0],
        }
        for p in people
    ]
    write_dataset(raw, rows, about=ABOUT)
    atlas, heads = atlas_from(load_arrays("template")), Heads(most=1)
    with threads(cores()):
        for k, person in enumerate(people):
            mark = done / f"sub-{person.label}"
            if not mark.exists():
                _simulate(raw, person, atlas, heads, seed, k)
                mark.touch()
                print(f"sub-{person.label}: {person.microbleeds} microbleeds", flush=True)
    return raw


def _simulate(raw: Path, person: Person, atlas: Atlas, heads: Heads, seed: int, k: int) -> None:
    params = SimulationParams(
        n_microbleeds=person.microbleeds, n_calcifications=3, age_years=person.age
    )
    patient = sample_patient(params, atlas, np.random.default_rng([seed, k, 2]))
    states: list[Patient] = [patient]
    if len(person.scanners) > 1:
        states.append(follow_up(patient, atlas, np.random.default_rng([seed, k, 3])))
    for at, (scanner, now) in enumerate(zip(person.scanners, states, strict=True)):
        rng = np.random.default_rng([seed, k, at, 4])
        scan = scan_patient(now, SCANNERS[scanner], atlas, rng, heads=heads)
        entities = (("sub", person.label), ("ses", str(at + 1)), ("acq", scanner))
        write_simulated(raw, ScanName(entities), scan)


# --- run


@contextmanager
def cluster(work: Path) -> Iterator[str]:
    """Start a scheduler and two workers as separate programs; yield the address."""
    file = work / "scheduler.json"
    file.unlink(missing_ok=True)
    dask = [sys.executable, "-m", "dask"]
    at = ["--scheduler-file", str(file), "--no-dashboard"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    scratch = ["--local-directory", str(work / "dask"), "--memory-limit", "0"]
    started = [
        subprocess.Popen([*dask, "scheduler", "--host", "127.0.0.1", "--port", "0", *at], **quiet),
        subprocess.Popen(
            [*dask, "worker", "--nworkers", "2", "--nthreads", "1", *at, *scratch], **quiet
        ),
    ]
    try:
        while not file.exists():
            time.sleep(0.2)
        time.sleep(0.5)
        yield str(json.loads(file.read_text(encoding="utf-8"))["address"])
    finally:
        for process in reversed(started):
            process.terminate()
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()


def run_all_scans(work: Path, raw: Path, kill_after: int) -> Path:
    """Run every scan on the cluster; kill one of its workers, once, when some are done."""
    out, mark, log = work / "output", work / "killed.json", work / "run.tsv"
    words = [sys.executable, "-m", "petechia", "run", str(raw), str(out), "participant"]
    words += ["--preset", "fast", "--engine", "dask", "--n-threads", "1", "--scheduler"]
    begin, ends = time.monotonic(), Counter[str]()
    with cluster(work) as address:
        run = subprocess.Popen([*words, address], stdout=subprocess.PIPE, text=True)
        try:
            for line in run.stdout or ():
                print(line, end="", flush=True)
                found = re.match(r"(sub-\S+): (done|skipped|failed)", line)
                if not found:
                    continue
                ends[found[2]] += 1
                if ends["done"] >= kill_after and not mark.exists():
                    mark.write_text(json.dumps({"after": ends["done"], "pid": kill_one(address)}))
        finally:
            run.terminate()
            code = run.wait(timeout=120)
    with log.open("a", encoding="utf-8") as lines:
        told = [str(round(time.monotonic() - begin)), str(code)]
        lines.write("\t".join([*told, *(str(ends[k]) for k in ("done", "skipped", "failed"))]))
        lines.write("\n")
    if code not in (0, 3):
        raise SystemExit(f"petechia run ended with {code}")
    return out


def kill_one(address: str) -> int:
    """Kill one of the workers as the kernel would for want of memory; return its process."""
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        pids = client.run(os.getpid)
    pid = int(min(pids.values()))
    os.kill(pid, signal.SIGKILL)
    print(f"killed worker {pid}", flush=True)
    return pid


# --- what came out


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One scan: what was put in and what was counted; None where it was not assessable."""

    person: Person
    session: int
    scanner: str
    true: int
    found: int | None
    begun: int
    ended: int
    seconds: float
    peak_mb: int


def scan_rows(raw: Path, out: Path, people: list[Person]) -> Iterator[Row]:
    """Yield the scans that have a summary."""
    for person in people:
        for at, scanner in enumerate(person.scanners):
            name = ScanName((("sub", person.label), ("ses", str(at + 1)), ("acq", scanner)))
            path = OutputTree(out).path("summary", name)
            if not path.exists():
                continue
            told = json.loads(path.read_text(encoding="utf-8"))
            refused = told["category"] == "not_assessable"
            log = OutputTree(out).path("log", name).read_text(encoding="utf-8")
            yield Row(
                person=person,
                session=at + 1,
                scanner=scanner,
                true=true_count(raw, name),
                found=None if refused else int(told["counts"]["total"]),
                begun=log.count(f"{name.prefix}: petechia "),
                ended=log.count(f"{name.prefix}: done"),
                seconds=sum(told["seconds"].values()),
                peak_mb=max(told["peak_memory_mb"].values()),
            )


def true_count(raw: Path, name: ScanName) -> int:
    """Return how many microbleeds were put into a scan."""
    with (raw / TRUTH_FOLDER / place(contract().truth.table, name)).open(encoding="utf-8") as lines:
        return sum(row["class"] == "microbleed" for row in csv.DictReader(lines, delimiter="\t"))


def ratios(rows: list[Row], counts: list[int]) -> list[str]:
    """Return the rate ratios of age and hypertension by negative binomial, as cells."""
    import statsmodels.api as sm

    by = np.array(
        [
            [(r.person.age - 65) / 10, r.person.hypertension, r.scanner == "lightMegre"]
            for r in rows
        ],
        dtype=float,
    )
    fit = sm.NegativeBinomial(np.array(counts), sm.add_constant(by)).fit(disp=0, maxiter=500)
    low, high = np.exp(fit.conf_int()[1:3]).T
    cells = []
    for ratio, a, b, true in zip(
        np.exp(fit.params[1:3]), low, high, (PER_DECADE, WITH_HYPERTENSION), strict=True
    ):
        cells += [f"{ratio:.2f} ({a:.2f} to {b:.2f})", "yes" if a <= true <= b else "no"]
    return [*cells, "yes" if fit.mle_retvals["converged"] else "no"]


def table(work: Path, rows: list[Row]) -> Iterator[str]:
    """Yield the lines of the table."""
    first = [row for row in rows if row.session == 1 and row.found is not None]
    yield f"Put in: mean {MEAN_AT_65} at 65 years, x {PER_DECADE} a decade, x {WITH_HYPERTENSION} "
    yield f"with hypertension, dispersion {DISPERSION}; {len(rows)} scans ran to their end, "
    yield f"{sum(row.found is None for row in rows)} of them not assessable.\n"
    killed = work / "killed.json"
    if killed.exists():
        after = json.loads(killed.read_text(encoding="utf-8"))["after"]
        again = sum(row.begun > 1 for row in rows)
        yield f"One of two workers was killed when {after} scans were done. {again} scan(s) begun "
        yield f"more than once, {sum(row.ended > 1 for row in rows)} ended more than once.\n"
    yield "| counts | people | age, a decade | within | hypertension | within | converged |"
    yield "|---|---|---|---|---|---|---|"
    for name, counts in (
        ("put in", [row.true for row in first]),
        ("counted by petechia run", [row.found or 0 for row in first]),
    ):
        if len(first) > 10:
            yield f"| {name} | {len(first)} | " + " | ".join(ratios(first, counts)) + " |"
    yield from group_lines(work / "output" / "group" / "models.tsv")
    yield ""
    yield "| protocol | scans | put in | counted | wall s, median | peak MB, most |"
    yield "|---|---|---|---|---|---|"
    for scanner in SCANNERS:
        own = [row for row in rows if row.scanner == scanner and row.found is not None]
        if own:
            cells = [len(own), sum(r.true for r in own), sum(r.found or 0 for r in own)]
            cells += [round(float(np.median([r.seconds for r in own])))]
            cells += [max(r.peak_mb for r in own)]
            yield f"| {scanner} | " + " | ".join(map(str, cells)) + " |"
    yield from follow_lines(work / "output")


def group_lines(models: Path) -> Iterator[str]:
    """Yield what `petechia group` says of the two effects on the count."""
    if not models.exists():
        return
    with models.open(encoding="utf-8") as lines:
        told = [
            row
            for row in csv.DictReader(lines, delimiter="\t")
            if row["outcome"] == "count" and row["asked"] == "1" and row["adjusted"] == "1"
        ]
    of = {row["exposure"]: row for row in told}
    cells = []
    for name, true in (("age", PER_DECADE), ("hypertension", WITH_HYPERTENSION)):
        row = of.get(name)
        if row is None or row["ratio"] in ("", "n/a"):
            cells += ["not fitted", "no"]
            continue
        ratio, low, high = (float(row[key]) for key in ("ratio", "ratio_low", "ratio_high"))
        cells += [f"{ratio:.2f} ({low:.2f} to {high:.2f})", "yes" if low <= true <= high else "no"]
    n = max((row["n"] for row in told), default="0")
    status = ", ".join(sorted({row["status"] for row in told}))
    yield f"| petechia group | {n} | " + " | ".join(cells) + f" | {status} |"


def follow_lines(out: Path) -> Iterator[str]:
    """Yield how many lesions of follow-ups have which fate."""
    tables = sorted(out.glob("sub-*/*_desc-followup_lesions.tsv"))
    if not tables:
        return
    fates = Counter[str]()
    for path in tables:
        with path.open(encoding="utf-8") as lines:
            fates.update(row.get("state", "?") for row in csv.DictReader(lines, delimiter="\t"))
    told = ", ".join(f"{n} {state}" for state, n in sorted(fates.items()))
    yield f"\n`petechia follow`: {len(tables)} people; lesions: {told}."


def petechia(*words: object) -> None:
    """Call the command line; a command that is not there, or fails, is told and passed over."""
    done = subprocess.run([sys.executable, "-m", "petechia", *map(str, words)], check=False)
    if done.returncode not in (0, 3):
        print(f"petechia {words[0]} ended with {done.returncode}", flush=True)


def main() -> None:
    """Simulate, run, follow, count, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--people", type=int, default=60)
    parser.add_argument("--seed", type=int, default=9550)
    parser.add_argument("--until", choices=["simulate", "run", "all"], default="all")
    parser.add_argument("--kill-after", type=int, default=5)
    parser.add_argument("--table", type=Path)
    args = parser.parse_args()
    people = drawn_people(args.people, args.seed)
    raw = simulated(args.work, people, args.seed)
    if args.until == "simulate":
        return
    out = run_all_scans(args.work, raw, args.kill_after)
    if args.until == "all":
        petechia("follow", out, "--images", raw)
        petechia(
            "group", out, "--participants", raw / "participants.tsv", "--groups",
            "age,hypertension", "--covariates", "age,hypertension", "--outcome", "count",
        )  # fmt: skip
    rows = list(scan_rows(raw, out, people))
    command = f"python validation/cohort.py WORK --people {args.people} --seed {args.seed}"
    text = [f"{datetime.now(UTC):%Y-%m-%d}, {len(people)} people: `{command}`\n"]
    text += table(args.work, rows)
    print("\n".join(text))
    if args.table:
        args.table.write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
