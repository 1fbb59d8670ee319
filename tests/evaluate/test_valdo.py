"""The challenge's rules, point by point."""

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.errors import GridMismatchError, InputError, ParameterError
from petechia.evaluate.valdo import ValdoParams, ValdoScore, valdo_scan, valdo_summary

GRID = Grid((24, 20, 12), np.diag([1.0, 1.0, 2.0, 1.0]))


def volume(*spots, value=1.0):
    out = np.zeros(GRID.shape, dtype=np.float32)
    for spot in spots:
        out[spot] = value
    return out


A, B, FAR = np.s_[3:5, 3, 3], np.s_[6, 3, 3], np.s_[20, 15, 9]


def test_a_copy_is_perfect():
    score = valdo_scan(volume(A, FAR), volume(A, FAR), GRID)
    assert (score.f1, score.dice, score.count_difference, score.volume_difference_mm3) == (
        1,
        1,
        0,
        0,
    )


def test_an_empty_reference_has_no_f1_even_when_nothing_was_found():
    false = valdo_scan(volume(), volume(A), GRID)
    assert np.isnan([false.f1, false.dice]).all()
    assert (false.count_difference, false.volume_difference_mm3) == (1, 4.0)
    nothing = valdo_scan(volume(), volume(), GRID)
    assert np.isnan(nothing.f1)
    assert nothing.count_difference == 0


def test_an_empty_prediction_has_f1_zero():
    score = valdo_scan(volume(A, FAR), volume(), GRID)
    assert (score.f1, score.dice, score.count_difference, score.n_missed) == (0, 0, 2, 2)


def test_of_two_that_chose_one_reference_the_nearest_is_true():
    # centres at x 3.5 (0 mm away) and 6 (2.5 mm away)
    score = valdo_scan(volume(A), volume(A, B), GRID)
    assert (score.n_true, score.n_false, score.n_missed) == (1, 1, 0)
    assert score.f1 == pytest.approx(2 / 3)
    # both chose it, so both count in its Dice: 2 * 2 / (2 + 3)
    assert score.dice == pytest.approx(4 / 5)


def test_a_second_choice_is_never_taken():
    # both predictions are nearest to the reference at x 10; the one at 14 is 4 mm away
    reference = volume(np.s_[5, 3, 3], np.s_[10, 3, 3])
    prediction = volume(np.s_[9, 3, 3], np.s_[7, 8, 3])
    score = valdo_scan(reference, prediction, GRID, ValdoParams(distance=8.0))
    # (7, 8): to 5 is 5.4, to 10 is 5.8: it takes the first, so both are true
    assert score.n_true == 2
    both = volume(np.s_[9, 3, 3], np.s_[12, 3, 3])
    taken = valdo_scan(reference, both, GRID, ValdoParams(distance=8.0))
    assert (taken.n_true, taken.n_false, taken.n_missed) == (1, 1, 1)


def test_ties_are_all_true():
    reference = volume(np.s_[10, 3, 3])
    score = valdo_scan(reference, volume(np.s_[8, 3, 3], np.s_[12, 3, 3]), GRID)
    assert (score.n_true, score.n_false, score.n_missed) == (2, 0, -1)


def test_the_distance_is_strict_and_its_unit_matters():
    reference, prediction = volume(np.s_[5, 5, 3]), volume(np.s_[5, 5, 5])  # 4 mm, 2 voxels
    assert valdo_scan(reference, prediction, GRID, ValdoParams(distance=4.0)).f1 == 0
    assert valdo_scan(reference, prediction, GRID, ValdoParams(distance=4.1)).f1 == 1
    assert valdo_scan(reference, prediction, GRID, ValdoParams(distance=2.1, unit="voxel")).f1 == 1


def test_probabilities_are_cut_but_keep_their_value_in_the_volume():
    half = valdo_scan(volume(A), volume(A, value=0.5), GRID)
    assert half.f1 == 1
    assert half.volume_difference_mm3 == pytest.approx(2 * 0.5 * 2.0)
    below = valdo_scan(volume(A), volume(A, value=0.49), GRID)
    assert below.f1 == 0


def test_connectivity_joins_corners_or_not():
    corners = volume(np.s_[5, 5, 5], np.s_[6, 6, 6])
    assert valdo_scan(volume(A), corners, GRID).count_difference == 0
    six = ValdoParams(connectivity=6)
    assert valdo_scan(volume(A), corners, GRID, six).count_difference == 1


def test_the_summary_is_medians_with_the_worst_for_missing_scans():
    def score(f1):
        return ValdoScore(f1=f1, dice=0.5, count_difference=1, volume_difference_mm3=2)

    scores = [score(1.0), score(0.5), score(float("nan"))]
    assert valdo_summary(scores)["f1"][0] == 0.75
    with_missing = valdo_summary(scores, n_missing=1)
    assert with_missing["f1"][0] == 0.5
    assert with_missing["count_difference"][0] == 1
    assert np.isnan(valdo_summary([])["dice"]).all()


def test_bad_input_is_named():
    with pytest.raises(InputError, match="prediction: values from 0 to 2"):
        valdo_scan(volume(A), volume(A, value=2.0), GRID)
    with pytest.raises(GridMismatchError, match="reference"):
        valdo_scan(np.zeros((2, 2, 2)), volume(A), GRID)
    with pytest.raises(ParameterError, match="connectivity 8"):
        ValdoParams(connectivity=8)
    with pytest.raises(ParameterError, match="distance 0"):
        ValdoParams(distance=0)
