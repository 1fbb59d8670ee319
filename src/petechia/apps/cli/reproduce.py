"""`petechia reproduce`: published numbers beside the same numbers by this package."""

import argparse
import sys
from pathlib import Path

COLUMNS = ("source", "what", "inputs", "published", "ours", "difference", "agrees", "remark")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words of this command."""
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the table (TSV)")
    parser.add_argument("--all", action="store_true", help="also what has no printed number")


def positionals(words: list[str]) -> int:
    """Return how many positionals the command cannot do without."""
    return 0


def run(args: argparse.Namespace) -> int:
    """Print the table; write it when asked for."""
    from petechia.cohort.published import reproduce
    from petechia.files.writing import write_table

    rows = reproduce()
    if args.out is not None:
        table = [
            {
                **{name: getattr(row, name) for name in COLUMNS},
                "ours": _digits(row.ours),
                "difference": _digits(row.difference),
            }
            for row in rows
        ]
        write_table(args.out, table, COLUMNS)
    _tell(rows if args.all else tuple(row for row in rows if row.agrees != "n/a"))
    told = [row.agrees for row in rows]
    print(
        f"{told.count('yes')} agree within the printed digits, {told.count('no')} do not (remarks "
        f"above); {told.count('n/a')} were not printed (--all)."
    )
    if args.out is not None:
        print(f"table: {args.out}")
    return 0


def _tell(rows: tuple) -> None:  # type: ignore[type-arg]
    """Print the rows by source, and the remarks below."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Published numbers, and the same by this package", title_justify="left")
    for name, justify in (
        ("source", "left"), ("what", "left"), ("from", "left"), ("published", "right"),
        ("ours", "right"), ("difference", "right"), ("agrees", "left"),
    ):  # fmt: skip
        table.add_column(name, overflow="fold", justify=justify)  # type: ignore[arg-type]
    remarks = list(dict.fromkeys(row.remark for row in rows if row.remark))
    last = ""
    for row in rows:
        mark = f" ({remarks.index(row.remark) + 1})" if row.remark else ""
        source = "" if row.source == last else row.source.partition(",")[0]
        last = row.source
        cells = (
            source, row.what + mark, row.inputs, row.published, _digits(row.ours),
            _digits(row.difference), row.agrees,
        )  # fmt: skip
        table.add_row(*(cell.replace("[", r"\[") for cell in cells))
    width = None if sys.stdout.isatty() else 150
    Console(file=sys.stdout, width=width, highlight=False).print(table)
    for n, remark in enumerate(remarks):
        print(f"({n + 1}) {remark}")


def _digits(value: float) -> str:
    """Return six significant digits, 'n/a' for NaN."""
    return "n/a" if value != value else f"{value:.6g}"
