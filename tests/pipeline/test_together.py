"""Two runs on one output: what stands of a scan is of one of them, wholly."""

import json
import subprocess
import sys

import pytest

from petechia.errors import InUseError
from petechia.files.find import find_scans
from petechia.files.output import OutputTree
from petechia.pipeline import results, run, tree
from petechia.pipeline.settings import Settings
from petechia.pipeline.tree import alone, prepare_tree

THICK, THIN = Settings.build(slab_mm=30.0), Settings.build(slab_mm=6.0)


@pytest.fixture
def scan(noise_dataset, tmp_path):
    """One scan and an output folder that is prepared."""
    prepare_tree(tmp_path / "out", None)
    (ref,) = find_scans(noise_dataset())
    return ref, tmp_path / "out"


@pytest.fixture
def meanwhile(monkeypatch):
    """Do something else after a function of a module has been called once."""

    def put(module, name, act):
        function = getattr(module, name)

        def both(*words):
            monkeypatch.setattr(module, name, function)
            function(*words)
            act()

        monkeypatch.setattr(module, name, both)

    return put


def slab_of(out):
    """Return the slab that the summary tells, and that of the projection beside it."""
    anat = out / "sub-01" / "anat"
    summary = json.loads((anat / "sub-01_desc-petechia_summary.json").read_text())
    return summary["settings"]["slab_mm"], json.loads((anat / "sub-01_minIP.json").read_text())[
        "SlabThickness"
    ]


def test_another_run_cannot_write_between_maps_and_summary(scan, meanwhile, monkeypatch):
    ref, out = scan
    monkeypatch.setattr(tree, "HELD_S", 0.0)
    others = []
    meanwhile(
        results,
        "_write_maps",
        lambda: others.append(run.run_scan(ref, out, THICK, run.Options())),
    )
    assert run.run_scan(ref, out, THIN, run.Options()).status == "done"
    assert [other.status for other in others] == ["failed"]
    assert others[0].message.startswith("sub-01: another run is writing the results of this scan.")
    assert "Wait for it to end and run again, or name another OUTPUT" in others[0].message
    assert slab_of(out) == (6.0, 6.0)
    with alone(OutputTree(out), ref.name):
        assert run.run_scan(ref, out, THICK, run.Options()).status == "failed"
    assert not list(out.rglob("*_crash.json"))  # it is no fault of the scan
    assert run.run_scan(ref, out, THICK, run.Options()).status == "done"
    assert slab_of(out) == (30.0, 30.0)


def test_a_step_does_not_mix_with_what_ended_meanwhile(scan, meanwhile):
    ref, out = scan
    meanwhile(run, "walk", lambda: run.run_scan(ref, out, THIN, run.Options()))
    step = run.run_scan(ref, out, THICK, run.Options(steps=("swi",)))
    assert step.status == "failed"
    assert "--steps would mix with results of other input, settings" in step.message
    assert slab_of(out) == (6.0, 6.0)


HOLD = """
import sys
from pathlib import Path
from petechia.files.output import OutputTree
from petechia.files.scan import ScanName
from petechia.pipeline.tree import alone
with alone(OutputTree(Path(sys.argv[1])), ScanName((("sub", "01"),))):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_process_that_dies_holds_nothing(scan, monkeypatch):
    ref, out = scan
    (out / "logs").mkdir()
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        monkeypatch.setattr(tree, "HELD_S", 0.3)
        held = OutputTree(out)
        with pytest.raises(InUseError, match="sub-01: another run"), alone(held, ref.name):
            pass
        other.kill()
    with alone(held, ref.name):
        pass


def test_a_disk_without_locks_is_no_reason_to_stop(scan, monkeypatch, caplog):
    ref, out = scan
    (out / "logs").mkdir()

    def none(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(tree.fcntl, "flock", none)
    with alone(OutputTree(out), ref.name):
        assert "this disk knows no locks (Function not implemented)" in caplog.text


def test_intermediates_are_made_when_they_are_asked_for_later(petechia, noise_dataset, tmp_path):
    raw, out = noise_dataset(), tmp_path / "out"

    def made():
        return sorted(path.name for path in out.glob("sub-01/intermediate/*"))

    assert petechia("run", raw, out).code == 0
    assert "skipped" not in petechia("run", raw, out, "--save-intermediates").out
    assert "sub-01_desc-totalfield.nii.gz" in made()
    assert "skipped" in petechia("run", raw, out, "--save-intermediates").out
    assert "skipped" in petechia("run", raw, out).out
    assert "sub-01_desc-totalfield.nii.gz" in made()
    assert petechia("run", raw, out, "--preset", "fast").code == 0
    assert made() == []  # those of other settings do not stay
    for path in raw.rglob("*part-phase*"):
        path.unlink()
    for said in ("done", "skipped"):  # there is nothing to make them of
        told = petechia("run", raw, out, "--save-intermediates")
        assert ("skipped" in told.out) == (said == "skipped")
    assert made() == []
