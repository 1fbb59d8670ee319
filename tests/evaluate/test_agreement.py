"""Counts, categories and kappa against published and hand-made numbers."""

import numpy as np
import pytest

from petechia.errors import ParameterError
from petechia.evaluate.agreement import (
    agreement_table,
    bland_altman,
    category_of,
    count_agreement,
    count_bin,
    kappa,
)
from petechia.lesions import criteria


def test_kappa_of_the_textbook_table():
    assert kappa([[20, 5], [10, 15]]) == pytest.approx(0.40)


def test_linear_weights_forgive_near_misses():
    near, far = np.diag([5, 5, 5]), np.diag([5, 5, 5])
    near[0, 1] = far[0, 2] = 3
    assert kappa(near, "linear") > kappa(far, "linear")
    assert kappa(near) == pytest.approx(kappa(near.T))
    # 2 x 2: both weightings are one
    assert kappa([[20, 5], [10, 15]], "linear") == pytest.approx(0.40)


def test_kappa_of_perfect_chance_and_one_word():
    assert kappa(np.diag([3, 4])) == 1.0
    assert kappa([[4, 4], [4, 4]]) == pytest.approx(0.0)
    assert np.isnan(kappa([[7, 0], [0, 0]]))
    assert np.isnan(kappa(np.zeros((2, 2))))
    with pytest.raises(ParameterError, match="weights 'cubic'"):
        kappa([[1, 0], [0, 1]], "cubic")
    with pytest.raises(ParameterError, match=r"shape \(1, 2\)"):
        kappa([[1, 0]])


def test_bland_altman_of_known_differences():
    true = np.zeros(4)
    found = bland_altman(true, np.array([1.0, 3.0, np.nan, 2.0]))
    assert (found.bias, found.sd, found.n) == (2.0, 1.0, 3)
    assert (found.low, found.high) == pytest.approx((0.04, 3.96))
    assert bland_altman(true[:0], true[:0]).n == 0


def test_counts_and_categories_of_scans(first, clean):
    found = count_agreement([first, clean])
    assert found.true.tolist() == [3, 0]
    assert found.told.tolist() == [3, 1]
    assert found.mean_absolute == 0.5
    assert found.difference.bias == 0.5
    assert found.bins.counts.tolist() == [[0, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert found.bins.right == 0.5
    # first: lobar and deep on both sides; clean: nothing true, one at an unknown site
    assert found.category.right == 0.5


def test_a_tool_without_compartments_has_no_category(line):
    lesions, findings, case = line
    assert count_agreement([case(lesions(0, compartment=["lobar"]), findings(0))]).category is None


@pytest.mark.parametrize(
    "places",
    [[], ["lobar"], ["deep"], ["infratentorial"], ["lobar", "deep"], ["n/a"],
     ["lobar", "n/a"], ["lobar", "infratentorial", "n/a"], ["deep", "infratentorial"]],
)  # fmt: skip
def test_categories_are_those_of_the_clinical_summary(places):
    class Counted:
        counted = True
        site = "n/a"

        def __init__(self, compartment):
            self.compartment = compartment

    summary = criteria.patient_category([Counted(c) for c in places])
    assert category_of(np.array(places, dtype=np.str_)) == summary


def test_bins_are_those_of_the_clinical_summary():
    assert [count_bin(n) for n in range(8)] == [criteria.count_bin(n) for n in range(8)]


def test_words_outside_the_table_are_a_fault():
    with pytest.raises(KeyError):
        agreement_table(["a"], ["b"], ["a"])
