"""The container recipes, as far as they can be checked without building: neither docker nor
apptainer is asked for here. What they copy exists, what they call is a command, and the two
install the same."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from petechia.apps.cli.main import COMMANDS, _like_a_bids_app

ROOT = Path(__file__).parents[1]
DOCKER = (ROOT / "container" / "Dockerfile").read_text(encoding="utf-8")
APPTAINER = (ROOT / "container" / "petechia.def").read_text(encoding="utf-8")
BOTH = pytest.mark.parametrize("recipe", [DOCKER, APPTAINER], ids=["docker", "apptainer"])


def instructions(text: str) -> list[tuple[str, str]]:
    """Return instruction and words of every line of a Dockerfile, continued lines joined."""
    plain = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    lines = re.sub(r"\\\n", " ", plain).splitlines()
    return [(line.split()[0], line.partition(" ")[2]) for line in lines if line.strip()]


def installed(text: str) -> str:
    return re.search(r"pip install (.*\])", text)[1]


def test_every_line_of_the_dockerfile_is_an_instruction_and_the_first_is_from():
    words = [word for word, _ in instructions(DOCKER)]
    assert words[0] == "FROM"
    assert set(words) <= {"FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "ENTRYPOINT"}
    assert words[-1] == "ENTRYPOINT"


def test_what_is_copied_exists_and_is_all_that_the_build_needs():
    docker = {
        name for word, rest in instructions(DOCKER) if word == "COPY"
        for name in shlex.split(rest)[:-1]
    }  # fmt: skip
    files = re.search(r"%files\n(.*?)\n\n", APPTAINER, re.DOTALL)[1]
    assert {line.split()[0] for line in files.splitlines()} == docker
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert docker >= {project["readme"], *project["license-files"], "pyproject.toml", "src"}
    assert [name for name in docker if not (ROOT / name).exists()] == []
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert not docker & set(ignored)


def test_both_recipes_install_the_same_with_extras_that_exist():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert installed(DOCKER) == installed(APPTAINER)
    extras = re.search(r"\[(.*?)\]", installed(DOCKER))[1].split(",")
    assert [extra for extra in extras if extra not in project["optional-dependencies"]] == []
    assert "-c constraints.txt" in installed(DOCKER)
    least = project["requires-python"].removeprefix(">=")
    for text in (DOCKER, APPTAINER):
        assert re.search(r"python:(\d+\.\d+)-slim", text)[1] >= least


@BOTH
def test_the_commands_called_exist(recipe):
    called = re.findall(r"^(?:RUN|    )\s*petechia (\w+)", recipe, re.MULTILINE)
    assert called == ["doctor"]
    assert set(called) <= set(COMMANDS)


def test_it_is_called_as_a_bids_app(tmp_path):
    assert 'ENTRYPOINT ["petechia"]' in DOCKER
    assert 'exec petechia "$@"' in APPTAINER
    assert _like_a_bids_app([str(tmp_path), "/out", "participant"])


@BOTH
def test_it_does_not_write_where_only_root_may(recipe):
    assert "NUMBA_CACHE_DIR=/tmp/" in recipe
    assert "MPLCONFIGDIR=/tmp/" in recipe
