"""Head against air, and the noise of the air."""

import numpy as np
import pytest

from petechia.anatomy.head import head_mask, noise_level, otsu
from petechia.core.grid import Grid
from petechia.errors import InputError

GRID = Grid((50, 47, 33), np.diag([3.0, 3.0, 5.0, 1.0]))


def ball(radius_mm=60.0):
    axes = [(np.arange(n) - n // 2) * d for n, d in zip(GRID.shape, GRID.spacing_mm, strict=True)]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    return np.sqrt(x**2 + y**2 + z**2) <= radius_mm


def noisy(signal, sigma, seed=3):
    rng = np.random.default_rng(seed)
    real, imaginary = rng.normal(0, sigma, (2, *signal.shape))
    return np.hypot(signal + real, imaginary).astype(np.float32)


def test_head_with_a_dark_skull_is_filled():
    outer, skull = ball(60), ball(54) & ~ball(48)
    magnitude = noisy(np.where(skull, 4.0, 100.0) * outer, 2.0)
    head = head_mask(magnitude, GRID)
    assert head[ball(53)].mean() > 0.999
    assert 2 * (head & outer).sum() / (head.sum() + outer.sum()) > 0.96


def test_a_crop_without_air_is_all_head():
    magnitude = noisy(np.full(GRID.shape, 80.0), 3.0)
    magnitude[20:24, 20:24, 15] = 5  # a dark lesion is not air
    assert head_mask(magnitude, GRID).all()


@pytest.mark.parametrize("sigma", [0.5, 3.0, 8.0])
def test_noise_comes_from_the_air(sigma):
    assert noise_level(noisy(100.0 * ball(), sigma), GRID) == pytest.approx(sigma, rel=0.05)


def test_noise_comes_from_tissue_when_the_vendor_zeroed_the_air():
    magnitude = noisy(100.0 * ball(), 3.0) * ball(63)
    assert noise_level(magnitude, GRID) == pytest.approx(3.0, rel=0.15)


def test_noise_comes_from_tissue_when_there_is_no_air():
    ramp = np.linspace(60, 120, GRID.shape[0])[:, None, None] * np.ones(GRID.shape)
    assert noise_level(noisy(ramp, 2.0), GRID) == pytest.approx(2.0, rel=0.1)


def test_otsu_parts_two_heaps():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(10, 2, 3000), rng.normal(50, 5, 7000)])
    assert 15 < otsu(values) < 38


def test_bad_images_are_named():
    with pytest.raises(InputError, match="all voxels are 0"):
        head_mask(np.zeros(GRID.shape, np.float32), GRID)
    broken = np.ones(GRID.shape, np.float32)
    broken[1, 2, 3] = np.nan
    with pytest.raises(InputError, match=r"not finite, the first at \(1, 2, 3\)"):
        head_mask(broken, GRID)
