import errno
import json
import resource
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import nibabel as nib
import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.errors import GridMismatchError, InputError, OutputError
from petechia.files import writing

AFFINE = np.array([[-0.7, 0.1, 0, 3.3], [0.1, 0.7, 0, -4], [0, 0, 2.0, 5], [0, 0, 0, 1]])
GRID = Grid((5, 7, 4), AFFINE)


def header_of(affine, sform, qform):
    image = nib.Nifti1Image(np.zeros(GRID.shape, np.int16), affine)
    image.set_sform(affine, code=sform)
    image.set_qform(affine, code=qform)
    return nib.Nifti1Image.from_bytes(image.to_bytes()).header


def test_values_come_back(tmp_path):
    array = np.random.default_rng(0).normal(size=GRID.shape).astype(np.float32)
    writing.write_nifti(tmp_path / "a.nii.gz", array, GRID)
    back = nib.load(tmp_path / "a.nii.gz")
    assert np.array_equal(back.get_fdata(dtype=np.float32), array)
    assert back.get_data_dtype() == np.float32
    assert np.allclose(back.affine, AFFINE, atol=1e-6)
    assert back.header.get_xyzt_units() == ("mm", "sec")
    assert back.get_qform(coded=True)[1] == 1


@pytest.mark.parametrize(("sform", "qform"), [(1, 1), (2, 0), (0, 1), (4, 2), (0, 0)])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_the_affine_is_kept_to_the_last_bit(tmp_path, sform, qform, kind):
    # a rotation of odd digits, so that float32 and quaternions both round
    c, s = np.cos(0.4321), np.sin(0.4321)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) * (0.9, 1.1, 1.7)
    affine[:3, 3] = (-81.123456789, 70.1, -3.3)
    source = kind(np.zeros(GRID.shape, np.int16), affine)
    source.set_sform(affine, code=sform)
    source.set_qform(affine, code=qform)
    nib.save(source, tmp_path / "source.nii")
    read = nib.load(tmp_path / "source.nii")
    grid = Grid(GRID.shape, read.affine)
    writing.write_nifti(tmp_path / "a.nii.gz", np.ones(GRID.shape), grid, read.header)
    back = nib.load(tmp_path / "a.nii.gz")
    assert np.array_equal(back.affine, read.affine)
    assert (int(back.header["sform_code"]), int(back.header["qform_code"])) == (sform, qform)


def test_a_big_endian_header_is_kept_too(tmp_path):
    swapped = header_of(AFFINE, 1, 1).as_byteswapped(">")
    grid = Grid(GRID.shape, swapped.get_best_affine())
    writing.write_nifti(tmp_path / "a.nii", np.ones(GRID.shape), grid, swapped)
    assert np.array_equal(nib.load(tmp_path / "a.nii").affine, grid.affine)
    assert nib.load(tmp_path / "a.nii").get_fdata().max() == 1


def test_a_header_of_another_place_is_refused(tmp_path):
    other = header_of(np.diag([1.0, 1, 1, 1]), 1, 1)
    with pytest.raises(GridMismatchError, match=r"a\.nii: the header's affine"):
        writing.write_nifti(tmp_path / "a.nii", np.ones(GRID.shape), GRID, other)
    assert list(tmp_path.iterdir()) == []


def test_a_stack_becomes_4d(tmp_path):
    stack = np.random.default_rng(0).normal(size=(3, *GRID.shape)).astype(np.float32)
    writing.write_nifti(tmp_path / "a.nii.gz", stack, GRID)
    back = nib.load(tmp_path / "a.nii.gz")
    assert np.array_equal(np.moveaxis(back.get_fdata(dtype=np.float32), -1, 0), stack)


@pytest.mark.parametrize(
    ("array", "stored"),
    [
        (np.ones(GRID.shape, bool), np.uint8),
        (np.full(GRID.shape, 255), np.uint8),
        (np.full(GRID.shape, 256), np.int16),
        (np.full(GRID.shape, -1), np.int16),
        (np.full(GRID.shape, 40000), np.int32),
        (np.ones(GRID.shape, np.float64), np.float32),
    ],
)
def test_the_stored_type_is_the_smallest_that_holds_it(tmp_path, array, stored):
    writing.write_nifti(tmp_path / "a.nii", array, GRID)
    back = nib.load(tmp_path / "a.nii")
    assert back.get_data_dtype() == stored
    assert np.array_equal(np.asarray(back.dataobj), array)


