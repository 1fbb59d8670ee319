"""The log of all decisions: SQLite, appended to, never changed.

The file stays readable for as long as there is SQLite: one table `events`, one row each,
columns as in `events.Event`, payload and anchor as JSON. Triggers refuse UPDATE and DELETE.
A decision is on the disk (WAL with synchronous=FULL) before `append` returns, so what was
answered survives the end of the process and of the power. Any number of threads and
processes may use the same log at once; writers wait for one another.
"""

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from petechia import __version__
from petechia.errors import FileError, InUseError, OutputError, ParameterError, StaleError
from petechia.files.writing import output_error
from petechia.pipeline.review.events import Event, as_text, checked

FOLDER = "review"
NAME = "review.sqlite"
FORM = 1
"""Form of the file, in its `user_version`."""
APPLICATION = 0x50545245
"""Marks the file as ours, in its `application_id` ("PTRE")."""
PATIENCE_S = 20.0
"""So long a writer waits for the others."""
COLUMNS = (
    "id", "uuid", "at", "reader", "round", "scan", "fingerprint", "finding", "kind", "payload",
    "seconds", "anchor", "version",
)  # fmt: skip
_MAKE = f"""
CREATE TABLE events (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uuid TEXT NOT NULL UNIQUE,
  at TEXT NOT NULL,
  reader TEXT NOT NULL,
  round INTEGER NOT NULL,
  scan TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  finding TEXT NOT NULL,
  kind TEXT NOT NULL,
  payload TEXT NOT NULL,
  seconds REAL NOT NULL,
  anchor TEXT NOT NULL,
  version TEXT NOT NULL
);
CREATE INDEX events_by_scan ON events (scan, reader, round, id);
CREATE TRIGGER events_keep BEFORE UPDATE ON events
  BEGIN SELECT RAISE(ABORT, 'decisions are never changed'); END;
CREATE TRIGGER events_stay BEFORE DELETE ON events
  BEGIN SELECT RAISE(ABORT, 'decisions are never removed'); END;
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {FORM};
"""


@dataclass(frozen=True, slots=True)
class Tally:
    """What the log knows of one reader's work on one scan in one round.

    Attributes
    ----------
    events : int
        Number of events.
    last : int
        Id of the newest.
    seconds : float
        Their time in sum [s].
    at : str
        Time of the newest.
    finished : bool
        True when the last of `finish` and `reopen` is a `finish` that was not taken back.
    """

    scan: str
    reader: str
    round: int
    events: int
    last: int
    seconds: float
    at: str
    finished: bool


def log_path(root: Path) -> Path:
    """Return where the log of an output folder lies."""
    return Path(root) / FOLDER / NAME


