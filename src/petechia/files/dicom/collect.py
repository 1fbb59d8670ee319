"""Every frame in a folder, file or zip, with what had to be left aside counted."""

import hashlib
import io
import logging
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydicom.dataset import Dataset

from petechia.errors import FileError
from petechia.files.dicom.archive import Box, OpenBox
from petechia.files.dicom.frames import Frame, frames_of
from petechia.files.dicom.headers import is_dicom, quietly, read_header
from petechia.files.nifti import is_nifti

log = logging.getLogger(__name__)

MR_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.4",  # MR
    "1.2.840.10008.5.1.4.1.1.4.1",  # enhanced MR
    "1.2.840.10008.5.1.4.1.1.4.4",  # legacy converted enhanced MR
}
CT_CLASS = "1.2.840.10008.5.1.4.1.1.2"
STANDARD = "1.2.840.10008."
"""Classes outside it are vendors' own and may be images."""
PACKED = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar")
"""Endings of archives."""


@dataclass(slots=True)
class Collected:
    """What was found.

    Attributes
    ----------
    frames : list of Frame
        Of MR images, without copies of the same instance.
    broken : dict of str to str
        DICOM files that cannot be parsed: name, and what is wrong.
    modalities : Counter
        Images of other modalities than MR.
    ct : list of (file, person, header)
        Classic CT images, which may be of a CT of the same head.
    person : str
        A fingerprint of who is on the MR images, '' when no header says.
    n_people : int
        Persons on the MR images whose names or birth dates differ, though their ID does not.
    copies : list of (file, file)
        Of files that repeat an instance: the one that is read, and the one that is not.
    packed : list of str
        Archives, which are not opened.
    n_junk, n_no_image : int
        Files that are no DICOM, are DICOM but no MR image.
    n_special : int
        Entries that are no files: pipes, sockets, devices.
    """

    frames: list[Frame] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    modalities: Counter[str] = field(default_factory=Counter)
    ct: list[tuple[str, str, Dataset]] = field(default_factory=list)
    person: str = ""
    n_people: int = 0
    copies: list[tuple[str, str]] = field(default_factory=list)
    packed: list[str] = field(default_factory=list)
    n_junk: int = 0
    n_no_image: int = 0
    n_special: int = 0


class Persons:
    """Tells persons of one identifier apart by name and birth date; both may be unknown."""

    def __init__(self) -> None:
        self._known: list[tuple[str, str]] = []

    def number(self, header: Dataset) -> int:
        """Return the number of the person on an image, from 0."""
        # accents and other scripts are left out: they differ with the character set alone
        stated = str(header.get("PatientName") or "").partition("=")[0].casefold()
        name = "".join(c for c in stated if c.isascii() and c.isalnum())
        born = "".join(c for c in str(header.get("PatientBirthDate") or "") if c.isdigit())
        for n, (known_name, known_born) in enumerate(self._known):
            if name in ("", known_name or name) and born in ("", known_born or born):
                self._known[n] = (known_name or name, known_born or born)
                return n
        self._known.append((name, born))
        return len(self._known) - 1


def collect(box: Box, found: Collected | None = None) -> Collected:
    """Read the headers of everything in `box`.

    Parameters
    ----------
    box : Box
        Folder, file or zip.
    found : Collected, optional
        Filled with what is found; a new one without it.

    Raises
    ------
    FileError
        More than one patient; or no readable MR image at all, with the reason.
    """
    found = Collected() if found is None else found
    people: Counter[str] = Counter()
    persons = Persons()
    seen: dict[str, str] = {}
    names, found.n_special = box.listed()
    with box.opened() as opened, quietly():
        for name in names:
            try:
                header = _header(opened, name, found)
                if header is None or not _is_wanted(header[0], name, found):
                    continue
                person = _person(header[0])
                who = persons.number(header[0])
                frames = [replace(f, person=who) for f in frames_of(header[0], name, header[1])]
            except FileError as error:
                found.broken[name] = error.what
            except Exception as error:  # a damaged file can fail in any way inside the parser
                found.broken[name] = f"cannot be parsed as DICOM ({type(error).__name__})"
            else:
                people[person] += 1
                _add(frames, name, found, seen)
    _require_one_patient(people, box.place)
    found.person = next((who for who in people if who), "")
    found.n_people = len({frame.person for frame in found.frames})
    if not found.frames:
        raise _nothing(found, box.place)
    log.info("%d frames in %d files", len(found.frames), len({f.file for f in found.frames}))
    return found


