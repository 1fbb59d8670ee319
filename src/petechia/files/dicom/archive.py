"""A folder, a file or a zip as one box of named byte streams.

Zip members are read in memory, one at a time, and never written to disk. An archive that tries
to escape (absolute or `..` names, links) or to swell is refused as a whole.
"""

import hashlib
import io
import lzma
import stat
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from petechia.errors import FileError
from petechia.files.walk import is_special, names_below

UNREADABLE = (
    OSError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, KeyError, ValueError,
    NotImplementedError,
)  # fmt: skip
"""What reading a damaged or unusually packed member can raise."""
ZIP_MAGIC = b"PK\x03\x04"
MAX_MEMBERS = 200_000
MAX_MEMBER_BYTES = 2 * 1024**3
MAX_TOTAL_BYTES = 32 * 1024**3
MAX_RATIO = 200
"""Of unpacked to packed size, for members above `RATIO_FROM_BYTES`: images pack 2 to 20 times."""
RATIO_FROM_BYTES = 16 * 1024**2


@dataclass(frozen=True, slots=True)
class Box:
    """What a user pointed at; its files are known by their path relative to it.

    It holds no open file, so that it crosses process borders.
    """

    place: Path

    @property
    def is_zip(self) -> bool:
        """Whether the place is a zip archive, be it a damaged one."""
        if not self.place.is_file():
            return False
        with self.place.open("rb") as stream:
            return stream.read(4) == ZIP_MAGIC or zipfile.is_zipfile(self.place)

    def names(self) -> list[str]:
        """Return the relative POSIX paths of all files, sorted; a single file is its own name."""
        return self.listed()[0]

    def listed(self) -> tuple[list[str], int]:
        """Return `names`, and how many entries are no files: pipes, sockets, devices."""
        if self.place.is_dir():
            return names_below(self.place)
        if not self.place.exists() or is_special(self.place):
            raise FileError(
                "no such file or folder",
                where=str(self.place),
                mend="Check the path of the input.",
            )
        return (_members(self.place) if self.is_zip else [self.place.name]), 0

    def opened(self) -> "OpenBox":
        """Return a reader of this box: a context manager."""
        return OpenBox(self)


class OpenBox:
    """Reads files of a box; keeps a zip open between reads."""

    def __init__(self, box: Box) -> None:
        self._place = box.place
        self._zip: zipfile.ZipFile | None = None
        if box.is_zip:
            self._zip = _archive(box.place)

    def __enter__(self) -> "OpenBox":
        return self

    def __exit__(self, *_: object) -> None:
        if self._zip is not None:
            self._zip.close()

    def read(self, name: str) -> bytes:
        """Return the bytes of one file.

        Raises
        ------
        FileError
            The file is gone, may not be read, or its archive is damaged.
        """
        try:
            if self._zip is not None:
                return self._zip.read(name)
            return self._path(name).read_bytes()
        except UNREADABLE as error:
            raise FileError(
                f"cannot be read ({type(error).__name__})",
                where=name,
                mend="Copy the scan again from the scanner or archive; check its permissions.",
            ) from error

    def stream(self, name: str) -> IO[bytes]:
        """Return a seekable binary stream of one file; the caller closes it."""
        if self._zip is not None:
            return io.BytesIO(self.read(name))
        try:
            return self._path(name).open("rb")
        except OSError as error:
            raise FileError(
                f"cannot be read ({type(error).__name__})",
                where=name,
                mend="Check that the file exists and may be read.",
            ) from error

    def _path(self, name: str) -> Path:
        return self._place / name if self._place.is_dir() else self._place


def sha256(data: bytes) -> str:
    """Return the SHA-256 of `data` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _archive(place: Path) -> zipfile.ZipFile:
    """Return an open zip archive."""
    try:
        return zipfile.ZipFile(place)
    except UNREADABLE as error:
        raise FileError(
            f"the zip archive is damaged ({type(error).__name__})",
            where=place.name,
            mend="Copy or pack it again.",
        ) from error


def _members(place: Path) -> list[str]:
    """Return the file members of a zip after checking that it is harmless."""
    with _archive(place) as archive:
        members = archive.infolist()
    names = []
    for member in members:
        _require_harmless(member, place)
        path = PurePosixPath(member.filename)
        hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
        if not member.is_dir() and not hidden:
            names.append(member.filename)
    name, n = Counter(names).most_common(1)[0] if names else ("", 0)
    if n > 1:
        _refuse(place, f"{n} members are named {name!r}: only one of them could be read")
    total = sum(m.file_size for m in members)
    if len(members) > MAX_MEMBERS or total > MAX_TOTAL_BYTES:
        raise FileError(
            f"the archive unpacks to {len(members)} files of {total / 1024**3:.1f} GiB",
            where=place.name,
            mend=f"At most {MAX_MEMBERS} files and {MAX_TOTAL_BYTES // 1024**3} GiB are taken: "
            "unpack it and give the folder.",
        )
    return sorted(names)


def _require_harmless(member: zipfile.ZipInfo, place: Path) -> None:
    """Raise `FileError` for names that escape, links, encryption and bombs."""
    name = member.filename
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or (path.parts and ":" in path.parts[0]):
        _refuse(place, f"member {name!r} points outside the archive")
    if stat.S_ISLNK(member.external_attr >> 16):
        _refuse(place, f"member {name!r} is a link")
    if member.flag_bits & 0x1:
        _refuse(place, "it is encrypted")
    ratio = member.file_size / max(member.compress_size, 1)
    swells = member.file_size > RATIO_FROM_BYTES and ratio > MAX_RATIO
    if member.file_size > MAX_MEMBER_BYTES or swells:
        _refuse(place, f"member {name!r} unpacks to {member.file_size} bytes, {ratio:.0f}-fold")


def _refuse(place: Path, what: str) -> None:
    raise FileError(
        f"zip archive refused: {what}",
        where=place.name,
        mend="If you trust it, unpack it yourself and give the folder.",
    )
