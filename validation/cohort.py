"""Take a simulated cohort with known effects through a Dask cluster, follow-up and statistics.

usage: python validation/cohort.py WORK [--people 60] [--seed 9550] [--until simulate|run|all]
       [--table FILE]

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
from petechia.files.raw_bids import write_dataset
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
KILL_AFTER = 5
"""Scans done when one of the two workers is killed."""

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


def main() -> None:
    """Simulate, run, follow, count, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--people", type=int, default=60)
    parser.add_argument("--seed", type=int, default=9550)
    parser.add_argument("--until", choices=["simulate", "run", "all"], default="all")
    parser.add_argument("--table", type=Path)
    args = parser.parse_args()
    people = drawn_people(args.people, args.seed)
    simulated(args.work, people, args.seed)


if __name__ == "__main__":
    main()
