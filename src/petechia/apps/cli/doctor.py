"""`petechia doctor`: is this installation fit for work, and what to do if not."""

import argparse
import json
from pathlib import Path

MARKS = {"good": "good", "note": "note", "bad": "BAD"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words of this command."""
    add = parser.add_argument
    add("output", nargs="?", type=Path, default=Path(), help="where results will go (here)")
    add("--json", action="store_true", help="for programs")


def positionals(words: list[str]) -> int:
    """Return how many positionals the command cannot do without."""
    return 0


def run(args: argparse.Namespace) -> int:
    """Examine and tell; 0 when nothing is bad, else 1."""
    from petechia.pipeline.doctor import examine

    found = list(examine(args.output))
    bad = [finding for finding in found if finding.state == "bad"]
    if args.json:
        table = [finding.as_dict() for finding in found]
        print(json.dumps({"fit": not bad, "checks": table}, indent=2))
        return 1 if bad else 0
    for finding in found:
        mend = f". {finding.mend}" if finding.mend else ""
        print(f"{MARKS[finding.state]:5}{finding.name}: {finding.says}{mend}")
    print(f"not fit for work: {len(bad)} to mend" if bad else "fit for work")
    return 1 if bad else 0
