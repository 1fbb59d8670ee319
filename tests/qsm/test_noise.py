"""The noise map against Monte Carlo."""

import numpy as np
import pytest

from petechia.core.fourier import irfft3, pad_to, padded_grid, rfft3
from petechia.core.grid import Grid
from petechia.core.kernels import forward_field
from petechia.errors import GridMismatchError, InputError
from petechia.qsm.inversion.tv import tv
from petechia.qsm.noise import PAD_MM, chi_noise, linear_inverse

SHAPE = (30, 31, 32)


def ball(grid: Grid, radius_mm: float) -> np.ndarray:
    index = np.indices(grid.shape).reshape(3, -1) - np.array(grid.shape)[:, None] / 2
    return np.linalg.norm(grid.affine[:3, :3] @ index, axis=0).reshape(grid.shape) < radius_mm


@pytest.mark.parametrize("spacing_mm", [(1, 1, 1), (0.8, 0.8, 1.8)])
def test_it_is_the_spread_of_the_linear_inversion(spacing_mm):
    """Uneven noise through the inversion the map is documented to follow."""
    grid = Grid.from_spacing(SHAPE, spacing_mm, (0.0, 0.3, 1.0))
    mask = ball(grid, 12)
    sigma = (0.002 + 0.02 * (np.arange(SHAPE[0]) > 15))[:, None, None] * np.ones(SHAPE)
    predicted = chi_noise(sigma.astype(np.float32), mask, grid)
    wide = padded_grid(grid, PAD_MM)
    inverse = linear_inverse(wide)
    rng = np.random.default_rng(0)
    total = np.zeros(SHAPE)
    runs = 150
    for _ in range(runs):
        field = sigma * rng.standard_normal(SHAPE) * mask
        chi = irfft3(rfft3(pad_to(field, wide.shape)) * inverse, wide.shape)
        total += chi[: SHAPE[0], : SHAPE[1], : SHAPE[2]] ** 2
    ratio = np.sqrt(total / runs)[mask] / predicted[mask]
    assert np.median(ratio) == pytest.approx(1, abs=0.02)
    assert np.quantile(ratio, 0.05) > 0.85
    assert np.quantile(ratio, 0.95) < 1.15


def test_it_stands_for_total_variation_over_tissue():
    """Rms over a structured map within 40 %: the approximation's documented reach."""
    grid = Grid((40, 40, 40))
    mask = ball(grid, 18)
    rng = np.random.default_rng(0)
    truth = 0.06 * (rng.random((10, 10, 10)) > 0.6).repeat(4, 0).repeat(4, 1).repeat(4, 2)
    field = forward_field(truth * mask, grid, 30)
    sigma = 0.003
    maps = [
        tv(field + sigma * rng.standard_normal(grid.shape), None, mask, grid) for _ in range(10)
    ]
    inner = ball(grid, 14)
    measured = np.sqrt(np.mean(np.var(maps, axis=0, ddof=1)[inner]))
    predicted = chi_noise(np.full(grid.shape, sigma, np.float32), mask, grid)
    stated = np.sqrt(np.mean(predicted[inner] ** 2))
    assert 1 / 1.4 < measured / stated < 1.4


def test_it_scales_with_the_noise_and_is_zero_outside():
    grid = Grid(SHAPE)
    mask = ball(grid, 10)
    sigma = np.full(SHAPE, 0.004, np.float32)
    one = chi_noise(sigma, mask, grid)
    assert one.dtype == np.float32
    assert not one[~mask].any()
    assert one[mask].min() > 0
    np.testing.assert_allclose(chi_noise(1e-9 * sigma, mask, grid), 1e-9 * one, rtol=1e-3)
    assert not chi_noise(np.zeros(SHAPE), mask, grid).any()


def test_bad_input_is_named():
    grid = Grid(SHAPE)
    mask = ball(grid, 10)
    with pytest.raises(GridMismatchError, match="field_noise_ppm"):
        chi_noise(np.ones((3, 3, 3)), mask, grid)
    with pytest.raises(InputError, match=r"field_noise_ppm: -1.0"):
        chi_noise(-np.ones(SHAPE), mask, grid)
    with pytest.raises(InputError, match="not finite"):
        chi_noise(np.full(SHAPE, np.inf), mask, grid)


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), (0.8, 0.9, 1.8)])
def test_the_inversion_does_not_know_the_unit_of_length(spacing_mm):
    """Voxels twice as large in every direction: the same factor for every frequency."""
    one, two = (
        linear_inverse(Grid.from_spacing(SHAPE, np.multiply(size, spacing_mm), (0.0, 0.3, 1.0)))
        for size in (1.0, 2.0)
    )
    np.testing.assert_allclose(two, one, rtol=1e-3, atol=1e-4 * np.abs(one).max())
