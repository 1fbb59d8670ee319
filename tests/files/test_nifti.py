import gzip
import re

import nibabel as nib
import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.errors import FileError, GridMismatchError, InputError, MetadataError
from petechia.files.nifti import (
    look_at_nifti,
    read_geometry,
    read_mask,
    read_nifti,
    read_on_grid,
    require_same_grid,
    sha256_of,
)

AFFINE = np.array([[-0.7, 0.1, 0, 3], [0.1, 0.7, 0, -4], [0, 0, 2.0, 5], [0, 0, 0, 1]])


def save(path, array, affine=AFFINE, **changes):
    image = nib.Nifti1Image(array, affine)
    nib.save(image, path)
    if changes:  # nibabel repairs what we want broken: write into the bytes
        opener = gzip.open if path.name.endswith(".gz") else open
        with opener(path, "rb") as f:
            raw = f.read()
        header = nib.Nifti1Header(raw[:348])
        for key, value in changes.items():
            header[key] = value
        with opener(path, "wb") as f:
            f.write(header.binaryblock + raw[348:])
    return path


@pytest.fixture
def volume():
    return np.random.default_rng(1).normal(size=(5, 7, 3)).astype(np.float32)


def test_a_volume_keeps_values_affine_and_hash(tmp_path, volume):
    path = save(tmp_path / "a.nii.gz", volume)
    read = read_nifti(path)
    assert np.array_equal(read.only, volume)
    assert read.frames.dtype == np.float32
    assert np.array_equal(read.grid.affine, nib.load(path).affine)
    assert read.sha256 == sha256_of(path)
    assert read.notes == ()


def test_echoes_of_a_4d_file_come_first(tmp_path, volume):
    stack = np.stack([volume, 2 * volume], axis=-1)
    read = read_nifti(save(tmp_path / "a.nii", stack))
    assert read.frames.shape == (2, 5, 7, 3)
    assert np.array_equal(read.frames[1], 2 * volume)
    with pytest.raises(InputError, match="2 volumes where one is needed"):
        _ = read.only


def test_slope_and_intercept_are_applied_and_told(tmp_path):
    stored = np.arange(105, dtype=np.int16).reshape(5, 7, 3)
    path = save(tmp_path / "a.nii", stored, scl_slope=2.0, scl_inter=-4096.0)
    read = read_nifti(path)
    assert np.array_equal(read.only, stored * 2.0 - 4096)
    assert read.rescale == (2.0, -4096.0)


def test_geometry_alone_is_the_same_geometry(tmp_path, volume):
    path = save(tmp_path / "a.nii.gz", np.stack([volume] * 2, axis=-1))
    assert read_geometry(path).shape == (5, 7, 3)
    assert np.array_equal(read_geometry(path).affine, read_nifti(path).grid.affine)


def test_nifti_2_is_read(tmp_path, volume):
    path = tmp_path / "a.nii.gz"
    nib.save(nib.Nifti2Image(volume, AFFINE), path)
    assert np.array_equal(read_nifti(path).grid.affine, AFFINE)


def test_a_missing_orientation_is_only_noted(tmp_path, volume):
    path = save(tmp_path / "a.nii", volume, sform_code=0, qform_code=0, xyzt_units=0)
    read = read_nifti(path)
    assert "main field is taken along its third axis" in read.notes[0]
    assert "left and right are a guess" in read.notes[0]
    assert np.allclose(read.grid.b0_dir, (0, 0, 1))


def test_forms_that_disagree_about_the_sides(tmp_path, volume):
    image = nib.Nifti1Image(volume, AFFINE)
    image.set_qform(AFFINE, 1)
    image.set_sform(AFFINE @ np.diag([-1.0, -1.0, 1.0, 1.0]), 2)
    nib.save(image, tmp_path / "turned.nii")
    (note,) = read_nifti(tmp_path / "turned.nii").notes
    assert "qform and sform of turned.nii disagree about left and right" in note
    image.set_sform(AFFINE @ np.diag([-1.0, 1.0, 1.0, 1.0]), 2)
    nib.save(image, tmp_path / "mirrored.nii")
    with pytest.raises(
        MetadataError, match=r"mirrored\.nii: its qform and sform are mirror images"
    ):
        read_nifti(tmp_path / "mirrored.nii")
    image.set_sform(AFFINE + np.eye(4)[3] * 0.01, 4)
    nib.save(image, tmp_path / "shifted.nii")
    assert read_nifti(tmp_path / "shifted.nii").notes == ()


def test_forms_that_lie_apart_are_told(tmp_path, volume):
    image = nib.Nifti1Image(volume, AFFINE)
    image.set_qform(AFFINE, 1)
    moved = AFFINE.copy()
    moved[0, 3] += 30
    angle = np.deg2rad(10)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    for name, form, far in (("m", moved, "30.0"), ("t", turn @ AFFINE, r"[0-9.]+")):
        image.set_sform(form, 1)
        nib.save(image, tmp_path / f"{name}.nii")
        (note,) = read_nifti(tmp_path / f"{name}.nii").notes
        assert re.fullmatch(
            rf"the qform and sform of {name}\.nii lie up to {far} mm from each other: "
            "the sform is used",
            note,
        )
        assert np.allclose(read_nifti(tmp_path / f"{name}.nii").grid.affine, form, atol=1e-5)


