"""Settings: precedence, validation, schema."""

import json

import pytest

from petechia.errors import FileError, ParameterError
from petechia.pipeline.settings import FAMILIES, PRESETS, Settings, schema


def test_command_line_over_config_over_preset(tmp_path):
    config = tmp_path / "s.toml"
    config.write_text('preset = "fast"\nslab_mm = 7.0\ninversion = "tv"\n')
    settings = Settings.build(config=config, slab_mm=12.0)
    assert settings.preset == "fast"
    assert settings.relaxation == PRESETS["fast"]["relaxation"]  # from the preset
    assert settings.inversion == "tv"  # from the file, over the preset
    assert settings.slab_mm == 12.0  # from the command line, over the file


def test_none_means_not_given():
    assert Settings.build(phase_sign=None).phase_sign == "auto"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"inversion": "medii"}, r"no method 'medii'.*tkd"),
        ({"phase_sign": "up"}, r"settings\.phase_sign: 'up' is not a choice.*auto"),
        ({"slab_mm": 0.0}, r"slab of 0\.0 mm"),
        ({"slab_mm": "9"}, r"slab of '9' mm"),
        ({"speed": 3}, r"unknown setting speed = 3.*slab_mm"),
        ({"preset": "fastest"}, r"no preset 'fastest'.*fast, standard, best"),
        ({"preset": ["a"]}, r"no preset \['a'\].*fast, standard, best"),
        ({"preset": []}, r"no preset \[\]"),
        ({"preset": {}}, r"no preset \{\}"),
        ({"preset": ""}, r"no preset ''"),
        ({"preset": 0}, r"no preset 0"),
        ({"method_settings": {"tkd": {"treshold": 1}}}, r"unknown setting treshold = 1"),
        ({"method_settings": {"tkd": {"threshold": 9.0}}}, r"TkdParams\.threshold"),
        ({"method_settings": {"nothing": {}}}, r"no method 'nothing'"),
    ],
)
def test_bad_settings_are_named_with_their_value(given, message):
    with pytest.raises(ParameterError, match=message):
        Settings.build(**given)


def test_a_config_that_is_missing_or_broken_is_named(tmp_path):
    with pytest.raises(FileError, match=r"no such file.*--config"):
        Settings.build(config=tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("a = = 1")
    with pytest.raises(FileError, match=r"bad\.toml: not readable as TOML"):
        Settings.build(config=tmp_path / "bad.toml")


def test_settings_print_with_the_settings_of_their_methods():
    plain = Settings.build(preset="fast").as_dict()
    assert "strength" in plain["method_settings"]["l2"]
    assert json.loads(json.dumps(plain)) == plain


def test_the_schema_knows_every_method_and_setting():
    properties = schema()["properties"]
    assert set(properties) == {*Settings.__dataclass_fields__, "cluster"}
    for family, methods in FAMILIES.items():
        assert properties[family]["enum"] == sorted(methods)
        for name in methods:
            assert name in properties["method_settings"]["properties"]


def test_no_name_is_in_two_families():
    """`method_settings` knows a method by its name alone."""
    names = [name for methods in FAMILIES.values() for name in methods]
    assert len(names) == len(set(names))


def test_a_preset_keeps_what_the_config_leaves_alone():
    given = {"single_step": {"strength": 0.3}, "tkd": {"threshold": 0.1}}
    _, _, params = Settings.build(preset="best", method_settings=given).method("inversion")
    best = PRESETS["best"]["method_settings"]["single_step"]
    assert params.strength == 0.3
    assert {name: getattr(params, name) for name in best} == best
