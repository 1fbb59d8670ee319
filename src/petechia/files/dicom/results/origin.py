"""Where a scan came from, read again from its files when results are written as DICOM.

Nothing of it is kept between reading a scan and writing its results: the patient's name never
lies in the derivatives, only in the DICOM objects that go back to where the scan came from.
"""

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage, generate_uid

from petechia.core.grid import Grid
from petechia.errors import GridMismatchError, MetadataError
from petechia.files.dicom.archive import Box
from petechia.files.dicom.frames import Frame
from petechia.files.dicom.geometry import Stack
from petechia.files.dicom.headers import quietly
from petechia.files.dicom.pair import Plan
from petechia.files.dicom.pixels import Pixels
from petechia.files.dicom.read import Reading, ordered
from petechia.files.dicom.results.texts import UNICODE, to_unicode

SAME_VOXEL = 0.05
"""How far voxels of results may lie from those of the source, in voxels."""
TYPE_2 = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
    "StudyID", "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
"""What every object must have, be it empty."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Origin:
    """The images a scan was read from.

    Attributes
    ----------
    header : Dataset
        Of the first magnitude file, without its pixels: patient, study, scanner.
    slices : tuple of Dataset
        One small single-frame header for each slice along the normal: patient, study, geometry.
        It stands for the frame, whatever file that lies in; `sources` are what to refer to.
    sources : tuple of tuple of Frame
        For each slice the frames of every echo and part.
    affine : (4, 4) ndarray of float
        Voxel (column, row, slice) to RAS [mm].
    te_ms : tuple of float
        Echo times of the magnitude [ms].
    """

    header: Dataset
    slices: tuple[Dataset, ...]
    sources: tuple[tuple[Frame, ...], ...]
    affine: npt.NDArray[np.float64]
    te_ms: tuple[float, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Columns, rows, slices."""
        first = self.slices[0]
        return int(first.Columns), int(first.Rows), len(self.slices)

    @property
    def instances(self) -> list[Frame]:
        """One frame of each source instance, by series and place."""
        seen: dict[str, Frame] = {}
        for frames in zip(*self.sources, strict=True):
            for frame in frames:
                seen.setdefault(frame.sop, frame)
        return list(seen.values())

    @property
    def series_number(self) -> int:
        """Number of the first source series."""
        return self.sources[0][0].series_number

    def planes(self, volume: npt.NDArray[Any], grid: Grid) -> npt.NDArray[Any]:
        """Return a volume on `grid` as (slices, rows, columns) in the source's order.

        Parameters
        ----------
        volume : (I, J, K) ndarray
            On `grid`, whose axes may be flipped or swapped against the source's, as converters
            to NIfTI do.
        grid : Grid
            Its geometry.

        Raises
        ------
        GridMismatchError
            `grid` does not have the source's voxels.
        """
        grid.require(volume, "result")
        turn = np.linalg.inv(grid.affine) @ self.affine
        axes = np.abs(turn[:3, :3]).argmax(axis=0)  # grid axis that each source axis runs along
        backwards = turn[axes, range(3)] < 0
        apart = np.inf
        if sorted(axes) == [0, 1, 2] and tuple(grid.shape[a] for a in axes) == self.shape:
            last = np.array([n - 1 for n in self.shape], dtype=float)
            corners = np.array([np.zeros(3), *np.diag(last), last])
            there = (corners @ turn[:3, :3].T + turn[:3, 3])[:, axes]
            apart = np.abs(there - np.where(backwards, last - corners, corners)).max()
        if apart > SAME_VOXEL:
            raise GridMismatchError(
                f"voxels {grid.shape} of the results are not the reference's {self.shape}"
                + (f": they lie up to {apart:.2f} voxels apart" if np.isfinite(apart) else ""),
                where="DICOM reference",
                mend="Give the DICOM folder that the analysed images were converted from.",
            )
        flips = tuple(slice(None, None, -1 if flip else 1) for flip in backwards)
        turned = np.transpose(volume, axes)[flips]
        return np.ascontiguousarray(turned.transpose(2, 1, 0))


