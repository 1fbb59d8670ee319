"""The single-step inversion: what comes from outside makes nothing inside."""

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.core.kernels import forward_field
from petechia.errors import ParameterError, UnfitError
from petechia.phase.background.vsharp import vsharp
from petechia.qsm.inversion.single_step import SingleStepParams, single_step
from petechia.qsm.inversion.tv import tv

GRID = Grid((49, 51, 47))
CENTRE = np.array([24, 25, 23])
DISTANCE = np.linalg.norm(
    np.indices(GRID.shape) - CENTRE.astype(float)[:, None, None, None], axis=0
)
MASK = DISTANCE < 17
FLAT = np.ones(GRID.shape, np.float32)


def background() -> np.ndarray:
    """The field of air around a head and of a cavity below it, by closed forms [ppm]."""
    index = np.indices(GRID.shape).reshape(3, -1) - CENTRE[:, None]
    away = index - np.array([2.0, -3.0, -24.0])[:, None]
    r = np.linalg.norm(away, axis=0)
    cavity = 9.0 / 3 * (5.0 / r) ** 3 * (3 * (away[2] / r) ** 2 - 1)
    ramp = 0.01 * index[0] - 0.02 * index[1] + 0.3
    return (cavity + ramp).reshape(GRID.shape).astype(np.float32)


def sources() -> np.ndarray:
    chi = np.zeros(GRID.shape, np.float32)
    chi[18:23, 20:26, 18:24] = 0.1
    chi[29:32, 27:32, 22:28] = -0.08
    chi[24:26, 15:17, 28:30] = 0.8
    return chi


def error(chi: np.ndarray, where: np.ndarray) -> float:
    truth = sources()
    off = (chi - chi[where].mean()) - (truth - truth[where].mean())
    return float(np.linalg.norm(off[where]) / np.linalg.norm(truth[where]))


@pytest.fixture(scope="module")
def total() -> np.ndarray:
    rng = np.random.default_rng(1)
    noise = 0.002 * rng.standard_normal(GRID.shape)
    return (forward_field(sources(), GRID) + background() + noise).astype(np.float32)


def test_sources_come_back_though_the_background_is_a_hundred_times_as_strong(total):
    assert np.ptp(background()[MASK]) > 20 * np.ptp(forward_field(sources(), GRID)[MASK]) / 10
    chi = single_step(total, None, FLAT, MASK, GRID)
    assert error(chi, DISTANCE < 16) < 0.35
    bleed = (slice(24, 26), slice(15, 17), slice(28, 30))
    assert chi[bleed].mean() > 0.5
    assert chi[29:32, 27:32, 22:28].mean() < -0.04


def test_it_beats_two_steps(total):
    local, valid = vsharp(total, MASK, GRID)
    two = error(tv(local, None, valid, GRID), valid)
    assert error(single_step(total, None, FLAT, MASK, GRID), valid) < 0.8 * two


def test_a_background_alone_makes_almost_nothing(total):
    clean = (forward_field(sources(), GRID) + background()).astype(np.float32)
    of_sources = single_step(clean, None, FLAT, MASK, GRID)
    alone = single_step(background(), None, FLAT, MASK, GRID)
    # two voxels deep: at the very rim the sampled sphere is a poor one
    deep = DISTANCE < 14
    assert np.abs(alone[deep]).max() < 0.05 * np.abs(of_sources[deep]).max()


def test_a_constant_is_nothing(total):
    chi = single_step(total, None, FLAT, MASK, GRID)
    shifted = single_step(total + np.float32(5.0), None, FLAT, MASK, GRID)
    np.testing.assert_allclose(shifted, chi, atol=2e-3)


def test_the_map_fills_the_mask_beyond_the_last_sphere():
    """A bleed in the outermost voxels is seen by its field in the voxels that have data."""
    chi_true = sources()
    chi_true[24:26, 25:27, 38:40] = 0.8  # 16 voxels from the centre, in the last layer
    total = (forward_field(chi_true, GRID) + background()).astype(np.float32)
    chi = single_step(total, None, FLAT, MASK, GRID)
    _, valid = vsharp(total, MASK, GRID)
    rim = MASK & ~valid
    assert rim[24:26, 25:27, 39].all()
    bleed = np.zeros(GRID.shape, bool)
    bleed[23:27, 24:28, 37:41] = True
    assert chi[bleed & MASK].sum() > 0.4 * chi_true[bleed].sum()
    assert not chi[~MASK].any()


def test_an_untrusted_rim_spoils_nothing(total):
    """Voxels of weight 0 at the rim take no part: whatever is in them, the map is the same."""
    weights = MASK.astype(np.float32)
    weights[:, :, 38:] = 0
    wild = total.copy()
    wild[:, :, 38:] = 40.0
    chi, again = (single_step(t, weights, FLAT, MASK, GRID) for t in (total, wild))
    np.testing.assert_allclose(again, chi, atol=1e-5)
    assert error(chi, MASK & (DISTANCE < 13)) < 0.4


def test_a_mask_too_thin_is_said():
    thin = np.zeros(GRID.shape, bool)
    thin[:, 20:22, :] = True
    with pytest.raises(UnfitError, match=r"no sphere of 1 mm fits into the mask of 4606 voxels"):
        single_step(background(), None, FLAT, thin, GRID)


def test_bad_settings_are_named():
    with pytest.raises(ParameterError, match=r"3 is below radius_min_mm = 5"):
        SingleStepParams(radius_max_mm=3.0, radius_min_mm=5.0)
    with pytest.raises(ParameterError, match=r"SingleStepParams.n_radii: 0 is outside"):
        SingleStepParams(n_radii=0)
