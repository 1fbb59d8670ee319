"""`petechia reproduce`: published numbers beside the same numbers by this package."""

import argparse
import sys


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words of this command."""
    parser.add_argument("--out", metavar="FILE", help="also write the table, as TSV")


def positionals(words: list[str]) -> int:
    """Return how many positionals the command cannot do without."""
    return 0


def run(args: argparse.Namespace) -> int:
    """Print the table; write it when asked for."""
    from rich.console import Console
    from rich.table import Table

    from petechia.cohort.published import reproduce

    rows = reproduce()
    columns = ("source", "what", "inputs", "published", "ours", "difference", "agrees", "remark")
    table = Table(title="Published numbers, and the same by this package", show_lines=False)
    for name in columns[:-1]:
        table.add_column(name, overflow="fold", justify="left")
    remarks: list[str] = []
    for row in rows:
        mark = ""
        if row.remark:
            if row.remark not in remarks:
                remarks.append(row.remark)
            mark = f" [{remarks.index(row.remark) + 1}]"
        table.add_row(
            row.source.partition(",")[0], row.what + mark.replace("[", "("). replace("]", ")"),
            row.inputs, row.published, _digits(row.ours), _digits(row.difference), row.agrees,
        )  # fmt: skip
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else 160).print(table)
    for n, remark in enumerate(remarks):
        print(f"({n + 1}) {remark}")
    told = [row.agrees for row in rows]
    print(
        f"{told.count('yes')} agree within the printed digits, {told.count('no')} do not (see the "
        f"remarks), {told.count('n/a')} were not printed."
    )
    return 0


def _digits(value: float) -> str:
    return "n/a" if value != value else f"{value:.6g}"
