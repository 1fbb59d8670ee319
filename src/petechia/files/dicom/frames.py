"""One image frame and the few facts of its header that reading a scan needs.

Classic files hold one frame; enhanced files hold many, with facts in functional groups: per
frame, shared, or in the file itself, looked up in this order. Nothing that identifies a person
is kept.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from pydicom.dataset import Dataset

from petechia.core.units import GAMMA_HZ_PER_T
from petechia.files.dicom.contrasts import agent_of, contrast_of
from petechia.files.dicom.kinds import part_of, why_aside

Vector = tuple[float, ...]
BLOCKS = range(0x10, 0x20)
"""Where blocks of private elements are looked for."""
LOSSY = {
    "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.81",
}  # fmt: skip
"""JPEG baseline and extended, JPEG-LS near lossless; JPEG 2000 may be either, its header says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the acquisition was; None where the header does not say."""

    manufacturer: str | None = None
    model: str | None = None
    software: str | None = None
    b0_t: float | None = None
    acquisition_type: str | None = None
    tr_s: float | None = None
    flip_deg: float | None = None
    bandwidth_hz: float | None = None
    sequence_name: str | None = None

    def same_sequence(self, other: "Facts") -> bool:
        """Whether both can come from one acquisition: nothing stated differs."""
        pairs = (
            (self.tr_s, other.tr_s),
            (self.flip_deg, other.flip_deg),
            (self.acquisition_type, other.acquisition_type),
        )
        return all(a is None or b is None or a == b for a, b in pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One slice of one image.

    Attributes
    ----------
    file, index : str, int
        File name relative to the input, and the frame's number in it from 0.
    multi : bool
        True when the file is an enhanced one, whose frames have numbers.
    sop, sop_class : str
        Identifier of the instance, and what kind it is.
    part : str
        'mag', 'phase', 'real' or 'imag'.
    te_ms : float or None
        Echo time [ms].
    position, orientation : (3,), (6,) tuple of float, or None
        As in the header: LPS [mm], and direction cosines of a row, then of a column.
    pixel_mm : (2,) tuple of float, or None
        Between rows, between columns [mm].
    size : (rows, columns)
    rescale : (slope, intercept)
    divisor : float
        Of rescaled values, which brings Philips's display values to a common scale.
    acquired_s : float or None
        When, to tell acquisitions apart; it must never be shown.
    difference : bool
        The header calls it a phase difference or comes from a field map sequence.
    aside : str or None
        Why this image is no use for a scan.
    fault : str or None
        What is wrong with the file.
    coil : str
        Receive coil, or element of one, that the header names; empty where it names none.
    contrast : str or None
        'FLAIR', 'T2w' or 'T1w', when the header says that it is one of them.
    agent : bool
        Whether it was taken after a contrast agent.
    person : int
        Number of the person by name and birth date, from 0 where the input holds several.
    """

    file: str
    index: int
    multi: bool
    sop: str
    sop_class: str
    study: str
    series: str
    series_number: int
    instance: int | None
    acquisition: int | None
    temporal: int | None
    frame_of_reference: str
    part: str
    tokens: tuple[str, ...]
    te_ms: float | None
    position: Vector | None
    orientation: Vector | None
    pixel_mm: Vector | None
    size: tuple[int, int]
    thickness_mm: float | None
    spacing_between_mm: float | None
    rescale: tuple[float, float]
    divisor: float
    acquired_s: float | None
    difference: bool
    lossy: bool
    aside: str | None
    fault: str | None
    facts: Facts
    coil: str = ""
    contrast: str | None = None
    agent: bool = False
    person: int = 0


class Lookup:
    """Where facts of one frame are looked for: its groups, the shared groups, the file."""

    def __init__(self, *places: Dataset) -> None:
        self._places = places

    def value(self, *keywords: str) -> Any:
        """Return the first non-empty value of the first keyword that has one."""
        for keyword in keywords:
            for place in self._places:
                value = place.get(keyword)
                if value is not None and value != "" and value != []:
                    return value
        return None

    def private(self, tag: int, creator: str) -> Any:
        """Return the value of a private element of a creator that begins with `creator`.

        The block in `tag` is where scanners put it; archives may have moved it to another one.
        """
        group, offset = tag & 0xFFFF0000, tag & 0xFF
        for place in self._places:
            for block in BLOCKS:
                owner, element = group | block, group | (block << 8) | offset
                if (
                    element in place
                    and owner in place
                    and str(place[owner].value).startswith(creator)
                ):
                    return place[element].value
        return None

    def text(self, *keywords: str) -> str | None:
        """Return the value as text without blanks around it."""
        value = self.value(*keywords)
        return str(value).strip() or None if value is not None else None

    def number(self, *keywords: str) -> float | None:
        """Return the value as a number; None when it is none."""
        return number(self.value(*keywords))

    def integer(self, *keywords: str) -> int | None:
        """Return the value as a whole number."""
        value = self.number(*keywords)
        return None if value is None else int(value)

    def vector(self, n: int, *keywords: str) -> Vector | None:
        """Return n finite numbers; None when they are not."""
        value = self.value(*keywords)
        if value is None or isinstance(value, str) or len(value) != n:
            return None
        numbers = [number(v) for v in value]
        return None if None in numbers else tuple(v for v in numbers if v is not None)


