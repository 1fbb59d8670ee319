"""Send DICOM files; what the server has is not sent again, and unlike copies are reported.

The server is asked first. What it has under a UID is believed to be our file when the ledger
says so, and else fetched and compared. What the ledger says was sent but the server does not
show is left alone: it may be waiting to be filed, or somebody may have removed it.
"""

import hashlib
import logging
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from petechia.errors import FileError, OutputError, TransferError
from petechia.files.pacs.ledger import Ledger, read_rows
from petechia.files.pacs.local import LocalFile, dicom_files, same_content
from petechia.files.pacs.patience import CannotAsk, Passing, Patience, Refused
from petechia.files.pacs.records import Client, Instance

log = logging.getLogger(__name__)
LEDGER = ".petechia-push.jsonl"
Tell = Callable[[int, int], None]


@dataclass(slots=True, kw_only=True)
class Pushed:
    """How a push ended; the counts are of files.

    Attributes
    ----------
    n_files, n_studies : int
        DICOM files found, and the studies they belong to.
    n_sent, n_there : int
        Sent now; found on the server, alike.
    n_unseen : int
        Sent by an earlier push, but not shown by the server.
    n_copies, n_other : int
        Copies of another file here; files that are no DICOM.
    unlike, refused, broken : dict of str to str
        By file: the same UID with other content; not taken by the server; not sendable.
    notes : list of str
        What a reader should know.
    """

    n_files: int = 0
    n_studies: int = 0
    n_sent: int = 0
    n_there: int = 0
    n_unseen: int = 0
    n_copies: int = 0
    n_other: int = 0
    unlike: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether every DICOM file is on the server, as far as it has told."""
        return not (self.unlike or self.refused or self.broken)


def push(
    client: Client,
    places: Sequence[Path],
    *,
    again: bool = False,
    patience: Patience | None = None,
    tell: Tell = lambda done, total: None,
) -> Pushed:
    """Send every DICOM file of `places` that the server does not have.

    Parameters
    ----------
    client : Client
        The server.
    places : sequence of Path
        Folders, searched to their bottom, or files.
    again : bool
        Send also what was sent before and the server does not show.
    patience : Patience, optional
        Of retries.
    tell : callable
        Called with the files that are done and their total.

    Raises
    ------
    FileError
        No such place, or no DICOM file in it.
    TransferError
        The server failed; what was sent is kept in mind.
    InUseError
        Another push is at work on the same folder.
    """
    patience = patience or Patience()
    pushed = Pushed()
    with ExitStack() as stack:
        work: Work = []
        ledgers: dict[Path, Ledger | None] = {}
        for place in places:
            files, broken, n_other = dicom_files(place)
            label = f"{place.name}/" if len(places) > 1 and place.is_dir() else ""
            pushed.broken |= {label + name: fault for name, fault in broken.items()}
            pushed.n_other += n_other
            folder = (place if place.is_dir() else place.parent).resolve()
            if files and folder not in ledgers:
                ledgers[folder] = _ledger(folder, stack, pushed)
            work += [(replace(f, name=label + f.name), ledgers[folder]) for f in files]
        if not work:
            raise _nothing(places, pushed)
        pushed.n_files = len(work)
        pushed.n_studies = len({file.study for file, _ in work})
        chosen = _each_once(work, pushed)
        # by kind: DIMSE agrees on kinds when it connects
        chosen.sort(key=lambda pair: (pair[0].sop_class, pair[0].syntax, pair[0].name))
        _Push(client, patience, pushed, again).all_of(chosen, tell)
    log.info("%d files sent, %d were there", pushed.n_sent, pushed.n_there)
    return pushed


def sent_before(folder: Path) -> set[str]:
    """Return the SOP instance UIDs that earlier pushes of a folder have sent, to any server."""
    return {str(row["sop"]) for row in read_rows(folder / LEDGER) if "sop" in row}


Work = list[tuple[LocalFile, Ledger | None]]


class _Push:
    """One push under way."""

    def __init__(self, client: Client, patience: Patience, pushed: Pushed, again: bool) -> None:
        self.client, self.patience, self.pushed, self.again = client, patience, pushed, again
        self.there: dict[tuple[str, str], dict[str, Instance]] = {}
        self.can_ask = True
        self.sent_before: dict[Ledger, dict[str, str]] = {}

    def all_of(self, work: Work, tell: Tell) -> None:
        for n, (file, ledger) in enumerate(work):
            tell(n, len(work))
            self.one(file, ledger)
        tell(len(work), len(work))
        self._look_after({(file.study, file.series) for file, _ in work}, work)

    def one(self, file: LocalFile, ledger: Ledger | None) -> None:
        """Send one file unless it is there."""
        before = self._before(ledger, file)
        present = self._listed(file.study, file.series).get(file.sop)
        if present is not None:
            self._compare(file, present, before, ledger)
            return
        if before is not None and not self.again:
            if before == file.sha256:
                self.pushed.n_unseen += self.can_ask
                self.pushed.n_there += not self.can_ask
            else:
                self.pushed.unlike[file.name] = "was sent before with other content"
            return
        try:
            note = self.patience.with_(partial(self._send, file, _First()), self.client.where)
        except Refused as refusal:
            self.pushed.refused[file.name] = str(refusal)
            return
        except TransferError as error:
            raise TransferError(
                f"{error.what}; {self.pushed.n_sent} files were sent",
                where=error.where,
                mend=error.mend,
            ) from error
        if note:
            self.pushed.notes.append(f"{file.name}: the server stored it with {note}")
        self.pushed.n_sent += 1
        _remember(ledger, file, self.client.where)

    def _before(self, ledger: Ledger | None, file: LocalFile) -> str | None:
        """Return the hash under which a UID went to this server; None when it did not."""
        if ledger is None:
            return None
        if ledger not in self.sent_before:
            self.sent_before[ledger] = {
                str(row.get("sop")): str(row.get("sha256"))
                for row in ledger.rows
                if row.get("server") == self.client.where
            }
        return self.sent_before[ledger].get(file.sop)

    def _send(self, file: LocalFile, first: "_First") -> str:
        if not first() and file.sop in self._listed(file.study, file.series, anew=True):
            return ""  # the answer was lost, the file was not
        return self.client.send(file)

    def _listed(self, study: str, series: str, *, anew: bool = False) -> dict[str, Instance]:
        """Return what the server has of a series; nothing when it cannot be asked."""
        key = (study, series)
        if not self.can_ask or (key in self.there and not anew):
            return self.there.get(key, {})
        ask = partial(self.client.instances, study, series)
        try:
            # within a retry, the retry's own patience is enough
            found = ask() if anew else self.patience.with_(ask, self.client.where)
        except CannotAsk:
            self.can_ask = False
            self.pushed.notes.append(
                "the server cannot be asked what it has: only this folder's own list was used"
            )
            return {}
        except Refused as refusal:
            raise TransferError(
                str(refusal), where=self.client.where, mend="Have the server looked at."
            ) from None
        self.there[key] = {instance.uid: instance for instance in found}
        return self.there[key]

    def _compare(
        self, file: LocalFile, present: Instance, before: str | None, ledger: Ledger | None
    ) -> None:
        known = before == file.sha256
        alike = known or self._is_like(file, present)
        if alike is False:
            self.pushed.unlike[file.name] = "the server has this UID with other content"
            return
        self.pushed.n_there += 1
        if alike and not known:
            _remember(ledger, file, self.client.where)

    def _is_like(self, file: LocalFile, present: Instance) -> bool | None:
        """Fetch what the server has and compare; None when it does not give it."""
        instance = Instance(present.uid, file.study, file.series, present.number, file.sop_class)

        def once() -> bool:
            with tempfile.TemporaryFile() as stream:  # it has no name that could be left behind
                self.client.fetch(instance, stream)
                stream.seek(0)
                if hashlib.file_digest(stream, "sha256").hexdigest() == file.sha256:
                    return True
                with file.path.open("rb") as own:
                    return same_content(own, stream)

        try:
            return self.patience.with_(once, self.client.where)
        except Refused as refusal:
            self._not_compared(str(refusal))
        except TransferError as error:
            if isinstance(error.__cause__, Passing):
                raise
            self._not_compared(error.what)
        except Exception as error:  # what the server sent can fail in any way inside the parser
            self._not_compared(type(error).__name__)
        return None

    def _not_compared(self, why: str) -> None:
        note = f"some files were there already and could not be compared: {why}"
        if note not in self.pushed.notes:
            self.pushed.notes.append(note)

    def _look_after(self, series: Iterable[tuple[str, str]], work: Work) -> None:
        """Ask once more, and note what was taken but is not shown."""
        if not self.can_ask or not self.pushed.n_sent:
            return
        shown: set[str] = set()
        for study, one in series:
            try:
                shown |= self._listed(study, one, anew=True).keys()
            except (Passing, TransferError):
                self.pushed.notes.append("the server did not answer when asked what it has now")
                return
        left_out = self.pushed.refused.keys() | self.pushed.unlike.keys()
        unseen = [f.name for f, _ in work if f.sop not in shown and f.name not in left_out]
        n_unseen = len(unseen) - self.pushed.n_unseen
        if n_unseen > 0:
            self.pushed.notes.append(
                f"the server took {n_unseen} files that it does not show (yet)"
            )


class _First:
    """True the first time it is asked."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self) -> bool:
        self.asked, before = True, self.asked
        return not before


