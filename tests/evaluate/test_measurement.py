"""Errors of moments and diameters, and coverage, on values drawn by a known law."""

import numpy as np
import pytest

from petechia.evaluate.measurement import (
    diameter_agreement,
    diameter_errors,
    measured_pairs,
    moment_agreement,
    moment_errors,
)


def scan(line, true, told, se=np.nan, **columns):
    lesions, findings, case = line
    x = 40.0 * np.arange(len(true))
    found = findings(*x, moment=told, moment_se=np.broadcast_to(se, len(true)), diameter_mm=told)
    return case(lesions(*x, moment=true, diameter_mm=np.abs(true), **columns), found)


def test_errors_are_relative_and_signed(line):
    pairs = measured_pairs([scan(line, [2.0, 4.0, 20.0], [2.2, 3.6, 20.0])])
    rows = {r.name: r for r in moment_errors(pairs)}
    assert rows["all"].n == 3
    assert rows["1 to 3 ppm mm3"].bias == pytest.approx(0.1)
    assert rows["3 to 10 ppm mm3"].bias == pytest.approx(-0.1)
    assert rows["10 ppm mm3 and more"].median == 0
    assert np.isnan(rows["all"].coverage)


def test_a_wrong_sign_is_an_error_of_two_hundred_percent(line):
    pairs = measured_pairs([scan(line, [-5.0], [5.0], kind=["calcification"])])
    assert moment_errors(pairs)[0].median == pytest.approx(2.0)
    right = measured_pairs([scan(line, [-5.0], [-6.0], kind=["calcification"])])
    assert moment_errors(right)[0].bias == pytest.approx(0.2)


def test_intervals_of_gaussian_errors_cover_95_percent(line):
    rng = np.random.default_rng(4)
    true = rng.lognormal(1.0, 1.0, 1500)
    told = true + rng.normal(0, 0.3, 1500)
    pairs = measured_pairs([scan(line, true, told, se=0.3)])
    row = moment_errors(pairs)[0]
    assert row.n_intervals == 1500
    assert row.coverage == pytest.approx(0.95, abs=0.02)


def test_agreement_tells_the_limits(line):
    pairs = measured_pairs([scan(line, [1.0, 2.0, 3.0], [2.0, 3.0, 4.0])])
    assert (moment_agreement(pairs).bias, moment_agreement(pairs).sd) == (1.0, 0.0)
    assert diameter_agreement(pairs).bias == 1.0
    assert diameter_errors(pairs)[0].median == 1.0


def test_only_visible_bleeds_and_calcifications_that_were_found_enter(line):
    lesions, findings, case = line
    truth = lesions(0, 40, 80, kind=["microbleed", "vessel", "microbleed"], visible=[1, 1, 0])
    assert len(measured_pairs([case(truth, findings(0, 40, 80))])) == 1
    empty = measured_pairs([case(lesions(), findings())])
    assert moment_errors(empty)[0].n == 0
    assert np.isnan(diameter_errors(empty)[0].median)
