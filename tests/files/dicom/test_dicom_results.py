"""Results as DICOM: valid, at their place, with the source's names, the same every time."""

import itertools
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest

from petechia import __version__
from petechia.core.echoes import Echoes
from petechia.core.grid import Grid
from petechia.errors import FileError, GridMismatchError, MetadataError
from petechia.files.dicom.find import find_dicom_scans
from petechia.files.dicom.results.write import Results, write_results
from petechia.files.dicom.write import DicomStyle, write_dicom
from petechia.files.scan import Header

SHAPE = (13, 11, 9)
HEADER = Header(acquisition_type="3D", slice_thickness_mm=1.5, tr_s=0.03, flip_deg=15.0)
TILT = nib.eulerangles.euler2mat(z=0.2, y=-0.3, x=0.4)
PLANES = {
    "axial": np.eye(3),
    "oblique": TILT,
    "sagittal": np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]], dtype=float) @ TILT,
}
FINDINGS = [
    {"index": "1", "name": "microbleed 1", "class": "microbleed", "sign": "paramagnetic",
     "probability": "0.990", "counted": "1", "mars": "definite", "volume_mm3": "8.64",
     "diameter_mm": "2.4", "moment_ppm_mm3": "2.31", "moment_se_ppm_mm3": "0.12",
     "chi_mean_ppm": "0.310", "side": "left", "site": "frontal", "compartment": "lobar"},
    {"index": "2", "name": "calcification 1", "class": "calcification", "sign": "diamagnetic",
     "probability": "0.010", "counted": "0", "mars": "n/a", "volume_mm3": "4.32",
     "diameter_mm": "2.0", "moment_ppm_mm3": "n/a", "moment_se_ppm_mm3": "n/a",
     "chi_mean_ppm": "n/a", "side": "n/a", "site": "n/a", "compartment": "n/a"},
    {"index": "3", "name": "microbleed 2", "class": "microbleed", "sign": "not_assessed",
     "probability": "0.200", "counted": "0", "mars": "possible", "volume_mm3": "1.08",
     "diameter_mm": "1.2", "moment_ppm_mm3": "n/a", "moment_se_ppm_mm3": "n/a",
     "chi_mean_ppm": "-0.020", "side": "midline", "site": "brainstem",
     "compartment": "infratentorial"},
]  # fmt: skip
SUMMARY = {
    "fingerprint": "f1",
    "category": "strictly_lobar",
    "counts": {"total": 1, "by_compartment": {"lobar": 1, "deep": 0, "infratentorial": 0}},
    "reading_te_s": 0.012,
    "settings": {"slab_mm": 9.0},
    "operating_point": {"name": "balanced", "threshold": 0.5},
    "model": {"says": "Not validated on people."},
    "signs": {
        "says": "Not validated on real scans.",
        "files": {"FLAIR": "series 7 (FLAIR, 1 x 1 x 1 mm)"},
        "volumes": {"hyperintensity_ml": 7.25, "deep_ml": 2.5},
        "signs": {
            "fazekas_periventricular": {
                "state": "unsure",
                "low": 1,
                "high": 2,
                "measure": "5 mm",
                "scans": "FLAIR",
                "why_not": "",
            },
            "lacunes": {
                "state": "yes",
                "low": 2,
                "high": None,
                "measure": "3, of 3, 4, 8 mm",
                "scans": "FLAIR",
                "why_not": "",
            },
            "edema": {
                "state": "no",
                "low": 0,
                "high": 0,
                "measure": "no patch",
                "scans": "FLAIR",
                "why_not": "",
            },
            "sulcal_effusion": {
                "state": "not_assessed",
                "low": None,
                "high": None,
                "measure": "",
                "scans": "",
                "why_not": "software does not read it",
            },
        },
    },
}
pytestmark = pytest.mark.xdist_group("dicom-results")
VALIDATOR = shutil.which("dciodvfy")


def errors_in(path: Path) -> list[str]:
    """What the validator holds against a file."""
    done = subprocess.run([VALIDATOR, path], capture_output=True, check=False)
    said = (done.stdout + done.stderr).decode(errors="replace").splitlines()
    return [line for line in said if "Error" in line or "Abort" in line]


def grid_of(plane: str) -> Grid:
    affine = np.eye(4)
    affine[:3, :3] = PLANES[plane] * (0.8, 0.9, 1.5)
    affine[:3, 3] = (-12.0, 9.0, 4.0)
    return Grid(SHAPE, affine)


