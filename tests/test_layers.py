"""Imports follow one table, and numerics touch no files."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src" / "petechia"
NUMERICS = {
    "errors", "core", "phase", "qsm", "contrast", "anatomy", "lesions", "simulate", "evaluate",
    "cohort",
}  # fmt: skip
EDGE = NUMERICS | {"assets", "files", "report"}
MAY_IMPORT = {
    "errors": set(),
    "core": {"errors"},
    "phase": {"errors", "core"},
    "qsm": {"errors", "core", "phase"},
    "contrast": {"errors", "core", "phase"},
    "anatomy": {"errors", "core"},
    "lesions": {"errors", "core"},
    "simulate": {"errors", "core"},
    "evaluate": {"errors", "core"},
    "cohort": {"errors", "core"},
    "assets": {"errors"},
    "files": {"errors", "core"},
    "report": {"errors", "core", "assets"},
    "pipeline": EDGE,
    "api": EDGE | {"pipeline"},
    "apps": EDGE | {"pipeline", "api"},
    "__main__": {"apps"},
}
OUTSIDE_ONLY = {
    "nibabel",
    "pydicom",
    "highdicom",
    "matplotlib",
    "argparse",
    "sqlite3",
    "pathlib",
    "os",
    "shutil",
}
# the simulator must not share reconstruction kernels with what it tests
NOT_FOR_SIMULATE = {"petechia.core.kernels"}


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write absolute imports"
            names.add(node.module)
            if node.module == "petechia":
                names |= {f"petechia.{alias.name}" for alias in node.names}
    return names


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


MODULES = [p for p in ROOT.rglob("*.py") if p != ROOT / "__init__.py"]


def ident(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=ident)
def test_imports_follow_the_table(path):
    here = room_of(path)
    for name in imported(path):
        if name.startswith("petechia.") and name != "petechia.__version__":
            there = name.split(".")[1]
            assert there == here or there in MAY_IMPORT[here], f"{here} may not import {there}"


@pytest.mark.parametrize("path", [p for p in MODULES if room_of(p) in NUMERICS], ids=ident)
def test_numerics_touch_no_files(path):
    roots = {name.split(".")[0] for name in imported(path)}
    assert not roots & OUTSIDE_ONLY


@pytest.mark.parametrize("path", [p for p in MODULES if room_of(p) == "simulate"], ids=ident)
def test_the_simulator_keeps_clear_of_reconstruction_kernels(path):
    assert not imported(path) & NOT_FOR_SIMULATE


def test_simpleitk_lives_in_one_file():
    holders = [ident(p) for p in MODULES if "SimpleITK" in imported(p)]
    assert holders == ["anatomy/optimise.py"]