class ReviewLog:
    """The log of one output folder; safe for threads and processes; a context manager.

    Parameters
    ----------
    path : Path
        `log_path(OUTPUT)`. Made when it is not there.
    patience_s : float
        How long to wait for other writers [s].

    Raises
    ------
    FileError
        It is no such log, is broken, or of a newer form; it is left as it is.
    OutputError
        It cannot be made or written to.
    """

    def __init__(self, path: Path, *, patience_s: float = PATIENCE_S) -> None:
        self.path, self.patience_s = Path(path), patience_s
        self._here = threading.local()
        self._open: list[sqlite3.Connection] = []
        self._guard = threading.Lock()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise output_error(error, self.path) from error
        with self._told():
            self._prepare()

    def __enter__(self) -> "ReviewLog":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections of all threads; the log opens again when it is used."""
        with self._guard:
            for connection in self._open:
                with suppress(sqlite3.Error):
                    connection.close()
            self._open.clear()
            self._here = threading.local()

    def append(self, event: Event, *, after: int | None = None) -> Event:
        """Add an event and return it as it stands in the log, with id, time and version.

        An event whose uuid is there already is not added: the one in the log is returned.
        An `undo` takes over the finding of the event it takes back.

        Parameters
        ----------
        event : Event
            Checked here; `id` and `version`, and `at` when it is empty, are the log's.
        after : int, optional
            The newest event that its reader had seen: when the same reader has changed the
            same finding since (in another window), the event is refused.

        Raises
        ------
        ParameterError
            A field is not what it may be, an `undo` of what cannot be taken back, or another
            event has this uuid.
        StaleError
            See `after`.
        OutputError
            It could not be written; the log is as it was.
        """
        event = checked(event)
        with self._told(), self._writing() as connection:
            known = self._found(connection, "uuid = ?", event.uuid)
            if known is not None:
                return _same(known, event)
            if event.kind == "undo":
                event = replace(event, finding=self._undone(connection, event).finding)
            if after is not None:
                self._require_fresh(connection, event, after)
            stored = replace(event, at=event.at or now(), version=__version__)
            values = [_column(stored, name) for name in COLUMNS[1:]]
            marks = ", ".join("?" * len(values))
            made = connection.execute(
                f"INSERT INTO events ({', '.join(COLUMNS[1:])}) VALUES ({marks})", values
            )
            return replace(stored, id=int(made.lastrowid or 0))

    def events(
        self,
        scan: str | None = None,
        *,
        reader: str | None = None,
        round: int | None = None,
        after: int = 0,
    ) -> list[Event]:
        """Return events in the order they came, all or those of a scan, reader, round."""
        asked = {"scan": scan, "reader": reader, "round": round}
        wanted = {name: value for name, value in asked.items() if value is not None}
        where = " AND ".join([*(f"{name} = ?" for name in wanted), "id > ?"])
        with self._told():
            rows = self._connection().execute(
                f"SELECT {', '.join(COLUMNS)} FROM events WHERE {where} ORDER BY id",
                [*wanted.values(), after],
            )
            return [_event(row) for row in rows]

    def event(self, id: int) -> Event | None:
        """Return one event, or None."""
        with self._told():
            return self._found(self._connection(), "id = ?", id)

    def last(self) -> int:
        """Return the id of the newest event; 0 in an empty log."""
        with self._told():
            (newest,) = self._connection().execute("SELECT max(id) FROM events").fetchone()
            return int(newest or 0)

    def scans(self) -> list[str]:
        """Return the scans that have events, sorted."""
        with self._told():
            rows = self._connection().execute("SELECT DISTINCT scan FROM events ORDER BY scan")
            return [scan for (scan,) in rows]

    def readers(self, scan: str | None = None) -> list[str]:
        """Return who has decided something, sorted."""
        where, values = ("WHERE scan = ?", [scan]) if scan else ("", [])
        with self._told():
            rows = self._connection().execute(
                f"SELECT DISTINCT reader FROM events {where} ORDER BY reader", values
            )
            return [reader for (reader,) in rows]

    def tallies(self, reader: str | None = None, round: int | None = None) -> list[Tally]:
        """Return what is known of each scan, reader and round, without reading payloads."""
        asked = {"reader": reader, "round": round}
        wanted = {name: value for name, value in asked.items() if value is not None}
        where = "WHERE " + " AND ".join(f"{name} = ?" for name in wanted) if wanted else ""
        with self._told():
            connection = self._connection()
            rows = connection.execute(
                "SELECT scan, reader, round, count(*), max(id), sum(seconds), max(at) "
                f"FROM events {where} GROUP BY scan, reader, round ORDER BY scan, reader, round",
                list(wanted.values()),
            ).fetchall()
            ends = connection.execute(_ENDS).fetchall()
        ended = {(scan, who, number): kind for scan, who, number, kind in ends}
        finished = [ended.get(row[:3]) == "finish" for row in rows]
        return [Tally(*(*row, done)) for row, done in zip(rows, finished, strict=True)]

    # --- inside -----------------------------------------------------------------------------

    def _prepare(self) -> None:
        connection = self._connection()
        if self._form(connection) == 0:
            with self._writing() as held:
                if self._form(held) == 0:
                    for statement in _statements(_MAKE):
                        held.execute(statement)

    def _form(self, connection: sqlite3.Connection) -> int:
        """Return the form of the file, 0 for an empty one; raise for what is not ours."""
        (ours,) = connection.execute("PRAGMA application_id").fetchone()
        (form,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if not ours and not form and not tables:
            return 0
        if ours != APPLICATION:
            raise FileError(
                "is a database, but no log of readers' decisions",
                where=str(self.path),
                mend="Move it elsewhere: it is left as it is.",
            )
        if form > FORM:
            raise FileError(
                f"was written by a newer petechia (form {form}; this one knows {FORM})",
                where=str(self.path),
                mend="Use that version, or a newer one; the log is left as it is.",
            )
        return int(form)

    def _connection(self) -> sqlite3.Connection:
        """Return this thread's connection."""
        held: sqlite3.Connection | None = getattr(self._here, "connection", None)
        if held is None:
            held = sqlite3.connect(
                self.path,
                timeout=self.patience_s,
                isolation_level=None,
                check_same_thread=False,  # closed by whoever closes the log
            )
            with self._guard:
                self._open.append(held)
            self._here.connection = held
            # where a disk cannot share memory (network drives) the journal stays a file
            held.execute("PRAGMA journal_mode = WAL")
            held.execute("PRAGMA synchronous = FULL")
        return held

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Hold the write lock: all of it is in the log afterwards, or nothing."""
        connection = self._connection()
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what SQLite says into what mends it."""
        try:
            yield
        except sqlite3.Error as error:
            raise self._fault(error) from error

    def _fault(self, error: sqlite3.Error) -> FileError:
        where = str(self.path)
        code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return InUseError(
                f"another process has written to it for {self.patience_s:g} s",
                where=where,
                mend="Try again; if it stays so, look which program holds the file.",
            )
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            return FileError(
                f"is broken ({error})",
                where=where,
                mend="It is left as it is. Copy the three files review.sqlite* elsewhere, and put "
                "a copy from your backup there, or what `sqlite3 review.sqlite .recover` saves.",
            )
        if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
            return OutputError(
                f"cannot be written ({error})",
                where=where,
                mend="Make room on that disk, and decide it again: nothing of it was kept.",
            )
        return OutputError(
            f"cannot be used ({error})",
            where=where,
            mend="Check that you may write to the file and its folder.",
        )

    def _found(self, connection: sqlite3.Connection, where: str, value: Any) -> Event | None:
        row = connection.execute(
            f"SELECT {', '.join(COLUMNS)} FROM events WHERE {where}", [value]
        ).fetchone()
        return None if row is None else _event(row)

    def _undone(self, connection: sqlite3.Connection, undo: Event) -> Event:
        """Return what an undo takes back."""
        target = undo.payload["event"]
        found = self._found(connection, "id = ?", target)
        same = found is not None and (found.reader, found.round, found.scan) == (
            undo.reader, undo.round, undo.scan,
        )  # fmt: skip
        if found is None or not same or found.kind == "undo":
            raise ParameterError(
                f"{target} is no decision of {undo.reader} on {undo.scan} in round {undo.round}",
                where="payload.event",
                mend="Give the id of one of your own decisions on this scan, and no undo.",
            )
        mine = self._rows(connection, undo, 0)
        if any(event.kind == "undo" and event.payload["event"] == target for event in mine):
            raise ParameterError(
                f"{target} was taken back before",
                where="payload.event",
                mend="Decide it anew instead.",
            )
        return found

    def _rows(self, connection: sqlite3.Connection, like: Event, after: int) -> list[Event]:
        rows = connection.execute(
            f"SELECT {', '.join(COLUMNS)} FROM events "
            "WHERE scan = ? AND reader = ? AND round = ? AND id > ? ORDER BY id",
            [like.scan, like.reader, like.round, after],
        )
        return [_event(row) for row in rows]

    def _require_fresh(self, connection: sqlite3.Connection, event: Event, after: int) -> None:
        mine = touched(event)
        for newer in self._rows(connection, event, after):
            both = mine & touched(newer)
            if both:
                raise StaleError(
                    f"{sorted(both)[0] or 'the scan'} was changed (event {newer.id}) after what "
                    f"was shown (event {after})",
                    where=event.scan,
                    mend="Look at it as it is now, and decide again.",
                )


