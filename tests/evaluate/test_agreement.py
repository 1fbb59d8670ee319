"""Counts and categories against hand-made numbers."""

import numpy as np
import pytest

from petechia.evaluate.agreement import (
    agreement_table,
    category_of,
    count_agreement,
    count_bin,
)
from petechia.lesions import criteria


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
