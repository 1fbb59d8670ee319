"""The figures that `petechia methods` prints."""

import tomllib

import pytest

from petechia.pipeline.measured import NOT_MEASURED, about, cost_of, error_of, measurements, renew
from petechia.pipeline.settings import FAMILIES


def test_every_imaging_row_has_a_measured_cost():
    for family in ("unwrap", "fieldmap", "background", "inversion", "relaxation", "weighting"):
        for name in FAMILIES[family]:
            assert cost_of(name).endswith("transforms"), name


def test_every_row_of_the_susceptibility_chain_has_a_measured_error():
    for family in ("unwrap", "fieldmap", "background", "inversion"):
        for name in FAMILIES[family]:
            assert error_of(name).startswith("NRMSE"), name


def test_what_was_not_measured_is_said_so():
    assert cost_of("magic") == error_of("magic") == NOT_MEASURED


def test_what_the_figures_are_of_is_told():
    assert set(measurements()) == {"speed", "accuracy"}
    assert any("one thread" in line for line in about())


def test_renewing_keeps_what_was_not_measured_again(tmp_path):
    path = tmp_path / "measured.toml"
    renew(path, "speed", "at first", {"tv": {"ratio": 30.0}, "l2": {"ratio": 1.1}})
    renew(path, "accuracy", "of a head", {"tv": {"nrmse": 46.0}})
    renew(path, "speed", "later", {"tv": {"ratio": 25.9}})
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    assert table["speed"]["rows"] == {"l2": {"ratio": 1.1}, "tv": {"ratio": 25.9}}
    assert table["speed"]["about"] == "later"
    assert table["accuracy"]["rows"]["tv"]["nrmse"] == pytest.approx(46.0)
    assert [p.name for p in tmp_path.iterdir()] == ["measured.toml"]
