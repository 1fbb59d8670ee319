"""How much memory scans are thought to take."""

from functools import partial

import pytest

from petechia.files.find import find_scans
from petechia.files.scan import ScanName, ScanRef
from petechia.pipeline import memory


@pytest.mark.parametrize(
    ("shape", "volumes", "measured_mb"),
    # medians of peak_memory_mb, docs/concepts/cost.md
    [((160, 192, 144), 8, 1354), ((192, 232, 180), 10, 1923), ((320, 384, 128), 2, 2718),
     ((296, 360, 112), 2, 2024), ((216, 256, 28), 1, 923)],
)  # fmt: skip
def test_the_estimate_is_above_what_was_measured_but_not_twice(shape, volumes, measured_mb):
    assert measured_mb < memory.estimate_mb(shape, volumes) < 1.6 * measured_mb


def test_it_is_told_from_headers_without_reading(noise_dataset):
    (ref,) = find_scans(noise_dataset(n_echoes=2, shape=(100, 100, 100)))
    assert memory.need_mb(ref) == memory.estimate_mb((100, 100, 100), 4) == 900 + 120 + 40


def test_what_cannot_be_told_is_taken_as_large(tmp_path):
    name = ScanName((("sub", "01"),))
    torn = tmp_path / "torn.nii.gz"
    torn.write_bytes(b"no image")
    for paths in ((), ("IM0001",), (str(torn),)):
        ref = ScanRef(name=name, kind="NIfTI", paths=paths, load=partial(int))
        assert memory.need_mb(ref) == memory.UNREAD_MB


def test_a_container_has_less_than_its_computer(tmp_path):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 9999999 kB\nMemAvailable: 1024000 kB\n")
    assert memory.available_mb(meminfo, tmp_path) == pytest.approx(900)
    (tmp_path / "memory.max").write_text(f"{500 * 2**20}\n")
    (tmp_path / "memory.current").write_text(f"{100 * 2**20}\n")
    assert memory.available_mb(meminfo, tmp_path) == pytest.approx(360)
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.available_mb(meminfo, tmp_path) == pytest.approx(900)
    assert memory.available_mb(tmp_path / "nowhere", tmp_path / "nowhere") == 0.0
