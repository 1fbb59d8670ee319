"""Findings, and signs on other images of the exam, as a TID 1500 measurement report."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from highdicom import sr
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from petechia import __version__
from petechia.files.dicom.kinds import MAKER, MODEL
from petechia.files.dicom.results import codes
from petechia.files.dicom.results.identity import SERIAL, Identity, referenced_series

Row = Mapping[str, str]
NUMBERS: tuple[tuple[str, Code, Code], ...] = (
    ("volume_mm3", codes.VOLUME, codes.MM3),
    ("diameter_mm", codes.DIAMETER, codes.MM),
    ("moment_ppm_mm3", codes.MOMENT, codes.PPM_MM3),
    ("moment_se_ppm_mm3", codes.MOMENT_SE, codes.PPM_MM3),
    ("chi_mean_ppm", codes.SUSCEPTIBILITY, codes.PPM),
    ("probability", codes.PROBABILITY, codes.ONE),
)
"""Columns of the table that become measurements: name, unit."""
MEAN = codes.sct("373098007", "Mean")
ASSESSED = ("yes", "no", "unsure")
NOT_ASSESSABLE = "not_assessable"
DISCLAIMER = (
    "Research use only. Not a medical device. Every finding needs review by a qualified reader "
    "on the original images."
)
REVIEWED_BY = "reviewed by "
"""How a text begins that names the readers."""
NOTED = "review: "
"""How a text begins that tells what readers made of a finding, also in their own words."""
OF_READERS = (REVIEWED_BY, NOTED)
BRAIN_MR = codes.sct("816077007", "Magnetic resonance imaging of brain")


def structured_report(
    identity: Identity, rows: Sequence[Row], summary: Mapping[str, Any]
) -> Dataset:
    """Return the report of all findings, those not counted too.

    It is preliminary and unverified, also after a review, which signs nothing. A report of a
    review refers to the one before it as its predecessor, and is partial until the review is
    finished; what was found before keeps its tracking identifiers.

    Parameters
    ----------
    identity : Identity
        Names and source.
    rows : sequence of mappings
        The table of findings.
    summary : mapping
        The summary file's content.
    """
    origin = identity.origin
    algorithm = sr.AlgorithmIdentification(name=MODEL, version=__version__)
    told = sr.AlgorithmIdentification(
        name=MODEL, version=__version__, parameters=[DISCLAIMER, *_parameters(summary)]
    )
    source = sr.SourceSeriesForSegmentation(
        referenced_series_instance_uid=origin.slices[0].SeriesInstanceUID
    )
    groups: list[Any] = [_counts(identity, told, summary)]
    groups += _signs(identity, summary.get("signs") or {})
    review = summary.get("review") or {}
    made = review.get("made") or {}
    groups += [
        _finding(identity, row, made.get(row["index"], row["index"]), algorithm, source)
        for row in rows
    ]
    device = sr.ObserverContext(
        observer_type=sr.CodedConcept("121007", "DCM", "Device"),
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=identity.uid("device"),
            name=MODEL,
            manufacturer_name=MAKER,
            model_name=MODEL,
            serial_number=SERIAL,
        ),
    )
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(
            observer_device_context=device, observer_person_context=_person(summary)
        ),
        procedure_reported=BRAIN_MR,
        imaging_measurements=groups,
        title=codes.dcm("126000", "Imaging Measurement Report"),
    )
    out = sr.Comprehensive3DSR(
        evidence=[origin.slices[0]],  # all of it below: highdicom searches the tree for each
        content=content[0],
        series_description=identity.description("Petechia findings, structured"),
        is_complete=not review or bool(review.get("finished")),
        is_final=False,
        is_verified=False,
        **identity.series("sr"),
        **identity.equipment(),
    )
    out.CurrentRequestedProcedureEvidenceSequence = [_evidence(identity)]
    if review:
        out.CompletionFlagDescription = f"{identity.standing.capitalize()}, not signed"
        if summary.get("version") == __version__:  # another one gave it a name we cannot know
            out.PredecessorDocumentsSequence = [_predecessor(identity.before_review(), out)]
    return out


def _predecessor(before: Identity, like: Dataset) -> Dataset:
    """Return a reference to the report of the same run before anybody reviewed it."""
    report = Dataset()
    report.ReferencedSOPClassUID = like.SOPClassUID
    report.ReferencedSOPInstanceUID = before.uid("sr", 1)
    series = Dataset()
    series.ReferencedSOPSequence = [report]
    series.SeriesInstanceUID = before.uid("sr", "series")
    out = Dataset()
    out.ReferencedSeriesSequence = [series]
    out.StudyInstanceUID = like.StudyInstanceUID
    return out


def _person(summary: Mapping[str, Any]) -> sr.ObserverContext | None:
    """Return the reader whose table this is; None when it is the software's or several's.

    Several readers are told in the parameters of the algorithm: the template has one person.
    """
    readers: list[str] = list((summary.get("review") or {}).get("readers") or ())
    if len(readers) != 1:
        return None
    name = readers[0].replace("^", " ").replace("=", " ") + "^"  # one component, not two
    return sr.ObserverContext(
        observer_type=sr.CodedConcept("121006", "DCM", "Person"),
        observer_identifying_attributes=sr.PersonObserverIdentifyingAttributes(name=name),
    )


def _evidence(identity: Identity) -> Dataset:
    """Return the item of the study that names every source instance."""
    out = Dataset()
    out.StudyInstanceUID = identity.origin.slices[0].StudyInstanceUID
    out.ReferencedSeriesSequence = referenced_series(identity.origin.instances)
    for series in out.ReferencedSeriesSequence:
        series.ReferencedSOPSequence = series.ReferencedInstanceSequence
        del series.ReferencedInstanceSequence
    return out


def _parameters(summary: Mapping[str, Any]) -> list[str]:
    point, model = summary.get("operating_point", {}), summary.get("model", {})
    said = []
    if point:
        said.append(f"operating point {point.get('name')}: probability {point.get('threshold')}")
    if model.get("says"):
        said.append(str(model["says"]))
    review = summary.get("review") or {}
    if review.get("readers"):
        said.append(f"{REVIEWED_BY}{', '.join(review['readers'])}")
    if review.get("undecided"):
        said.append(
            f"review {'finished' if review.get('finished') else 'begun, not finished'}: "
            f"{review['undecided']} of {review['asked']} findings are undecided and stand as the "
            "software left them"
        )
    if review.get("disagreements"):  # their words name the readers
        said.append(f"disagreements of the readers, not settled: {len(review['disagreements'])}")
    return said


def _counts(
    identity: Identity, algorithm: sr.AlgorithmIdentification, summary: Mapping[str, Any]
) -> sr.MeasurementsAndQualitativeEvaluations:
    """Return what is true of the whole brain: how many, or that it cannot be told."""
    can = summary.get("category") != NOT_ASSESSABLE
    counts = summary.get("counts", {})
    measured = []
    if can:
        measured.append(sr.Measurement(codes.COUNT, int(counts["total"]), codes.EACH))
        by_compartment = counts.get("by_compartment", {})
        measured += [
            sr.Measurement(code, int(by_compartment[key]), codes.EACH)
            for key, code in codes.COUNTS.items()
            if key in by_compartment
        ]
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(identity.tracking("summary"), "microbleeds, all"),
        finding_type=codes.MICROBLEED,
        finding_sites=[sr.FindingSite(codes.BRAIN)],
        algorithm_id=algorithm,
        measurements=measured,
        qualitative_evaluations=[
            sr.QualitativeEvaluation(codes.ASSESSABLE, codes.YES if can else codes.NO)
        ],
    )


def _signs(
    identity: Identity, told: Mapping[str, Any]
) -> list[sr.MeasurementsAndQualitativeEvaluations]:
    """Return what the exam's FLAIR shows: a group for each sign, those not assessed too.

    How it was measured, on which images, or why not, stands among the algorithm's parameters:
    the template has no other place for words.
    """
    groups = []
    images = [str(name) for name in (told.get("files") or {}).values()]
    for name, sign in (told.get("signs") or {}).items():
        if name not in codes.SIGN_NAMES or sign["state"] not in codes.STATES:
            continue
        words = [DISCLAIMER, str(told.get("says") or ""), str(sign.get("measure") or "")]
        words += [f"read on {', '.join(images)}"] if images and sign["state"] in ASSESSED else []
        words += [f"not assessed: {sign['why_not']}"] if sign.get("why_not") else []
        algorithm = sr.AlgorithmIdentification(
            name=MODEL, version=__version__, parameters=[word for word in words if word]
        )
        bounds = ((codes.LEAST, sign.get("low")), (codes.MOST, sign.get("high")))
        measured = [
            sr.Measurement(code, int(value), codes.NUMBER)
            for code, value in bounds
            if value is not None
        ]
        if name == "fazekas_periventricular" and sign["state"] in ASSESSED:
            measured += [
                sr.Measurement(codes.LOADS[key], float(value), codes.ML)
                for key, value in (told.get("volumes") or {}).items()
                if key in codes.LOADS
            ]
        groups.append(
            sr.MeasurementsAndQualitativeEvaluations(
                tracking_identifier=sr.TrackingIdentifier(
                    identity.tracking("sign", name), codes.SIGN_NAMES[name].meaning
                ),
                finding_type=codes.SIGN_NAMES[name],
                finding_sites=[sr.FindingSite(codes.BRAIN)],
                algorithm_id=algorithm,
                measurements=measured,
                qualitative_evaluations=[
                    sr.QualitativeEvaluation(codes.STATE, codes.STATES[sign["state"]])
                ],
            )
        )
    return groups


def _finding(
    identity: Identity,
    row: Row,
    key: str,
    algorithm: sr.AlgorithmIdentification,
    source: sr.SourceSeriesForSegmentation,
) -> sr.VolumetricROIMeasurementsAndQualitativeEvaluations:
    """Return the group of a finding; `key` is its index, or that of the log for a reader's."""
    said = [
        sr.QualitativeEvaluation(codes.COUNTED, codes.YES if row["counted"] == "1" else codes.NO),
        sr.QualitativeEvaluation(codes.SIGN, codes.SIGNS[row["sign"]]),
    ]
    if row["mars"] in codes.GRADES:
        said.append(sr.QualitativeEvaluation(codes.MARS, codes.GRADES[row["mars"]]))
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=identity.tracking("finding", key), identifier=row["name"]
        ),
        referenced_volume_surface=sr.VolumeSurface(
            graphic_type=sr.GraphicTypeValues3D.POINT,
            graphic_data=_place_lps_mm(row),
            frame_of_reference_uid=identity.origin.slices[0].FrameOfReferenceUID,
            source_series=source,
        ),
        finding_type=codes.CLASSES[row["class"]],
        finding_sites=[sr.FindingSite(codes.SITES[row["site"]], codes.SIDES.get(row["side"]))],
        algorithm_id=_told_of(row, algorithm),
        measurements=_measurements(row),
        qualitative_evaluations=said,
    )


def _told_of(row: Row, algorithm: sr.AlgorithmIdentification) -> sr.AlgorithmIdentification:
    """Return the algorithm of a finding with what its readers made of it: no other place."""
    note = row.get("review_note", "n/a")
    if note == "n/a":
        return algorithm
    return sr.AlgorithmIdentification(
        name=MODEL, version=__version__, parameters=[f"{NOTED}{note}"]
    )


def _place_lps_mm(row: Row) -> np.ndarray:
    """Return the centre of a finding (1, 3), in DICOM's axes [mm]."""
    x, y, z = (float(row[key]) for key in ("x_mm", "y_mm", "z_mm"))
    return np.array([[-x, -y, z]])


def _measurements(row: Row) -> list[sr.Measurement]:
    out = []
    for column, name, unit in NUMBERS:
        if row.get(column, "n/a") == "n/a":
            continue
        mean = MEAN if column == "chi_mean_ppm" else None
        out.append(sr.Measurement(name, float(row[column]), unit, derivation=mean))
    return out
