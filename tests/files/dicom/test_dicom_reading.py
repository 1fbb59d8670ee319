"""Classic and enhanced images, in any order, come back to their place in the world."""

import hashlib
import pickle

import numpy as np
import pydicom
import pytest

from petechia.files.dicom import find_dicom_scans

SQ2 = float(np.sqrt(0.5))
PLANES = {
    "axial": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
    "oblique": ((1.0, 0.0, 0.0), (0.0, 0.96, -0.28)),
    "sagittal": ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0)),
    "coronal": ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0)),
    "double oblique": ((SQ2, SQ2, 0.0), (-0.5, 0.5, SQ2)),
}


def only(place, **kwargs):
    refs = find_dicom_scans(place, **kwargs)
    assert len(refs) == 1
    return refs[0]


@pytest.mark.parametrize("plane", PLANES, ids=list(PLANES))
@pytest.mark.parametrize("down", [False, True], ids=["upwards", "downwards"])
def test_classic_series(tmp_path, magnitude, phase, true_to_place, plane, down):
    row, column = PLANES[plane]
    for series in (magnitude, phase):
        series.but(row=row, column=column, step_mm=-3.6 if down else 3.6,
                   edit=lambda ds, e, k: setattr(ds, "SpacingBetweenSlices", 3.6)).write(tmp_path)  # fmt: skip
    ref = only(tmp_path, subject="07")
    assert ref.name.prefix == "sub-07"
    assert ref.kind == "DICOM"
    scan = ref.load()
    true_to_place(scan)
    grid = scan.echoes.grid
    assert grid.shape == (7, 6, 5)
    np.testing.assert_allclose(grid.spacing_mm, [1.5, 2.0, 3.6], rtol=1e-6)
    assert np.linalg.det(grid.affine[:3, :3]) > 0
    assert scan.echoes.magnitude.dtype == np.float32
    assert scan.echoes.phase_te_s == scan.echoes.te_s
    assert not scan.echoes.phase_is_difference
    assert scan.notes == ()


def test_header_and_sources(tmp_path, magnitude):
    paths = magnitude.write(tmp_path / "a" / "b")
    scan = only(tmp_path).load()
    header = scan.header
    assert (header.manufacturer, header.model, header.software) == ("SIEMENS", "Made up", "1")
    assert header.acquisition_type == "3D"
    assert (header.slice_thickness_mm, header.slice_spacing_mm) == (3.0, 3.6)
    assert (header.tr_s, header.flip_deg) == (0.028, 15)
    assert header.sequence_name == "*swi3d1r"
    assert header.image_type == ("ORIGINAL", "PRIMARY", "M", "ND")
    assert scan.echoes.b0_t == 3.0
    assert scan.phase_note == "none"
    assert scan.echoes.phase_rad is None
    want = {f"a/b/{p.name}": hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}
    assert {s.path: s.sha256 for s in scan.sources} == want


@pytest.mark.parametrize("in_one_series", [True, False])
def test_enhanced(tmp_path, magnitude, phase, true_to_place, in_one_series):
    magnitude.write_enhanced(tmp_path / "IM_0001")
    number = 2 if in_one_series else 3
    phase.but(number=number).write_enhanced(tmp_path / "IM_0002")
    scan = only(tmp_path).load()
    true_to_place(scan)
    assert len(scan.sources) == 2
    assert scan.header.acquisition_type == "3D"
    assert scan.header.tr_s == 0.028


def test_enhanced_with_both_parts_in_one_file(tmp_path, magnitude, phase, true_to_place):
    path = magnitude.but(manufacturer="Philips").write_enhanced(tmp_path / "IM_0001", also=phase)
    scan = only(path).load()
    true_to_place(scan)
    assert scan.echoes.phase_te_s == (0.005, 0.010)


def test_single_enhanced_file(tmp_path, magnitude, true_to_place):
    path = magnitude.write_enhanced(tmp_path / "scan.dcm")
    scan = only(path).load()
    true_to_place(scan)
    assert [s.path for s in scan.sources] == ["scan.dcm"]


