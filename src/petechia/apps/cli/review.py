"""`petechia review`: the reader's desk in the browser, and what it decided put into the results."""

import argparse
import getpass
import re
import zlib
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from petechia.apps.cli.words import LIST, count, items, several, whole
from petechia.errors import DependencyError, OutputError, ParameterError

if TYPE_CHECKING:
    import socket

    from petechia.apps.review.access import Access
    from petechia.pipeline.review.apply import ApplyOutcome


PORTS = range(20000, 32000)
"""Below those that systems give out by themselves."""
MOST_PORT = 65535


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words of this command."""
    add = parser.add_argument
    add("output", type=Path, help="output folder of `petechia run`")
    add("--images", type=Path, metavar="INPUT", help="input of that run: shows each echo")
    add("--reader", metavar="NAME", help="who reads (your login)")
    add("--readers", action=LIST, metavar="NAME", help="several, each with a link of their own")
    add("--adjudicator", action=LIST, metavar="NAME", help="who settles what readers disagree on")
    add("--round", type=count, metavar="N", help="of a study (1; to apply: the last finished one)")
    add("--blind", action="store_true", help="hide the software's opinion until a scan is done")
    add("--port", type=port, metavar="N", help="(the same one for an OUTPUT, while it is free)")
    add("--host", default="127.0.0.1", metavar="ADDRESS", help="or unix:PATH (127.0.0.1)")
    add("--behind-proxy", metavar="HEADER", help="header in which a proxy names the reader")
    add("--language", choices=("en", "zh"), default="en", help="of the pages at first (en)")
    add("--no-browser", action="store_true", help="print the link, open nothing")
    group = parser.add_argument_group("instead of serving")
    group.add_argument("--apply", action="store_true", help="put decisions into the results")
    group.add_argument("--dicom", type=Path, metavar="FOLDER", help="and write them as DICOM too")


def port(word: str) -> int:
    """Return a port, 0 for any that is free; for argparse."""
    number = whole(word)
    if number > MOST_PORT:
        raise argparse.ArgumentTypeError(f"{word!r} is no port: give 0 to {MOST_PORT}")
    return number


def positionals(words: list[str]) -> int:
    """Return how many positionals the command cannot do without."""
    return 1


def run(args: argparse.Namespace) -> int:
    """Serve the desk until stopped, or apply what it decided."""
    if args.dicom and not args.apply:
        raise ParameterError(
            "is for --apply",
            where="--dicom",
            mend="Write: petechia review OUTPUT --apply --dicom FOLDER.",
        )
    return _apply(args) if args.apply else _serve(args)


def _apply(args: argparse.Namespace) -> int:
    """Put the decisions into the results; say what became of each scan."""
    from petechia.pipeline.review.apply import apply_review

    outcomes = apply_review(
        args.output,
        reader=args.reader,
        round=args.round,
        images=args.images,
        dicom=args.dicom,
        tell=lambda outcome: print(_told(outcome), flush=True),
    )
    failed = sum(outcome.status == "failed" for outcome in outcomes)
    print(f"{several(len(outcomes) - failed, 'scan')} done, {failed} failed. Research use only.")
    return 3 if failed else 0


def _told(outcome: "ApplyOutcome") -> str:
    """Return what became of a scan, in one line."""
    if outcome.status == "failed":
        return f"{outcome.scan}: failed: {outcome.message}"
    parts = [f"{outcome.counted} microbleeds (software {outcome.software_counted})"]
    for n, text in (
        (outcome.undecided, "undecided"),
        (outcome.disagreements, "not agreed on"),
        (outcome.orphans, "decisions whose finding is not there"),
        (outcome.of_another, "decisions that were made on another scan and are not applied"),
    ):
        parts += [f"{n} {text}"] if n else []
    parts += [outcome.message] if outcome.message else []
    return f"{outcome.scan}: {outcome.status}: {', '.join(parts)}"


def _serve(args: argparse.Namespace) -> int:
    _require_private(args.host, args.behind_proxy)
    _require_web()
    from petechia.apps.review.server import create_app, serve
    from petechia.pipeline.review.cases import ReviewFolder
    from petechia.pipeline.review.desk import Desk, Rules
    from petechia.pipeline.review.log import ReviewLog, log_path

    access = _access(args)
    settlers = tuple(items(args.adjudicator))
    rules = Rules(round=args.round or 1, blind=args.blind, adjudicators=settlers)
    folder = ReviewFolder(args.output, args.images)
    with _listening(args) as on, ReviewLog(log_path(args.output)) as log:
        address = on.getsockname()
        if isinstance(address, tuple):
            access = replace(access, host=address[0], port=address[1])
        app = create_app(Desk(folder, log, rules), access, language=args.language)
        with suppress(KeyboardInterrupt):
            serve(app, on, lambda: _say(args, access))
    print("stopped; every decision is kept")
    return 0


def _access(args: argparse.Namespace) -> "Access":
    from petechia.apps.review.access import Access

    readers = items(args.readers)
    if args.reader or not (readers or args.behind_proxy):
        readers = [args.reader or _login(), *readers]
    if readers:  # else behind a proxy: whoever it names
        readers += items(args.adjudicator)
    return Access(readers=tuple(dict.fromkeys(readers)), header=args.behind_proxy or "")


def _login() -> str:
    try:
        name = getpass.getuser()
    except (OSError, KeyError):
        name = "reader"
    return re.sub(r"[^A-Za-z0-9_.@-]", "", name) or "reader"


def _listening(args: argparse.Namespace) -> "socket.socket":
    """Return a socket at the port asked for, at the output's own, or at any that is free.

    What waits in a browser to be sent belongs to one address: a restart should have the same.
    """
    from petechia.apps.review.server import listening
    from petechia.files.places import real_place

    if args.port is not None:
        return listening(args.host, args.port)
    named = zlib.crc32(str(real_place(args.output)).encode())
    try:
        return listening(args.host, PORTS[named % len(PORTS)])
    except OutputError:
        return listening(args.host, 0)


def _say(args: argparse.Namespace, access: "Access") -> None:
    print("Research use only. Not a medical device.")
    if access.header:
        at = args.host if args.host.startswith("unix:") else f"{args.host}, port {access.port}"
        print(f"listening at {at}; readers by {access.header}")
    for reader in access.readers if not access.header else ():
        print(f"{reader}: {access.link(reader)}")
    print("Ctrl-C stops; decisions are kept as they are made.", flush=True)
    if not args.no_browser and not access.header:
        _open(access.link(access.readers[0]))


def _open(link: str) -> None:
    import threading
    import webbrowser

    threading.Thread(target=webbrowser.open, args=(link,), daemon=True).start()


def _require_private(host: str, header: str | None) -> None:
    """Raise unless only this machine can reach us, or a proxy says who asks."""
    if header is not None and not re.fullmatch(r"[A-Za-z0-9-]{1,64}", header):
        raise ParameterError(
            f"{header!r} is no header", where="--behind-proxy", mend="Give e.g. X-Remote-User."
        )
    if host.startswith("unix:"):
        if header is None:
            raise ParameterError(
                "a socket is for a proxy", where="--host", mend="Add --behind-proxy HEADER."
            )
        return
    try:
        own = ip_address("127.0.0.1" if host == "localhost" else host).is_loopback
    except ValueError:
        raise ParameterError(
            f"{host!r} is no address", where="--host", mend="Give e.g. 127.0.0.1."
        ) from None
    if not own and header is None:
        raise ParameterError(
            f"{host} can be reached by others, and this server does not encrypt",
            where="--host",
            mend="Put a proxy that authenticates in front, and give --behind-proxy HEADER.",
        )


def _require_web() -> None:
    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise DependencyError(
            f"{error.name} is not installed",
            where="petechia review",
            mend="Install it with:  pip install 'petechia[review]'",
        ) from error
