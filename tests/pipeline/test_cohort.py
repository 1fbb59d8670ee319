"""Many scans: one bad one stops nobody, nothing finished is done again or lost."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from petechia.files.find import find_scans
from petechia.pipeline import run
from petechia.pipeline.settings import Settings
from petechia.pipeline.tree import prepare_tree

START = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from petechia.apps.cli.main import entry
sys.argv[0] = 'petechia'
entry()
"""
"""As in the foreground of a shell: a test run that was put in the background ignores Ctrl-C."""


def started(*words):
    """Start in a process group of its own, as a shell does."""
    return subprocess.Popen(
        [sys.executable, "-c", START, *(str(word) for word in words)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def digests(out: Path) -> dict[str, str]:
    """Return the hash of every table and image."""
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.name.endswith((".tsv", ".nii.gz"))
    }


def broken(raw: Path, subject: str) -> tuple[Path, bytes]:
    """Cut one image of a subject; return it with its whole bytes."""
    path = raw / f"sub-{subject}" / "anat" / f"sub-{subject}_echo-2_part-mag_MEGRE.nii.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[:-3000])
    return path, whole


def test_a_bad_scan_stops_nobody_and_is_picked_up_after_the_mend(petechia, noise_dataset, tmp_path):
    raw, out = noise_dataset(subjects=("01", "02", "03")), tmp_path / "out"
    image, whole = broken(raw, "02")
    said = petechia("run", raw, out)
    assert said.code == 3
    assert "sub-01: done\nsub-02: failed " in said.out
    assert "sub-03: done\n2 of 3 scans done, 1 failed" in said.out
    assert "truncated or corrupt NIfTI" in said.out
    crash = json.loads((out / "logs" / "sub-02_crash.json").read_text())
    assert (crash["scan"], crash["stage"], crash["error"]) == ("sub-02", "read", "FileError")
    index = (out / "index.html").read_text(encoding="utf-8")
    assert "truncated or corrupt NIfTI" in index
    assert 'href="sub-01.html"' in index
    assert 'href="sub-02.html"' not in index
    finished = {path: path.stat().st_mtime_ns for path in out.rglob("*.nii.gz")}
    assert len(finished) > 10

    image.write_bytes(whole)
    said = petechia("run", raw, out)
    assert said.code == 0
    assert said.out.startswith("sub-01: skipped\nsub-02: done\nsub-03: skipped\n3 of 3 scans done")
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert not (out / "logs" / "sub-02_crash.json").exists()
    assert 'href="sub-02.html"' in (out / "index.html").read_text(encoding="utf-8")


def test_one_corrupt_scan_among_a_hundred(noise_dataset, tmp_path, monkeypatch):
    """Reading, hashes, crash files, books and skipping are real; the stages are a stub."""
    tried = Counter()

    def walk(work, *_):
        tried[work.scan.name.prefix] += 1

    def write_results(work, tree, keys, meter, provenance, *_):
        name = work.scan.name
        told = {
            "counts": {"total": 0}, "not_assessable": [], "fingerprint": provenance["fingerprint"],
            "input_sha256": {source.path: source.sha256 for source in work.scan.sources},
        }  # fmt: skip
        tree.path("report", name).write_text("<p>")
        tree.write_json("summary", name, told)
        return told

    monkeypatch.setattr(run, "walk", walk)
    monkeypatch.setattr(run, "write_results", write_results)
    names = [f"{n:03d}" for n in range(100)]
    raw, out = noise_dataset(subjects=names, shape=(14, 15, 12)), tmp_path / "out"
    broken(raw, "037")
    prepare_tree(out, None)
    refs = find_scans(raw)

    def ended():
        return list(run.run_all(refs, out, Settings.build(), run.Options()))

    first = ended()
    assert [o.prefix for o in first] == [f"sub-{name}" for name in names]
    assert {o.prefix: o.status for o in first if o.status != "done"} == {"sub-037": "failed"}
    assert tried == {f"sub-{name}": 1 for name in names if name != "037"}
    assert [p.name for p in (out / "logs").glob("*_crash.json")] == ["sub-037_crash.json"]
    assert len(list(out.rglob("*_summary.json"))) == 99
    assert Counter(o.status for o in ended()) == {"skipped": 99, "failed": 1}
    assert tried.total() == 99  # nothing is done again


def test_what_is_finished_is_skipped_unless_bytes_or_settings_change(
    petechia, noise_dataset, tmp_path
):
    raw, out = noise_dataset(subjects=("01", "02")), tmp_path / "out"
    assert petechia("run", raw, out).code == 0
    assert "sub-01: skipped" in petechia("run", raw, out).out
    assert "sub-01: done\nsub-02: done" in petechia("run", raw, out, "--force").out
    assert "sub-01: done\nsub-02: done" in petechia("run", raw, out, "--preset", "fast").out
    fact = raw / "sub-02" / "anat" / "sub-02_echo-1_part-mag_MEGRE.nii.gz"
    other = raw / "sub-02" / "anat" / "sub-02_echo-2_part-mag_MEGRE.nii.gz"
    fact.write_bytes(other.read_bytes())
    again = petechia("run", raw, out, "--preset", "fast").out
    assert "sub-01: skipped\nsub-02: done" in again


def edited(sidecars, **words) -> None:
    for path in sidecars:
        path.write_text(json.dumps(json.loads(path.read_text()) | words))


def test_facts_of_sidecars_make_another_run(petechia, noise_dataset, tmp_path):
    raw, out = noise_dataset(), tmp_path / "out"
    summary = out / "sub-01" / "anat" / "sub-01_desc-petechia_summary.json"
    assert petechia("run", raw, out).code == 0
    again = petechia("run", raw, out).out
    assert "sub-01: skipped: finished before (--force redoes it)\n" in again
    sidecars = sorted(raw.glob("sub-01/anat/*.json"))
    edited(sidecars, Comment="of no account")
    raw = raw.rename(tmp_path / "moved")
    assert "skipped: finished" in petechia("run", raw, out).out
    sidecars = sorted(raw.glob("sub-01/anat/*.json"))
    edited(sidecars, MagneticFieldStrength=1.5)
    assert "skipped" not in petechia("run", raw, out).out
    assert json.loads(summary.read_text())["protocol"]["b0_t"] == 1.5
    edited([path for path in sidecars if "echo-2" in path.name], EchoTime=0.024)
    assert "skipped" not in petechia("run", raw, out).out
    assert json.loads(summary.read_text())["protocol"]["te_s"] == [0.01, 0.024]
    edited(sidecars, MRAcquisitionType="2D")
    assert "skipped" not in petechia("run", raw, out).out
    assert "skipped" in petechia("run", raw, out).out


def test_words_about_named_files_make_another_run(petechia, noise_dataset, tmp_path):
    anat, out = noise_dataset() / "sub-01" / "anat", tmp_path / "out"
    words = ["run", "--out", out]
    for part in ("mag", "phase"):
        files = sorted(str(path) for path in anat.glob(f"*part-{part}_*.nii.gz"))
        words += [f"--{part}", ",".join(files)]

    def redone(te="0.01,0.02", b0="3", *more) -> bool:
        said = petechia(*words, "--te", te, "--b0", b0, *more)
        assert said.code == 0, said.err
        return "skipped: finished before" not in said.out

    assert redone()
    assert not redone()
    assert redone(b0="1.5")
    assert redone(te="0.01,0.021")
    assert redone("0.01,0.02", "3", "--phase-scale", "0.5")
    assert not redone("0.01,0.02", "3", "--phase-scale", "0.5")


def test_two_echoes_that_change_places_make_another_run(petechia, noise_dataset, tmp_path):
    raw, out = noise_dataset(), tmp_path / "out"
    assert petechia("run", raw, out).code == 0
    one, other = sorted(raw.glob("sub-01/anat/*part-mag*.nii.gz"))
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    assert "skipped" not in petechia("run", raw, out).out


def test_single_steps_never_mix_with_other_results(petechia, noise_dataset, tmp_path):
    raw, out = noise_dataset(), tmp_path / "out"
    (tmp_path / "tswi.toml").write_text('weighting = "tswi"\n')
    other = ["--steps", "swi", "--config", tmp_path / "tswi.toml"]
    assert petechia("run", raw, out).code == 0
    before = digests(out)
    said = petechia("run", raw, out, *other)
    assert said.code == 2
    assert "summary.json: --steps would mix with results of other input, settings" in said.err
    assert "Name another output folder; or add --force" in said.err
    assert digests(out) == before
    assert petechia("run", raw, out, "--steps", "swi").code == 0  # the same settings
    assert "skipped" in petechia("run", raw, out).out
    assert petechia("run", raw, out, *other, "--force").code == 0
    assert not list(out.rglob("*_summary.json"))
    assert "skipped" not in petechia("run", raw, out).out


def test_the_summary_of_a_single_step_is_no_finished_run(petechia, noise_dataset, tmp_path):
    raw, out = noise_dataset(), tmp_path / "out"
    for step in ("detect", "detect", "swi"):
        assert petechia("run", raw, out, "--steps", step).code == 0
    assert not list(out.rglob("*_R2starmap.nii.gz"))
    assert "skipped" not in petechia("run", raw, out).out
    assert list(out.rglob("*_R2starmap.nii.gz"))


def test_two_processes_write_the_same_bytes_as_one(petechia, noise_dataset, tmp_path):
    raw = noise_dataset(subjects=("01", "02", "03"))
    broken(raw, "02")
    assert petechia("run", raw, tmp_path / "one").code == 3
    said = petechia("run", raw, tmp_path / "two", "--n-procs", "2")
    assert said.code == 3
    assert sorted(line.split()[1] for line in said.out.splitlines()[:3]) == [
        "done",
        "done",
        "failed",
    ]
    assert digests(tmp_path / "two") == digests(tmp_path / "one")
    assert len(digests(tmp_path / "two")) > 10


def stopped_at(line_start: str, how: int, *words) -> tuple[int, str, str]:
    """Start, send the signal `how` when the log says `line_start`, return how it ended."""
    process = started(*words, "--verbose")
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(line_start):
            os.killpg(process.pid, how)
            break
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def test_a_run_killed_in_the_middle_is_taken_up_again(petechia, noise_dataset, tmp_path):
    raw, out = noise_dataset(subjects=("01", "02")), tmp_path / "out"
    code, *_ = stopped_at("sub-02: petechia", signal.SIGKILL, "run", raw, out)
    assert code == -signal.SIGKILL
    assert (out / "sub-01.html").exists()
    assert not (out / "sub-02.html").exists()
    said = petechia("run", raw, out)
    assert said.code == 0
    assert "sub-01: skipped\nsub-02: done" in said.out
    assert petechia("run", raw, tmp_path / "whole").code == 0
    assert digests(out) == digests(tmp_path / "whole")


def test_ctrl_c_says_one_line_and_keeps_what_is_finished(noise_dataset, tmp_path):
    raw, out = noise_dataset(subjects=("01", "02")), tmp_path / "out"
    code, _, err = stopped_at("sub-02: petechia", signal.SIGINT, "run", raw, out)
    assert code == 2
    assert err.strip().splitlines()[-1] == "stopped; what was finished is kept"
    assert 'href="sub-01.html"' in (out / "index.html").read_text(encoding="utf-8")
    assert not list(out.rglob("*.part"))


def alive(group: int) -> list[str]:
    """Return the processes of a group that still run (dead ones may wait to be reaped)."""
    found = []
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, member_of = place.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(member_of) == group and state != "Z":
            found.append(place.parent.name)
    return found


@pytest.mark.parametrize("engine", ["local", "dask"])
def test_ctrl_c_ends_the_workers_too(noise_dataset, tmp_path, engine):
    pytest.importorskip("distributed" if engine == "dask" else "petechia")
    raw, out = noise_dataset(subjects=("01", "02", "03", "04", "05", "06")), tmp_path / "out"
    process = started("run", raw, out, "--n-procs", "2", "--engine", engine)
    assert process.stdout is not None
    assert "done" in process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert err == "stopped; what was finished is kept\n"
    until = time.monotonic() + 10
    while alive(process.pid) and time.monotonic() < until:
        time.sleep(0.1)
    assert alive(process.pid) == []
    assert (out / "index.html").exists()


def test_a_polite_kill_is_a_ctrl_c(noise_dataset, tmp_path):
    raw, out = noise_dataset(), tmp_path / "out"
    code, _, err = stopped_at("mask", signal.SIGTERM, "run", raw, out)
    assert code == 2
    assert err.strip().endswith("stopped; what was finished is kept")