def test_zip_is_read_without_unpacking(tmp_path, magnitude, phase, zipped, true_to_place):
    magnitude.write(tmp_path / "in" / "mag")
    phase.write(tmp_path / "in" / "pha")
    (tmp_path / "in" / "README.txt").write_text("junk")
    archive = zipped(tmp_path / "in", tmp_path / "scan.zip")
    before = sorted(tmp_path.rglob("*"))
    scan = only(archive).load()
    true_to_place(scan)
    assert sorted(tmp_path.rglob("*")) == before
    assert scan.sources[0].path.startswith("mag/")


def test_a_reference_crosses_process_borders(tmp_path, magnitude, phase, true_to_place):
    magnitude.write(tmp_path)
    phase.write(tmp_path)
    true_to_place(pickle.loads(pickle.dumps(only(tmp_path))).load())


def test_files_without_preamble(tmp_path, magnitude, true_to_place):
    for path in magnitude.write(tmp_path):
        ds = pydicom.dcmread(path)
        bare = pydicom.Dataset({e.tag: e for e in ds})
        bare.save_as(path, implicit_vr=True, little_endian=True)
        assert path.read_bytes()[128:132] != b"DICM"
    true_to_place(only(tmp_path).load())


@pytest.mark.parametrize("separate", [True, False], ids=["series per echo", "one series"])
def test_echoes_in_one_or_several_series(tmp_path, magnitude, phase, true_to_place, separate):
    if separate:
        for n, te in enumerate((5.0, 10.0)):
            magnitude.but(number=2 + n, te_ms=(te,)).write(tmp_path)
            phase.but(number=4 + n, te_ms=(te,)).write(tmp_path)
    else:
        magnitude.write(tmp_path)
        phase.but(number=2, uid="1.2.3", letter="p").write(tmp_path)
    true_to_place(only(tmp_path).load())


def test_magnitude_and_phase_in_one_series(tmp_path, magnitude, phase, true_to_place):
    magnitude.but(uid="1.2.3").write(tmp_path)
    phase.but(number=2, uid="1.2.3", letter="p").write(tmp_path)
    true_to_place(only(tmp_path).load())


def test_real_and_imaginary_parts(tmp_path, magnitude, phase, true_to_place):
    phase.but(part="real", number=5).write(tmp_path)
    phase.but(part="imag", number=6).write(tmp_path)
    scan = only(tmp_path).load()
    true_to_place(scan, tolerance_rad=2e-3)
    assert scan.phase_note == "real and imaginary parts"
    magnitude.write(tmp_path)
    scan = only(tmp_path).load()
    true_to_place(scan, tolerance_rad=2e-3)
    assert len(scan.sources) == 30


def test_ge_says_what_it_is_in_private(tmp_path, magnitude, true_to_place):
    """GE's real and imaginary images differ from magnitude only in (0043,102F)."""

    def ge(code):
        def edit(ds, echo, k):
            block = ds.private_block(0x0043, "GEMS_PARM_01", create=True)
            block.add_new(0x2F, "SS", code)

        return edit

    plain = magnitude.but(
        manufacturer="GE MEDICAL SYSTEMS", uid="1.2.9", tokens=("ORIGINAL", "PRIMARY", "OTHER")
    )
    plain.but(part="mag", edit=ge(0)).write(tmp_path)
    plain.but(part="real", edit=ge(2), letter="r").write(tmp_path)
    plain.but(part="imag", edit=ge(3), letter="i").write(tmp_path)
    scan = only(tmp_path).load()
    true_to_place(scan, tolerance_rad=2e-3)
    assert "real and imaginary" in scan.phase_note