def test_the_same_volume_gives_the_same_bytes(tmp_path):
    array = np.random.default_rng(0).normal(size=GRID.shape)
    writing.write_nifti(tmp_path / "a.nii.gz", array, GRID)
    writing.write_nifti(tmp_path / "b.nii.gz", array, GRID)
    raw = (tmp_path / "a.nii.gz").read_bytes()
    assert raw == (tmp_path / "b.nii.gz").read_bytes()
    assert raw[4:8] == bytes(4)  # no time in it


def test_values_that_are_not_finite_are_not_written(tmp_path):
    with pytest.raises(InputError, match="not finite"):
        writing.write_nifti(tmp_path / "a.nii", np.full(GRID.shape, np.nan), GRID)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing_behind(tmp_path):
    noise = np.random.default_rng(0).normal(size=(40, 40, 40))
    (tmp_path / "a.nii.gz").write_text("the result of an earlier run")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
    try:
        with pytest.raises(OutputError, match=r"a\.nii\.gz: cannot be written .*Make room"):
            writing.write_nifti(tmp_path / "a.nii.gz", noise, Grid((40, 40, 40)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [p.name for p in tmp_path.iterdir()] == ["a.nii.gz"]
    assert (tmp_path / "a.nii.gz").read_text() == "the result of an earlier run"


@pytest.mark.parametrize(
    ("number", "mend"),
    [
        (errno.ENOSPC, "Make room"),
        (errno.EDQUOT, "Make room"),
        (errno.EACCES, "you may write to"),
        (errno.EROFS, "you may write to"),
        (errno.ENOTDIR, "has that name"),
        (errno.EIO, "Check the output folder"),
    ],
)
def test_each_failure_teaches_its_mend(number, mend):
    error = writing.output_error(OSError(number, "because"), Path("out/a.tsv"))
    assert str(error).startswith("out/a.tsv: cannot be written (because)")
    assert mend in error.mend


def test_an_error_of_the_writer_itself_leaves_no_file(tmp_path):
    def fail():
        with writing.whole_file(tmp_path / "a.txt") as stream:
            stream.write(b"half")
            raise KeyError("stop")

    with pytest.raises(KeyError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_of_a_folder_is_told(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="has that name"):
        writing.write_text(tmp_path / "out" / "a.txt", "x")
    with pytest.raises(OutputError, match="has that name"):
        writing.make_folder(tmp_path / "out")


def test_json_holds_plain_values_and_no_places(tmp_path):
    @dataclass
    class Settings:
        a: float = float("inf")

    data = {
        "x": np.float32(0.5),
        "y": np.arange(3),
        "nan": float("nan"),
        "path": PurePosixPath("/home/someone/mask.nii.gz"),
        "text": "read /home/data/mask.nii.gz, and doi https://doi.org/10.1002/mrm.1 in 1/s",
        "settings": Settings(),
        "set": {2, 1},
    }
    writing.write_json(tmp_path / "a.json", data)
    assert json.loads((tmp_path / "a.json").read_text()) == {
        "x": 0.5,
        "y": [0, 1, 2],
        "nan": None,
        "path": "mask.nii.gz",
        "text": "read mask.nii.gz, and doi https://doi.org/10.1002/mrm.1 in 1/s",
        "settings": {"a": None},
        "set": [1, 2],
    }


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ('File "/home/me/x/run.py", line 3', 'File "run.py", line 3'),
        ("'/tmp/a b/c.nii'", "'a b/c.nii'"),
        (r"C:\Users\me\a.nii lost", "a.nii lost"),
        ("bids:raw:sub-01/anat/sub-01_T2starw.nii.gz", None),
        ("and/or, 1/s, ppm mm3 / voxel, </b></i>", None),
        ("../..", None),
    ],
)
def test_places_are_cut_and_nothing_else(text, kept):
    assert writing.without_places(text) == (text if kept is None else kept)


def test_a_table_has_no_holes(tmp_path):
    rows = [
        {"a": 1, "b": 0.123456789, "c": "x\ty\nz"},
        {"a": np.float32(np.nan), "b": True, "c": ""},
        {"b": 1e-12},
    ]
    writing.write_table(tmp_path / "a.tsv", rows, ["a", "b", "c"])
    assert (tmp_path / "a.tsv").read_text().splitlines() == [
        "a\tb\tc",
        "1\t0.1234568\tx y z",
        "n/a\t1\tn/a",
        "n/a\t1e-12\tn/a",
    ]
    writing.write_table(tmp_path / "b.tsv", [], ["a", "b"])
    assert (tmp_path / "b.tsv").read_text() == "a\tb\n"