def _ledger(folder: Path, stack: ExitStack, pushed: Pushed) -> Ledger | None:
    """Return the ledger of a folder; None, with a note, where none can be written."""
    try:
        return stack.enter_context(Ledger(folder / LEDGER))
    except OutputError:
        pushed.notes.append(f"{folder.name}: no list of what was sent can be kept there")
        return None


def _remember(ledger: Ledger | None, file: LocalFile, where: str) -> None:
    if ledger is not None:
        ledger.add({"server": where, "sop": file.sop, "sha256": file.sha256})


def _each_once(work: Work, pushed: Pushed) -> Work:
    """Drop copies; where one UID has unlike contents, none of them is sent."""
    by_uid: dict[str, Work] = defaultdict(list)
    for pair in work:
        by_uid[pair[0].sop].append(pair)
    chosen = []
    for same in by_uid.values():
        first = same[0][0]
        if all(_alike(first, file) for file, _ in same[1:]):
            chosen.append(same[0])
            pushed.n_copies += len(same) - 1
        else:
            for file, _ in same:
                pushed.unlike[file.name] = "another file here has this UID with other content"
    return chosen


def _alike(one: LocalFile, other: LocalFile) -> bool:
    if one.sha256 == other.sha256:
        return True
    with one.path.open("rb") as first, other.path.open("rb") as second:
        return same_content(first, second)


def _nothing(places: Sequence[Path], pushed: Pushed) -> FileError:
    where = ", ".join(str(place) for place in places)
    if pushed.broken:
        name, fault = next(iter(pushed.broken.items()))
        more = f" (and {len(pushed.broken) - 1} more)" if len(pushed.broken) > 1 else ""
        return FileError(f"{name}{more} {fault}", where=where, mend="Write or copy it again.")
    return FileError(
        f"no DICOM file among {pushed.n_other} files",
        where=where,
        mend="Give a folder of DICOM files.",
    )
