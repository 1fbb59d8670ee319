"""The trusted mask: the rim goes, the void of a lesion stays."""

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.errors import GridMismatchError, ParameterError
from petechia.phase.trust import TrustParams, trusted_mask


@pytest.fixture
def ball():
    grid = Grid((25, 27, 23))
    at = np.indices(grid.shape) - np.array(grid.shape)[:, None, None, None] // 2
    return grid, np.linalg.norm(at, axis=0)


def test_a_noisy_bay_at_the_rim_goes_and_an_enclosed_void_stays(ball):
    grid, r = ball
    mask = r < 10
    noise = np.full(grid.shape, 0.01, np.float32)
    noise[12, 13, 17:] = 0.2  # a bay from the rim inwards
    noise[8, 9, 9] = 0.2  # a lesion's void
    kept = trusted_mask(noise, mask, grid)
    assert not kept[12, 13, 17:].any()
    assert kept[8, 9, 9]
    assert kept.sum() == mask.sum() - mask[12, 13, 17:].sum()


def test_even_noise_keeps_everything_at_any_scale(ball):
    grid, r = ball
    mask = r < 8
    for scale in (1e-6, 1.0):
        noise = np.full(grid.shape, scale, np.float32)
        np.testing.assert_array_equal(trusted_mask(noise, mask, grid), mask)


def test_a_mask_that_fills_the_volume_has_a_rim_too():
    grid = Grid((7, 7, 7))
    noise = np.ones(grid.shape, np.float32)
    noise[0, 3, 3], noise[3, 3, 3] = 9.0, 9.0
    kept = trusted_mask(noise, np.ones(grid.shape, bool), grid)
    assert not kept[0, 3, 3]
    assert kept[3, 3, 3]


def test_a_crumb_cut_off_by_noise_is_left_out_and_a_part_is_not(ball):
    grid, r = ball
    mask = r < 10
    noise = np.ones(grid.shape, np.float32)
    noise[:, :, 16] = 50.0
    assert trusted_mask(noise, mask, grid)[:, :, 17:].any()  # a sixth of the ball
    noise[:, :, 13:] = 50.0
    noise[12, 13, 15] = 1.0  # a voxel by itself
    kept = trusted_mask(noise, mask, grid)
    assert mask[12, 13, 15]
    assert not kept[:, :, 13:].any()
    np.testing.assert_array_equal(kept[:, :, :13], mask[:, :, :13])


def test_nothing_in_nothing_out_and_bad_input_is_named(ball):
    grid, r = ball
    empty = np.zeros(grid.shape, bool)
    assert not trusted_mask(np.ones(grid.shape), empty, grid).any()
    with pytest.raises(GridMismatchError, match="field_noise_ppm"):
        trusted_mask(np.ones((2, 2, 2)), r < 5, grid)
    with pytest.raises(ParameterError, match=r"TrustParams\.noise_ratio: 0\.5 is outside"):
        TrustParams(noise_ratio=0.5)


def test_a_rim_voxel_goes_above_the_ratio_and_stays_below(ball):
    grid, r = ball
    mask = r < 10
    for over, stays in ((3.9, True), (4.1, False)):
        noise = np.ones(grid.shape, np.float32)
        noise[12, 13, 20] = over
        assert mask[12, 13, 20]
        assert not mask[12, 13, 21]
        assert trusted_mask(noise, mask, grid, TrustParams(noise_ratio=4.0))[12, 13, 20] == stays
