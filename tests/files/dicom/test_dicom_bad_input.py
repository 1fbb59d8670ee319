"""What cannot be read is refused in one message that names it and the mend."""

import io
import os
import zipfile

import numpy as np
import pydicom
import pytest

from petechia.errors import (
    DependencyError,
    FileError,
    InputError,
    MetadataError,
    ParameterError,
    PetechiaError,
)
from petechia.files.dicom import archive, find_dicom_scans
from petechia.files.dicom.headers import quietly
from petechia.files.find import find_scans


def load(place):
    (ref,) = find_dicom_scans(place)
    return ref.load()


def refused(place, match, kind=FileError):
    with pytest.raises(kind, match=match) as caught:
        load(place)
    for secret in ("SECRET", "NAME", "1950", "2020"):
        assert secret not in str(caught.value)
    return caught.value


def without(keyword, echo=None):
    def edit(ds, e, k):
        if echo in (None, e):
            delattr(ds, keyword)

    return edit


def test_missing_place(tmp_path):
    with pytest.raises(FileError, match=r"nowhere: no such file or folder\. Check"):
        find_dicom_scans(tmp_path / "nowhere")


def test_empty_folder(tmp_path):
    with pytest.raises(FileError, match=r"no DICOM file among 0 files\. Give a folder"):
        find_dicom_scans(tmp_path)


def test_junk_only(tmp_path):
    (tmp_path / "README").write_bytes(b"x" * 500)
    with pytest.raises(FileError, match="no DICOM file among 1 files"):
        find_dicom_scans(tmp_path)


def test_other_modality(tmp_path, magnitude):
    from pydicom.uid import CTImageStorage

    def ct(ds, echo, k):
        ds.Modality, ds.SOPClassUID = "CT", CTImageStorage

    magnitude.but(edit=ct).write(tmp_path)
    with pytest.raises(FileError, match=r"no MR image: 10 CT\. Give the gradient-echo"):
        find_dicom_scans(tmp_path)


def test_screenshots_reports_and_directories_are_no_images(tmp_path, magnitude, true_to_place):
    from pydicom.uid import MediaStorageDirectoryStorage, SecondaryCaptureImageStorage

    magnitude.but(
        number=8, edit=lambda ds, e, k: setattr(ds, "SOPClassUID", SecondaryCaptureImageStorage)
    ).write(tmp_path)
    path = magnitude.but(number=9, te_ms=(1.0,), shape=(2, 2, 1)).write(tmp_path)[0]
    ds = pydicom.dcmread(path)
    ds.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    for keyword in ("SOPClassUID", "Modality", "Rows", "Columns", "PixelData"):
        delattr(ds, keyword)
    ds.save_as(path)
    with pytest.raises(FileError, match=r"11 DICOM files, but none is an MR image"):
        find_dicom_scans(tmp_path)
    magnitude.write(tmp_path)
    scan = load(tmp_path)
    true_to_place(scan)
    assert scan.notes == ()


def test_frames_without_place(tmp_path, magnitude):
    path = magnitude.write_enhanced(tmp_path / "scan.dcm")
    ds = pydicom.dcmread(path)
    del ds.PerFrameFunctionalGroupsSequence
    ds.save_as(path)
    with pytest.raises(
        PetechiaError, match="the file holds 10 frames without saying where they are"
    ):
        load(path)


def test_two_patients(tmp_path, magnitude):
    magnitude.write(tmp_path / "a")
    magnitude.but(number=3, patient="SECRET2").write(tmp_path / "b")
    with pytest.raises(
        FileError, match=r"2 patients in one place \(with 10, 10 MR files\)"
    ) as caught:
        find_dicom_scans(tmp_path)
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("keyword", "match"),
    [
        ("EchoTime", r"EchoTime is missing\. .*--te"),
        ("MagneticFieldStrength", r"MagneticFieldStrength and ImagingFrequency are missing\. .*--b0"),
        ("ImagePositionPatient", "ImagePositionPatient is missing"),
        ("ImageOrientationPatient", "ImageOrientationPatient is missing"),
        ("PixelSpacing", "PixelSpacing is missing"),
    ],
)  # fmt: skip
def test_missing_facts(tmp_path, magnitude, keyword, match):
    magnitude.but(te_ms=(20.0,), edit=without(keyword)).write(tmp_path)
    error = refused(tmp_path, match, MetadataError)
    assert error.where.endswith(".dcm")


