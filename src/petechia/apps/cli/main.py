"""The command line: words in, one pipeline call, words out."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from petechia import __version__
from petechia.errors import PetechiaError

COMMANDS = {
    "run": "a scan, a folder or a dataset: from files to report",
    "demo": "simulate a patient, run everything, print the report's path",
    "simulate": "write a BIDS dataset of simulated patients with their truth",
    "methods": "list the methods of every stage",
    "mask": "brain mask of a magnitude image",
    "unwrap": "unwrap phase; field map from echoes",
    "background": "local field from total field",
    "invert": "susceptibility from local field",
    "swi": "susceptibility-weighted image and minimum projection",
    "r2star": "R2* and T2* from the magnitude of echoes",
    "regions": "anatomical sites on the scan's grid",
    "detect": "find, measure and name dark spots",
}
"""Commands in the order of the help text; each is a module of this folder."""

NOTICE = "Research use only. Not a medical device."


def build_parser(command: str) -> argparse.ArgumentParser:
    """Return the parser of one command."""
    module = import_module(f"petechia.apps.cli.{command}")
    parser = argparse.ArgumentParser(
        prog=f"petechia {command}",
        description=COMMANDS[command].capitalize() + f". {NOTICE}",
        allow_abbrev=False,
    )
    parser.add_argument("--verbose", action="store_true", help="show a traceback on failure")
    module.arguments(parser)
    return parser


def overview() -> str:
    """Return the text of `petechia --help`."""
    lines = [f"  {name:12}{text}" for name, text in COMMANDS.items()]
    return "\n".join(
        [
            "usage: petechia COMMAND ...",
            "       petechia BIDS OUTPUT participant [--participant-label L ...]",
            "",
            "Cerebral microbleeds from gradient-echo MRI.",
            NOTICE,
            "",
            *lines,
            "",
            "petechia COMMAND --help tells more. petechia --version",
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code of the contract.

    0 done, 2 the caller can mend it (one message, no traceback), 1 our fault,
    3 a cohort finished with failures.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview())
        return 0 if words else 2
    if words[0] == "--version":
        print(f"petechia {__version__}")
        return 0
    if words[0] not in COMMANDS and Path(words[0]).exists():
        words.insert(0, "run")  # the call of a BIDS App
    if words[0] not in COMMANDS:
        print(f"error: no command {words[0]!r}. {_nearest(words[0])}", file=sys.stderr)
        return 2
    return _run(words[0], words[1:])


def _run(command: str, words: list[str]) -> int:
    from petechia.apps.cli.words import settle

    parser = build_parser(command)
    module = import_module(f"petechia.apps.cli.{command}")
    try:
        args = parser.parse_args(settle(parser, words, module.positionals(words)))
    except SystemExit as leave:  # argparse has said why
        return int(leave.code or 0)
    except PetechiaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    try:
        return int(module.run(args))
    except PetechiaError as error:
        if args.verbose:
            raise
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; what was finished is kept", file=sys.stderr)
        return 2
    except MemoryError:
        print(
            "error: out of memory. Run fewer scans at once (--n-procs 1) or a smaller volume.",
            file=sys.stderr,
        )
        return 2
    except Exception as error:
        if args.verbose:
            raise
        print(
            f"internal error: {type(error).__name__}: {error}. This is our fault: please report it "
            "with what --verbose prints.",
            file=sys.stderr,
        )
        return 1


def _nearest(word: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(word, COMMANDS, n=1)
    return f"Did you mean {near[0]!r}?" if near else f"Commands: {', '.join(COMMANDS)}."


def entry() -> None:
    """Start from a shell; a closed pipe is no error."""
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)
