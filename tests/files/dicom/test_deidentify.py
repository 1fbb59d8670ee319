"""Nothing of the person is left, and nothing of the scan is lost."""

import io
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

import petechia
from petechia.core.echoes import Echoes
from petechia.core.grid import Grid
from petechia.errors import FileError
from petechia.files.dicom.deidentify.clean import Choice, deidentify, shifted
from petechia.files.dicom.deidentify.folder import check_folder, deidentify_folder
from petechia.files.dicom.deidentify.residue import Known, Residue
from petechia.files.dicom.deidentify.rules import actions, cleaned
from petechia.files.dicom.find import find_dicom_scans
from petechia.files.dicom.headers import quietly
from petechia.files.dicom.results.write import Results, write_results
from petechia.files.dicom.write import PATIENT, DicomStyle, write_dicom
from petechia.files.scan import Header

SHAPE = (12, 10, 8)
CHOICE = Choice(secret=b"0123456789abcdef")
SECRETS = ("MUSTERFRAU", "ERIKA", "王小东", "HOSP-77341", "ACC99120", "SANKT^ELSEWHERE", "DRWHO",
           "19480217", "MRC40123")  # fmt: skip


def grid() -> Grid:
    affine = np.diag([1.5, 1.6, 2.0, 1.0])
    affine[:3, 3] = (-9.0, -8.0, -7.0)
    return Grid(SHAPE, affine)


def scan_of(folder: Path, form="classic", vendor="siemens") -> Path:
    """Write a scan that names its person wherever a scanner or a clerk does."""
    rng = np.random.default_rng(5)
    echoes = Echoes(
        magnitude=rng.uniform(10, 900, (2, *SHAPE)).astype(np.float32),
        phase_rad=rng.uniform(-3, 3, (2, *SHAPE)).astype(np.float32),
        te_s=(0.006, 0.012), b0_t=3.0, grid=grid(),
    )  # fmt: skip
    for path in write_dicom(folder, echoes, Header(), DicomStyle(form=form, vendor=vendor)):
        named(path)
    return folder


def named(path: Path) -> None:
    ds = pydicom.dcmread(path)
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.PatientName, ds.PatientID = "MUSTERFRAU^ERIKA=王小东", "HOSP-77341"
    ds.PatientBirthDate, ds.PatientSex, ds.PatientAge = "19480217", "F", "093Y"
    ds.AccessionNumber, ds.StudyID = "ACC99120", "ACC99120"
    ds.InstitutionName, ds.StationName = "SANKT ELSEWHERE", "MRC40123"
    ds.ReferringPhysicianName = ds.OperatorsName = "DRWHO"
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = "20240305"
    ds.StudyTime = ds.AcquisitionTime = "101112"
    ds.SeriesDescription = "gre 3D MUSTERFRAU TE 12"
    ds.ProtocolName = "SWI for DRWHO"
    ds.ImageComments = ds.PatientComments = "Erika, born 19480217, seen by DRWHO"
    ds.DeviceSerialNumber = "MRC40123"
    request = Dataset()
    request.RequestedProcedureDescription = "MUSTERFRAU head"
    request.ScheduledProcedureStepID = "ACC99120"
    ds.RequestAttributesSequence = [request]
    image = Dataset()
    image.ReferencedSOPClassUID = ds.SOPClassUID
    image.ReferencedSOPInstanceUID = ds.SOPInstanceUID
    nested = Dataset()
    nested.OperatorsName = "DRWHO"
    image.PurposeOfReferenceCodeSequence = [nested]
    ds.ReferencedImageSequence = [image]
    block = ds.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    block.add_new(0x10, "OB", b"SV10 tPatientName MUSTERFRAU ")
    block = ds.private_block(0x0099, "SOMEBODY", create=True)
    block.add_new(0x01, "LO", "MUSTERFRAU")
    ds.add_new(0x60000010, "US", 10)
    ds.add_new(0x60004000, "LT", "MUSTERFRAU")
    ds.file_meta.SourceApplicationEntityTitle = "MRC40123"
    ds.preamble = b"MUSTERFRAU".ljust(128, b"\0")
    ds.save_as(path)


