"""Each vendor's ways, one test a row of docs/reference/vendors.md."""

import io
import subprocess
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1

from petechia.core.echoes import Echoes
from petechia.core.grid import Grid
from petechia.errors import FileError, InputError
from petechia.files.dicom import find_dicom_scans
from petechia.files.dicom.write import DicomStyle, write_dicom
from petechia.files.scan import Header


def only(place):
    (ref,) = find_dicom_scans(place)
    return ref


# --- Siemens


def test_siemens_swi_gives_its_magnitude_and_phase_and_leaves_its_own_products(
    tmp_path, magnitude, phase, true_to_place
):
    """The four series of a `swi3d`: magnitude, phase, projection, weighted image."""
    one = {"te_ms": (20.0,)}
    magnitude.but(number=10, tokens=("ORIGINAL", "PRIMARY", "M", "ND", "NORM"), **one).write(
        tmp_path
    )
    phase.but(number=11, tokens=("ORIGINAL", "PRIMARY", "P", "ND"), **one).write(tmp_path)
    magnitude.but(number=12, tokens=("DERIVED", "PRIMARY", "M", "MNIP", "ND", "NORM"), **one).write(
        tmp_path
    )
    magnitude.but(number=13, tokens=("ORIGINAL", "PRIMARY", "M", "SWI", "ND", "NORM"), **one).write(
        tmp_path
    )
    scan = only(tmp_path).load()
    true_to_place(scan, te_ms=(20.0,))
    assert scan.echoes.phase_rad is not None
    assert not scan.header.weighted
    assert any("series 12 left aside: intensity projection" in n for n in scan.notes)
    assert any("series 13 left aside: processed image" in n for n in scan.notes)


def test_siemens_weighted_phase_is_no_phase(tmp_path, magnitude, phase):
    magnitude.write(tmp_path)
    phase.but(tokens=("ORIGINAL", "PRIMARY", "P", "SWI", "ND")).write(tmp_path)
    scan = only(tmp_path).load()
    assert scan.echoes.phase_rad is None
    assert any("no plain phase" in n for n in scan.notes)


def test_siemens_xa_says_phase_in_a_private_image_type(tmp_path, magnitude, phase, true_to_place):
    """XA: ComplexImageComponent may be missing; (0021,1175) has the classic words."""

    def xa(words):
        def edit(group, echo, k):
            del group.MRImageFrameTypeSequence[0].ComplexImageComponent
            inner = Dataset()
            block = inner.private_block(0x0021, "SIEMENS MR SDI 02", create=True)
            block.add_new(0x75, "CS", list(words))
            outer = group.private_block(0x0021, "SIEMENS MR SDI 02", create=True)
            outer.add_new(0xFE, "SQ", [inner])

        return edit

    magnitude.but(edit=xa(("ORIGINAL", "PRIMARY", "M", "NORM"))).write_enhanced(tmp_path / "m.dcm")
    phase.but(edit=xa(("ORIGINAL", "PRIMARY", "P", "NONE"))).write_enhanced(tmp_path / "p.dcm")
    true_to_place(only(tmp_path).load())