def source(folder: Path, plane: str, form: str = "classic") -> Path:
    """Write a scan whose files are a source of results."""
    rng = np.random.default_rng(5)
    echoes = Echoes(
        magnitude=rng.uniform(10, 900, (2, *SHAPE)).astype(np.float32),
        phase_rad=rng.uniform(-3, 3, (2, *SHAPE)).astype(np.float32),
        te_s=(0.006, 0.012), b0_t=3.0, grid=grid_of(plane),
    )  # fmt: skip
    write_dicom(folder, echoes, HEADER, DicomStyle(form=form))
    return folder


def results(grid: Grid) -> Results:
    rng = np.random.default_rng(6)
    labels = np.zeros(SHAPE, dtype=np.int32)
    labels[2:4, 3:6, 1:3], labels[8:10, 7, 4:6], labels[11, 2, 7] = 1, 2, 3
    rows = []
    for row in FINDINGS:
        place = grid.to_mm(np.argwhere(labels == int(row["index"])).mean(0))
        rows.append(
            row | dict(zip(("x_mm", "y_mm", "z_mm"), (f"{v:.2f}" for v in place), strict=True))
        )
    return Results(
        grid=grid,
        labels=labels,
        findings=rows,
        summary=SUMMARY,
        volumes={
            "chi": rng.normal(0, 0.1, SHAPE).astype(np.float32),
            "r2star": rng.uniform(0, 90, SHAPE).astype(np.float32),
            "swi": rng.uniform(0, 700, SHAPE).astype(np.float32),
            "mip": rng.uniform(0, 300, SHAPE).astype(np.float32),
        },
        pdf=b"%PDF-1.4 odd",
    )


def origin_of(folder: Path):
    (ref,) = find_dicom_scans(folder)
    return ref.origin()


@pytest.fixture(
    scope="module", params=itertools.product(PLANES, ("classic", "enhanced")), ids="-".join
)
def written(request, tmp_path_factory):
    """The folder of a scan, its results, and the objects read back by name."""
    plane, form = request.param
    place = tmp_path_factory.mktemp(f"{plane}_{form}")
    folder = source(place / "scan", plane, form)
    found = results(find_dicom_scans(folder)[0].load().echoes.grid)
    files = write_results(place / "out", found, origin_of(folder))
    objects = {str(f.relative_to(place / "out")): pydicom.dcmread(f) for f in files}
    return folder, found, objects


def planes_of(dataset):
    """Yield (first pixel, column step, row step, key) of each frame, RAS mm."""
    flip = np.array([-1, -1, 1.0])
    if "PerFrameFunctionalGroupsSequence" not in dataset:
        groups = [(dataset, dataset, dataset, None)]
    else:
        shared = dataset.SharedFunctionalGroupsSequence[0]
        groups = [
            (
                group.PlanePositionSequence[0],
                shared.PlaneOrientationSequence[0],
                shared.PixelMeasuresSequence[0],
                group,
            )
            for group in dataset.PerFrameFunctionalGroupsSequence
        ]
    for position, orientation, measures, group in groups:
        first = np.array(position.ImagePositionPatient, dtype=float) * flip
        cosines = np.array(orientation.ImageOrientationPatient, dtype=float)
        between_rows, between_columns = map(float, measures.PixelSpacing)
        yield first, cosines[:3] * flip * between_columns, cosines[3:] * flip * between_rows, group


def at_places(volume, grid, dataset, frame, n):
    """Values of a NIfTI volume at the places of one DICOM frame, and that they are voxels."""
    first, across, down, _ = frame
    r, c = np.indices((dataset.Rows, dataset.Columns))
    index = grid.to_index(first + c[..., None] * across + r[..., None] * down)
    assert np.abs(index - np.rint(index)).max() < 0.01
    return volume[tuple(np.moveaxis(np.rint(index).astype(int), -1, 0))]


@pytest.mark.skipif(VALIDATOR is None, reason="dciodvfy (Debian package dicom3tools) is missing")
def test_the_validator_finds_no_error(written, tmp_path):
    _, _, objects = written
    for name, dataset in objects.items():
        path = tmp_path / "one.dcm"
        dataset.save_as(path)
        assert errors_in(path) == [], name


