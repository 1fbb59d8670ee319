"""The canonical order of axes: the same places, whatever the order and direction they came in."""

from itertools import permutations, product

import numpy as np
import pytest

from petechia.core.canonical import Canonical
from petechia.core.grid import Grid
from petechia.simulate.protocols import rotation

SHAPE, SPACING = (4, 5, 6), (0.5, 0.7, 2.0)


def stored(order, flips, tilt):
    """A volume and its grid, with axes reordered and turned round; and as they were."""
    affine = np.eye(4)
    affine[:3, :3] = rotation(*tilt) * np.array(SPACING)
    affine[:3, 3] = (-3.0, 8.0, 1.0)
    volume = np.random.default_rng(0).normal(size=SHAPE)
    base = Grid(SHAPE, affine)
    turned, other = volume.transpose(order), affine.copy()
    other[:3, :3] = affine[:3, list(order)]
    for axis, back in enumerate(flips):
        if back:
            turned = np.flip(turned, axis)
            other[:3, 3] += (turned.shape[axis] - 1) * other[:3, axis]
            other[:3, axis] *= -1
    return volume, base, turned, Grid(turned.shape, other)


@pytest.mark.parametrize("tilt", [(0.0, 0.0, 0.0), (0.35, -0.2, 0.3)], ids=["straight", "oblique"])
def test_every_order_of_axes_comes_to_the_same(tilt):
    for order, flips in product(permutations(range(3)), product((False, True), repeat=3)):
        volume, base, turned, grid = stored(order, flips, tilt)
        canonical = Canonical.of(grid)
        assert np.array_equal(canonical.forth(turned), volume)
        np.testing.assert_allclose(canonical.grid.affine, base.affine, atol=1e-9)
        assert canonical.grid.shape == base.shape
        assert np.array_equal(canonical.back(volume), turned)
        echoes = np.stack([turned, 2 * turned])
        assert np.array_equal(canonical.forth(echoes)[1], 2 * volume)
        assert np.array_equal(canonical.back(canonical.forth(echoes)), echoes)


def test_what_is_canonical_stays_as_it_is():
    grid = Grid(SHAPE, np.diag([*SPACING, 1.0]))
    canonical = Canonical.of(grid)
    assert canonical.order == (0, 1, 2)
    assert canonical.flipped == (False, False, False)
    assert np.array_equal(canonical.grid.affine, grid.affine)
