import numpy as np
import pytest

from petechia.core import morphology as m
from petechia.core.grid import Grid

GRID = Grid.from_spacing((41, 33, 21), (0.6, 1.0, 2.0))
PLACE = GRID.to_mm(np.moveaxis(np.indices(GRID.shape), 0, -1)) - GRID.to_mm((20, 16, 10))
away_mm = np.linalg.norm(PLACE, axis=-1)


def ball(radius_mm):
    return away_mm <= radius_mm


@pytest.mark.parametrize("grow", [2.0, 3.5])
def test_a_ball_grows_and_shrinks_by_millimetres_on_any_voxel(grow):
    grown, shrunk = m.dilate_mm(ball(5.0), GRID, grow), m.erode_mm(ball(9.0), GRID, grow)
    # half the longest side of a voxel is what a surface of voxels can be off
    assert grown[away_mm < 5.0 + grow - 1.1].all()
    assert not grown[away_mm > 5.0 + grow + 1e-6].any()
    assert shrunk[away_mm < 9.0 - grow - 2.0].all()
    assert not shrunk[away_mm > 9.0 - grow + 2.0].any()
    assert (shrunk & ~ball(9.0)).sum() == 0


def test_the_border_of_the_volume_is_no_edge():
    everything = np.ones(GRID.shape, dtype=bool)
    assert m.erode_mm(everything, GRID, 5.0).all()
    assert np.isinf(m.distance_inside_mm(everything, GRID)).all()
    assert not m.dilate_mm(~everything, GRID, 5.0).any()


def test_opening_takes_threads_and_closing_fills_gaps():
    thread = (np.abs(PLACE[..., 1]) < 0.6) & (np.abs(PLACE[..., 2]) < 1.1)
    opened = m.open_mm(ball(6.0) | thread, GRID, 2.0)
    assert not (opened & (away_mm > 8.5)).any()
    assert opened[away_mm < 3.0].all()
    gap = ball(8.0) & ~(np.abs(PLACE[..., 0]) < 0.7)
    assert m.close_mm(gap, GRID, 2.0)[away_mm < 4.0].all()


def test_a_box_is_widened_as_far_as_the_volume_goes():
    room, shape = np.array([2, 3, 4]), (20, 20, 20)
    inner = tuple(slice(8, 11) for _ in range(3))
    assert m.widened_box(inner, room, shape) == (slice(6, 13), slice(5, 14), slice(4, 15))
    for box in [(slice(0, 2),) * 3, (slice(18, 20),) * 3, (slice(0, 20),) * 3]:
        wide = m.widened_box(box, room, shape)
        assert np.zeros(shape)[wide].shape == Grid(shape).cut(wide).shape
        assert all(w.start <= b.start and w.stop >= b.stop for w, b in zip(wide, box, strict=True))


def test_parts_and_holes():
    two = ball(3.0) | (np.linalg.norm(PLACE - (9, 0, 0), axis=-1) < 2.0)
    assert (m.largest_component(two) == ball(3.0)).all()
    assert not m.largest_component(np.zeros(GRID.shape, dtype=bool)).any()
    assert (m.fill_holes(ball(7.0) & ~ball(2.5)) == ball(7.0)).all()
    bowl = ball(7.0) & ~(ball(5.0) | (PLACE[..., 2] > 3.0))
    assert not m.fill_holes(bowl)[20, 16, 10]
    assert m.fill_slices(bowl)[20, 16, 10]
    assert (m.fill_slices(bowl) <= ball(7.0)).all()
    corner = np.zeros((3, 3, 3), dtype=bool)
    corner[0, 0, 0] = corner[1, 1, 1] = True
    assert m.label_26(corner)[1] == 1