def test_maps_hold_the_very_numbers_at_their_places(written):
    _, found, objects = written
    for key, name in (("chi", "chi_map.dcm"), ("r2star", "r2star_map.dcm")):
        dataset = objects[name]
        frames = np.frombuffer(dataset.FloatPixelData, np.float32)
        frames = frames.reshape(-1, dataset.Rows, dataset.Columns)
        assert len(frames) == SHAPE[2]
        for n, frame in enumerate(planes_of(dataset)):
            there = at_places(found.volumes[key], found.grid, dataset, frame, n)
            np.testing.assert_array_equal(frames[n], there)
        (mapping,) = dataset.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence
        assert (mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept) == (1, 0)
    unit = objects["chi_map.dcm"].SharedFunctionalGroupsSequence[0]
    unit = unit.RealWorldValueMappingSequence[0].MeasurementUnitsCodeSequence[0]
    assert (unit.CodingSchemeDesignator, unit.CodeValue) == ("UCUM", "[ppm]")


@pytest.mark.parametrize("key", ["swi", "mip"])
def test_series_hold_the_numbers_to_half_a_step_at_their_places(written, key):
    _, found, objects = written
    slices = [d for name, d in objects.items() if name.startswith(f"{key}/")]
    assert len(slices) == SHAPE[2]
    assert len({d.SeriesInstanceUID for d in slices}) == 1
    assert sorted(d.InstanceNumber for d in slices) == list(range(1, SHAPE[2] + 1))
    for dataset in slices:
        (mapping,) = dataset.RealWorldValueMappingSequence
        values = dataset.pixel_array * mapping.RealWorldValueSlope
        (frame,) = planes_of(dataset)
        there = at_places(found.volumes[key], found.grid, dataset, frame, 0)
        assert np.abs(values - there).max() <= 0.5001 * mapping.RealWorldValueSlope + 1e-4
        assert dataset.pixel_array.max() <= 32767


def test_every_label_lies_in_the_segment_of_its_class(written):
    _, found, objects = written
    dataset = objects["findings_seg.dcm"]
    segments = {s.SegmentNumber: s for s in dataset.SegmentSequence}
    assert [s.SegmentLabel for s in segments.values()] == [
        "Microbleed, counted", "Microbleed, not counted", "Calcification",
    ]  # fmt: skip
    assert segments[1].SegmentedPropertyTypeCodeSequence[0].CodeValue == "723857007"
    number = {1: 1, 2: 3, 3: 2}  # finding to segment
    left = np.vectorize(lambda label: number.get(label, 0))(found.labels)
    for frame, pixels in zip(planes_of(dataset), dataset.pixel_array, strict=True):
        n = frame[3].SegmentIdentificationSequence[0].ReferencedSegmentNumber
        there = at_places(left, found.grid, dataset, frame, 0)
        np.testing.assert_array_equal(pixels > 0, there == n)
        assert pixels.any()
    total = sum(int(p.sum()) for p in dataset.pixel_array)
    assert total == int((found.labels > 0).sum())


def content(item):
    """Yield every content item of a report."""
    yield item
    for child in item.get("ContentSequence", []):
        yield from content(child)


def named(group, value):
    """Return the items of one measurement group by the code of their name."""
    return [
        c for c in group.ContentSequence
        if c.get("ConceptNameCodeSequence") and c.ConceptNameCodeSequence[0].CodeValue == value
    ]  # fmt: skip


