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


FORBIDDEN = {"print", "open", "input", "breakpoint", "exec", "eval"}
WRITES_OR_READS = {
    "save", "savez", "savez_compressed", "savetxt", "load", "loadtxt", "genfromtxt", "fromfile",
    "memmap", "tofile", "open", "read_text", "write_text", "read_bytes", "write_bytes",
}  # fmt: skip


def calls_of_files(tree: ast.AST) -> list[str]:
    """Return calls that print, or read or write files; bytes in memory are no file."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        in_memory = any(
            isinstance(a, ast.Call) and ast.unparse(a.func) == "io.BytesIO" for a in node.args
        )
        called = node.func
        if isinstance(called, ast.Name) and called.id in FORBIDDEN:
            found.append(f"line {node.lineno}: {called.id}()")
        elif isinstance(called, ast.Attribute) and called.attr in WRITES_OR_READS and not in_memory:
            found.append(f"line {node.lineno}: {ast.unparse(called)}()")
    return found


@pytest.mark.parametrize("path", [p for p in MODULES if room_of(p) in NUMERICS], ids=ident)
def test_numerics_print_nothing_and_open_nothing(path):
    assert calls_of_files(ast.parse(path.read_text())) == []


@pytest.mark.parametrize(
    ("line", "bad"),
    [("print(1)", 1), ("np.save('a', b)", 1), ("open('a')", 1), ("x.tofile('a')", 1),
     ("np.load(io.BytesIO(b))", 0), ("np.sum(a)", 0)],
)  # fmt: skip
def test_what_touches_files_is_seen(line, bad):
    assert len(calls_of_files(ast.parse(line))) == bad