def test_missing_slice(tmp_path, magnitude):
    paths = magnitude.but(te_ms=(20.0,)).write(tmp_path)
    paths[2].unlink()
    refused(
        tmp_path, r"series 2 \(magnitude, echo 20 ms\): 1 of 5 slices missing, the first between"
    )


def test_missing_end_slice_shows_against_other_echo(tmp_path, magnitude):
    paths = magnitude.write(tmp_path)
    paths[9].unlink()
    refused(tmp_path, r"echo 10 ms\): 4 slices, but .* has 5: 1 missing")


def test_every_second_slice_missing(tmp_path, magnitude):
    paths = magnitude.but(te_ms=(20.0,)).write(tmp_path)
    for path in paths[1::2]:
        path.unlink()
    refused(tmp_path, r"slices lie 7\.20 mm apart where SpacingBetweenSlices is 3\.60 mm")


def test_repeated_slice_with_other_content(tmp_path, magnitude):
    paths = magnitude.but(te_ms=(20.0,)).write(tmp_path)
    ds = pydicom.dcmread(paths[1])
    ds.SOPInstanceUID = "1.2.3"
    ds.PixelData = bytes(len(ds.PixelData))
    ds.save_as(tmp_path / "again.dcm")
    refused(tmp_path, r"1 slices repeat a place with other content, the first at .*again\.dcm")


def test_uneven_spacing(tmp_path, magnitude):
    def edit(ds, echo, k):
        if k == 4:
            ds.ImagePositionPatient = (
                (np.array(ds.ImagePositionPatient) + magnitude.normal()).round(5).tolist()
            )

    magnitude.but(te_ms=(20.0,), edit=edit).write(tmp_path)
    refused(tmp_path, r"slice spacing runs from 3\.600 to 4\.600 mm")


def test_shifted_slice(tmp_path, magnitude):
    def edit(ds, echo, k):
        if k == 4:
            ds.ImagePositionPatient = [ds.ImagePositionPatient[0] + 2, *ds.ImagePositionPatient[1:]]

    magnitude.but(te_ms=(20.0,), edit=edit).write(tmp_path)
    refused(tmp_path, r"shifted in their plane by up to 2\.00 mm")


def test_mixed_orientation(tmp_path, magnitude):
    def edit(ds, echo, k):
        if k == 4:
            ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]

    magnitude.but(te_ms=(20.0,), edit=edit).write(tmp_path)
    refused(tmp_path, "slices of 2 orientations")


def test_skewed_orientation(tmp_path, magnitude):
    magnitude.but(
        te_ms=(20.0,),
        edit=lambda ds, e, k: setattr(ds, "ImageOrientationPatient", [1, 0, 0, 0.5, 0.5, 0]),
    ).write(tmp_path)
    refused(tmp_path, "is not two perpendicular directions", MetadataError)


def test_single_slice(tmp_path, magnitude):
    path = magnitude.write(tmp_path)[0]
    refused(path, "one slice is no volume.*folder or zip")


@pytest.mark.parametrize("keep", [0.99, 0.7])
def test_truncated_pixels_name_the_file(tmp_path, magnitude, keep):
    path = magnitude.but(te_ms=(20.0,)).write(tmp_path)[4]
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - int(84 * (1 - keep)) - 1])
    error = refused(
        tmp_path, r"the file is truncated: \d\d of 84 bytes of pixels; it belongs to series 2"
    )
    assert error.where == path.name


def test_no_pixel_data(tmp_path, magnitude):
    magnitude.but(te_ms=(20.0,), edit=without("PixelData")).write(tmp_path)
    refused(tmp_path, "the file holds no pixel data")


