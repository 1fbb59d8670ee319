"""Matching rules on hand-made places."""

import numpy as np
import pytest

from petechia.core.matching import one_to_one, touching, within
from petechia.errors import InputError

NONE = np.zeros((0, 3))


def line(*x):
    return np.array([[v, 0.0, 0.0] for v in x])


def test_one_prediction_serves_two_spots_only_when_allowed():
    true, predicted = line(0, 4), line(2)
    assert within(true, predicted, 5.0).hit.tolist() == [True, True]
    assert one_to_one(true, predicted, 5.0).hit.sum() == 1


def test_most_pairs_come_before_least_distance():
    # the nearest pair (1, 1.5) would leave the spot at 6 alone
    true, predicted = line(1, 6), line(1.5, -3.0)
    assert one_to_one(true, predicted, 5.0).hit.tolist() == [True, True]


def test_the_order_of_the_lists_does_not_matter():
    rng = np.random.default_rng(3)
    true, predicted = rng.uniform(0, 20, (9, 3)), rng.uniform(0, 20, (14, 3))
    here = one_to_one(true, predicted, 6.0)
    swapped = one_to_one(predicted, true, 6.0)
    np.testing.assert_array_equal(here.hit, swapped.good)
    assert len(here.pairs) == here.hit.sum() == here.good.sum()


def test_nothing_on_either_side_is_no_error():
    for rule in (within, one_to_one):
        assert rule(NONE, line(1, 2), 5.0).good.tolist() == [False, False]
        assert rule(line(1, 2), NONE, 5.0).hit.tolist() == [False, False]
        assert rule(NONE, NONE, 5.0).pairs.shape == (0, 2)


def test_touching_labels_share_a_voxel():
    true, predicted = np.zeros((6, 6, 6), int), np.zeros((6, 6, 6), int)
    true[1, 1, 1:3], true[4, 4, 4] = 1, 2
    predicted[1, 1, 2], predicted[1, 1, 1], predicted[4, 4, 5] = 1, 2, 3
    found = touching(true, predicted)
    assert found.hit.tolist() == [True, False]
    assert found.good.tolist() == [True, True, False]


def test_bad_places_are_named():
    with pytest.raises(InputError, match=r"predicted_mm: shape \(3,\) is not \(n, 3\)"):
        within(NONE, np.zeros(3), 5.0)
    with pytest.raises(InputError, match="true_mm: a place is not finite"):
        one_to_one(line(np.nan), NONE, 5.0)
    with pytest.raises(InputError, match="differ"):
        touching(np.zeros((2, 2, 2), int), np.zeros((2, 2, 3), int))
