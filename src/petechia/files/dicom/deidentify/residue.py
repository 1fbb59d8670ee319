"""What of a person is left in files: names and numbers of the source searched for in the result."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from petechia.files.dicom.deidentify import rules
from petechia.files.dicom.deidentify.clean import REMOVED, is_ours
from petechia.files.dicom.deidentify.private import NUMBERS
from petechia.files.dicom.results.structured_report import REVIEWED_BY

IDENTIFYING = (
    "PatientName", "PatientID", "OtherPatientIDs", "OtherPatientNames", "PatientBirthName",
    "PatientMotherBirthName", "PatientBirthDate", "PatientAddress", "PatientTelephoneNumbers",
    "AccessionNumber", "StudyID", "ReferringPhysicianName", "PerformingPhysicianName",
    "OperatorsName", "PhysiciansOfRecord", "RequestingPhysician", "InstitutionName",
    "InstitutionAddress", "InstitutionalDepartmentName", "StationName", "DeviceSerialNumber",
    "StudyDate", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID",
    "PersonName",
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
NOBODY = {
    "none", "unknown", "reader", "anonymous", "anonymized", "anonymised", "anon", "removed", "null",
    "19000101", "000000",
}  # fmt: skip
"""What stands where a name was taken out, or never was."""
COMMON = rules.WORDS | rules.MAKERS
CREATORS = frozenset(row.creator for row in rules.SAFE)
PSEUDONYM = re.compile(r"P[0-9A-F]{12}")
SEPARATORS = ("/", ".", "-", "_", " ")
CLOCK = re.compile(r"\d{0,6}(?:\.\d*)?")
PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


@dataclass(slots=True)
class Known:
    """Values of the source that identify, by the attribute they come from.

    Attributes
    ----------
    values : dict of str to set of str
        By keyword.
    reviewed : bool
        Whether a report of ours names its readers.
    """

    values: dict[str, set[str]] = field(default_factory=dict)
    reviewed: bool = False
    _patterns: dict[str, re.Pattern[str]] | None = None
    _uids: dict[str, str] = field(default_factory=dict)

    def learn(self, dataset: Dataset) -> None:
        """Take note of a source header."""
        self._patterns = None
        machine = ("DeviceSerialNumber", "StationName")  # ours name no machine
        model = str(dataset.get("ManufacturerModelName") or "").lower()
        for keyword in IDENTIFYING:
            if keyword in machine and is_ours(dataset):
                continue
            element = dataset.get_item(keyword) and dataset[keyword]
            for value in _texts(element) if element else ():
                # some stations bear the name of their model: that is nobody's
                if keyword not in machine or value.strip().lower() not in model:
                    self._add(keyword, value)
        if "ContentSequence" in dataset:
            self._learn_people_of(dataset)

    def _learn_people_of(self, report: Dataset) -> None:
        """Take note of whom a structured report names, as a whole: readers may be `reader 1`."""
        named = set()
        for _, element, _ in walk(report):
            text = str(element.value or "")
            if element.keyword == "PersonName":
                named.add(text.strip("^ "))
            elif element.keyword == "TextValue" and text.startswith(REVIEWED_BY):
                named.update(text.removeprefix(REVIEWED_BY).split(", "))
        for name in named:
            self._add("PersonName", name)
        self.reviewed |= bool(named - {REMOVED}) and is_ours(report)

    def _add(self, keyword: str, value: str) -> None:
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
        for place, element, level in walk(dataset):
            if element.tag.is_private and not element.tag.is_private_creator:
                self.private[place] += 1
            texts = list(_texts(element))
            for keyword in set().union(*map(known.told_by, _searched(element, texts))):
                self.found[(place, keyword)] += 1
            if _is_free(element, level) and any(t.strip() not in ("", REMOVED) for t in texts):
                self.free_text[place] += 1
        if str(dataset.get("BurnedInAnnotation", "")) != "NO" and not is_ours(dataset):
            self.doubts["does not say that no text is burned in"] += 1
        shows_head = str(dataset.get("Modality", "")) == "MR"
        if shows_head and str(dataset.get("RecognizableVisualFeatures", "")) != "NO":
            self.doubts["the face may be seen"] += 1
        if "EncapsulatedDocument" in dataset:
            self.doubts["the words inside a PDF were not searched"] += 1

    def add(self, other: "Residue") -> None:
        """Add what was found in another object."""
        self.found.update(other.found)
        self.private.update(other.private)
        self.free_text.update(other.free_text)
        self.doubts.update(other.doubts)


def still_filled(dataset: Dataset) -> Dataset:
    """Return what names somebody in an object that says it names nobody.

    Identifiers and the date of the study are filled in every object, and so is a pseudonym: ours,
    or one word that is both name and number.
    """
    out = Dataset()
    both = {str(dataset.get(keyword) or "") for keyword in ("PatientName", "PatientID")}
    same = len(both) == 1
    pseudonyms = {n for n in both if PSEUDONYM.fullmatch(n) or (same and "^" not in n)}
    for keyword in IDENTIFYING:
        if keyword in (*UIDS, "StudyDate") or keyword not in dataset:
            continue
        value = str(dataset[keyword].value or "").strip()
        if value and value not in pseudonyms:
            out.add(dataset[keyword])
    return out


def walk(dataset: Dataset, above: str = "") -> Iterator[tuple[str, DataElement, Dataset]]:
    """Yield every element with its place and its level, but pixels."""
    for element in dataset:
        name = element.keyword or f"({element.tag.group:04X},{element.tag.element:04X})"
        place = f"{above}{name}"
        if element.keyword in PIXELS:
            continue
        if element.VR == "SQ":
            for item in element.value:
                yield from walk(item, f"{place} > ")
        yield place, element, dataset


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


def _searched(element: DataElement, texts: list[str]) -> list[str]:
    """Return what of an element's texts may tell of a person.

    Numbers and times of day tell of nobody, though they may be alike; neither do, where the
    standard's words or a maker's name stand, these words.
    """
    if element.VR in NUMBERS or (element.VR == "TM" and all(map(CLOCK.fullmatch, texts))):
        return []
    if element.tag.is_private_creator and str(element.value) in CREATORS:
        return []
    is_fixed = element.VR == "CS" or element.keyword in ("Manufacturer", "CodeMeaning")
    return [_uncommon(text) for text in texts] if is_fixed else texts


def _uncommon(text: str) -> str:
    """Return the words of a text that are no common ones: somebody may be named Post or Philips."""
    words = re.findall(r"\w+|\W+", text)
    return "".join(w for w in words if w.lower() not in COMMON)


def _is_free(element: DataElement, level: Dataset) -> bool:
    """Whether an element holds text that a person may have typed."""
    if element.keyword in ("CodeValue", "CodeMeaning"):
        return str(level.get("CodingSchemeDesignator", "")) not in rules.PUBLIC_SCHEMES
    is_text = element.VR in rules.TEXTS and not element.tag.is_private
    return is_text and element.keyword not in rules.FIXED_TEXTS


def _dates(value: str) -> Iterator[str]:
    """Yield a date (YYYYMMDD) as people write it."""
    year, month, day = value[:4], value[4:6], value[6:8]
    yield from (day + month + year, month + day + year)
    for y in (year, year[2:]):
        for d in {day, day.lstrip("0")}:
            for m in {month, month.lstrip("0")}:
                for between in SEPARATORS:
                    yield from map(between.join, ((d, m, y), (m, d, y), (y, m, d)))


def _pieces(keyword: str, value: str) -> Iterator[str]:
    """Yield what of a value would give somebody away."""
    value = value.strip()
    is_name = keyword in PEOPLE
    parts = re.split(r"[\^=\s,]+", value) if is_name else [value]
    shortest = SHORTEST.get(keyword, 3)
    for part in parts:
        wide = any(ord(c) > 0x2E80 for c in part)
        if len(part) >= (2 if wide else shortest) and part.lower() not in NOBODY:
            yield part
    if keyword == "PatientBirthDate" and re.fullmatch(r"(?!19000101)\d{8}", value):
        yield from _dates(value)
