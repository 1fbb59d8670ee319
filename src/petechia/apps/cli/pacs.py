"""`petechia pacs`: images from a PACS, results back to it, or the whole road in one call."""

import argparse
import os
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

from petechia.apps.cli.words import LIST, items, seconds, whole
from petechia.errors import ParameterError

if TYPE_CHECKING:
    from petechia.files.pacs import Patience, Pulled, Pushed, Query
    from petechia.files.pacs.records import Client

PLACES = {"find": (0, 0), "pull": (1, 1), "push": (1, 99), "process": (2, 2)}
"""How many folders each action takes, at least and at most."""

USAGE = {
    "find": "petechia pacs find WHERE --study UID",
    "pull": "petechia pacs pull WHERE DEST --study UID",
    "push": "petechia pacs push WHERE FOLDER ...",
    "process": "petechia pacs process WHERE DEST OUTPUT --study UID",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words of this command."""
    add = parser.add_argument
    add("action", help="find, pull, push, or process (pull, run and push in one)")
    add("where", help="https://host/dicom-web, dimse+tls://AET@host:port or dimse://AET@host:port")
    add("places", nargs="*", type=Path, help="pull: DEST; push: FOLDER ...; process: DEST OUTPUT")
    add("--study", metavar="UID", help="study instance UID")
    add("--accession", metavar="NUMBER", help="accession number")
    add("--patient-id", metavar="ID", help="patient ID, usually with --date")
    add("--date", metavar="YYYYMMDD", help="day of the study")
    add("--series", action=LIST, metavar="UID", help="only these series of the study")
    add("--again", action="store_true", help="send also what was sent but is not shown there")
    add("--ca-file", type=Path, metavar="FILE", help="certificates to trust (the system's)")
    add("--client-cert", type=Path, metavar="FILE", help="our certificate, for servers that ask")
    add("--client-key", type=Path, metavar="FILE", help="its key, when not in the same file")
    add("--aet", default="PETECHIA", metavar="TITLE", help="our title in DIMSE (PETECHIA)")
    add("--listen", metavar="[HOST:]PORT", help="where C-MOVE may send to, without C-GET")
    add("--timeout", type=seconds, default=60.0, metavar="S", help="longest silence [s] (60)")
    add("--retries", type=whole, default=4, metavar="N", help="further tries after a fault (4)")
    add("--insecure", action="store_true", help="allow a network without TLS: others can read it")
    run = parser.add_argument_group("of `petechia run`, for process")
    run.add_argument("--subject", metavar="S", help="name of the person in the results (01)")
    run.add_argument("--config", type=Path, metavar="FILE", help="settings.toml")
    run.add_argument("--preset", help="fast, standard or best (standard)")
    run.add_argument("--n-threads", metavar="N", help="threads (all cores)")


def positionals(words: list[str]) -> int:
    """Return how many positionals the command cannot do without."""
    return 2 + PLACES.get(words[0] if words else "", (0, 0))[0]


def run(args: argparse.Namespace) -> int:
    """Speak with the server, and say how it went."""
    _require_places(args)
    patience, client = _connected(args)
    try:
        return ACTIONS[args.action](args, client, patience)
    finally:
        client.close()


def _require_places(args: argparse.Namespace) -> None:
    if args.action not in PLACES:
        raise ParameterError(
            f"{args.action!r} is none of {', '.join(PLACES)}",
            where="petechia pacs",
            mend=f"Write e.g. {USAGE['pull']}.",
        )
    least, most = PLACES[args.action]
    if not least <= len(args.places) <= most:
        raise ParameterError(
            f"{len(args.places)} folders were given",
            where=f"petechia pacs {args.action}",
            mend=f"Write: {USAGE[args.action]}.",
        )


def _connected(args: argparse.Namespace) -> tuple["Patience", "Client"]:
    """Return how patient to be, and the client; warn of what others can read."""
    from petechia.files.pacs import Access, Patience, connect, credentials, parse_address
    from petechia.files.pacs.access import parse_listen, require_private_listening
    from petechia.files.pacs.address import is_loopback, require_aet

    address = parse_address(args.where, insecure=args.insecure)
    secrets = credentials(os.environ)
    if not address.is_web and secrets["token"] is not None:
        raise ParameterError(
            "is set, but DIMSE has no tokens",
            where="PETECHIA_PACS_TOKEN",
            mend="Unset it; DIMSE takes PETECHIA_PACS_USER and PETECHIA_PACS_PASSWORD.",
        )
    private = address.encrypted or address.loopback
    listen = None if args.listen is None else parse_listen(args.listen)
    if listen is not None and not address.is_web:
        require_private_listening(listen, address, insecure=args.insecure)
        private = private and is_loopback(listen[0])
    access = Access(
        **secrets,
        ca_file=args.ca_file,
        client_cert=args.client_cert,
        client_key=args.client_key,
        calling_aet=require_aet(args.aet, "--aet"),
        listen=listen,
        timeout_s=args.timeout,
    )
    client = connect(address, access)
    if not private:
        _warn("NOT ENCRYPTED: everybody on this network can read the images, names and passwords")
    return Patience(retries=args.retries), client


def _query(args: argparse.Namespace) -> "Query":
    from petechia.files.pacs import Query

    return Query(
        study=args.study, accession=args.accession, patient_id=args.patient_id, date=args.date
    )


def _find(args: argparse.Namespace, client: "Client", patience: "Patience") -> int:
    """List the studies that match, and the series of a single one."""
    from petechia.files.pacs.pulling import list_series, list_studies

    studies = list_studies(client, _query(args), patience)
    for study in studies:
        n = "?" if study.n_instances is None else study.n_instances
        kinds = study.modalities.replace("\\", ",")
        print(f"study {study.uid}  {study.date}  {kinds}  {study.description}  {n} objects")
    if len(studies) == 1:
        for one in list_series(client, studies[0].uid, patience):
            n = "?" if one.n_instances is None else one.n_instances
            print(f"  series {one.uid}  {one.number}  {one.modality}  {one.description}  {n}")
    return 0


def _pull(
    args: argparse.Namespace, client: "Client", patience: "Patience", leave: Collection[str] = ()
) -> int:
    from petechia.files.pacs import pull

    with _counting("fetching") as tell:
        pulled = pull(
            client,
            _query(args),
            args.places[0],
            series=_series(args),
            leave=leave,
            patience=patience,
            tell=tell,
        )
    _say_pulled(pulled, args.places[0])
    return 0


def _push(args: argparse.Namespace, client: "Client", patience: "Patience") -> int:
    from petechia.files.pacs import push

    _require_fresh(args.places)
    with _counting("sending") as tell:
        pushed = push(client, args.places, again=args.again, patience=patience, tell=tell)
    return _say_pushed(pushed)


def _require_fresh(places: Collection[Path]) -> None:
    """Raise `FileError` when objects of an output are of other results than stand there now.

    What was decided after they were made is not in them. Folders elsewhere tell nothing.
    """
    from petechia.errors import FileError
    from petechia.pipeline.dicom_export import stale_exports
    from petechia.pipeline.tree import is_output

    for place in (place.resolve() for place in places):
        root = next((above for above in (place, *place.parents) if is_output(above)), None)
        for folder in [] if root is None else stale_exports(root):
            if folder.is_relative_to(place) or place.is_relative_to(folder):
                raise FileError(
                    "is of other results than stand now: a run or `petechia review --apply` came "
                    "after it",
                    where=str(folder),
                    mend=f"Make it anew: petechia dicom {root} --reference FOLDER --prefix "
                    f"{folder.name}, and push again.",
                )


def _process(args: argparse.Namespace, client: "Client", patience: "Patience") -> int:
    """Pull a study, run it, push its results; each step goes on from where it was."""
    from petechia.apps.cli.main import build_parser
    from petechia.apps.cli.run import run as run_scans
    from petechia.files.pacs.local import dicom_files
    from petechia.files.pacs.pushing import sent_before
    from petechia.files.places import require_apart

    source, output = args.places
    require_apart(output, [source])
    results = output / RESULTS
    # what earlier calls have sent, whatever their settings, lies in the same study now
    ours = {file.sop for file in dicom_files(results)[0]} if results.is_dir() else set()
    _pull(args, client, patience, ours | sent_before(results))
    client.close()  # a run takes minutes: the server need not wait
    words = [str(source), str(output), "--dicom"]
    for name in ("subject", "config", "preset", "n_threads"):
        if getattr(args, name) is not None:
            words.append(f"--{name.replace('_', '-')}={getattr(args, name)}")
    code = run_scans(build_parser("run").parse(words))
    if code != 0:
        print(
            "nothing was sent. When the finished scans are to be sent all the same: "
            f"petechia pacs push WHERE {results}",
            file=sys.stderr,
        )
        return code
    if not results.is_dir():
        raise ParameterError(
            "the run left no DICOM results",
            where=str(results),
            mend="Nothing was sent; the report and the tables are in the output folder.",
        )
    args.places = [results]
    return _push(args, client, patience)


RESULTS = "dicom"
"""Folder of an output that holds what a PACS takes."""

Action = Callable[[argparse.Namespace, "Client", "Patience"], int]
ACTIONS: dict[str, Action] = {"find": _find, "pull": _pull, "push": _push, "process": _process}


def _series(args: argparse.Namespace) -> list[str]:
    from petechia.files.pacs.uids import require_uid

    return [require_uid(uid, "--series") for uid in items(args.series)]


def _say_pulled(pulled: "Pulled", folder: Path) -> None:
    for note in pulled.notes:
        _warn(note)
    print(
        f"{pulled.n_instances} objects in {folder}: {pulled.n_fetched} fetched "
        f"({pulled.n_bytes / 1e6:.1f} MB), {pulled.n_before} were there"
    )


def _say_pushed(pushed: "Pushed") -> int:
    """Say how a push ended; return the exit code."""
    for note in pushed.notes:
        _warn(note)
    parts = [f"{pushed.n_sent} sent", f"{pushed.n_there} were there"]
    if pushed.n_copies:
        parts.append(f"{pushed.n_copies} copies")
    if pushed.n_other:
        parts.append(f"{pushed.n_other} other files left out")
    if pushed.n_unseen:
        parts.append(f"{pushed.n_unseen} sent earlier but not shown there (--again sends them)")
    studies = f" of {pushed.n_studies} studies" if pushed.n_studies > 1 else ""
    print(f"{pushed.n_files} DICOM files{studies}: {', '.join(parts)}")
    for kind in (pushed.unlike, pushed.refused, pushed.broken):
        for name, why in list(kind.items())[:SHOWN]:
            print(f"not sent: {name}: {why}", file=sys.stderr)
        if len(kind) > SHOWN:
            print(f"not sent: {len(kind) - SHOWN} more like that", file=sys.stderr)
    if pushed.complete:
        return 0
    n_left = len(pushed.unlike) + len(pushed.refused) + len(pushed.broken)
    print(
        f"error: {n_left} files were not sent, for the reasons above. Mend or remove them (an "
        "object that changed needs a new UID, or the old one removed there), and run again.",
        file=sys.stderr,
    )
    return 2


SHOWN = 10
"""Files that are named of each kind."""


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr, flush=True)


class _counting:  # noqa: N801  (used as a function)
    """Show on a terminal how many are done; say nothing elsewhere."""

    def __init__(self, doing: str) -> None:
        self.doing, self.loud = doing, sys.stderr.isatty()

    def __enter__(self) -> Callable[[int, int], None]:
        return self.tell

    def tell(self, done: int, total: int) -> None:
        if self.loud:
            print(f"\r{self.doing} {done} of {total}", end="", file=sys.stderr, flush=True)

    def __exit__(self, *_: object) -> None:
        if self.loud:
            print(file=sys.stderr)