@pytest.mark.parametrize("slice_number", [2, 0])
def test_corrupt_file_beside_a_gap_is_named(tmp_path, magnitude, slice_number):
    """At the end of a stack only the instance numbers tell that a slice is gone."""
    path = magnitude.but(te_ms=(20.0,)).write(tmp_path)[slice_number]
    path.write_bytes(path.read_bytes()[:300])
    error = refused(tmp_path, "ends within its header|cannot be parsed|damaged header")
    assert error.where == path.name


def test_corrupt_file_that_is_no_slice_of_the_scan(tmp_path, magnitude, true_to_place):
    magnitude.write(tmp_path)
    (tmp_path / "zz.dcm").write_bytes(b"\0" * 128 + b"DICM" + bytes(range(256)))
    scan = load(tmp_path)
    true_to_place(scan)
    assert any(
        "1 unreadable DICOM files beside the scan left aside, first zz.dcm" in n for n in scan.notes
    )


def test_all_files_corrupt(tmp_path, magnitude):
    for path in magnitude.write(tmp_path):
        path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(FileError, match="no other MR image among 10 damaged files"):
        find_dicom_scans(tmp_path)


def test_random_damage_never_escapes_the_family(tmp_path, magnitude):
    """Flip bytes anywhere: the answer is a scan or one of our errors, never another."""
    paths = magnitude.but(te_ms=(20.0,)).write(tmp_path)
    whole = paths[2].read_bytes()
    rng = np.random.default_rng(0)
    refusals = 0
    for _ in range(60):
        data = bytearray(whole)
        for at in rng.integers(132, len(data), 4):
            data[at] = rng.integers(256)
        paths[2].write_bytes(data)
        try:
            for ref in find_dicom_scans(tmp_path):
                ref.load()
        except PetechiaError:
            refusals += 1
    assert refusals > 0


def test_echo_without_phase(tmp_path, magnitude, phase):
    magnitude.but(te_ms=(5.0, 10.0, 15.0)).write(tmp_path)
    phase.but(te_ms=(5.0, 15.0)).write(tmp_path)
    refused(tmp_path, r"1 of 3 echoes have no phase: echo time 10 ms\. Export", MetadataError)


def test_phase_of_other_echo_times(tmp_path, magnitude, phase):
    magnitude.write(tmp_path)
    phase.but(te_ms=(6.0, 12.0)).write(tmp_path)
    refused(
        tmp_path,
        r"echo times \(6, 12 ms\) .* do not fit the magnitude's \(5, 10 ms\)",
        MetadataError,
    )


def test_phase_alone(tmp_path, phase):
    phase.write(tmp_path)
    refused(tmp_path, r"series 3 \(phase, echo 5 ms\) has no magnitude", MetadataError)


def test_real_part_alone(tmp_path, phase):
    phase.but(part="real").write(tmp_path)
    refused(tmp_path, "has no imaginary part", MetadataError)


def test_difference_with_one_magnitude(tmp_path, magnitude, phase):
    magnitude.but(te_ms=(10.0,), sequence="*fm2d2r").write(tmp_path)
    phase.but(te_ms=(10.0,), sequence="*fm2d2r").write(tmp_path)
    refused(tmp_path, "one magnitude echo.*time between the echoes is unknown", MetadataError)


def test_the_second_echo_s_phase_alone_is_no_difference(tmp_path, magnitude, phase):
    """Two echoes of an imaging sequence that lost a phase series look like a field map."""
    magnitude.but(sequence="*fl3d2r").write(tmp_path)
    phase.but(te_ms=(10.0,), sequence="*fl3d2r").write(tmp_path)
    refused(tmp_path, "1 of 2 echoes have no phase: echo time 5 ms", MetadataError)


def test_phase_of_unknown_range(tmp_path, magnitude, phase):
    magnitude.write(tmp_path)
    phase.but(rescale=(0.003, 1.0), manufacturer="Other").write(tmp_path)
    refused(tmp_path, r"series 3 .*values from 1\.\d+ to 13\.\d+ .*--phase-scale", InputError)


def test_zero_magnitude(tmp_path, magnitude):
    magnitude.but(edit=lambda ds, e, k: setattr(ds, "PixelData", bytes(84))).write(tmp_path)
    refused(tmp_path, r"series 2 \(magnitude, echo 5 ms\): all voxels are 0", InputError)