def _header(opened: OpenBox, name: str, found: Collected) -> tuple[Dataset, str | None] | None:
    """Return the header of a DICOM file and what is wrong with its pixels; count junk."""
    with opened.stream(name) as stream:
        start = stream.read(140)
        if not is_dicom(start):
            found.n_junk += 1
            if name.lower().endswith(PACKED) and not is_nifti(name):
                found.packed.append(name)
            return None
        n_bytes = stream.seek(0, io.SEEK_END)
        stream.seek(0)
        return read_header(stream, n_bytes)


def _is_wanted(dataset: Dataset, name: str, found: Collected) -> bool:
    """Whether this is an MR image; if not, count what it is."""
    kind = str(dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID", ""))
    modality = str(dataset.get("Modality", ""))
    if "Rows" not in dataset:
        if kind in MR_CLASSES or not (kind or modality):
            found.broken[name] = "ends within its header, or holds no image"
        else:
            found.n_no_image += 1
        return False
    if modality == "MR" and kind not in MR_CLASSES and kind.startswith(STANDARD):
        found.n_no_image += 1  # screenshots, spectra, maps
        return False
    if modality != "MR" and kind not in MR_CLASSES:
        found.modalities[modality or "unknown"] += 1
        if modality == "CT" and kind == CT_CLASS:
            found.ct.append((name, _person(dataset), dataset))
        return False
    return True


def _add(frames: list[Frame], name: str, found: Collected, seen: dict[str, str]) -> None:
    """Add the frames of an MR file unless the same instance is there already."""
    first = frames[0]
    # some anonymisers give every file one UID: a copy must lie at the same place too
    instance = f"{first.sop} {first.position} {first.te_ms} {first.part} {first.instance}"
    if first.sop and instance in seen:
        whole = not frames[0].fault
        if whole and any(f.fault for f in found.frames if f.file == seen[instance]):
            # the copy is whole where the first was not
            found.frames = [f for f in found.frames if f.file != seen[instance]]
        else:
            found.copies.append((seen[instance], name))
            return
    seen[instance] = name
    found.frames += frames


def _person(dataset: Dataset) -> str:
    """Return a fingerprint of who was scanned, '' when the header does not say."""
    who = str(dataset.get("PatientID") or "").strip() or str(dataset.get("PatientName") or "")
    return hashlib.sha256(who.strip().encode()).hexdigest() if who.strip() else ""


def _require_one_patient(people: Counter[str], place: Path) -> None:
    known = [n for who, n in people.items() if who]
    if len(known) > 1:
        files = ", ".join(str(n) for n in sorted(known, reverse=True)[:10])
        raise FileError(
            f"{len(known)} patients in one place (with {files} MR files)",
            where=str(place),
            mend="Give one patient at a time: a folder or zip for each.",
        )


def _nothing(found: Collected, place: Path) -> FileError:
    """Return the error for a place without a single MR image."""
    if found.broken:
        name, fault = next(iter(found.broken.items()))
        return FileError(
            f"{fault}; no other MR image among {len(found.broken)} damaged files",
            where=name,
            mend="Copy the scan again from the scanner or archive.",
        )
    if found.modalities:
        kinds = ", ".join(f"{n} {modality}" for modality, n in found.modalities.most_common())
        return FileError(
            f"no MR image: {kinds}",
            where=str(place),
            mend="Give the gradient-echo MR series (SWI, T2* or QSM) of the examination.",
        )
    if found.n_no_image:
        return FileError(
            f"{found.n_no_image} DICOM files, but none is an MR image",
            where=str(place),
            mend="Export the original images, not only screenshots, reports or annotations.",
        )
    if found.packed:
        return FileError(
            f"no DICOM file among {found.n_junk} files; archives inside are not opened: "
            + ", ".join(found.packed[:5]),
            where=str(place),
            mend="Unpack them and give the folder; a .zip of DICOM may be the input itself.",
        )
    return FileError(
        f"no DICOM file among {found.n_junk} files",
        where=str(place),
        mend="Give a folder, file or zip of DICOM images, or a BIDS or NIfTI folder.",
    )
