"""Hits and rates on scans counted by hand."""

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.core.matching import touching
from petechia.errors import InputError, ParameterError
from petechia.evaluate.detection import (
    MAIN_RULE,
    RULES,
    f1,
    macro,
    match,
    outcome_of,
    outcomes,
    pooled,
    precision,
    sensitivity,
    subjects_of,
    tallies_of,
    tally,
)
from petechia.evaluate.resampling import Resampling
from petechia.evaluate.spots import (
    Case,
    Extent,
    extent_of,
    extent_of_places,
    findings_at,
    lesions_at,
)


def test_an_invisible_lesion_is_neither_missed_nor_falsely_found(first):
    outcome = outcome_of(first)
    assert outcome.hit.tolist() == [True, False, False]
    assert outcome.good.tolist() == [True, False, False, False]
    assert outcome.false.tolist() == [False, False, True, False]
    assert outcome.pairs.tolist() == [[0, 0]]


def test_rates_are_counted_by_hand(first, clean):
    table = tallies_of(outcomes([first, clean]))
    assert table.tolist() == [[1, 3, 1, 1, 1, 0, 0], [0, 0, 0, 1, 1, 1, 1]]
    summed = table.sum(axis=0)
    assert sensitivity(summed) == pytest.approx(1 / 3)
    assert precision(summed) == pytest.approx(1 / 3)
    assert f1(summed) == pytest.approx(2 / (2 + 2 + 2))


def test_scans_where_a_rate_is_not_defined_stay_out_of_its_mean(first, clean, resample):
    found = macro(tallies_of(outcomes([first, clean])), resample(2))
    assert found["sensitivity"]["mean"].value == pytest.approx(1 / 3)
    assert found["sensitivity"]["mean"].n == 1
    assert found["f1"]["median"].value == pytest.approx(2 / (2 + 1 + 2))
    assert found["false_per_scan"]["mean"].value == 1.0
    assert found["false_per_scan"]["mean"].n == 2
    assert found["false_per_clean_scan"]["mean"].n == 1


def test_nothing_on_either_side(line):
    lesions, findings, case = line
    empty = tally(outcome_of(case(lesions(), findings())))
    assert np.isnan([sensitivity(empty), precision(empty), f1(empty)]).all()
    missed = tally(outcome_of(case(lesions(0), findings())))
    assert sensitivity(missed) == f1(missed) == 0
    assert np.isnan(precision(missed))


def test_a_perfect_tool_is_perfect_by_every_rate(line, resample):
    lesions, findings, case = line
    cases = [case(lesions(0, 40), findings(0, 40)), case(lesions(), findings(), name="sub-02")]
    rates = pooled(tallies_of(outcomes(cases)), resample(2))
    assert [rates[n].value for n in ("sensitivity", "precision", "f1")] == [1, 1, 1]
    assert rates["false_per_scan"].value == rates["false_per_clean_scan"].value == 0
    # that no draw of people differs makes nothing certain
    assert np.isnan([rates["sensitivity"].low, rates["false_per_scan"].high]).all()


def test_one_to_one_reaches_as_far_as_the_slice_is_thick(line):
    lesions, findings, case = line
    thin = case(lesions(0), findings(5.6), slice_mm=1.0)
    thick = case(lesions(0), findings(5.6), slice_mm=6.0)
    assert [outcome_of(c).hit[0] for c in (thin, thick)] == [False, True]
    assert not outcome_of(thick, rule="centroid").hit[0]


def test_only_the_one_to_one_rule_asks_for_a_finding_each(line):
    lesions, findings, case = line
    between = case(lesions(0, 4), findings(2))
    assert outcome_of(between, rule="centroid").hit.tolist() == [True, True]
    assert outcome_of(between).hit.sum() == 1
    twice = case(lesions(0), findings(-1, 1))
    assert outcome_of(twice).false.sum() == 1
    assert outcome_of(twice, rule="centroid").false.sum() == 0


def test_forgiven_classes_excuse_a_finding_but_are_never_hits(line):
    lesions, findings, case = line
    stone = case(lesions(0, 50, kind=["calcification", "microbleed"]), findings(0, 50))
    assert outcome_of(stone).false.tolist() == [True, False]
    excused = outcome_of(stone, forgiven=("calcification",))
    assert excused.false.tolist() == [False, False]
    assert excused.good.tolist() == [False, True]
    assert excused.hit.tolist() == [True]


def labelled(grid, *boxes):
    labels = np.zeros(grid.shape, dtype=np.int16)
    for n, box in enumerate(boxes, start=1):
        labels[box] = n
    return labels


def touch_case(grid, true, found):
    def places(labels):
        n = int(labels.max())
        index = [np.argwhere(labels == m).mean(axis=0) for m in range(1, n + 1)]
        return grid.to_mm(np.array(index).reshape(-1, 3)), extent_of(labels, range(1, n + 1))

    (true_mm, true_extent), (found_mm, found_extent) = places(true), places(found)
    return Case(
        name="t", subject="t",
        truth=lesions_at(true_mm, extent=true_extent),
        predicted=findings_at(found_mm, extent=found_extent),
    )  # fmt: skip


def test_touch_needs_one_shared_voxel_and_agrees_with_the_rule_on_volumes(grid):
    true = labelled(grid, np.s_[2:5, 2:5, 2], np.s_[10:12, 10, 10], np.s_[20, 20, 20:25])
    found = labelled(grid, np.s_[4, 4, 2:4], np.s_[12, 10, 10], np.s_[20, 20, 24:28])
    outcome = outcome_of(touch_case(grid, true, found), rule="touch")
    assert outcome.hit.tolist() == [True, False, True]
    assert outcome.false.tolist() == [False, True, False]
    volumes = touching(true, found)
    np.testing.assert_array_equal(outcome.hit, volumes.hit)
    np.testing.assert_array_equal(outcome.pairs, volumes.pairs)


