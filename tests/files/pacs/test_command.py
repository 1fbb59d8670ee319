"""`petechia pacs` as it is typed."""

import sys

import pydicom
import pytest
from pydicom.uid import generate_uid

from petechia.apps.cli.pacs import RESULTS

pytestmark = pytest.mark.xdist_group("orthanc")


@pytest.fixture
def pacs(petechia):
    """Call `petechia pacs` without waits."""

    def call(*words):
        return petechia("pacs", *words, "--retries", "0")

    return call


def test_a_study_goes_there_is_found_and_comes_back(
    pacs, petechia, orthanc, environment, study, tmp_path
):
    one = study(101)
    said = pacs("push", orthanc.web, one.folder)
    assert (said.code, said.out, said.err) == (0, "8 DICOM files: 8 sent, 0 were there\n", "")
    said = pacs("find", orthanc.web, "--accession", "ACC101")
    assert said.code == 0
    assert said.out.splitlines()[0].startswith(f"study {one.study}  20000101  MR ")
    assert len(said.out.splitlines()) == 3
    assert "SECRET" not in said.out
    back = tmp_path / "back"
    said = pacs("pull", orthanc.dimse, back, "--study", one.study)
    assert said.code == 0
    assert said.out.startswith(f"8 objects in {back}: 8 fetched")
    said = petechia("run", back, tmp_path / "out", "--dry-run")
    assert (said.code, said.out[:12]) == (0, "sub-01  DICO")
    said = pacs("--study", one.study, "pull", orthanc.web, back)  # options first, the other way
    assert (said.code, said.out) == (0, f"8 objects in {back}: 0 fetched (0.0 MB), 8 were there\n")


def test_what_was_not_sent_is_named_and_is_no_success(pacs, orthanc, environment, study):
    one = study(102)
    (one.folder / "x.txt").write_text("x")
    one.files[0].write_bytes(one.files[0].read_bytes()[:-5])
    said = pacs("push", orthanc.web, one.folder)
    assert (said.code, said.out) == (
        2, "8 DICOM files: 7 sent, 0 were there, 1 other files left out\n".replace("8", "7", 1),
    )  # fmt: skip
    name = one.files[0].relative_to(one.folder).as_posix()
    assert said.err.startswith(f"not sent: {name}: is cut off within its pixels\nerror: 1 files")


@pytest.fixture
def stand_in(monkeypatch):
    """A run that takes a moment: it leaves two DICOM results, or fails."""
    code = [0]

    def run(args) -> int:
        place = args.output / RESULTS / "sub-01"
        place.mkdir(parents=True, exist_ok=True)
        source = next(iter(sorted(args.input.rglob("*.dcm"))))
        for n in (1, 2):
            if code[0] == 0 and not (place / f"{n}.dcm").exists():
                dataset = pydicom.dcmread(source)
                dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = (
                    generate_uid()
                )
                dataset.SeriesInstanceUID = "1.2.3.4"
                dataset.save_as(place / f"{n}.dcm")
        return code[0]

    monkeypatch.setattr("petechia.apps.cli.run.run", run)
    return code