def test_philips_display_values_come_to_one_scale(tmp_path, magnitude, phase, true_to_place):
    """Philips: signal = display / (rescale slope * scale slope), other in each slice."""

    def philips(ds, echo, k):
        slope, scale = 0.5 + k, 4.0
        ds.RescaleSlope, ds.RescaleIntercept = slope, 0.0
        block = ds.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
        block.add_new(0x0E, "FL", scale)

    magnitude.but(
        manufacturer="Philips", tokens=("ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE"), edit=philips
    ).write(tmp_path)
    turn = (6284 / 4095, -3142.0)
    phase.but(
        manufacturer="Philips",
        tokens=("ORIGINAL", "PRIMARY", "PHASE MAP", "P", "FFE"),
        rescale=turn,
    ).write(tmp_path)
    scan = only(tmp_path).load()
    assert "milliradians" in scan.phase_note
    echoes = scan.echoes
    scaled = type(echoes)(
        magnitude=echoes.magnitude * 4.0,
        te_s=echoes.te_s,
        b0_t=3.0,
        grid=echoes.grid,
        phase_rad=echoes.phase_rad,
    )
    true_to_place(
        type(scan)(echoes=scaled, name=scan.name, header=scan.header, kind="DICOM", sources=()),
        tolerance_rad=3e-3,
    )


def test_phase_difference_of_a_field_map(tmp_path, magnitude, phase):
    magnitude.but(sequence="*fm2d2r").write(tmp_path)
    phase.but(te_ms=(10.0,), sequence="*fm2d2r").write(tmp_path)
    scan = only(tmp_path).load()
    assert scan.echoes.phase_is_difference
    assert scan.echoes.phase_te_s == (0.005,)
    assert "phase difference over 5 ms" in scan.phase_note


def test_single_echo_phase_is_not_a_difference(tmp_path, magnitude, phase, true_to_place):
    magnitude.but(te_ms=(20.0,)).write(tmp_path)
    phase.but(te_ms=(20.0,)).write(tmp_path)
    scan = only(tmp_path).load()
    assert not scan.echoes.phase_is_difference
    true_to_place(scan, te_ms=(20.0,))


def test_copies_are_dropped(tmp_path, magnitude, phase, true_to_place):
    paths = magnitude.write(tmp_path / "mag")
    phase.write(tmp_path / "pha")
    again = tmp_path / "again"
    again.mkdir()
    for path in paths[:4]:
        (again / path.name).write_bytes(path.read_bytes())  # same instance
    ds = pydicom.dcmread(paths[7])
    ds.SOPInstanceUID = "1.2.3.4.5"  # same pixels, another instance
    ds.save_as(again / "other.dcm")
    scan = only(tmp_path).load()
    true_to_place(scan)
    assert "4 copies of the same images dropped" in scan.notes
    assert any("1 copied slices dropped" in note for note in scan.notes)


def test_a_series_exported_twice_is_one_scan(tmp_path, magnitude, true_to_place):
    magnitude.write(tmp_path / "a")
    magnitude.but(number=9, uid="1.2.3.9").write(tmp_path / "b")
    scan = only(tmp_path).load()
    true_to_place(scan)
    assert any(
        "series 9 (magnitude, echo 5 ms) left aside: the same image" in n for n in scan.notes
    )


def test_repeated_runs_keep_their_own_phase(tmp_path, magnitude, phase):
    """Run 1 and 2 look alike; phase before or after its magnitude must not be crossed over."""
    for first, second in (("mag", "phase"), ("phase", "mag")):
        folder = tmp_path / first
        for run, number in enumerate((4, 6)):
            for part, n in ((first, number), (second, number + 1)):
                base = magnitude if part == "mag" else phase

                def numbered(ds, echo, k, run=run):
                    ds.PixelData = bytes([(ds.PixelData[0] & 0xF0) + run]) + ds.PixelData[1:]

                base.but(number=n, te_ms=(20.0,), time=None, edit=numbered).write(folder)
        refs = find_dicom_scans(folder)
        assert [r.name.prefix for r in refs] == ["sub-01_run-1", "sub-01_run-2"]
        for run, ref in enumerate(refs):
            numbers = {p.split("_")[1] for p in ref.paths}
            assert numbers == {str(4 + 2 * run), str(5 + 2 * run)}, run


