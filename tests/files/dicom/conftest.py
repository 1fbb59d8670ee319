"""Small DICOM scans whose every voxel tells where it is."""

import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    EnhancedMRImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    MRImageStorage,
    generate_uid,
)

SHAPE = (7, 6, 5)  # columns, rows, slices
LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])


def magnitude_at(place_lps, te_ms):
    """Signal of a place: linear, so that a flipped or shifted axis shows."""
    x, y, z = place_lps
    return np.round(2000 + 7 * x + 11 * y + 13 * z - 10 * te_ms)


def phase_at(place_lps, te_ms):
    """Phase of a place [rad], with wraps."""
    x, y, z = place_lps
    turns = (0.11 * x + 0.07 * y + 0.05 * z) * te_ms / 20
    return (turns - np.floor(turns + 0.5)) * 2 * np.pi


@dataclass(frozen=True)
class Series:
    """What a series of images is like; `write` lays it down."""

    number: int = 2
    te_ms: tuple = (5.0, 10.0)
    part: str = "mag"
    shape: tuple = SHAPE
    row: tuple = (1.0, 0.0, 0.0)
    column: tuple = (0.0, 0.96, -0.28)
    pixel_mm: tuple = (2.0, 1.5)  # between rows, between columns
    step_mm: float = 3.6
    thickness_mm: float = 3.0
    origin: tuple = (-5.0, -6.0, -7.0)
    manufacturer: str = "SIEMENS"
    tokens: tuple | None = None
    rescale: tuple | None = None
    patient: str = "SECRET^NAME"
    study: str = "1.2.826.0.1.3680043.8.498.1"
    frame_of_reference: str = "1.2.826.0.1.3680043.8.498.2"
    uid: str | None = None
    time: str | None = "101010.5"
    sequence: str = "*swi3d1r"
    tr_ms: float = 28.0
    same_time: bool = False
    edit: object = None
    syntax: str = ExplicitVRLittleEndian
    letter: str = ""

    @property
    def image_type(self):
        letters = {"mag": "M", "phase": "P", "real": "R", "imag": "I"}
        return self.tokens or ("ORIGINAL", "PRIMARY", letters[self.part], "ND")

    def normal(self):
        return np.cross(self.row, self.column)

    def position(self, k):
        return np.asarray(self.origin) + k * self.step_mm * self.normal()

    def values(self, k, te_ms):
        """Stored values of slice k: (rows, columns)."""
        columns, rows, _ = self.shape
        r, c = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
        place = (
            self.position(k)[:, None, None]
            + np.asarray(self.row)[:, None, None] * c * self.pixel_mm[1]
            + np.asarray(self.column)[:, None, None] * r * self.pixel_mm[0]
        )
        if self.part == "mag":
            return magnitude_at(place, te_ms)
        phase = phase_at(place, te_ms)
        if self.part == "phase":
            return np.round((phase + np.pi) * 4096 / (2 * np.pi)).clip(0, 4095)
        signal = magnitude_at(place, te_ms) * np.exp(1j * phase)
        return np.round(signal.real if self.part == "real" else signal.imag)

    def slope_intercept(self):
        if self.rescale is None and self.part == "phase":
            return (2.0, -4096.0)
        return self.rescale

    def common(self, kind):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = kind
        meta.MediaStorageSOPInstanceUID = generate_uid()
        meta.TransferSyntaxUID = self.syntax
        ds = FileDataset(
            "",
            {},
            file_meta=meta,
            preamble=b"\0" * 128,
            is_implicit_VR=False,
            is_little_endian=self.syntax != ExplicitVRBigEndian,
        )
        ds.SOPClassUID, ds.SOPInstanceUID = kind, meta.MediaStorageSOPInstanceUID
        ds.Modality, ds.Manufacturer = "MR", self.manufacturer
        ds.ManufacturerModelName, ds.SoftwareVersions = "Made up", "1"
        ds.PatientID, ds.PatientName = self.patient, self.patient
        ds.PatientBirthDate, ds.StudyDate = "19500102", "20200304"
        ds.StudyInstanceUID, ds.FrameOfReferenceUID = self.study, self.frame_of_reference
        ds.SeriesInstanceUID = self.uid or f"{self.study}.{self.number}"
        ds.SeriesNumber, ds.SeriesDescription = self.number, "gre"
        ds.MagneticFieldStrength, ds.MRAcquisitionType = 3.0, "3D"
        ds.Columns, ds.Rows, _ = self.shape
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated = ds.BitsStored = 16
        ds.HighBit, ds.PixelRepresentation = 15, int(self.part in ("real", "imag"))
        return ds

    def pixels(self, values):
        kind = np.int16 if self.part in ("real", "imag") else np.uint16
        return values.astype(kind).tobytes()

    def write(self, folder: Path) -> list[Path]:
        """Write classic files in an order that tells nothing; return them by echo and slice."""
        folder.mkdir(parents=True, exist_ok=True)
        out = []
        for echo, te_ms in enumerate(self.te_ms):
            for k in range(self.shape[2]):
                ds = self.common(MRImageStorage)
                ds.ImageType = list(self.image_type)
                ds.InstanceNumber, ds.AcquisitionNumber = k + 1, 1
                ds.EchoTime, ds.EchoNumbers = te_ms, echo + 1
                ds.RepetitionTime, ds.FlipAngle = self.tr_ms, 15
                ds.SequenceName, ds.ScanningSequence = self.sequence, "GR"
                if self.time is not None:
                    ds.AcquisitionDate, ds.AcquisitionTime = "20200304", self.time
                ds.ImagePositionPatient = [round(float(p), 6) for p in self.position(k)]
                ds.ImageOrientationPatient = [*self.row, *self.column]
                ds.PixelSpacing = list(self.pixel_mm)
                ds.SliceThickness, ds.SpacingBetweenSlices = self.thickness_mm, self.step_mm
                if self.slope_intercept():
                    ds.RescaleSlope, ds.RescaleIntercept = self.slope_intercept()
                ds.PixelData = self.pixels(self.values(k, te_ms))
                ds["PixelData"].VR = "OW"
                if self.edit:
                    self.edit(ds, echo, k)
                path = (
                    folder
                    / f"{(k * 37 + echo * 11 + self.number) % 100:02d}{self.letter}_{self.number}_{echo}_{k}.dcm"
                )
                ds.save_as(path, enforce_file_format=True)
                out.append(path)
        return out

    def write_enhanced(self, path: Path, also: "Series | None" = None) -> Path:
        """Write one multi-frame file, echoes, slices (and a second part) shuffled."""
        path.parent.mkdir(parents=True, exist_ok=True)
        ds = self.common(EnhancedMRImageStorage)
        ds.ImageType, ds.InstanceNumber = ["ORIGINAL", "PRIMARY", "MIXED", "NONE"], 1
        ds.PulseSequenceName, ds.EchoPulseSequence = self.sequence, "GRADIENT"
        ds.AcquisitionDateTime = f"20200304{self.time or '101010'}"
        shared = Dataset()
        timing = Dataset()
        timing.RepetitionTime, timing.FlipAngle = self.tr_ms, 15
        shared.MRTimingAndRelatedParametersSequence = Sequence([timing])
        orientation = Dataset()
        orientation.ImageOrientationPatient = [*self.row, *self.column]
        shared.PlaneOrientationSequence = Sequence([orientation])
        measures = Dataset()
        measures.PixelSpacing = list(self.pixel_mm)
        measures.SliceThickness, measures.SpacingBetweenSlices = self.thickness_mm, self.step_mm
        shared.PixelMeasuresSequence = Sequence([measures])
        ds.SharedFunctionalGroupsSequence = Sequence([shared])
        order = [
            (one, e, k)
            for one in ([self, also] if also else [self])
            for k in range(self.shape[2])
            for e in range(len(self.te_ms))
        ]
        np.random.default_rng(3).shuffle(order)
        groups, pixels = [], []
        for one, echo, k in order:
            te_ms = self.te_ms[echo]
            group = Dataset()
            group.MREchoSequence = Sequence([Dataset()])
            group.MREchoSequence[0].EffectiveEchoTime = te_ms
            group.PlanePositionSequence = Sequence([Dataset()])
            group.PlanePositionSequence[0].ImagePositionPatient = [
                round(float(p), 6) for p in self.position(k)
            ]
            kind = Dataset()
            kind.FrameType = ["ORIGINAL", "PRIMARY", "T2_STAR", "NONE"]
            kind.ComplexImageComponent = {
                "mag": "MAGNITUDE", "phase": "PHASE", "real": "REAL", "imag": "IMAGINARY",
            }[one.part]  # fmt: skip
            group.MRImageFrameTypeSequence = Sequence([kind])
            if one.slope_intercept():
                transform = Dataset()
                transform.RescaleSlope, transform.RescaleIntercept = one.slope_intercept()
                transform.RescaleType = "US"
                group.PixelValueTransformationSequence = Sequence([transform])
            if self.edit:
                self.edit(group, echo, k)
            groups.append(group)
            pixels.append(one.pixels(one.values(k, te_ms)))
        ds.PerFrameFunctionalGroupsSequence = Sequence(groups)
        ds.NumberOfFrames = len(groups)
        ds.PixelData = b"".join(pixels)
        ds["PixelData"].VR = "OW"
        ds.save_as(path, enforce_file_format=True)
        return path

    def but(self, **changes) -> "Series":
        return replace(self, **changes)


