"""Results never mix with other data, and never stand half-written under a final name."""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from petechia.pipeline.tree import STALE_S

START = "import sys; from petechia.apps.cli.main import entry; sys.argv[0] = 'petechia'; entry()"


def refused(said, *words):
    assert said.code == 2
    assert len(said.err.strip().splitlines()) == 1
    for word in words:
        assert word in said.err
    return True


def test_results_cannot_lie_in_the_input(petechia, noise_dataset):
    raw = noise_dataset()
    before = sorted(raw.rglob("*"))
    assert refused(petechia("run", raw, raw), "folder of the input", "Name another folder")
    assert refused(petechia("run", raw, raw / "sub-01" / "out"), "lies inside the input")
    magnitude = raw / "sub-01" / "anat" / "sub-01_echo-1_part-mag_MEGRE.nii.gz"
    named = petechia(
        "run", "--mag", magnitude, "--te", "0.01", "--b0", "3", "--out", magnitude.parent
    )
    assert refused(named, "folder of the input")
    loose = raw / "sub-01" / "anat"
    assert refused(petechia("run", loose, loose / "out"), "lies inside the input")
    assert sorted(raw.rglob("*")) == before


def test_results_may_lie_in_the_derivatives_of_a_dataset(petechia, noise_dataset):
    raw = noise_dataset()
    out = raw / "derivatives" / "petechia"
    assert petechia("run", raw, out, "--steps", "mask").code == 0
    described = json.loads((out / "dataset_description.json").read_text())
    assert described["DatasetLinks"] == {"raw": "../.."}
    every = raw / "derivatives"
    assert refused(petechia("run", raw, every), "folder of all derivatives", "derivatives/petechia")
    assert refused(
        petechia("run", raw / "sub-01" / "anat", every), "holds other datasets (petechia)"
    )
    told = petechia("run", raw, out, "--dry-run").out
    assert "1 scan; stages" in told  # its own results are no scans


def test_another_dataset_is_never_written_over(petechia, noise_dataset, tmp_path):
    raw, other = noise_dataset(), noise_dataset("other")
    described = (other / "dataset_description.json").read_bytes()
    assert refused(petechia("run", raw, other), "is another dataset (Noise)")
    assert refused(
        petechia("simulate", other, "--protocol", "3t_tiny"), "is another dataset (Noise)"
    )
    assert (other / "dataset_description.json").read_bytes() == described
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "dataset_description.json").write_text("{")
    assert refused(petechia("run", raw, tmp_path / "torn"), "cannot be read")


def test_words_of_others_stay(petechia, noise_dataset, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "README.md").write_text("mine\n")
    (out / ".bidsignore").write_text("my_notes.txt\n")
    assert petechia("run", noise_dataset(), out, "--steps", "mask").code == 0
    assert (out / "README.md").read_text() == "mine\n"
    ignored = (out / ".bidsignore").read_text().splitlines()
    assert "my_notes.txt" in ignored
    assert "*_swi.nii.gz" in ignored


IN_THE_WAY = {
    "the folder": lambda out: out.write_text("x"),
    "a folder above": lambda out: None,
    "the logs": lambda out: (out.mkdir(), (out / "logs").write_text("x")),
    "the log": lambda out: (out / "logs" / "sub-01.log").mkdir(parents=True),
    "the subject": lambda out: (out.mkdir(), (out / "sub-01").write_text("x")),
}


@pytest.mark.parametrize(("spoil"), IN_THE_WAY.values(), ids=IN_THE_WAY.keys())
def test_something_in_the_way_is_told_before_the_work(spoil, petechia, noise_dataset, tmp_path):
    out = tmp_path / "out"
    spoil(out)
    if not out.exists():
        (tmp_path / "file").write_text("x")
        out = tmp_path / "file" / "out"
    said = petechia("run", noise_dataset(), out)
    assert refused(said, "cannot be written", "omething else has that name")
    assert not list(tmp_path.rglob("*_Chimap*"))


def test_a_place_no_one_may_write_to_is_told(petechia, noise_dataset):
    assert refused(petechia("run", noise_dataset(), "/proc/petechia"), "/proc/petechia: cannot be")


def limited(raw: Path, out: Path, n_bytes: int):
    """Run in a process whose files may not grow beyond `n_bytes`: a disk that is full."""
    return subprocess.run(
        [sys.executable, "-c", START, "run", str(raw), str(out)],
        capture_output=True, text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes)),
    )  # fmt: skip


def test_a_full_disk_is_told_and_what_is_there_is_whole(noise_dataset, petechia, tmp_path):
    raw, out = noise_dataset(), tmp_path / "out"
    done = limited(raw, out, 20_000)
    assert done.returncode == 2
    assert "sub-01.html: cannot be written (File too large). Make room" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(out.rglob("*.part"))
    assert not list(out.rglob("*_summary.json"))  # so that the next run knows it is not finished
    assert (out / "logs" / "sub-01_crash.json").exists()
    said = petechia("run", raw, out)
    assert said.code == 0
    assert list(out.rglob("*_summary.json"))
    assert not (out / "logs" / "sub-01_crash.json").exists()


