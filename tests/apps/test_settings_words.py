"""A word of the command line that is a setting reaches the settings."""

import argparse
import ast
import inspect
from types import SimpleNamespace

import pytest

from petechia.apps.cli import run, steps
from petechia.apps.cli.main import build_parser
from petechia.pipeline.settings import Settings


def words_that_are_settings(command: str) -> set[str]:
    words = {action.dest for action in build_parser(command)._actions}
    return words & ({"preset", "config"} | set(Settings.__dataclass_fields__))


def test_every_setting_named_to_run_reaches_the_settings():
    calls = [
        node
        for node in ast.walk(ast.parse(inspect.getsource(run)))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Settings.build"
    ]
    assert len(calls) == 1
    given = {k.arg: ast.unparse(k.value) for k in calls[0].keywords}
    words = words_that_are_settings("run")
    assert {"preset", "config", "phase_sign", "operating_point", "calibration"} <= words
    assert {name: given.get(name) for name in words} == {name: f"args.{name}" for name in words}


def test_every_setting_named_to_detect_reaches_the_settings(monkeypatch):
    words = words_that_are_settings("detect")
    assert {"phase_sign", "operating_point"} <= words
    got = {}

    def build(**named):
        got.update(named)
        raise InterruptedError

    monkeypatch.setattr(Settings, "build", build)
    monkeypatch.setattr(run, "named_scan", lambda _: SimpleNamespace(load=lambda: None))
    args = argparse.Namespace(mag=None, phase=None, mask=None, **{w: f"a {w}" for w in words})
    with pytest.raises(InterruptedError):
        steps.begun(args)
    assert {name: got.get(name) for name in words} == {name: f"a {name}" for name in words}
