"""Private elements: those known to be safe stay, when they hold what they should."""

from collections.abc import Callable

from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element
from pydicom.dataset import Dataset

from petechia.files.dicom.deidentify import rules
from petechia.files.dicom.kinds import LOCALIZERS, PROCESSED, PROJECTIONS, WORDS

NUMBERS = ("DS", "FD", "FL", "IS", "SL", "SS", "UL", "US")
IMAGE_WORDS = frozenset().union(
    *WORDS.values(), PROJECTIONS, PROCESSED, LOCALIZERS,
    {"ORIGINAL", "DERIVED", "PRIMARY", "SECONDARY", "NONE", "ND", "NORM", "DIS2D", "DIS3D", "SWI"},
)  # fmt: skip
"""Words of an image type that may stay."""


def clean_private(dataset: Dataset, clean: Callable[[Dataset], None]) -> None:
    """Remove private elements, in place, but the safe ones and their creators.

    Parameters
    ----------
    dataset : Dataset
        One level of it.
    clean : callable
        Cleans an item of a sequence that stays.
    """
    owners = set()
    for element in list(dataset):
        tag = element.tag
        if not tag.is_private or tag.is_private_creator:
            continue
        owner = (tag.group << 16) | (tag.element >> 8)
        creator = str(dataset[owner].value) if owner in dataset else ""
        row = rules.safe(tag.group, creator, tag.element & 0xFF)
        kept = None if row is None else _as_expected(element, row.vr)
        if kept is None:
            del dataset[tag]
            continue
        owners.add(owner)
        dataset[tag] = kept
        if kept.VR == "SQ":
            for item in kept.value:
                clean(item)
    for element in list(dataset):
        if element.tag.is_private_creator and int(element.tag) not in owners:
            del dataset[element.tag]


def _as_expected(element: DataElement, vr: str) -> DataElement | None:
    """Return an element of the kind and with values that it should have; None when it is not so."""
    if element.VR == "UN":
        read = _read_as(element, vr)
        if read is None:
            return None
        element = read
    if vr == "SQ":
        return element if element.VR == "SQ" else None
    if vr == "CS":
        words = element.value if element.VM > 1 else [element.value]
        known = [w for w in map(str, words) if w.strip().upper() in IMAGE_WORDS]
        return DataElement(element.tag, "CS", known) if known and element.VR == "CS" else None
    return element if element.VR in NUMBERS and element.VM == 1 else None


def _read_as(element: DataElement, vr: str) -> DataElement | None:
    """Return an element of unknown kind read as `vr`; None when it cannot be."""
    data = bytes(element.value or b"")
    raw = RawDataElement(element.tag, vr, len(data), data, 0, True, True)
    try:
        read = convert_raw_data_element(raw, encoding="iso8859")
        if read.VR == "SQ":
            for item in read.value:
                list(item.iterall())  # items are parsed when they are looked at
    except Exception:  # whatever these bytes are, they are not what they should be
        return None
    return read
