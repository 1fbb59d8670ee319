"""Angles and phasors on blocks."""

import numpy as np

from petechia.core.blocks import Blocks
from petechia.core.grid import Grid
from petechia.core.units import wrap
from petechia.phase.smooth import angle, block_phasors, block_sums, difference, smooth_angle


def test_angles_are_those_of_numpy():
    rng = np.random.default_rng(0)
    z = (rng.standard_normal(4000) + 1j * rng.standard_normal(4000)) * 10.0 ** rng.uniform(
        -9, 9, 4000
    )
    exact = np.array([0, 1, -1, 1j, -1j, 1 + 1j, 1 - 1j, -1 + 1j, -1 - 1j])
    z = np.concatenate([z, exact]).astype(np.complex64)
    assert np.abs(angle(z) - np.angle(z)).max() < 6e-7


def test_differences_are_wrapped():
    rng = np.random.default_rng(1)
    a, b = rng.uniform(-20, 20, (2, 5, 6, 7)).astype(np.float32)
    found = difference(a, b)
    assert np.abs(found).max() <= np.pi + 1e-5
    assert np.allclose(wrap(found - (a - b)), 0, atol=1e-5)


def test_sums_over_blocks_are_those_of_the_voxels():
    rng = np.random.default_rng(2)
    turn, weight = rng.uniform(0, 1, (2, 7, 5, 6)).astype(np.float32)
    blocks = Blocks.of(Grid.from_spacing((7, 5, 6), 1.0), 2.0)
    sums = block_phasors(turn, weight, blocks)
    assert sums.shape == blocks.coarse.shape == (4, 3, 3)
    each = weight * np.exp(1j * turn)
    assert np.isclose(sums[0, 1, 2], each[:2, 2:4, 4:].sum(), rtol=1e-5)
    assert np.isclose(sums.sum(), each.sum(), rtol=1e-5)
    values = (each * 2j).astype(np.complex64)
    turned = block_sums(values, turn, weight, blocks)
    assert np.isclose(turned.sum(), (values * each.conj()).sum(), rtol=1e-5)


def test_a_wrapped_ramp_stays_itself_when_smoothed():
    grid = Grid.from_spacing((40, 30, 20), (1.0, 1.2, 1.5))
    ramp = 0.15 * np.arange(40)[:, None, None] - 0.1 * np.arange(30)[:, None] + np.zeros(20)
    found = smooth_angle(wrap(ramp), np.ones(grid.shape, np.float32), grid, 4.0)
    inner = np.s_[12:-12, 10:-10, 8:-8]
    assert np.abs(wrap(found - ramp))[inner].max() < 0.02