def number(value: Any) -> float | None:
    """Return `value` as a finite float, or None."""
    try:
        out = float(value)
    except (TypeError, ValueError):
        return None
    return out if abs(out) < float("inf") else None


def frames_of(dataset: Dataset, file: str, fault: str | None = None) -> Iterator[Frame]:
    """Yield the frames of one MR file.

    Parameters
    ----------
    dataset : Dataset
        Header, pixels not needed.
    file : str
        Name of the file, relative to the input.
    fault : str, optional
        What is known to be wrong with its pixels.
    """
    groups = dataset.get("PerFrameFunctionalGroupsSequence")
    declared = int(dataset.get("NumberOfFrames") or 1)
    if not groups:
        if declared > 1:
            fault = fault or f"holds {declared} frames without saying where they are"
        yield _frame(Lookup(dataset), dataset, file, 0, fault)
        return
    shared = _opened_groups(dataset.get("SharedFunctionalGroupsSequence"))
    if declared != len(groups):
        fault = fault or f"declares {declared} frames but describes {len(groups)}"
    for index, group in enumerate(groups):
        look = Lookup(*_opened_groups([group]), *shared, dataset)
        yield _frame(look, dataset, file, index, fault)


def _opened_groups(items: Any) -> list[Dataset]:
    """Return the first item of every sequence in functional groups, standard ones first."""
    out = []
    for item in items or []:
        sequences = [e for e in item if e.VR == "SQ" and e.value]
        sequences.sort(key=lambda e: (e.tag.is_private, e.keyword.startswith("Unassigned")))
        out += [e.value[0] for e in sequences]
    return out


def _frame(look: Lookup, root: Dataset, file: str, index: int, fault: str | None) -> Frame:
    tokens = image_tokens(look, root)
    part, difference = part_of(look, tokens)
    slope, intercept = look.number("RescaleSlope"), look.number("RescaleIntercept")
    rescale = (1.0 if slope is None else slope, intercept or 0.0)
    fault = fault or _bad_values(look, root, part)
    return Frame(
        file=file,
        index=index,
        multi=bool(root.get("PerFrameFunctionalGroupsSequence")),
        sop=str(root.get("SOPInstanceUID", "")),
        sop_class=str(root.get("SOPClassUID", "")),
        study=str(root.get("StudyInstanceUID", "")),
        series=str(root.get("SeriesInstanceUID", "")),
        series_number=look.integer("SeriesNumber") or 0,
        instance=look.integer("InstanceNumber"),
        acquisition=look.integer("FrameAcquisitionNumber", "AcquisitionNumber"),
        temporal=look.integer("TemporalPositionIndex", "TemporalPositionIdentifier"),
        frame_of_reference=look.text("FrameOfReferenceUID") or "",
        part=part,
        tokens=tokens,
        te_ms=echo_time_ms(look),
        position=look.vector(3, "ImagePositionPatient"),
        orientation=look.vector(6, "ImageOrientationPatient"),
        pixel_mm=look.vector(2, "PixelSpacing"),
        size=(int(root.get("Rows") or 0), int(root.get("Columns") or 0)),
        thickness_mm=look.number("SliceThickness"),
        spacing_between_mm=look.number("SpacingBetweenSlices"),
        rescale=rescale,
        divisor=philips_divisor(look, rescale, part),
        acquired_s=acquired_s(look),
        difference=difference,
        lossy=look.text("LossyImageCompression") == "01" or _syntax(root) in LOSSY,
        aside=why_aside(look, tokens),
        fault=fault,
        facts=facts_of(look),
        coil=coil_of(look),
        contrast=contrast_of(look),
        agent=agent_of(look),
    )