def test_uncombined_coils_are_refused_with_what_to_do(tmp_path, magnitude):
    def coil(n):
        def edit(ds, echo, k):
            ds.private_block(0x0051, "SIEMENS MR HEADER", create=True).add_new(0x0F, "LO", f"H{n}")
            ds.InstanceNumber = 100 * n + k
            ds.PixelData = (np.frombuffer(ds.PixelData, "<u2") // n).astype("<u2").tobytes()

        return edit

    one = magnitude.but(te_ms=(20.0,), uid="1.2.77")
    one.but(edit=coil(1), letter="a").write(tmp_path)
    one.but(edit=coil(2), letter="b").write(tmp_path)
    with pytest.raises(
        FileError, match=r"repeat a place with other content.*receive coils combined"
    ):
        only(tmp_path).load()


def test_a_series_for_each_coil_is_no_set_of_runs(tmp_path, magnitude, phase):
    def coil(n):
        def edit(ds, echo, k):
            if ds.Modality == "MR" and ds.ImageType[2] == "M":
                values = np.frombuffer(ds.PixelData, "<u2") // (n + 1)
                ds.PixelData = values.astype("<u2").tobytes()

        return edit

    for n in range(4):
        magnitude.but(number=10 + n, edit=coil(n)).write(tmp_path)
        phase.but(number=30 + n, edit=coil(n)).write(tmp_path)
    refs = find_dicom_scans(tmp_path)
    for ref in refs:
        with pytest.raises(FileError, match=r"4 series of one time.*petechia combine"):
            ref.load()
    # runs one after another are runs
    for n in range(4):
        magnitude.but(number=10 + n, time=f"1010{n}0", edit=coil(n)).write(tmp_path / "runs")
    assert len([ref.load() for ref in find_dicom_scans(tmp_path / "runs")]) == 4


@pytest.mark.parametrize("n_coils", [2, 3])
def test_two_series_that_name_their_coils_are_no_runs(tmp_path, magnitude, phase, n_coils):
    def coil(n, *, named=True):
        def edit(ds, echo, k):
            if named:
                block = ds.private_block(0x0051, "SIEMENS MR HEADER", create=True)
                block.add_new(0x0F, "LO", f"H{n}")
            if ds.ImageType[2] == "M":
                values = np.frombuffer(ds.PixelData, "<u2") // (n + 1)
                ds.PixelData = values.astype("<u2").tobytes()

        return edit

    for n in range(n_coils):
        magnitude.but(number=10 + n, edit=coil(n)).write(tmp_path / "coils")
        phase.but(number=30 + n, edit=coil(n)).write(tmp_path / "coils")
        magnitude.but(number=10 + n, edit=coil(n, named=False)).write(tmp_path / "unnamed")
    for ref in find_dicom_scans(tmp_path / "coils"):
        with pytest.raises(FileError, match=rf"{n_coils} series of one time.*petechia combine"):
            ref.load()
    assert len([ref.load() for ref in find_dicom_scans(tmp_path / "unnamed")]) == n_coils


# --- GE


def ge(code):
    def edit(ds, echo, k):
        ds.private_block(0x0043, "GEMS_PARM_01", create=True).add_new(0x2F, "SS", code)

    return edit


def test_ge_phase_is_milliradians(tmp_path, magnitude, phase, true_to_place):
    """Raw data type 1; values -3142..3142, no rescale."""
    plain = {"manufacturer": "GE MEDICAL SYSTEMS", "tokens": ("ORIGINAL", "PRIMARY", "OTHER")}

    def milliradians(ds, echo, k):
        ge(1)(ds, echo, k)
        stored = np.frombuffer(ds.PixelData, "<u2").astype(float) * 2 * np.pi / 4096 - np.pi
        ds.PixelData = np.rint(1000 * stored).astype("<i2").tobytes()
        ds.PixelRepresentation = 1
        del ds.RescaleSlope, ds.RescaleIntercept

    magnitude.but(edit=ge(0), **plain).write(tmp_path)
    phase.but(edit=milliradians, **plain).write(tmp_path)
    scan = only(tmp_path).load()
    assert "milliradians" in scan.phase_note
    true_to_place(scan, tolerance_rad=3e-3)


def milliradians(ds, echo, k):
    stored = np.frombuffer(ds.PixelData, "<u2").astype(float) * 2 * np.pi / 4096 - np.pi
    ds.PixelData = np.rint(1000 * stored).astype("<i2").tobytes()
    ds.PixelRepresentation = 1
    del ds.RescaleSlope, ds.RescaleIntercept


STRIPPED = {
    "manufacturer": "GE MEDICAL SYSTEMS", "tokens": ("ORIGINAL", "PRIMARY", "OTHER"),
    "shape": (26, 24, 12), "te_ms": (10.0, 20.0),
}  # fmt: skip
"""As de-identification leaves it: nothing tells magnitude from phase."""


def test_ge_phase_without_private_elements_is_known_by_its_values(
    tmp_path, magnitude, phase, true_to_place
):
    magnitude.but(**STRIPPED).write(tmp_path)
    number = phase.but(edit=milliradians, **STRIPPED)
    number.write(tmp_path)
    scan = only(tmp_path).load()
    true_to_place(scan, te_ms=(10.0, 20.0), tolerance_rad=3e-3)
    assert scan.phase_note.startswith("milliradians")
    assert f"series {number.number} does not say what it is: its values fill" in scan.notes[0]


def test_ge_real_and_imaginary_without_private_elements_say_what_to_do(tmp_path, magnitude):
    for n, part in enumerate(("real", "imag")):
        magnitude.but(part=part, number=5 + n, **STRIPPED).write(tmp_path)
    for ref in find_dicom_scans(tmp_path):
        with pytest.raises(InputError, match=r"phase or real image .*\(0043,102F\).*--phase"):
            ref.load()


def test_two_magnitudes_of_ge_without_private_elements_stay_magnitudes(tmp_path, magnitude):
    for n in range(2):
        magnitude.but(number=5 + n, time=f"10{n}010", **STRIPPED).write(tmp_path)
    for ref in find_dicom_scans(tmp_path):
        assert ref.load().echoes.phase_rad is None


def test_a_dicom_scan_is_checked_by_its_headers(tmp_path, magnitude):
    def no_time(ds, echo, k):
        del ds.EchoTime

    magnitude.write(tmp_path / "good")
    only(tmp_path / "good").check()
    magnitude.but(edit=no_time, te_ms=(10.0,)).write(tmp_path / "bad")
    with pytest.raises(FileError, match="EchoTime is missing"):
        only(tmp_path / "bad").check()


def test_private_blocks_moved_by_an_archive_are_found(tmp_path, magnitude, true_to_place):
    """Somebody else's block came first: GE's raw data type lies at (0043,112F)."""

    def moved(code):
        def edit(ds, echo, k):
            ds.private_block(0x0043, "SOMEBODY", create=True).add_new(0x2F, "SS", 0)
            ge(code)(ds, echo, k)
            assert 0x0043112F in ds

        return edit

    plain = magnitude.but(
        manufacturer="GE MEDICAL SYSTEMS", uid="1.2.9", tokens=("ORIGINAL", "PRIMARY", "OTHER")
    )
    plain.but(part="real", edit=moved(2), letter="r").write(tmp_path)
    plain.but(part="imag", edit=moved(3), letter="i").write(tmp_path)
    true_to_place(only(tmp_path).load(), tolerance_rad=2e-3)


@pytest.mark.parametrize("words", [("DERIVED", "SECONDARY", "B0 MAP"), ("ORIGINAL", "PRIMARY", "FIELD_MAP"),
                                   ("DERIVED", "PRIMARY", "R2_STAR MAP"), ("ORIGINAL", "PRIMARY", "QSM")])  # fmt: skip
def test_maps_of_the_scanner_are_left_aside(tmp_path, magnitude, phase, true_to_place, words):
    magnitude.write(tmp_path)
    phase.write(tmp_path)
    magnitude.but(number=40, tokens=words, rescale=(0.1, -200.0)).write(tmp_path)
    scan = only(tmp_path).load()
    true_to_place(scan)
    assert any("series 40 left aside" in n for n in scan.notes)


# --- Philips


def test_philips_real_world_values_do_not_count_twice(tmp_path, magnitude, phase, true_to_place):
    """Standard slopes and real world values side by side: the rescale alone is applied."""

    def real_world(ds, echo, k):
        item = Dataset()
        item.RealWorldValueSlope, item.RealWorldValueIntercept = 7.0, 3.0
        ds.RealWorldValueMappingSequence = [item]

    magnitude.but(manufacturer="Philips", edit=real_world).write(tmp_path)
    turn = (6284 / 4095, -3142.0)
    phase.but(
        manufacturer="Philips Medical Systems", edit=real_world, rescale=turn,
        tokens=("ORIGINAL", "PRIMARY", "PHASE MAP", "P", "FFE"),
    ).write(tmp_path)  # fmt: skip
    scan = only(tmp_path).load()
    assert "milliradians" in scan.phase_note
    true_to_place(scan, tolerance_rad=3e-3)


# --- Canon, United Imaging


@pytest.mark.parametrize("maker", ["CANON_MEC", "UIH", "FUJIFILM"])
def test_others_phase_is_read_where_its_range_is_certain(
    tmp_path, magnitude, phase, true_to_place, maker
):
    """Nothing public says how they store it: a range filled to its ends is taken, else asked for."""
    magnitude.but(manufacturer=maker).write(tmp_path / "a")
    phase.but(manufacturer=maker, rescale=(1.0, 0.0)).write(tmp_path / "a")
    true_to_place(only(tmp_path / "a").load())
    magnitude.but(manufacturer=maker).write(tmp_path / "b")
    phase.but(manufacturer=maker, rescale=(0.37, 11.0)).write(tmp_path / "b")
    with pytest.raises(InputError, match="--phase-scale"):
        only(tmp_path / "b").load()


# --- files


def test_one_identifier_for_all_files_loses_none(tmp_path, magnitude, phase, true_to_place):
    def same(ds, echo, k):
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"

    magnitude.but(edit=same).write(tmp_path)
    phase.but(edit=same).write(tmp_path)
    scan = only(tmp_path).load()
    assert len(scan.sources) == 20
    true_to_place(scan)


def test_lossy_compression_is_told(tmp_path, magnitude):
    def lossy(ds, echo, k):
        ds.LossyImageCompression = "01"

    magnitude.but(edit=lossy).write(tmp_path)
    assert any("lossy compression" in n for n in only(tmp_path).load().notes)


def compressed(paths, syntax, encode):
    for path in paths:
        ds = pydicom.dcmread(path)
        ds.PixelData = encapsulate([encode(ds.pixel_array)])
        ds["PixelData"].VR = "OB"
        ds.file_meta.TransferSyntaxUID = syntax
        ds.save_as(path)


def test_jpeg_2000_is_read_by_the_core_install(tmp_path, magnitude, true_to_place):
    from PIL import Image

    def encode(pixels):
        out = io.BytesIO()
        Image.fromarray(pixels).save(
            out, "JPEG2000", irreversible=False, no_jp2=True, num_resolutions=2
        )
        return out.getvalue()

    compressed(magnitude.write(tmp_path), JPEG2000Lossless, encode)
    true_to_place(only(tmp_path).load())


def test_jpeg_lossless_is_read_by_the_codecs(tmp_path, magnitude, true_to_place):
    """What most archives send; the core install has no decoder for it."""
    gdcm = pytest.importorskip("gdcm", reason="no gdcm: pip install 'petechia[codecs]'")
    for path in magnitude.write(tmp_path):
        reader = gdcm.ImageReader()
        reader.SetFileName(str(path))
        assert reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer = gdcm.ImageWriter()
        writer.SetFileName(str(path))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        assert pydicom.dcmread(path).file_meta.TransferSyntaxUID == JPEGLosslessSV1
    true_to_place(only(tmp_path).load())


# --- geometry, by an independent converter


@pytest.mark.parametrize("form", ["classic", "enhanced"])
@pytest.mark.parametrize("vendor", ["siemens", "ge", "philips"])
def test_simulated_files_lie_where_dcm2niix_puts_them(tmp_path, vendor, form):
    dcm2niix = pytest.importorskip("dcm2niix")
    if not Path(dcm2niix.bin).exists():
        pytest.skip("dcm2niix has no binary here")
    rng = np.random.default_rng(4)
    shape = (23, 19, 11)
    affine = np.eye(4)
    affine[:3, :3] = nib.eulerangles.euler2mat(z=0.2, y=-0.1, x=0.4) * (0.9, 1.1, 1.7)
    affine[:3, 3] = (-11.0, 6.0, 3.0)
    echoes = Echoes(
        magnitude=rng.uniform(100, 900, (1, *shape)).astype(np.float32),
        phase_rad=rng.uniform(-3, 3, (1, *shape)).astype(np.float32),
        te_s=(0.02,), b0_t=3.0, grid=Grid(shape, affine),
    )  # fmt: skip
    write_dicom(tmp_path / "dcm", echoes, replace(Header(), acquisition_type="3D"),
                DicomStyle(form=form, vendor=vendor))  # fmt: skip
    ours = only(tmp_path / "dcm").load().echoes
    (tmp_path / "nii").mkdir()
    done = subprocess.run(
        [dcm2niix.bin, "-b", "n", "-z", "n", "-f", "%s_%d_%e", "-o", tmp_path / "nii", tmp_path / "dcm"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    files = sorted((tmp_path / "nii").glob("*.nii"))
    assert files, done.stdout
    image = nib.load(files[0])  # GE: magnitude too, before real and imaginary
    index = np.stack(np.indices(shape), axis=-1)
    there = nib.affines.apply_affine(np.linalg.inv(image.affine), ours.grid.to_mm(index))
    assert np.abs(there - np.rint(there)).max() < 0.01
    assert image.shape == shape
    if form == "enhanced":  # it reads our slope of 1 in every frame as slopes that vary, wrongly
        return
    nearest = tuple(np.moveaxis(np.rint(there).astype(int), -1, 0))
    values, own = (
        np.asarray(image.dataobj, dtype=np.float64)[nearest].ravel(),
        ours.magnitude[0].ravel(),
    )
    assert np.abs(values / (values @ own / (own @ own)) - own).max() < 1.5


@pytest.mark.parametrize("sign", [1, -1])
def test_ge_phase_that_alternates_between_slices_is_mended(
    tmp_path, magnitude, phase, true_to_place, sign
):
    def alternating(ds, echo, k):
        ge(1)(ds, echo, k)
        stored = np.frombuffer(ds.PixelData, "<u2").astype(float) * 2 * np.pi / 4096 - np.pi
        chopped = np.angle(np.exp(1j * (stored + sign * np.pi * k)))
        ds.PixelData = np.rint(1000 * chopped).astype("<i2").tobytes()
        ds.PixelRepresentation = 1
        del ds.RescaleSlope, ds.RescaleIntercept

    plain = {"manufacturer": "GE MEDICAL SYSTEMS", "tokens": ("ORIGINAL", "PRIMARY", "OTHER")}
    magnitude.but(edit=ge(0), **plain).write(tmp_path)
    phase.but(edit=alternating, **plain).write(tmp_path)
    scan = only(tmp_path).load()
    assert "alternating between slices undone" in scan.phase_note
    true_to_place(scan, tolerance_rad=4e-3)