@pytest.fixture(scope="module", params=["classic", "enhanced"])
def exam(request, tmp_path_factory):
    """A scan with results, and both without the person."""
    place = tmp_path_factory.mktemp(request.param)
    folder = scan_of(place / "MUSTERFRAU_ERIKA" / "scan", request.param)
    labels = np.zeros(SHAPE, np.int32)
    labels[3:5, 4, 2] = 1
    row = {"index": "1", "name": "microbleed 1", "class": "microbleed", "sign": "unclear",
           "probability": "0.9", "counted": "1", "mars": "definite", "volume_mm3": "3.0",
           "diameter_mm": "2.1", "side": "left", "site": "frontal", "x_mm": "1", "y_mm": "2",
           "z_mm": "3"}  # fmt: skip
    summary = {"fingerprint": "f", "category": "mixed", "counts": {"total": 1},
               "reading_te_s": 0.012, "settings": {"slab_mm": 9.0}}  # fmt: skip
    chi = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    found = Results(grid=grid(), labels=labels, findings=[row], summary=summary,
                    volumes={"chi": chi, "swi": np.abs(chi)}, pdf=b"%PDF-1.4 none")  # fmt: skip
    (ref,) = find_dicom_scans(folder)
    write_results(place / "MUSTERFRAU_ERIKA" / "out", found, ref.origin())
    told = deidentify_folder(place / "MUSTERFRAU_ERIKA", place / "clean", CHOICE)
    return folder, place / "clean", told


def test_no_name_number_or_place_is_in_any_byte(exam):
    _, clean, _ = exam
    files = [p for p in clean.rglob("*") if p.is_file()]
    for path in files:
        data = path.read_bytes()
        for secret in SECRETS:
            assert secret.encode() not in data, (path.name, secret)
        assert "MUSTER" not in str(path.relative_to(clean.parent))


def test_the_check_agrees(exam):
    _, _, told = exam
    assert not told.residue.found
    assert not told.left_out


def test_the_scan_is_read_as_before(exam):
    folder, clean, told = exam
    (before,), (after,) = find_dicom_scans(folder), find_dicom_scans(clean)
    one, two = before.load(), after.load()
    assert told.written > len(before.paths)
    np.testing.assert_array_equal(one.echoes.magnitude, two.echoes.magnitude)
    np.testing.assert_array_equal(one.echoes.phase_rad, two.echoes.phase_rad)
    np.testing.assert_array_equal(one.echoes.grid.affine, two.echoes.grid.affine)
    assert one.echoes.te_s == two.echoes.te_s
    assert one.phase_note == two.phase_note


def uids(dataset):
    return [str(e.value) for e in dataset.iterall() if e.VR == "UI" and e.VM == 1]


def test_references_still_lead_to_their_images(exam):
    folder, clean, _ = exam
    after = [pydicom.dcmread(p) for p in clean.rglob("*.dcm")]
    there = {d.SOPInstanceUID for d in after}
    named_before = {u for p in folder.rglob("*.dcm") for u in uids(pydicom.dcmread(p))}
    kept = {u for u in named_before if u.startswith("1.2.840.10008.")}
    assert {u for d in after for u in uids(d)} & named_before == kept
    assert len({d.StudyInstanceUID for d in after}) == 1
    segmentation = next(d for d in after if d.Modality == "SEG")
    told = {
        item.ReferencedSOPInstanceUID
        for series in segmentation.ReferencedSeriesSequence
        for item in series.ReferencedInstanceSequence
    }
    assert told
    assert told <= there


def test_the_object_says_what_was_done(exam):
    _, clean, _ = exam
    for path in clean.rglob("*.dcm"):
        dataset = pydicom.dcmread(path)
        assert dataset.PatientIdentityRemoved == "YES"
        assert dataset.LongitudinalTemporalInformationModified == "MODIFIED"
        codes = {c.CodeValue for c in dataset.DeidentificationMethodCodeSequence}
        assert {"113100", "113105", "113111", "113107"} <= codes
        assert "113102" not in codes
        assert ("113104" in codes) == (dataset.Modality == "SR")
        assert dataset.PatientName == dataset.PatientID == CHOICE.pseudonym("HOSP-77341")
        assert dataset.PatientSex == ""
        assert dataset.PatientBirthDate == ""


