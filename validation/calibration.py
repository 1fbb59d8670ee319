"""How often a site's calibration is accepted, and what it gains, when the truth is known.

usage: python validation/calibration.py [--sites 100] [--seed 1000] [--table FILE]

Decisions are drawn: twelve findings of each person with an even probability from 0.05 to 1, true
by a known line on the log-odds. No scan, no reader. The gain is that on people left out.
"""

import argparse
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from petechia.core.logistic import expit, logit
from petechia.pipeline.detector import points_of_slices
from petechia.pipeline.review.calibrate import recalibrate
from petechia.pipeline.review.decided import Decisions

LINES = ((0.0, 1.0), (-0.5, 1.0), (-1.0, 0.7), (1.0, 1.0))
PEOPLE = (5, 10, 20, 40)
EACH = 12


def site(offset: float, slope: float, people: int, seed: int) -> Decisions:
    """Return decisions on findings that are true by a known line."""
    rng = np.random.default_rng(seed)
    p = np.round(rng.uniform(0.05, 0.999, people * EACH), 3)
    return Decisions(
        p=p,
        y=rng.random(len(p)) < expit(offset + slope * logit(p)),
        scan=np.repeat(np.arange(people), EACH),
        person=np.arange(people),
        missed=np.zeros(people, dtype=np.int64),
        protocol=("one",) * people,
        slices=("thin",) * people,
        left=0,
    )


def main() -> None:
    """Draw sites and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sites", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--table", type=Path)
    args = parser.parse_args()
    lines = [
        f"# Calibration of a site: when it is accepted, {datetime.now(UTC):%Y-%m-%d}",
        "",
        f"`python validation/calibration.py --sites {args.sites} --seed {args.seed}`",
        "",
        f"{args.sites} drawn sites a cell, {EACH} decided findings a person; no scans, no readers. "
        "Accepted of all sites, and the fall of the Brier score on people left out, mean of "
        "those accepted.",
        "",
        f"| true line (offset, slope) | {' | '.join(f'{n} people' for n in PEOPLE)} |",
        f"|---|{'---|' * len(PEOPLE)}",
    ]
    for offset, slope in LINES:
        cells = []
        for people in PEOPLE:
            found = [
                recalibrate(site(offset, slope, people, args.seed + n), points_of_slices())
                for n in range(args.sites)
            ]
            gains = [
                f.table[0]["brier_before"] - f.table[0]["brier_after"]
                for f in found
                if not f.refused
            ]
            gain = f" ({np.mean(gains):.3f})" if gains else ""
            cells.append(f"{len(gains) / len(found):.2f}{gain}")
        name = "0, 1: calibrated already" if (offset, slope) == (0, 1) else f"{offset}, {slope}"
        lines.append(f"| {name} | {' | '.join(cells)} |")
    page = "\n".join(lines) + "\n"
    print(page)
    if args.table:
        args.table.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
