"""The digital phantom of the IBSI (Zwanenburg et al. 2020, doi:10.1148/radiol.2020191145).

Reference values: IBSI reference manual, digital phantom, 3D merged.
"""

import numpy as np
import pytest

from petechia.lesions.features.intensity import first_order
from petechia.lesions.features.texture import (
    DIRECTIONS,
    co_occurrence,
    co_occurrence_features,
    run_length_features,
    run_lengths,
)

SLICES = (
    ("14411", "14611", "41641", "44641"),
    ("14411", "11611", "01311", "44611"),
    ("14400", "11111", "11011", "11611"),
    ("14400", "11111", "11111", "11611"),
)
"""Grey levels; 0 lies outside the region."""
PHANTOM = np.array([[list(row) for row in rows] for rows in SLICES]).astype(int).transpose(2, 1, 0)
FIRST_ORDER = {
    "mean": 2.15, "variance": 3.05, "skewness": 1.08, "kurtosis": -0.355, "median": 1, "minimum": 1,
    "p10": 1, "p90": 4, "maximum": 6, "interquartile_range": 3, "range": 5,
    "mean_absolute_deviation": 1.55, "robust_mad": 1.11, "median_absolute_deviation": 1.15,
    "cov": 0.812, "qcod": 0.6, "energy": 567, "rms": 2.77,
}  # fmt: skip
GLCM = {
    "joint_maximum": 0.509, "joint_average": 2.15, "joint_variance": 3.13, "joint_entropy": 2.57,
    "dissimilarity": 1.38, "contrast": 5.12, "inverse_difference": 0.688,
    "inverse_difference_moment": 0.631, "correlation": 0.183, "angular_second_moment": 0.291,
    "cluster_tendency": 7.41, "cluster_shade": 17.4,
}  # fmt: skip
GLRLM = {
    "short_runs_emphasis": 0.729, "long_runs_emphasis": 2.76, "low_grey_level_run_emphasis": 0.607,
    "high_grey_level_run_emphasis": 9.64, "grey_level_non_uniformity": 281,
    "grey_level_non_uniformity_normalised": 0.43, "run_length_non_uniformity": 328,
    "run_percentage": 0.68, "run_entropy": 2.62,
}  # fmt: skip


def rounded(value, reference):
    """Whether a value is the reference to the digits that are published."""
    digits = 2 if abs(reference) < 0.1 else 3
    return float(f"{value:.{digits}g}") == pytest.approx(reference, rel=1e-9)


@pytest.mark.parametrize("name", FIRST_ORDER)
def test_intensities_are_the_reference_s(name):
    assert rounded(first_order(PHANTOM[PHANTOM > 0])[name], FIRST_ORDER[name])


@pytest.mark.parametrize("name", GLCM)
def test_co_occurrence_is_the_reference_s(name):
    assert rounded(co_occurrence_features(co_occurrence(PHANTOM, 6))[name], GLCM[name])


@pytest.mark.parametrize("name", GLRLM)
def test_run_lengths_are_the_reference_s(name):
    runs = run_lengths(PHANTOM, 6)
    assert rounded(run_length_features(runs, int((PHANTOM > 0).sum()))[name], GLRLM[name])


def test_directions_are_half_of_all_neighbours():
    both = {tuple(d) for d in DIRECTIONS} | {tuple(-d) for d in DIRECTIONS}
    assert len(both) == 26


def test_one_level_has_one_run_in_each_line():
    runs = run_lengths(np.ones((3, 3, 3), dtype=int), 1)
    # along each of three axes 9 lines of 3
    assert runs[0, 2] >= 27
    assert co_occurrence_features(co_occurrence(np.ones((2, 2, 2), int), 1))["contrast"] == 0


def test_equal_values_have_no_spread():
    told = first_order(np.full(7, 0.5))
    assert (told["variance"], told["skewness"], told["kurtosis"]) == (0, 0, 0)
