"""Source separation in closed form, and where it may be believed."""

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.core.kernels import forward_field
from petechia.errors import ParameterError
from petechia.qsm.inversion.tv import tv
from petechia.qsm.separation.chi_separation import ChiSeparationParams, chi_separation
from petechia.qsm.separation.rates import assumed_r2, decay_seen, r2prime_from
from petechia.qsm.separation.voxelwise import voxelwise

GRID = Grid.from_spacing((21, 19, 17), (1.0, 1.0, 1.0))


def test_any_two_sources_come_back_exactly():
    rng = np.random.default_rng(3)
    positive = rng.uniform(0, 1, GRID.shape)
    negative = -rng.uniform(0, 1, GRID.shape)
    mask = np.ones(GRID.shape, bool)
    found = voxelwise(
        (positive + negative).astype(np.float32),
        (137 * 7 / 3 * (positive - negative)).astype(np.float32),
        7.0, mask, GRID,
    )  # fmt: skip
    np.testing.assert_allclose(found[0], positive, atol=1e-5)
    np.testing.assert_allclose(found[1], negative, atol=1e-5)


def test_the_sum_is_the_map_whatever_the_rate():
    rng = np.random.default_rng(4)
    chi = rng.normal(0, 0.2, GRID.shape).astype(np.float32)
    rate = rng.uniform(0, 60, GRID.shape).astype(np.float32)
    positive, negative = voxelwise(chi, rate, 3.0, np.ones(GRID.shape, bool), GRID)
    np.testing.assert_allclose(positive + negative, chi, atol=1e-6)


def test_a_bound_from_r2prime_holds_streaks_down():
    """A field with one wrong voxel: total variation streaks where nothing dephases."""
    x, y, z = np.indices(GRID.shape) - np.array([10, 9, 8])[:, None, None, None]
    away = np.sqrt(x**2 + y**2 + z**2)
    chi = (0.5 * (away < 2.5)).astype(np.float32)
    field = forward_field(chi, GRID, 15.0)
    field[14, 9, 8] += 0.4
    mask = away < 8
    rate = (137 * chi).astype(np.float32)
    plain = tv(field, None, mask, GRID)
    params = ChiSeparationParams(bound=3.0, iterations=80, tolerance=0.003)
    positive, negative = chi_separation(field, rate, 3.0, None, mask, GRID, params)
    far = mask & (away > 3.5)
    assert (positive + negative)[far].std() < 0.6 * plain[far].std()


def test_r2prime_is_what_is_left_and_never_negative():
    rate = np.full(GRID.shape, 20.0, np.float32)
    rate[0] = 5.0
    mask = np.ones(GRID.shape, bool)
    found = r2prime_from(rate, 12.0, mask, GRID)
    assert not found[0].any()
    np.testing.assert_allclose(found[1:], 8.0)
    measured = np.full(GRID.shape, 15.0, np.float32)
    np.testing.assert_allclose(r2prime_from(rate, measured, mask, GRID)[1:], 5.0)


def test_tissue_has_an_r2_where_it_was_measured_only():
    assert 10 < assumed_r2(3.0) < 15
    assert assumed_r2(1.5) == assumed_r2(3.0)
    with pytest.raises(ParameterError, match=r"7 T.*--r2"):
        assumed_r2(7.0)


def test_a_void_is_where_the_third_echo_is_noise():
    magnitude = np.full((4, *GRID.shape), 100.0, np.float32)
    magnitude[1:, 5, 5, 5] = 3.0
    magnitude[3, 6, 6, 6] = 3.0
    seen = decay_seen(magnitude, 2.0, GRID)
    assert not seen[5, 5, 5]
    assert seen[6, 6, 6]
    assert (~seen).sum() == 1
    with pytest.raises(ParameterError, match="one echo has no decay"):
        decay_seen(magnitude[:1], 2.0, GRID)
