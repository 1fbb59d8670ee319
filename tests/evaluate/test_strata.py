"""Strata of hand-counted scans."""

import numpy as np
import pytest

from petechia.evaluate.detection import outcomes
from petechia.evaluate.strata import strata_of


def by(found, what):
    return {s.name: (s.found, s.lesions) for s in found if s.by == what}


def test_lesions_fall_into_their_strata(first, clean, resample):
    cases = [first, clean]
    found = strata_of(cases, outcomes(cases), resample(2))
    assert by(found, "moment") == {
        "0.3 to 1 ppm mm3": (0, 1), "1 to 3 ppm mm3": (1, 1), "10 ppm mm3 and more": (0, 1),
    }  # fmt: skip
    assert by(found, "apparent diameter") == {
        "2 to 3 mm": (0, 1), "3 to 5 mm": (1, 1), "5 to 10 mm": (0, 1),
    }  # fmt: skip
    assert by(found, "compartment") == {"deep": (0, 1), "lobar": (1, 2)}
    assert by(found, "site") == {"frontal": (1, 2), "thalamus": (0, 1)}
    assert by(found, "load") == {"none": (0, 0), "1 to 4": (1, 3)}


def test_strata_of_scans_tell_false_positives(first, clean, resample):
    cases = [first, clean]
    loads = {s.name: s for s in strata_of(cases, outcomes(cases), resample(2)) if s.by == "load"}
    assert loads["none"].false_per_scan.value == 1.0
    assert np.isnan(loads["none"].sensitivity.value)
    assert loads["1 to 4"].sensitivity.value == pytest.approx(1 / 3)


def test_unknown_sizes_have_a_stratum_of_their_own_and_slices_are_sorted(line, resample):
    lesions, findings, case = line
    cases = [
        case(lesions(0), findings(0), slice_mm=5.0),
        case(lesions(0), findings(), name="sub-02", slice_mm=1.0),
    ]
    found = strata_of(cases, outcomes(cases), resample(2))
    assert by(found, "moment") == {"not known": (1, 2)}
    assert by(found, "slice thickness") == {"below 1.5 mm": (0, 1), "3 mm and more": (1, 1)}


def test_no_lesions_at_all_leave_only_strata_of_scans(clean, resample):
    found = strata_of([clean], outcomes([clean]), resample(1))
    assert {s.by for s in found} == {"load"}