def test_results_stay_valid_and_keep_their_content(exam):
    import shutil

    _, clean, _ = exam
    for path in clean.rglob("*.dcm"):
        dataset = pydicom.dcmread(path)
        if dataset.Modality == "SR":
            text = " ".join(str(e.value) for e in dataset.iterall() if e.keyword == "TextValue")
            assert "microbleed 1" in text
        if dataset.Modality == "DOC":
            assert dataset.EncapsulatedDocument.startswith(b"%PDF-1.4 none")
        if shutil.which("dciodvfy") and dataset.Manufacturer == "Petechia developers":
            done = subprocess.run(["dciodvfy", path], capture_output=True, check=False)
            said = (done.stdout + done.stderr).decode(errors="replace").splitlines()
            assert [line for line in said if "Error" in line] == [], dataset.SOPClassUID.name


def test_the_same_secret_gives_the_same_names_and_another_others(tmp_path):
    folder = scan_of(tmp_path / "scan")
    dataset = pydicom.dcmread(next(folder.glob("*.dcm")))
    one, two = deidentify(dataset, CHOICE), deidentify(dataset, CHOICE)
    other = deidentify(dataset, Choice(secret=b"another secret 16"))
    assert one == two
    for keyword in ("PatientID", "StudyInstanceUID", "SOPInstanceUID", "StudyDate"):
        assert one[keyword].value == two[keyword].value
        assert one[keyword].value != other[keyword].value
    assert dataset.PatientID == "HOSP-77341"  # the given dataset is as it was


def test_dates_move_together_and_times_stay(tmp_path):
    dataset = pydicom.dcmread(next(scan_of(tmp_path / "scan").glob("*.dcm")))
    later = pydicom.dcmread(next((tmp_path / "scan").glob("*.dcm")))
    later.StudyDate, later.AcquisitionDateTime = "20240312", "20240312081500.5"
    a, b = deidentify(dataset, CHOICE), deidentify(later, CHOICE)
    days = np.datetime64(f"{b.StudyDate[:4]}-{b.StudyDate[4:6]}-{b.StudyDate[6:]}") - np.datetime64(
        f"{a.StudyDate[:4]}-{a.StudyDate[4:6]}-{a.StudyDate[6:]}"
    )
    assert days == np.timedelta64(7, "D")
    assert a.AcquisitionTime == "101112"
    assert b.AcquisitionDateTime[8:] == "081500.5"
    assert b.AcquisitionDateTime[:8] == b.StudyDate
    gone = deidentify(dataset, Choice(secret=CHOICE.secret, dates="remove"))
    assert gone.StudyDate == gone.AcquisitionTime == ""
    assert gone.LongitudinalTemporalInformationModified == "REMOVED"
    assert not [e for e in gone.iterall() if e.VR == "DA" and str(e.value).startswith("2024")]
    assert shifted("no date", CHOICE.shift("x")) == ""


def test_characteristics_are_kept_when_asked_with_old_age_hidden(tmp_path):
    dataset = pydicom.dcmread(next(scan_of(tmp_path / "scan").glob("*.dcm")))
    kept = deidentify(dataset, Choice(secret=CHOICE.secret, characteristics=True))
    assert (kept.PatientSex, kept.PatientAge) == ("F", "090Y")
    assert "113108" in {c.CodeValue for c in kept.DeidentificationMethodCodeSequence}


def test_descriptions_keep_words_of_sequences_only(tmp_path):
    assert cleaned("gre 3D MUSTERFRAU TE 12") == "gre 3D TE 12"
    assert cleaned("t2*_swi3d_tra_p2_1.5mm_Pat_4711") == "t2 tra p2 1 5mm"
    dataset = pydicom.dcmread(next(scan_of(tmp_path / "scan").glob("*.dcm")))
    assert deidentify(dataset, CHOICE).ProtocolName == "SWI"


@pytest.mark.parametrize("vendor", ["philips", "ge"])
@pytest.mark.parametrize("form", ["classic", "enhanced"])
def test_private_physics_is_kept_and_no_other_private_element(tmp_path, vendor, form):
    folder = scan_of(tmp_path / "scan", form, vendor)
    told = deidentify_folder(folder, tmp_path / "clean", CHOICE)
    one, two = (find_dicom_scans(p)[0].load().echoes for p in (folder, tmp_path / "clean"))
    np.testing.assert_array_equal(one.magnitude, two.magnitude)
    np.testing.assert_array_equal(one.phase_rad, two.phase_rad)
    kept = {place.rpartition(" > ")[2] for place in told.residue.private}
    if vendor == "ge":
        assert kept <= {"(0043,102F)"}
        assert kept or form == "enhanced"
    else:
        assert "(2005,100E)" in kept
        assert kept <= {"(2005,100E)", "(2005,100F)"}


