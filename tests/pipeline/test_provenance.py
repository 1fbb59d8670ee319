"""What a run says it was made with."""

import re
import tomllib
from pathlib import Path

from petechia.pipeline.provenance import LIBRARIES, software

DRAWN_ONLY = {"rich", "threadpoolctl"}
"""Of no result: progress on a terminal, and the number of threads."""


def test_every_library_that_a_result_comes_from_is_named_with_its_version():
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    needed = tomllib.loads(text)["project"]["dependencies"]
    assert {re.split("[<>=]", name)[0] for name in needed} - DRAWN_ONLY == set(LIBRARIES)
    assert {"petechia", "python", *LIBRARIES} == set(software())
