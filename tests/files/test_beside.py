"""What lies beside a gradient echo is found, of its own session only."""

import nibabel as nib
import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.errors import FileError, InputError
from petechia.files.beside import find_beside, read_segmentation
from petechia.files.find import find_scans
from petechia.files.scan import ScanName
from petechia.files.writing import write_json, write_nifti

NAME = ScanName((("sub", "01"), ("ses", "a"), ("run", "1")))
GRID = Grid.from_spacing((4, 5, 6), (1.0, 1.0, 2.0))


def touch(place):
    place.parent.mkdir(parents=True, exist_ok=True)
    place.touch()
    return place


def test_only_the_same_subject_and_session_counts(tmp_path):
    own = touch(tmp_path / "sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz")
    touch(tmp_path / "sub-01/ses-a/anat/sub-01_ses-a_part-phase_T1w.nii.gz")
    touch(tmp_path / "sub-01/ses-b/anat/sub-01_ses-b_T2w.nii.gz")
    touch(tmp_path / "sub-02/ses-a/anat/sub-02_ses-a_T2w.nii.gz")
    touch(tmp_path / "derivatives/freesurfer/sub-01_ses-b/mri/aparc+aseg.mgz")
    found = find_beside(tmp_path, NAME)
    assert (found.t1w, found.t2w, found.segmentation) == (own, None, None)
    assert found.sources == (own,)


def test_freesurfers_folder_comes_before_a_dseg_and_dkt_before_aparc(tmp_path):
    anat = tmp_path / "derivatives/fmriprep/sub-01/ses-a/anat"
    dseg = touch(anat / "sub-01_ses-a_desc-aparcaseg_dseg.nii.gz")
    touch(anat / "sub-01_ses-a_desc-regions_dseg.nii.gz")  # petechia's own
    touch(anat / "sub-01_ses-a_dseg.nii.gz")  # tissue classes
    touch(anat / "sub-01_ses-a_space-MNI152_desc-aseg_dseg.nii.gz")
    assert find_beside(tmp_path, NAME).segmentation == dseg
    mri = tmp_path / "derivatives/freesurfer/sub-01_ses-a/mri"
    plain = touch(mri / "aparc+aseg.mgz")
    assert find_beside(tmp_path, NAME).segmentation == plain
    assert find_beside(tmp_path, NAME).segmentation == plain
    dkt = touch(mri / "aparc.DKTatlas+aseg.mgz")
    assert find_beside(tmp_path, NAME).segmentation == dkt


def test_a_dataset_hands_it_on_with_the_scan(tmp_path):
    write_json(tmp_path / "dataset_description.json", {"Name": "x", "BIDSVersion": "1.9.0"})
    anat = tmp_path / "sub-01" / "anat"
    anat.mkdir(parents=True)
    write_nifti(anat / "sub-01_T2starw.nii.gz", np.ones(GRID.shape, np.float32), GRID)
    t1w = touch(anat / "sub-01_acq-mprage_T1w.nii.gz")
    (ref,) = find_scans(tmp_path)
    assert ref.beside.t1w == t1w
    assert ref.beside.segmentation is None


@pytest.mark.parametrize("kind", ["mgz", "nii.gz"])
def test_labels_and_geometry_are_read(tmp_path, kind):
    labels = np.arange(120).reshape(GRID.shape).astype(np.int32) * 20
    affine = np.array([[-1.0, 0, 0, 30], [0, 0, 1, -20], [0, -1, 0, 40], [0, 0, 0, 1]])
    path = tmp_path / f"aparc+aseg.{kind}"
    image = nib.MGHImage if kind == "mgz" else nib.Nifti1Image
    nib.save(image(labels, affine), path)
    found, grid = read_segmentation(path)
    np.testing.assert_array_equal(found, labels)
    np.testing.assert_allclose(grid.affine, affine, atol=1e-5)


def test_what_is_no_segmentation_is_named(tmp_path):
    write_nifti(tmp_path / "half.nii.gz", np.full(GRID.shape, 0.5, np.float32), GRID)
    with pytest.raises(InputError, match="whole numbers"):
        read_segmentation(tmp_path / "half.nii.gz")
    (tmp_path / "broken.mgz").write_bytes(b"no")
    with pytest.raises(FileError, match="cannot be read"):
        read_segmentation(tmp_path / "broken.mgz")


def test_a_flair_of_the_same_session_is_found(tmp_path):
    anat = tmp_path / NAME.folder
    anat.mkdir(parents=True)
    own = anat / f"{NAME.prefix}_FLAIR.nii.gz"
    own.touch()
    (anat / f"{NAME.prefix}_desc-x_FLAIR.json").touch()
    found = find_beside(tmp_path, NAME)
    assert found.flair == own
    assert own in found.sources
