"""A CT of the head as Hounsfield units: NIfTI, or a folder of DICOM slices.

Unlike a gradient echo, a CT may have a leaning gantry (the volume is then sheared, which its
affine tells) and slices of two distances (they are brought to the smaller one, linearly).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.errors import InvalidDicomError

from petechia.core.grid import Grid
from petechia.errors import FileError, MetadataError
from petechia.files.nifti import is_nifti, read_nifti

Volume = npt.NDArray[np.float32]
EXPORT = "Export the original axial series of the CT again."
LEAST_SLICES = 8
WIDEST_MM = 10.0
"""Slices farther apart than this do not make a volume."""


def read_ct(path: Path) -> tuple[Volume, Grid]:
    """Return a CT [HU] and its grid.

    Of several series in a folder the one with the most slices is taken, then the first by
    number; localizers, dose reports and reformats that are no stack are left out.

    Parameters
    ----------
    path : Path
        NIfTI in Hounsfield units, or a DICOM file or folder.

    Raises
    ------
    FileError
        If it cannot be read, slices are missing, or it is no CT.
    MetadataError
        If a slice doesn't say where it is or what its numbers mean.
    """
    if path.is_file() and is_nifti(path.name):
        image = read_nifti(path)
        return np.asarray(image.only, dtype=np.float32), image.grid
    from petechia.files.dicom.headers import quietly  # its package needs this module

    with quietly():
        return ct_of(_read(path), path)


def ct_of(images: Iterable[tuple[str, Any]], place: Path) -> tuple[Volume, Grid]:
    """Return the CT that DICOM images make up: name and content of each, pixels with it.

    Raises
    ------
    FileError, MetadataError
        As `read_ct`.
    """
    slices = [head for name, head in images if _is_slice(head, name)]
    if len({str(head.get("PatientID", "")) for head in slices}) > 1:
        raise FileError(
            "CT of more than one patient", where=str(place), mend="Give one patient's CT."
        )
    if not slices:
        raise FileError(
            "no CT image in it",
            where=str(place),
            mend="Give a NIfTI file, or a folder of CT DICOM.",
        )
    series = defaultdict(list)
    for one in slices:
        turn = tuple(np.round(np.asarray(one.ImageOrientationPatient, dtype=float), 3))
        series[(str(one.SeriesInstanceUID), turn, one.Rows, one.Columns)].append(one)
    best = max(series.values(), key=lambda s: (len(s), -int(s[0].get("SeriesNumber") or 0)))
    return _volume(best, place)


def _read(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield every DICOM file below a path."""
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    for file in files:
        try:
            yield str(file), pydicom.dcmread(file)
        except (InvalidDicomError, EOFError):
            continue
        except OSError as error:
            raise FileError(f"{error.strerror or error}", where=str(file), mend=EXPORT) from error


def _is_slice(head: Any, name: str) -> bool:
    """Return whether this is an axial CT image; raise where it is one that cannot be read."""
    kind = [str(word).upper() for word in head.get("ImageType") or ()]
    if head.get("Modality") != "CT" or "LOCALIZER" in kind or "PixelData" not in head:
        return False
    if "NumberOfFrames" in head and int(head.NumberOfFrames) > 1:
        raise FileError(
            "an enhanced CT with all slices in one file",
            where=name,
            mend="It is not read here: convert it to NIfTI (dcm2niix), or export it classic.",
        )
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        if head.get(keyword) is None:
            raise MetadataError(f"{keyword} is missing", where=name, mend=EXPORT)
    if "RescaleSlope" not in head or "RescaleIntercept" not in head:
        raise MetadataError(
            "no rescale slope and intercept: its numbers are no Hounsfield units",
            where=name,
            mend=EXPORT,
        )
    return True


def _volume(slices: list[Any], path: Path) -> tuple[Volume, Grid]:
    across, down = np.asarray(slices[0].ImageOrientationPatient, dtype=float).reshape(2, 3)
    normal = np.cross(across, down)
    slices.sort(key=lambda one: float(np.asarray(one.ImagePositionPatient, dtype=float) @ normal))
    places = np.array([one.ImagePositionPatient for one in slices], dtype=float)
    kept = np.r_[True, np.diff(places @ normal) > 0.01]  # a repeated slice is kept once
    slices, places = [s for s, k in zip(slices, kept, strict=True) if k], places[kept]
    if len(slices) < LEAST_SLICES:
        raise FileError(f"{len(slices)} slices in the longest series", where=str(path), mend=EXPORT)
    along = places @ normal
    steps = np.diff(along)
    if steps.max() > min(2.5 * steps.min() + 0.1, WIDEST_MM) and _lost(steps):
        raise FileError(
            f"slices lie {steps.min():.2f} to {steps.max():.2f} mm apart: some are missing",
            where=str(path),
            mend=EXPORT,
        )
    try:
        pixels = [s.pixel_array * float(s.RescaleSlope) + float(s.RescaleIntercept) for s in slices]
    except Exception as error:
        raise FileError(
            f"pixels cannot be read ({type(error).__name__}: {error})", where=str(path), mend=EXPORT
        ) from error
    hu = np.stack(pixels, axis=-1).astype(np.float32).transpose(1, 0, 2)
    hu[hu < -1024] = -1024  # what lies outside the reconstruction's circle
    n = len(slices)
    if np.ptp(steps) > 0.05 * float(np.median(steps)):
        n = int(np.floor((along[-1] - along[0]) / steps.min() + 1e-3)) + 1
        goal = along[0] + steps.min() * np.arange(n)
        hu = _between(hu, along, goal)
    step = (places[-1] - places[0]) / (along[-1] - along[0])
    step = step * (float(steps.min()) if n != len(slices) else (along[-1] - along[0]) / (n - 1))
    rows_mm, columns_mm = (float(v) for v in slices[0].PixelSpacing)
    lps = np.eye(4)
    lps[:3, :3] = np.stack([across * columns_mm, down * rows_mm, step], axis=-1)
    lps[:3, 3] = places[0]
    i, j, k = hu.shape
    return hu, Grid((i, j, k), np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps)


def _lost(steps: npt.NDArray[np.float64]) -> bool:
    """Return whether single steps are too wide: slices of two distances change once."""
    wide = steps > 1.5 * float(np.median(steps))
    return bool(np.count_nonzero(np.diff(wide.astype(int))) > 1 or steps.max() > WIDEST_MM)


def _between(hu: Volume, along: npt.NDArray[np.float64], goal: npt.NDArray[np.float64]) -> Volume:
    """Return slices at other places, linearly between those there are."""
    at = np.interp(goal, along, np.arange(len(along)))
    low = np.minimum(at.astype(int), len(along) - 2)
    part = (at - low).astype(np.float32)
    return np.asarray(hu[..., low] * (1 - part) + hu[..., low + 1] * part, dtype=np.float32)
