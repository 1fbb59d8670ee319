"""Classes and signs of matched findings."""

import numpy as np

from petechia.evaluate.naming import NO_LESION, NOT_FOUND, blood_or_calcium, confusion


def scan(line):
    lesions, findings, case = line
    truth = lesions(
        0, 30, 60, 90, 120,
        kind=["microbleed", "calcification", "calcification", "microbleed", "microbleed"],
        visible=[1, 1, 1, 1, 0],
    )  # fmt: skip
    found = findings(
        0, 31, 60, 200, 120,
        kind=["microbleed", "microbleed", "calcification", "vessel", "microbleed"],
        sign=["paramagnetic", "paramagnetic", "diamagnetic", "paramagnetic", "unclear"],
        moment=[5.0, 1.0, -9.0, 1.0, 1.0], moment_se=[0.5, 0.5, 1.0, np.nan, 0.0],
    )  # fmt: skip
    return case(truth, found)


def test_the_confusion_matrix_counts_everything_once(line):
    table = confusion([scan(line)])
    cell = {
        (r, c): int(table.counts[i, j])
        for i, r in enumerate(table.rows)
        for j, c in enumerate(table.columns)
        if table.counts[i, j]
    }
    assert cell == {
        ("microbleed", "microbleed"): 1, ("calcification", "microbleed"): 1,
        ("calcification", "calcification"): 1, ("microbleed", NOT_FOUND): 1,
        (NO_LESION, "vessel"): 1, (NO_LESION, "microbleed"): 1,
    }  # fmt: skip


def test_signs_are_right_wrong_or_open(line):
    score = blood_or_calcium([scan(line)])
    assert (score.right, score.wrong, score.unclear) == (2, 1, 0)
    assert score.accuracy == 2 / 3
    sure = blood_or_calcium([scan(line)], least_ratio=5.0)
    assert (sure.right, sure.wrong) == (2, 0)
    assert sure.accuracy == 1.0


def test_unclear_signs_have_a_rate_and_no_phase_is_not_judged(line):
    lesions, findings, case = line
    truth = lesions(0, 30, 60)
    found = findings(0, 30, 60, sign=["paramagnetic", "unclear", "not_assessed"])
    score = blood_or_calcium([case(truth, found)])
    assert (score.unclear, score.not_assessed, score.unclear_rate) == (1, 1, 0.5)
    nothing = blood_or_calcium([case(lesions(), findings())])
    assert np.isnan(nothing.accuracy)


def test_nothing_found_and_nothing_true(line):
    lesions, findings, case = line
    table = confusion([case(lesions(), findings())])
    assert table.rows == (NO_LESION,)
    assert table.counts.sum() == 0
