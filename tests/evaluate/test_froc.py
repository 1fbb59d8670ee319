"""The free-response curve and its area, by hand."""

import numpy as np
import pytest

from petechia.errors import ParameterError
from petechia.evaluate.froc import area_under, froc, step_height


def test_the_curve_counts_hits_and_false_ones_at_each_threshold(first, clean, resample):
    curve = froc([first, clean], resample(2))
    # 0.9: the hit, and one false in the clean scan; 0.8: on the invisible; 0.6 false; 0.2 hit
    assert curve.threshold.tolist() == [0.9, 0.8, 0.6, 0.2]
    assert curve.false_per_scan.tolist() == [0.5, 0.5, 1.0, 1.0]
    assert curve.sensitivity == pytest.approx([1 / 3, 1 / 3, 1 / 3, 2 / 3])
    # 0 up to 0.5, 1/3 up to 1, 2/3 from there to 4
    assert curve.area == pytest.approx((0.5 * 0 + 0.5 / 3 + 3 * 2 / 3) / 4)
    assert curve.at_stops[0.25] == 0.0
    assert curve.at_stops[1.0] == pytest.approx(2 / 3)


def test_a_perfect_ranking_has_area_one_and_a_useless_one_zero(line, resample):
    lesions, findings, case = line
    perfect = case(lesions(0, 40), findings(0, 40, 80, probability=[0.9, 0.8, 0.1]))
    assert froc([perfect], resample(1)).area == 1.0
    useless = case(lesions(0), findings(50, 80, probability=[0.9, 0.8]))
    assert froc([useless], resample(1)).area == 0.0


def test_the_area_has_an_interval_by_subject(first, line, resample):
    lesions, findings, case = line
    good = case(lesions(0), findings(0, probability=[0.9]), name="sub-05")
    curve = froc([first, good, good, first], resample(4))
    assert curve.area_low < curve.area < curve.area_high


def test_without_probabilities_there_is_no_curve(line, resample):
    lesions, findings, case = line
    assert froc([case(lesions(0), findings(0))], resample(1)) is None


def test_without_lesions_the_area_is_not_defined(clean, resample):
    curve = froc([clean], resample(1))
    assert np.isnan(curve.area)
    assert np.isnan(curve.at_stops[1.0])


def test_many_probabilities_are_thinned_to_the_extremes(line, resample):
    lesions, findings, case = line
    p = np.linspace(0.001, 0.999, 500)
    curve = froc([case(lesions(0), findings(*np.arange(500) * 20.0, probability=p))], resample(1))
    assert len(curve.threshold) == 200
    assert (curve.threshold[0], curve.threshold[-1]) == (0.999, 0.001)


def test_the_area_of_a_step_is_exact():
    rates, heights = np.array([1.0, 2.0]), np.array([0.5, 1.0])
    assert area_under(rates, heights, 4.0) == pytest.approx((0.5 + 2.0) / 4)
    assert area_under(rates, heights, 1.5) == pytest.approx(0.25 / 1.5)
    assert area_under(rates + 9, heights, 4.0) == 0.0
    assert step_height(rates, heights, 0.5) == 0.0
    # a curve that falls is read at its best
    assert area_under(np.array([0.0, 1.0]), np.array([0.8, 0.4]), 2.0) == pytest.approx(0.8)
    with pytest.raises(ParameterError, match="up_to = 0"):
        area_under(rates, heights, 0)