def read_origin(place: str, plan: Plan) -> Origin:
    """Return where the scan of `plan` came from.

    Parameters
    ----------
    place : str
        Folder, file or zip that was read.
    plan : Plan
        Which frames make it up.

    Raises
    ------
    FileError
        The files are no longer there, or no longer fit each other.
    MetadataError
        They lack what a reference to them needs.
    """
    with Box(Path(place)).opened() as opened, quietly():
        reading = Reading(Pixels(opened))
        stacks = [ordered(volume, reading) for volume in plan.volumes]
        lead = stacks[0]
        file = lead.frames[0].file
        with opened.stream(file) as stream:
            header = pydicom.dcmread(stream, stop_before_pixels=True, force=True)
        to_unicode(header, PATIENT_STUDY, file)
    _require_identified(header, file)
    return Origin(
        header=header,
        slices=tuple(_slice_header(header, lead, k) for k in range(len(lead.frames))),
        sources=tuple(zip(*(s.frames for s in stacks), strict=True)),
        affine=lead.affine,
        te_ms=tuple(t for t in plan.te_ms if t is not None),
    )


def _require_identified(header: Dataset, file: str) -> None:
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"):
        if not header.get(keyword):
            raise MetadataError(
                f"{keyword} is missing: results cannot refer to it",
                where=file,
                mend="Export the original images from the scanner or archive.",
            )
    if not header.get("FrameOfReferenceUID"):
        raise MetadataError(
            "FrameOfReferenceUID is missing: results would have no place",
            where=file,
            mend="Export the original images from the scanner or archive.",
        )


def _slice_header(first: Dataset, stack: Stack, k: int) -> Dataset:
    """Return a single-frame header at slice `k`; a frame of many gets an identifier of its own."""
    frame = stack.frames[k]
    out = Dataset()
    out.SOPClassUID, out.SOPInstanceUID = MRImageStorage, frame.sop
    if frame.multi:
        out.SOPInstanceUID = generate_uid(entropy_srcs=[frame.sop, str(frame.index)])
    out.SeriesInstanceUID = frame.series
    out.Modality = "MR"
    copy_identity(first, out)
    rows, columns = frame.size
    out.Rows, out.Columns = rows, columns
    out.ImagePositionPatient = list(frame.position or ())
    out.ImageOrientationPatient = list(frame.orientation or ())
    out.PixelSpacing = list(frame.pixel_mm or ())
    out.SliceThickness = frame.thickness_mm or stack.spacing_mm
    out.SpacingBetweenSlices = round(stack.spacing_mm, 6)
    out.LossyImageCompression = "01" if frame.lossy else "00"
    return out


PATIENT_STUDY = (
    # patient
    "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex",
    "OtherPatientIDsSequence", "PatientComments", "PatientIdentityRemoved",
    "DeidentificationMethod", "DeidentificationMethodCodeSequence", "EthnicGroup",
    # study
    "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "StudyDescription",
    "AccessionNumber", "IssuerOfAccessionNumberSequence", "ReferringPhysicianName",
    "LongitudinalTemporalInformationModified",
    # patient at this study
    "PatientAge", "PatientSize", "PatientWeight",
    # clinical trial
    "ClinicalTrialSponsorName", "ClinicalTrialProtocolID", "ClinicalTrialProtocolName",
    "ClinicalTrialSiteID", "ClinicalTrialSiteName", "ClinicalTrialSubjectID",
    "ClinicalTrialSubjectReadingID",
    # frame of reference, body part, and who made the images
    "FrameOfReferenceUID", "PositionReferenceIndicator", "BodyPartExamined", "PatientPosition",
    "Manufacturer", "ManufacturerModelName", "SoftwareVersions", "DeviceSerialNumber",
    "InstitutionName", "StationName",
)  # fmt: skip
"""What results take over from the images they were made from."""


def copy_identity(source: Dataset, target: Dataset) -> None:
    """Copy patient, study and frame of reference; what must be there is, be it empty."""
    target.SpecificCharacterSet = UNICODE
    for keyword in PATIENT_STUDY:
        if keyword in source:
            target[keyword] = deepcopy(source[keyword])  # else a later change reaches the source
    for keyword in TYPE_2:
        if keyword not in target:
            setattr(target, keyword, "")
