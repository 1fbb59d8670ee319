"""The fit above the noise floor: against the Rician mean, and against the other fits."""

import numpy as np
import pytest
from scipy.special import gamma, hyp1f1

from petechia.contrast.relaxation.arlo import arlo
from petechia.contrast.relaxation.loglinear import loglinear
from petechia.contrast.relaxation.nonlinear import (
    NonlinearParams,
    _floor,
    mean_above_noise,
    nonlinear,
)
from petechia.core.grid import Grid
from petechia.errors import ParameterError

GRID = Grid((25, 25, 25))
EVEN = (0.005, 0.0115, 0.018, 0.0245)
UNEVEN = (0.003, 0.007, 0.015, 0.030)


def noisy(rate: float, te_s, sd: float = 1.0, channels: int = 1, seed: int = 0) -> np.ndarray:
    """Magnitudes of a decay of amplitude 100 with complex noise, seen by some receivers."""
    rng = np.random.default_rng(seed)
    signal = 100 * np.exp(-rate * np.asarray(te_s))[:, None, None, None] * np.ones(GRID.shape)
    power = np.zeros(signal.shape)
    for _ in range(channels):
        noise = sd * (rng.normal(size=signal.shape) + 1j * rng.normal(size=signal.shape))
        power += np.abs(signal / np.sqrt(channels) + noise) ** 2
    return np.sqrt(power).astype(np.float32)


def fitted(magnitude, te_s, sd: float = 1.0, **settings) -> np.ndarray:
    return nonlinear(magnitude, te_s, sd, None, 3.0, None, GRID, NonlinearParams(**settings))[0]


@pytest.mark.parametrize("channels", [1, 2, 8, 32])
def test_the_mean_is_that_of_a_noncentral_chi(channels):
    above_noise = np.linspace(0, 12, 200)
    exact = (
        np.sqrt(2) * gamma(channels + 0.5) / gamma(channels)
        * hyp1f1(-0.5, channels, -(above_noise**2) / 2)
    )  # fmt: skip
    found = np.array([mean_above_noise(3 * a, 9.0, _floor(channels)) for a in above_noise])
    np.testing.assert_allclose(found[:, 0] / 3, exact, atol=0.002)
    slope = np.gradient(exact, above_noise)
    np.testing.assert_allclose(found[2:-2, 1], slope[2:-2], atol=0.01)
    variance = above_noise**2 + 2 * channels - exact**2
    np.testing.assert_allclose(1 / found[:, 2], variance, atol=0.02)


def test_arlo_has_the_bias_of_a_true_arlo():
    """At 200/s and a signal-to-noise of 100: some -8/s, where a two-point mean has -36."""
    te_s = (0.006, 0.013, 0.020, 0.027)
    bias = arlo(noisy(200.0, te_s), te_s, GRID)[0].mean() - 200
    assert bias == pytest.approx(-8, abs=1.5)
    assert arlo(noisy(200.0, EVEN), EVEN, GRID)[0].mean() - 200 == pytest.approx(-6, abs=1.5)


@pytest.mark.parametrize("te_s", [EVEN, UNEVEN, (0.005, 0.010, 0.015, 0.020, 0.025)])
@pytest.mark.parametrize("rate", [5.0, 30.0, 100.0, 200.0, 300.0])
def test_half_of_the_rates_are_above_the_truth_and_half_below(te_s, rate):
    """The median is within 1/s up to 300/s, the mean within 5 %."""
    found = fitted(noisy(rate, te_s), te_s)
    assert np.median(found) == pytest.approx(rate, abs=1.2)
    assert found.mean() == pytest.approx(rate, rel=0.05)


def test_it_is_unbiased_where_the_others_are_not():
    rate = 300.0
    magnitude = noisy(rate, EVEN)
    assert np.median(arlo(magnitude, EVEN, GRID)[0]) < rate - 30
    assert np.median(loglinear(magnitude, EVEN, GRID)[0]) < rate - 80
    assert np.median(fitted(magnitude, EVEN)) == pytest.approx(rate, abs=2)


def test_the_floor_of_many_receivers_is_higher():
    te_s, rate = (0.005, 0.010, 0.015, 0.020, 0.025), 150.0
    magnitude = noisy(rate, te_s, channels=8)
    assert np.median(fitted(magnitude, te_s, channels=8)) == pytest.approx(rate, abs=1.5)
    assert np.median(fitted(magnitude, te_s)) < rate - 8


def test_it_is_as_precise_as_the_bound_of_cramer_and_rao():
    rate, t = 40.0, np.asarray(EVEN)
    size = 100 * np.exp(-rate * t)
    slopes = np.stack([size, -t * size])  # by log amplitude, by rate
    bound = np.sqrt(np.linalg.inv(slopes @ slopes.T)[1, 1])
    assert fitted(noisy(rate, EVEN), EVEN).std() == pytest.approx(bound, rel=0.05)


def test_two_echoes_are_met_exactly():
    te_s = (0.006, 0.020)
    magnitude = (100 * np.exp(-np.multiply.outer(te_s, np.full(GRID.shape, 45.0)))).astype("f4")
    np.testing.assert_allclose(fitted(magnitude, te_s, sd=0.0), 45, rtol=1e-4)


def test_air_has_no_noise_in_its_amplitude():
    """Where there is only noise S0 may be anything, but never beyond what was measured."""
    rng = np.random.default_rng(1)
    air = rng.rayleigh(1.0, (4, *GRID.shape)).astype(np.float32)
    r2star, s0 = nonlinear(air, EVEN, 1.0, None, 3.0, None, GRID)
    assert np.isfinite(r2star).all()
    assert s0.max() <= 10 * air.max()


def test_bad_settings_are_named():
    with pytest.raises(ParameterError, match=r"NonlinearParams.channels: 0 is outside"):
        NonlinearParams(channels=0)
    with pytest.raises(ParameterError, match=r"noise_sd: -1.0 is outside"):
        fitted(noisy(30.0, EVEN), EVEN, sd=-1.0)
    with pytest.raises(ParameterError, match=r"noise_sd: nan"):
        fitted(noisy(30.0, EVEN), EVEN, sd=float("nan"))
