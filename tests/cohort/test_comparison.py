"""Two sequences of the same people: symmetry, scales, clusters."""

import numpy as np
import pytest

from petechia.cohort.comparison import compare_counts, compare_lesions, paired_frequency
from petechia.cohort.published import reproduce
from petechia.errors import ParameterError


def pair(rng, n=60, gain=1.3):
    own = rng.gamma(0.6, 4, n)
    return rng.poisson(own).astype(float), rng.poisson(gain * own).astype(float)


def test_swapping_the_two_ways():
    a, b = pair(np.random.default_rng(0))
    one, other = compare_counts(a, b, ("GRE", "SWI")), compare_counts(b, a)
    assert one.totals == other.totals[::-1]
    assert one.ratio.value == pytest.approx(1 / other.ratio.value)
    assert one.presence.p_exact == other.presence.p_exact
    assert one.limits.bias == pytest.approx(-other.limits.bias)
    assert one.limits.low == pytest.approx(-other.limits.high)
    assert one.proportional.slope.value == pytest.approx(-other.proportional.slope.value)
    for index in ("icc_absolute", "icc_consistency", "kappa_presence"):
        assert getattr(one, index).value == pytest.approx(getattr(other, index).value)


def test_a_scan_without_one_count_is_left_out():
    made = compare_counts([1, np.nan, 3, 0], [1, 2, 4, np.nan])
    assert (made.pairs, made.left_out, made.totals) == (2, 2, (4, 5))


def test_the_gain_is_covered():
    rng = np.random.default_rng(1)
    hit = 0
    for _ in range(100):
        made = compare_counts(*pair(rng))
        hit += made.ratio.low < 1.3 < made.ratio.high
    assert hit >= 88


def test_on_the_right_scale_the_difference_does_not_grow_with_the_count():
    rng = np.random.default_rng(2)
    own = rng.uniform(1, 60, 500)
    a, b = rng.poisson(own), rng.poisson(own)
    spread = compare_counts(a, b, scale="raw")
    root = compare_counts(a, b, scale="root")

    def grows(made, turn):
        apart, mean = np.abs(turn(b) - turn(a)), (turn(a) + turn(b)) / 2
        return np.corrcoef(apart, mean)[0, 1]

    assert grows(spread, np.asarray) > 0.3
    assert abs(grows(root, np.sqrt)) < 0.12
    assert abs(root.proportional.slope.value) < 0.1


def test_a_proportional_bias_is_found():
    a = np.arange(1.0, 40)
    made = compare_counts(a, 2 * a, scale="raw")
    assert made.proportional.slope.value == pytest.approx(2 / 3)  # x over mean 1.5 x
    low, high = made.proportional.limits(30.0)
    assert (low, high) == pytest.approx((20.0, 20.0), abs=1e-6)


def test_one_and_the_same():
    a = np.array([0.0, 1, 5, 2, 0, 9])
    made = compare_counts(a, a)
    assert made.ratio.value == 1
    assert made.icc_absolute.value == pytest.approx(1)
    assert made.kappa_presence.value == 1
    assert np.isnan(made.p_signed_rank)


def test_lesions_in_clusters():
    rng = np.random.default_rng(3)
    both, one, other = [3, 0, 5, 1, 2, 4], [0, 1, 1, 0, 0, 1], [2, 1, 3, 1, 1, 2]
    made = compare_lesions(both, one, other, rng)
    assert made.f1.value == pytest.approx(2 * 15 / (30 + 3 + 10))
    assert made.gain.value == pytest.approx(25 / 18)
    back = compare_lesions(both, other, one, np.random.default_rng(3))
    assert back.p_clustered == pytest.approx(made.p_clustered)
    assert back.gain.value == pytest.approx(18 / 25)
    # one heavy person alone says little, however many lesions
    heavy = compare_lesions([0] * 6, [0, 1, 0, 1, 1, 1], [40, 1, 1, 0, 1, 1], rng)
    assert heavy.p_clustered > 0.2
    assert np.isnan(compare_lesions([1, 1], [1, 0], [3, 4], rng).p_clustered)


def test_a_frequency_ratio_knows_of_people():
    rng = np.random.default_rng(4)
    person = np.repeat(np.arange(40), 14)
    mood = rng.normal(0, 1.5, 40)[person]
    swi = rng.random(560) < 1 / (1 + np.exp(2 - mood))
    qsm = rng.random(560) < 1 / (1 + np.exp(0.2 - mood))
    made = paired_frequency(swi, qsm, person.tolist())
    alone = paired_frequency(swi, qsm)
    assert made.value == alone.value == pytest.approx(swi.sum() / qsm.sum())
    assert made.se > alone.se
    assert made.n == 40
    assert paired_frequency(qsm, swi, person.tolist()).value == pytest.approx(1 / made.value)


def test_ratings_that_are_missing_and_lists_that_differ():
    assert paired_frequency([1, 0, np.nan], [1, 1, 1]).value == 0.5
    with pytest.raises(ParameterError, match="3 and 2"):
        paired_frequency([1, 0, 1], [1, 1])


def test_published_numbers_agree_or_say_why_not():
    rows = reproduce()
    assert sum(row.agrees == "yes" for row in rows) >= 35
    for row in rows:
        assert np.isfinite(row.ours)
        if row.agrees == "no":
            assert row.remark
        if row.agrees == "n/a":
            assert row.published == "n/a"
    ge = next(row for row in rows if row.published == "4.899")
    assert ge.agrees == "no"
    assert ge.ours == pytest.approx(4.888889, abs=1e-6)
    assert reproduce() == rows or repr(reproduce()) == repr(rows)