def test_signed_magnitude(tmp_path, magnitude):
    magnitude.but(rescale=(1.0, -2000.0)).write(tmp_path)
    refused(tmp_path, "of the magnitude is negative", InputError)


def test_missing_decoder_tells_what_to_install(tmp_path, magnitude):
    from pydicom.encaps import encapsulate
    from pydicom.uid import JPEGLosslessSV1

    for path in magnitude.but(te_ms=(20.0,)).write(tmp_path):
        ds = pydicom.dcmread(path)
        ds.file_meta.TransferSyntaxUID = JPEGLosslessSV1
        ds.PixelData = encapsulate([b"\xff\xd8\xff\xc3" + bytes(60)])
        ds["PixelData"].VR = "OB"
        ds.save_as(path)
    from pydicom.pixels import get_decoder

    if get_decoder(JPEGLosslessSV1).is_available:  # then the invented stream is just damaged
        refused(tmp_path, "cannot be decoded")
    else:
        says = r"JPEG Lossless.*needs a decoder.*pip install 'petechia\[codecs\]'"
        refused(tmp_path, says, DependencyError)


def test_damaged_compressed_pixels(tmp_path, magnitude):
    from pydicom.uid import RLELossless

    for path in magnitude.but(te_ms=(20.0,)).write(tmp_path):
        ds = pydicom.dcmread(path)
        ds.compress(RLELossless)
        ds.save_as(path)
        path.write_bytes(path.read_bytes()[:-60])
    refused(tmp_path, "pixels cannot be decoded .* damaged or truncated")


def test_enhanced_frame_count(tmp_path, magnitude):
    path = magnitude.write_enhanced(tmp_path / "scan.dcm")
    ds = pydicom.dcmread(path)
    ds.NumberOfFrames = 9
    ds.save_as(path)
    refused(tmp_path, "declares 9 frames but describes 10")


