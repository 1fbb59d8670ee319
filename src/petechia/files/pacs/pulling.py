"""Fetch one study, whole or some of its series; what is there already is not fetched again.

Files get names of their own (`series-01/0001.dcm`): nothing that a server says becomes part of
a path, and no identifier of a person gets into the file names that results repeat. Which file
is which object stands in the ledger.
"""

import hashlib
import logging
import os
import re
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from petechia.errors import FileError, ParameterError, TransferError
from petechia.files.pacs.ledger import Ledger, Row, require_free
from petechia.files.pacs.local import identity_of
from petechia.files.pacs.patience import CannotAsk, Patience, Refused
from petechia.files.pacs.records import Client, Instance, Query, Series, Study
from petechia.files.writing import output_error

log = logging.getLogger(__name__)
LEDGER = ".petechia-pull.jsonl"
SHOWN = 5
"""Files that are named in a message."""
_NAME = re.compile(r"series-[0-9]{2,6}/[0-9]{4,8}\.dcm")
Tell = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """How a pull ended.

    Attributes
    ----------
    n_instances : int
        Of the study, as asked for; all of them lie in the folder now.
    n_fetched, n_before : int
        Fetched now, and found whole from before.
    n_bytes : int
        Fetched now.
    notes : tuple of str
        What a reader should know.
    """

    n_instances: int
    n_fetched: int
    n_before: int
    n_bytes: int
    notes: tuple[str, ...] = ()


def pull(
    client: Client,
    query: Query,
    folder: Path,
    *,
    series: Sequence[str] = (),
    leave: Collection[str] = (),
    patience: Patience | None = None,
    tell: Tell = lambda done, total: None,
) -> Pulled:
    """Fetch the study that `query` names into `folder`.

    Parameters
    ----------
    client : Client
        The server.
    query : Query
        Must match exactly one study.
    folder : Path
        New, or begun by an earlier pull of the same study.
    series : sequence of str
        Only these series; empty for all.
    leave : collection of str
        SOP instance UIDs that are not fetched.
    patience : Patience, optional
        Of retries.
    tell : callable
        Called with the instances that are there and their total.

    Raises
    ------
    TransferError
        No such study, nothing in it, or the server failed; what was fetched is kept.
    ParameterError
        Several studies match, or a series is not in the study.
    FileError, InUseError, OutputError
        The folder holds something else, or what the study no longer has; it is in use, or
        cannot be written.
    """
    patience = patience or Patience()
    require_free(folder, LEDGER)
    study = _the_study(client, query, patience)
    there = list_series(client, study.uid, patience)
    listed = _instances(client, study.uid, there, series, patience)
    wanted = [one for one in listed if one.uid not in leave]
    with Ledger(folder / LEDGER) as ledger:
        _require_same_study(ledger, study.uid, folder)
        _sweep(folder)
        not_asked = {one.uid for one in there if series and one.uid not in series}
        _require_all_there(ledger, folder, listed, not_asked)
        names = _planned(ledger, wanted)
        done = {str(row["done"]): row for row in ledger.rows if "done" in row}
        missing = [
            one
            for one in wanted
            if not _is_whole(folder / names[one.uid], done.get(names[one.uid]))
        ]
        n_before, n_bytes = len(wanted) - len(missing), 0
        refused: list[str] = []
        for n, one in enumerate(missing):
            tell(n_before + n, len(wanted))
            try:
                n_bytes += _fetch(client, one, folder, names[one.uid], ledger, patience)
            except Refused as refusal:
                refused.append(str(refusal))
        tell(len(wanted) - len(refused), len(wanted))
    log.info("%d instances fetched, %d were there", len(missing) - len(refused), n_before)
    if refused:
        raise TransferError(
            f"{len(refused)} of {len(wanted)} objects could not be had: {refused[0]}",
            where=client.where,
            mend="The others are kept; the same command tries these again.",
        )
    return Pulled(
        n_instances=len(wanted),
        n_fetched=len(missing),
        n_before=n_before,
        n_bytes=n_bytes,
        notes=_notes(study, len(listed), series),
    )


def list_studies(client: Client, query: Query, patience: Patience) -> list[Study]:
    """Return the studies that match, one at least; `TransferError` when there is none."""
    try:
        found = patience.with_(partial(client.studies, query), client.where)
    except (CannotAsk, Refused) as error:
        raise _cannot(client, error) from None
    if not found:
        raise TransferError(
            f"no study there has this {' and '.join(_words(query))}",
            where=client.where,
            mend="Check the value; a server also hides what a user may not see.",
        )
    return found


def list_series(client: Client, study: str, patience: Patience) -> list[Series]:
    """Return the series of a study in the order of their numbers."""
    try:
        found = patience.with_(partial(client.series, study), client.where)
    except (CannotAsk, Refused) as error:
        raise _cannot(client, error) from None
    return sorted(found, key=lambda one: (one.number, one.uid))


def _the_study(client: Client, query: Query, patience: Patience) -> Study:
    found = list_studies(client, query, patience)
    uids = {study.uid for study in found}
    if len(uids) > 1:
        raise ParameterError(
            f"{len(uids)} studies match",
            where=client.where,
            mend="Add --date, or choose by --study; petechia pacs find lists them.",
        )
    return found[0]


