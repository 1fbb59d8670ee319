"""What nothing in the program calls is there for users: then a page has to name it."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "petechia"


def used_in(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    return (
        {node.id for node in nodes if isinstance(node, ast.Name)}
        | {node.attr for node in nodes if isinstance(node, ast.Attribute)}
        | {node.name for node in nodes if isinstance(node, ast.alias)}
    )


def test_what_is_for_users_alone_is_on_the_page():
    page = (ROOT / "docs/reference/cohort-statistics.md").read_text(encoding="utf-8")
    used = set().union(*map(used_in, SOURCE.rglob("*.py")))
    alone = {
        node.name
        for path in (SOURCE / "cohort").glob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    } - used
    assert "interrupted_series" in alone
    assert {name for name in alone if f"`{name}`" not in page} == set()
