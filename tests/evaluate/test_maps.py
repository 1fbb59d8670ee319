"""Map errors against closed forms, brute force and the scorers of the QSM-CI project."""

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.errors import GridMismatchError, InputError, ParameterError
from petechia.evaluate.maps import (
    correlation,
    hfen,
    linear_fit,
    map_errors,
    nrmse,
    rate_bias,
    region_bias,
    ssim,
    streaking,
    xsim,
)

SHAPE = (17, 15, 13)


@pytest.fixture
def maps():
    rng = np.random.default_rng(6)
    true = rng.normal(0, 0.05, SHAPE).astype(np.float32)
    found = (0.8 * true + rng.normal(0, 0.02, SHAPE) + 0.01).astype(np.float32)
    mask = np.zeros(SHAPE, dtype=bool)
    mask[2:-2, 2:-2, 2:-2] = True
    return found, true, mask


def test_a_map_against_itself_is_perfect(maps):
    _, true, mask = maps
    errors = map_errors(true, true, mask, tissue=mask)
    for name in ("nrmse", "nrmse_detrended", "hfen", "nrmse_tissue"):
        assert errors[name] == pytest.approx(0, abs=1e-9)
    for name in ("xsim", "ssim", "correlation", "slope", "coverage"):
        assert errors[name] == pytest.approx(1)


def test_a_scale_is_an_error_only_before_detrending(maps):
    _, true, mask = maps
    assert nrmse(1.5 * true + 0.3, true, mask) == pytest.approx(50.0, rel=1e-5)
    assert nrmse(1.5 * true + 0.3, true, mask, detrend=True) == pytest.approx(0, abs=1e-4)
    assert hfen(1.5 * true, true, mask) == pytest.approx(50.0, rel=1e-5)
    assert correlation(-2 * true + 1, true, mask) == pytest.approx(-1)
    assert nrmse(0 * true, true, mask) == pytest.approx(100)


def test_detrended_error_follows_from_the_correlation(maps):
    # (found - b) / a leaves sqrt(1 / r^2 - 1) of the truth's size
    found, true, mask = maps
    r = correlation(found, true, mask)
    expected = 100 * np.sqrt(1 / r**2 - 1)
    assert nrmse(found, true, mask, detrend=True) == pytest.approx(expected, rel=1e-4)


def test_values_outside_the_mask_do_not_matter(maps):
    found, true, mask = maps
    wild = np.where(mask, found, 1e3)
    for measure in (nrmse, hfen, xsim, ssim, correlation):
        assert measure(wild, true, mask) == pytest.approx(measure(found, true, mask))


def brute_similarity(a, b, mask, windows, c1, c2):
    a, b = np.where(mask, a, 0.0).astype(float), np.where(mask, b, 0.0).astype(float)
    values = []
    for place in np.argwhere(mask):
        index, weight = windows(place)
        x, y = a[index], b[index]
        mx, my = (weight * x).sum(), (weight * y).sum()
        vx, vy = (weight * x * x).sum() - mx**2, (weight * y * y).sum() - my**2
        cov = (weight * x * y).sum() - mx * my
        values.append((2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2)))
    return np.mean(values)


def test_xsim_agrees_with_the_definition_voxel_by_voxel(maps):
    found, true, mask = maps

    def window(place):
        index = tuple(
            slice(max(0, p - 2), min(n, p + 3)) for p, n in zip(place, SHAPE, strict=True)
        )
        size = np.prod([s.stop - s.start for s in index])
        return index, 1 / size

    expected = brute_similarity(found, true, mask, window, 1e-4, 1e-6)
    assert xsim(found, true, mask) == pytest.approx(expected, rel=1e-6)


def test_ssim_agrees_with_the_definition_voxel_by_voxel(maps):
    found, true, _ = maps
    mask = np.zeros(SHAPE, dtype=bool)
    mask[6:11, 6:9, 6:7] = True  # far from the border: the whole 11-wide window fits
    taps = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    taps /= taps.sum()
    weight = taps[:, None, None] * taps[None, :, None] * taps[None, None, :]
    span = np.ptp(true[mask])

    def window(place):
        return tuple(slice(p - 5, p + 6) for p in place), weight

    expected = brute_similarity(found, true, mask, window, (0.01 * span) ** 2, (0.03 * span) ** 2)
    assert ssim(found, true, mask) == pytest.approx(expected, rel=1e-6)