def _instances(
    client: Client, study: str, there: Sequence[Series], series: Sequence[str], patience: Patience
) -> list[Instance]:
    """Return what is to be fetched, in the order of series and instance numbers."""
    try:
        absent = set(series) - {one.uid for one in there}
        if absent:
            raise ParameterError(
                f"{len(absent)} of {len(set(series))} are not in the study",
                where="--series",
                mend="petechia pacs find WHERE --study UID lists its series.",
            )
        found: dict[str, Instance] = {}
        for one in there:
            if series and one.uid not in series:
                continue
            listed = patience.with_(partial(client.instances, study, one.uid), client.where)
            for instance in sorted(listed, key=lambda i: (i.number, i.uid)):
                found.setdefault(instance.uid, instance)
    except (CannotAsk, Refused) as error:
        raise _cannot(client, error) from None
    if not found:
        raise TransferError(
            "the study is there, but no object is listed in it",
            where=client.where,
            mend="It may lie in an archive that is not online: ask for it to be recalled.",
        )
    return list(found.values())


def _words(query: Query) -> list[str]:
    words = {
        "StudyInstanceUID": "study UID",
        "AccessionNumber": "accession number",
        "PatientID": "patient ID",
        "StudyDate": "date",
    }
    return [words[keyword] for keyword in query.keys]


def _cannot(client: Client, error: Exception) -> TransferError:
    return TransferError(
        str(error),
        where=client.where,
        mend="Without queries nothing can be pulled: check address and rights.",
    )


def _require_same_study(ledger: Ledger, study: str, folder: Path) -> None:
    before = {row["study"] for row in ledger.rows if isinstance(row.get("study"), str)}
    if before - {study}:
        raise FileError(
            "holds another study", where=str(folder), mend="Give each study a folder of its own."
        )
    if not before:
        ledger.add({"study": study})


def _require_all_there(
    ledger: Ledger, folder: Path, listed: Sequence[Instance], not_asked: Collection[str]
) -> None:
    """Raise `FileError` when files lie here that the study no longer has.

    Of series that were not asked about nothing is known.
    """
    known = {one.uid for one in listed}
    gone = sorted(
        name
        for name, sop, series in _plan(ledger)
        if sop not in known and series not in not_asked and (folder / name).exists()
    )
    if gone:
        more = f" and {len(gone) - SHOWN} more" if len(gone) > SHOWN else ""
        raise FileError(
            f"holds {len(gone)} objects that the server no longer has in this study: "
            f"{', '.join(gone[:SHOWN])}{more}",
            where=str(folder),
            mend="They would be analysed with the rest: delete these files, or name a new folder.",
        )


def _sweep(folder: Path) -> None:
    """Remove what an earlier pull was writing when it was killed."""
    for part in folder.glob("series-*/.*.part"):
        with suppress(OSError):
            part.unlink()


def _planned(ledger: Ledger, wanted: Sequence[Instance]) -> dict[str, str]:
    """Return the file name of each instance; new ones follow those of an earlier pull."""
    names: dict[str, str] = {}
    folders: dict[str, str] = {}
    counts: dict[str, int] = {}
    for name, sop, series in _plan(ledger):
        names[sop] = name
        folders[series], _, file = name.partition("/")
        counts[series] = max(counts.get(series, 0), int(file.removesuffix(".dcm")))
    new = []
    taken = max((int(name.removeprefix("series-")) for name in folders.values()), default=0)
    for one in wanted:
        if one.uid in names:
            continue
        if one.series not in folders:
            taken += 1
            folders[one.series] = f"series-{taken:02d}"
        counts[one.series] = counts.get(one.series, 0) + 1
        names[one.uid] = f"{folders[one.series]}/{counts[one.series]:04d}.dcm"
        new.append({"plan": names[one.uid], "sop": one.uid, "series": one.series})
    if new:
        ledger.add(*new)
    return names


def _plan(ledger: Ledger) -> Iterator[tuple[str, str, str]]:
    """Yield file name, SOP and series instance UID of what was ever planned."""
    for row in ledger.rows:
        name, sop, series = (row.get(key) for key in ("plan", "sop", "series"))
        if not (isinstance(name, str) and isinstance(sop, str) and isinstance(series, str)):
            continue
        if _NAME.fullmatch(name):
            yield name, sop, series


def _is_whole(path: Path, done: Row | None) -> bool:
    """Whether a file still holds the bytes with which it was finished."""
    if done is None:
        return False
    try:
        with path.open("rb") as stream:
            if os.fstat(stream.fileno()).st_size != done.get("bytes"):
                return False
            return hashlib.file_digest(stream, "sha256").hexdigest() == done.get("sha256")
    except OSError:
        return False


def _fetch(
    client: Client, one: Instance, folder: Path, name: str, ledger: Ledger, patience: Patience
) -> int:
    """Fetch one instance; it takes its name only when it is whole. Return its size [bytes]."""
    path = folder / name
    part = path.parent / f".{uuid.uuid4().hex}.part"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        n_bytes, sha256 = patience.with_(partial(_once, client, one, part), client.where)
        part.replace(path)
    except OSError as error:
        raise output_error(error, path) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    ledger.add({"done": name, "bytes": n_bytes, "sha256": sha256})
    return n_bytes


def _once(client: Client, one: Instance, part: Path) -> tuple[int, str]:
    with part.open("w+b") as stream:
        client.fetch(one, stream)
        stream.flush()
        if identity_of(stream) != (one.uid, one.study):
            raise Refused("the server sent another object, or one that is not whole")
        stream.seek(0)
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        os.fsync(stream.fileno())  # before it takes its name: else a power cut leaves it empty
        return stream.tell(), sha256


def _notes(study: Study, n_instances: int, series: Sequence[str]) -> tuple[str, ...]:
    stated = study.n_instances
    if series or stated is None or stated == n_instances:
        return ()
    return (f"the server states {stated} objects in this study but lists {n_instances}",)
