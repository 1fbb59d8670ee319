"""The command line: words in, one pipeline call, words out."""

import io
import logging
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from petechia import __version__
from petechia.apps.cli.words import Parser, settle
from petechia.errors import PetechiaError

COMMANDS = {
    "run": "a scan, a folder or a dataset: from files to report",
    "demo": "simulate a patient, run everything, print the report's path",
    "simulate": "write a BIDS dataset of simulated patients with their truth",
    "doctor": "is this installation fit for work, and what to do if not",
    "methods": "list the methods of every stage",
    "mask": "brain mask of a magnitude image",
    "combine": "one image per echo from uncombined coils",
    "unwrap": "unwrap phase; field map from echoes",
    "background": "local field from total field",
    "invert": "susceptibility from local field",
    "swi": "susceptibility-weighted image and minimum projection",
    "r2star": "R2* and T2* from the magnitude of echoes",
    "separate": "paramagnetic and diamagnetic susceptibility apart",
    "vessels": "likeness of each voxel to a vessel, or a sheet",
    "regions": "anatomical sites on the scan's grid",
    "detect": "find, measure and name dark spots",
    "review": "the reader's desk in the browser: confirm, reject, add; and apply it",
    "follow": "sessions of one person compared: new, grown, stable, not seen",
    "pacs": "a study from a PACS, and results back to it",
    "dicom": "results of a run as DICOM beside the images they came from",
    "deidentify": "DICOM without the person: names, dates, identifiers, the face",
    "evaluate": "results against truth: rates, curves, maps, by every published rule",
    "group": "a cohort: prevalence, models, map and one page from its outputs and people",
    "reproduce": "published numbers on microbleeds beside the same numbers by this package",
    "calibrate": "a site's decisions move probabilities and thresholds there",
}
"""Commands in the order of the help text; each is a module of this folder."""

NOTICE = "Research use only. Not a medical device."


def build_parser(command: str) -> Parser:
    """Return the parser of one command."""
    module = import_module(f"petechia.apps.cli.{command}")
    parser = Parser(
        prog=f"petechia {command}",
        description=f"{COMMANDS[command][:1].upper()}{COMMANDS[command][1:]}. {NOTICE}",
        allow_abbrev=False,
    )
    parser.add_argument("--verbose", action="store_true", help="tell every step; on failure, where")
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
    if words[:1] == ["help"] and words[1:2] and words[1] in COMMANDS:
        words = [words[1], "--help"]
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview())
        return 0 if words else 2
    if words[0] in ("-V", "--version"):
        print(f"petechia {__version__}")
        return 0
    if words[0] not in COMMANDS and _like_a_bids_app(words):
        words.insert(0, "run")
    if words[0] not in COMMANDS:
        print(f"error: no command {words[0]!r}. {_nearest(words[0])}", file=sys.stderr)
        return 2
    return _run(words[0], words[1:])


def _like_a_bids_app(words: list[str]) -> bool:
    """Return whether the call names no command but a place: `petechia BIDS OUT participant`."""
    if words[0].startswith("-"):
        return any(Path(word).is_dir() for word in words[1:])
    return Path(words[0]).exists()


def _run(command: str, words: list[str]) -> int:
    parser = build_parser(command)
    module = import_module(f"petechia.apps.cli.{command}")
    verbose = "--verbose" in words
    try:
        args = parser.parse(settle(parser, words, module.positionals(words)))
        with _listening(verbose):
            return int(module.run(args))
    except SystemExit as leave:  # argparse has printed the help
        return int(leave.code or 0)
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        return _told("stopped; what was finished is kept", 2, verbose=False)
    except PetechiaError as error:
        return _told(f"error: {error}", 2, verbose)
    except MemoryError:
        mend = "Run fewer scans at once (--n-procs 1) or a smaller volume."
        return _told(f"error: {command}: out of memory. {mend}", 2, verbose)
    except OSError as error:
        what = f"{error.filename or command}: {error.strerror or error}"
        return _told(f"error: {what}. Check that place, and run again.", 2, verbose)
    except Exception as error:
        fault = f"internal error: {type(error).__name__}: {error}. This is our fault: please report"
        return _told(f"{fault} it with what --verbose prints.", 1, verbose)


def _told(message: str, code: int, verbose: bool) -> int:
    """Print the one message (and where it happened, when asked for); return the exit code."""
    if verbose:
        traceback.print_exc()
    print(message, file=sys.stderr)
    return code


@contextmanager
def _listening(verbose: bool) -> Iterator[None]:
    """Send the package's log to the terminal when asked for, else nowhere."""
    logger = logging.getLogger("petechia")
    handler = logging.StreamHandler(sys.stderr) if verbose else logging.NullHandler()
    level = logger.level
    logger.addHandler(handler)
    if verbose:
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def _nearest(word: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(word, COMMANDS, n=1)
    return f"Did you mean {near[0]!r}?" if near else f"Commands: {', '.join(COMMANDS)}."


def entry() -> None:
    """Start from a shell; a closed pipe is no error, and a polite kill is a Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if isinstance(sys.stdout, io.TextIOWrapper):  # names of files need not be text
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:
        code = 0
        _drop_stdout()
    except OSError as error:
        print(f"error: the output cannot be written ({error.strerror})", file=sys.stderr)
        code = 2
        _drop_stdout()
    sys.exit(code)


def _drop_stdout() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
