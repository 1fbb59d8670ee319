"""Pixels without the face, which lies beyond a plane, and without bits that no viewer shows."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, RLELossless

from petechia.errors import MetadataError
from petechia.files.dicom.frames import Frame, frames_of

Vector = npt.NDArray[np.float64]
LPS = np.array([-1.0, -1.0, 1.0])


def without_face(dataset: Dataset, normal: Sequence[float], offset_mm: float) -> int:
    """Set to 0, in place, the pixels beyond a plane; return how many.

    Parameters
    ----------
    dataset : Dataset
        An MR image, classic or enhanced; compressed pixels are decoded, and stay so.
    normal : sequence of 3 floats
        Of the plane, scanner RAS.
    offset_mm : float
        Places with `normal @ place > offset_mm` lie beyond [mm].

    Raises
    ------
    MetadataError
        A frame has no place: whether it shows the face cannot be told.
    """
    frames = list(frames_of(dataset, ""))
    if len(frames) != int(dataset.get("NumberOfFrames") or 1) or not all(map(_has_place, frames)):
        raise MetadataError(
            "no place in space, so that the face cannot be found",
            where="an MR image",
            mend="Leave it out, or give it without --deface.",
        )
    masks = [_beyond(frame, np.asarray(normal) * LPS, offset_mm) for frame in frames]
    if not any(mask.any() for mask in masks):
        return 0
    if dataset.file_meta.TransferSyntaxUID.is_compressed:
        dataset.decompress(generate_instance_uid=False)
    stored = np.array(dataset.pixel_array).reshape(len(frames), dataset.Rows, dataset.Columns)
    n = 0
    for frame, mask in zip(stored, masks, strict=True):
        n += int(mask.sum())
        frame[mask] = 0
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.PixelData = stored.astype(stored.dtype.newbyteorder("<")).tobytes()
    dataset["PixelData"].VR = "OW"
    return n


def without_hidden_bits(dataset: Dataset) -> None:
    """Set the bits above the stored ones, in place: old overlays lie there, with text drawn in.

    They become 0, or repeat the sign, as the standard has it. Compressed pixels are decoded where
    such bits can be in them: run-length coding, or an overlay that is said to be.

    Raises
    ------
    MetadataError
        The stored bits are not the lowest ones.
    """
    if "PixelData" not in dataset:
        return
    allocated = int(dataset.get("BitsAllocated") or 0)
    stored = int(dataset.get("BitsStored") or allocated)
    if allocated not in (8, 16, 32) or stored >= allocated:
        return
    if int(dataset.get("HighBit", stored - 1)) != stored - 1:
        raise MetadataError(
            "bits beside the stored ones may hold an overlay",
            where="an image",
            mend="Write it again with the lowest bits in use.",
        )
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax.is_compressed:
        if syntax != RLELossless and not _has_inner_overlay(dataset):
            return
        dataset.decompress(generate_instance_uid=False)
        syntax = dataset.file_meta.TransferSyntaxUID
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    kind = "i" if int(dataset.get("PixelRepresentation") or 0) else "u"
    step = allocated // 8
    data = bytes(dataset.PixelData)
    whole = len(data) // step * step
    values = np.frombuffer(data[:whole], f"{order}{kind}{step}")
    spare = allocated - stored
    clean = ((values << spare) >> spare).astype(values.dtype)
    dataset.PixelData = clean.tobytes() + b"\0" * (len(data) - whole)


def _has_inner_overlay(dataset: Dataset) -> bool:
    """Whether an overlay is said to lie in bits of the pixels."""
    return any(
        0x6000 <= element.tag.group <= 0x60FF and element.tag.element == 0x0102 and element.value
        for element in dataset
    )


def _has_place(frame: Frame) -> bool:
    """Whether a frame says where it lies: a place, two directions, distances."""
    if frame.position is None or frame.orientation is None or frame.pixel_mm is None:
        return False
    area = np.linalg.norm(np.cross(frame.orientation[:3], frame.orientation[3:]))
    return bool(abs(area - 1) < 0.01 and min(frame.pixel_mm) > 0)


def _beyond(frame: Frame, normal_lps: Vector, offset_mm: float) -> npt.NDArray[np.bool_]:
    """Return the pixels beyond the plane of a frame that has a place."""
    assert frame.position is not None
    assert frame.orientation is not None
    assert frame.pixel_mm is not None
    rows, columns = frame.size
    first = float(normal_lps @ np.asarray(frame.position))
    across = float(normal_lps @ np.asarray(frame.orientation[:3])) * frame.pixel_mm[1]
    down = float(normal_lps @ np.asarray(frame.orientation[3:])) * frame.pixel_mm[0]
    height = first + down * np.arange(rows)[:, None] + across * np.arange(columns)[None, :]
    out: npt.NDArray[np.bool_] = height > offset_mm
    return out