def test_the_report_says_what_the_table_says(written):
    _, found, objects = written
    dataset = objects["findings_sr.dcm"]
    assert (dataset.CompletionFlag, dataset.VerificationFlag) == ("COMPLETE", "UNVERIFIED")
    assert dataset.PreliminaryFlag == "PRELIMINARY"
    groups = [
        c for c in content(dataset)
        if c.get("ConceptNameCodeSequence") and c.ConceptNameCodeSequence[0].CodeValue == "125007"
    ]  # fmt: skip
    signs = groups[1 : 1 + len(SUMMARY["signs"]["signs"])]
    groups = [groups[0], *groups[1 + len(signs) :]]
    assert len(groups) == 1 + len(FINDINGS)
    counts = [m.MeasuredValueSequence[0] for m in named(groups[0], "N_MICROBLEEDS")]
    assert [c.NumericValue for c in counts] == [1]
    said = " ".join(c.get("TextValue", "") for c in content(dataset))
    assert "Research use only" in said
    assert "Not validated on people" in said
    told = {named(g, "121071")[0].ConceptCodeSequence[0].CodeValue: g for g in signs}
    state = {k: named(g, "SIGN_STATE")[0].ConceptCodeSequence[0] for k, g in told.items()}
    assert {k: v.CodeValue for k, v in state.items()} == {
        "WMH_PV": "UNSURE", "LACUNES": "373066001", "EDEMA_PATCHES": "373067005",
        "SULCAL_EFFUSION": "NOT_ASSESSED",
    }  # fmt: skip

    def number(sign, code):
        items = named(told[sign], code)
        return float(items[0].MeasuredValueSequence[0].NumericValue) if items else None

    assert [number("WMH_PV", c) for c in ("SIGN_LEAST", "SIGN_MOST")] == [1, 2]
    assert number("WMH_PV", "WMH_VOLUME") == 7.25
    # that there are no more lacunes is never claimed
    assert [number("LACUNES", c) for c in ("SIGN_LEAST", "SIGN_MOST")] == [2, None]
    assert number("SULCAL_EFFUSION", "SIGN_LEAST") is None
    words = " ".join(c.get("TextValue", "") for c in content(told["LACUNES"]))
    for said_of_it in ("Not validated on real scans", "series 7", "of 3, 4, 8 mm", "Research use"):
        assert said_of_it in words
    columns = {
        "118565006": ("volume_mm3", "mm3"), "81827009": ("diameter_mm", "mm"),
        "MOMENT": ("moment_ppm_mm3", "[ppm].mm3"), "126396": ("chi_mean_ppm", "[ppm]"),
        "P_MICROBLEED": ("probability", "1"),
    }  # fmt: skip
    for row, group in zip(found.findings, groups[1:], strict=True):
        assert named(group, "112039")[0].TextValue == row["name"]
        for code, (column, unit) in columns.items():
            items = named(group, code)
            if row[column] == "n/a":
                assert items == []
                continue
            (measured,) = items[0].MeasuredValueSequence
            assert float(measured.NumericValue) == float(row[column])
            assert measured.MeasurementUnitsCodeSequence[0].CodeValue == unit
        counted = named(group, "COUNTED")[0].ConceptCodeSequence[0].CodeMeaning
        assert counted == ("Yes" if row["counted"] == "1" else "No")
        (surface,) = [c for c in content(group) if c.ValueType == "SCOORD3D"]
        place = np.array(surface.GraphicData) * (-1, -1, 1)
        np.testing.assert_allclose(
            place, [float(row[k]) for k in ("x_mm", "y_mm", "z_mm")], atol=1e-4
        )
        assert surface.ReferencedFrameOfReferenceUID == objects["chi_map.dcm"].FrameOfReferenceUID
    site = named(groups[1], "363698007")[0]
    assert site.ConceptCodeSequence[0].CodeMeaning == "Frontal lobe"
    assert site.ContentSequence[0].ConceptCodeSequence[0].CodeMeaning == "Left"


def test_all_belong_to_the_patient_study_and_frame_of_the_source(written):
    folder, _, objects = written
    like = pydicom.dcmread(next(folder.glob("*.dcm")))
    for name, dataset in objects.items():
        for keyword in ("PatientID", "PatientName", "StudyInstanceUID", "StudyDate"):
            assert dataset[keyword].value == like[keyword].value, name
        if name not in ("findings_sr.dcm", "report_pdf.dcm"):
            assert dataset.FrameOfReferenceUID == like.FrameOfReferenceUID
        assert "Research use only" in dataset.SeriesDescription
    assert len({d.SOPInstanceUID for d in objects.values()}) == len(objects)
    assert len({d.SeriesInstanceUID for d in objects.values()}) == 7
    assert len({d.SeriesNumber for d in objects.values()}) == 7


def test_references_name_source_images_at_the_same_place(written):
    folder, _, objects = written
    sources = {d.SOPInstanceUID: d for d in map(pydicom.dcmread, folder.glob("*.dcm"))}
    for name in ("chi_map.dcm", "findings_seg.dcm", "swi/0003.dcm"):
        dataset = objects[name]
        for first, _, _, group in planes_of(dataset):
            holder = dataset if group is None else group.DerivationImageSequence[0]
            assert len(holder.SourceImageSequence) == 4  # two echoes, magnitude and phase
            for item in holder.SourceImageSequence:
                there = sources[item.ReferencedSOPInstanceUID]
                assert item.ReferencedSOPClassUID == there.SOPClassUID
                frames = list(planes_of(there))
                place = frames[item.get("ReferencedFrameNumber", 1) - 1][0]
                np.testing.assert_allclose(place, first, atol=1e-4)
    evidence = objects["findings_sr.dcm"].CurrentRequestedProcedureEvidenceSequence[0]
    told = {
        i.ReferencedSOPInstanceUID
        for series in evidence.ReferencedSeriesSequence
        for i in series.ReferencedSOPSequence
    }
    assert told == set(sources)


