"""Masks: boxes whose overlap and distance are known."""

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.errors import GridMismatchError
from petechia.evaluate.masks import dice, hausdorff, hausdorff95, score_mask

GRID = Grid((20, 20, 20), np.diag([1.0, 1.0, 3.0, 1.0]))


def box(low, high):
    out = np.zeros(GRID.shape, dtype=bool)
    out[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    return out


def test_dice_of_boxes_that_share_half():
    one, other = box((2, 2, 2), (6, 6, 6)), box((4, 2, 2), (8, 6, 6))
    assert dice(one, other) == 0.5
    assert dice(one, one) == 1.0
    assert dice(one, box((10, 10, 10), (12, 12, 12))) == 0.0
    empty = np.zeros(GRID.shape, dtype=bool)
    assert dice(empty, empty) == 1.0
    assert dice(empty, one) == 0.0


def test_hausdorff_of_a_plate_moved_along_each_axis_is_in_millimetres():
    plate = box((2, 2, 4), (18, 18, 5))
    assert hausdorff95(plate, np.roll(plate, 3, axis=2), GRID) == pytest.approx(9.0)
    assert hausdorff95(plate, plate, GRID) == 0.0
    stick = box((4, 2, 2), (5, 18, 18))
    assert hausdorff95(stick, np.roll(stick, 3, axis=0), GRID) == pytest.approx(3.0)


def test_hausdorff_takes_the_worse_way_and_forgives_a_speck():
    one = box((2, 2, 2), (12, 12, 12))
    speck = one.copy()
    speck[18, 18, 18] = True
    assert hausdorff95(one, speck, GRID) == hausdorff95(speck, one, GRID) == 0.0
    far = np.sqrt(7**2 + 7**2 + (3 * 7) ** 2)  # to the corner of the box
    assert hausdorff(one, speck, GRID) == hausdorff(speck, one, GRID) == pytest.approx(far)
    score = score_mask(one, speck, GRID)
    assert (score.hausdorff95_mm, score.hausdorff_mm) == (0.0, pytest.approx(far))
    part = box((2, 2, 2), (7, 12, 12))
    assert hausdorff95(one, part, GRID) == hausdorff95(part, one, GRID) > 3
    assert np.isnan(hausdorff95(one, np.zeros(GRID.shape, dtype=bool), GRID))


def test_places_left_outside_are_told():
    mask = box((2, 2, 2), (8, 8, 8))
    places = GRID.to_mm(np.array([[4, 4, 4], [15, 15, 15], [-3, 4, 4]]))
    score = score_mask(mask, box((2, 2, 2), (8, 8, 14)), GRID, places)
    assert score.centres_inside == pytest.approx(1 / 3)
    assert score.volume_ratio == pytest.approx(0.5)
    assert np.isnan(score_mask(mask, mask, GRID).centres_inside)


def test_another_grid_is_named():
    with pytest.raises(GridMismatchError, match="found"):
        score_mask(np.zeros((2, 2, 2), bool), box((0, 0, 0), (1, 1, 1)), GRID)
