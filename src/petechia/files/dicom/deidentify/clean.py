"""One dataset without the person."""

import hashlib
import hmac
from copy import deepcopy
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import UID, generate_uid

from petechia import __version__
from petechia.files.dicom.deidentify import rules
from petechia.files.dicom.results.identity import MAKER, MODEL, coded

STANDARD_UIDS = "1.2.840.10008."
SHIFT_DAYS = (365, 3650)
"""Dates are moved back by so many days, the same for all of a person's."""
BIRTH = ("PatientBirthDate", "PatientBirthTime", "PatientBirthDateInAlternativeCalendar")
DUMMIES: dict[str, Any] = {
    "DA": "19000101", "DT": "19000101000000", "TM": "000000", "AS": "000Y", "DS": "0", "IS": "0",
    "UI": "2.25.0", "UR": "http://removed.invalid",
}  # fmt: skip
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
    """Return what tells people apart: their identifier, or their name."""
    return str(dataset.get("PatientID") or dataset.get("PatientName") or "").strip()


def deidentify(dataset: Dataset, choice: Choice, *, faceless: bool = False) -> Dataset:
    """Return a copy of `dataset` without the person.

    Parameters
    ----------
    dataset : Dataset
        With its file meta information.
    choice : Choice
        Options.
    faceless : bool
        True when the face was taken out of its pixels: the object then says so.
    """
    out = deepcopy(dataset)
    person, ours = person_of(dataset), is_ours(dataset)
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
        self._private(dataset)
        for element in list(dataset):
            tag = element.tag
            if tag.is_private:
                continue
            if 0x5000 <= tag.group <= 0x50FF or 0x6000 <= tag.group <= 0x60FF or tag == 0xFFFCFFFC:
                del dataset[tag]  # curves, overlays, padding
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
        elif action == "X" or element.VR == "UN":
            del dataset[element.tag]
        elif action in ("Z", "X/Z") or (element.VR == "PN" and not action):
            element.value = None if element.VR in NUMBERS else ""
        elif action:
            element.value = _dummy(element)

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

    def _private(self, dataset: Dataset) -> None:
        """Remove private elements but those known to be safe, and their creators."""
        needed = set()
        for element in list(dataset):
            tag = element.tag
            if not tag.is_private or tag.is_private_creator:
                continue
            owner = (tag.group << 16) | (tag.element >> 8)
            creator = str(dataset[owner].value) if owner in dataset else ""
            if not rules.is_safe(tag.group, creator, tag.element & 0xFF):
                del dataset[tag]
                continue
            needed.add(owner)
            if element.VR == "SQ":
                for item in element.value:
                    self.clean(item)
        for element in list(dataset):
            if element.tag.is_private_creator and int(element.tag) not in needed:
                del dataset[element.tag]


def _dummy(element: DataElement) -> Any:
    """Return a value without meaning that fits the kind of element."""
    if element.VR in DUMMIES:
        return DUMMIES[element.VR]
    if element.VR in TEXTS:
        return "REMOVED"
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
    """Return an age, 90 years at most."""
    return "090Y" if age[3:] == "Y" and age[:3].isdigit() and int(age[:3]) > 89 else age


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
