"""SWI and its projection as a classic MR series, which any PACS shows like the scanner's."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import MRImageStorage

from petechia.files.dicom.results import codes
from petechia.files.dicom.results.identity import RESEARCH, Identity, coded, derivation, reference

TOP = 32767
"""Stored value of the brightest voxel: signed and unsigned viewers agree up to here."""


@dataclass(frozen=True, slots=True)
class SeriesKind:
    """Image type, words and derivation of a series."""

    image_type: tuple[str, ...]
    words: str
    how: Code


KINDS: Mapping[str, SeriesKind] = {
    # "SWI" and "MIN IP" tell other readers that this is no source image; ours goes by the maker
    "swi": SeriesKind(("DERIVED", "SECONDARY", "OTHER", "SWI"), "SWI", codes.WEIGHTED),
    "mip": SeriesKind(
        ("DERIVED", "SECONDARY", "PROJECTION IMAGE", "MIN IP"), "mIP", codes.PROJECTED
    ),
}
FROM_SCANNER = ("ScanningSequence", "SequenceVariant", "ScanOptions", "MRAcquisitionType")
UNKNOWN = {
    "ScanningSequence": "GR",
    "SequenceVariant": "NONE",
    "ScanOptions": "",
    "MRAcquisitionType": "",
}


def image_series(
    identity: Identity, kind: str, values: npt.NDArray[np.float32], te_s: float, slab_mm: float
) -> Iterator[Dataset]:
    """Yield the files of a series, slice by slice.

    Parameters
    ----------
    identity : Identity
        Names and source.
    kind : str
        'swi' or 'mip'.
    values : (slices, rows, columns) ndarray of float32
        Arbitrary units; stored as whole numbers, with the slope that brings them back in the
        real world value mapping: a rescale slope confuses the windows of some viewers.
    te_s : float
        Echo time they were read at [s].
    slab_mm : float
        Thickness of the projection [mm].
    """
    top = float(values.max())
    slope = float(f"{top / TOP:.8g}") if top > 0 else 1.0
    stored = np.clip(np.rint(values / slope), 0, 65535).astype(np.uint16)
    lit = values[values > 0]
    white = float(np.percentile(lit[:: max(1, lit.size // 200_000)], 99)) if lit.size else 1.0
    real_world = _real_world(slope)
    words = KINDS[kind].words if kind == "swi" else f"{KINDS[kind].words} {slab_mm:g} mm"
    for k, plane in enumerate(stored):
        out = identity.blank(kind, MRImageStorage, k + 1, "MR")
        out.SeriesDescription = f"Petechia {words}. {RESEARCH}"
        _say_sequence(out, identity, te_s)
        _say_place(out, identity, k)
        out.ImageType = list(KINDS[kind].image_type)
        out.AcquisitionNumber = 1
        out.DerivationDescription = f"{words} by Petechia"
        _say_source(out, identity, k, kind)
        out.SamplesPerPixel, out.PhotometricInterpretation = 1, "MONOCHROME2"
        out.Rows, out.Columns = plane.shape
        out.BitsAllocated = out.BitsStored = 16
        out.HighBit, out.PixelRepresentation = 15, 0
        out.WindowCenter, out.WindowWidth = f"{white / slope / 2:.0f}", f"{white / slope:.0f}"
        out.RealWorldValueMappingSequence = [real_world]
        out.LossyImageCompression = identity.origin.slices[k].LossyImageCompression
        out.PixelData = plane.tobytes()
        out["PixelData"].VR = "OW"
        yield out


def _real_world(slope: float) -> Dataset:
    """Return how stored values become those of the NIfTI image."""
    out = Dataset()
    out.RealWorldValueFirstValueMapped, out.RealWorldValueLastValueMapped = 0, 65535
    out.RealWorldValueSlope, out.RealWorldValueIntercept = slope, 0.0
    out.LUTExplanation, out.LUTLabel = "Intensity, arbitrary units", "INTENSITY"
    out.MeasurementUnitsCodeSequence = [coded(codes.ONE)]
    out["RealWorldValueFirstValueMapped"].VR = out["RealWorldValueLastValueMapped"].VR = "US"
    return out


def _say_sequence(out: Dataset, identity: Identity, te_s: float) -> None:
    """Fill in the MR Image module."""
    source = identity.origin
    out.PatientPosition = source.header.get("PatientPosition", "")
    for keyword in FROM_SCANNER:
        element = source.header.get(keyword)
        setattr(out, keyword, element if element else UNKNOWN[keyword])
    facts = source.sources[0][0].facts
    if not out.MRAcquisitionType and facts.acquisition_type:
        out.MRAcquisitionType = facts.acquisition_type
    out.RepetitionTime = _decimal(facts.tr_s, 1000)
    out.EchoTime, out.EchoTrainLength = _decimal(te_s, 1000), len(source.te_ms)
    if facts.flip_deg is not None:
        out.FlipAngle = _decimal(facts.flip_deg)
    if facts.b0_t is not None:
        out.MagneticFieldStrength = _decimal(facts.b0_t)


def _decimal(value: float | None, times: float = 1.0) -> Any:
    """Return a number that fits a decimal string; empty when it is not known."""
    return "" if value is None else f"{value * times:.7g}"


def _say_place(out: Dataset, identity: Identity, k: int) -> None:
    """Fill in the Image Plane module."""
    place = identity.origin.slices[k]
    for keyword in (
        "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness",
        "SpacingBetweenSlices",
    ):  # fmt: skip
        setattr(out, keyword, place[keyword].value)


def _say_source(out: Dataset, identity: Identity, k: int, kind: str) -> None:
    """Refer to the source images of slice `k`."""
    frames = identity.origin.sources[k]
    made = derivation(frames, KINDS[kind].how)
    out.DerivationCodeSequence = made.DerivationCodeSequence
    out.SourceImageSequence = made.SourceImageSequence
    for item in out.SourceImageSequence:
        item.SpatialLocationsPreserved = "YES" if kind == "swi" else "NO"
    image = reference(frames[0])
    image.PurposeOfReferenceCodeSequence = [coded(codes.SOURCE_PURPOSE)]
    out.ReferencedImageSequence = [image]
