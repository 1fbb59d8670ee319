"""Motion ghosts of a known strength, along either axis of the slices."""

import numpy as np
import pytest
from scipy import ndimage

from petechia.anatomy.ghosting import ghosting
from petechia.core.grid import Grid
from petechia.errors import GridMismatchError

GRID = Grid.from_spacing((72, 80, 20), (3.0, 3.0, 5.0))


@pytest.fixture(scope="module")
def head():
    """A ball of signal 100 in Rayleigh noise of sigma 2, with a brain in it."""
    index = np.indices(GRID.shape)
    middle = (np.array(GRID.shape)[:, None, None, None] - 1) / 2
    away = np.linalg.norm((index - middle) * GRID.spacing_mm[:, None, None, None], axis=0)
    rng = np.random.default_rng(0)
    noise = np.hypot(*rng.normal(0, 2, (2, *GRID.shape)))
    return np.where(away < 60, 100.0, noise).astype(np.float32), away < 60, away < 45


@pytest.mark.parametrize("axis", [0, 1])
def test_a_ghost_is_told_by_its_strength(head, axis):
    magnitude, mask, brain = head
    beside = mask.any(axis=axis, keepdims=True) & ~mask
    found = ghosting(magnitude + np.float32(8) * beside, mask, brain, GRID)
    assert found == pytest.approx(0.08, abs=0.005)


def test_even_air_has_none(head):
    magnitude, mask, brain = head
    assert ghosting(magnitude, mask, brain, GRID) < 0.003


def test_the_soft_rim_of_the_head_is_no_ghost(head):
    magnitude, mask, brain = head
    rim = ndimage.binary_dilation(mask, iterations=1) & ~mask
    assert ghosting(np.where(rim, 60, magnitude), mask, brain, GRID) < 0.003


def test_zeroed_air_and_no_air_cannot_be_judged(head):
    magnitude, mask, brain = head
    assert np.isnan(ghosting(magnitude * mask, mask, brain, GRID))
    assert np.isnan(ghosting(magnitude, np.ones_like(mask), brain, GRID))
    assert np.isnan(ghosting(magnitude, mask, np.zeros_like(brain), GRID))


def test_a_wrong_grid_is_named(head):
    magnitude, mask, brain = head
    with pytest.raises(GridMismatchError, match="brain"):
        ghosting(magnitude, mask, brain[1:], GRID)