def test_what_may_show_text_is_left_out_with_its_reason(tmp_path):
    folder = scan_of(tmp_path / "scan")
    first, second, third, fourth = sorted(folder.glob("*.dcm"))[:4]
    for path, keyword, value in (
        (first, "BurnedInAnnotation", "YES"),
        (second, "SOPClassUID", pydicom.uid.SecondaryCaptureImageStorage),
        (third, "ImageType", ["DERIVED", "SECONDARY", "SCREEN SAVE"]),
        (fourth, "SOPClassUID", pydicom.uid.BasicTextSRStorage),
    ):
        dataset = pydicom.dcmread(path)
        setattr(dataset, keyword, value)
        dataset.save_as(path)
    (folder / "notes.txt").write_text("MUSTERFRAU")
    told = deidentify_folder(folder, tmp_path / "clean", CHOICE)
    assert told.written == 28
    assert sum(told.left_out.values()) == 5
    assert any("burned into" in why for why in told.left_out)
    assert any("Secondary Capture" in why for why in told.left_out)


def test_files_that_share_an_identifier_are_all_written(tmp_path):
    folder = scan_of(tmp_path / "scan")
    paths = sorted(folder.glob("*.dcm"))
    for path in paths:
        dataset = pydicom.dcmread(path)
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
        dataset.save_as(path)
    assert deidentify_folder(folder, tmp_path / "clean", CHOICE).written == len(paths)
    assert len(list((tmp_path / "clean").rglob("*.dcm"))) == len(paths)


@pytest.fixture
def image(tmp_path):
    """One classic image that names its person."""
    return pydicom.dcmread(next(scan_of(tmp_path / "one").glob("*.dcm")))


def sequence_bytes(item):
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_sequence_item

    stream = DicomBytesIO()
    stream.is_little_endian = stream.is_implicit_VR = True
    write_sequence_item(stream, item, ["iso8859"])
    return stream.getvalue()


@pytest.mark.parametrize("creator", ["DD 001", "DD 005", "DD 009"])
@pytest.mark.parametrize("implicit", [False, True])
def test_a_private_sequence_of_unknown_kind_is_cleaned_or_goes(image, creator, implicit):
    item = Dataset()
    item.PatientComments = "born 12 March"
    inner = item.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
    inner.add_new(0x0E, "FL", 0.25)
    block = image.private_block(0x2005, f"Philips MR Imaging {creator}", create=True)
    block.add_new(0x0F, "UN", sequence_bytes(item))
    if implicit:
        image.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    kind = {"implicit_vr": implicit, "little_endian": True}
    stream, clean = io.BytesIO(), io.BytesIO()
    pydicom.dcmwrite(stream, image, enforce_file_format=True, **kind)
    out = deidentify(pydicom.dcmread(io.BytesIO(stream.getvalue())), CHOICE)
    pydicom.dcmwrite(clean, out, enforce_file_format=True, **kind)
    assert b"born" in stream.getvalue()
    assert b"born" not in clean.getvalue()
    if creator == "DD 005":
        assert out[0x2005, 0x100F].value[0][0x2005, 0x100E].value == 0.25
    else:
        assert (0x2005, 0x100F) not in out