def _bad_values(look: Lookup, root: Dataset, part: str) -> str | None:
    """Return what is wrong with the numbers that lead from stored bits to the image's values."""
    slope, intercept = look.value("RescaleSlope"), look.value("RescaleIntercept")
    if slope is not None and not number(slope):  # every voxel would be 0 or no number
        return f"states a RescaleSlope of {slope}"
    if part == "mag" and slope is not None and float(slope) < 0:
        return f"states a RescaleSlope of {slope} for a magnitude"
    if intercept is not None and number(intercept) is None:
        return f"states a RescaleIntercept of {intercept}"
    stored, high = number(root.get("BitsStored")), number(root.get("HighBit"))
    if stored is not None and high is not None and high != stored - 1:
        return f"states a HighBit of {high:g} for {stored:g} bits stored: its values are shifted"
    return None


def coil_of(look: Lookup) -> str:
    """Return the receive coil or the element of one that the header names; else nothing.

    Siemens names the elements of a series in a private element: `H1` of an uncombined one,
    `HEA;HEP` of a combined one.
    """
    siemens = str(look.private(0x0051100F, "SIEMENS MR HEADER") or "").strip()
    return siemens or look.text("MultiCoilElementName", "ReceiveCoilName") or ""


def _syntax(root: Dataset) -> str:
    return str(getattr(root, "file_meta", Dataset()).get("TransferSyntaxUID", ""))


def image_tokens(look: Lookup, root: Dataset) -> tuple[str, ...]:
    """Return the words of the image type, of the frame before those of the file."""
    value = look.value("FrameType") or root.get("ImageType") or ()
    words = [value] if isinstance(value, str) else list(value)
    siemens = look.private(0x00211175, "SIEMENS MR") or []
    words += [siemens] if isinstance(siemens, str) else list(siemens)
    return tuple(dict.fromkeys(str(w).strip().upper() for w in words if str(w).strip()))


def echo_time_ms(look: Lookup) -> float | None:
    """Return the echo time; 0 counts as missing [ms]."""
    return look.number("EffectiveEchoTime", "EchoTime") or None


def philips_divisor(look: Lookup, rescale: tuple[float, float], part: str) -> float:
    """Return slope times private scale slope, which turns display values into signal."""
    if part == "phase":
        return 1.0
    scale = number(look.private(0x2005100E, "Philips"))
    product = (scale or 0.0) * rescale[0]
    return product if product > 0 else 1.0


def acquired_s(look: Lookup) -> float | None:
    """Return the time of acquisition in seconds since some day [s]; only for comparing."""
    stamp = look.text("FrameAcquisitionDateTime", "AcquisitionDateTime")
    if stamp is None and look.text("AcquisitionTime"):
        stamp = (look.text("AcquisitionDate") or "19000101") + str(look.text("AcquisitionTime"))
    try:
        day = date(int(stamp[:4]), int(stamp[4:6]), int(stamp[6:8]))  # type: ignore[index]
        clock = stamp[8:].partition("+")[0].partition("-")[0].ljust(6, "0")  # type: ignore[index]
        seconds = int(clock[:2]) * 3600 + int(clock[2:4]) * 60 + float(clock[4:])
    except (TypeError, ValueError):
        return None
    return day.toordinal() * 86400.0 + seconds


def field_strength_t(look: Lookup) -> float | None:
    """Return the main field, from the proton frequency where the field is not stated [T]."""
    stated = look.number("MagneticFieldStrength")
    if stated:
        return stated / 1e4 if stated > 100 else stated  # some scanners write gauss
    frequency_mhz = look.number("ImagingFrequency", "TransmitterFrequency")
    nucleus = look.text("ImagedNucleus", "ResonantNucleus") or "1H"
    if frequency_mhz and nucleus in ("1H", "H1", "H"):
        return round(frequency_mhz * 1e6 / GAMMA_HZ_PER_T, 4)
    return None


def facts_of(look: Lookup) -> Facts:
    """Return the facts of the acquisition."""
    tr_ms = look.number("RepetitionTime")
    software = look.value("SoftwareVersions")
    kind = look.text("MRAcquisitionType", "VolumetricProperties")
    return Facts(
        manufacturer=look.text("Manufacturer"),
        model=look.text("ManufacturerModelName"),
        software=software if isinstance(software, str) or not software else "; ".join(software),
        b0_t=field_strength_t(look),
        acquisition_type=kind if kind in ("2D", "3D") else None,
        tr_s=tr_ms / 1000 if tr_ms else None,
        flip_deg=look.number("FlipAngle"),
        bandwidth_hz=look.number("PixelBandwidth"),
        sequence_name=look.text("PulseSequenceName", "SequenceName"),
    )