def archive_of(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for member, data in members:
            out.writestr(member, data)
    return path


@pytest.mark.parametrize(
    "name", ["../evil.dcm", "/etc/evil.dcm", "a/../../evil", "C:/evil", "..\\evil"]
)
def test_zip_that_escapes(tmp_path, name):
    place = archive_of(tmp_path / "a.zip", [(name, b"x")])
    with pytest.raises(FileError, match=r"refused: member .* points outside the archive"):
        find_dicom_scans(place)


def test_zip_with_link(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    place = archive_of(tmp_path / "a.zip", [(link, "/etc/passwd")])
    with pytest.raises(FileError, match="'link' is a link"):
        find_dicom_scans(place)


def test_zip_bomb(tmp_path, monkeypatch):
    place = archive_of(tmp_path / "a.zip", [("zeros", bytes(17 * 1024**2))])
    with pytest.raises(FileError, match=r"'zeros' unpacks to 17825792 bytes, \d+-fold"):
        find_dicom_scans(place)
    monkeypatch.setattr(archive, "MAX_TOTAL_BYTES", 1000)
    place = archive_of(tmp_path / "b.zip", [("a", bytes(600)), ("b", bytes(600))])
    with pytest.raises(FileError, match="unpacks to 2 files"):
        find_dicom_scans(place)


def test_damaged_zip(tmp_path, magnitude, zipped):
    magnitude.write(tmp_path / "in")
    place = zipped(tmp_path / "in", tmp_path / "a.zip")
    data = bytearray(place.read_bytes())
    data[200:260] = bytes(60)
    place.write_bytes(data)
    with pytest.raises(FileError, match=r"cannot be read \(|damaged"):
        load(place)
    place.write_bytes(io.BytesIO(data).read(300))
    with pytest.raises(FileError):
        find_dicom_scans(place)


def test_nothing_of_the_patient_gets_out(tmp_path, magnitude, phase, caplog):
    caplog.set_level("DEBUG")
    magnitude.write(tmp_path)
    phase.write(tmp_path)
    (ref,) = find_dicom_scans(tmp_path)
    scan = ref.load()
    said = f"{ref.name} {scan.header} {scan.notes} {scan.phase_note} {scan.sources} {caplog.text}"
    for secret in ("SECRET", "1950", "2020030", "101010"):
        assert secret not in said


@pytest.mark.parametrize("subject", ["../../../x", "a b/c", "sub-sub-07", "0_1-é", "", "01\n"])
def test_a_subject_must_be_a_label(tmp_path, magnitude, subject):
    magnitude.write(tmp_path)
    with pytest.raises(ParameterError, match=r"--subject: subject .* letters and digits only"):
        find_dicom_scans(tmp_path, subject=subject)


def test_a_subject_may_carry_its_key(tmp_path, magnitude):
    magnitude.write(tmp_path)
    (ref,) = find_dicom_scans(tmp_path, subject="sub-07")
    assert ref.name.prefix == "sub-07"


@pytest.mark.parametrize("part", ["mag", "phase"])
@pytest.mark.parametrize(
    ("keyword", "n"),
    [("ImagePositionPatient", 3), ("ImageOrientationPatient", 6), ("PixelSpacing", 2)],
)
@pytest.mark.parametrize("bad", ["nan", "inf"])
def test_a_place_that_is_no_number(tmp_path, magnitude, phase, part, keyword, n, bad):
    """Slices sorted by NaN would be shuffled without a word."""

    def edit(ds, echo, k):
        if k == 2:
            setattr(ds, keyword, [bad] * n)

    with quietly():
        magnitude.but(edit=edit if part == "mag" else None).write(tmp_path)
        phase.but(edit=edit if part == "phase" else None).write(tmp_path)
    error = refused(tmp_path, f"{keyword} is missing or holds no finite numbers", MetadataError)
    assert error.where.endswith("_2.dcm")


@pytest.mark.parametrize("slope", ["0", "nan"])
def test_a_slope_that_makes_a_slice_vanish(tmp_path, magnitude, slope):
    def edit(ds, echo, k):
        ds.RescaleSlope, ds.RescaleIntercept = slope if k == 3 else "1", "0"

    with quietly():
        magnitude.but(edit=edit).write(tmp_path)
    error = refused(tmp_path, f"the file states a RescaleSlope of {slope}.* belongs to series 2")
    assert error.where.endswith("_3.dcm")


@pytest.mark.parametrize("te_ms", [(0.02,), (0.006, 0.013, 0.02), (0.005, 0.03)])
@pytest.mark.parametrize("separate", [False, True])
def test_echo_times_in_seconds(tmp_path, magnitude, phase, te_ms, separate):
    for series in (magnitude, phase):
        if separate:
            for n, te in enumerate(te_ms):
                series.but(number=10 * n + series.number, te_ms=(te,)).write(tmp_path)
        else:
            series.but(te_ms=te_ms).write(tmp_path)
    ref = find_dicom_scans(tmp_path)[0]
    said = r"EchoTime is 0\.0.* in milliseconds \(20 ms is 20\), these look like seconds"
    with pytest.raises(MetadataError, match=said):
        ref.load()


def test_overflow_of_the_brightest_voxels(tmp_path, magnitude):
    """They are few, but would be black holes."""

    def edit(ds, echo, k):
        values = np.frombuffer(ds.PixelData, "<u2").astype("<i2")
        if k == 2:
            values[5] = -32768
        ds.PixelData, ds.PixelRepresentation = values.tobytes(), 1

    magnitude.but(shape=(12, 11, 7), edit=edit).write(tmp_path)
    refused(tmp_path, r"runs from -32768 to .* overflowed the number type", InputError)


def test_half_of_the_phase_is_there(tmp_path, magnitude, phase):
    magnitude.but(shape=(7, 6, 8)).write(tmp_path)
    for path in phase.but(shape=(7, 6, 8)).write(tmp_path):
        if int(path.stem[-1]) > 3:
            path.unlink()
    refused(
        tmp_path,
        r"series 3 \(phase, echo 5 ms\): 4 slices, but series 2 .* has 8: 4 missing",
        MetadataError,
    )


def test_half_of_one_echos_phase_is_there(tmp_path, magnitude, phase):
    magnitude.but(shape=(7, 6, 8)).write(tmp_path)
    for path in phase.but(shape=(7, 6, 8)).write(tmp_path):
        if int(path.stem[-1]) > 3 and "_3_1_" in path.stem:
            path.unlink()
    refused(tmp_path, r"phase, echo 10 ms\): 4 slices, but .* has 8: 4 missing", MetadataError)


def test_half_of_the_magnitude_is_there(tmp_path, magnitude, phase):
    for path in magnitude.but(shape=(7, 6, 8)).write(tmp_path):
        if int(path.stem[-1]) > 3:
            path.unlink()
    phase.but(shape=(7, 6, 8)).write(tmp_path)
    refused(tmp_path, r"magnitude, echo 5 ms\): 4 slices, but .* has 8: 4 missing", MetadataError)


@pytest.mark.parametrize(
    "keyword", ["ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing"]
)
@pytest.mark.parametrize("part", ["mag", "phase"])
def test_one_part_has_no_place(tmp_path, magnitude, phase, keyword, part):
    magnitude.but(edit=without(keyword) if part == "mag" else None).write(tmp_path)
    phase.but(edit=without(keyword) if part == "phase" else None).write(tmp_path)
    refused(tmp_path, f"{keyword} is missing", MetadataError)


def test_a_series_without_place_beside_a_whole_scan(tmp_path, magnitude, phase, true_to_place):
    magnitude.write(tmp_path)
    phase.write(tmp_path)
    magnitude.but(number=9, edit=without("ImageOrientationPatient")).write(tmp_path)
    scan = load(tmp_path)
    true_to_place(scan)
    assert any("series 9" in n and "do not say where they lie" in n for n in scan.notes)


def test_echoes_of_other_units(tmp_path, magnitude, phase):
    def edit(ds, echo, k):
        if echo == 1:  # radians, where the other echo is stored in degrees
            ds.RescaleSlope, ds.RescaleIntercept = 2 * np.pi / 4096, -np.pi
        else:
            ds.RescaleSlope, ds.RescaleIntercept = 360 / 4096, -180

    big = {"shape": (21, 22, 9), "te_ms": (20.0, 25.0)}
    magnitude.but(**big).write(tmp_path)
    phase.but(manufacturer="Other", edit=edit, **big).write(tmp_path)
    refused(tmp_path, r"phase of echo 2 .*radians.* \(degrees.* different units", InputError)


# --- two persons under one number


def person(name, born):
    def edit(ds, echo, k):
        ds.PatientName, ds.PatientBirthDate = name, born

    return edit


@pytest.mark.parametrize("other", [("SECRET^NAME", "19600203"), ("OTHER^NAME", "19500102")])
def test_two_persons_of_one_number_never_pair(tmp_path, magnitude, phase, other):
    magnitude.write(tmp_path / "a")
    phase.but(edit=person(*other)).write(tmp_path / "b")
    scan = load(tmp_path)
    assert scan.echoes.phase_rad is None
    assert "one PatientID holds images of 2 persons" in " ".join(scan.notes)
    for secret in ("SECRET", "OTHER", "1950", "1960"):
        assert secret not in " ".join(scan.notes)


def test_two_persons_of_one_number_are_told_in_each_scan(tmp_path, magnitude, phase):
    for number, who in ((2, ("SECRET^NAME", "19500102")), (12, ("OTHER^NAME", "19600203"))):
        magnitude.but(number=number, edit=person(*who)).write(tmp_path)
        phase.but(number=number + 1, edit=person(*who)).write(tmp_path)
    scans = [ref.load() for ref in find_dicom_scans(tmp_path)]
    assert len(scans) == 2
    assert all("images of 2 persons" in " ".join(s.notes) for s in scans)
    assert all(s.echoes.phase_rad is not None for s in scans)


@pytest.mark.parametrize("same", ["secret name", "SECRET^NAME^^^", "SECRET^NAME=x", ""])
def test_a_name_spelt_otherwise_is_the_same_person(tmp_path, magnitude, phase, same, true_to_place):
    magnitude.write(tmp_path)
    phase.but(edit=person(same, "")).write(tmp_path)
    scan = load(tmp_path)
    true_to_place(scan)
    assert scan.echoes.phase_rad is not None
    assert scan.notes == ()


def test_a_pipe_in_the_folder_is_left_aside_and_told(tmp_path, magnitude, true_to_place):
    magnitude.write(tmp_path / "a")
    os.mkfifo(tmp_path / "a" / "pipe.dcm")
    (ref,) = find_scans(tmp_path)
    scan = ref.load()
    true_to_place(scan)
    assert "1 pipes, sockets or devices left aside: they are no files" in scan.notes
    with pytest.raises(FileError, match="no such file or folder"):
        find_dicom_scans(tmp_path / "a" / "pipe.dcm")


def test_one_identifier_of_two_images_is_refused_naming_both(tmp_path, magnitude):
    paths = magnitude.write(tmp_path / "a")
    other = tmp_path / "b" / paths[3].name
    other.parent.mkdir()
    ds = pydicom.dcmread(paths[3])
    ds.PixelData = ds.pixel_array[::-1].tobytes()
    ds.save_as(other)
    error = refused(tmp_path, rf"SOPInstanceUID and place of a/{paths[3].name}, but shows another")
    assert error.where == f"b/{paths[3].name}"


def test_a_copy_in_another_syntax_or_without_its_end_is_a_copy(tmp_path, magnitude, true_to_place):
    paths = magnitude.write(tmp_path / "a")
    (tmp_path / "b").mkdir()
    ds = pydicom.dcmread(paths[3])
    ds.compress(pydicom.uid.RLELossless, generate_instance_uid=False)
    ds.save_as(tmp_path / "b" / "packed.dcm")
    (tmp_path / "b" / "cut.dcm").write_bytes(paths[4].read_bytes()[:-8])
    scan = load(tmp_path)
    true_to_place(scan)
    assert "2 copies of the same images dropped" in scan.notes


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"RescaleSlope": "-1", "RescaleIntercept": "4000"}, "RescaleSlope of -1.* magnitude"),
        ({"RescaleSlope": "1", "RescaleIntercept": "-4096.0"}, "RescaleIntercept of -4096,0"),
        ({"BitsStored": 12}, "HighBit of 15 for 12 bits stored"),
    ],
)
def test_values_that_are_not_what_they_say(tmp_path, magnitude, values, told):
    def edit(ds, echo, k):
        for keyword, value in values.items():
            setattr(ds, keyword, value)

    with quietly():
        paths = magnitude.but(edit=edit).write(tmp_path)
    for path in paths:
        path.write_bytes(path.read_bytes().replace(b"-4096.0", b"-4096,0"))
    refused(tmp_path, rf"the file states a {told}")