def test_the_document_comes_out_as_it_went_in(written):
    dataset = written[2]["report_pdf.dcm"]
    assert dataset.MIMETypeOfEncapsulatedDocument == "application/pdf"
    assert dataset.EncapsulatedDocument[: dataset.EncapsulatedDocumentLength] == b"%PDF-1.4 odd"


def test_the_source_is_read_as_before_when_its_results_lie_beside_it(tmp_path):
    folder = source(tmp_path / "scan", "oblique")
    (before,) = find_dicom_scans(folder)
    write_results(folder / "out", results(grid_of("oblique")), before.origin())
    (after,) = find_dicom_scans(folder)
    assert after.paths == before.paths
    np.testing.assert_array_equal(after.load().echoes.magnitude, before.load().echoes.magnitude)


def test_our_swi_is_no_scan_even_where_the_scanners_own_is_one(tmp_path):
    folder = source(tmp_path / "scan", "axial")
    for file in sorted(folder.rglob("*.dcm")):
        dataset = pydicom.dcmread(file)
        if "P" in dataset.ImageType:
            file.unlink()
            continue
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "SWI"]
        dataset.save_as(file)
    (before,) = find_dicom_scans(folder)
    assert before.load().header.weighted
    write_results(tmp_path / "out", results(grid_of("axial")), before.origin())
    shutil.copytree(tmp_path / "out", folder / "out")  # as a study comes back from an archive
    (after,) = find_dicom_scans(folder)
    assert after.paths == before.paths
    assert any("left aside: result of Petechia" in note for note in after.load().notes)
    with pytest.raises(FileError, match="left aside: result of Petechia"):
        find_dicom_scans(tmp_path / "out")


def identifiers(folder: Path) -> list[str]:
    return [
        str(pydicom.dcmread(p, stop_before_pixels=True)[k].value)
        for p in sorted(folder.rglob("*.dcm"))
        for k in ("SOPInstanceUID", "SeriesInstanceUID")
    ]


def test_identifiers_are_those_of_input_and_settings(tmp_path):
    folder = source(tmp_path / "scan", "axial")
    found = results(grid_of("axial"))
    write_results(tmp_path / "a", found, origin_of(folder))
    write_results(tmp_path / "b", found, origin_of(folder))
    other = replace(found, summary=SUMMARY | {"fingerprint": "f2"})
    write_results(tmp_path / "c", other, origin_of(folder))
    a, c = (identifiers(tmp_path / name) for name in "ac")
    # an identifier never stands for two contents: an archive would refuse the second
    for path in sorted((tmp_path / "a").rglob("*.dcm")):
        again = tmp_path / "b" / path.relative_to(tmp_path / "a")
        assert path.read_bytes() == again.read_bytes(), path.name
    assert not set(a) & set(c)


def test_no_finding_is_an_empty_segment_and_no_answer_is_none(tmp_path):
    folder = source(tmp_path / "scan", "axial")
    found = results(grid_of("axial"))
    nothing = replace(found, findings=[], labels=np.zeros(SHAPE, np.int32), volumes={}, pdf=b"",
                      summary=SUMMARY | {"counts": {"total": 0, "by_compartment": {}}})  # fmt: skip
    files = write_results(tmp_path / "none", nothing, origin_of(folder))
    assert {f.name for f in files} == {"findings_seg.dcm", "findings_sr.dcm"}
    segmentation = pydicom.dcmread(tmp_path / "none" / "findings_seg.dcm")
    assert [s.SegmentLabel for s in segmentation.SegmentSequence] == ["Microbleed, counted"]
    assert not segmentation.pixel_array.any()
    summary = {k: v for k, v in SUMMARY.items() if k != "signs"}
    unfit = replace(nothing, summary=summary | {"category": "not_assessable"})
    (only,) = write_results(tmp_path / "unfit", unfit, origin_of(folder))
    report = pydicom.dcmread(only)
    codes = [c.ConceptCodeSequence[0].CodeMeaning for c in content(report)
             if c.get("ConceptNameCodeSequence")
             and c.ConceptNameCodeSequence[0].CodeValue == "ASSESSABLE"]  # fmt: skip
    assert codes == ["No"]
    assert not [c for c in content(report) if c.ValueType == "NUM"]


