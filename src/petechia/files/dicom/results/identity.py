"""What all objects share: identifiers, equipment, references to the source."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from typing import Any

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sr.coding import Code
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from petechia import __version__
from petechia.files.dicom.frames import Frame
from petechia.files.dicom.kinds import MAKER, MODEL
from petechia.files.dicom.results import codes
from petechia.files.dicom.results.origin import Origin, copy_identity
from petechia.files.dicom.results.texts import UNICODE

SERIAL = "software"
RESEARCH = "Research use only"
"""In every series description."""
SERIES = {"seg": 1, "sr": 2, "chi": 3, "r2star": 4, "swi": 5, "mip": 6, "pdf": 7}
"""Place of each object among the new series: number 100 times the source's, plus this."""
REVIEWED = frozenset({"seg", "sr", "pdf"})
"""Objects that a review changes: the others stay what they were, name and all."""
AFTER_REVIEW = 10
"""What is added to the number of a series that a review has changed."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Identity:
    """Names the objects of one scan.

    Attributes
    ----------
    origin : Origin
        Where the scan came from.
    fingerprint : str
        Hash of input bytes, settings and version: it makes the identifiers, so that the same
        run gives the same ones and another run others.
    review : str
        Hash of what readers decided: other decisions make other objects; empty where nobody
        has decided anything.
    standing : str
        How the review stands, for the series description; empty without one.
    decided_at : str
        When the last decision was made (ISO 8601, UTC); empty without one.
    """

    origin: Origin
    fingerprint: str
    review: str = ""
    standing: str = ""
    decided_at: str = ""

    def uid(self, *what: object) -> UID:
        """Return the identifier of `what`: the same for the same source, run, version, review."""
        return self._made(__version__, self.fingerprint + self.review, what)

    def tracking(self, *what: object) -> UID:
        """Return the identifier by which `what` is followed from object to object.

        It hangs on the source and the run alone: a review or a later export keeps it.
        """
        return self._made("tracking", self.fingerprint, what)

    def _made(self, version: str, told: str, what: Iterable[object]) -> UID:
        first = self.origin.sources[0][0]
        facts = [MODEL, version, told, first.study, first.sop]
        return UID(generate_uid(entropy_srcs=[*map(str, facts), *map(str, what)]))

    def before_review(self) -> "Identity":
        """Return the identity of the same run's objects while nobody had decided anything."""
        return replace(self, review="", standing="", decided_at="")

    def of(self, kind: str) -> "Identity":
        """Return the identity for objects of `kind`: a review's only where it changes them."""
        return self if kind in REVIEWED else self.before_review()

    def series_number(self, kind: str) -> int:
        """Return the number of the series of `kind`: near the source's, after the scanner's."""
        place = SERIES[kind] + (AFTER_REVIEW if self.standing else 0)
        return 100 * max(self.origin.series_number, 1) + place

    def description(self, words: str) -> str:
        """Return a series description: what it is, how the review stands, and for what use."""
        return f"{', '.join(filter(None, (words, self.standing)))}. {RESEARCH}"

    def series(self, kind: str) -> dict[str, Any]:
        """Return what highdicom asks for about series and maker."""
        return {
            "series_instance_uid": self.uid(kind, "series"),
            "series_number": self.series_number(kind),
            "sop_instance_uid": self.uid(kind, 1),
            "instance_number": 1,
            "manufacturer": MAKER,
        }

    def equipment(self) -> dict[str, Any]:
        """Return what highdicom asks for about the software."""
        return {
            "manufacturer_model_name": MODEL,
            "software_versions": __version__,
            "device_serial_number": SERIAL,
        }

    def blank(self, kind: str, sop_class: UID, instance: int, modality: str) -> FileDataset:
        """Return a file of our own making with patient, study, series and equipment filled in."""
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = sop_class
        meta.MediaStorageSOPInstanceUID = self.uid(kind, instance)
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        out = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        copy_identity(self.origin.header, out)
        for keyword in ("InstitutionName", "StationName", "DeviceSerialNumber"):
            if keyword in out:  # of the scanner: it is named as contributing equipment
                del out[keyword]
        out.SOPClassUID, out.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
        out.Modality = modality
        out.SeriesInstanceUID = self.uid(kind, "series")
        out.SeriesNumber, out.InstanceNumber = self.series_number(kind), instance
        say_body_part(out)
        if "PositionReferenceIndicator" not in out:
            out.PositionReferenceIndicator = ""
        out.Manufacturer, out.ManufacturerModelName = MAKER, MODEL
        out.SoftwareVersions, out.DeviceSerialNumber = __version__, SERIAL
        scanner = Dataset()
        scanner.Manufacturer = self.origin.header.get("Manufacturer", "") or "unknown"
        for keyword in ("ManufacturerModelName", "SoftwareVersions"):
            if self.origin.header.get(keyword):
                setattr(scanner, keyword, self.origin.header[keyword].value)
        scanner.PurposeOfReferenceCodeSequence = [coded(codes.SCANNER)]
        out.ContributingEquipmentSequence = [scanner]
        return out