def test_phase_may_run_backwards(tmp_path, magnitude, phase):
    magnitude.write(tmp_path)
    phase.but(rescale=(-2.0, 4096.0)).write(tmp_path)
    assert load(tmp_path).echoes.phase_rad is not None


def test_an_archive_in_the_folder_is_not_opened_and_told(tmp_path, magnitude, zipped):
    magnitude.write(tmp_path / "scan")
    (tmp_path / "in").mkdir()
    zipped(tmp_path / "scan", tmp_path / "in" / "exam.zip")
    refused(tmp_path / "in", r"archives inside are not opened: exam\.zip")
    refused(zipped(tmp_path / "in", tmp_path / "twice.zip"), r"not opened: exam\.zip")
    (tmp_path / "exam.tar.gz").write_bytes(b"\x1f\x8b" + bytes(200))
    refused(tmp_path / "exam.tar.gz", r"not opened: exam\.tar\.gz")
    (tmp_path / "scan" / "more.tar.gz").write_bytes(b"\x1f\x8b" + bytes(200))
    assert "archives inside are not opened: more.tar.gz" in load(tmp_path / "scan").notes


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_whose_names_repeat(tmp_path, magnitude):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for path in magnitude.write(tmp_path / "scan"):
            archive.write(path, "IM.dcm")
    refused(tmp_path / "x.zip", "10 members are named 'IM.dcm': only one of them")


def test_a_linked_folder_alone_is_searched(tmp_path, magnitude, true_to_place):
    magnitude.write(tmp_path / "far" / "scan")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path / "far")
    (ref,) = find_scans(tmp_path / "in")
    true_to_place(ref.load())
