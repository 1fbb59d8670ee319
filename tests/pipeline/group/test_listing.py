"""Every part of the program takes the same scans for finished and for failed, in one order."""

import json

import pytest

from petechia.apps.cli import dicom
from petechia.errors import FileError, ParameterError
from petechia.files.contract import contract, ending
from petechia.pipeline import follow
from petechia.pipeline.group.scans import read_scans
from petechia.pipeline.listing import standing_of
from petechia.pipeline.review.cases import ReviewFolder
from petechia.pipeline.tree import finish_tree


@pytest.fixture
def output(make, tmp_path):
    """Three sessions of one person; the second one's run was tried again, and failed."""
    out = make.write(tmp_path / "out", [make.scan(make.name("01", s)) for s in ("1", "2", "10")])
    make.crash(out, "sub-01_ses-2")
    make.crash(out, "sub-02", "no phase")
    return out


def test_every_scan_stands_once_in_natural_order(output):
    there = standing_of(output)
    assert {scan: stands.failed for scan, stands in there.items()} == {
        "sub-01_ses-1": False, "sub-01_ses-2": True, "sub-01_ses-10": False, "sub-02": True,
    }  # fmt: skip
    assert list(there) == ["sub-01_ses-1", "sub-01_ses-2", "sub-01_ses-10", "sub-02"]
    folders = [stands.told_in.relative_to(output).parts[0] for stands in there.values()]
    assert folders == ["sub-01", "logs", "sub-01", "logs"]
    assert standing_of(output / "nowhere") == {}


def test_a_scan_that_failed_after_it_had_finished_failed_everywhere(output):
    finish_tree(output)
    assert (output / "index.html").read_text("utf-8").count("a truncated file") == 1
    status = {row.prefix: row.status for row in read_scans(output)}
    assert status["sub-01_ses-2"] == "failed"
    folder = ReviewFolder(output)
    problems = {scan: listed.problem for scan, listed in folder.listed().items()}
    assert problems == {
        "sub-01_ses-1": "", "sub-01_ses-2": "a truncated file", "sub-01_ses-10": "",
        "sub-02": "no phase",
    }  # fmt: skip
    for read in (folder.case, folder.told):
        with pytest.raises(FileError, match=r"ses-2: its last run failed: a truncated file"):
            read("sub-01_ses-2")
    assert folder.prior("sub-01_ses-10") == "sub-01_ses-1"
    person = follow._people(folder)["01"]
    assert [one.session for (one,) in person.sessions] == ["1", "10"]
    assert person.notes == ("ses-2 is left out: its scan did not finish",)
    with pytest.raises(ParameterError, match=r"one of sub-01_ses-1, sub-01_ses-10\."):
        dicom._scan(output, "sub-01_ses-2")


def test_a_failed_export_leaves_a_scan_finished_wherever_its_results_lie(output):
    for scan in ("sub-01_ses-2", "sub-02"):  # the latter has no results that were exported
        told = {"scan": scan, "stage": "dicom", "message": "no frame of reference"}
        (output / "logs" / f"{scan}_crash.json").write_text(json.dumps(told))
    says = "Its export to DICOM failed: no frame of reference"
    there = standing_of(output)
    assert {scan: (stands.failed, stands.says) for scan, stands in there.items()} == {
        "sub-01_ses-1": (False, ""), "sub-01_ses-2": (False, says), "sub-01_ses-10": (False, ""),
        "sub-02": (True, ""),
    }  # fmt: skip
    finish_tree(output)
    assert (output / "index.html").read_text("utf-8").count(says) == 1
    assert {row.prefix: row.status for row in read_scans(output)}["sub-01_ses-2"] == "assessed"
    folder = ReviewFolder(output)
    listed = folder.listed()
    assert [one.warning for one in listed.values()] == ["", says, "", ""]
    assert listed["sub-02"].problem == "no frame of reference"
    assert folder.told("sub-01_ses-2")
    assert dicom._scan(output, "sub-01_ses-2") == "sub-01_ses-2"


@pytest.mark.parametrize("text", ["", "[]", "{", '{"stage": ["dicom"]}', '{"message": 3}'])
def test_a_crash_file_that_cannot_be_understood_is_of_a_failed_run(output, text):
    (output / "logs" / "sub-01_ses-2_crash.json").write_text(text)
    assert standing_of(output)["sub-01_ses-2"].failed
    assert ReviewFolder(output).listed()["sub-01_ses-2"].problem == "its run failed"


def test_where_all_failed_nothing_is_finished(make, tmp_path):
    out = make.write(tmp_path / "out", [make.scan(make.name("01"))])
    make.crash(out, "sub-01")
    with pytest.raises(FileError, match=r"no finished scan: the last run of sub-01 failed"):
        dicom._scan(out, None)


def test_the_exam_before_is_that_of_the_date_before(output, tmp_path):
    images = tmp_path / "raw"
    (images / "sub-01").mkdir(parents=True)
    (images / "sub-01" / "sub-01_sessions.tsv").write_text(
        "session_id\tacq_time\nses-1\t2021-01-01\nses-10\t2020-01-01\n"
    )
    folder = ReviewFolder(output, images)
    assert folder.prior("sub-01_ses-1") == "sub-01_ses-10"
    assert folder.prior("sub-01_ses-10") is None
    assert folder.prior("sub-01_ses-2") is None


def test_endings_are_those_of_the_contract():
    assert ending(contract().file("summary").name) == "_desc-petechia_summary.json"
    assert ending(contract().file("crash").name) == "_crash.json"


def test_a_folder_that_may_not_be_listed_is_told(make, tmp_path, monkeypatch):
    import os

    out = make.write(tmp_path / "out", [make.scan(make.name("01")), make.scan(make.name("02"))])
    listing = os.scandir

    def refused(folder):
        if str(getattr(folder, "path", folder)).endswith("sub-02/anat"):
            raise PermissionError(13, "Permission denied", str(folder))
        return listing(folder)

    monkeypatch.setattr(os, "scandir", refused)
    assert list(standing_of(out)) == ["sub-01"]
    with pytest.raises(FileError, match=r"sub-02/anat: cannot be read \(Permission denied\)"):
        read_scans(out)
