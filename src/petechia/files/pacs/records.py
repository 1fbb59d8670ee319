"""What a server says of studies, series and instances, whichever way it was asked."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from petechia.errors import ParameterError, TransferError
from petechia.files.pacs.local import LocalFile
from petechia.files.pacs.uids import is_uid, require_uid

_DATE = re.compile(r"[0-9]{8}")
Answer = Mapping[str, str]
"""One match: attribute keywords and their values as text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which study is meant; what is None is not asked for.

    Attributes
    ----------
    study : str or None
        Study Instance UID.
    accession : str or None
        Accession number.
    patient_id : str or None
        Patient ID.
    date : str or None
        Study date, YYYYMMDD.
    """

    study: str | None = None
    accession: str | None = None
    patient_id: str | None = None
    date: str | None = None

    def __post_init__(self) -> None:
        if not self.keys:
            raise ParameterError(
                "no study is named",
                where="petechia pacs",
                mend="Give --study UID, --accession NUMBER, or --patient-id ID with --date.",
            )
        if self.study is not None:
            require_uid(self.study, "--study")
        for option, text in (("--accession", self.accession), ("--patient-id", self.patient_id)):
            if text is not None and (not text.isprintable() or set(text) & set("*?\\")):
                raise ParameterError(
                    "holds a *, ?, backslash or invisible character, which would match others",
                    where=option,
                    mend="Give the whole value.",
                )
        if self.date is not None and not _DATE.fullmatch(self.date):
            raise ParameterError(
                f"{self.date[:20]!r} is no date", where="--date", mend="Write YYYYMMDD."
            )

    @property
    def keys(self) -> dict[str, str]:
        """What is asked for, by attribute keyword."""
        asked = {
            "StudyInstanceUID": self.study,
            "AccessionNumber": self.accession,
            "PatientID": self.patient_id,
            "StudyDate": self.date,
        }
        return {keyword: value for keyword, value in asked.items() if value}


@dataclass(frozen=True, slots=True)
class Study:
    """A study as a server lists it; `n_instances` is None when it does not say."""

    uid: str
    date: str
    modalities: str
    description: str
    n_instances: int | None


@dataclass(frozen=True, slots=True)
class Series:
    """A series as a server lists it."""

    uid: str
    number: int
    modality: str
    description: str
    n_instances: int | None


@dataclass(frozen=True, slots=True)
class Instance:
    """One object; `sop_class` is '' when the server does not say."""

    uid: str
    study: str
    series: str
    number: int
    sop_class: str


STUDY_KEYWORDS = ("StudyInstanceUID", "StudyDate", "AccessionNumber", "PatientID",
                  "ModalitiesInStudy", "StudyDescription",
                  "NumberOfStudyRelatedInstances")  # fmt: skip
SERIES_KEYWORDS = ("SeriesInstanceUID", "SeriesNumber", "Modality", "SeriesDescription",
                   "NumberOfSeriesRelatedInstances")  # fmt: skip
INSTANCE_KEYWORDS = ("SOPInstanceUID", "SOPClassUID", "InstanceNumber")


class Client(Protocol):
    """One of the two ways to speak with a server.

    Every method raises `Passing` for what may go well the next time, `Refused` for what
    concerns this object only, and `TransferError` for what ends the work.
    """

    where: str

    def studies(self, query: Query) -> list[Study]:
        """Return the studies that match; an empty list when there is none."""

    def series(self, study: str) -> list[Series]:
        """Return the series of a study."""

    def instances(self, study: str, series: str) -> list[Instance]:
        """Return the instances of a series; `CannotAsk` when the server has no queries."""

    def fetch(self, instance: Instance, stream: BinaryIO) -> None:
        """Write one instance to `stream` as a DICOM file."""

    def send(self, file: LocalFile) -> str:
        """Store one file; return a note of the server, '' when it has none."""

    def close(self) -> None:
        """End the connection."""


def study_of(answer: Answer, where: str) -> Study:
    """Return a study from a server's answer."""
    return Study(
        uid=_served_uid(answer, "StudyInstanceUID", where),
        date=shown(answer.get("StudyDate", "")),
        modalities=shown(answer.get("ModalitiesInStudy", "")),
        description=shown(answer.get("StudyDescription", "")),
        n_instances=_whole(answer.get("NumberOfStudyRelatedInstances", "")),
    )


def series_of(answer: Answer, where: str) -> Series:
    """Return a series from a server's answer."""
    return Series(
        uid=_served_uid(answer, "SeriesInstanceUID", where),
        number=_whole(answer.get("SeriesNumber", "")) or 0,
        modality=shown(answer.get("Modality", "")),
        description=shown(answer.get("SeriesDescription", "")),
        n_instances=_whole(answer.get("NumberOfSeriesRelatedInstances", "")),
    )


def instance_of(answer: Answer, study: str, series: str, where: str) -> Instance:
    """Return an instance from a server's answer."""
    kind = answer.get("SOPClassUID", "")
    return Instance(
        uid=_served_uid(answer, "SOPInstanceUID", where),
        study=study,
        series=series,
        number=_whole(answer.get("InstanceNumber", "")) or 0,
        sop_class=kind if is_uid(kind) else "",
    )


def shown(text: str, longest: int = 64) -> str:
    """Return a server's text fit for a terminal: no control characters, not endless."""
    return "".join(c for c in text if c.isprintable())[:longest].strip()


def matches(answer: Answer, query: Query) -> bool:
    """Whether an answer is what was asked for: some servers ignore keys they do not know."""
    return all(
        answer.get(keyword, value).strip() == value.strip() for keyword, value in query.keys.items()
    )


def _served_uid(answer: Answer, keyword: str, where: str) -> str:
    text = answer.get(keyword, "")
    if not is_uid(text):
        raise TransferError(
            f"the server gave something else than a UID as {keyword}",
            where=where,
            mend="Nothing was taken from that answer. Have the server looked at.",
        )
    return text


def _whole(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