def settle(dataset: Dataset, identity: Identity, kind: str) -> Dataset:
    """Take out of an object what another run of the same scan would make otherwise.

    An identifier must never stand for two contents: archives refuse the second. So the content
    has the date and time of the scan, or of the last decision of its review, not of the run
    (which stands in the log), and identifiers that highdicom draws at random are made as all
    others are.
    """
    dataset.SpecificCharacterSet = UNICODE
    dataset.ContentDate, dataset.ContentTime = max(_scanned(identity), _decided(identity))
    for keyword in ("InstanceCreationDate", "InstanceCreationTime"):
        if keyword in dataset:
            del dataset[keyword]
    for item in dataset.get("ContributingEquipmentSequence", []):
        if "ContributionDateTime" in item:
            del item.ContributionDateTime
    organization = identity.uid(kind, "dimensions")
    for sequence in ("DimensionOrganizationSequence", "DimensionIndexSequence"):
        for item in dataset.get(sequence, []):
            item.DimensionOrganizationUID = organization
    return dataset


def _scanned(identity: Identity) -> tuple[str, str]:
    """Return date and time of the scan."""
    source = identity.origin.header
    stamp = source.get("AcquisitionDateTime") or ""
    said = {"Date": stamp[:8], "Time": stamp[8:].partition("+")[0]}
    unknown = {"Date": "19000101", "Time": "000000"}

    def first(what: str) -> str:
        known = [source.get(f"{of}{what}") for of in ("Acquisition", "Content", "Series", "Study")]
        return str(next((value for value in (*known, said[what]) if value), unknown[what]))

    return first("Date"), first("Time")


def _decided(identity: Identity) -> tuple[str, str]:
    """Return date and time of the last decision in the scan's time zone; UTC where none is told."""
    if not identity.decided_at:
        return "", ""
    zone: tzinfo = UTC
    with suppress(ValueError):
        told = str(identity.origin.header.get("TimezoneOffsetFromUTC", ""))
        zone = datetime.strptime(told, "%z").tzinfo or UTC
    at = datetime.fromisoformat(identity.decided_at).astimezone(zone)
    return f"{at:%Y%m%d}", f"{at:%H%M%S.%f}"


def say_body_part(out: Dataset) -> None:
    """Say that it is the brain, where the source does not: one that has no side."""
    if not out.get("BodyPartExamined"):
        out.BodyPartExamined = "BRAIN"


def coded(code: Code) -> Dataset:
    """Return a code sequence item."""
    out = Dataset()
    out.CodeValue, out.CodingSchemeDesignator = code.value, code.scheme_designator
    out.CodeMeaning = code.meaning
    return out


def reference(frame: Frame) -> Dataset:
    """Return a reference to the instance of a frame, and to the frame where there are many."""
    out = Dataset()
    out.ReferencedSOPClassUID, out.ReferencedSOPInstanceUID = frame.sop_class, frame.sop
    if frame.multi:
        out.ReferencedFrameNumber = frame.index + 1
    return out


def derivation(frames: Iterable[Frame], how: Code) -> Dataset:
    """Return the derivation of an image from the source `frames` of its place."""
    out = Dataset()
    out.DerivationCodeSequence = [coded(how)]
    out.SourceImageSequence = []
    for frame in frames:
        item = reference(frame)
        item.PurposeOfReferenceCodeSequence = [coded(codes.SOURCE_PURPOSE)]
        item.SpatialLocationsPreserved = "YES"
        out.SourceImageSequence.append(item)
    return out


def referenced_series(frames: Sequence[Frame]) -> list[Dataset]:
    """Return the items of ReferencedSeriesSequence for all instances of `frames`."""
    groups: dict[str, dict[str, Dataset]] = defaultdict(dict)
    for frame in frames:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = frame.sop_class, frame.sop
        groups[frame.series].setdefault(frame.sop, item)
    out = []
    for series, instances in groups.items():
        group = Dataset()
        group.SeriesInstanceUID = series
        group.ReferencedInstanceSequence = list(instances.values())
        out.append(group)
    return out


def refer_by_place(multiframe: Dataset, origin: Origin, how: Code) -> None:
    """Make every frame refer to all source frames at its place, and the file to all of them."""
    places = {tuple(s.ImagePositionPatient): k for k, s in enumerate(origin.slices)}
    for group in multiframe.PerFrameFunctionalGroupsSequence:
        place = tuple(group.PlanePositionSequence[0].ImagePositionPatient)
        group.DerivationImageSequence = [derivation(origin.sources[places[place]], how)]
    shared = multiframe.SharedFunctionalGroupsSequence[0]
    if "DerivationImageSequence" in shared:
        del shared.DerivationImageSequence
    multiframe.ReferencedSeriesSequence = referenced_series(origin.instances)
    if "SourceImageSequence" in multiframe:
        del multiframe.SourceImageSequence