@pytest.mark.parametrize("undecided", [0, 3])
def test_a_review_that_is_only_begun_says_so(tmp_path, undecided):
    folder = source(tmp_path / "scan", "axial")
    review = {"readers": ["ann"], "asked": 9, "undecided": undecided, "digest": "5"}
    found = replace(results(grid_of("axial")), summary=SUMMARY | {"review": review}, volumes={})
    write_results(tmp_path / "out", found, origin_of(folder))
    report = pydicom.dcmread(tmp_path / "out" / "findings_sr.dcm")
    said = [c.get("TextValue", "") for c in content(report)]
    assert "reviewed by ann" in said
    assert any("3 of 9 findings are undecided" in text for text in said) == bool(undecided)


def trackings(report) -> dict[str, str]:
    """Tracking identifiers of a report, by the names of what they track."""
    names = [c.TextValue for c in content(report)
             if c.get("ConceptNameCodeSequence")
             and c.ConceptNameCodeSequence[0].CodeValue == "112039"]  # fmt: skip
    uids = [c.UID for c in content(report)
            if c.get("ConceptNameCodeSequence")
            and c.ConceptNameCodeSequence[0].CodeValue == "112040"]  # fmt: skip
    return dict(zip(names, uids, strict=True))


REVIEW = {"readers": ["ann"], "asked": 3, "undecided": 0, "finished": True, "digest": "5",
          "to": "2026-01-02T03:04:05.678Z", "made": {"4": "a-one"}}  # fmt: skip


@pytest.fixture
def reviewed_beside(tmp_path):
    """A call: the objects of a scan without a review, and those with one, by file name."""
    folder = source(tmp_path / "scan", "axial")
    found = results(grid_of("axial"))

    def write(name, rows=found.findings, **more):
        summary = SUMMARY | {"version": __version__} | more
        one = replace(found, findings=rows, summary=summary)
        write_results(tmp_path / name, one, origin_of(folder))
        return {
            p.relative_to(tmp_path / name).as_posix(): pydicom.dcmread(p)
            for p in sorted((tmp_path / name).rglob("*.dcm"))
        }

    return found.findings, write


def test_a_reviewed_report_is_another_and_says_which_one_was_before(reviewed_beside):
    rows, write = reviewed_beside
    drawn = {**rows[0], "index": "4", "name": "vessel 4", "class": "vessel", "counted": "0"}
    changed = [{**rows[0], "name": "vessel 5", "class": "vessel", "counted": "0"}, *rows[1:], drawn]
    before, after = write("before"), write("after", changed, review=REVIEW)
    first, second = before["findings_sr.dcm"], after["findings_sr.dcm"]
    (study,) = second.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    (report,) = series.ReferencedSOPSequence
    assert study.StudyInstanceUID == first.StudyInstanceUID
    assert series.SeriesInstanceUID == first.SeriesInstanceUID != second.SeriesInstanceUID
    assert report.ReferencedSOPInstanceUID == first.SOPInstanceUID != second.SOPInstanceUID
    assert report.ReferencedSOPClassUID == first.SOPClassUID
    assert "PredecessorDocumentsSequence" not in first
    for name in ("findings_sr.dcm", "findings_seg.dcm", "report_pdf.dcm"):
        assert after[name].SeriesNumber == before[name].SeriesNumber + 10
        assert "reviewed" in after[name].SeriesDescription
        assert "reviewed" not in before[name].SeriesDescription
        assert "Research use only" in after[name].SeriesDescription
        assert len(after[name].SeriesDescription) <= 64
        assert (after[name].ContentDate, after[name].ContentTime) == ("20260102", "030405.678000")
    assert (second.CompletionFlag, second.VerificationFlag) == ("COMPLETE", "UNVERIFIED")
    assert second.CompletionFlagDescription == "Reviewed, not signed"
    # what a review does not change stays what it was, to the byte
    for name in before:
        if name.startswith(("chi", "r2star", "swi", "mip")):
            assert before[name] == after[name], name


