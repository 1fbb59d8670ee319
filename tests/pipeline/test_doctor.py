"""`petechia doctor` finds what is broken, and says what to do."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from petechia.assets import store
from petechia.pipeline import doctor


def named(findings) -> dict[str, doctor.Finding]:
    return {finding.name: finding for finding in findings}


def test_this_installation_is_fit(petechia, tmp_path):
    said = petechia("doctor", tmp_path / "results", "--json")
    told = json.loads(said.out)
    states = {check["name"]: check["state"] for check in told["checks"]}
    assert said.code == (0 if told["fit"] else 1)
    for name in ("libraries", "shipped data", "temporary files", "results", "self-test"):
        assert states[name] == "good", told
    assert {"compiler", "threads", "memory", "extra cluster"} <= set(states)
    said = petechia("doctor", tmp_path)
    assert "good self-test: field of a sphere within" in said.out


def test_damaged_data_are_found(monkeypatch):
    damaged = {name: dict(entry) for name, entry in store.manifest().items()}
    damaged["template"]["sha256"] = "0" * 64
    for module in (store, doctor):
        monkeypatch.setattr(module, "manifest", lambda: damaged)
    found = doctor._assets()
    assert found.state == "bad"
    assert "install petechia again" in found.mend


def test_wrong_arithmetic_is_found(monkeypatch):
    right = doctor.forward_field
    monkeypatch.setattr(doctor, "forward_field", lambda chi, grid: -right(chi, grid))
    assert doctor.sphere_check().state == "bad"
    monkeypatch.setattr(doctor, "forward_field", lambda chi, grid: np.roll(right(chi, grid), 1, 2))
    assert doctor.sphere_check().state == "bad"


def test_old_and_missing_packages_are_named(monkeypatch):
    lines = ["numpy>=99.1", "scipy>=1.0", 'nosuchpackage>=1; extra == "pacs"', "petechia[pacs]"]
    monkeypatch.setattr(doctor.metadata, "requires", lambda name: lines)
    found = named(doctor._libraries())
    assert found["libraries"].state == "bad"
    assert "is older than 99.1" in found["libraries"].says
    assert "scipy" not in found["libraries"].says
    assert found["extra pacs"].state == "note"
    assert "pip install 'petechia[pacs]'" in found["extra pacs"].mend


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/proc/version").exists(), reason="no /proc")
def test_a_place_that_cannot_be_written_is_bad():
    found = doctor._folder("results", Path("/proc/petechia"), "Choose another")
    assert found.state == "bad"
    assert found.mend == "Choose another."


@pytest.mark.parametrize(
    ("made", "says"),
    [
        ("circle", "Too many levels of symbolic links"),
        ("circle/results", "Too many levels of symbolic links"),
        ("broken", "No such file or directory"),
        ("broken/results", "No such file or directory"),
        ("file", "Not a directory"),
        ("file/results", "Not a directory"),
    ],
)
def test_a_place_that_can_be_no_folder_is_bad(tmp_path, made, says):
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "broken").symlink_to("nowhere")
    (tmp_path / "file").touch()
    found = doctor._folder("results", tmp_path / made, "Choose another")
    assert (found.state, found.mend) == ("bad", "Choose another.")
    assert found.says == f"{tmp_path / made.partition('/')[0]} cannot be written ({says})"


def test_a_link_to_a_folder_is_a_folder(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    assert (
        doctor._folder("results", tmp_path / "link" / "results", "Choose another").state == "good"
    )


def test_too_little_memory_and_disk_are_bad(monkeypatch, tmp_path, petechia):
    monkeypatch.setattr(doctor, "available_mb", lambda: 1000.0)
    assert doctor._memory().state == "bad"
    monkeypatch.setattr(doctor, "DISK_MB", 1e12)
    assert doctor._folder("results", tmp_path, "Choose another").state == "bad"
    said = petechia("doctor", tmp_path)
    assert said.code == 1
    assert "BAD  memory" in said.out
    assert said.out.strip().endswith("to mend")
