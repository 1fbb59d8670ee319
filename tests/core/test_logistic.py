"""The line on the log-odds: identity, inverse, and fits whose answer is known."""

import numpy as np
import pytest

from petechia.core.logistic import ROUNDED, Logistic, expit, fit_logistic, logit
from petechia.errors import ParameterError


def drawn(offset, slope, n, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.uniform(0.05, 0.99, n)
    return p, rng.random(n) < expit(offset + slope * logit(p))


def test_identity_and_inverse():
    p = np.linspace(0.001, 0.999, 50)
    assert Logistic().apply(p) == pytest.approx(p)
    line = Logistic(offset=-0.7, slope=1.6)
    assert line.undo(line.apply(p)) == pytest.approx(p)
    assert (np.diff(line.apply(p)) > 0).all()
    assert np.isfinite(logit([0.0, 1.0])).all()


def test_many_outcomes_give_the_true_line():
    p, y = drawn(-1.0, 0.6, 20_000)
    assert fit_logistic(p, y) == pytest.approx((-1.0, 0.6), abs=0.06)


def test_the_fit_is_that_of_a_plain_logistic_regression_when_the_prior_is_wide():
    import statsmodels.api as sm

    p, y = drawn(0.5, 1.4, 400, seed=2)
    theirs = sm.Logit(y.astype(float), sm.add_constant(logit(p))).fit(disp=0).params
    assert fit_logistic(p, y, offset_sd=1e4, slope_sd=1e4) == pytest.approx(tuple(theirs), abs=1e-5)


def test_few_outcomes_move_little_and_none_nothing():
    assert fit_logistic([], []) == (0.0, 1.0)
    p, y = drawn(-3.0, 0.3, 3000, seed=3)
    far = [abs(fit_logistic(p[:n], y[:n])[0]) for n in (2, 30, 3000)]
    assert far[0] < far[1] < far[2]
    offset, slope = fit_logistic([0.5, 0.6], [True, True])
    assert 0 < offset < 1
    assert 0.5 < slope < 1.5


def test_separated_outcomes_stay_finite_and_reversed_ones_turn_the_slope():
    p = np.linspace(0.05, 0.95, 100)
    offset, slope = fit_logistic(p, p > 0.5)
    assert np.isfinite([offset, slope]).all()
    assert slope > 1
    assert fit_logistic(p, p < 0.5)[1] < 0


def test_the_gradient_of_the_penalised_likelihood_is_zero_at_the_fit():
    p, y = drawn(0.3, 0.8, 50, seed=4)
    a, b = fit_logistic(p, y, offset_sd=0.7, slope_sd=0.2)
    left = expit(a + b * logit(p)) - y
    assert left.sum() + a / 0.7**2 == pytest.approx(0, abs=1e-7)
    assert (left * logit(p)).sum() + (b - 1) / 0.2**2 == pytest.approx(0, abs=1e-7)


def test_what_is_no_line_is_refused():
    with pytest.raises(ParameterError, match="slope -1"):
        Logistic(slope=-1)
    with pytest.raises(ParameterError, match="offset nan"):
        Logistic(offset=float("nan"))
    with pytest.raises(ParameterError, match="one outcome"):
        fit_logistic([0.5], [True, False])


def test_fit_and_line_hold_the_same_probabilities_away_from_0_and_1():
    # beyond what a table tells the line is not known: it goes no further there
    line = Logistic(offset=-2.0, slope=0.4)
    edge = expit(-2.0 + 0.4 * logit([ROUNDED, 1 - ROUNDED]))
    assert line.apply([0.0, 1e-7, 0.9999, 1.0]) == pytest.approx([edge[0], edge[0], edge[1], edge[1]])  # fmt: skip
    p, y = drawn(0.0, 0.3, 200, seed=5)
    near, rounded = (np.append(p, [top] * 40) for top in (1 - 1e-7, 1.0))
    told = np.append(y, [True, False] * 20)
    assert fit_logistic(near, told) == fit_logistic(rounded, told)