def test_safe_private_elements_stay_only_with_what_they_should_hold(image):
    philips = image.private_block(0x2005, "Philips MR Imaging DD 005", create=True)
    philips.add_new(0x11, "UI", "1.3.46.670589.11.4711")
    classic = image.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
    classic.add_new(0x0E, "LO", "Erika")
    classic.add_new(0x0D, "UN", np.float32(2.5).tobytes())
    classic.add_new(0x11, "CS", "ERIKA")
    siemens = image.private_block(0x0021, "SIEMENS MR SDI 02", create=True)
    siemens.add_new(0x75, "CS", ["ORIGINAL", "PRIMARY", "P", "ERIKA"])
    item = Dataset()
    inner = item.private_block(0x0021, "SIEMENS MR SDI 02", create=True)
    inner.add_new(0x75, "CS", ["ORIGINAL", "PRIMARY", "M"])
    inner.add_new(0x76, "LO", "Erika")
    siemens.add_new(0xFE, "SQ", [item])
    ge = image.private_block(0x0043, "GEMS_PARM_01", create=True)
    ge.add_new(0x2F, "UN", b"Erika, born in March")
    out = deidentify(image, CHOICE)
    private = {
        int(e.tag): e.value for e in out if e.tag.is_private and not e.tag.is_private_creator
    }
    (held,) = private.pop(0x002110FE)
    assert held[0x0021, 0x1075].value == ["ORIGINAL", "PRIMARY", "M"]
    assert (0x0021, 0x1076) not in held
    assert private == {0x2005110D: 2.5, 0x00211075: ["ORIGINAL", "PRIMARY", "P"]}


def test_birth_and_death_go_in_every_calendar_and_age_in_every_form(image):
    image.PatientBirthDateInAlternativeCalendar = "S23/02/17"
    image.PatientDeathDateInAlternativeCalendar = "R01/02/17"
    image.PatientAlternativeCalendar = "JAPANESE"
    kept = Choice(secret=CHOICE.secret, characteristics=True)
    for age, capped in {"95Y": "090Y", "093Y": "090Y", "1140M": "090Y", "67Y": "67Y",
                        "089Y": "089Y", "born 1948": ""}.items():  # fmt: skip
        with quietly():
            image.PatientAge = age
            out = deidentify(image, kept)
            assert out.PatientAge == capped
    assert not [k for k in out.dir("Calendar") if k in out]


@pytest.mark.parametrize(
    ("description", "left"),
    [
        ("SWI DOB 12/03/45", "SWI"),
        ("SWI 12.3.45 head", "SWI head"),
        ("born 45 t2 tra", "t2 tra"),
        ("SWI 12 March 45", "SWI"),
        ("gre TE 12 2mm", "gre TE 12 2mm"),
        ("swi 3 mm echo 2", "swi 3 mm echo 2"),
    ],
)
def test_numbers_of_a_date_do_not_stay_in_a_description(description, left):
    assert cleaned(description) == left


@pytest.mark.parametrize(
    "written", ["17/02/48", "17.2.1948", "2/17/1948", "1948-02-17", "17 02 48"]
)
def test_a_date_of_birth_is_found_as_people_write_it(image, written):
    known, residue = Known(), Residue()
    known.learn(image)
    out = deidentify(image, CHOICE)
    out.SequenceName = f"x {written}"
    residue.look(out, known)
    assert set(residue.found) == {("SequenceName", "PatientBirthDate")}


def test_text_that_no_image_needs_goes_and_what_stays_is_cleaned_and_told(image):
    image.add_new(0x00085555, "LO", "Erika")
    image.WindowCenterWidthExplanation = "for Erika"
    image.SequenceName, image.ContentLabel = "swi for Erika", "ERIKA"
    house, public, mapping = Dataset(), Dataset(), Dataset()
    house.CodeValue, house.CodingSchemeDesignator = "MR1", "99HOUSE"
    house.CodeMeaning = "brain of Erika"
    public.CodeValue, public.CodingSchemeDesignator = "12738006", "SCT"
    public.CodeMeaning = "Brain"
    mapping.LUTExplanation, mapping.LUTLabel = "Erika's", "t2 star"
    image.ProcedureCodeSequence = [house, public]
    image.RealWorldValueMappingSequence = [mapping]
    image.EncryptedAttributesSequence = [Dataset()]
    known, residue = Known(), Residue()
    known.learn(image)
    out = deidentify(image, CHOICE)
    assert "ERIKA" not in str(out).upper()
    assert (0x0008, 0x5555) not in out
    assert "EncryptedAttributesSequence" not in out
    assert (out.SequenceName, out.ContentLabel) == ("swi", "REMOVED")
    image.ContentLabel = ""
    assert deidentify(image, CHOICE).ContentLabel == ""
    assert [c.CodeMeaning for c in out.ProcedureCodeSequence] == ["brain", "Brain"]
    assert out.RealWorldValueMappingSequence[0].LUTExplanation == "REMOVED"
    assert out.RealWorldValueMappingSequence[0].LUTLabel == "t2 star"
    residue.look(out, known)
    assert {"SequenceName", "ProcedureCodeSequence > CodeValue"} <= set(residue.free_text)
    assert not {"Manufacturer", "SeriesDescription", "PatientID"} & set(residue.free_text)


