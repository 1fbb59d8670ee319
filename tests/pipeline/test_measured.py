"""The figures that `petechia methods` prints."""

import tomllib

import pytest

from petechia.pipeline.measured import NOT_MEASURED, about, cost_of, error_of, measurements, renew
from petechia.pipeline.settings import ALONE, FAMILIES, PRESETS, Settings

ROWS = {name for rows in (FAMILIES | ALONE).values() for name in rows}


def test_only_rows_that_exist_have_figures():
    """The benchmark also times three chains of rows, which have a blank in their names."""
    for part in measurements().values():
        assert {name for name in part["rows"] if " " not in name} <= ROWS


def test_the_rows_of_every_preset_are_measured():
    for preset in PRESETS:
        settings = Settings.build(preset=preset)
        for family in ("unwrap", "fieldmap", "background", "inversion", "relaxation"):
            name = getattr(settings, family)
            assert cost_of(name).endswith("transforms"), name
            assert error_of(name) != NOT_MEASURED, name


def test_what_was_not_measured_is_said_so():
    assert cost_of("magic") == error_of("magic") == NOT_MEASURED


def test_every_row_of_a_run_and_of_single_steps_has_its_cost_and_error():
    rows = {name for some in (FAMILIES | ALONE).values() for name in some}
    rows -= set(FAMILIES["classification"])  # theirs are in the model's card
    assert sorted(name for name in rows if cost_of(name) == NOT_MEASURED) == []
    assert sorted(name for name in rows if error_of(name) == NOT_MEASURED) == ["clear_swi"]


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
