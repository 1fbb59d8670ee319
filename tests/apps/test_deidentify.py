"""`petechia deidentify`: places, keys, words."""

import numpy as np
import pydicom
import pytest

from petechia.core.echoes import Echoes
from petechia.core.grid import Grid
from petechia.files.dicom.write import DicomStyle, write_dicom
from petechia.files.nifti import read_mask
from petechia.files.scan import Header
from petechia.files.writing import write_nifti

SHAPE = (24, 30, 20)


@pytest.fixture
def scan(tmp_path):
    """A ball of signal with a name, 8 mm voxels, and a mask of its upper back."""
    grid = Grid.from_spacing(SHAPE, (8.0, 8.0, 8.0))
    x, y, z = np.indices(SHAPE)
    head = (x - 12) ** 2 + (y - 15) ** 2 + 2 * (z - 10) ** 2 < 110
    brain = (x - 12) ** 2 + (y - 14) ** 2 + 2 * (z - 12) ** 2 < 50
    echoes = Echoes(
        magnitude=(500.0 * head)[None].astype(np.float32),
        phase_rad=np.random.default_rng(1).uniform(-3, 3, (1, *SHAPE)).astype(np.float32),
        te_s=(0.02,), b0_t=3.0, grid=grid,
    )  # fmt: skip
    for path in write_dicom(tmp_path / "scan", echoes, Header(), DicomStyle()):
        dataset = pydicom.dcmread(path)
        dataset.PatientName = dataset.PatientID = "SECRET^PERSON"
        dataset.save_as(path)
    write_nifti(tmp_path / "brain.nii.gz", brain, grid)
    return tmp_path / "scan"


def test_a_folder_without_the_person_and_a_key_that_is_kept(petechia, scan, tmp_path):
    key = tmp_path / "key"
    said = petechia("deidentify", scan, tmp_path / "one", "--secret", key)
    assert said.code == 0, said.err
    assert "40 files written" in said.out
    assert "no name, number or identifier of the source was found" in said.out
    assert "the face may be seen (40 files)" in said.out
    assert "SECRET" not in said.out + said.err
    assert key.stat().st_mode & 0o077 == 0
    assert len(key.read_bytes().strip()) == 64
    assert petechia("deidentify", scan, tmp_path / "two", "--secret", key).code == 0
    names = [sorted(p.name for p in (tmp_path / n).rglob("*.dcm")) for n in ("one", "two")]
    assert names[0] == names[1]
    assert petechia("deidentify", scan, tmp_path / "three").code == 0
    assert sorted(p.name for p in (tmp_path / "three").rglob("*.dcm")) != names[0]
    said = petechia("deidentify", tmp_path / "one", "--check")
    assert said.code == 0
    assert "40 DICOM files" in said.out
    assert "LEFT" not in said.out
    said = petechia("deidentify", scan, "--check")
    assert said.code == 2
    assert "LEFT: PatientName" in said.out


def test_a_name_that_would_stay_and_several_people_are_told(petechia, scan, tmp_path):
    first, second, *_ = sorted(scan.glob("*.dcm"))
    dataset = pydicom.dcmread(first)
    dataset.SequenceName = "secret"
    dataset.save_as(first)
    dataset = pydicom.dcmread(second)
    dataset.PatientID = dataset.PatientName = "OTHER^ONE"
    dataset.save_as(second)
    said = petechia("deidentify", scan, tmp_path / "out")
    assert said.code == 2
    assert "39 files written" in said.out
    assert "2 people by number or name" in said.out
    assert "left out: 1 SequenceName would still hold the source's PatientName" in said.out
    assert "1 files were not written" in said.err
    assert "SECRET^PERSON" not in said.out + said.err
    assert "OTHER" not in said.out + said.err


def test_the_face_is_blanked_and_the_brain_is_not(petechia, scan, tmp_path):
    said = petechia("deidentify", scan, tmp_path / "out", "--deface", "--mask", tmp_path / "brain.nii.gz")  # fmt: skip
    assert said.code == 0, said.err
    assert "40 of them MR images whose face was blanked" in said.out
    from petechia.files.dicom import find_dicom_scans

    before, after = (find_dicom_scans(p)[0].load().echoes for p in (scan, tmp_path / "out"))
    brain = read_mask(tmp_path / "brain.nii.gz", before.grid)
    np.testing.assert_array_equal(after.magnitude[:, brain], before.magnitude[:, brain])
    gone = (before.magnitude[0] > 0) & (after.magnitude[0] == 0)
    assert gone.sum() > 100
    place = np.argwhere(gone).mean(0) - np.argwhere(brain).mean(0)
    assert place[1] > 0 > place[2]  # in front and below


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("scan", "scan"), "results would lie in the folder of the input"),
        (("scan", "scan/inside"), "lies inside the input"),
        (("scan", "full"), "there is something already"),
        (("scan",), "OUTPUT is missing"),
        (("nowhere", "out"), "no such file or folder"),
        (("scan", "out", "--secret", "out/key"), "would travel with the files"),
        (("scan", "out", "--secret", "short"), "can be guessed"),
        (("scan", "out", "--mask", "brain.nii.gz"), "without --deface"),
        (("full", "out"), "nothing to write"),
    ],
)
def test_what_cannot_be_is_told(petechia, scan, tmp_path, words, says):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a.txt").write_text("a")
    (tmp_path / "short").write_text("abc")
    said = petechia("deidentify", *(w if w.startswith("--") else tmp_path / w for w in words))
    assert said.code == 2
    assert says in said.err
    assert not (tmp_path / "out").exists()
