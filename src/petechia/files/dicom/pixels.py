"""Pixels of frames: decoded, rescaled, in order; with copies told from repeats."""

import io
import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.uid import UID, ImplicitVRLittleEndian

from petechia.errors import DependencyError, FileError, PetechiaError
from petechia.files.dicom.archive import OpenBox, sha256
from petechia.files.dicom.frames import Frame
from petechia.files.dicom.geometry import Stack
from petechia.files.dicom.headers import quietly
from petechia.files.dicom.sort import Volume, place_of


class Pixels:
    """Decodes files of an open box; remembers hashes, and the last file with many frames."""

    def __init__(self, opened: OpenBox) -> None:
        self._opened = opened
        self._last: tuple[str, npt.NDArray[np.generic]] | None = None
        self.sha256: dict[str, str] = {}

    def frame(self, frame: Frame) -> npt.NDArray[np.generic]:
        """Return the stored values of one frame, (rows, columns)."""
        if self._last is None or self._last[0] != frame.file:
            data = self._opened.read(frame.file)
            self.sha256[frame.file] = sha256(data)
            self._last = frame.file, _decoded(frame.file, data)
        values: npt.NDArray[np.generic] = self._last[1][frame.index]
        return values

    def require_same(self, kept: str, copy: str) -> None:
        """Raise `FileError` when a copy of a file that was read shows another image."""
        data = self._opened.read(copy)
        if kept not in self.sha256 or sha256(data) == self.sha256[kept]:
            return
        try:
            theirs = _decoded(copy, data)
        except PetechiaError:  # the one that was read is whole
            return
        if not np.array_equal(_decoded(kept, self._opened.read(kept)), theirs):
            raise FileError(
                f"has the SOPInstanceUID and place of {kept}, but shows another image",
                where=copy,
                mend="Find out which of the two belongs to the scan, and take the other away.",
            )

    def digest(self, frame: Frame) -> str:
        """Return a fingerprint of one frame's stored values."""
        return sha256(np.ascontiguousarray(self.frame(frame)).tobytes())

    def stored(self, stack: Stack) -> npt.NDArray[np.generic]:
        """Return the stored values of a volume, (columns, rows, slices)."""
        return _in_order([self.frame(f) for f in stack.frames])

    def rescaled(self, stack: Stack) -> npt.NDArray[np.float32]:
        """Return the values after rescale slope and intercept, (columns, rows, slices)."""
        slices = []
        for frame in stack.frames:
            slope, intercept = frame.rescale
            values = np.asarray(self.frame(frame), dtype=np.float32)
            if (slope, intercept, frame.divisor) != (1.0, 0.0, 1.0):
                values = (values * np.float32(slope) + np.float32(intercept)) / np.float32(
                    frame.divisor
                )
            slices.append(values)
        return np.asarray(_in_order(slices), dtype=np.float32)


def _decoded(name: str, data: bytes) -> npt.NDArray[np.generic]:
    """Return the stored values of a whole file, (frames, rows, columns)."""
    with quietly():
        try:
            dataset = pydicom.dcmread(io.BytesIO(data), force=True)
            syntax = dataset.file_meta.get("TransferSyntaxUID", ImplicitVRLittleEndian)
            dataset.file_meta.TransferSyntaxUID = syntax
            values = dataset.pixel_array
        except MemoryError:
            raise
        except Exception as error:  # decoders fail in many ways on damaged pixels
            raise _undecodable(name, data, error) from error
    shape = (int(dataset.get("NumberOfFrames") or 1), dataset.Rows, dataset.Columns)
    return np.asarray(values).reshape(shape)


def _in_order(slices: Sequence[npt.NDArray[np.generic]]) -> npt.NDArray[np.generic]:
    """Return slices of (rows, columns) as a contiguous (columns, rows, slices)."""
    return np.ascontiguousarray(np.stack(slices).transpose(2, 1, 0))


def _undecodable(name: str, data: bytes, error: Exception) -> PetechiaError:
    """Return the error for pixels that do not decode: a codec is missing, or they are damaged."""
    syntax = UID("")
    with quietly(), warnings.catch_warnings():
        try:
            header = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True, force=True)
            syntax = UID(header.file_meta.get("TransferSyntaxUID", ""))
        except Exception:  # damaged earlier than its pixels
            pass
    if "missing dependencies" in str(error) or isinstance(error, NotImplementedError):
        return DependencyError(
            f"its pixels are compressed as {syntax.name}, which needs a decoder not installed",
            where=name,
            mend="Run `pip install 'petechia[codecs]'`, or export the scan uncompressed.",
        )
    return FileError(
        f"its pixels cannot be decoded ({type(error).__name__}); the file is damaged or truncated",
        where=name,
        mend="Copy or export it again.",
    )


def same_pixels(pixels: Pixels, a: Volume, b: Volume) -> bool:
    """Whether two volumes hold the same stored values at the same places."""
    ours = {place_of(f): f for f in a.frames}
    theirs = {place_of(f): f for f in b.frames}
    if ours.keys() != theirs.keys() or any(f.fault for f in (*a.frames, *b.frames)):
        return False
    try:
        return all(pixels.digest(f) == pixels.digest(theirs[place]) for place, f in ours.items())
    except PetechiaError:
        return False  # told when the scan is read


def without_copies(volume: Volume, pixels: Pixels) -> tuple[Volume, int]:
    """Return `volume` less slices that repeat place and content, and how many they were."""
    kept: dict[object, list[Frame]] = {}
    n_copies = 0
    for frame in volume.frames:
        here = kept.setdefault(place_of(frame), [])
        broken = frame.fault or any(f.fault for f in here)
        if here and not broken and pixels.digest(frame) in [pixels.digest(f) for f in here]:
            n_copies += 1
        else:
            here.append(frame)
    return replace(volume, frames=tuple(f for here in kept.values() for f in here)), n_copies
