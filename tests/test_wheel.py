"""The wheel, installed outside the tree, does its work."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NUMERIC = """
import numpy as np
import petechia
from petechia.assets.store import load_arrays
from petechia.core.grid import Grid
from petechia.core.kernels import forward_field
from petechia.files.contract import contract
from petechia.report.index import render_index

grid = Grid.from_spacing((16, 17, 18), (1.0, 1.0, 1.0))
chi = np.zeros(grid.shape, np.float32)
chi[8, 8, 9] = 1
field = forward_field(chi, grid)
assert field[8, 8, 11] > 0 > field[11, 8, 9]  # poles and equator of a paramagnetic point
assert load_arrays("template")["t1"].any()
assert contract().version >= 1
assert "<html" in render_index([])
print(petechia.__file__)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The folder that a wheel built from this tree was installed into."""
    place = tmp_path_factory.mktemp("wheel")
    for words in (
        ["build", "--wheel", "--no-isolation", "--outdir", str(place), str(ROOT)],
        ["pip", "install", "--quiet", "--no-deps", "--target", str(place / "site"), "{wheel}"],
    ):
        wheel = next(place.glob("petechia-*.whl"), "")
        done = subprocess.run(
            [sys.executable, "-m", *(word.format(wheel=wheel) for word in words)],
            capture_output=True, text=True, cwd=place,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    return place / "site"


def outside(installed: Path, *words: str) -> str:
    """Run Python away from the tree, with the wheel's folder first on its path."""
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, cwd=installed.parent,
        env={**os.environ, "PYTHONPATH": str(installed)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_commands_run_from_the_wheel(installed):
    start = "import sys; from petechia.apps.cli.main import entry; entry()"
    where = "import petechia; print(petechia.__file__)"
    assert Path(outside(installed, "-c", where).strip()).is_relative_to(installed)
    assert "Research use only" in outside(installed, "-c", start, "--help")
    assert "romeo" in outside(installed, "-c", start, "methods")


def test_numbers_and_data_files_come_from_the_wheel(installed):
    told = outside(installed, "-c", NUMERIC)
    assert Path(told.strip()).is_relative_to(installed)


def test_the_wheel_holds_the_package_its_data_and_licences_and_nothing_else(installed):
    (about,) = installed.glob("petechia-*.dist-info")
    names = {path.name for path in about.rglob("*") if path.is_file()}
    assert {"METADATA", "LICENSE", "NOTICE", "entry_points.txt"} <= names
    assert "petechia = petechia.apps.cli.main:entry" in (about / "entry_points.txt").read_text()
    assert (installed / "petechia" / "py.typed").exists()
    assert (installed / "petechia" / "files" / "contract.toml").exists()
    beside = {path.name for path in installed.iterdir()} - {"petechia", about.name, "bin"}
    assert beside == set()
    assert files_below(installed) == files_below(ROOT / "src")  # pages and styles too


def files_below(place: Path) -> set[Path]:
    """The package's files, without what Python makes of them."""
    found = (place / "petechia").rglob("*")
    return {p.relative_to(place) for p in found if p.is_file() and p.parent.name != "__pycache__"}
