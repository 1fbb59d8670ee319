"""What of a person is left in files: names and numbers of the source searched for in the result."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from petechia.files.dicom.deidentify.clean import is_ours

IDENTIFYING = (
    "PatientName", "PatientID", "OtherPatientIDs", "OtherPatientNames", "PatientBirthName",
    "PatientMotherBirthName", "PatientBirthDate", "PatientAddress", "PatientTelephoneNumbers",
    "AccessionNumber", "StudyID", "ReferringPhysicianName", "PerformingPhysicianName",
    "OperatorsName", "PhysiciansOfRecord", "RequestingPhysician", "InstitutionName",
    "InstitutionAddress", "InstitutionalDepartmentName", "StationName", "DeviceSerialNumber",
    "StudyDate", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID",
)  # fmt: skip
"""Attributes of the source whose values must not be found anywhere in the result."""
PEOPLE = (
    "PatientName", "OtherPatientNames", "PatientBirthName", "PatientMotherBirthName",
    "ReferringPhysicianName", "PerformingPhysicianName", "OperatorsName", "PhysiciansOfRecord",
    "RequestingPhysician",
)  # fmt: skip
"""Whose values are names: each part of one gives its owner away."""
SHORTEST = {"PatientName": 3, "StudyID": 4, "PatientID": 4, "AccessionNumber": 4}
UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")
_UID_LIKE = re.compile(r"[0-9]+(?:\.[0-9]+)+")
PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


@dataclass(slots=True)
class Known:
    """Values of the source that identify, by the attribute they come from."""

    values: dict[str, set[str]] = field(default_factory=dict)
    _patterns: dict[str, re.Pattern[str]] | None = None
    _uids: dict[str, str] = field(default_factory=dict)

    def learn(self, dataset: Dataset) -> None:
        """Take note of a source header."""
        self._patterns = None
        machine = ("DeviceSerialNumber", "StationName")  # ours name no machine
        for keyword in IDENTIFYING:
            if keyword in machine and is_ours(dataset):
                continue
            element = dataset.get_item(keyword) and dataset[keyword]
            if element:
                for value in _texts(element):
                    for piece in _pieces(keyword, value):
                        self.values.setdefault(keyword, set()).add(piece)

    def told_by(self, text: str) -> set[str]:
        """Return the attributes whose values stand in `text` as words of their own."""
        if self._patterns is None:
            self._patterns = {k: p for k in IDENTIFYING if (p := self._pattern(k)) is not None}
            self._uids = {v: k for k in IDENTIFYING if k in UIDS for v in self.values.get(k, ())}
        told = {k for k, pattern in self._patterns.items() if pattern.search(text)}
        # a study has thousands of identifiers: they are looked up, not searched for one by one
        told.update(self._uids[u] for u in _UID_LIKE.findall(text) if u in self._uids)
        return told

    def _pattern(self, keyword: str) -> re.Pattern[str] | None:
        found = sorted(self.values.get(keyword, ()), key=len, reverse=True)
        if not found or keyword in UIDS:
            return None
        words = "|".join(re.escape(value) for value in found)
        return re.compile(rf"(?<![A-Za-z0-9])(?:{words})(?![A-Za-z0-9])", re.IGNORECASE)


@dataclass(slots=True)
class Residue:
    """What was left.

    Attributes
    ----------
    found : Counter of (where, what)
        Element that holds it, and the source's attribute it is the value of: never the value.
    private : Counter of str
        Private elements kept.
    free_text : Counter of str
        Elements of free text that still have words; nobody but a person can say what they mean.
    doubts : Counter of str
        What cannot be seen from here: burned-in text, faces.
    """

    found: Counter[tuple[str, str]] = field(default_factory=Counter)
    private: Counter[str] = field(default_factory=Counter)
    free_text: Counter[str] = field(default_factory=Counter)
    doubts: Counter[str] = field(default_factory=Counter)

    def look(self, dataset: Dataset, known: Known) -> None:
        """Search one de-identified object."""
        for place, element in walk(dataset):
            if element.tag.is_private and not element.tag.is_private_creator:
                self.private[place] += 1
            texts = list(_texts(element))
            for keyword in set().union(*map(known.told_by, texts)):
                self.found[(place, keyword)] += 1
            if element.VR in ("LT", "ST", "UT") and any(t.strip() for t in texts):
                self.free_text[place] += 1
        if str(dataset.get("BurnedInAnnotation", "")) != "NO" and not is_ours(dataset):
            self.doubts["does not say that no text is burned in"] += 1
        shows_head = str(dataset.get("Modality", "")) == "MR"
        if shows_head and str(dataset.get("RecognizableVisualFeatures", "")) != "NO":
            self.doubts["the face may be seen"] += 1


def walk(dataset: Dataset, above: str = "") -> Iterator[tuple[str, DataElement]]:
    """Yield every element with its place, but pixels."""
    for element in dataset:
        name = element.keyword or f"({element.tag.group:04X},{element.tag.element:04X})"
        place = f"{above}{name}"
        if element.keyword in PIXELS:
            continue
        if element.VR == "SQ":
            for item in element.value:
                yield from walk(item, f"{place} > ")
        yield place, element


def _texts(element: DataElement) -> Iterable[str]:
    """Return the values of an element as text, bytes read as if they were."""
    if element.VR == "SQ" or element.value is None:
        return
    if isinstance(element.value, bytes):
        for encoding in ("utf-8", "utf-16-le", "gb18030"):
            yield element.value.decode(encoding, errors="ignore")
        return
    for value in element.value if element.VM > 1 else [element.value]:
        yield str(value)


def _pieces(keyword: str, value: str) -> Iterator[str]:
    """Yield what of a value would give somebody away."""
    value = value.strip()
    is_name = keyword in PEOPLE
    parts = re.split(r"[\^=\s,]+", value) if is_name else [value]
    shortest = SHORTEST.get(keyword, 3)
    for part in parts:
        wide = any(ord(c) > 0x2E80 for c in part)
        if len(part) >= (2 if wide else shortest):
            yield part
