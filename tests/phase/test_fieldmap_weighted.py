import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.core.units import hz_per_ppm, radians_per_ppm
from petechia.errors import ParameterError
from petechia.phase.fieldmap.weighted import WeightedParams, weighted


class Found:
    def __init__(self, maps):
        self.field_ppm, self.noise_ppm, self.residual_rad = maps


def field_from_echoes(phase, magnitude, te_s, b0_t, mask, grid, **settings):
    return Found(weighted(phase, magnitude, te_s, b0_t, mask, grid, WeightedParams(**settings)))


GRID = Grid((20, 20, 10))
MASK = np.ones(GRID.shape, bool)
B0 = 3.0


def echoes(te_s, *, sigma=0.0, offset=0.0, seed=0, decay=0.03):
    rng = np.random.default_rng(seed)
    field = rng.normal(0, 0.1, GRID.shape)
    te = np.asarray(te_s)[:, None, None, None]
    magnitude = np.exp(-te / decay) * np.ones(GRID.shape)
    phase = radians_per_ppm(B0, 1.0) * te * field + offset
    phase = phase + sigma / magnitude * rng.standard_normal(phase.shape)
    return field, phase.astype(np.float32), magnitude.astype(np.float32)


@pytest.mark.parametrize("te_s", [(0.02,), (0.004, 0.011), (0.003, 0.009, 0.011, 0.03)])
def test_exact_phase_gives_the_exact_field(te_s):
    field, phase, magnitude = echoes(te_s)
    found = field_from_echoes(phase, magnitude, te_s, B0, MASK, GRID)
    assert np.allclose(found.field_ppm, field, atol=1e-5)
    assert found.residual_rad.max() < 1e-4


def test_one_ppm_at_three_tesla_is_127_7_hertz():
    phase = np.full((1, *GRID.shape), 2 * np.pi * 127.732 * 0.01, np.float32)
    found = field_from_echoes(phase, None, (0.01,), B0, MASK, GRID)
    assert np.allclose(found.field_ppm, 1.0, atol=1e-4)


def test_an_offset_is_fitted_when_asked():
    te_s = (0.004, 0.009, 0.017, 0.02)
    field, phase, magnitude = echoes(te_s, offset=1.7)
    found = field_from_echoes(phase, magnitude, te_s, B0, MASK, GRID, fit_offset=True)
    assert np.allclose(found.field_ppm, field, atol=1e-5)
    assert found.residual_rad.max() < 1e-4


def test_neighbours_share_an_offset_that_is_smooth():
    te_s = (0.004, 0.009, 0.017, 0.02)
    field, phase, magnitude = echoes(te_s, sigma=0.02)
    x = np.linspace(-1, 1, GRID.shape[0])[:, None, None]
    phase = (phase + 0.3 * x + 0.1).astype(np.float32)
    left, shared, own = (
        field_from_echoes(phase, magnitude, te_s, B0, MASK, GRID, **settings)
        for settings in ({"shared_mm": 0.0}, {}, {"fit_offset": True})
    )
    lost = [np.sqrt(np.mean((f.field_ppm - field) ** 2)) for f in (left, shared, own)]
    assert lost[1] < 0.6 * lost[2] < lost[0]
    error = np.abs(shared.field_ppm - field) / shared.noise_ppm
    assert np.quantile(error, 0.68) == pytest.approx(1.0, rel=0.2)
    # what is left in is told in the noise
    error = np.abs(left.field_ppm - field) / left.noise_ppm
    assert np.quantile(error, 0.68) < 1.5


THREE = (0.004, 0.008, 0.012)
FIVE = (0.004, 0.007, 0.013, 0.021, 0.024)


# of two echoes, two turns in the second look the same as one in the first
@pytest.mark.parametrize(
    ("te_s", "turns"),
    [
        ((0.005, 0.010), -1),
        ((0.005, 0.010), 1),
        *[(t, n) for t in (THREE, FIVE) for n in (-1, 1, 2)],
    ],
)
def test_a_whole_turn_in_any_one_echo_is_mended(te_s, turns):
    _field, phase, magnitude = echoes(te_s, sigma=0.02)
    clean = field_from_echoes(phase, magnitude, te_s, B0, MASK, GRID)
    for e in range(len(te_s)):
        broken = phase.copy()
        broken[e, ::2] += 2 * np.pi * turns
        found = field_from_echoes(broken, magnitude, te_s, B0, MASK, GRID)
        assert np.allclose(found.field_ppm, clean.field_ppm, atol=1e-4), e


