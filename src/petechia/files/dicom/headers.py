"""Headers of DICOM files, read quietly: is it DICOM, is it whole, what does it say."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import pydicom
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian

FUNCTIONAL_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
KEYWORDS = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber",
    "SeriesDescription", "ProtocolName", "InstanceNumber", "AcquisitionNumber", "Modality",
    "ImageType", "TemporalPositionIdentifier", "FrameOfReferenceUID", "ComplexImageComponent",
    "EchoTime", "EffectiveEchoTime", "ImagePositionPatient", "ImageOrientationPatient",
    "PixelSpacing", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "BitsAllocated",
    "BitsStored", "HighBit",
    "SliceThickness", "SpacingBetweenSlices", "RescaleSlope", "RescaleIntercept",
    "AcquisitionDateTime", "AcquisitionDate", "AcquisitionTime", "LossyImageCompression",
    "Manufacturer", "ManufacturerModelName", "SoftwareVersions", "MagneticFieldStrength",
    "ImagingFrequency", "ImagedNucleus", "ResonantNucleus", "MRAcquisitionType",
    "RepetitionTime", "FlipAngle", "PixelBandwidth", "SequenceName", "PulseSequenceName",
    "ScanningSequence", "EchoPulseSequence", "EchoPlanarPulseSequence", "InversionRecovery",
    "TimeOfFlightContrast", "AngioFlag", "PhaseContrast", "PatientID", "PatientName",
    "PatientBirthDate",
    "ReceiveCoilName", "MultiCoilElementName", "AcquisitionContrast", "InversionTime",
    "InversionTimes", "SequenceVariant", "ContrastBolusAgent", "ContrastBolusAgentSequence",
    "BodyPartExamined", "ConvolutionKernel",
    *FUNCTIONAL_GROUPS,
)  # fmt: skip
# GE's raw data type; Philips's scale slope and image type; Siemens's image type and coil; and who
# owns the blocks, which archives may have moved
PRIVATE = ((0x0043, 0x2F), (0x2005, 0x0E), (0x2005, 0x11), (0x0021, 0x75), (0x0051, 0x0F))
PRIVATE_TAGS: list[int] = [
    (group << 16) | element
    for group, offset in PRIVATE
    for block in range(0x10, 0x20)
    for element in (block, (block << 8) | offset)
]
WANTED = [*map(Tag, KEYWORDS), *map(Tag, PRIVATE_TAGS)]


@contextmanager
def quietly() -> Iterator[None]:
    """Take pydicom's doubts about values, which may quote identifying text, out of sight."""
    log = logging.getLogger("pydicom")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings(), disable_value_validation():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def is_dicom(start: bytes) -> bool:
    """Whether the first 140 bytes are DICOM's, with or without its preamble."""
    if start[128:132] == b"DICM":
        return True
    # without a preamble the first element is of group 8, in little endian, with a small length
    group, element = start[0:2], int.from_bytes(start[2:4], "little")
    return group == b"\x08\x00" and element <= 0x20 and len(start) >= 140


def read_header(stream: IO[bytes], n_bytes: int) -> tuple[Dataset, str | None]:
    """Return the header, and what is wrong with the pixels behind it, if anything.

    Parameters
    ----------
    stream : binary stream
        At the start of the file.
    n_bytes : int
        Size of the file.
    """
    dataset = pydicom.dcmread(
        stream, stop_before_pixels=True, force=True, specific_tags=list(WANTED)
    )
    return dataset, _pixel_fault(dataset, n_bytes - stream.tell())


def _pixel_fault(dataset: Dataset, left: int) -> str | None:
    """Return what is wrong, judged by the number of bytes `left` behind the header."""
    if "Rows" not in dataset:
        return None
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if syntax == DeflatedExplicitVRLittleEndian:
        return None
    if left < 8:
        return "holds no pixel data"
    if syntax is not None and syntax.is_compressed:
        return None
    sizes = [dataset.get(k) for k in ("Rows", "Columns", "BitsAllocated")]
    if None in sizes:
        return "does not state its rows, columns or bits"
    bits = int(dataset.get("NumberOfFrames") or 1) * int(dataset.get("SamplesPerPixel") or 1)
    for size in sizes:
        bits *= int(size)
    implicit = dataset.original_encoding[0] if syntax is None else syntax.is_implicit_VR
    left = max(left - (8 if implicit else 12), 0)  # the pixel element's own header
    if left < bits // 8:
        return f"is truncated: {left} of {bits // 8} bytes of pixels"
    return None
