"""Every susceptibility weighting: no evidence leaves the magnitude, none exceeds it."""

import numpy as np
import pytest

from petechia.contrast.combine import combine_magnitude
from petechia.contrast.weighting import METHODS
from petechia.core.grid import Grid
from petechia.errors import GridMismatchError, InputError

GRID = Grid((17, 15, 7), np.diag([0.5, 0.6, 2.0, 1.0]))
TE_S = (0.01, 0.02)


def inputs(name: str) -> dict:
    rng = np.random.default_rng(0)
    n_echoes = (2,) if "te_s" in METHODS[name].needs else ()
    return {
        "magnitude": (100 * rng.random((*n_echoes, *GRID.shape))).astype(np.float32),
        "te_s": TE_S,
        "highpass_rad": rng.uniform(-np.pi, np.pi, GRID.shape).astype(np.float32),
        "field_ppm": rng.normal(0, 0.1, GRID.shape).astype(np.float32),
        "chi_ppm": rng.normal(0, 0.3, GRID.shape).astype(np.float32),
        "mask": np.ones(GRID.shape, bool),
    }


def alone(magnitude: np.ndarray) -> np.ndarray:
    """What there is to weight: the magnitude, or its echoes combined."""
    return combine_magnitude(magnitude, TE_S) if magnitude.ndim == 4 else magnitude


def weigh(name: str, available: dict, grid: Grid = GRID) -> np.ndarray:
    (image,) = METHODS[name](available, grid=grid)
    return image


@pytest.fixture(params=sorted(METHODS))
def name(request) -> str:
    return request.param


def test_between_zero_and_the_magnitude(name):
    available = inputs(name)
    image = weigh(name, available)
    whole = alone(available["magnitude"])
    assert image.dtype == np.float32
    assert image.min() >= 0
    assert np.all(image <= whole)
    assert image.sum() < whole.sum()


def test_without_evidence_nothing_is_told_apart(name):
    available = inputs(name)
    for key in ("highpass_rad", "field_ppm", "chi_ppm"):
        available[key] = np.zeros(GRID.shape, np.float32)
    whole = alone(available["magnitude"])
    part = weigh(name, available) / whole
    assert part.max() - part.min() < 1e-6
    assert part.min() > 0.85


def test_what_gathers_positive_phase_is_dark_where_it_is(name):
    """Positive field inside a vein along the main field; the other sign is left bright."""
    vein = np.zeros(GRID.shape, np.float32)
    vein[8, 7] = 1.0
    available = inputs(name) | {"magnitude": np.ones(inputs(name)["magnitude"].shape, np.float32)}
    evidence = ("highpass_rad", "field_ppm", "chi_ppm")
    dark = weigh(name, available | dict.fromkeys(evidence, vein))
    bright = weigh(name, available | dict.fromkeys(evidence, -vein))
    around = np.median(dark)
    assert np.all(dark[8, 7] < 0.5 * around)
    assert np.argwhere(dark < 0.6 * around)[:, :2].tolist() == [[8, 7]] * 7
    assert np.all(bright[8, 7] >= np.median(bright))


@pytest.mark.parametrize("axes", [(1, 2, 0), (2, 0, 1), (1, 0, 2)])
def test_it_turns_with_the_volume(name, axes):
    available = inputs(name)
    turned = {
        key: np.moveaxis(value, [a - 3 for a in axes], [-3, -2, -1])
        for key, value in available.items()
        if key != "te_s"
    }
    grid = Grid(tuple(GRID.shape[a] for a in axes), GRID.affine[:, [*axes, 3]])
    image = weigh(name, turned | {"te_s": TE_S}, grid)
    np.testing.assert_allclose(image, weigh(name, available).transpose(axes), rtol=2e-4, atol=1e-3)


def test_nothing_in_nothing_out(name):
    available = inputs(name)
    assert not weigh(name, available | {"magnitude": 0 * available["magnitude"]}).any()


def test_it_scales_with_the_magnitude(name):
    available = inputs(name)
    image = weigh(name, available)
    scaled = weigh(name, available | {"magnitude": 8 * available["magnitude"]})
    np.testing.assert_allclose(scaled, 8 * image, rtol=1e-6)


def test_inputs_are_left_alone(name):
    available = inputs(name)
    for value in available.values():
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
    weigh(name, available)
    for key, value in inputs(name).items():
        np.testing.assert_array_equal(available[key], value)


def test_bad_input_is_named(name):
    available = inputs(name)
    arrays = [key for key in METHODS[name].needs if key != "te_s"]
    for argument in arrays:
        with pytest.raises(GridMismatchError, match=argument):
            weigh(name, available | {argument: available[argument][..., 1:]})
    for argument in set(arrays) - {"mask"}:
        broken = available[argument].copy()
        broken[..., 0] = np.inf
        with pytest.raises(InputError, match=rf"{argument}: .* not finite"):
            weigh(name, available | {argument: broken})