def test_what_was_found_is_tracked_through_a_review(reviewed_beside):
    rows, write = reviewed_beside
    drawn = {**rows[0], "index": "4", "name": "vessel 4", "class": "vessel", "counted": "0"}
    changed = [{**rows[0], "name": "vessel 5", "class": "vessel", "counted": "0"}, *rows[1:], drawn]
    before = trackings(write("before")["findings_sr.dcm"])
    after = trackings(write("after", changed, review=REVIEW)["findings_sr.dcm"])
    assert before == {n.replace("vessel 5", rows[0]["name"]): u for n, u in after.items()
                      if n != "vessel 4"}  # fmt: skip
    assert after["vessel 4"] not in before.values()
    # what a reader made is known by its own key, whatever its place in the table
    moved = REVIEW | {"made": {"4": "a-two", "5": "a-one"}, "digest": "6"}
    again = [*rows, drawn, {**drawn, "index": "5", "name": "vessel 6"}]
    third = trackings(write("third", again, review=moved)["findings_sr.dcm"])
    assert third["vessel 6"] == after["vessel 4"]
    assert third["vessel 4"] not in {*after.values(), *before.values()}


def test_a_report_whose_name_cannot_be_known_is_not_called_predecessor(reviewed_beside):
    _, write = reviewed_beside
    begun = REVIEW | {"finished": False}
    report = write("out", version="0.0.1", review=begun)["findings_sr.dcm"]
    assert "PredecessorDocumentsSequence" not in report
    assert (report.CompletionFlag, report.CompletionFlagDescription) == (
        "PARTIAL", "Review begun, not signed"
    )  # fmt: skip
    assert "review begun" in report.SeriesDescription


@pytest.mark.skipif(VALIDATOR is None, reason="dciodvfy (Debian package dicom3tools) is missing")
@pytest.mark.parametrize("finished", [True, False])
def test_the_validator_finds_no_error_in_reviewed_objects(reviewed_beside, tmp_path, finished):
    _, write = reviewed_beside
    for name in write("out", review=REVIEW | {"finished": finished}):
        assert errors_in(tmp_path / "out" / name) == [], name


def test_a_finished_review_tells_its_disagreements_and_notes(tmp_path):
    folder = source(tmp_path / "scan", "axial")
    words = ["microbleed 1: ann: microbleed; ben: not"]
    review = {"readers": ["ann", "ben"], "asked": 9, "undecided": 0, "finished": True,
              "disagreements": words, "digest": "5"}  # fmt: skip
    found = replace(results(grid_of("axial")), summary=SUMMARY | {"review": review}, volumes={})
    noted = "moment and shape are of the software's outline"
    cells = iter((noted, "n/a"))
    rows = [{**row, "review_note": next(cells, "n/a")} for row in found.findings]
    write_results(tmp_path / "out", replace(found, findings=rows), origin_of(folder))
    report = pydicom.dcmread(tmp_path / "out" / "findings_sr.dcm")
    said = [c.get("TextValue", "") for c in content(report)]
    assert "disagreements of the readers, not settled: 1" in said
    assert not [text for text in said if "undecided" in text or "not finished" in text]
    assert [text for text in said if text.startswith("review: ")] == [f"review: {noted}"]


def test_results_on_any_turn_of_the_grid_come_out_alike(tmp_path):
    """Converters to NIfTI flip and swap axes: the places decide."""
    origin = origin_of(source(tmp_path / "scan", "sagittal"))
    grid = grid_of("sagittal")
    volume = np.random.default_rng(1).normal(size=SHAPE)
    straight = origin.planes(volume, grid)
    np.testing.assert_array_equal(straight, volume.transpose(2, 1, 0))
    image = nib.Nifti1Image(volume, grid.affine)
    for axes in itertools.permutations(range(3)):
        for flips in itertools.product((1, -1), repeat=3):
            turned = image.as_reoriented(np.array(list(zip(axes, flips, strict=True))))
            there = Grid(turned.shape, turned.affine)
            np.testing.assert_array_equal(origin.planes(turned.get_fdata(), there), straight)


@pytest.mark.parametrize("change", ["shifted", "cut", "coarse"])
def test_results_of_other_images_are_refused(tmp_path, change):
    origin = origin_of(source(tmp_path / "scan", "axial"))
    affine, shape = grid_of("axial").affine.copy(), SHAPE
    if change == "shifted":
        affine[0, 3] += 0.4
    elif change == "cut":
        shape = (13, 11, 8)
    else:
        affine[:3, 1] *= 1.02
    with pytest.raises(GridMismatchError, match="not the reference's"):
        origin.planes(np.zeros(shape), Grid(shape, affine))


