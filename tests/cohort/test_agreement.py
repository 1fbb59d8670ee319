"""Agreement of many raters against published worked examples, symmetries and degenerate cases."""

import numpy as np
import pytest
from statsmodels.stats.inter_rater import fleiss_kappa as their_fleiss

from petechia.cohort.agreement import (
    ICC_FORMS,
    fleiss_kappa,
    gwet,
    icc,
    lesion_f1,
    rating_counts,
    specific_agreement,
)
from petechia.errors import ParameterError

SHROUT_FLEISS = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]  # fmt: skip
N = None
GWET = [
    [1, 1, N, 1], [2, 2, 3, 2], [3, 3, 3, 3], [3, 3, 3, 3], [2, 2, 2, 2], [1, 2, 3, 4],
    [4, 4, 4, 4], [1, 1, 2, 1], [2, 2, 2, 2], [N, 5, 5, 5], [N, N, 1, 1], [N, N, 3, N],
]  # fmt: skip
"""Four raters, twelve subjects, five words, some missing: the example of Gwet's handbook."""
FIVE = (1, 2, 3, 4, 5)
FLEISS_COUNTS = [
    [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
]  # fmt: skip
"""Fourteen raters, ten subjects: kappa 0.210."""


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("ICC(1,1)", 0.165742), ("ICC(2,1)", 0.289764), ("ICC(3,1)", 0.714841),
        ("ICC(1,k)", 0.442797), ("ICC(2,k)", 0.620051), ("ICC(3,k)", 0.909316),
    ],
)  # fmt: skip
def test_the_six_forms_of_shrout_and_fleiss(form, value):
    found = icc(SHROUT_FLEISS, form)
    assert found.value == pytest.approx(value, abs=1e-5)
    assert found.low < found.value < found.high
    assert found.n == 6


@pytest.mark.parametrize(
    ("form", "low", "high"),
    [("ICC(2,1)", 0.018787, 0.761084), ("ICC(3,1)", 0.342465, 0.945858)],
)
def test_intervals_of_shrout_and_fleiss(form, low, high):
    found = icc(SHROUT_FLEISS, form)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-5)


def test_intervals_of_means_step_up_those_of_one_rating():
    for one, mean in (("ICC(1,1)", "ICC(1,k)"), ("ICC(2,1)", "ICC(2,k)"), ("ICC(3,1)", "ICC(3,k)")):
        single, whole = icc(SHROUT_FLEISS, one), icc(SHROUT_FLEISS, mean)
        for v, w in ((single.low, whole.low), (single.high, whole.high)):
            assert w == pytest.approx(4 * v / (1 + 3 * v))


@pytest.mark.parametrize("form", ICC_FORMS)
def test_icc_does_not_care_for_order_or_unit(form):
    rng, table = np.random.default_rng(0), np.array(SHROUT_FLEISS, float)
    told = icc(table, form)
    for other in (table[rng.permutation(6)][:, rng.permutation(4)], 7.3 * table + 2):
        again = icc(other, form)
        assert (again.value, again.low, again.high) == pytest.approx((told.value, told.low, told.high))  # fmt: skip


def test_consistency_forgives_a_level_and_absolute_agreement_does_not():
    table = np.array(SHROUT_FLEISS, float)
    shifted = table + np.array([0.0, 3.0, -2.0, 5.0])
    assert icc(shifted, "ICC(3,1)").value == pytest.approx(icc(table, "ICC(3,1)").value)
    exact = np.repeat(np.arange(5.0)[:, None], 3, axis=1)
    for form in ICC_FORMS:
        found = icc(exact, form)
        assert (found.value, found.low, found.high) == pytest.approx((1, 1, 1)), form
    level = exact + np.array([0.0, 1.0, 2.0])
    assert icc(level, "ICC(3,1)").value == pytest.approx(1)
    assert icc(level, "ICC(2,1)").value < 0.8


def test_icc_interval_covers_the_truth_of_its_own_model():
    rng, inside = np.random.default_rng(21), 0
    for _ in range(300):
        table = rng.normal(size=(15, 1)) + rng.normal(size=(15, 3))  # a true ICC(1,1) of 0.5
        found = icc(table, "ICC(1,1)")
        inside += found.low <= 0.5 <= found.high
    assert 0.915 <= inside / 300 <= 0.985