MAGNITUDE = Series()
PHASE = Series(number=3, part="phase")


@pytest.fixture
def magnitude() -> Series:
    return MAGNITUDE


@pytest.fixture
def phase() -> Series:
    return PHASE


def assert_true_to_place(scan, te_ms=(5.0, 10.0), tolerance_rad=1.5 * 2 * np.pi / 4096):
    """Every voxel of `scan` holds what is at its place in the world."""
    echoes = scan.echoes
    assert echoes.te_s == pytest.approx([t / 1000 for t in te_ms])
    index = np.stack(np.meshgrid(*[np.arange(n) for n in echoes.grid.shape], indexing="ij"), -1)
    lps = np.moveaxis(echoes.grid.to_mm(index) * LPS_TO_RAS, -1, 0)
    for echo, te in enumerate(te_ms):
        assert np.abs(echoes.magnitude[echo] - magnitude_at(lps, te)).max() <= 1.01
    if echoes.phase_rad is not None and not echoes.phase_is_difference:
        for echo, te in enumerate(te_ms):
            off = echoes.phase_rad[echo] - phase_at(lps, te)
            assert np.abs((off + np.pi) % (2 * np.pi) - np.pi).max() <= tolerance_rad


@pytest.fixture
def true_to_place():
    return assert_true_to_place


@pytest.fixture
def zipped():
    """Pack a folder; return the archive."""

    def pack(folder: Path, archive: Path) -> Path:
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
            for path in sorted(folder.rglob("*")):
                out.write(path, path.relative_to(folder))
        return archive

    return pack


@pytest.fixture
def rewritten():
    """Change a file's header in place."""

    def change(path: Path, **values) -> None:
        ds = pydicom.dcmread(path)
        for keyword, value in values.items():
            if value is None:
                del ds[keyword]
            else:
                setattr(ds, keyword, value)
        ds.save_as(path)

    return change