def test_a_file_that_would_still_name_the_person_is_not_written(tmp_path):
    folder = scan_of(tmp_path / "scan")
    path = next(folder.glob("*.dcm"))
    dataset = pydicom.dcmread(path)
    dataset.SequenceName = "MUSTERFRAU"
    dataset.save_as(path)
    told = deidentify_folder(folder, tmp_path / "clean", CHOICE)
    assert (told.written, told.still_named) == (31, 1)
    assert told.left_out == {"SequenceName would still hold the source's PatientName": 1}
    assert not told.residue.found
    files = [p.read_bytes() for p in (tmp_path / "clean").rglob("*.dcm")]
    assert len(files) == 31
    assert not any(b"MUSTERFRAU" in data for data in files)


def test_what_only_looks_like_a_name_or_number_keeps_no_file_back(tmp_path):
    """A doctor called Philips, a station called as its model, numbers alike to a patient's."""
    folder = scan_of(tmp_path / "scan", vendor="philips")
    for path in folder.glob("*.dcm"):
        dataset = pydicom.dcmread(path)
        dataset.PatientID, dataset.RepetitionTime = "2000", 2000
        dataset.StudyID = dataset.AcquisitionTime = "101112"
        dataset.ReferringPhysicianName = "Philips^Max"
        dataset.OperatorsName = "NONE"
        dataset.StationName = dataset.ManufacturerModelName
        dataset.save_as(path)
    told = deidentify_folder(folder, tmp_path / "clean", CHOICE)
    assert not told.left_out
    again = deidentify_folder(tmp_path / "clean", tmp_path / "again", CHOICE)
    assert (again.written, again.left_out) == (told.written, {})


def test_what_readers_wrote_on_a_finding_is_taken_out(tmp_path):
    folder = scan_of(tmp_path / "exam" / "scan")
    labels = np.zeros(SHAPE, np.int32)
    labels[3:5, 4, 2] = 1
    row = {"index": "1", "name": "microbleed 1", "class": "microbleed", "sign": "unclear",
           "counted": "1", "mars": "definite", "side": "left", "site": "frontal", "x_mm": "1",
           "y_mm": "2", "z_mm": "3", "review_note": "part of finding 3; Weber: asked Erika"}  # fmt: skip
    summary = {"fingerprint": "f", "category": "mixed", "counts": {"total": 1},
               "reading_te_s": 0.012, "settings": {"slab_mm": 9.0}}  # fmt: skip
    found = Results(grid=grid(), labels=labels, findings=[row], summary=summary, volumes={})
    (ref,) = find_dicom_scans(folder)
    write_results(tmp_path / "exam" / "out", found, ref.origin())
    deidentify_folder(tmp_path / "exam", tmp_path / "clean", CHOICE)
    data = b"".join(p.read_bytes() for p in (tmp_path / "clean").rglob("*.dcm"))
    assert b"review: REMOVED" in data
    assert b"Weber" not in data


def test_a_folder_that_says_it_is_clean_is_not_believed(tmp_path, image):
    (tmp_path / "d").mkdir()
    out = deidentify(image, CHOICE)
    out.save_as(tmp_path / "d" / "a.dcm")
    n, residue = check_folder(tmp_path / "d")
    assert (n, residue.found) == (1, {})
    assert any("says that it is de-identified" in doubt for doubt in residue.doubts)
    out.OtherPatientNames, out.PatientAddress = "Doe^Jon", "Main street 5"
    out.ImageComments, out.PatientName = "calls Jon", "Doe^Jon"
    out.save_as(tmp_path / "d" / "a.dcm")
    _, residue = check_folder(tmp_path / "d")
    places = {place for place, _ in residue.found}
    assert places == {"OtherPatientNames", "PatientAddress", "ImageComments", "PatientName"}


