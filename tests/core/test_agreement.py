"""Kappa and limits of agreement against published numbers and closed forms."""

import numpy as np
import pytest
from statsmodels.stats.inter_rater import cohens_kappa

from petechia.core.agreement import WEIGHTS, bland_altman, cross_table, kappa, weight_matrix
from petechia.errors import ParameterError


def test_kappa_of_the_textbook_table_with_its_interval():
    found = kappa([[20, 5], [10, 15]])
    assert found.value == pytest.approx(0.40, abs=1e-5)
    assert (found.low, found.high) == pytest.approx((0.151092, 0.648908), abs=1e-5)
    assert found.n == 50
    assert found.why == ""


def test_kappa_of_gwets_abstractors():
    found = kappa([[13, 0, 0], [0, 20, 7], [0, 4, 56]])
    assert (found.value, found.se) == pytest.approx((0.7964094, 0.05891072), abs=1e-7)


@pytest.mark.parametrize(("weights", "theirs"), [("none", None), ("linear", "linear"), ("quadratic", "quadratic")])  # fmt: skip
def test_kappa_is_that_of_statsmodels(weights, theirs):
    table = np.random.default_rng(3).integers(0, 20, (4, 4))
    other, ours = cohens_kappa(table, wt=theirs), kappa(table, weights)
    assert (ours.value, ours.se) == pytest.approx((other.kappa, other.std_kappa), abs=1e-12)


def test_weights_forgive_near_misses_and_swap_of_raters_changes_nothing():
    near, far = np.diag([5, 5, 5]), np.diag([5, 5, 5])
    near[0, 1] = far[0, 2] = 3
    for weights in ("linear", "quadratic"):
        assert kappa(near, weights).value > kappa(far, weights).value
    # a near miss costs less when squared
    assert kappa(near, "quadratic").value > kappa(near, "linear").value
    for weights in WEIGHTS:
        one, turned = kappa(near, weights), kappa(near.T, weights)
        assert (turned.value, turned.se) == pytest.approx((one.value, one.se))
        # of two words all weights are one
        assert kappa([[20, 5], [10, 15]], weights).value == pytest.approx(0.40)


def test_kappa_of_perfect_chance_and_one_word():
    perfect = kappa(np.diag([3, 4]))
    assert (perfect.value, perfect.low, perfect.high) == pytest.approx((1.0, 1.0, 1.0))
    assert kappa([[4, 4], [4, 4]]).value == pytest.approx(0.0)
    assert np.isnan(kappa([[7, 0], [0, 0]]).value)
    assert "same word" in kappa([[7, 0], [0, 0]]).why
    assert "nothing" in kappa(np.zeros((2, 2))).why
    with pytest.raises(ParameterError, match="weights 'cubic'"):
        kappa([[1, 0], [0, 1]], "cubic")
    with pytest.raises(ParameterError, match=r"shape \(1, 2\)"):
        kappa([[1, 0]])
    for wrong in (np.nan, np.inf, -1):
        with pytest.raises(ParameterError, match=str(float(wrong))):
            kappa([[1, wrong], [2, 3]])


def test_an_interval_without_width_is_not_shown_and_it_is_said():
    for counts in ([[0, 0], [1, 0]], np.diag([3, 4])):
        found = kappa(counts)
        assert found.se == 0
        shown = found.shown()
        assert shown.value == found.value
        assert np.isnan([shown.se, shown.low, shown.high]).all()
        assert "no interval" in shown.why
    for found in (kappa([[20, 5], [10, 15]]), kappa(np.zeros((2, 2)))):
        assert found.shown() is found


def test_the_interval_of_kappa_covers():
    # raters who agree beyond chance: a true kappa of 0.5 by construction
    rng, inside = np.random.default_rng(11), 0
    cells = np.array([0.375, 0.125, 0.125, 0.375])
    for _ in range(400):
        found = kappa(rng.multinomial(200, cells).reshape(2, 2))
        inside += found.low <= 0.5 <= found.high
    assert 0.92 <= inside / 400 <= 0.98


def test_weight_matrices():
    assert weight_matrix(3, "none").tolist() == np.eye(3).tolist()
    assert weight_matrix(3, "linear")[0].tolist() == [1.0, 0.5, 0.0]
    assert weight_matrix(3, "quadratic")[0].tolist() == [1.0, 0.75, 0.0]
    assert weight_matrix(1, "linear").tolist() == [[1.0]]


def test_cross_table_counts_pairs():
    assert cross_table("aab", "abb", "ab").tolist() == [[1, 1], [0, 1]]
    with pytest.raises(KeyError):
        cross_table(["a"], ["b"], ["a"])


def test_bland_altman_of_known_differences():
    first = np.zeros(4)
    found = bland_altman(first, np.array([1.0, 3.0, np.nan, 2.0]))
    assert (found.bias, found.sd, found.n) == (2.0, 1.0, 3)
    assert (found.low, found.high) == pytest.approx((0.04, 3.96))
    # Student's 97.5 % of two degrees of freedom is 4.302653
    assert found.bias_high - 2.0 == pytest.approx(4.302653 / np.sqrt(3), abs=1e-6)
    assert bland_altman(first[:0], first[:0]).n == 0
    assert np.isnan(bland_altman(first[:1], first[:1]).low)


def test_swapped_measurements_turn_the_sign():
    rng = np.random.default_rng(5)
    one, other = rng.poisson(5, 40), rng.poisson(6, 40)
    for scale in ("raw", "root", "log_ratio"):
        there, back = bland_altman(one, other, scale), bland_altman(other, one, scale)
        assert back.bias == pytest.approx(-there.bias)
        assert back.low == pytest.approx(-there.high)
        assert there.scale == scale


def test_counts_have_one_spread_on_the_root_scale():
    rng = np.random.default_rng(6)
    spread = {
        scale: [
            bland_altman(rng.poisson(m, 4000), rng.poisson(m, 4000), scale).sd for m in (4, 100)
        ]
        for scale in ("raw", "root")
    }
    assert spread["root"][0] == pytest.approx(spread["root"][1], rel=0.15)
    assert spread["root"][1] == pytest.approx(np.sqrt(0.5), rel=0.05)
    assert spread["raw"][1] > 4 * spread["raw"][0]


@pytest.mark.parametrize("scale", ["raw", "root", "log_ratio"])
def test_limits_around_a_value_are_those_of_the_scale(scale):
    told = {"raw": lambda v: v, "root": np.sqrt, "log_ratio": np.log1p}[scale]
    rng = np.random.default_rng(7)
    found = bland_altman(rng.poisson(9, 50), rng.poisson(9, 50), scale)
    low, high = found.around(20.0)
    assert told(low) - told(20.0) == pytest.approx(found.low)
    assert told(high) - told(20.0) == pytest.approx(found.high)
    if scale != "raw":
        assert found.around(0.0)[0] == 0.0


def test_bland_altman_refuses_what_it_cannot_mean():
    with pytest.raises(ParameterError, match="'cube'"):
        bland_altman([1], [2], "cube")
    with pytest.raises(ParameterError, match="2 and 1 values"):
        bland_altman([1, 2], [1])
    with pytest.raises(ParameterError, match="below 0"):
        bland_altman([-1, 2], [1, 2], "root")
