"""Write the generated pages of docs/reference from the tables that the code reads.

usage: python scripts/build_reference.py [--check]
--check only compares; exit 1 when a page is old.
"""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from petechia.apps.cli.main import COMMANDS, build_parser
from petechia.lesions.candidates import METHODS as CANDIDATES
from petechia.pipeline.engines import METHODS as ENGINES
from petechia.pipeline.measured import about, cost_of, error_of
from petechia.pipeline.settings import ALONE, FAMILIES

DOCS = Path(__file__).parents[1] / "docs" / "reference"
MADE = "<!-- made by scripts/build_reference.py: change the code, not this page -->\n\n"


def methods_page() -> str:
    """Return the page of all METHODS rows."""
    parts = [
        MADE,
        "# Methods\n\nWhat `petechia methods` prints, with the settings of each row. Cost:\n"
        "time in round trips of a real 3-D Fourier transform. Error: of the map from raw phase\n"
        "over the whole true brain, with that row in the standard chain (backgrounds followed\n"
        "by `tv`); or of R2*. Measured:\n\n",
        *(f"- {line}\n" for line in about()),
    ]
    others = {"candidates": CANDIDATES, "engines": ENGINES}
    for family, rows in {**FAMILIES, **ALONE, **others}.items():
        head = "| Name | What | Cost | Error | Needs | Settings | Paper |\n" + "|---" * 7 + "|\n"
        parts.append(f"\n## {family}\n\n{head}")
        for name, row in rows.items():
            settings = ", ".join(f"{k} = {v}" for k, v in asdict(row.settings()).items()) or "-"
            paper = f"[{row.doi}](https://doi.org/{row.doi})" if row.doi else "-"
            parts.append(
                f"| `{name}` | {row.summary} | {cost_of(name)} | {error_of(name)} "
                f"| {', '.join(row.needs)} | {settings} | {paper} |\n"
            )
    return "".join(parts)


def commands_page() -> str:
    """Return the page of all commands and their options."""
    parts = [
        MADE,
        "# Command line\n\nLists take commas or repeats. Exit codes: 0 done; 2 you can mend it; "
        "1 our fault;\n3 a cohort finished with failures.\n",
    ]
    for command, summary in COMMANDS.items():
        parser = build_parser(command)
        title = f"{summary[0].upper()}{summary[1:]}."
        parts.append(f"\n## petechia {command}\n\n{title}\n\n| Word | What |\n|---|---|\n")
        for action in parser._actions:
            if "--help" in action.option_strings:
                continue
            word = action.option_strings[-1] if action.option_strings else action.dest.upper()
            takes_none = action.nargs == 0 or not action.option_strings
            value = "" if takes_none else f" {_value(action)}"
            parts.append(f"| `{word}{value}` | {action.help or ''} |\n")
    return "".join(parts)


def _value(action: argparse.Action) -> str:
    """Return what a reader writes after an option: one of a few words, or the kind of value."""
    if action.metavar is None and action.choices is not None:
        return f"{{{','.join(str(choice) for choice in action.choices)}}}"
    return str(action.metavar or action.dest.upper())


PAGES = {"methods.md": methods_page, "command-line.md": commands_page}


def main() -> int:
    """Write or compare the pages."""
    old = 0
    for name, make in PAGES.items():
        path, text = DOCS / name, make()
        if "--check" in sys.argv:
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                print(f"{path.name} is old: run python scripts/build_reference.py")
                old = 1
        else:
            path.write_text(text, encoding="utf-8")
    return old


if __name__ == "__main__":
    sys.exit(main())
