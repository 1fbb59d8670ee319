import numpy as np
import pytest

from petechia.contrast.projection import minimum_projection
from petechia.core.grid import Grid
from petechia.errors import GridMismatchError, InputError, ParameterError

GRID = Grid((5, 6, 21), np.diag([0.5, 0.5, 2.0, 1.0]))


def spot(grid: Grid = GRID) -> np.ndarray:
    volume = np.ones(grid.shape, np.float32)
    volume[tuple(n // 2 for n in grid.shape)] = 0.25
    return volume


@pytest.mark.parametrize(("slab_mm", "slices"), [(1.0, 1), (6.0, 3), (10.0, 5), (8.0, 4)])
def test_a_spot_is_seen_through_the_thickness_of_the_slab(slab_mm, slices):
    seen = minimum_projection(spot(), GRID, slab_mm)
    assert seen.dtype == np.float32
    assert (seen < 1).sum() == slices  # a line along the slice axis, and nothing in plane
    assert (seen[2, 3] < 1).sum() == slices
    assert seen[2, 3, 10] == 0.25


def test_the_slice_axis_is_the_thick_one_or_the_one_asked_for():
    grid = Grid((21, 6, 5), np.diag([2.0, 0.5, 0.5, 1.0]))
    seen = minimum_projection(spot(grid), grid, 6.0)
    np.testing.assert_array_equal(np.flatnonzero(seen[:, 3, 2] < 1), [9, 10, 11])
    across = minimum_projection(spot(grid), grid, 1.5, axis=1)
    np.testing.assert_array_equal(np.flatnonzero(across[10, :, 2] < 1), [2, 3, 4])


def test_it_is_the_minimum_of_the_slices():
    rng = np.random.default_rng(0)
    volume = rng.random(GRID.shape).astype(np.float32)
    seen = minimum_projection(volume, GRID, 10.0)
    for k in range(21):
        part = volume[:, :, max(k - 2, 0) : k + 3]
        np.testing.assert_array_equal(seen[:, :, k], part.min(axis=2))


@pytest.mark.parametrize(
    ("slab_mm", "slices"), [(0.5, 1), (2.0, 1), (9.0, 2), (11.0, 2), (17.0, 3)]
)
def test_thick_slices_are_counted_whole(slab_mm, slices):
    """Six millimetres from slice to slice: a slab thinner than that is the slice itself."""
    grid = Grid((7, 5, 9), np.diag([0.9, 0.9, 6.0, 1.0]))
    seen = minimum_projection(spot(grid), grid, slab_mm)
    at = np.flatnonzero(seen[3, 2] < 1)
    assert len(at) == slices
    assert 4 in at
    if slices == 1:
        np.testing.assert_array_equal(seen, spot(grid))


def test_a_slab_thicker_than_the_volume_is_the_volume():
    volume = np.random.default_rng(0).random(GRID.shape).astype(np.float32)
    seen = minimum_projection(volume, GRID, 500.0)
    np.testing.assert_array_equal(seen, np.repeat(volume.min(2, keepdims=True), 21, 2))


def test_bad_input_is_named():
    with pytest.raises(GridMismatchError, match="volume"):
        minimum_projection(spot()[1:], GRID, 8.0)
    with pytest.raises(ParameterError, match=r"slab_mm: 0\.0"):
        minimum_projection(spot(), GRID, 0.0)
    with pytest.raises(ParameterError, match="axis: 3 is not"):
        minimum_projection(spot(), GRID, 8.0, axis=3)
    with pytest.raises(InputError, match="not finite"):
        minimum_projection(np.full(GRID.shape, np.nan), GRID, 8.0)
