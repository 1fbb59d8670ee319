"""Texts of headers in any character set, stated rightly, wrongly or not at all."""

import io

import pydicom
import pytest
from pydicom.dataset import Dataset

from petechia.files.dicom.headers import quietly
from petechia.files.dicom.results.texts import to_unicode

NAME = "N____________________________________________________"
WORDS = ("PatientName", "StudyDescription", "OtherPatientIDsSequence")


def read(terms: str | None, name: bytes) -> Dataset:
    """A header as it comes from a file: what it states, and the bytes of a name."""
    made = Dataset()
    if terms is not None:
        made.SpecificCharacterSet = terms.split("\\")
    made.StudyDescription, made.PatientName = "head", NAME
    other = Dataset()
    other.PatientID = NAME
    made.OtherPatientIDsSequence = [other]
    stream = io.BytesIO()
    with quietly():
        made.save_as(stream, implicit_vr=False, little_endian=True)
    data = stream.getvalue().replace(NAME.encode(), name.ljust(len(NAME)))
    with quietly():
        return pydicom.dcmread(io.BytesIO(data), force=True)


@pytest.mark.parametrize(
    ("terms", "data", "name"),
    [
        (r"\ISO 2022 IR 87", b"Yamada=\x1b$B;3ED\x1b(B", "Yamada=山田"),
        (r"\ISO 2022 IR 149", b"Hong=\x1b$)C\xfb\xf3", "Hong=洪"),
        (r"\ISO 2022 IR 58", b"Zhang=\x1b$)A\xd5\xc5", "Zhang=张"),
        ("ISO 2022 IR 100", b"M\xfcller", "Müller"),
        ("ISO_IR 144", b"\xbb\xee\xda", "Люк"),
        ("GB18030", b"Wang=\xcd\xf5", "Wang=王"),
        ("ISO_IR 192", "Wang=王".encode(), "Wang=王"),
        ("ISO_IR 6", b"plain", "plain"),
    ],
)
def test_a_stated_character_set_is_decoded_and_nothing_told(terms, data, name, caplog):
    header = read(terms, data)
    with quietly():
        to_unicode(header, WORDS, "a.dcm")
    stream = io.BytesIO()
    header.save_as(stream, implicit_vr=False, little_endian=True)
    again = pydicom.dcmread(io.BytesIO(stream.getvalue()), force=True)
    assert again.SpecificCharacterSet == "ISO_IR 192"
    assert str(again.PatientName).strip() == name
    assert again.OtherPatientIDsSequence[0].PatientID.strip() == name
    assert caplog.text == ""


@pytest.mark.parametrize("terms", ["ISO_IR192", "ISO_IR 999", None])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_an_unknown_character_set_is_guessed_and_told(terms, encoding, caplog):
    header = read(terms, "Müller".encode(encoding))
    with quietly():
        to_unicode(header, WORDS, "a.dcm")
    assert str(header.PatientName).strip() == "Müller"
    assert "PatientName, OtherPatientIDsSequence taken for UTF-8 or Latin-1" in caplog.text
    assert (terms or "none") in caplog.text


@pytest.mark.parametrize("terms", ["ISO_IR 999", None])
def test_plain_text_needs_no_word_about_its_set(terms, caplog):
    with quietly():
        to_unicode(read(terms, b"plain"), WORDS, "a.dcm")
    assert caplog.text == ""


def test_bytes_of_another_set_are_told(caplog):
    header = read("ISO_IR 192", b"M\xfcller")
    with quietly():
        to_unicode(header, WORDS, "a.dcm")
    assert "bytes that are not of its character set" in caplog.text
