"""Calibration against closed forms."""

import numpy as np
import pytest
from scipy import stats

from petechia.errors import InputError, ParameterError
from petechia.evaluate.calibration import (
    brier_score,
    brier_skill,
    calibration,
    calibration_error,
    error_by_chance,
    judged_findings,
    reliability,
)

RNG = np.random.default_rng(5)


def test_frequencies_that_hold_have_no_error():
    p = np.repeat([0.25, 0.75], 4)
    y = np.array([1, 0, 0, 0, 1, 1, 1, 0])
    assert calibration_error(p, y) == 0.0
    assert brier_score(p, y) == pytest.approx(0.1875)
    assert brier_skill(p, y) == pytest.approx(1 - 0.1875 / 0.25)


def test_a_constant_overstatement_is_the_error():
    p = np.full(10, 0.85)
    y = np.array([1] * 6 + [0] * 4)
    assert calibration_error(p, y) == pytest.approx(0.25)
    bins = reliability(p, y)
    assert [(b.low, b.high, b.n, b.positive) for b in bins] == [(0.8, 0.9, 10, 6)]
    assert bins[0].frequency_low < 0.6 < bins[0].frequency_high


def test_errors_of_bins_do_not_cancel_across_bins():
    p, y = np.array([0.15, 0.95]), np.array([1, 0])
    assert calibration_error(p, y) == pytest.approx((0.85 + 0.95) / 2)
    assert calibration_error(p, y, n_bins=1) == pytest.approx(0.05)


def test_certainty_and_the_base_rate_are_the_ends_of_skill():
    y = np.array([1, 0, 0, 1])
    assert brier_skill(y.astype(float), y) == 1.0
    assert brier_skill(np.full(4, 0.5), y) == 0.0
    assert np.isnan(brier_skill(np.array([0.3, 0.4]), np.array([0, 0])))


def test_edges_belong_to_the_bin_above_and_one_to_the_last():
    bins = reliability(np.array([0.0, 0.3, 0.7, 1.0]), np.array([0, 0, 1, 1]))
    assert [b.low for b in bins] == pytest.approx([0.0, 0.3, 0.7, 0.9])


def test_what_lies_on_an_invisible_lesion_is_not_judged(first, clean):
    p, y, scan = judged_findings([first, clean])
    assert p.tolist() == [0.9, 0.6, 0.2, 0.9]
    assert y.tolist() == [True, False, True, False]
    assert scan.tolist() == [0, 0, 0, 1]


def test_the_undecided_ones_have_an_error_of_their_own(line, resample):
    lesions, findings, case = line
    found = findings(0, 50, 90, probability=[0.99, 0.5, 0.01])
    result = calibration([case(lesions(0), found)], resample(1))
    assert result.n == 3
    assert result.error_open.n == 1
    assert result.error_open.value == pytest.approx(0.5)
    assert result.error.value == pytest.approx((0.01 + 0.5 + 0.01) / 3)


def test_nothing_to_calibrate(line, resample):
    lesions, findings, case = line
    assert calibration([case(lesions(0), findings(0))], resample(1)) is None
    assert np.isnan(calibration_error(np.zeros(0), np.zeros(0)))
    assert np.isnan(brier_score(np.zeros(0), np.zeros(0)))


def test_bad_input_is_named():
    with pytest.raises(InputError, match=r"a probability of 1\.2"):
        reliability(np.array([0.5, 1.2]), np.array([0, 1]))
    with pytest.raises(InputError, match="outcomes"):
        reliability(np.array([0.5]), np.array([0, 1]))
    with pytest.raises(ParameterError, match="0 bins"):
        reliability(np.array([0.5]), np.array([1]), 0)


def test_even_perfect_probabilities_have_an_error_by_chance():
    """One bin, n findings of one p: the mean of |count / n - p|, from the binomial law."""
    n, p = 25, 0.35
    k = np.arange(n + 1)
    expected = (np.abs(k / n - p) * stats.binom.pmf(k, n, p)).sum()
    assert error_by_chance(np.full(n, p), RNG, draws=4000) == pytest.approx(expected, rel=0.05)
    assert error_by_chance(np.array([0.0, 1.0, 1.0]), RNG) == 0.0
    assert np.isnan(error_by_chance(np.zeros(0), RNG))


def test_it_falls_with_the_number_of_findings():
    p = np.linspace(0.06, 0.94, 100)
    few, many = error_by_chance(p, RNG), error_by_chance(np.tile(p, 25), RNG)
    assert many == pytest.approx(few / 5, rel=0.15)
