"""Rates on hand-counted scans."""

import numpy as np
import pytest

from petechia.errors import InputError, ParameterError
from petechia.evaluate.detection import (
    Predictions,
    Truth,
    by_moment,
    f1,
    froc,
    macro,
    pooled,
    precision,
    score_scan,
    sensitivity,
)


def truth(*rows):
    """Rows of x, moment, visible."""
    return Truth(
        place_mm=np.array([[x, 0.0, 0.0] for x, _, _ in rows]).reshape(-1, 3),
        moment=np.array([m for _, m, _ in rows], float),
        visible=np.array([v for _, _, v in rows], bool),
    )


def predicted(*rows):
    """Rows of x, probability; counted from 0.5."""
    p = np.array([q for _, q in rows], float)
    return Predictions(
        place_mm=np.array([[x, 0.0, 0.0] for x, _ in rows]).reshape(-1, 3),
        probability=p,
        counted=p >= 0.5,
    )


TRUE = truth((0, 2.0, 1), (50, 0.5, 1), (100, 20.0, 1), (150, 0.1, 0))
# a hit, one on the invisible lesion, a false one, one not counted on a lesion
FOUND = predicted((1, 0.9), (150, 0.8), (70, 0.6), (100, 0.2))


def test_an_invisible_lesion_is_neither_missed_nor_falsely_found():
    score = score_scan(TRUE, FOUND)
    assert score.hit.tolist() == [True, False, False]
    assert (score.n_good, score.n_false) == (1, 1)


def test_rates_are_counted_by_hand():
    scores = [score_scan(TRUE, FOUND), score_scan(truth(), predicted((0, 0.9)))]
    assert sensitivity(scores) == pytest.approx(1 / 3)
    assert precision(scores) == pytest.approx(1 / 3)
    assert f1(scores) == pytest.approx(2 / (2 + 2 + 2))
    assert by_moment(scores)[0] == (0.3, 1.0, 0, 1)
    assert by_moment(scores)[3] == (10.0, np.inf, 0, 1)
    mean, median = macro(scores)["false_per_scan"]
    assert (mean, median) == (1.0, 1.0)
    # the lesion-free scan has no sensitivity and does not enter its mean
    assert macro(scores)["sensitivity"][0] == pytest.approx(1 / 3)


def test_intervals_hold_the_value_and_repeat_with_the_seed():
    scores = [score_scan(TRUE, FOUND)] * 3 + [score_scan(truth((0, 1.0, 1)), predicted((0, 0.9)))]
    one = pooled(scores, np.random.default_rng(1), n_resamples=200)
    two = pooled(scores, np.random.default_rng(1), n_resamples=200)
    assert one == two
    for value, low, high in one.values():
        assert low <= value <= high


def test_froc_rises_as_the_threshold_falls():
    curve = froc([TRUE], [FOUND], [0.95, 0.7, 0.1])
    assert [s for _, _, s in curve] == pytest.approx([0.0, 1 / 3, 2 / 3])
    assert [fp for _, fp, _ in curve] == [0.0, 0.0, 1.0]


def test_bad_input_is_named():
    with pytest.raises(ParameterError, match=r"no rule 'dice'.*one_to_one"):
        score_scan(TRUE, FOUND, rule="dice")
    with pytest.raises(InputError, match="1 places, 0 moments, 1 flags"):
        Truth(place_mm=np.zeros((1, 3)), moment=np.zeros(0), visible=np.ones(1, bool))
