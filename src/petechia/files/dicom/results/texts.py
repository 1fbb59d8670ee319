"""Texts of a source's header in Unicode: archives write more character sets than can be kept."""

import logging
from collections.abc import Iterable

from pydicom.charset import python_encoding
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

LOG = logging.getLogger(__name__)
UNICODE = "ISO_IR 192"
"""What every object we write states: UTF-8 holds all that sources can say."""
TEXTS = ("LO", "LT", "PN", "SH", "ST", "UC", "UT")
"""Value representations that the character set is for."""
GB_2312 = "\x1b$)A"
"""The escape of ISO 2022 IR 58, which pydicom leaves in the text."""


def to_unicode(header: Dataset, keywords: Iterable[str], file: str) -> None:
    """Decode the texts of `keywords` where they stand, and state Unicode.

    Where the character set is not stated or is none that DICOM has, bytes that are no ASCII are
    taken for UTF-8, else for Latin-1; a warning says so.

    Parameters
    ----------
    header : Dataset
        As read; changed in place.
    keywords : iterable of str
        Elements to decode, to the bottom of sequences.
    file : str
        Where it came from, for the warning.
    """
    stated = header.get("SpecificCharacterSet") or []
    terms = [stated] if isinstance(stated, str) else [str(term) for term in stated]
    known = bool(terms) and all(term in python_encoding for term in terms)
    guessed, lost = [], []
    for keyword in keywords:
        if keyword == "SpecificCharacterSet" or keyword not in header:
            continue
        text = _decode(header, keyword, known)
        if not known and not text.isascii():
            guessed.append(keyword)
        if "\N{REPLACEMENT CHARACTER}" in text:
            lost.append(keyword)
    header.SpecificCharacterSet = UNICODE
    if guessed:
        said = "\\".join(terms) or "none"
        LOG.warning(
            "dicom: %s states the character set %r: %s taken for UTF-8 or Latin-1, check how "
            "the results spell it",
            file,
            said,
            ", ".join(guessed),
        )
    if lost:
        LOG.warning(
            "dicom: %s: %s has bytes that are not of its character set", file, ", ".join(lost)
        )


def _decode(dataset: Dataset, keyword: str, known: bool) -> str:
    """Decode one element in place; return its texts, joined."""
    element = dataset[keyword]
    if element.VR == "SQ":
        return "".join(
            _decode(item, inner.keyword, known)
            for item in element.value
            for inner in item
            if inner.keyword and inner.keyword != "SpecificCharacterSet"
        )
    if element.VR not in TEXTS or element.value is None:
        return ""
    several = isinstance(element.value, MultiValue)
    values = [str(v).replace(GB_2312, "") for v in (element.value if several else [element.value])]
    if not known:
        values = [_guessed(value) for value in values]
    element.value = values if several else values[0]
    return "".join(values)


def _guessed(text: str) -> str:
    """Return a text that was read as Latin-1 as UTF-8 where its bytes are that."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text
