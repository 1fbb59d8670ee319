"""Intervals against published vectors and limits."""

import numpy as np
import pytest
from scipy import stats

from petechia.core.intervals import Z95, bootstrap, clopper_pearson, of_draws, poisson, wilson
from petechia.errors import ParameterError


def test_published_vectors_of_25_in_199():
    np.testing.assert_allclose(wilson(25, 199), (0.086560, 0.178876), atol=1e-6)
    np.testing.assert_allclose(clopper_pearson(25, 199), (0.082976, 0.179845), atol=1e-6)


@pytest.mark.parametrize("interval", [wilson, clopper_pearson])
def test_extremes_stay_inside_zero_and_one(interval):
    assert interval(0, 0) == (0.0, 1.0)
    low, high = interval(0, 10)
    assert low == 0.0
    assert 0.2 < high < 0.4
    np.testing.assert_allclose(interval(10, 10), (1 - high, 1.0))


@pytest.mark.parametrize(
    ("events", "low", "high"), [(0, 0.0, 3.6889), (1, 0.0253, 5.5716), (10, 4.7954, 18.3904)]
)
def test_exact_limits_of_a_count(events, low, high):
    """Table of Garwood's limits."""
    np.testing.assert_allclose(poisson(events), (low, high), atol=1e-4)


def test_the_normal_quantile():
    assert stats.norm.cdf(Z95) == pytest.approx(0.975, abs=1e-15)


def test_a_bootstrap_of_the_mean_is_as_wide_as_theory_says():
    rng = np.random.default_rng(0)
    values = rng.standard_normal(400)
    low, high = bootstrap(lambda at: float(values[at].mean()), 400, rng)
    assert low < values.mean() < high
    assert (high - low) == pytest.approx(2 * 1.96 / 20, rel=0.15)


@pytest.mark.parametrize("n", [5, 10, 40])
def test_draws_of_a_mean_give_students_interval(n):
    """What a bootstrap of the mean of n values tends to: normal, of variance s^2 (n - 1) / n^2."""
    of_normal = stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000)
    draws = 3.0 + 2.0 * np.sqrt((n - 1) / n) / np.sqrt(n) * of_normal
    half = stats.t.ppf(0.975, n - 1) * 2.0 / np.sqrt(n)
    np.testing.assert_allclose(of_draws(draws, n), (3.0 - half, 3.0 + half), atol=0.005)
    assert np.ptp(of_draws(draws, n, 0.8)) < np.ptp(of_draws(draws, n))


def test_an_interval_asks_for_two_units_and_a_level():
    draws = np.linspace(0.0, 1.0, 101)
    assert of_draws(draws, 2) == pytest.approx((0.0, 1.0))  # so far out that it is the range
    with pytest.raises(ParameterError, match="1 units"):
        of_draws(draws, 1)
    with pytest.raises(ParameterError, match="level 95"):
        of_draws(draws, 10, 95)


def test_undefined_draws_are_left_out():
    low, high = bootstrap(lambda at: np.nan, 3, np.random.default_rng(0), n_resamples=10)
    assert np.isnan(low)
    assert np.isnan(high)


def test_impossible_counts_are_refused():
    with pytest.raises(ParameterError, match="5 of 3"):
        wilson(5, 3)
    with pytest.raises(ParameterError, match=r"level 95"):
        clopper_pearson(1, 3, 95)
    with pytest.raises(ParameterError, match="-1 events"):
        poisson(-1)
