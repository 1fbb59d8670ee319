"""DICOM files of a folder as something to send: what they are, whole or not, alike or not."""

import hashlib
import io
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID

from petechia.errors import FileError
from petechia.files.dicom.headers import is_dicom, quietly
from petechia.files.pacs.uids import is_uid

CHUNK_BYTES = 1 << 20
MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"
_WANTED = ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"]
_WHEN_WRITTEN = ("InstanceCreationDate", "InstanceCreationTime", "ContentDate", "ContentTime")
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_DELIMITER = b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"
"""End of compressed pixel data."""


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A whole DICOM file.

    Attributes
    ----------
    path : Path
        Where it is.
    name : str
        Relative to the folder that was given: what messages say.
    sop, sop_class, study, series, syntax : str
        UIDs.
    n_bytes : int
        Its size.
    sha256 : str
        Of all its bytes.
    """

    path: Path
    name: str
    sop: str
    sop_class: str
    study: str
    series: str
    syntax: str
    n_bytes: int
    sha256: str


def dicom_files(folder: Path) -> tuple[list[LocalFile], dict[str, str], int]:
    """Return the DICOM files below a folder (or the one file), what is wrong with others, and
    how many are no DICOM.

    Raises
    ------
    FileError
        No such place.
    """  # noqa: D205
    folder = Path(folder)
    if not folder.exists():
        raise FileError("no such file or folder", where=str(folder), mend="Check the path.")
    found, broken, n_other = [], {}, 0
    for path in [folder] if folder.is_file() else _below(folder):
        name = path.name if path == folder else path.relative_to(folder).as_posix()
        try:
            file = read_local(path, name)
        except FileError as error:
            broken[name] = error.what
            continue
        if file is None:
            n_other += 1
        elif file.sop_class != MEDIA_DIRECTORY:
            found.append(file)
    return found, broken, n_other


def read_local(path: Path, name: str) -> LocalFile | None:
    """Return what a file is; None when it is no DICOM.

    Raises
    ------
    FileError
        DICOM, but cut off, without what it needs to be sent, or against itself.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(140)
            if start[128:132] != b"DICM":
                if is_dicom(start) or start[:4] == b"\2\0\0\0":
                    raise _unfit(name, "has no DICOM file header (preamble and group 2)")
                return None
            stream.seek(0)
            header = _header(stream, name)
            stream.seek(0)
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
            size = stream.tell()
    except OSError as error:
        raise _unfit(name, f"cannot be read ({type(error).__name__})") from error
    meta = header.file_meta
    if str(header.SOPInstanceUID) != str(meta.get("MediaStorageSOPInstanceUID", "")) or str(
        header.SOPClassUID
    ) != str(meta.get("MediaStorageSOPClassUID", "")):
        raise _unfit(name, "its file header and its content name different objects")
    uids = (str(header[keyword].value) for keyword in _WANTED)
    sop_class, sop, study, series = uids
    return LocalFile(
        path, name, sop, sop_class, study, series, str(meta.TransferSyntaxUID), size, sha256
    )


def identity_of(stream: IO[bytes]) -> tuple[str, str]:
    """Return SOP and study instance UID of a DICOM file; empty when it is none."""
    try:
        header = _header(_rewound(stream), "")
    except FileError:
        return "", ""
    return str(header.SOPInstanceUID), str(header.StudyInstanceUID)


def same_content(one: IO[bytes], other: IO[bytes]) -> bool:
    """Whether two DICOM files say the same, whatever their file headers.

    Group 2 is left aside, and so are group lengths and the times of writing; between two
    transfer syntaxes the pixels are not compared when one is compressed.
    """
    with quietly(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first, second = pydicom.dcmread(_rewound(one)), pydicom.dcmread(_rewound(other))
        syntaxes = [UID(str(d.file_meta.get("TransferSyntaxUID", ""))) for d in (first, second)]
        recoded = syntaxes[0] != syntaxes[1] and any(s.is_compressed for s in syntaxes)
        for dataset in (first, second):
            for tag in [tag for tag in dataset.keys() if tag.element == 0]:  # noqa: SIM118
                del dataset[tag]
            for keyword in _WHEN_WRITTEN + (_PIXELS if recoded else ()):
                if keyword in dataset:
                    del dataset[keyword]
        return bool(first == second)


def _rewound(stream: IO[bytes]) -> BinaryIO:
    stream.seek(0)
    return stream  # type: ignore[return-value]


def _header(stream: BinaryIO, name: str) -> Dataset:
    """Return the UIDs of a file that is whole."""
    try:
        with quietly():
            header = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=_WANTED)
            missing = [k for k in _WANTED if not str(header.get(k) or "")]
            syntax = str(header.file_meta.get("TransferSyntaxUID", ""))
    except FileError:
        raise
    except Exception as error:  # a damaged file can fail in any way inside the parser
        raise _unfit(name, f"cannot be parsed as DICOM ({type(error).__name__})") from error
    if header.file_meta.get("MediaStorageSOPClassUID") == MEDIA_DIRECTORY:
        header.SOPClassUID = MEDIA_DIRECTORY
        header.SOPInstanceUID = header.file_meta.get("MediaStorageSOPInstanceUID", "")
        header.StudyInstanceUID = header.SeriesInstanceUID = ""
        return header
    missing += [] if syntax else ["its transfer syntax"]
    if missing:
        raise _unfit(name, f"lacks {', '.join(missing)}")
    wrong = [k for k in _WANTED if not is_uid(str(header[k].value))]
    if wrong or not is_uid(syntax):
        raise _unfit(name, f"has something else than a UID as {', '.join(wrong) or 'syntax'}")
    if not _is_whole(stream, UID(syntax)):
        raise _unfit(name, "is cut off within its pixels")
    return header


def _is_whole(stream: BinaryIO, syntax: UID) -> bool:
    """Whether the pixel data that begin here are all there; true when there are none."""
    start = stream.tell()
    size = stream.seek(0, io.SEEK_END)
    stream.seek(start)
    head = stream.read(12)
    group = head[:2] if syntax.is_little_endian else head[1::-1]
    if syntax.is_deflated or not head or group != b"\xe0\x7f":
        return True
    order = "little" if syntax.is_little_endian else "big"
    long_form = not syntax.is_implicit_VR
    at = 8 if long_form else 4
    length = int.from_bytes(head[at : at + 4], order)  # type: ignore[arg-type]
    if len(head) < at + 4:
        return False
    if length != 0xFFFFFFFF:
        return start + at + 4 + length <= size
    stream.seek(max(start, size - CHUNK_BYTES))
    return _DELIMITER in stream.read()


def _below(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, sorted; what begins with a dot is not meant."""
    for place, inside, names in os.walk(folder):
        inside[:] = sorted(name for name in inside if not name.startswith("."))
        for name in sorted(names):
            path = Path(place) / name
            if not name.startswith(".") and path.is_file():
                yield path


def _unfit(name: str, what: str) -> FileError:
    return FileError(what, where=name, mend="Write or copy it again.")
