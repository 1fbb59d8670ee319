"""A list of what has been moved, beside the files: one line is added for each fact.

Lines are only ever appended, so a kill costs the last one at most, and a fact that is not there
is found out anew. One process at a time holds a ledger; the lock goes with the
process that has it, however that ends.
"""

import fcntl
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from petechia.errors import FileError, InUseError
from petechia.files.writing import output_error

Row = Mapping[str, Any]


class Ledger:
    """An open ledger; a context manager.

    Parameters
    ----------
    path : Path
        Made when it is not there.

    Raises
    ------
    InUseError
        Another process is at work on the same folder.
    OutputError
        It cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = path.open("a+b")
        except OSError as error:
            raise output_error(error, path) from error
        try:
            fcntl.flock(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._stream.close()
            raise InUseError(
                "another petechia is moving the files of this folder",
                where=str(path.parent),
                mend="Wait for it to end, or stop it, and run again.",
            ) from None
        self.rows = self._read()

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def add(self, *rows: Row) -> None:
        """Append facts and hand them to the system: a kill cannot lose them any more."""
        text = "".join(json.dumps(dict(row), sort_keys=True) + "\n" for row in rows)
        try:
            self._stream.write(text.encode())
            self._stream.flush()
        except OSError as error:
            raise output_error(error, self.path) from error
        self.rows += rows

    def _read(self) -> list[Row]:
        self._stream.seek(0)
        data = self._stream.read()
        if data and not data.endswith(b"\n"):
            self._stream.write(b"\n")  # the line that a kill cut off stays alone
        return _rows(data)


def read_rows(path: Path) -> list[Row]:
    """Return the facts of a ledger without holding it; none when it is not there.

    Raises
    ------
    OutputError
        It cannot be read, and so not be written.
    """
    try:
        return _rows(path.read_bytes())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise output_error(error, path) from error


def _rows(data: bytes) -> list[Row]:
    rows: list[Row] = []
    for line in data.splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows


def require_free(folder: Path, ledger: str) -> None:
    """Raise `FileError` when a folder holds what no pull has put there."""
    if folder.is_dir() and not (folder / ledger).exists() and any(folder.iterdir()):
        raise FileError(
            "holds other files already",
            where=str(folder),
            mend="Name a new folder, or one that petechia pacs pull has begun.",
        )
