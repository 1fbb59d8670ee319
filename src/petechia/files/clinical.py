"""Clinical facts from a file: JSON for one patient, TSV with a row for each participant."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from petechia.errors import FileError
from petechia.files.sidecars import read_json

SUBJECT, SESSION = "participant_id", "session_id"
LARGEST_BYTES = 20_000_000


@dataclass(frozen=True, slots=True)
class ClinicalRow:
    """What a file says of one patient: bare labels (None: of everyone), names and values."""

    subject: str | None
    session: str | None
    values: Mapping[str, Any]
    where: str


def read_clinical(path: Path, option: str = "--clinical") -> list[ClinicalRow]:
    """Return the rows of a clinical JSON or TSV file, not yet checked for what they mean.

    `option` is the word of the command line that named it, for what is told on failure.

    Raises
    ------
    FileError
        If it cannot be read, is neither, lacks `participant_id`, or names somebody twice.
    """
    try:
        large = path.stat().st_size > LARGEST_BYTES
    except OSError as error:
        raise _unreadable(path, error.strerror, option) from error
    if large:
        raise _unreadable(path, f"larger than {LARGEST_BYTES // 1_000_000} MB", option)
    if path.suffix.lower() == ".json":
        return [ClinicalRow(None, None, read_json(path), path.name)]
    if path.suffix.lower() == ".tsv":
        return read_table(path, option)
    raise FileError(
        f"{path.suffix or 'no'} file", where=str(path), mend="Give a .json or a .tsv file."
    )


def _unreadable(path: Path, why: Any, option: str) -> FileError:
    return FileError(
        f"cannot be read ({why})", where=str(path), mend=f"Check the path given to {option}."
    )


def read_table(path: Path, option: str, subject: str | None = None) -> list[ClinicalRow]:
    """Return the rows of a TSV with `participant_id`, `session_id` or both.

    `subject` stands for a `participant_id` that the table does not hold, as BIDS's
    `sub-<label>_sessions.tsv` does not.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error, option) from error
    reader = csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    names = [name.strip() for name in reader.fieldnames or []]
    key = SUBJECT if subject is None else SESSION
    if key not in names or len(set(names)) < len(names):
        there = f" among {', '.join(names)[:200] or 'nothing'}"
        twice = "a column occurs twice" if key in names else f"no column {key}{there}"
        raise FileError(
            twice, where=str(path), mend=f"The first line names the columns, {key} among them."
        )
    reader.fieldnames = names
    rows, seen = [], set()
    for number, row in enumerate(reader, start=2):
        where = f"{path.name} line {number}"
        if None in row or None in row.values():
            raise FileError(
                f"{len(row)} fields for {len(names)} columns",
                where=where,
                mend="Part the fields by tabs; write n/a for what is not known.",
            )
        who = _label(row.pop(SUBJECT, subject), "sub-")
        session = _label(row.pop(SESSION, None), "ses-")
        if not who or (who, session) in seen:
            raise FileError(
                f"sub-{who} stands here a second time" if who else f"no {SUBJECT}",
                where=where,
                mend=f"Give each participant one row, or one for each {SESSION}.",
            )
        seen.add((who, session))
        rows.append(ClinicalRow(who, session, row, where))
    return rows


def _label(text: str | None, before: str) -> str | None:
    bare = (text or "").strip().removeprefix(before)
    return None if bare in ("", "n/a") else bare
