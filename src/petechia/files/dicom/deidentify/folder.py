"""A folder of DICOM, written again without the person."""

import io
import logging
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    Comprehensive3DSRStorage,
    EncapsulatedPDFStorage,
    ParametricMapStorage,
    SegmentationStorage,
)

from petechia.errors import FileError, MetadataError
from petechia.files.dicom.archive import Box, OpenBox
from petechia.files.dicom.collect import MR_CLASSES
from petechia.files.dicom.deidentify.clean import Choice, deidentify, is_ours
from petechia.files.dicom.deidentify.people import People
from petechia.files.dicom.deidentify.pixels import without_face, without_hidden_bits
from petechia.files.dicom.deidentify.residue import Known, Residue, still_filled
from petechia.files.dicom.headers import is_dicom, quietly
from petechia.files.writing import make_folder, output_error, whole_file

LOG = logging.getLogger(__name__)
OURS_ONLY = {Comprehensive3DSRStorage, EncapsulatedPDFStorage}
"""Documents: others' may say anything in their text."""
IMAGES = MR_CLASSES | {SegmentationStorage, ParametricMapStorage}
SCREENS = {"SCREEN SAVE", "PASTED", "CSA REPORT"}

Plane = tuple[Sequence[float], float]
"""Normal (scanner RAS) and offset [mm] of a face plane."""


@dataclass(slots=True)
class Told:
    """What was done.

    Attributes
    ----------
    written : int
        Files. One that would still tell of the person is not.
    faceless : int
        Files whose face was taken out, or that had none beyond the plane.
    left_out : Counter of str
        Files that were not written, by reason.
    still_named : int
        Files left out because they would still have told of the person.
    people : set of str
        Pseudonyms.
    residue : Residue
        What was found in those that were.
    """

    written: int = 0
    faceless: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    still_named: int = 0
    people: set[str] = field(default_factory=set)
    residue: Residue = field(default_factory=Residue)


@dataclass(frozen=True, slots=True)
class Source:
    """What is known of the folder that is read.

    Attributes
    ----------
    planes : mapping of str to plane
        By frame of reference.
    known : Known
        Whom its files name.
    people : People
        Whose they are.
    """

    planes: Mapping[str, Plane]
    known: Known = field(default_factory=Known)
    people: People = field(default_factory=People)


def deidentify_folder(
    place: Path, out: Path, choice: Choice, planes: Mapping[str, Plane] | None = None
) -> Told:
    """Write every image and every object of ours in `place` without the person.

    Parameters
    ----------
    place : Path
        Folder, file or zip.
    out : Path
        Must not be there, or be empty. It appears only when all of it is written.
    choice : Choice
        Options of the profile.
    planes : mapping of str to plane, optional
        By frame of reference: what lies beyond is blanked in MR images.

    Raises
    ------
    FileError
        Nothing in `place` that could be written.
    OutputError
        `out` cannot be written, or holds something already.
    """
    box = Box(place)
    part = out.with_name(f".{out.name}.part")
    told, source = Told(), Source(planes=planes or {})
    try:
        shutil.rmtree(part, ignore_errors=True)
        make_folder(part)
        with box.opened() as opened, quietly():
            names = [name for name in box.names() if _learned(opened, name, source, told)]
            for name in names:
                _write(opened, name, part, choice, source, told)
        if not told.written:
            reasons = "; ".join(f"{n} {why}" for why, n in told.left_out.most_common(5))
            raise FileError(
                f"nothing to write: {reasons or 'no file'}",
                where=str(place),
                mend="Give a folder of DICOM MR images.",
            )
        if out.is_dir():
            out.rmdir()
        part.replace(out)
    except OSError as error:
        raise output_error(error, out) from error
    finally:
        with suppress(OSError):
            shutil.rmtree(part, ignore_errors=True)
    return told


