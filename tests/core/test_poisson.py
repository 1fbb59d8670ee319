"""Poisson's equation in masks of any shape."""

import numpy as np
import pytest

from petechia.core.poisson import minus_laplacian, solve_poisson


def mask_of(shape, seed=0):
    """An ellipsoid with a bite out of it and a hole."""
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    mask = x**2 + y**2 + z**2 < 0.9
    mask &= ~((x > 0.3) & (y > 0.1))
    mask &= (x + 0.4) ** 2 + y**2 + z**2 > 0.04
    mask[[0, -1]] = mask[:, [0, -1]] = mask[:, :, [0, -1]] = False
    return mask


@pytest.mark.parametrize("shape", [(33, 29, 31), (40, 22, 36), (9, 64, 7), (5, 5, 5)], ids=str)
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.5, 0.5, 2.0), (0.7, 3.0, 0.7)], ids=str)
def test_a_known_solution_comes_back_in_few_steps(shape, spacing):
    free = mask_of(shape)
    rng = np.random.default_rng(0)
    smooth = np.cumsum(rng.normal(size=shape), axis=0)
    true = np.where(free, smooth, 0).astype(np.float32)
    right = minus_laplacian(true, free, np.array(spacing))
    found = solve_poisson(right, free, np.array(spacing), iterations=20, tolerance=1e-5)
    assert not found[~free].any()
    assert np.linalg.norm(found - true) < 2e-3 * np.linalg.norm(true)


def test_the_number_of_steps_hardly_grows_with_the_mask():
    for n in (17, 33, 65):
        free = mask_of((n, n, n))
        right = np.where(free, 1, 0).astype(np.float32)
        found = solve_poisson(right, free, np.ones(3), iterations=18, tolerance=0.0)
        left = right - minus_laplacian(found, free, np.ones(3))
        assert np.linalg.norm(left) < 1e-3 * np.linalg.norm(right)


def test_the_laplacian_is_symmetric_and_positive():
    free = mask_of((15, 13, 14))
    rng = np.random.default_rng(1)
    a, b = (np.where(free, rng.normal(size=free.shape), 0).astype(np.float32) for _ in range(2))
    spacing = np.array([1.0, 0.8, 1.7])
    ab = np.vdot(a, minus_laplacian(b, free, spacing))
    assert ab == pytest.approx(np.vdot(minus_laplacian(a, free, spacing), b), rel=1e-4)
    assert np.vdot(a, minus_laplacian(a, free, spacing)) > 0


def test_the_torsion_of_a_long_bar_is_the_closed_form():
    """u = (R^2 - r^2) / 4 in a round bar, far from its ends."""
    n, radius = 41, 16.0
    x, y, _ = np.meshgrid(*[np.arange(m) - m // 2 for m in (n, n, 91)], indexing="ij")
    free = x**2 + y**2 < radius**2
    free[:, :, [0, -1]] = False
    found = solve_poisson(free.astype(np.float32), free, np.ones(3), tolerance=1e-5)
    assert found[20, 20, 45] == pytest.approx(radius**2 / 4, rel=0.05)