def test_an_older_folder_stays_until_the_new_one_is_whole(tmp_path):
    origin = origin_of(source(tmp_path / "scan", "axial"))
    found = results(grid_of("axial"))
    write_results(tmp_path / "out", found, origin)
    before = identifiers(tmp_path / "out")
    with pytest.raises(KeyError):  # the report breaks after the segmentation was written
        write_results(
            tmp_path / "out", replace(found, summary={"fingerprint": "x", "category": ""}), origin
        )
    assert identifiers(tmp_path / "out") == before
    write_results(tmp_path / "out", replace(found, volumes={}, pdf=b""), origin)
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 2
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def edited(folder: Path, **values) -> Path:
    for path in folder.glob("*.dcm"):
        dataset = pydicom.dcmread(path)
        for keyword, value in values.items():
            if value is None:
                del dataset[keyword]
            else:
                setattr(dataset, keyword, value)
        dataset.save_as(path)
    return folder


def test_names_in_any_script_go_back_as_they_came(tmp_path):
    folder = edited(
        source(tmp_path / "scan", "axial"),
        SpecificCharacterSet="GB18030", PatientName="Wang^XiaoDong=王^小东", PatientID="0042",
    )  # fmt: skip
    for path in write_results(tmp_path / "out", results(grid_of("axial")), origin_of(folder)):
        dataset = pydicom.dcmread(path)
        assert dataset.PatientName.ideographic == "王^小东"
        assert dataset.PatientID == "0042"


def test_names_in_a_set_that_highdicom_does_not_know_are_written_in_unicode(tmp_path):
    folder = edited(
        source(tmp_path / "scan", "axial"),
        SpecificCharacterSet=["", "ISO 2022 IR 87"], PatientName="Yamada^Tarou=山田^太郎",
    )  # fmt: skip
    for path in write_results(tmp_path / "out", results(grid_of("axial")), origin_of(folder)):
        dataset = pydicom.dcmread(path)
        assert dataset.SpecificCharacterSet == "ISO_IR 192"
        assert dataset.PatientName == "Yamada^Tarou=山田^太郎"


def test_what_the_source_lacks_is_left_empty_but_not_its_place(tmp_path):
    folder = edited(source(tmp_path / "scan", "axial"), PatientName=None, StudyID=None,
                    AccessionNumber=None, PatientBirthDate=None)  # fmt: skip
    for path in write_results(tmp_path / "out", results(grid_of("axial")), origin_of(folder)):
        assert pydicom.dcmread(path).PatientName == ""
    edited(folder, FrameOfReferenceUID=None)
    with pytest.raises(MetadataError, match="FrameOfReferenceUID is missing"):
        origin_of(folder)


@pytest.mark.data
@pytest.mark.parametrize("name", ["siemens_ve11", "siemens_xa30"])
def test_results_of_real_scans_are_valid_too(real_data, tmp_path, name):
    (ref,) = find_dicom_scans(real_data / "real" / name)
    grid = ref.load().echoes.grid
    labels = np.zeros(grid.shape, np.int32)
    labels[30:32, 30:32, 10:12] = 1
    row = FINDINGS[0] | dict(zip(("x_mm", "y_mm", "z_mm"), map(str, grid.to_mm((30.5, 30.5, 10.5))), strict=True))  # fmt: skip
    chi = np.random.default_rng(0).normal(size=grid.shape).astype(np.float32)
    found = Results(grid=grid, labels=labels, findings=[row], summary=SUMMARY,
                    volumes={"chi": chi, "swi": np.abs(chi)}, pdf=b"%PDF")  # fmt: skip
    files = write_results(tmp_path / "out", found, ref.origin())
    dataset = pydicom.dcmread(tmp_path / "out" / "chi_map.dcm")
    frames = np.frombuffer(dataset.FloatPixelData, np.float32).reshape(
        -1, dataset.Rows, dataset.Columns
    )
    for n, frame in enumerate(planes_of(dataset)):
        np.testing.assert_array_equal(frames[n], at_places(chi, grid, dataset, frame, n))
    if VALIDATOR:
        for path in files:
            assert errors_in(path) == [], path.name
