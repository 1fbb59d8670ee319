"""Adjusted p-values against worked numbers and their order."""

import numpy as np
import pytest

from petechia.cohort.multiplicity import METHODS, adjusted_p
from petechia.errors import ParameterError


def test_worked_by_hand():
    p = [0.01, 0.02, 0.03, 0.5]
    assert adjusted_p(p) == pytest.approx([0.04, 0.04, 0.04, 0.5])
    assert adjusted_p(p, "holm") == pytest.approx([0.04, 0.06, 0.06, 0.5])


@pytest.mark.parametrize("method", METHODS)
def test_nan_are_no_tests_and_order_is_kept(method):
    p = np.array([0.2, np.nan, 0.001, 0.04, np.nan])
    told = adjusted_p(p, method)
    assert np.isnan(told[[1, 4]]).all()
    seen = np.isfinite(p)
    assert told[seen] == pytest.approx(adjusted_p(p[seen], method))
    assert (told[seen] >= p[seen]).all()
    turned = adjusted_p(p[::-1], method)[::-1]
    assert turned[seen] == pytest.approx(told[seen])
    assert len(adjusted_p([], method)) == 0
    assert np.isnan(adjusted_p([np.nan], method)).all()


def test_one_test_stays_and_fdr_never_exceeds_holm():
    assert adjusted_p([0.03]) == pytest.approx([0.03])
    p = np.random.default_rng(0).random(40) ** 3
    assert (adjusted_p(p) <= adjusted_p(p, "holm") + 1e-15).all()


def test_refusals():
    with pytest.raises(ParameterError, match="bonf"):
        adjusted_p([0.1], "bonf")
    with pytest.raises(ParameterError, match="outside"):
        adjusted_p([1.2])
