"""Who was scanned: `participants.tsv`, its dictionary, and the sessions' tables."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from petechia.cohort.design_matrix import MISSING_WORDS
from petechia.errors import FileError
from petechia.files.clinical import ClinicalRow, read_clinical, read_table
from petechia.pipeline.group.factors import (
    Column,
    column_of,
    factor_in_use,
    factor_of,
    own_dictionary,
    shipped,
)

OPTION = "--participants"
MOST_TOLD = 5


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """What is known of participants, as text, by participant and session.

    Attributes
    ----------
    rows : mapping
        (subject, session or None) to the row.
    names : tuple of str
        Columns, in the order of the files.
    own : mapping
        The dataset's own dictionary.
    folder : Path or None
        Of the table: the raw dataset, as a rule.
    """

    rows: Mapping[tuple[str, str | None], ClinicalRow]
    names: tuple[str, ...] = ()
    own: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    folder: Path | None = None

    @property
    def subjects(self) -> set[str]:
        """Everybody who has a row."""
        return {subject for subject, _ in self.rows}

    @property
    def notes(self) -> list[str]:
        """What a reader should know: ages that are told as a least one, as BIDS does from 89 on."""
        ages = [(str(row.values.get("age", "")).strip(), row.where) for row in self.rows.values()]
        over = [(text, where) for text, where in ages if text.endswith("+")]
        if not over:
            return []
        told = ", ".join(sorted({text for text, _ in over})[:MOST_TOLD])
        return [
            f"{len(over)} ages are told as {told} (the first: {over[0][1]}): each enters as that "
            "number, the least that it can be."
        ]

    def cell(self, name: str, subject: str, session: str | None) -> tuple[str, str]:
        """Return a cell and where it stands: the session's before the participant's."""
        for key in ((subject, session), (subject, None)):
            row = self.rows.get(key)
            value = None if row is None else row.values.get(name)
            if value is not None and row is not None and not missing(str(value)):
                return str(value).strip(), row.where
        return "n/a", ""

    def columns(self, keys: Sequence[tuple[str, str | None]]) -> dict[str, Column]:
        """Return every column for the scans `keys` (subject, session), each value checked.

        Raises
        ------
        InputError
            Impossible values, in a row of anybody, scanned or not.
        """
        out = {}
        for name in self.names:
            every = [(str(r.values.get(name, "n/a")), r.where) for r in self.rows.values()]
            told = [text.strip() for text, _ in every if not missing(text)]
            own = self.own.get(name)
            factor = factor_of(name, own, told)
            scale = factor_in_use(own, factor)
            column_of(factor, [t for t, _ in every], [w for _, w in every], scale)
            cells = [self.cell(name, *key) for key in keys]
            out[name] = column_of(factor, [c for c, _ in cells], [w for _, w in cells], scale)
        return out


NOBODY = People({})


def missing(text: str) -> bool:
    """Return whether a cell says that something is not known."""
    return text.strip().lower() in MISSING_WORDS


def read_people(path: Path | None, subjects: Iterable[str]) -> People:
    """Return the table of participants and, beside it, those of sessions.

    Parameters
    ----------
    path : Path or None
        `participants.tsv`, or the folder of the dataset that holds it.
    subjects : iterable of str
        Labels of those whose `sub-<label>/sub-<label>_sessions.tsv` is looked for.

    Raises
    ------
    FileError
        A table cannot be read, lacks its key, or names somebody twice.
    """
    if path is None:
        return NOBODY
    if path.is_dir():
        path = path / "participants.tsv"
    if path.suffix.lower() != ".tsv":
        raise FileError(
            f"{path.suffix or 'no'} file", where=str(path), mend="Give participants.tsv of BIDS."
        )
    rows = read_clinical(path, OPTION)
    own = own_dictionary(path.with_suffix(".json"))
    for subject in sorted(set(subjects)):
        table = path.parent / f"sub-{subject}" / f"sub-{subject}_sessions.tsv"
        if table.is_file():
            rows += read_table(table, OPTION, subject)
    own = own_dictionary(path.parent / "sessions.json") | own
    own = {_spelled(name): says for name, says in own.items()}
    found: dict[tuple[str, str | None], ClinicalRow] = {}
    names: dict[str, None] = {}
    for row in map(_with_known_names, rows):
        key = (row.subject or "", row.session)
        names |= dict.fromkeys(row.values)
        if key in found:  # participants.tsv by session, and a sessions.tsv: both tell of it
            told = {name: text for name, text in row.values.items() if not missing(str(text))}
            row = ClinicalRow(*key, {**found[key].values, **told}, row.where)
        found[key] = row
    return People(found, tuple(names), own, path.parent)


def _spelled(name: str) -> str:
    """Return the name of a column as the shipped dictionary spells it: age for Age."""
    return name.lower() if name.lower() in shipped() else name


def _with_known_names(row: ClinicalRow) -> ClinicalRow:
    values: dict[str, object] = {}
    for name, value in row.values.items():
        if _spelled(name) in values:
            raise FileError(
                f"column {_spelled(name)} occurs twice, in small and capital letters",
                where=row.where,
                mend="Keep one of them.",
            )
        values[_spelled(name)] = value
    return replace(row, values=values)