def test_a_look_at_the_header_tells_what_reading_tells(tmp_path, volume):
    path = save(tmp_path / "a.nii.gz", np.stack([volume] * 2, axis=-1))
    look, read = look_at_nifti(path), read_nifti(path)
    assert look.frames.shape == read.frames.shape
    assert look.frames.strides == (0, 0, 0, 0)
    assert np.array_equal(look.grid.affine, read.grid.affine)
    assert (look.rescale, look.notes) == (read.rescale, read.notes)
    flat = save(tmp_path / "f.nii", np.ones((5, 7), np.float32))
    with pytest.raises(InputError, match="neither one volume nor a stack"):
        look_at_nifti(flat)


def test_a_form_that_is_not_coded_says_nothing(tmp_path, volume):
    image = nib.Nifti1Image(volume, AFFINE)
    image.set_qform(AFFINE @ np.diag([-1.0, 1.0, 1.0, 1.0]), 0)
    image.set_sform(AFFINE, 1)
    nib.save(image, tmp_path / "a.nii")
    assert read_nifti(tmp_path / "a.nii").notes == ()


def test_every_cut_of_a_file_is_told(tmp_path, volume):
    whole = save(tmp_path / "a.nii.gz", volume).read_bytes()
    cut = tmp_path / "cut.nii.gz"
    for length in (1, 10, 40, len(whole) // 2, len(whole) - 8, len(whole) - 1):
        cut.write_bytes(whole[:length])
        with pytest.raises(FileError, match=r"cut\.nii\.gz.*Copy or convert it again"):
            read_nifti(cut)
    plain = save(tmp_path / "a.nii", volume)
    plain.write_bytes(plain.read_bytes()[:-5])
    with pytest.raises(FileError, match="truncated or corrupt"):
        read_nifti(plain)


def test_a_flipped_bit_is_caught_by_the_check_sum(tmp_path, volume):
    path = tmp_path / "a.nii.gz"
    with gzip.GzipFile(path, "wb", compresslevel=0) as f:  # stored: the bit changes a voxel only
        f.write(nib.Nifti1Image(volume, AFFINE).to_bytes())
    raw = bytearray(path.read_bytes())
    raw[-60] ^= 1
    path.write_bytes(raw)
    with pytest.raises(FileError, match=r"truncated or corrupt NIfTI \(CRC"):
        read_nifti(path)


def test_what_is_no_nifti_is_told(tmp_path):
    path = tmp_path / "a.nii"
    path.write_bytes(b"hello world" * 100)
    with pytest.raises(FileError, match="not a NIfTI file"):
        read_nifti(path)
    path.write_bytes(b"")
    with pytest.raises(FileError, match="is empty"):
        read_nifti(path)
    with pytest.raises(FileError, match="no such file"):
        read_nifti(tmp_path / "b.nii")
    (tmp_path / "c.nii").symlink_to(tmp_path / "annexed")
    with pytest.raises(FileError, match="datalad get"):
        read_nifti(tmp_path / "c.nii")


def test_not_finite_voxels_are_counted_and_placed(tmp_path, volume):
    volume[1, 2, 0] = np.nan
    volume[4, 6, 2] = np.inf
    path = save(tmp_path / "a.nii", volume)
    with pytest.raises(InputError, match=r"a\.nii: 2 of 105 voxels .* first at \(1, 2, 0\)"):
        read_nifti(path)
    assert np.isnan(read_nifti(path, finite=False).only[1, 2, 0])


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3, 2, 2)])
def test_wrong_dimensions_are_told(tmp_path, shape):
    path = save(tmp_path / "a.nii", np.ones(shape, np.float32))
    with pytest.raises(InputError, match=r"shape .* neither one volume nor a stack"):
        read_nifti(path)


def test_complex_and_coloured_voxels_are_refused(tmp_path):
    path = save(tmp_path / "a.nii", np.ones((5, 7, 3), np.complex64))
    with pytest.raises(InputError, match="complex64, not real numbers"):
        read_nifti(path)


def test_a_degenerate_affine_is_told(tmp_path, volume):
    zero = {key: np.zeros(4) for key in ("srow_x", "srow_y", "srow_z")}
    path = save(tmp_path / "a.nii", volume, **zero)
    with pytest.raises(MetadataError, match="degenerate"):
        read_nifti(path)


def test_voxels_in_metres_are_told(tmp_path, volume):
    path = save(tmp_path / "a.nii", volume, np.diag([7e-3, 7e-3, 7e-3, 1]))
    with pytest.raises(MetadataError, match="must be in millimetres"):
        read_nifti(path)


def test_masks_and_maps_must_lie_on_the_scan(tmp_path):
    path = save(tmp_path / "m.nii.gz", np.ones((5, 7, 3), np.uint8))
    assert read_mask(path, Grid((5, 7, 3), AFFINE)).all()
    with pytest.raises(GridMismatchError, match=r"m\.nii\.gz: shape \(5, 7, 3\) differs"):
        read_mask(path, Grid((5, 7, 4), AFFINE))
    moved = AFFINE.copy()
    moved[0, 3] += 0.5
    with pytest.raises(GridMismatchError, match=r"up to 0\.5 mm"):
        read_on_grid(path, Grid((5, 7, 3), moved))
    empty = save(tmp_path / "e.nii.gz", np.zeros((5, 7, 3), np.uint8))
    with pytest.raises(InputError, match=r"no voxel above 0\.5"):
        read_mask(empty, Grid((5, 7, 3), AFFINE))


def test_rounding_of_an_affine_is_no_mismatch():
    rounded = Grid((5, 7, 3), AFFINE.astype(np.float32))
    require_same_grid(rounded, "a", Grid((5, 7, 3), AFFINE), "b")