@pytest.mark.parametrize("echo", [0, 1, 2, 3])
def test_a_turn_is_mended_beside_a_fitted_offset(echo):
    te_s = (0.004, 0.008, 0.012, 0.016)
    field, phase, magnitude = echoes(te_s, offset=1.0, sigma=0.01)
    phase[echo, :10] += 2 * np.pi
    found = field_from_echoes(phase, magnitude, te_s, B0, MASK, GRID, fit_offset=True)
    assert np.abs(found.field_ppm - field).max() < 0.02


def test_an_inconsistent_echo_is_held_back():
    te_s = (0.004, 0.008, 0.012, 0.016, 0.020)
    field, phase, magnitude = echoes(te_s, sigma=0.02)
    phase[3, 5:8, 5:8] += 1.5
    found = field_from_echoes(phase, magnitude, te_s, B0, MASK, GRID)
    w = (magnitude**2)[:, 5:8, 5:8]
    te = np.asarray(te_s)[:, None, None, None]
    plain = (w * te * phase[:, 5:8, 5:8]).sum(0) / (w * te**2).sum(0) / radians_per_ppm(B0, 1.0)
    error = np.abs(found.field_ppm - field)[5:8, 5:8].mean()
    assert error < 0.35 * np.abs(plain - field[5:8, 5:8]).mean()
    spoilt = found.residual_rad[5:8, 5:8].mean()
    assert spoilt > 5 * np.median(found.residual_rad)
    # and the field there is told to be uncertain
    assert found.noise_ppm[5:8, 5:8].mean() > 3 * np.median(found.noise_ppm)


@pytest.mark.parametrize("te_s", [(0.005, 0.011), (0.004, 0.009, 0.014, 0.019)])
@pytest.mark.parametrize("offset", [False, True])
def test_noise_map_is_the_true_spread(te_s, offset):
    field, phase, magnitude = echoes(te_s, sigma=0.03, seed=3)
    found = field_from_echoes(phase, magnitude, te_s, B0, MASK, GRID, fit_offset=offset)
    true = (found.field_ppm - field).std()
    assert np.median(found.noise_ppm) == pytest.approx(true, rel=0.15)


def test_noise_of_one_echo_from_second_differences():
    rng = np.random.default_rng(0)
    x = np.arange(20)[:, None, None] / 20
    magnitude = (1 + x) * np.ones((1, *GRID.shape))
    phase = 3 * x**2 + 0.05 * rng.standard_normal(magnitude.shape) / magnitude
    found = field_from_echoes(phase, magnitude, (0.02,), B0, MASK, GRID)
    expected = 0.05 / magnitude[0] / radians_per_ppm(B0, 0.02)
    assert np.median(found.noise_ppm / expected) == pytest.approx(1, rel=0.1)


def test_weights_are_squared_magnitude():
    """Two echoes that disagree by a little, one of them three times as strong."""
    te_s = (0.01, 0.02)
    magnitude = np.ones((2, *GRID.shape), np.float32)
    magnitude[1] = 3.0
    phase = np.zeros((2, *GRID.shape), np.float32)
    phase[0] = 0.2
    found = field_from_echoes(phase, magnitude, te_s, B0, MASK, GRID)
    slope = 0.2 * 0.01 / (0.01**2 + 9 * 0.02**2)
    assert np.allclose(found.field_ppm, slope / (2 * np.pi * hz_per_ppm(B0)), rtol=1e-4)


def test_a_voxel_without_signal_stays_finite():
    te_s = (0.005, 0.010, 0.015)
    _, phase, magnitude = echoes(te_s, sigma=0.01)
    magnitude[:, 3, 3, 3] = 0
    mask = MASK.copy()
    mask[0] = False
    found = field_from_echoes(phase, magnitude, te_s, B0, mask, GRID)
    for volume in (found.field_ppm, found.residual_rad, found.noise_ppm):
        assert np.isfinite(volume).all()
        assert not volume[0].any()
    assert found.noise_ppm[3, 3, 3] > 10 * np.median(found.noise_ppm[mask])


def test_echo_times_must_fit():
    _, phase, magnitude = echoes((0.005, 0.010))
    with pytest.raises(ParameterError, match="1 echo times"):
        field_from_echoes(phase, magnitude, (0.005,), B0, MASK, GRID)
