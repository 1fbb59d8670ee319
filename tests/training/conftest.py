"""Scripts of the folder `training` as modules."""

import importlib.util
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "training"


@pytest.fixture(scope="session")
def training():
    """Return what loads a script by its name."""

    def module(name):
        if str(FOLDER) not in sys.path:
            sys.path.insert(0, str(FOLDER))
        spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
        made = importlib.util.module_from_spec(spec)
        sys.modules[name] = made
        spec.loader.exec_module(made)
        return made

    return module
