"""What every row of every METHODS table promises in words and by its signature."""

import re
from dataclasses import FrozenInstanceError, fields, is_dataclass
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import get_args, get_origin, get_type_hints

import pytest

import petechia
from petechia.lesions.candidates import METHODS as CANDIDATES
from petechia.pipeline.engines import METHODS as ENGINES
from petechia.pipeline.settings import ALONE, FAMILIES

TABLES = {**FAMILIES, **ALONE, "candidates": CANDIDATES, "engines": ENGINES}
ROWS = [(family, name) for family, rows in TABLES.items() for name in rows]
OWN = {"weighted", "strong_first", "combined", "refined", "local", "dask"}
"""Rows of no paper: what is usual, or this project's own."""
DOI = re.compile(r"10\.\d{4,9}/\S+")

each = pytest.mark.parametrize(("family", "name"), ROWS, ids=[f"{f}-{n}" for f, n in ROWS])


@each
def test_a_row_has_its_paper_and_its_docstring_the_same_one(family, name):
    row = TABLES[family][name]
    if name in OWN:
        assert row.doi == ""
        return
    assert DOI.fullmatch(row.doi), f"{name}: doi={row.doi!r} is no DOI such as 10.1002/mrm.23000"
    told = f"{row.run.__doc__}\n{import_module(row.load.partition(':')[0]).__doc__}"
    there = {found.rstrip(".,;)") for found in DOI.findall(told)}
    assert row.doi in there, f"{name}: the row says {row.doi}, the docstring {sorted(there)}"


@each
def test_a_row_is_summed_up_in_one_line(family, name):
    summary = TABLES[family][name].summary
    assert 10 < len(summary) < 110
    assert summary == " ".join(summary.split())
    assert not summary.endswith(".")


@each
def test_settings_are_frozen_and_have_defaults(family, name):
    row = TABLES[family][name]
    settings = row.settings()
    assert is_dataclass(settings)
    assert type(settings).__doc__.startswith(("Settings of ", "No settings"))
    for field in fields(settings):
        with pytest.raises((FrozenInstanceError, TypeError)):
            setattr(settings, field.name, getattr(settings, field.name))
    with pytest.raises((FrozenInstanceError, TypeError, AttributeError)):
        settings.of_no_such_name = 1


@each
def test_it_takes_what_the_row_says_in_that_order(family, name):
    row = TABLES[family][name]
    after = ("params", "care") if family == "engines" else ("grid", "params")
    assert tuple(signature(row.run).parameters) == (*row.needs, *after)


@each
def test_it_gives_as_many_as_the_row_says(family, name):
    row = TABLES[family][name]
    told = get_type_hints(row.run)["return"]
    count = len(get_args(told)) if get_origin(told) is tuple else 1
    assert count == len(row.gives)
    assert len(set(row.gives)) == len(row.gives)


@each
def test_names_are_unique_over_all_tables(family, name):
    """Costs, errors and `--only` are told by the name alone."""
    assert [f for f, rows in TABLES.items() if name in rows] == [family]
    assert re.fullmatch(r"[a-z][a-z0-9_]*", name)


def test_no_table_is_left_out():
    here = Path(petechia.__file__).parent
    told = {row.load.rpartition(".")[0] for rows in TABLES.values() for row in rows.values()}
    there = {
        "petechia." + path.parent.relative_to(here).as_posix().replace("/", ".")
        for path in here.rglob("__init__.py")
        if "\nMETHODS: dict[str, Method]" in path.read_text("utf-8")
    }
    assert there == told
