"""`petechia calibrate`: a site's decisions move probabilities and thresholds there."""

import argparse
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from petechia.errors import ParameterError

if TYPE_CHECKING:
    from petechia.pipeline.review.calibrate import Recalibration

FIGURES = {"brier": "Brier", "ece": "ECE", "slope": "slope", "offset": "offset"}
POINTS = {"from": "counts from", "f1": "F1", "false": "false/scan", "found": "found"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words of this command."""
    add = parser.add_argument
    add("output", nargs="+", type=Path, help="reviewed outputs of one site")
    add("--reader", metavar="NAME", help="decisions of this reader")
    add("--consensus", action="store_true", help="of all readers together (the default)")
    add("--round", type=int, metavar="N", help="of this round (each scan's last finished one)")
    add("--write", type=Path, metavar="FILE", help="for `petechia run --calibration FILE`")
    add("--dry-run", action="store_true", help="only print the table, write nothing")


def positionals(words: list[str]) -> int:
    """Return how many positionals the command cannot do without."""
    return 1


def run(args: argparse.Namespace) -> int:
    """Fit, judge, print; write when it is better out of sample."""
    if args.reader and args.consensus:
        raise ParameterError(
            "--reader and --consensus", where="petechia calibrate", mend="Give one of them."
        )
    if args.write is None and not args.dry_run:
        raise ParameterError(
            "no file to write", where="petechia calibrate", mend="Give --write FILE or --dry-run."
        )
    from petechia.pipeline.detector import points_of_slices
    from petechia.pipeline.review.calibrate import recalibrate, write_calibration
    from petechia.pipeline.review.decided import decisions_of, read_decided

    scans = [s for root in args.output for s in read_decided(root, args.reader or "", args.round)]
    decided = decisions_of(scans)
    row = next(one.classification for one in scans if not one.why_not)
    found = recalibrate(decided, points_of_slices(row))
    print("\n".join(told(found)))
    for one in scans:
        if one.why_not:
            print(f"left out: {one.reading.scan} ({one.why_not})")
    if args.dry_run:
        print("nothing was written (--dry-run)")
        return 0
    path = write_calibration(
        args.write,
        found,
        classification=row,
        decided_by="one reader" if args.reader else "consensus",
    )
    print(f"written: {path}. Use it with: petechia run --calibration {path} ...")
    return 0


def told(found: "Recalibration") -> Iterator[str]:
    """Return the lines of the before/after table."""
    yield ", ".join(f"{number} {word}" for word, number in found.n.items())
    yield ""
    yield from _table("scans", found.table, FIGURES, ("n_scans", "decisions", "accepted"))
    yield ""
    yield from _table("point", found.points, POINTS, ())
    yield ""
    if found.line is not None:
        yield f"line on the log-odds: offset {found.line.offset:.3f}, slope {found.line.slope:.3f}"
    yield (
        f"gain of log-likelihood of a person left out: {found.gain:.3f} "
        f"(standard error {found.gain_se:.3f})"
    )
    yield from (f"note: {note}" for note in found.notes)
    yield from (f"refused: {why}" for why in found.refused)


def _table(
    head: str, rows: Sequence[Mapping[str, Any]], pairs: Mapping[str, str], more: Sequence[str]
) -> Iterator[str]:
    """Return a table in Markdown, each figure before and after."""
    names = [head, *more, *(f"{word}, {when}" for word in pairs.values() for when in _WHEN)]
    yield f"| {' | '.join(names)} |"
    yield f"|{'---|' * len(names)}"
    for row in rows:
        values = [row[f"{key}_{when}"] for key in pairs for when in _WHEN]
        cells = [str(row[key]) for key in (head, *more)] + [_number(value) for value in values]
        yield f"| {' | '.join(cells)} |"


_WHEN = ("before", "after")


def _number(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "-"