def test_touch_of_random_labels_agrees_with_the_rule_on_volumes():
    rng = np.random.default_rng(5)
    grid = Grid((9, 8, 7))
    for _ in range(20):
        true, found = (np.sort(rng.integers(0, 6, grid.size)).reshape(grid.shape) for _ in range(2))
        for labels in (true, found):
            rng.shuffle(labels)
        rows = np.arange(5)
        matched = match(touch_case(grid, true, found), "touch", rows, rows)
        np.testing.assert_array_equal(matched.pairs, touching(true, found).pairs)


def test_bare_places_touch_the_label_they_lie_in():
    grid = Grid((10, 10, 10), np.diag([2.0, 2.0, 2.0, 1.0]))
    labels = labelled(grid, np.s_[3:5, 3:5, 3:5])
    true = touch_case(grid, labels, labels).truth
    places = np.array([[6.9, 6.9, 6.9], [7.0, 7.0, 7.0], [30.0, 0.0, 0.0], [12.0, 7.0, 7.0]])
    found = findings_at(places, extent=extent_of_places(places, grid))
    outcome = outcome_of(Case(name="t", subject="t", truth=true, predicted=found), rule="touch")
    assert outcome.good.tolist() == [True, True, False, False]


def test_intervals_hold_the_value_and_repeat_with_the_seed(first, line, resample):
    lesions, findings, case = line
    other = case(lesions(0), findings(0), name="sub-09")
    table = tallies_of(outcomes([first, first, first, other]))
    one, two = (pooled(table, resample(4, seed=1)) for _ in range(2))
    assert repr(one) == repr(two)
    for name in ("sensitivity", "precision", "f1", "false_per_scan"):
        assert one[name].low <= one[name].value <= one[name].high
    assert one["sensitivity"].low < one["sensitivity"].high


def test_scans_of_one_subject_are_drawn_together(first, clean):
    group = subjects_of([first, clean, first])
    assert group.tolist() == [0, 1, 0]
    draws = Resampling.of(group, np.random.default_rng(0), 50)
    sums = draws.sums(np.ones((3, 1)))[:, 0]
    # two subjects drawn: twice the first (4 scans), one each (3), twice the second (2)
    assert set(sums.tolist()) == {2.0, 3.0, 4.0}


def test_one_subject_has_no_interval(first, resample):
    rates = pooled(tallies_of(outcomes([first])), resample(1))
    assert rates["sensitivity"].value == pytest.approx(1 / 3)
    assert np.isnan(rates["sensitivity"].low)


def test_bootstrap_of_a_mean_has_the_closed_form_width(resample):
    values = np.random.default_rng(2).normal(size=200)
    mean, low, high = resample(200, n_resamples=3000).mean(values)
    expected = 2 * 1.96 * values.std() / np.sqrt(200)
    assert mean == pytest.approx(values.mean())
    assert high - low == pytest.approx(expected, rel=0.1)


def test_the_median_is_that_of_the_defined_values(resample):
    value, low, high = resample(4).median(np.array([1.0, np.nan, 3.0, 10.0]))
    assert value == 3.0
    assert low <= 3.0 <= high


def test_bad_input_is_named(first, line):
    lesions = line[0]
    with pytest.raises(ParameterError, match=r"no rule 'dice'.*one_to_one"):
        outcome_of(first, rule="dice")
    with pytest.raises(InputError, match="sub-01: no voxels to touch"):
        outcome_of(first, rule="touch")
    with pytest.raises(InputError, match="2 places but 1 values of moment"):
        lesions(0, 1, moment=[1.0])
    with pytest.raises(InputError, match="a place is not finite"):
        lesions(np.nan)
    with pytest.raises(InputError, match=r"\(2, 2\) is not \(n, 3\)"):
        lesions_at(np.zeros((2, 2)))
    with pytest.raises(ParameterError, match="no scan"):
        outcomes([])
    with pytest.raises(ParameterError, match="0 draws of 2 rows"):
        Resampling.of(np.arange(2), np.random.default_rng(0), 0)
    assert MAIN_RULE in RULES


def test_extents_leave_out_labels_that_are_not_asked_for():
    labels = np.array([[[0, 7, 3, 7, 9]]])
    extent = extent_of(labels, [7, 3])
    assert isinstance(extent, Extent)
    assert extent.voxel.tolist() == [1, 2, 3]
    assert extent.owner.tolist() == [0, 1, 0]
    assert not len(extent_of(labels, []).voxel)


def test_a_rate_of_one_subject_among_several_has_no_interval(first, clean, line, resample):
    lesions, findings, case = line
    both = findings(0, 50, probability=[0.9, 0.9])
    others = [case(lesions(0), both, name=f"sub-1{n}") for n in range(3)]
    table = tallies_of(outcomes([first, clean, *others]))
    for alone in (
        pooled(table, resample(5)),
        {k: v["mean"] for k, v in macro(table, resample(5)).items()},
    ):
        rate = alone["false_per_clean_scan"]
        assert (rate.value, rate.n) == (1.0, 1)
        assert np.isnan([rate.low, rate.high]).all()
        assert (alone["sensitivity"].n, alone["false_per_scan"].n) == (4, 5)
        assert alone["sensitivity"].low < alone["sensitivity"].high
    assert pooled(table, resample(5))["f1"].n == 5  # what is false in a clean scan enters it