def test_time_of_acquisition_decides_before_series_number(tmp_path, magnitude, phase):
    magnitude.but(number=4, te_ms=(20.0,), time="100000").write(tmp_path)
    magnitude.but(number=5, te_ms=(20.0,), time="110000").write(tmp_path)
    phase.but(number=6, te_ms=(20.0,), time="110000").write(tmp_path)
    phase.but(number=7, te_ms=(20.0,), time="100000").write(tmp_path)
    refs = find_dicom_scans(tmp_path)
    numbers = [{p.split("_")[1] for p in ref.paths} for ref in refs]
    assert numbers == [{"4", "7"}, {"5", "6"}]


def test_repetitions_within_a_series(tmp_path, magnitude):
    def numbered(n):
        def edit(ds, echo, k):
            ds.AcquisitionNumber = n
            ds.PixelData = bytes(2 * 42 - 2) + b"\x05\x00" if n == 2 else ds.PixelData

        return edit

    magnitude.but(uid="1.2", edit=numbered(1)).write(tmp_path)
    magnitude.but(uid="1.2", edit=numbered(2), letter="b").write(tmp_path)
    refs = find_dicom_scans(tmp_path)
    assert [r.name.prefix for r in refs] == ["sub-01_run-1", "sub-01_run-2"]
    assert refs[1].load().echoes.magnitude.max() == 5


def test_what_is_no_scan_is_left_aside_with_a_note(tmp_path, magnitude, phase, true_to_place):
    magnitude.write(tmp_path)
    phase.write(tmp_path)
    aside = {
        "localizer": {"tokens": ("ORIGINAL", "PRIMARY", "LOCALIZER")},
        "intensity projection": {"tokens": ("ORIGINAL", "PRIMARY", "MNIP", "ND", "NORM")},
        "processed image": {"tokens": ("ORIGINAL", "PRIMARY", "M", "SWI", "ND", "NORM")},
        "derived image": {"tokens": ("DERIVED", "SECONDARY", "M")},
        "spin echo": {"edit": lambda ds, e, k: setattr(ds, "ScanningSequence", "SE")},
        "inversion recovery": {"edit": lambda ds, e, k: setattr(ds, "ScanningSequence", ["GR", "IR"])},
    }  # fmt: skip
    for n, changes in enumerate(aside.values()):
        magnitude.but(number=20 + n, **changes).write(tmp_path)
    magnitude.but(number=30, shape=(7, 6, 2), origin=(40.0, 0.0, 0.0)).write(tmp_path)
    magnitude.but(number=31, te_ms=(2.5,), tr_ms=9.0).write(tmp_path)
    (tmp_path / "README").write_text("junk")
    (tmp_path / "note.json").write_text("{}")
    scan = only(tmp_path).load()
    true_to_place(scan)
    for n, why in enumerate(aside):
        assert any(note.startswith(f"series {20 + n} left aside: {why}") for note in scan.notes), (
            why
        )
    assert any("series 30" in note and "fewer than 3 slices" in note for note in scan.notes)
    assert any("series 31" in note and "2.5 ms is too short" in note for note in scan.notes)


def test_distortion_corrected_twins(tmp_path, magnitude, phase, true_to_place):
    """With phase the uncorrected pair is read; a magnitude alone is read corrected."""
    corrected = ("ORIGINAL", "PRIMARY", "M", "DIS2D")
    magnitude.but(number=4, tokens=corrected).write(tmp_path / "m")
    magnitude.but(number=5).write(tmp_path / "m")
    scan = only(tmp_path / "m").load()
    assert "DIS2D" in scan.header.image_type
    magnitude.but(number=4, tokens=corrected).write(tmp_path / "p")
    magnitude.but(number=5).write(tmp_path / "p")
    phase.but(number=6, tokens=("ORIGINAL", "PRIMARY", "P", "DIS2D")).write(tmp_path / "p")
    phase.but(number=7).write(tmp_path / "p")
    scan = only(tmp_path / "p").load()
    true_to_place(scan)
    assert "DIS2D" not in scan.header.image_type
    assert any(n.startswith("series 6 (phase") and "same image" in n for n in scan.notes)


def test_processed_images_alone_are_no_scan(tmp_path, magnitude):
    from petechia.errors import FileError

    magnitude.but(tokens=("ORIGINAL", "PRIMARY", "M", "QSM")).write(tmp_path)
    with pytest.raises(FileError, match="no gradient-echo magnitude or phase: series 2 left aside"):
        find_dicom_scans(tmp_path)