def test_a_failure_keeps_the_finished_results_of_before(noise_dataset, petechia, tmp_path):
    raw, out = noise_dataset(), tmp_path / "out"
    assert petechia("run", raw, out).code == 0
    (summary,) = out.rglob("*_summary.json")
    before = {path: path.read_bytes() for path in out.rglob("sub-01*") if path.is_file()}
    image = raw / "sub-01" / "anat" / "sub-01_echo-2_part-mag_MEGRE.nii.gz"
    whole = image.read_bytes()
    image.write_bytes(whole[:-3000])
    assert petechia("run", raw, out).code == 2
    after = {path: path.read_bytes() for path in before if path.suffix != ".log"}
    assert after == {path: data for path, data in before.items() if path.suffix != ".log"}
    image.write_bytes(whole)
    assert petechia("run", raw, out).code == 0
    assert summary.read_bytes() == before[summary]  # found finished, not done again


def test_broken_records_of_other_scans_cost_only_their_row(noise_dataset, petechia, tmp_path):
    raw, out = noise_dataset(), tmp_path / "out"
    for text in ("[]", "{", "{}"):
        place = out / "sub-09" / "anat" / "sub-09_desc-petechia_summary.json"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        (out / "logs").mkdir(exist_ok=True)
        (out / "logs" / "sub-08_crash.json").write_text(text)
        assert petechia("run", raw, out).code == 0
    index = (out / "index.html").read_text(encoding="utf-8")
    for prefix in ("sub-01", "sub-08", "sub-09"):
        assert prefix in index
    assert "run this scan again" in index
    (out / "sub-01" / "anat" / "sub-01_desc-petechia_summary.json").write_text('{"counts": 3}')
    assert petechia("run", raw, out).code == 0  # its own broken record: done again
    assert "counts" in json.loads(
        (out / "sub-01" / "anat" / "sub-01_desc-petechia_summary.json").read_text()
    )


def test_leftovers_of_killed_runs_are_swept_when_they_are_old(noise_dataset, petechia, tmp_path):
    raw, out = noise_dataset(), tmp_path / "out"
    (out / "sub-01" / "anat").mkdir(parents=True)
    old, new = (out / "sub-01" / "anat" / f".{name}.part" for name in ("old", "new"))
    for path in (old, new):
        path.write_text("half")
    past = time.time() - 2 * STALE_S
    os.utime(old, (past, past))
    assert petechia("run", raw, out, "--steps", "mask").code == 0
    assert not old.exists()
    assert new.exists()  # may be another run's, at work


def test_a_run_with_fewer_maps_leaves_no_old_ones(noise_dataset, petechia, tmp_path):
    raw, out = noise_dataset(), tmp_path / "out"
    assert petechia("run", raw, out).code == 0
    assert (out / "sub-01" / "anat" / "sub-01_Chimap.nii.gz").exists()
    for path in raw.rglob("*part-phase*"):
        path.unlink()
    assert petechia("run", raw, out).code == 0
    left = [path.name for path in out.rglob("*Chimap*")] + [
        path.name for path in out.rglob("*_swi*")
    ]
    assert left == []


def test_links_in_a_circle_are_told(petechia, noise_dataset, tmp_path):
    raw, image = noise_dataset(), tmp_path / "x.nii.gz"
    one, other = tmp_path / "one", tmp_path / "other"
    one.symlink_to(other)
    other.symlink_to(one)
    said = ("one: cannot be followed to a place", "Mend the symbolic link")
    assert refused(petechia("run", raw, one), *said)
    key = ["deidentify", raw, one, "--secret", tmp_path / "key"]
    assert refused(petechia(*key), *said)
    magnitude = raw / "sub-01" / "anat" / "sub-01_echo-1_part-mag_MEGRE.nii.gz"
    image = one / "x.nii.gz"
    assert refused(
        petechia("swi", "--mag", magnitude, "--phase", magnitude, image),
        "x.nii.gz: cannot be followed to a place",
    )


STRANGE = os.fsdecode(b"m\xff")
"""A name of bytes that are no text, as old archives unpack."""


def test_names_that_are_no_text_are_written_down_all_the_same(petechia, noise_dataset, tmp_path):
    anat, loose, out = noise_dataset() / "sub-01" / "anat", tmp_path / STRANGE, tmp_path / "out"
    loose.mkdir()
    for path in anat.iterdir():
        path.rename(loose / path.name.replace("MEGRE", STRANGE))
    assert petechia("run", loose, out).code == 0
    assert "skipped" in petechia("run", loose, out).out
    anat = out / "sub-01" / "anat"
    facts = json.loads((anat / "sub-01_desc-brain_mask.json").read_text(encoding="utf-8"))
    assert all((loose / source).is_file() for source in facts["Sources"])


def test_a_label_that_is_no_text_is_no_name_for_results(petechia, noise_dataset, tmp_path):
    raw = noise_dataset()
    for path in (raw / "sub-01" / "anat").iterdir():
        path.rename(path.with_name(path.name.replace("sub-01", f"sub-01_acq-{STRANGE}")))
    said = petechia("run", raw, tmp_path / "out")
    assert refused(said, r"'sub-01_acq-m\udcff' is no name for results", "Rename it")
    assert not (tmp_path / "out").exists()


def test_an_output_whose_name_is_no_text_is_told_on_the_terminal(noise_dataset, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", START, "run", noise_dataset(), tmp_path / STRANGE],
        capture_output=True, env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"m\udcff/sub-01.html" in done.stdout
