"""A CT from NIfTI and from DICOM: Hounsfield units in their place."""

import warnings

import nibabel as nib
import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from petechia.errors import FileError, MetadataError
from petechia.files.ct import read_ct

N = 12
TILT = np.deg2rad(15)
DOWN = (0.0, np.cos(TILT), np.sin(TILT))


def slices(folder, *, z=None, series="1", change=lambda d, n: None, down=DOWN):
    """Slices of a leaning gantry, whose bed moves along z; pixel value: 100 n + column."""
    folder.mkdir(parents=True, exist_ok=True)
    uid = generate_uid(entropy_srcs=[str(folder), series])
    for n, at in enumerate(np.arange(N) * 5.0 if z is None else z):
        d = Dataset()
        d.file_meta = FileMetaDataset()
        d.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        d.file_meta.MediaStorageSOPClassUID = d.SOPClassUID = CTImageStorage
        d.SOPInstanceUID = generate_uid(entropy_srcs=[str(uid), str(n)])
        d.file_meta.MediaStorageSOPInstanceUID = d.SOPInstanceUID
        d.SeriesInstanceUID, d.SeriesNumber, d.Modality = uid, series, "CT"
        d.PatientID, d.ImageType = "x", ["ORIGINAL", "PRIMARY", "AXIAL"]
        d.Rows, d.Columns, d.PixelSpacing = 6, 4, [0.5, 0.75]
        d.ImageOrientationPatient = [1, 0, 0, *down]
        d.ImagePositionPatient = [-10, -20, float(at)]
        d.SamplesPerPixel, d.PhotometricInterpretation = 1, "MONOCHROME2"
        d.BitsAllocated = d.BitsStored = 16
        d.HighBit, d.PixelRepresentation = 15, 0
        d.RescaleSlope, d.RescaleIntercept = 2, -1024
        pixels = (100 * n + np.arange(4)[None, :] + np.zeros((6, 1))).astype(np.uint16)
        d.PixelData = pixels.tobytes()
        change(d, n)
        d.save_as(folder / f"{series}_{(n * 7) % 50:03d}.dcm", enforce_file_format=True)


def test_dicom_gives_hounsfield_units_on_a_sheared_grid(tmp_path):
    slices(tmp_path)
    hu, grid = read_ct(tmp_path)
    assert grid.shape == (4, 6, N)
    assert hu[2, 3, 7] == 2 * (700 + 2) - 1024
    assert grid.to_mm((0, 0, 0)) == pytest.approx((10, 20, 0))
    assert grid.to_mm((1, 0, 0)) == pytest.approx((10 - 0.75, 20, 0))
    assert grid.to_mm((0, 1, 0)) == pytest.approx((10, 20 - 0.5 * DOWN[1], 0.5 * DOWN[2]))
    assert grid.to_mm((0, 0, 2)) == pytest.approx((10, 20, 10.0))


def test_slices_of_two_distances_come_to_the_smaller_one(tmp_path):
    slices(tmp_path, z=[*np.arange(8) * 2.5, *(17.5 + 5.0 * np.arange(1, 7))], down=(0, 1, 0))
    hu, grid = read_ct(tmp_path)
    assert grid.spacing_mm == pytest.approx((0.75, 0.5, 2.5))
    assert grid.shape[2] == 20
    assert hu[0, 0, 7] == 2 * 700 - 1024
    assert hu[0, 0, 8] == pytest.approx(2 * 750 - 1024)
    assert hu[0, 0, 9] == pytest.approx(2 * 800 - 1024)


def test_the_longest_series_is_taken_and_localizers_are_left_out(tmp_path):
    def localizer(d, n):
        d.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]

    slices(tmp_path, series="1", z=np.arange(40) * 1.0, change=localizer)
    slices(tmp_path, series="2", z=np.arange(9) * 5.0)
    slices(tmp_path, series="3", z=np.arange(14) * 3.0)
    (tmp_path / "notes.txt").write_text("no DICOM")
    assert read_ct(tmp_path)[1].shape[2] == 14


def without(keyword):
    return lambda d, n: d.pop(keyword)


def another(d, n):
    d.PatientID = f"x{n % 2}"


def magnetic(d, n):
    d.Modality = "MR"


@pytest.mark.parametrize(
    ("more", "error", "words"),
    [
        ({"change": without("RescaleSlope")}, MetadataError, "no rescale slope"),
        ({"change": without("ImagePositionPatient")}, MetadataError, "ImagePosition"),
        ({"change": another}, FileError, "more than one patient"),
        ({"change": magnetic}, FileError, "no CT image"),
        ({"z": np.arange(4) * 5.0}, FileError, "4 slices in the longest"),
        ({"z": np.delete(np.arange(14) * 5.0, (4, 5, 9))}, FileError, "some are missing"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_ct_is_refused(tmp_path, more, error, words):
    slices(tmp_path, **more)
    with pytest.raises(error, match=words):
        read_ct(tmp_path)


def test_nifti_is_taken_as_it_is(tmp_path):
    values = np.arange(-1000, 1000, 2, dtype=np.int16)[:960].reshape(8, 10, 12)
    affine = np.diag([0.5, 0.5, 5.0, 1.0])
    affine[1, 2] = 1.2
    nib.save(nib.Nifti1Image(values, affine), tmp_path / "head_ct.nii.gz")
    hu, grid = read_ct(tmp_path / "head_ct.nii.gz")
    assert np.array_equal(hu, values)
    assert grid.affine == pytest.approx(affine)


def test_nothing_to_read_is_said(tmp_path):
    with pytest.raises(FileError, match="no CT image in it"):
        read_ct(tmp_path)


def test_an_unknown_character_set_is_no_warning(tmp_path):
    def odd(d, n):
        d.SpecificCharacterSet = "ISO_IR 999"

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the writer
        slices(tmp_path, change=odd)
    hu, _ = read_ct(tmp_path)  # a warning would be an error here
    assert hu.shape == (4, 6, N)