def test_the_scanners_swi_serves_when_there_is_no_plain_magnitude(tmp_path, magnitude, phase):
    magnitude.but(tokens=("ORIGINAL", "PRIMARY", "M", "SWI")).write(tmp_path / "a")
    scan = only(tmp_path / "a").load()
    assert scan.header.weighted
    assert scan.echoes.phase_rad is None
    magnitude.but(tokens=("ORIGINAL", "PRIMARY", "M", "SWI")).write(tmp_path / "b")
    phase.write(tmp_path / "b")
    scan = only(tmp_path / "b").load()
    assert scan.header.weighted
    assert scan.echoes.phase_rad is not None
    magnitude.write(tmp_path / "c")
    magnitude.but(number=9, tokens=("ORIGINAL", "PRIMARY", "M", "SWI")).write(tmp_path / "c")
    scan = only(tmp_path / "c").load()
    assert not scan.header.weighted
    assert any("series 9 left aside: processed image, weighted" in note for note in scan.notes)


def test_derived_images_serve_when_there_is_nothing_else(tmp_path, magnitude, true_to_place):
    magnitude.but(tokens=("DERIVED", "PRIMARY", "M")).write(tmp_path)
    true_to_place(only(tmp_path).load())


def test_field_from_frequency_or_gauss(tmp_path, magnitude):
    def frequency(ds, echo, k):
        del ds.MagneticFieldStrength
        ds.ImagingFrequency = 63.866

    magnitude.but(edit=frequency).write(tmp_path / "f")
    assert only(tmp_path / "f").load().echoes.b0_t == pytest.approx(1.5, abs=1e-3)
    magnitude.but(edit=lambda ds, e, k: setattr(ds, "MagneticFieldStrength", 15000)).write(
        tmp_path / "g"
    )
    assert only(tmp_path / "g").load().echoes.b0_t == 1.5


def test_phase_scale_is_handed_on(tmp_path, magnitude, phase, true_to_place):
    magnitude.write(tmp_path)
    phase.but(rescale=(0.5, -1024.0), manufacturer="Other").write(tmp_path)
    scan = only(tmp_path, phase_scale=np.pi / 1024).load()
    assert "--phase-scale" in scan.phase_note
    true_to_place(scan)


@pytest.mark.parametrize("syntax", ["RLELossless", "JPEGLSLossless", "DeflatedExplicitVRLittleEndian",  "ImplicitVRLittleEndian"])  # fmt: skip
def test_transfer_syntaxes(tmp_path, magnitude, true_to_place, syntax):
    from pydicom import uid

    target = getattr(uid, syntax)
    for path in magnitude.write(tmp_path):
        ds = pydicom.dcmread(path)
        if target.is_compressed and "Deflated" not in syntax:
            ds.compress(target)
        else:
            ds.file_meta.TransferSyntaxUID = target
        ds.save_as(path)
    true_to_place(only(tmp_path).load())


def test_big_endian(tmp_path, magnitude, true_to_place):
    from pydicom.uid import ExplicitVRBigEndian

    def swapped(ds, echo, k):
        ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()

    magnitude.but(syntax=ExplicitVRBigEndian, edit=swapped).write(tmp_path)
    true_to_place(only(tmp_path).load())


def test_an_average_of_the_echoes_is_no_echo(tmp_path, magnitude, phase, true_to_place):
    """It calls itself original, and has an echo time and series of its own but no phase."""
    magnitude.write(tmp_path)
    phase.write(tmp_path)
    magnitude.but(number=9, te_ms=(7.5,)).write(tmp_path)
    scan = only(tmp_path).load()
    true_to_place(scan)
    assert scan.echoes.phase_rad is not None
    assert any("series 9 (magnitude, echo 7.5 ms) left aside: no phase" in n for n in scan.notes)


def test_what_the_caller_left_aside_is_told(tmp_path, magnitude):
    magnitude.write(tmp_path)
    assert only(tmp_path, notes=("one thing",)).load().notes == ("one thing",)
