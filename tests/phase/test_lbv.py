"""Laplacian boundary values against what is known of harmonic fields."""

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.core.kernels import forward_field
from petechia.core.poisson import minus_laplacian
from petechia.errors import ParameterError, UnfitError
from petechia.phase.background.lbv import LbvParams, lbv

GRID = Grid.from_spacing((36, 33, 31), (1.0, 0.8, 1.6), b0_dir=(0.2, 0.3, 0.9))


def places():
    index = np.indices(GRID.shape) - (np.array(GRID.shape)[:, None, None, None] - 1) / 2
    return index * GRID.spacing_mm[:, None, None, None]


def ball(radius_mm=12.0):
    return np.linalg.norm(places(), axis=0) <= radius_mm


def test_polynomials_that_are_harmonic_on_the_grid_leave_nothing():
    x, y, z = places()
    field = (3 + 0.2 * x - z + 0.03 * (x * x - y * y) + 0.02 * x * z).astype(np.float32)
    local, _ = lbv(field, ball(), GRID, LbvParams(tolerance=1e-5))
    assert np.abs(local).max() < 1e-3 * np.abs(field[ball()]).max()


def test_the_local_field_has_the_laplacian_of_the_total_one():
    rng = np.random.default_rng(0)
    field = forward_field(rng.normal(size=GRID.shape).astype(np.float32), GRID, 20.0)
    local, inner = lbv(field, ball(), GRID, LbvParams(tolerance=1e-5))
    spacing = GRID.spacing_mm
    want = minus_laplacian(field, inner, spacing)
    got = minus_laplacian(local, inner, spacing)
    assert np.linalg.norm(got - want) < 1e-3 * np.linalg.norm(want)


def test_only_voxels_with_six_neighbours_are_kept_and_peeling_takes_more():
    mask = ball()
    _local, inner = lbv(np.ones(GRID.shape, np.float32), mask, GRID)
    for axis in range(3):
        for step in (1, -1):
            assert not (inner & ~np.roll(mask, step, axis)).any()
    _, peeled = lbv(np.ones(GRID.shape, np.float32), mask, GRID, LbvParams(peel_mm=3.0))
    assert peeled.sum() < inner.sum()
    assert not (peeled & ~ball(10.0)).any()


def test_a_mask_up_to_the_border_of_the_volume_is_taken():
    field = np.random.default_rng(0).normal(size=GRID.shape).astype(np.float32)
    local, inner = lbv(field, np.ones(GRID.shape, bool), GRID)
    assert np.isfinite(local).all()
    assert inner.sum() == np.prod(np.array(GRID.shape) - 2)


def test_a_thin_mask_is_named():
    mask = np.zeros(GRID.shape, bool)
    mask[:, :, 4:6] = True
    with pytest.raises(UnfitError, match="no voxel lies inside the mask of"):
        lbv(np.zeros(GRID.shape, np.float32), mask, GRID)


@pytest.mark.parametrize("given", [{"peel_mm": -1.0}, {"tolerance": 1.0}, {"iterations": 0}])
def test_bad_settings_are_named(given):
    with pytest.raises(ParameterError, match=f"LbvParams.{next(iter(given))}"):
        LbvParams(**given)
