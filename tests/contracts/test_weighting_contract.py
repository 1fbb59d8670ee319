"""Every susceptibility weighting: no evidence leaves the magnitude, none exceeds it."""

import numpy as np
import pytest

from petechia.contrast.weighting import METHODS
from petechia.core.grid import Grid
from petechia.errors import GridMismatchError, InputError

GRID = Grid((9, 8, 7), np.diag([0.5, 0.5, 2.0, 1.0]))


def inputs() -> dict:
    rng = np.random.default_rng(0)
    return {
        "magnitude": (100 * rng.random(GRID.shape)).astype(np.float32),
        "highpass_rad": rng.uniform(-np.pi, np.pi, GRID.shape).astype(np.float32),
        "chi_ppm": rng.normal(0, 0.2, GRID.shape).astype(np.float32),
        "mask": np.ones(GRID.shape, bool),
    }


def weigh(name: str, available: dict) -> np.ndarray:
    (image,) = METHODS[name](available, grid=GRID)
    return image


@pytest.fixture(params=sorted(METHODS))
def name(request) -> str:
    return request.param


def test_between_zero_and_the_magnitude(name):
    available = inputs()
    image = weigh(name, available)
    assert image.dtype == np.float32
    assert image.min() >= 0
    assert np.all(image <= available["magnitude"])
    assert image.sum() < available["magnitude"].sum()


def test_without_evidence_it_is_the_magnitude(name):
    available = inputs()
    for key in ("highpass_rad", "chi_ppm"):
        available[key] = np.zeros(GRID.shape, np.float32)
    np.testing.assert_array_equal(weigh(name, available), available["magnitude"])


def test_it_scales_with_the_magnitude(name):
    available = inputs()
    image = weigh(name, available)
    scaled = weigh(name, available | {"magnitude": 8 * available["magnitude"]})
    np.testing.assert_allclose(scaled, 8 * image, rtol=1e-6)


def test_inputs_are_left_alone(name):
    available = inputs()
    before = {key: array.copy() for key, array in available.items()}
    weigh(name, available)
    for key, array in available.items():
        np.testing.assert_array_equal(array, before[key])


def test_bad_input_is_named(name):
    available = inputs()
    for argument in METHODS[name].needs:
        with pytest.raises(GridMismatchError, match=argument):
            weigh(name, available | {argument: available[argument][1:]})
    broken = available["magnitude"].copy()
    broken[0, 0, 0] = np.inf
    with pytest.raises(InputError, match="magnitude"):
        weigh(name, available | {"magnitude": broken})