@pytest.mark.parametrize("way", ["web", "dimse"])
def test_one_command_pulls_runs_and_pushes_and_goes_on_where_it_was(
    pacs, orthanc, environment, study, tmp_path, stand_in, way
):
    one = study(103 if way == "web" else 104)
    pacs("push", orthanc.web, one.folder)
    words = ["process", getattr(orthanc, way), tmp_path / "in", tmp_path / "out", "--study"]
    stand_in[0] = 3
    said = pacs(*words, one.study)
    assert said.code == 3
    assert "8 fetched" in said.out
    assert "nothing was sent" in said.err
    assert orthanc.stored(one.study) == one.sops
    stand_in[0] = 0
    said = pacs(*words, one.study)
    assert said.code == 0
    assert "0 fetched" in said.out
    assert "2 DICOM files: 2 sent, 0 were there" in said.out
    assert len(orthanc.stored(one.study) - one.sops) == 2
    said = pacs(*words, one.study)
    assert "8 objects" in said.out  # its own results, now in that study, are not pulled
    assert "2 DICOM files: 0 sent, 2 were there" in said.out
    for n in (2, 4):  # other settings give other results; those of before are not pulled either
        for file in (tmp_path / "out").rglob("*.dcm"):
            file.unlink()
        said = pacs(*words, one.study)
        assert "8 objects" in said.out
        assert "2 DICOM files: 2 sent, 0 were there" in said.out
        assert len(orthanc.stored(one.study) - one.sops) == n + 2


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("fetch", "https://h"), "'fetch' is none of find, pull, push, process"),
        (("pull", "https://h"), "0 folders were given. Write: petechia pacs pull WHERE DEST"),
        (("push", "https://h"), "0 folders"),
        (("process", "https://h", "a"), "1 folders"),
        (("find", "https://h", "a", "--study", "1.2"), "1 folders"),
        (("pull", "https://h", "a"), "no study is named"),
        (("pull", "https://h", "a", "--study", "x"), "is no UID"),
        (("pull", "https://h", "a", "--study", "1.2", "--series", "1.3,y"), "--series: 'y' is no"),
        (("pull", "http://h", "a", "--study", "1.2"), "--insecure"),
        (("pull", "https://h", "a", "--study", "1.2", "--timeout", "0"), "not a time"),
        (("pull", "https://h", "a", "--study", "1.2", "--aet", "a\\b"), "--aet"),
        (("pull", "dimse://A@localhost", "a", "--study", "1.2", "--listen", "x"), "--listen"),
        (("pull", "dimse://A@localhost", "a", "--study", "1", "--listen", "104"), "--insecure if"),
        (
            ("pull", "dimse+tls://A@h", "a", "--study", "1.2", "--listen", "104", "--insecure"),
            "C-MOVE is not done over TLS",
        ),
        (("find", "https://h", "--study", "1.2", "--client-key", "k"), "Add --client-cert"),
    ],
)
def test_wrong_words_are_told_with_the_right_ones(petechia, words, reason):
    said = petechia("pacs", *words)
    assert said.code == 2
    assert reason in said.err
    assert said.err.count("\n") == 1


def test_a_readable_network_is_warned_of_loudly(pacs, environment, tmp_path):
    said = pacs(
        "pull", "http://192.0.2.1:9/x", tmp_path / "x", "--study", "1.2", "--insecure",
        "--timeout", "0.05",
    )  # fmt: skip
    assert said.code == 2
    assert said.err.startswith("warning: NOT ENCRYPTED")


def test_a_port_that_others_can_reach_is_warned_of_too(pacs, orthanc, environment):
    words = ("find", orthanc.dimse, "--study", "1.2", "--insecure")
    assert "NOT ENCRYPTED" not in pacs(*words).err
    assert "NOT ENCRYPTED" in pacs(*words, "--listen", "0.0.0.0:11112").err


def test_without_the_extra_it_is_said_how_to_install_it(pacs, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pynetdicom", None)
    said = pacs("pull", "dimse://A@localhost:1", tmp_path / "x", "--study", "1.2")
    assert said.code == 2
    assert "pip install 'petechia[pacs]'" in said.err
    monkeypatch.setenv("PETECHIA_PACS_TOKEN", "hunter2")
    said = pacs("pull", "dimse://A@localhost:1", tmp_path / "x", "--study", "1.2")
    assert "DIMSE has no tokens" in said.err
    assert "hunter2" not in said.err


def test_no_secret_and_no_patient_is_told_even_verbosely(
    petechia, orthanc, environment, monkeypatch, tmp_path
):
    monkeypatch.setenv("PETECHIA_PACS_PASSWORD", "hunter2")
    for where in (orthanc.web, orthanc.dimse.replace("ORTHANC", "NOBODY")):
        said = petechia(
            "pacs", "pull", where, tmp_path / "x", "--patient-id", "MILLER7", "--verbose",
            "--retries", "0",
        )  # fmt: skip
        assert said.code == 2
        assert "Traceback" in said.err
        assert "hunter2" not in said.out + said.err
        assert "MILLER7" not in said.out + said.err
