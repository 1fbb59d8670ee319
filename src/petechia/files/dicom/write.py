"""Write a scan as DICOM, the way each vendor's scanner does: for simulated scans and tests.

Siemens stores magnitude and phase as 0..4095 with slope 2; Philips phase in milliradians through
its rescale, and magnitude with a private scale slope; GE real and imaginary parts, whose sign
alternates between the slices of a 3D scan, with the phase of the other handedness.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    generate_uid,
)

from petechia.core.echoes import Echoes
from petechia.core.grid import Grid
from petechia.core.units import wrap
from petechia.errors import ParameterError
from petechia.files.dicom.enhanced import (
    PLAIN,
    describe,
    filled,
    frame_content,
    shared_by_frames,
)
from petechia.files.scan import Header
from petechia.files.writing import make_folder, output_error

VENDORS = {"siemens": "SIEMENS", "ge": "GE MEDICAL SYSTEMS", "philips": "Philips Medical Systems"}
FORMS = ("classic", "enhanced")
HANDEDNESS = {"siemens": 1, "ge": -1, "philips": 1}
"""Sign of the phase where the frequency is higher, as these vendors usually have it."""
COMPONENTS = {"M": "MAGNITUDE", "P": "PHASE", "R": "REAL", "I": "IMAGINARY"}
GE_RAW_TYPE = {"M": 0, "P": 1, "R": 2, "I": 3}
LPS = np.diag([-1.0, -1.0, 1.0])
DAY = "20000101"
PATIENT = "SIMHEAD01"
"""No word of a report: de-identification looks for the source's names in every text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomStyle:
    """How a scan is laid down.

    Attributes
    ----------
    form : str
        'classic', one file for each slice, or 'enhanced', one for each part.
    vendor : str
        'siemens', 'ge' or 'philips'.
    alternating : bool
        Whether GE's slices change their sign.
    handedness : int or None
        +1 where phase grows with frequency, -1 the other way; None for the vendor's own.
    """

    form: str = "classic"
    vendor: str = "siemens"
    alternating: bool = False
    handedness: int | None = None

    def __post_init__(self) -> None:
        for name, allowed in (("form", FORMS), ("vendor", tuple(VENDORS))):
            if getattr(self, name) not in allowed:
                raise ParameterError(
                    f"{name} = {getattr(self, name)!r}",
                    where="DicomStyle",
                    mend=f"Choose one of {', '.join(allowed)}.",
                )
        if self.handedness not in (None, -1, 1):
            raise ParameterError(
                f"handedness = {self.handedness}", where="DicomStyle", mend="Give 1, -1 or None."
            )

    @property
    def sign(self) -> int:
        """Handedness of the phase."""
        return self.handedness or HANDEDNESS[self.vendor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequencing:
    """What kind of image a series is, in the words of its header.

    Attributes
    ----------
    codes, variant : tuple of str
        ScanningSequence and SequenceVariant of classic images; `philips` where that vendor's
        differ.
    contrast, echo : str
        AcquisitionContrast and EchoPulseSequence of enhanced images.
    inverted : bool
        Whether an inversion comes first.
    names : mapping of str to str
        What vendors' protocols call it.
    """

    codes: tuple[str, ...] = ("GR",)
    variant: tuple[str, ...] = ("SP",)
    philips: tuple[tuple[str, ...], tuple[str, ...]] | None = None
    contrast: str = "T2_STAR"
    echo: str = "GRADIENT"
    inverted: bool = False
    names: Mapping[str, str] = field(default_factory=dict)


SEQUENCES: Mapping[str, Sequencing] = {
    "GRE": Sequencing(),
    "FLAIR": Sequencing(
        codes=("SE", "IR"), variant=("SK", "SP", "MP"), philips=(("IR",), ("SK",)),
        contrast="FLUID_ATTENUATED", echo="SPIN", inverted=True,
        names={"siemens": "t2_tirm_tra_dark-fluid", "ge": "Ax T2 FLAIR", "philips": "FLAIR_longTR"},
    ),
    "T2w": Sequencing(
        codes=("SE",), variant=("SK", "SP", "OSP"), contrast="T2", echo="SPIN",
        names={"siemens": "t2_tse_tra", "ge": "Ax T2 FSE", "philips": "T2W_TSE"},
    ),
    "T1w": Sequencing(
        codes=("GR", "IR"), variant=("SK", "SP", "MP"), philips=(("GR",), ("MP",)), contrast="T1",
        inverted=True,
        names={"siemens": "t1_mprage_sag", "ge": "Sag BRAVO", "philips": "T1_3D_TFE"},
    ),
}  # fmt: skip
"""Gradient echo, and what is taken beside it."""
T1_INVERSION_S = 0.9
"""Of a T1w by prepared gradient echoes."""


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """Stored values of all echoes of one part, and how they become numbers."""

    letter: str
    stored: npt.NDArray[np.integer]
    rescale: tuple[float, float] | None = None
    scale_slope: float | None = None


def write_dicom(
    folder: Path,
    echoes: Echoes,
    header: Header,
    style: DicomStyle,
    *,
    series: int = 1,
    kind: str = "GRE",
    ti_s: float = T1_INVERSION_S,
    study: str | None = None,
) -> list[Path]:
    """Write one scan; return its files.

    Parameters
    ----------
    folder : Path
        Made when it isn't there.
    echoes : Echoes
        With the phase of every echo, or none.
    header : Header
        Acquisition facts; manufacturer and model give way to the style's.
    style : DicomStyle
        Classic or enhanced, and whose.
    series : int
        Number of its first series; each part has one of its own.
    kind : str
        Of `SEQUENCES`.
    ti_s : float
        Inversion time, where `kind` has one [s].
    study : str, optional
        As `study_of` tells it of another scan, whose study and frame of reference it shares.

    Raises
    ------
    ParameterError
        A phase difference, which no part stands for.
    OutputError
        A file could not be written.
    """
    if echoes.phase_is_difference:
        raise ParameterError(
            f"a phase difference over {echoes.phase_te_s} s",
            where="write_dicom",
            mend="Give the phase of every echo, or none.",
        )
    make_folder(folder)
    written = []
    study = study_of(folder, echoes) if study is None else study
    for n, part in enumerate(_parts(echoes, style)):
        say = _Sayer(echoes, header, style, part, series + n, study, kind, ti_s)
        images = say.enhanced() if style.form == "enhanced" else say.classic()
        for name, dataset in images:
            path = folder / f"{series + n:03d}_{part.letter}_{name}.dcm"
            try:
                dataset.save_as(path, enforce_file_format=True)
            except OSError as error:
                raise output_error(error, path) from error
            written.append(path)
    return written


def study_of(folder: Path, echoes: Echoes) -> str:
    """Return what the identifiers of a scan's study are made from: its name and its content."""
    return f"{folder.name} {sha256(echoes.magnitude[0].tobytes()).hexdigest()}"


def _parts(echoes: Echoes, style: DicomStyle) -> Iterator[_Part]:
    magnitude = echoes.magnitude
    top = float(max(magnitude.max(), 1e-9))
    if style.vendor == "philips":
        scale = 4095.0 / top
        stored = np.rint(magnitude * np.float32(scale)).astype(np.uint16)
        yield _Part("M", stored, (1.25, 0.0), scale)
    else:
        shrink = min(1.0, 32000.0 / top)
        yield _Part("M", np.rint(magnitude * np.float32(shrink)).astype(np.uint16))
    if echoes.phase_rad is None:
        return
    phase = wrap(np.float32(style.sign) * echoes.phase_rad)
    if style.vendor == "siemens":
        steps = np.rint(phase * np.float32(2048 / np.pi)).astype(np.int32)
        yield _Part("P", ((steps + 2048) % 4096).astype(np.uint16), (2.0, -4096.0))
    elif style.vendor == "philips":
        slope = 2000 * np.pi / 4095
        stored = np.rint((phase + np.float32(np.pi)) * np.float32(1000 / slope))
        yield _Part("P", stored.clip(0, 4095).astype(np.uint16), (slope, -1000 * np.pi))
    else:
        size = magnitude * np.float32(min(1.0, 32000.0 / top))
        if style.alternating:
            size = size * np.where(np.arange(size.shape[-1]) % 2, -1, 1).astype(np.float32)
        yield _Part("R", np.rint(size * np.cos(phase)).astype(np.int16))
        yield _Part("I", np.rint(size * np.sin(phase)).astype(np.int16))


@dataclass(frozen=True, slots=True, eq=False)
class _Sayer:
    """Writes the headers of one part."""

    echoes: Echoes
    header: Header
    style: DicomStyle
    part: _Part
    series: int
    study: str
    kind: str = "GRE"
    ti_s: float = T1_INVERSION_S

    @property
    def sequence(self) -> Sequencing:
        return SEQUENCES[self.kind]

    @property
    def sequence_name(self) -> str:
        siemens = {"GRE": "*fl3d", "FLAIR": "*tir2d1", "T2w": "*tse2d1", "T1w": "*tfl3d1"}
        return siemens[self.kind] if self.style.vendor == "siemens" else self.kind.lower()

    @property
    def description(self) -> str:
        return self.sequence.names.get(self.style.vendor, "gre")

    @property
    def grid(self) -> Grid:
        return self.echoes.grid

    def classic(self) -> Iterator[tuple[str, FileDataset]]:
        """Yield a file for each echo and slice."""
        for e, te_s in enumerate(self.echoes.te_s):
            for k in range(self.grid.shape[2]):
                ds = self._common(MRImageStorage, f"{e}.{k}")
                ds.ImageType = ["ORIGINAL", "PRIMARY", self.part.letter, "ND"]
                ds.InstanceNumber, ds.AcquisitionNumber = e * self.grid.shape[2] + k + 1, 1
                ds.EchoTime, ds.EchoNumbers = round(te_s * 1000, 6), e + 1
                self._timing(ds)
                ds.SequenceName = "gre" if self._plain else self.sequence_name
                codes, variant = self.sequence.codes, self.sequence.variant
                if self.style.vendor == "philips" and self.sequence.philips:
                    codes, variant = self.sequence.philips
                ds.ScanningSequence, ds.SequenceVariant = list(codes), list(variant)
                ds.ScanOptions = ""
                if "IR" in codes or (self.sequence.inverted and self.style.vendor == "ge"):
                    ds.InversionTime = round(self.ti_s * 1000, 3)
                ds.AcquisitionDate, ds.AcquisitionTime = DAY, self._clock
                self._place(ds, k)
                self._orientation(ds)
                self._measures(ds)
                self._rescale(ds)
                if self.style.vendor == "ge":
                    block = ds.private_block(0x0043, "GEMS_PARM_01", create=True)
                    block.add_new(0x2F, "SS", GE_RAW_TYPE[self.part.letter])
                if self.part.scale_slope is not None:
                    self._scale_slope(ds)
                self._pixels(ds, self.part.stored[e, :, :, k])
                yield f"{e + 1:02d}_{k + 1:04d}", ds

    def enhanced(self) -> Iterator[tuple[str, FileDataset]]:
        """Yield one file with every echo and slice."""
        ds = self._common(EnhancedMRImageStorage, "0")
        ds.ImageType = ["ORIGINAL", "PRIMARY", self.sequence.contrast, "NONE"]
        ds.InstanceNumber = 1
        ds.PulseSequenceName = "gre" if self.kind == "GRE" else self.sequence_name
        ds.EchoPulseSequence = self.sequence.echo
        component = COMPONENTS[self.part.letter]
        describe(ds, self.sequence, component, self._clock, self._uid("dimensions"))
        ds.AcquisitionDateTime = DAY + self._clock
        shared = Dataset()
        shared.MRTimingAndRelatedParametersSequence = Sequence([self._timing(Dataset())])
        shared.PlaneOrientationSequence = Sequence([self._orientation(Dataset())])
        shared.PixelMeasuresSequence = Sequence([self._measures(Dataset())])
        flat = self.header.acquisition_type == "2D"
        shared_by_frames(shared, self.sequence, self.echoes, self.ti_s, flat)
        ds.SharedFunctionalGroupsSequence = Sequence([shared])
        groups = [
            self._frame(echo, k)
            for echo in range(len(self.echoes.te_s))
            for k in range(self.grid.shape[2])
        ]
        ds.PerFrameFunctionalGroupsSequence = Sequence(groups)
        ds.NumberOfFrames = len(groups)
        # frames by echo and slice, each (rows, columns)
        self._pixels(ds, self.part.stored.transpose(0, 3, 2, 1), turned=True)
        yield "all", ds

    def _frame(self, e: int, k: int) -> Dataset:
        group, kind = Dataset(), filled(**PLAIN)
        te_ms = round(self.echoes.te_s[e] * 1000, 6)
        group.MREchoSequence = Sequence([filled(EffectiveEchoTime=te_ms)])
        group.FrameContentSequence = Sequence([frame_content(DAY + self._clock, e, k)])
        group.PlanePositionSequence = Sequence([self._place(Dataset(), k)])
        kind.FrameType = ["ORIGINAL", "PRIMARY", self.sequence.contrast, "NONE"]
        kind.AcquisitionContrast = self.sequence.contrast
        kind.ComplexImageComponent = COMPONENTS[self.part.letter]
        group.MRImageFrameTypeSequence = Sequence([kind])
        transform = Dataset()
        transform.RescaleSlope, transform.RescaleIntercept = 1.0, 0.0  # must be there
        transform = self._rescale(transform)
        transform.RescaleType = "US"
        group.PixelValueTransformationSequence = Sequence([transform])
        if self.part.scale_slope is not None:
            inner = Dataset()
            self._scale_slope(inner)
            block = group.private_block(0x2005, "Philips MR Imaging DD 005", create=True)
            block.add_new(0x0F, "SQ", Sequence([inner]))
        return group

    @property
    def _plain(self) -> bool:
        return self.kind == "GRE" and self.style.vendor != "siemens"

    @property
    def _clock(self) -> str:
        return f"{8 + self.series // 60 % 12:02d}{self.series // 10 * 10 % 60:02d}00"

    def _uid(self, what: str) -> UID:
        return UID(generate_uid(entropy_srcs=["petechia simulated", self.study, what]))

    def _common(self, kind: UID, image: str) -> FileDataset:
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = kind
        meta.MediaStorageSOPInstanceUID = self._uid(f"{self.series}.{self.part.letter}.{image}")
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        ds.SOPClassUID, ds.SOPInstanceUID = kind, meta.MediaStorageSOPInstanceUID
        ds.Modality, ds.Manufacturer = "MR", VENDORS[self.style.vendor]
        ds.ManufacturerModelName, ds.SoftwareVersions = "simulator", "1"
        ds.PatientID, ds.PatientName = PATIENT, PATIENT
        ds.PatientPosition, ds.PositionReferenceIndicator = "HFS", ""
        ds.BodyPartExamined, ds.EchoTrainLength = "BRAIN", len(self.echoes.te_s)
        ds.PatientBirthDate, ds.PatientSex, ds.AccessionNumber = "", "", ""
        ds.StudyDate, ds.StudyTime, ds.StudyID, ds.ReferringPhysicianName = DAY, "080000", "1", ""
        ds.StudyInstanceUID, ds.FrameOfReferenceUID = self._uid("study"), self._uid("frame")
        ds.SeriesInstanceUID = self._uid(f"series {self.series} {self.part.letter}")
        ds.SeriesNumber, ds.SeriesDescription = self.series, self.description
        ds.MagneticFieldStrength = self.echoes.b0_t
        ds.MRAcquisitionType = self.header.acquisition_type or "3D"
        return ds

    def _timing(self, ds: Dataset) -> Dataset:
        if self.header.tr_s is not None:
            ds.RepetitionTime = round(self.header.tr_s * 1000, 6)
        if self.header.flip_deg is not None:
            ds.FlipAngle = self.header.flip_deg
        return ds

    def _place(self, ds: Dataset, k: int) -> Dataset:
        ds.ImagePositionPatient = _numbers(LPS @ self.grid.to_mm([0, 0, k]))
        return ds

    def _orientation(self, ds: Dataset) -> Dataset:
        axes = LPS @ (self.grid.affine[:3, :3] / self.grid.spacing_mm)
        ds.ImageOrientationPatient = _numbers([*axes[:, 0], *axes[:, 1]])
        return ds

    def _measures(self, ds: Dataset) -> Dataset:
        i, j, k = (round(float(s), 6) for s in self.grid.spacing_mm)
        ds.PixelSpacing = [j, i]
        ds.SliceThickness = self.header.slice_thickness_mm or k
        ds.SpacingBetweenSlices = k
        return ds

    def _rescale(self, ds: Dataset) -> Dataset:
        if self.part.rescale is not None:
            ds.RescaleSlope, ds.RescaleIntercept = (round(v, 9) for v in self.part.rescale)
        return ds

    def _scale_slope(self, ds: Dataset) -> None:
        block = ds.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
        block.add_new(0x0E, "FL", float(self.part.scale_slope or 1.0))

    def _pixels(
        self, ds: Dataset, values: npt.NDArray[np.integer], *, turned: bool = False
    ) -> None:
        columns, rows, _ = self.grid.shape
        ds.Columns, ds.Rows = columns, rows
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated = ds.BitsStored = 16
        ds.HighBit, ds.PixelRepresentation = 15, int(values.dtype.kind == "i")
        ds.PixelData = np.ascontiguousarray(values if turned else values.T).tobytes()
        ds["PixelData"].VR = "OW"


def _numbers(values: Any) -> list[float]:
    return [round(float(v), 6) for v in values]
