"""CLEAR-SWI: its mask, its scale, and what it does at the edge."""

import numpy as np
import pytest

from petechia.contrast.weighting.clear_swi import ClearSwiParams, clear_swi, sigmoid
from petechia.core.grid import Grid
from petechia.errors import InputError, ParameterError

GRID = Grid((41, 39, 5), np.diag([0.6, 0.6, 1.5, 1.0]))
TE_S = (0.007, 0.014, 0.021)


def head() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Field [ppm] of veins on a slope, the veins, and a disc of brain."""
    i, j, _ = np.indices(GRID.shape)
    mask = (i - 20) ** 2 + (j - 19) ** 2 < 17**2
    veins = np.zeros(GRID.shape, bool)
    veins[12::8, 11::8] = True
    rng = np.random.default_rng(0)
    field = 0.05 * i - 0.03 * j + 0.13 * veins + 0.004 * rng.normal(size=GRID.shape)
    return field.astype(np.float32), veins & mask, mask


def image(field, mask, **settings) -> np.ndarray:
    magnitude = np.multiply.outer((1.0, 0.8, 0.6), np.ones(GRID.shape, np.float32))
    return clear_swi(magnitude, TE_S, field, mask, GRID, ClearSwiParams(**settings))


def test_the_mask_is_the_published_sigmoid():
    phase = np.linspace(-3, 3, 601, dtype=np.float32).reshape(601, 1, 1)
    found = sigmoid(phase, 1, 4.0)
    scale = np.median(phase[phase > 0]) * 10 / 4
    np.testing.assert_allclose(found, (1 + np.tanh(1 - phase / scale)) / 2, atol=1e-6)
    np.testing.assert_allclose(sigmoid(-phase, -1, 4.0), found, atol=1e-6)
    assert (np.diff(found[:, 0, 0]) < 0).all()


def test_veins_are_dark_on_any_slope_up_to_the_edge():
    field, veins, mask = head()
    seen = image(field, mask)
    plain = np.sqrt(1 + 0.64 + 0.36)
    assert (seen[veins] < 0.3 * plain).all()
    assert (seen[mask & ~veins] > 0.4 * plain).mean() > 0.97
    np.testing.assert_allclose(seen[~mask], plain * (1 + np.tanh(1.0)) / 2, rtol=1e-5)


def test_neither_the_unit_of_the_field_nor_its_level_matters():
    field, _, mask = head()
    seen = image(field, mask)
    np.testing.assert_allclose(image(7 * field, mask), seen, atol=2e-4)
    np.testing.assert_allclose(image(field + 20, mask), seen, atol=2e-2)


def test_the_other_handedness_is_the_mirror():
    field, _, mask = head()
    mirrored = image(-field, mask, paramagnetic_phase_sign=-1)
    np.testing.assert_allclose(mirrored, image(field, mask), atol=1e-5)


def test_stronger_is_darker():
    field, veins, mask = head()
    dark = [image(field, mask, strength=s)[veins].mean() for s in (1.0, 2.0, 4.0)]
    assert dark[0] > dark[1] > dark[2] >= 0


def test_an_empty_mask_tells_nothing_apart():
    field, _, mask = head()
    seen = image(field, np.zeros_like(mask))
    assert seen.min() == seen.max() > 0


def test_bad_input_is_named():
    field, _, mask = head()
    with pytest.raises(InputError, match=r"magnitude: shape .* is not \(echo, i, j, k\)"):
        clear_swi(np.ones(GRID.shape), TE_S, field, mask, GRID)
    with pytest.raises(ParameterError, match="2 echo times"):
        clear_swi(np.ones((3, *GRID.shape)), TE_S[:2], field, mask, GRID)
    with pytest.raises(ParameterError, match=r"ClearSwiParams.strength"):
        ClearSwiParams(strength=0)
    with pytest.raises(ParameterError, match=r"ClearSwiParams.sigma_vox"):
        ClearSwiParams(sigma_vox=0)
    with pytest.raises(ParameterError, match="0 is neither"):
        ClearSwiParams(paramagnetic_phase_sign=0)
