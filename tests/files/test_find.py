import json
import os

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.errors import FileError, ParameterError
from petechia.files.find import find_scans, kind_of
from petechia.files.writing import write_nifti

GRID = Grid((3, 4, 5))
FACTS = json.dumps({"EchoTime": 0.02, "MagneticFieldStrength": 3})


def put(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_nifti(path, np.ones(GRID.shape), GRID)
    path.with_suffix("").with_suffix(".json").write_text(FACTS)


def test_subjects_with_nifti_make_a_dataset_without_a_description(tmp_path):
    put(tmp_path / "sub-03" / "anat" / "sub-03_T2starw.nii.gz")
    assert kind_of(tmp_path) == "BIDS"
    (ref,) = find_scans(tmp_path, participants=["sub-03"])
    assert (ref.kind, ref.name.prefix) == ("BIDS", "sub-03")


def test_loose_files_take_the_subject(tmp_path):
    put(tmp_path / "deep" / "gre_5.nii.gz")
    (ref,) = find_scans(tmp_path, subject="9")
    assert (ref.kind, ref.name.prefix) == ("NIfTI", "sub-9")
    assert ref.load().sources[0].path == "deep/gre_5.nii.gz"


def test_anything_else_is_tried_as_dicom(tmp_path):
    (tmp_path / "IM0001").write_bytes(b"x")
    assert kind_of(tmp_path) == "DICOM"
    assert kind_of(tmp_path / "IM0001") == "DICOM"


def test_a_description_alone_is_a_dataset_with_nothing_in_it(tmp_path):
    (tmp_path / "dataset_description.json").write_text("{}")
    with pytest.raises(FileError, match=r"no gradient-echo images.*suffixes found: none at all"):
        find_scans(tmp_path)


def test_nothing_there_says_what_was_looked_for(tmp_path):
    with pytest.raises(FileError, match="no such file or folder; looked for a BIDS dataset"):
        find_scans(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileError, match=r"holds no files; looked for .*DICOM"):
        find_scans(tmp_path)


def test_one_nifti_file_asks_for_more(tmp_path):
    put(tmp_path / "gre.nii.gz")
    with pytest.raises(FileError, match="--mag FILE"):
        find_scans(tmp_path / "gre.nii.gz")


def test_labels_belong_to_datasets_only(tmp_path):
    put(tmp_path / "gre.nii.gz")
    with pytest.raises(ParameterError, match=r"labels 01 for a NIfTI folder.*--subject"):
        find_scans(tmp_path, participants=["01"])


def dicom_like(folder, n):
    folder.mkdir(parents=True, exist_ok=True)
    for name in range(n):
        (folder / f"IM{name}").write_bytes(b"\0" * 128 + b"DICM" + b"\0" * 20)


def test_a_stray_nifti_does_not_hide_dicom(tmp_path, monkeypatch):
    dicom_like(tmp_path, 3)
    put(tmp_path / "derived" / "mask.nii.gz")
    assert kind_of(tmp_path) == "DICOM"
    asked = {}
    monkeypatch.setattr(
        "petechia.files.dicom.find_dicom_scans", lambda place, **options: asked.update(options)
    )
    find_scans(tmp_path)
    assert asked["notes"] == ("1 NIfTI files beside the DICOM left aside",)


def test_as_much_nifti_as_dicom_may_be_either(tmp_path):
    dicom_like(tmp_path, 1)
    put(tmp_path / "gre_5.nii.gz")
    with pytest.raises(FileError, match=r"holds 1 NIfTI and 1 DICOM files: which is the scan\?"):
        kind_of(tmp_path)


def test_linked_folders_are_searched_and_pipes_are_not_opened(tmp_path):
    put(tmp_path / "far" / "gre_5.nii.gz")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path / "far")
    os.mkfifo(tmp_path / "in" / "pipe")
    (ref,) = find_scans(tmp_path / "in")
    assert (ref.kind, ref.load().sources[0].path) == ("NIfTI", "link/gre_5.nii.gz")
    (tmp_path / "in" / "link").unlink()
    with pytest.raises(FileError, match="holds no files but 1 pipes, sockets or devices"):
        find_scans(tmp_path / "in")


def test_echo_times_are_given_only_to_what_does_not_tell_them(tmp_path):
    put(tmp_path / "raw" / "sub-03" / "anat" / "sub-03_T2starw.nii.gz")
    with pytest.raises(ParameterError, match=r'for a BIDS dataset.*"EchoTime".*T2starw\.json'):
        find_scans(tmp_path / "raw", te_s=(0.02,))
    dicom_like(tmp_path / "dicom", 1)
    with pytest.raises(ParameterError, match="for DICOM"):
        find_scans(tmp_path / "dicom", b0_t=3.0)