def test_icc_leaves_out_rows_that_are_not_whole_and_says_what_is_not_defined():
    holed = [*SHROUT_FLEISS, [5, np.nan, 5, 5]]
    assert icc(holed).low == icc(SHROUT_FLEISS).low
    assert icc(holed).n == 6
    for table, why in (
        (np.empty((0, 2)), "0 subjects"),
        ([[1, 2]], "1 subjects"),
        ([[1.0], [2.0], [3.0]], "1 ratings"),
        (np.full((4, 3), 2.0), "nothing varies"),
    ):
        for form in ICC_FORMS:
            found = icc(table, form)
            assert np.isnan(found.value)
            assert why in found.why
    # subjects do not differ, raters do
    level = icc(np.tile([1.0, 2.0], (5, 1)), "ICC(3,1)")
    assert np.isnan(level.value)
    assert "do not differ" in level.why
    assert icc(np.tile([1.0, 2.0], (5, 1)), "ICC(2,1)").value == pytest.approx(0)
    with pytest.raises(ParameterError, match=r"form 'ICC\(4,1\)'"):
        icc(SHROUT_FLEISS, "ICC(4,1)")
    with pytest.raises(ParameterError, match="shape"):
        icc([1, 2, 3])


@pytest.mark.parametrize(
    ("weights", "ac", "se", "low"),
    [("none", 0.775, 0.143, 0.461), ("linear", 0.859, 0.117, 0.600), ("quadratic", 0.914, 0.104, 0.685)],
)  # fmt: skip
def test_gwets_worked_example(weights, ac, se, low):
    found = gwet(GWET, FIVE, weights)
    assert (found.value, found.se, found.low) == pytest.approx((ac, se, low), abs=5.1e-4)
    assert found.high == 1.0
    assert found.n == 12


@pytest.mark.parametrize(
    ("weights", "value", "low"),
    [("none", 0.761, 0.424), ("linear", 0.818, 0.491), ("quadratic", 0.865, 0.544)],
)
def test_fleiss_kappa_of_gwets_worked_example(weights, value, low):
    found = fleiss_kappa(GWET, FIVE, weights)
    assert (found.value, found.low) == pytest.approx((value, low), abs=5.1e-4)


def test_gwets_abstractors():
    table = np.array([[13, 0, 0], [0, 20, 7], [0, 4, 56]])
    said = [[i, j] for i in range(3) for j in range(3) for _ in range(table[i, j])]
    # the table's own formula divides by n, that of raw ratings by n - 1
    shrink = np.sqrt(99 / 100)
    found = gwet(said, range(3))
    assert (found.value, found.se * shrink) == pytest.approx((0.8493305, 0.04321747), abs=1e-7)
    # of two raters it is Scott's pi
    found = fleiss_kappa(said, range(3))
    assert (found.value, found.se * shrink) == pytest.approx((0.7962397, 0.05905473), abs=1e-7)


def test_fleiss_of_fourteen_raters():
    said = [[w for w, times in enumerate(row) for _ in range(times)] for row in FLEISS_COUNTS]
    assert rating_counts(said, range(5)).tolist() == FLEISS_COUNTS
    assert fleiss_kappa(said, range(5)).value == pytest.approx(0.20993, abs=1e-5)
    assert fleiss_kappa(said, range(5)).value == pytest.approx(their_fleiss(FLEISS_COUNTS))


@pytest.mark.parametrize("of", [fleiss_kappa, gwet])
@pytest.mark.parametrize("weights", ["none", "linear", "quadratic"])
def test_order_of_raters_and_subjects_does_not_matter(of, weights):
    rng, told = np.random.default_rng(1), of(GWET, FIVE, weights)
    table = np.array(GWET, dtype=object)[rng.permutation(12)][:, rng.permutation(4)]
    again = of(table.tolist(), FIVE, weights)
    assert (again.value, again.se) == pytest.approx((told.value, told.se))
    turned = [[None if w is None else 6 - w for w in row] for row in GWET]
    assert of(turned, FIVE, weights).value == pytest.approx(told.value)


@pytest.mark.parametrize("of", [fleiss_kappa, gwet])
def test_perfect_and_chance_agreement(of):
    perfect = of([["a"] * 3, ["b"] * 3, ["a"] * 3], "ab")
    assert (perfect.value, perfect.low, perfect.high) == pytest.approx((1, 1, 1))
    rng = np.random.default_rng(2)
    by_chance = of(rng.integers(0, 2, (4000, 3)).tolist(), (0, 1))
    assert by_chance.value == pytest.approx(0, abs=0.03)
    assert by_chance.low < 0 < by_chance.high


def test_ac1_stands_where_a_rare_word_pulls_kappa_down():
    said = [["no", "no"]] * 95 + [["yes", "no"], ["no", "yes"]] * 2 + [["yes", "yes"]]
    assert fleiss_kappa(said, ("no", "yes")).value < 0.4
    assert gwet(said, ("no", "yes")).value > 0.9


