"""One dataset without the person."""

import hashlib
import hmac
import re
from copy import deepcopy
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import UID, generate_uid

from petechia import __version__
from petechia.files.dicom.deidentify import rules
from petechia.files.dicom.deidentify.private import clean_private
from petechia.files.dicom.kinds import MAKER, MODEL
from petechia.files.dicom.results.identity import coded
from petechia.files.dicom.results.structured_report import OF_READERS

AGE = re.compile(r"\s*(\d{1,6})([DWMY])\s*")
A_YEAR = {"D": 365.25, "W": 52.18, "M": 12, "Y": 1}
SEQUENCE = re.compile(r"[*#\w.+-]+", re.ASCII)
"""Of the names of sequences: one word."""
STANDARD_UIDS = "1.2.840.10008."
SHIFT_DAYS = (365, 3650)
"""Dates are moved back by so many days, the same for all of a person's."""
BIRTH = ("PatientBirthDate", "PatientBirthTime")
DUMMIES: dict[str, Any] = {
    "DA": "19000101", "DT": "19000101000000", "TM": "000000", "AS": "000Y", "DS": "0", "IS": "0",
    "UI": "2.25.0", "UR": "http://removed.invalid",
}  # fmt: skip
REMOVED = "REMOVED"
TEXTS = ("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT")
NUMBERS = ("FD", "FL", "SL", "SS", "SV", "UL", "US", "UV", "AT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Options of the profile.

    Attributes
    ----------
    secret : bytes
        What identifiers, pseudonyms and the shift of dates are made with: the same secret gives
        the same ones, and nobody without it finds the way back.
    dates : str
        'shift' moves all of a person's by one number of days; 'remove' takes them out.
    characteristics : bool
        Keep sex, age, size and weight.
    """

    secret: bytes
    dates: str = "shift"
    characteristics: bool = False

    def hashed(self, *what: str) -> bytes:
        """Return a keyed hash of `what`."""
        return hmac.new(self.secret, "\0".join(what).encode(), hashlib.sha256).digest()

    def uid(self, old: str) -> UID:
        """Return the identifier that stands for `old`; the standard's own stay."""
        if old.startswith(STANDARD_UIDS) or not old:
            return UID(old)
        return UID(generate_uid(entropy_srcs=[self.hashed("uid", old).hex()]))

    def pseudonym(self, person: str) -> str:
        """Return what a person is called."""
        return f"P{self.hashed('person', person).hex()[:12].upper()}"

    def shift(self, person: str) -> timedelta:
        """Return how far back a person's dates go."""
        low, high = SHIFT_DAYS
        number = int.from_bytes(self.hashed("days", person)[:8], "big")
        return timedelta(days=low + number % (high - low + 1))


def is_ours(dataset: Dataset) -> bool:
    """Whether an object was written by this package: then its texts name nobody."""
    return (
        str(dataset.get("Manufacturer", "")) == MAKER
        and str(dataset.get("ManufacturerModelName", "")) == MODEL
    )


def person_of(dataset: Dataset) -> str:
    """Return what tells people apart: their identifier, or their name, however it is written."""
    named = str(dataset.get("PatientID") or "").strip() or str(dataset.get("PatientName") or "")
    return " ".join(named.strip(" ^").upper().split())


def deidentify(
    dataset: Dataset, choice: Choice, *, person: str | None = None, faceless: bool = False
) -> Dataset:
    """Return a copy of `dataset` without the person.

    Parameters
    ----------
    dataset : Dataset
        With its file meta information.
    choice : Choice
        Options.
    person : str, optional
        Whose it is, when more is known of it than this dataset says.
    faceless : bool
        True when the face was taken out of its pixels: the object then says so.
    """
    out = deepcopy(dataset)
    ours = is_ours(dataset)
    person = person_of(dataset) if person is None else person
    _Cleaner(choice, person, ours).clean(out)
    name = choice.pseudonym(person)
    out.PatientName, out.PatientID = name, name
    _state(out, choice, faceless=faceless)
    meta = out.file_meta
    meta.MediaStorageSOPInstanceUID = out.SOPInstanceUID
    for element in list(meta):
        if element.keyword not in (
            "FileMetaInformationGroupLength", "FileMetaInformationVersion",
            "MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID", "TransferSyntaxUID",
            "ImplementationClassUID", "ImplementationVersionName",
        ):  # fmt: skip
            del meta[element.tag]
    out.preamble = b"\0" * 128
    return out


class _Cleaner:
    """Walks through a dataset and its sequences."""

    def __init__(self, choice: Choice, person: str, ours: bool) -> None:
        self.choice, self.ours = choice, ours
        self.back = choice.shift(person)

    def clean(self, dataset: Dataset) -> None:
        """Clean in place."""
        clean_private(dataset, self.clean)
        in_house = str(dataset.get("CodingSchemeDesignator", "DCM")) not in rules.PUBLIC_SCHEMES
        for element in list(dataset):
            tag = element.tag
            if tag.is_private:
                continue
            if 0x5000 <= tag.group <= 0x50FF or 0x6000 <= tag.group <= 0x60FF or tag == 0xFFFCFFFC:
                del dataset[tag]  # curves, overlays, padding
            elif in_house and element.keyword == "CodeMeaning":
                _clean_text(element)
            elif not self._kept(element):
                self._act(dataset, element, rules.action_of(element))

    def _kept(self, element: DataElement) -> bool:
        """Whether an option keeps what the profile would take."""
        if element.keyword in rules.PERSON_FACTS and self.choice.characteristics:
            if element.keyword == "PatientAge":
                element.value = _capped(str(element.value))
            return True
        # our own document and words: they were written without a name
        return self.ours and element.keyword in ("EncapsulatedDocument", "SeriesDescription")

    def _act(self, dataset: Dataset, element: DataElement, action: str) -> None:
        if element.VR == "SQ":
            self._sequence(dataset, element, action)
        elif element.VR == "UI":
            self._uid(dataset, element, action)
        elif element.VR in ("DA", "DT", "TM") and element.keyword not in BIRTH:
            self._time(dataset, element, action)
        elif element.keyword in rules.DESCRIPTIONS:
            element.value = rules.cleaned(str(element.value or ""))
        elif action == "X" or element.VR == "UN" or not (action or element.keyword):
            del dataset[element.tag]  # also what the standard does not know
        elif action in ("Z", "X/Z") or (element.VR == "PN" and not action):
            element.value = None if element.VR in NUMBERS else ""
        elif action:
            element.value = _dummy(element)
        else:
            self._text(dataset, element)

    def _text(self, dataset: Dataset, element: DataElement) -> None:
        """Clean text of which the profile says nothing, or take it out."""
        if element.keyword in rules.LABELS:
            if not self.ours:
                _clean_text(element)
        elif element.VR in rules.TEXTS and element.keyword not in rules.SCANNER_TEXTS:
            del dataset[element.tag]
        elif element.keyword in ("SequenceName", "PulseSequenceName"):
            if not SEQUENCE.fullmatch(str(element.value or "")):
                _clean_text(element)
        elif element.keyword == "TextValue":
            for begun in OF_READERS:
                if str(element.value).startswith(begun):
                    element.value = f"{begun}{REMOVED}"

    def _sequence(self, dataset: Dataset, element: DataElement, action: str) -> None:
        if action == "X":
            del dataset[element.tag]
        elif action == "Z":
            element.value = []
        else:
            for item in element.value:
                self.clean(item)

    def _uid(self, dataset: Dataset, element: DataElement, action: str) -> None:
        if action == "X":
            del dataset[element.tag]
        elif element.VM > 1:
            element.value = [self.choice.uid(str(v)) for v in element.value]
        else:
            element.value = self.choice.uid(str(element.value or ""))

    def _time(self, dataset: Dataset, element: DataElement, action: str) -> None:
        """Shift dates and leave the time of day, or take both out."""
        if self.choice.dates == "shift":
            if element.VR != "TM":
                values = element.value if element.VM > 1 else [element.value]
                moved = [shifted(str(v or ""), self.back) for v in values]
                element.value = moved if len(moved) > 1 else moved[0]
        elif action == "X":
            del dataset[element.tag]
        elif action and "D" in action:
            element.value = DUMMIES[element.VR]
        else:
            element.value = ""


def _clean_text(element: DataElement) -> None:
    """Leave words of sequences only; a dummy where none of a text's words is one."""
    texts = element.value if element.VM > 1 else [element.value]
    clean = [(rules.cleaned(str(text)) or REMOVED) if text else "" for text in texts]
    element.value = clean if len(clean) > 1 else clean[0]


def _dummy(element: DataElement) -> Any:
    """Return a value without meaning that fits the kind of element."""
    if element.VR in DUMMIES:
        return DUMMIES[element.VR]
    if element.VR in TEXTS:
        return REMOVED
    return 0 if element.VR in NUMBERS else b"\0\0"


def shifted(text: str, back: timedelta) -> str:
    """Return a DA or DT value moved back; "" when it is no date."""
    digits = text[:8]
    try:
        day = date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))
    except ValueError:
        return ""
    return f"{day - back:%Y%m%d}{text[8:]}"


def _capped(age: str) -> str:
    """Return an age, 90 years at most; "" when it is none."""
    found = AGE.fullmatch(age)
    if found is None:
        return ""
    return "090Y" if int(found[1]) / A_YEAR[found[2]] >= 90 else age.strip()


def _state(out: Dataset, choice: Choice, *, faceless: bool) -> None:
    """Say in the object what was done."""
    codes = [rules.BASIC_PROFILE, rules.CLEAN_DESCRIPTORS, rules.SAFE_PRIVATE]
    if choice.dates == "shift":
        codes.append(rules.MODIFIED_DATES)
    if choice.characteristics:
        codes.append(rules.CHARACTERISTICS)
    if "ContentSequence" in out:
        codes.append(rules.CLEAN_CONTENT)
    if faceless:
        codes.append(rules.CLEAN_FACE)
        out.RecognizableVisualFeatures = "NO"
    out.PatientIdentityRemoved = "YES"
    out.DeidentificationMethod = [f"Petechia {__version__}", "PS3.15 Basic Profile, 2026c"]
    out.DeidentificationMethodCodeSequence = [coded(code) for code in codes]
    out.LongitudinalTemporalInformationModified = (
        "MODIFIED" if choice.dates == "shift" else "REMOVED"
    )
