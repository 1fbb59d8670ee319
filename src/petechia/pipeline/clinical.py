"""Which clinical facts belong to which scan."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from petechia.errors import InputError
from petechia.files.clinical import ClinicalRow, read_clinical
from petechia.files.scan import ScanName
from petechia.lesions.criteria.clinical import FIELDS, ClinicalFacts, read_facts


@dataclass(frozen=True, slots=True)
class ClinicalTable:
    """Facts by participant and session; either may be None: all of them."""

    facts: tuple[tuple[str | None, str | None, ClinicalFacts], ...] = ()
    ignored: tuple[str, ...] = ()
    """Columns of a table that hold no clinical fact."""

    def of(self, name: ScanName) -> ClinicalFacts:
        """Return the facts for a scan: those of its session before those of its participant."""
        subject, session = name.get("sub"), name.get("ses")
        for wanted in ((subject, session), (subject, None), (None, None)):
            for who, when, facts in self.facts:
                if (who, when) == wanted:
                    return facts
        return ClinicalFacts()

    def notes(self, name: ScanName) -> list[str]:
        """Return what a reader should know about these facts."""
        said = []
        if self.facts and not self.of(name).told:
            said.append("The clinical file holds no fact about this participant.")
        if self.ignored:
            names = ", ".join(self.ignored)
            said.append(f"Columns of the clinical file that are no clinical fact: {names}.")
        return said


NOTHING_TOLD = ClinicalTable()


def clinical_table(path: Path | None, names: Iterable[ScanName]) -> ClinicalTable:
    """Return the facts of a clinical file, every value checked; empty without a file.

    Raises
    ------
    FileError, InputError
        If the file or a value in it cannot be used, or it is about one person and the scans
        are of several.
    """
    if path is None:
        return NOTHING_TOLD
    rows = read_clinical(path)
    people = {name.get("sub") for name in names}
    if len(people) > 1 and any(row.subject is None for row in rows):
        raise InputError(
            f"the facts of one patient for {len(people)} participants",
            where=path.name,
            mend="Give a .tsv file with a row for each participant_id, or choose one participant.",
        )
    table = path.suffix.lower() == ".tsv"
    ignored = sorted(
        {key for row in rows for key in row.values if key not in FIELDS} if table else ()
    )
    return ClinicalTable(
        tuple(
            (row.subject, row.session, read_facts(_known(row, table), row.where)) for row in rows
        ),
        tuple(ignored),
    )


def _known(row: ClinicalRow, table: bool) -> dict[str, object]:
    """Return the facts of a row: a table may have other columns, a JSON may not."""
    return {k: v for k, v in row.values.items() if not table or k in FIELDS}