@pytest.mark.parametrize("of", [fleiss_kappa, gwet])
def test_degenerate_ratings_have_a_reason(of):
    for said, why in (
        ([], "0 subjects"),
        ([["a", "b"]], "1 subjects"),
        ([["a"], ["b"]], "twice"),
        ([[None, "n/a"], ["", float("nan")]], "0 subjects"),
    ):
        found = of(said, "ab")
        assert np.isnan(found.value)
        assert why in found.why
    with pytest.raises(ParameterError, match="rating 'c'"):
        of([["a", "c"]], "ab")


def test_one_word_everywhere():
    same = [["a", "a"]] * 5
    assert "same word" in fleiss_kappa(same, "ab").why
    # AC1 holds chance for low where one word rules, and is 1
    assert gwet(same, "ab").value == pytest.approx(1)
    assert gwet(same, "a").value == pytest.approx(1)


def test_specific_agreement_is_f1_and_turns_with_the_words():
    positive, negative = specific_agreement([[15, 10], [5, 20]])
    assert positive.value == pytest.approx(2 * 20 / (2 * 20 + 15))
    assert negative.value == pytest.approx(2 * 15 / (2 * 15 + 15))
    again = specific_agreement([[20, 5], [10, 15]])
    assert (again[0].value, again[1].se) == pytest.approx((negative.value, positive.se))
    none = specific_agreement([[5, 0], [0, 0]])
    assert "positive" in none[0].why
    assert none[1].value == 1.0
    assert np.isnan(specific_agreement(np.zeros((2, 2)))[1].value)
    with pytest.raises(ParameterError, match="shape"):
        specific_agreement([[1, 2, 3]])
    with pytest.raises(ParameterError, match="nan"):
        specific_agreement([[1, np.nan], [2, 3]])


def test_specific_agreement_has_the_spread_it_says():
    rng = np.random.default_rng(8)
    tables = rng.multinomial(300, [0.5, 0.1, 0.1, 0.3], size=2000).reshape(-1, 2, 2)
    told = [specific_agreement(t)[0] for t in tables]
    spread = np.std([t.value for t in told])
    assert np.mean([t.se for t in told]) == pytest.approx(spread, rel=0.06)


def test_lesion_f1_resamples_people():
    rng = np.random.default_rng(9)
    both, one, other = rng.poisson(4, 30), rng.poisson(1, 30), rng.poisson(1, 30)
    found = lesion_f1(both, one, other, np.random.default_rng(0))
    total = 2 * both.sum()
    assert found.value == pytest.approx(total / (total + one.sum() + other.sum()))
    assert found.low < found.value < found.high
    assert found.n == (both + one + other).sum()
    assert lesion_f1(both, other, one, np.random.default_rng(0)).low == pytest.approx(found.low)
    # every scan twice, of the same person: nothing is known that was not known before
    twice = lesion_f1(
        np.tile(both, 2), np.tile(one, 2), np.tile(other, 2), np.random.default_rng(0),
        person=np.tile(np.arange(30), 2),
    )  # fmt: skip
    assert (twice.low, twice.high) == pytest.approx((found.low, found.high))


def test_lesion_f1_of_nothing_and_of_one_person():
    rng = np.random.default_rng(0)
    assert "nobody" in lesion_f1([0, 0], [0, 0], [0, 0], rng).why
    assert "nobody" in lesion_f1([], [], [], rng).why
    alone = lesion_f1([3], [1], [0], rng)
    assert alone.value == pytest.approx(6 / 7)
    assert np.isnan(alone.low)
    assert "one person" in alone.why


@pytest.mark.parametrize("form", ["ICC(1,k)", "ICC(2,k)", "ICC(3,k)"])
def test_raters_who_contradict_each_other_have_no_reliability_above_one(form):
    found = icc([[2, 0], [0, 2], [1, 0], [0, 1]], form)
    assert not found.value > 1
    assert not found.high < found.low
    assert np.isfinite(found.value) or "differ" in found.why


def test_people_without_a_lesion_of_either_reader_tell_nothing_of_f1():
    both, one, other = [9, 3, 6, 2, 8], [1, 2, 0, 3, 1], [0, 2, 1, 1, 2]
    alone = lesion_f1(both, one, other, np.random.default_rng(4))
    nobody = [0] * 200
    among = lesion_f1(both + nobody, one + nobody, other + nobody, np.random.default_rng(4))
    assert (among.low, among.high) == (alone.low, alone.high)
    single = lesion_f1([3, 0, 0], [1, 0, 0], [1, 0, 0], np.random.default_rng(4))
    assert np.isnan(single.low)
    assert single.why == "one person: no interval"