@pytest.mark.parametrize("readers", [["Anna Schmidt"], ["Anna Schmidt", "reader 1"]])
def test_readers_of_a_report_are_not_named_and_its_pdf_is_left_out(tmp_path, readers):
    folder = scan_of(tmp_path / "exam" / "scan")
    summary = {"fingerprint": "f", "category": "mixed", "counts": {"total": 0},
               "reading_te_s": 0.012, "settings": {"slab_mm": 9.0},
               "review": {"readers": readers}}  # fmt: skip
    empty = np.zeros(SHAPE, np.int32)
    found = Results(grid=grid(), labels=empty, findings=[], summary=summary, volumes={},
                    pdf=b"%PDF-1.4 Schmidt")  # fmt: skip
    (ref,) = find_dicom_scans(folder)
    write_results(tmp_path / "exam" / "out", found, ref.origin())
    told = deidentify_folder(tmp_path / "exam", tmp_path / "clean", CHOICE)
    data = b"".join(p.read_bytes() for p in (tmp_path / "clean").rglob("*.dcm"))
    assert b"reviewed by REMOVED" in data
    assert b"Schmidt" not in data
    assert [why for why in told.left_out if "names the readers" in why]
    assert not told.still_named


def test_one_person_whose_number_is_missing_or_written_otherwise_has_one_name(tmp_path):
    folder = scan_of(tmp_path / "scan")
    for i, path in enumerate(sorted(folder.glob("*.dcm"))):
        dataset = pydicom.dcmread(path)
        dataset.PatientID = ("HOSP-77341", "", " hosp-77341")[i % 3]
        dataset.save_as(path)
    told = deidentify_folder(folder, tmp_path / "clean", CHOICE)
    assert told.people == {CHOICE.pseudonym("HOSP-77341")}
    files = [pydicom.dcmread(p) for p in (tmp_path / "clean").rglob("*.dcm")]
    assert len({f.StudyDate for f in files}) == 1


def test_people_without_number_or_name_are_told_apart_by_study(tmp_path):
    folder = scan_of(tmp_path / "scan")
    for i, path in enumerate(sorted(folder.glob("*.dcm"))):
        dataset = pydicom.dcmread(path)
        dataset.PatientID = dataset.PatientName = ""
        dataset.StudyInstanceUID = f"1.2.{i % 2 + 3}"
        dataset.save_as(path)
    told = deidentify_folder(folder, tmp_path / "clean", CHOICE)
    assert len(told.people) == 2
    assert (
        sum(n for doubt, n in told.residue.doubts.items() if "no number and no name" in doubt) == 32
    )


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_bits_above_the_stored_ones_are_cleared(tmp_path, signed, packed):
    folder = scan_of(tmp_path / "scan")
    (path, *others) = sorted(folder.glob("*.dcm"))
    for other in others:
        other.unlink()
    dataset = pydicom.dcmread(path)
    values = np.arange(dataset.Rows * dataset.Columns, dtype=np.uint16) % 4096
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 12, 11, int(signed)
    dataset.PixelData = (values | 0x8000).astype("<u2").tobytes()  # an old overlay in bit 15
    if packed:
        dataset.compress(pydicom.uid.RLELossless, generate_instance_uid=False)
    dataset.save_as(path)
    deidentify_folder(folder, tmp_path / "clean", CHOICE)
    out = pydicom.dcmread(next((tmp_path / "clean").rglob("*.dcm")))
    assert out.SOPInstanceUID == CHOICE.uid(dataset.SOPInstanceUID)
    stored = np.frombuffer(out.PixelData, "<i2" if signed else "<u2")
    want = np.where(values > 2047, values.astype(int) - 4096, values) if signed else values
    np.testing.assert_array_equal(stored, want)
    dataset.HighBit = 15
    dataset.save_as(path)
    with pytest.raises(FileError, match="bits beside the stored ones"):
        deidentify_folder(folder, tmp_path / "other", CHOICE)


def test_a_name_in_kept_text_is_found_but_not_repeated(tmp_path):
    dataset = pydicom.dcmread(next(scan_of(tmp_path / "scan").glob("*.dcm")))
    known, residue = Known(), Residue()
    known.learn(dataset)
    out = deidentify(dataset, CHOICE)
    out.SequenceName = "for musterfrau"
    out.SoftwareVersions = "built 王小东"
    block = out.private_block(0x0043, "GEMS_PARM_01", create=True)
    block.add_new(0x2F, "OB", b"..MUSTERFRAU")
    residue.look(out, known)
    where = {place for place, _ in residue.found}
    assert where == {"SequenceName", "SoftwareVersions", "(0043,102F)"}
    assert {what for _, what in residue.found} == {"PatientName"}
    assert "MUSTER" not in repr(residue).upper()