def check_folder(place: Path) -> tuple[int, Residue]:
    """Return how many objects are in `place`, and what of themselves they still tell."""
    residue, n, box = Residue(), 0, Box(place)
    with box.opened() as opened, quietly():
        for name in box.names():
            dataset = _read(opened, name)
            if dataset is None:
                continue
            n += 1
            known = Known()
            if str(dataset.get("PatientIdentityRemoved", "")) == "YES":
                known.learn(still_filled(dataset))
                residue.doubts["whose it was: it says that it is de-identified"] += 1
            else:
                known.learn(dataset)
            residue.look(dataset, known)
    return n, residue


def _read(opened: OpenBox, name: str) -> Dataset | None:
    """Return a DICOM file with its pixels; None for what is none."""
    data = opened.read(name)
    if not is_dicom(data[:140]):
        return None
    try:
        dataset = pydicom.dcmread(io.BytesIO(data), force=True)
        dataset.walk(lambda *_: None)  # parse all of it now: damage shows here
    except Exception:  # a damaged file can fail in any way inside the parser
        return None
    return dataset


def _learned(opened: OpenBox, name: str, source: Source, told: Told) -> bool:
    """Take note of whom a file names; whether it is to be written."""
    dataset = _read(opened, name)
    if dataset is None:
        told.left_out["no readable DICOM"] += 1
        return False
    source.known.learn(dataset)
    source.people.learn(dataset)
    why = why_not(dataset)
    if why:
        told.left_out[why] += 1
    return not why


def why_not(dataset: Dataset) -> str:
    """Return why an object is not written; "" when it is."""
    kind = UID(str(dataset.get("SOPClassUID", "")))
    words = {str(word).upper() for word in dataset.get("ImageType") or ()}
    if kind in OURS_ONLY and not is_ours(dataset):
        return f"{kind.name}: its text may name anybody"
    if kind not in IMAGES and kind not in OURS_ONLY:
        return f"{kind.name or 'of no known kind'}: not an MR image or a result"
    if str(dataset.get("BurnedInAnnotation", "")) == "YES":
        return "text is burned into its pixels"
    if words & SCREENS or int(dataset.get("SamplesPerPixel") or 1) != 1:
        return "a screenshot or colour image: text may be burned in"
    return ""


def _write(
    opened: OpenBox, name: str, part: Path, choice: Choice, source: Source, told: Told
) -> None:
    dataset = _read(opened, name)
    assert dataset is not None
    if dataset.SOPClassUID == EncapsulatedPDFStorage and source.known.reviewed:
        told.left_out["report as PDF of a scan that was reviewed: it names the readers"] += 1
        return
    frame = str(dataset.get("FrameOfReferenceUID") or "")
    plane = source.planes.get(frame) if frame else None
    faceless = plane is not None and dataset.SOPClassUID in MR_CLASSES
    try:
        without_hidden_bits(dataset)
        if plane is not None and faceless:
            without_face(dataset, *plane)
    except MetadataError as error:
        told.left_out[error.what] += 1
        return
    except Exception as error:  # decoders fail in many ways
        told.left_out[f"pixels cannot be decoded ({type(error).__name__})"] += 1
        return
    person = source.people.whose(dataset)
    out = deidentify(dataset, choice, person=person, faceless=faceless)
    # names of files and folders of the source may name the patient: none is kept
    folder = part / f"{int(out.get('SeriesNumber') or 0):04d}_{out.SeriesInstanceUID[-8:]}"
    path, copy = folder / f"{out.SOPInstanceUID}.dcm", 1
    while path.exists():  # some anonymisers gave every file one identifier
        copy += 1
        path = folder / f"{out.SOPInstanceUID}_{copy}.dcm"
    data = io.BytesIO()
    out.save_as(data, enforce_file_format=True)
    found = Residue()
    found.look(pydicom.dcmread(io.BytesIO(data.getvalue())), source.known)
    if found.found:
        told.still_named += 1
        left = (f"{place} would still hold the source's {what}" for place, what in found.found)
        told.left_out["; ".join(sorted(left))] += 1
        return
    with whole_file(path) as stream:
        stream.write(data.getvalue())
    told.written += 1
    told.faceless += faceless
    told.people.add(str(out.PatientID))
    told.residue.add(found)
    if person == str(dataset.get("StudyInstanceUID", "")):
        told.residue.doubts["whose it is: no number and no name, the study stands for it"] += 1
