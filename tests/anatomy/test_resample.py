"""Volumes keep their place when their grid changes."""

import numpy as np
import pytest

from petechia.anatomy.resample import coarse_grid, to_grid
from petechia.core.grid import Grid

C, S = np.cos(np.deg2rad(20.0)), np.sin(np.deg2rad(20.0))
TILTED = np.eye(4)
TILTED[:3, :3] = np.array([[1, 0, 0], [0, C, -S], [0, S, C]]) * (0.7, 0.9, 2.5)
FINE = Grid((41, 36, 23), TILTED)


def test_coarse_grid_covers_the_same_field_of_view():
    coarse = coarse_grid(FINE, 3.0)
    for corner in ((0, 0, 0), (1, 1, 1), (0, 1, 0)):
        c = np.array(corner)
        np.testing.assert_allclose(
            coarse.to_mm(c * coarse.shape - 0.5), FINE.to_mm(c * FINE.shape - 0.5), atol=1e-9
        )
    assert (coarse.spacing_mm >= FINE.spacing_mm - 1e-9).all()
    assert coarse.spacing_mm[0] == pytest.approx(3.0, rel=0.25)


@pytest.mark.parametrize("spacing_mm", [1.0, 1.5, 2.2, 3.0])
def test_a_linear_field_keeps_its_values(spacing_mm):
    """Averaging before sampling must not shift: a ramp of world x stays a ramp of world x."""
    coarse = coarse_grid(FINE, spacing_mm)
    ramp = FINE.to_mm(np.moveaxis(np.indices(FINE.shape), 0, -1))[..., 0]
    want = coarse.to_mm(np.moveaxis(np.indices(coarse.shape), 0, -1))[..., 0]
    got = to_grid(ramp.astype(np.float32), FINE, coarse)
    inner = (slice(2, -2), slice(2, -2), slice(2, -2))
    np.testing.assert_allclose(got[inner], want[inner], atol=0.02)


def test_labels_stay_labels():
    rng = np.random.default_rng(0)
    labels = rng.choice([0, 3, 17], size=FINE.shape).astype(np.int16)
    out = to_grid(labels, FINE, coarse_grid(FINE, 2.0), order=0)
    assert out.dtype == np.int16
    assert set(np.unique(out)) <= {0, 3, 17}


def test_averaging_keeps_the_mean_of_noise_and_lowers_its_spread():
    noise = np.random.default_rng(1).normal(5, 1, (40, 40, 40)).astype(np.float32)
    grid = Grid(noise.shape)
    out = to_grid(noise, grid, coarse_grid(grid, 4.0))
    assert out.mean() == pytest.approx(5, abs=0.02)
    assert out.std() < 0.25
