"""What the templates of all pages have in common."""

import re
from pathlib import Path

import pytest

from petechia import report

TEMPLATES = Path(report.__file__).parent / "templates"
STYLED = sorted([*TEMPLATES.glob("*.j2"), *TEMPLATES.glob("*.css")])


@pytest.mark.parametrize("template", STYLED, ids=lambda path: path.name)
def test_a_picture_as_wide_as_its_place_keeps_its_proportions(template):
    """Else the height is that of the HTML attribute, whatever the width."""
    css = template.read_text(encoding="utf-8")
    for selector, rule in re.findall(r"([^{}]*\bimg)\s*\{([^{}]*)\}", css):
        if re.search(r"(?<!-)width:\s*100%", rule):
            framed = selector.strip().endswith(".frame img")  # the frame has the proportions
            height = "100%" if framed else "auto"
            assert re.search(rf"(?<!-)height:\s*{height}", rule), selector