def test_scorers_of_qsm_ci_say_the_same(maps):
    oracle = pytest.importorskip("qsm_ci.qsm_eval")
    found, true, mask = maps
    a, b = np.where(mask, found, 0.0), np.where(mask, true, 0.0)
    plain, detrended = oracle.nrmse_challenge(a, b, mask)
    assert nrmse(found, true, mask) == pytest.approx(plain, rel=1e-5)
    assert nrmse(found, true, mask, detrend=True) == pytest.approx(detrended, rel=1e-5)
    assert hfen(found, true, mask) == pytest.approx(oracle.hfen(a, b, mask), rel=1e-5)
    assert xsim(found, true, mask) == pytest.approx(oracle.xsim(a, b, mask), rel=1e-5)
    assert correlation(found, true, mask) == pytest.approx(oracle.correlation(a, b, mask), rel=1e-5)


def test_streaks_are_the_spread_of_the_error_near_sources():
    grid = Grid((31, 31, 31))
    rng = np.random.default_rng(8)
    mask = np.ones(grid.shape, dtype=bool)
    sources = np.zeros(grid.shape, dtype=bool)
    sources[15, 15, 15] = True
    away = np.linalg.norm(np.argwhere(mask) - 15, axis=1).reshape(grid.shape)
    true = rng.normal(0, 0.01, grid.shape)
    true[sources] = 2.0
    noise = rng.normal(size=grid.shape) * np.where(away <= 7, 0.2, 0.05)
    found = true + noise
    result = streaking(found, true, mask, sources, grid)
    shell = (away > 3) & (away <= 7)
    assert result.n_voxels == shell.sum()
    assert result.sd_ppm == pytest.approx(0.2, rel=0.05)
    assert result.relative == pytest.approx(result.sd_ppm / 2.0)
    assert result.against_elsewhere == pytest.approx(4.0, rel=0.05)
    # a scale and an offset are no streaks
    assert streaking(0.7 * true + 1, true, mask, sources, grid).sd_ppm == pytest.approx(0, abs=1e-9)


def test_streaks_need_sources_and_a_shell():
    grid = Grid((9, 9, 9))
    true, mask = np.zeros(grid.shape), np.ones(grid.shape, dtype=bool)
    none = np.zeros(grid.shape, dtype=bool)
    assert streaking(true, true, mask, none, grid) is None
    assert streaking(true, true, mask, mask, grid) is None
    with pytest.raises(ParameterError, match="nearer first"):
        streaking(true, true, mask, mask, grid, (5.0, 2.0))


def test_region_means_have_bias_and_slope():
    labels = np.zeros((9, 9, 9), dtype=np.int16)
    labels[:3], labels[3:6], labels[6:] = 1, 2, 3
    labels[0, 0, 0] = 4  # too small
    true = np.choose(np.minimum(labels, 3), [0, 0.1, 0.2, 0.05]).astype(np.float32)
    mask = np.ones(labels.shape, dtype=bool)
    names = {1: "left pallidum", 2: "right pallidum", 3: "thalamus", 4: "speck"}
    rows, slope = region_bias(0.5 * true + 0.01, true, labels, names, mask)
    assert [r.name for r in rows] == ["left pallidum", "right pallidum", "thalamus"]
    assert rows[0].bias == pytest.approx(0.06 - 0.1, abs=1e-6)
    assert slope == pytest.approx(0.5, rel=1e-5)
    assert np.isnan(region_bias(true, true, labels, {1: "one"}, mask)[1])


def test_rate_bias_of_a_known_error():
    true = np.full((5, 5, 5), 20.0)
    true[0] = 40.0
    true[1] = 0.0
    found = rate_bias(true * 1.1, true, np.ones(true.shape, dtype=bool))
    assert found.n_voxels == 100
    assert found.median_relative == pytest.approx(0.1)
    assert found.slope == pytest.approx(1.1)
    assert found.bias == pytest.approx((25 * 4 + 75 * 2) / 100)


def test_a_flat_truth_has_no_norm():
    flat, mask = np.ones((7, 7, 7)), np.ones((7, 7, 7), dtype=bool)
    assert np.isnan(nrmse(flat, flat, mask))
    assert np.isnan(ssim(flat, flat, mask))
    assert np.isnan(correlation(flat, flat, mask))
    assert np.isnan(linear_fit([1, 1], [2, 3])[0])


def test_bad_input_is_named(maps):
    found, true, mask = maps
    with pytest.raises(GridMismatchError, match="Resample"):
        nrmse(found[1:], true, mask)
    with pytest.raises(InputError, match="the mask is empty"):
        xsim(found, true, ~mask & mask)
    broken = found.copy()
    broken[8, 8, 8] = np.nan
    with pytest.raises(InputError, match="not finite"):
        hfen(broken, true, mask)