def test_the_check_of_a_folder_as_it_came_names_what_it_tells(tmp_path):
    n, residue = check_folder(scan_of(tmp_path / "scan"))
    assert n == 32
    assert residue.found[("PatientName", "PatientName")] == 32
    assert residue.found[
        ("RequestAttributesSequence > RequestedProcedureDescription", "PatientName")
    ]
    assert residue.doubts["the face may be seen"] == 32


def test_the_table_holds_the_standards_rows():
    """Some rows of Table E.1-1, as printed there."""
    table = actions()
    assert len(table) > 600
    for keyword, action in {
        "PatientName": "Z", "PatientBirthDate": "Z", "StudyInstanceUID": "U",
        "InstitutionAddress": "X", "OtherPatientIDs": "X", "OperatorsName": "X/Z/D",
        "DeviceSerialNumber": "X/Z/D", "ContentDate": "Z/D", "AccessionNumber": "Z",
        "IssuerOfPatientID": "X", "FrameOfReferenceUID": "U", "PatientAddress": "X",
    }.items():  # fmt: skip
        assert table[keyword] == action, keyword


# --- the face


@pytest.mark.parametrize("form", ["classic", "enhanced"])
def test_pixels_beyond_the_plane_are_0_and_no_others(tmp_path, form):
    folder = scan_of(tmp_path / "scan", form)
    (ref,) = find_dicom_scans(folder)
    before = ref.load().echoes
    frame = str(ref.origin().slices[0].FrameOfReferenceUID)
    normal, offset = (0.0, 0.8, -0.6), 3.03
    told = deidentify_folder(folder, tmp_path / "clean", CHOICE, {frame: (normal, offset)})
    (after,) = find_dicom_scans(tmp_path / "clean")
    echoes = after.load().echoes
    places = before.grid.to_mm(np.stack(np.indices(SHAPE), axis=-1))
    beyond = places @ np.array(normal) > offset
    assert 0.05 < beyond.mean() < 0.6
    assert not echoes.magnitude[:, beyond].any()
    np.testing.assert_array_equal(echoes.magnitude[:, ~beyond], before.magnitude[:, ~beyond])
    np.testing.assert_array_equal(echoes.phase_rad[:, ~beyond], before.phase_rad[:, ~beyond])
    assert told.faceless == told.written
    dataset = pydicom.dcmread(next((tmp_path / "clean").rglob("*.dcm")))
    assert dataset.RecognizableVisualFeatures == "NO"
    assert "113102" in {c.CodeValue for c in dataset.DeidentificationMethodCodeSequence}
    assert not told.residue.doubts.get("the face may be seen")


@pytest.mark.parametrize(
    "missing", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"]
)
def test_an_image_without_a_place_is_not_said_to_have_lost_its_face(tmp_path, missing):
    folder = scan_of(tmp_path / "scan")
    path = next(folder.glob("*.dcm"))
    dataset = pydicom.dcmread(path)
    del dataset[missing]
    dataset.save_as(path)
    plane = ((0.0, 0.8, -0.6), 3.03)
    told = deidentify_folder(
        folder, tmp_path / "clean", CHOICE, {str(dataset.FrameOfReferenceUID): plane}
    )
    assert told.written == told.faceless == 31
    assert told.left_out == {"no place in space, so that the face cannot be found": 1}


def test_the_simulated_patient_is_named_by_no_word_of_our_reports():
    """De-identification leaves out a report that seems to name its patient."""
    package = Path(petechia.__file__).parent
    told = [p for p in package.rglob("*") if p.suffix in {".py", ".toml", ".j2", ".json"}]
    holding = [p.name for p in told if PATIENT.lower() in p.read_text("utf-8").lower()]
    assert holding == ["write.py"]
    texts = (package / "report" / "texts.toml").read_text("utf-8").lower()
    assert "simulated" in texts  # as the patient was called before
