"""Voxels of findings: as runs, by size, from a click."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from petechia.core.grid import Grid
from petechia.errors import ParameterError
from petechia.pipeline.review.fold import fold
from petechia.pipeline.review.outline import (
    Canvas,
    Surroundings,
    complete,
    flat_of,
    grow,
    measured,
    runs_of,
    split,
)
from petechia.pipeline.review.state import Outline


@settings(max_examples=80, deadline=None)
@given(st.sets(st.integers(0, 300)))
def test_runs_and_voxels_are_the_same(voxels):
    runs = runs_of(sorted(voxels))
    assert set(flat_of(runs, 400).tolist()) == voxels
    assert set(flat_of(runs, 100).tolist()) == {v for v in voxels if v < 100}


def test_a_box_is_measured_as_it_is():
    grid = Grid.from_spacing((12, 12, 12), (0.5, 0.5, 2.0))
    box = np.zeros(grid.shape, bool)
    box[3:7, 4:7, 5:7] = True
    told = measured(np.flatnonzero(box), grid)
    assert told["volume_mm3"] == pytest.approx(4 * 3 * 2 * 0.5)
    assert told["diameter_mm"] == pytest.approx(np.hypot(1.5, 1.0) + 0.5)
    assert [told[f"{a}_mm"] for a in "xyz"] == pytest.approx([2.25, 2.5, 11.0])
    assert measured(np.zeros(0, np.int64), grid) is None


@pytest.mark.parametrize("spacing", [(0.8, 0.8, 0.8), (0.5, 0.5, 2.5)])
@pytest.mark.parametrize("flips", [(), (0, 2)])
def test_a_click_grows_the_dark_ball_under_it(spacing, flips):
    grid = Grid.from_spacing([round(36 / s) for s in spacing], spacing)
    rng = np.random.default_rng(3)
    at = np.indices(grid.shape).reshape(3, -1).T * grid.spacing_mm
    near = np.linalg.norm(at - 18, axis=1).reshape(grid.shape) <= 2.5
    image = 100 + rng.normal(0, 3, grid.shape)
    image[near] *= 0.3
    image, near = np.flip(image, flips), np.flip(near, flips)
    place = grid.to_mm(np.argwhere(near).mean(axis=0))
    grown = np.zeros(grid.size, bool)
    grown[grow(image, None, np.add(place, (1.0, 0.5, 0)), grid)] = True
    grown = grown.reshape(grid.shape)
    dice = 2 * (grown & near).sum() / (grown.sum() + near.sum())
    assert dice > 0.9


def test_a_click_on_a_long_vein_stays_within_reach():
    grid = Grid.from_spacing((40, 40, 40), (1.0, 1.0, 1.0))
    image = np.full(grid.shape, 100.0)
    image[19:22, 19:22, :] = 20.0
    index = np.stack(np.unravel_index(grow(image, None, (20, 20, 20), grid), grid.shape), 1)
    assert np.ptp(index[:, 2]) <= 11


def test_a_click_on_nothing_is_a_small_ball_and_outside_is_refused():
    grid = Grid.from_spacing((30, 30, 30), (1.0, 1.0, 1.0))
    ball = grow(np.full(grid.shape, 7.0), None, (15, 15, 15), grid)
    assert 1 <= len(ball) <= 30
    with pytest.raises(ParameterError, match="outside"):
        grow(np.zeros(grid.shape), None, (99, 0, 0), grid)


def test_a_split_goes_to_the_nearer_place():
    grid = Grid.from_spacing((10, 5, 5), (1.0, 1.0, 1.0))
    bar = np.ravel_multi_index((np.arange(2, 9), np.full(7, 2), np.full(7, 2)), grid.shape)
    one, two = split(bar, [(2, 2, 2), (8, 2, 2)], grid)
    assert flat_of(one, grid.size).tolist() + flat_of(two, grid.size).tolist() == bar.tolist()
    assert len(one) == 4
    with pytest.raises(ParameterError, match="no voxel"):
        split(bar, [(2, 2, 2), (99, 2, 2)], grid)


def test_where_outlines_overlap_the_smaller_stands(scan_of):
    canvas = Canvas(scan_of.labels, scan_of.grid)
    small = Outline(runs=runs_of(canvas.voxels(Outline(labels=(1,)))[:2]))
    painted, left = canvas.paint([small, Outline(labels=(1, 2))])
    assert left == [2, 16]
    assert (painted == 1).sum() == 2


def test_events_are_completed_before_they_are_kept(basis, hand_of, scan_of):
    ann, grid = hand_of(), scan_of.grid
    canvas = Canvas(scan_of.labels, grid)
    image = np.where(scan_of.labels == 4, 20.0, 100.0)
    around = Surroundings(canvas=canvas, image=lambda: image, region=lambda _: ("thalamus", "left"))
    state = fold(basis, [], reader="ann")
    x, y, z = grid.to_mm(scan_of.centres[3]).tolist()
    added = complete(ann("add", x_mm=x, y_mm=y, z_mm=z, class_="microbleed"), state, around)
    own = set(canvas.voxels(Outline(labels=(4,))).tolist())
    runs = tuple(tuple(run) for run in added.payload["runs"])
    assert set(flat_of(runs, grid.size).tolist()) == own
    assert (added.payload["site"], added.payload["side"]) == ("thalamus", "left")
    a, b = (grid.to_mm(np.add(scan_of.centres[0], (d, 0, 0))).tolist() for d in (-1, 1))
    cut = complete(ann("split", "s1", at_mm=[a, b]), state, around)
    parts = [flat_of(tuple(map(tuple, part)), grid.size) for part in cut.payload["parts"]]
    assert [len(part) for part in parts] == [6, 3]
    with pytest.raises(ParameterError, match="Count voxels"):
        complete(ann("outline", "s1", runs=[[grid.size, 1]]), state, around)
