"""What each relaxation fit does of its own."""

import numpy as np
import pytest

from petechia.contrast.relaxation import t2star_from
from petechia.contrast.relaxation.arlo import arlo
from petechia.contrast.relaxation.loglinear import loglinear
from petechia.core.grid import Grid
from petechia.errors import InputError, ParameterError

GRID = Grid((2, 3, 4))


def decay(rate: float, te_s, s0: float = 100.0) -> np.ndarray:
    one = np.ones((len(te_s), *GRID.shape), np.float32)
    return one * (s0 * np.exp(-rate * np.asarray(te_s)))[:, None, None, None].astype(np.float32)


@pytest.mark.parametrize("ratio", [0.25, 0.5, 1.0])
def test_arlo_has_the_error_of_simpsons_rule_and_no_other(ratio):
    """T2* comes out longer by (x/3) (cosh x + 2) / sinh x, x = spacing / T2*."""
    te_s = (0.004, 0.008, 0.012, 0.016)
    rate = ratio / 0.004
    r2star, _ = arlo(decay(rate, te_s), te_s, GRID)
    simpson = ratio / 3 * (np.cosh(ratio) + 2) / np.sinh(ratio)
    np.testing.assert_allclose(r2star, rate / simpson, rtol=1e-5)


def test_arlo_is_the_auto_regression_of_least_squares():
    """The closed formula minimises the squared error of predicting each third echo."""
    te_s = (0.005, 0.010, 0.015, 0.020, 0.025, 0.030)
    rng = np.random.default_rng(0)
    signal = decay(40.0, te_s) + rng.normal(0, 3, (6, *GRID.shape)).astype(np.float32)
    r2star, _ = arlo(signal, te_s, GRID)
    s, third = signal[:, 0, 0, 0].astype(float), 0.005 / 3

    def error(rate):
        t2 = 1 / rate
        alpha, beta = (t2 - third) / (t2 + third), -4 * third / (t2 + third)
        return np.sum((s[2:] - alpha * s[:-2] - beta * s[1:-1]) ** 2)

    rates = np.linspace(10, 100, 9001)
    best = rates[np.argmin([error(rate) for rate in rates])]
    assert r2star[0, 0, 0] == pytest.approx(best, abs=0.02)


def test_arlo_wants_three_even_echoes_and_says_what_else_to_use():
    with pytest.raises(ParameterError, match=r"arlo needs 3 .* not 2\. .*loglinear"):
        arlo(decay(30.0, (0.01, 0.02)), (0.01, 0.02), GRID)
    with pytest.raises(ParameterError, match=r"te_s: .* not equally spaced\. .*loglinear"):
        arlo(decay(30.0, (0.004, 0.01, 0.02)), (0.004, 0.01, 0.02), GRID)


def test_arlo_takes_echo_times_rounded_in_the_header():
    te_s = (0.00374, 0.00769, 0.01164, 0.01559, 0.01953)
    np.testing.assert_allclose(arlo(decay(30.0, te_s), te_s, GRID)[0], 30.0, rtol=0.005)


def test_loglinear_takes_two_echoes_and_any_spacing():
    for te_s in ((0.00519, 0.00765), (0.003, 0.01, 0.04)):
        r2star, s0 = loglinear(decay(25.0, te_s), te_s, GRID)
        np.testing.assert_allclose(r2star, 25.0, rtol=1e-4)
        np.testing.assert_allclose(s0, 100.0, rtol=1e-4)


def test_loglinear_is_the_weighted_line():
    te_s = (0.004, 0.011, 0.02, 0.033)
    rng = np.random.default_rng(1)
    signal = (decay(30.0, te_s) + rng.normal(0, 4, (4, *GRID.shape))).astype(np.float32)
    r2star, s0 = loglinear(signal, te_s, GRID)
    s = signal[:, 1, 2, 3].astype(float)
    slope, intercept = np.polyfit(te_s, np.log(s), 1, w=s)
    assert r2star[1, 2, 3] == pytest.approx(-slope, rel=1e-4)
    assert s0[1, 2, 3] == pytest.approx(np.exp(intercept), rel=1e-4)


def test_an_echo_that_dropped_out_does_not_count():
    te_s = (0.005, 0.010, 0.015)
    signal = decay(30.0, te_s)
    signal[2] = 0
    np.testing.assert_allclose(loglinear(signal, te_s, GRID)[0], 30.0, rtol=1e-4)


def test_late_echoes_at_the_noise_floor_pull_little():
    te_s = tuple(0.005 * n for n in range(1, 9))
    floor = np.hypot(decay(150.0, te_s), 1.0)
    plain = -np.polyfit(te_s, np.log(floor[:, 0, 0, 0]), 1)[0]
    for fit in (arlo, loglinear):
        found = fit(floor, te_s, GRID)[0][0, 0, 0]
        assert abs(found - 150) < 0.25 * abs(plain - 150)


def test_t2star_is_the_inverse_in_seconds():
    r2star = np.array([[[20.0, 50.0, 1000.0, 0.5, 0.0]]], np.float32)
    t2star = t2star_from(r2star)
    assert t2star.dtype == np.float32
    np.testing.assert_allclose(t2star, [[[0.05, 0.02, 0.001, 1.0, 0.0]]], rtol=1e-6)
    np.testing.assert_allclose(t2star_from(r2star, 0.2)[0, 0, 3], 0.2, rtol=1e-6)


def test_t2star_refuses_what_is_no_rate():
    with pytest.raises(InputError, match=r"r2star: -1.0 is outside"):
        t2star_from(np.array([[[-1.0]]]))
    with pytest.raises(InputError, match="not finite"):
        t2star_from(np.array([[[np.nan]]]))
    with pytest.raises(ParameterError, match="t2star_max_s"):
        t2star_from(np.ones((1, 1, 1)), 0.0)


def test_amplitudes_go_back_to_te_0_by_the_first_echo_not_by_the_spacing():
    te_s = (0.003, 0.008, 0.013, 0.018)
    np.testing.assert_allclose(arlo(decay(30.0, te_s), te_s, GRID)[1], 100.0, rtol=1e-3)


def test_arlo_refuses_a_spacing_four_percent_off_the_mean():
    te_s = (0.004, 0.008, 0.01236)
    with pytest.raises(ParameterError, match="not equally spaced"):
        arlo(decay(30.0, te_s), te_s, GRID)
