"""The robust spread: of normal values their own, whatever lies far off."""

import numpy as np
import pytest
from scipy import stats

from petechia.core.robust import TO_SD, robust_sd


def test_the_factor_is_that_of_normal_values():
    assert pytest.approx(1 / stats.norm.ppf(0.75), abs=1e-4) == TO_SD


@pytest.mark.parametrize("centre", [None, 3.0])
def test_normal_values_give_their_standard_deviation_and_outliers_nothing(centre):
    values = 3.0 + 2.0 * np.random.default_rng(1).standard_normal(20_001)
    assert robust_sd(values, centre) == pytest.approx(2.0, rel=0.03)
    spoilt = values.copy()
    spoilt[:500] = 1e6
    assert robust_sd(spoilt, centre) == pytest.approx(2.0, rel=0.06)
    assert robust_sd(values, most=1000) == pytest.approx(2.0, rel=0.1)
    assert robust_sd(values * -5 + 7) == pytest.approx(5 * robust_sd(values))


def test_a_known_centre_is_not_the_median():
    values = np.array([10.0, 10.0, 10.0])
    assert robust_sd(values) == 0.0
    assert robust_sd(values, 0.0) == pytest.approx(14.826)
    assert robust_sd(values[:0]) == 0.0
