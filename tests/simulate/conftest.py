"""The template, a head, and one small scan, made once."""

import numpy as np
import pytest

from petechia.assets.store import load_arrays
from petechia.simulate.atlas import atlas_from
from petechia.simulate.patient import SimulationParams, simulate
from petechia.simulate.protocols import Protocol
from petechia.simulate.render import FineMaps, fine_grid


@pytest.fixture(scope="session")
def template():
    return load_arrays("template")


@pytest.fixture(scope="session")
def atlas(template):
    return atlas_from(template)


@pytest.fixture(scope="session")
def tiny_params():
    return SimulationParams(protocol="3t_tiny", n_microbleeds=10)


@pytest.fixture(scope="session")
def tiny(template, tiny_params):
    return simulate(tiny_params, np.random.default_rng(7), template)


@pytest.fixture
def uniform():
    """Return a maker of fine maps of a featureless block under any protocol."""

    def make(**changes):
        facts = {
            "b0_t": 3.0, "te_s": (0.02,), "tr_s": 0.05, "flip_deg": 15.0, "shape": (24, 24, 24),
            "spacing_mm": (1.0, 1.0, 1.0),
        }  # fmt: skip
        protocol = Protocol(**(facts | changes))
        grid = fine_grid(protocol)
        blank = np.zeros(grid.shape, dtype=np.float32)
        maps = FineMaps(
            grid=grid, chi_ppm=blank.copy(), field_ppm=blank.copy(), s0=blank + 1,
            r2star=blank + 20, fat=blank.astype(np.uint8), vein=blank.copy(),
        )  # fmt: skip
        return maps, protocol

    return make
