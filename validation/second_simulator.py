"""Scan simulated people with a simulator that shares no code with that of the project.

usage: python validation/second_simulator.py OUT --protocol NAME ...
       [--people 1] [--microbleeds 20] [--seed 101]

Writes a BIDS dataset with the truth in OUT/derivatives/truth, so that these follow:

    petechia run OUT RESULT
    petechia evaluate RESULT OUT

Every person is scanned with every protocol. Scans that are there are not made again. A scan
without microbleeds, for what is found where nothing is, comes with `--microbleeds 0` (five to
eight calcifications stay), into a folder of its own: heads, veins and noise are the same as with
them. On one core a person takes a minute and each scan of 1 mm or SWI two more, with 5.3 and
8.6 GB of memory at most; one at 7 T takes more of both.
"""

import argparse
import time
from pathlib import Path

from second.person import person_of
from second.protocols import PROTOCOLS
from second.scan import scan_of
from second.writing import is_written, people_rows, scan_name, write_scan

from petechia.errors import OutputError
from petechia.files.places import require_own
from petechia.files.raw_bids import write_dataset

README = "Simulated; truth lies in derivatives/truth. No person was scanned."


def main() -> None:
    """Make what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--protocol", nargs="+", required=True, choices=PROTOCOLS, metavar="NAME",
                        help=", ".join(PROTOCOLS))  # fmt: skip
    parser.add_argument("--people", type=int, default=1)
    parser.add_argument("--microbleeds", type=int, default=20, help="of each person")
    parser.add_argument("--seed", type=int, default=101)
    args = parser.parse_args()
    # the name holds what every scan depends on: a folder never mixes two kinds of people
    name = f"Second simulator, seed {args.seed}, {args.microbleeds} microbleeds a person"
    try:
        require_own(args.out, name, "this command with the same --seed and --microbleeds")
    except OutputError as error:
        raise SystemExit(str(error)) from error
    for number in range(args.people):
        missing = [
            protocol
            for protocol in dict.fromkeys(args.protocol)
            if not is_written(args.out, scan_name(number, protocol), PROTOCOLS[protocol])
        ]
        if not missing:
            continue
        write_dataset(args.out, people_rows(range(number + 1)), name=name, readme=README)
        person = person_of(args.seed, number, args.microbleeds)
        for protocol in missing:
            begin, scanned = time.perf_counter(), scan_name(number, protocol)
            scan = scan_of(person, protocol, PROTOCOLS[protocol], (args.seed, number))
            write_scan(args.out, scanned, scan)
            rows = [row for row in scan.truth.rows if row["class"] == "microbleed"]
            shown = sum(row["visible"] for row in rows)
            seconds = time.perf_counter() - begin
            print(f"{scanned.prefix}: {shown} of {len(rows)} microbleeds visible, {seconds:.0f} s",
                  flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