_ENDS = """
SELECT scan, reader, round, kind FROM events AS e
WHERE kind IN ('finish', 'reopen') AND NOT EXISTS (
  SELECT 1 FROM events AS u WHERE u.scan = e.scan AND u.reader = e.reader AND u.round = e.round
  AND u.id > e.id AND u.kind = 'undo' AND json_extract(u.payload, '$.event') = e.id)
ORDER BY id
"""


def touched(event: Event) -> set[str]:
    """Return the findings that an event changes; {""} for what concerns the scan.

    Notes leave everything else as it is, so they touch nothing.
    """
    if event.kind == "note":
        return set()
    keys = {event.finding, *event.payload.get("with", ())}
    # a part of a split goes when the split does: it stands for all it came from
    return {key.partition(".")[0] for key in keys}


def now() -> str:
    """Return the time as the log writes it: UTC, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _same(known: Event, event: Event) -> Event:
    ours = (event.reader, event.round, event.scan, event.kind, as_text(event.payload))
    theirs = (known.reader, known.round, known.scan, known.kind, as_text(known.payload))
    if ours != theirs:
        raise ParameterError(
            f"{event.uuid} is the uuid of another event ({known.id})",
            where="uuid",
            mend="Make a new one for each event.",
        )
    return known


def _column(event: Event, name: str) -> Any:
    value = getattr(event, name)
    return as_text(dict(value)) if name in ("payload", "anchor") else value


def _event(row: tuple[Any, ...]) -> Event:
    values = dict(zip(COLUMNS, row, strict=True))
    for name in ("payload", "anchor"):
        values[name] = json.loads(values[name])
    return Event(**values)


def _statements(script: str) -> Iterator[str]:
    """Yield the statements of a script; a trigger holds semicolons of its own."""
    held = ""
    for line in script.splitlines():
        held += line + "\n"
        if sqlite3.complete_statement(held):
            yield held
            held = ""
