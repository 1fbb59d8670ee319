"""Pixels without the face: what lies beyond a plane is set to 0."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

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
    """
    frames = list(frames_of(dataset, ""))
    masks = [_beyond(frame, np.asarray(normal) * LPS, offset_mm) for frame in frames]
    if not any(mask.any() for mask in masks):
        return 0
    if dataset.file_meta.TransferSyntaxUID.is_compressed:
        dataset.decompress()
    stored = np.array(dataset.pixel_array).reshape(len(frames), dataset.Rows, dataset.Columns)
    n = 0
    for frame, mask in zip(stored, masks, strict=True):
        n += int(mask.sum())
        frame[mask] = 0
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.PixelData = stored.astype(stored.dtype.newbyteorder("<")).tobytes()
    dataset["PixelData"].VR = "OW"
    return n


def _beyond(frame: Frame, normal_lps: Vector, offset_mm: float) -> npt.NDArray[np.bool_]:
    """Return the pixels of a frame beyond the plane; none where it has no place."""
    rows, columns = frame.size
    if frame.position is None or frame.orientation is None or frame.pixel_mm is None:
        return np.zeros((rows, columns), dtype=bool)
    first = float(normal_lps @ np.asarray(frame.position))
    across = float(normal_lps @ np.asarray(frame.orientation[:3])) * frame.pixel_mm[1]
    down = float(normal_lps @ np.asarray(frame.orientation[3:])) * frame.pixel_mm[0]
    height = first + down * np.arange(rows)[:, None] + across * np.arange(columns)[None, :]
    out: npt.NDArray[np.bool_] = height > offset_mm
    return out
