"""Edits that no lesion could be: refused at the desk, in words."""

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.errors import ParameterError
from petechia.pipeline.review.fold import fold
from petechia.pipeline.review.outline import Canvas, Surroundings, runs_of
from petechia.pipeline.review.sense import require_sense

WIDE = Grid.from_spacing((90, 80, 70), (2.0, 2.0, 2.0))


def brain() -> np.ndarray:
    mask = np.zeros(WIDE.shape, bool)
    mask[20:70, 20:60, 15:55] = True
    return mask


def box(*sides: slice) -> list[list[int]]:
    drawn = np.zeros(WIDE.shape, bool)
    drawn[sides] = True
    return [list(run) for run in runs_of(np.flatnonzero(drawn))]


def tried(basis, event, labels=None, mask=None, before=()) -> None:
    labels = np.zeros(WIDE.shape, np.int32) if labels is None else labels
    around = Surroundings(canvas=Canvas(labels, WIDE), mask=brain() if mask is None else mask)
    require_sense(event, fold(basis, before, reader="ann"), around)


def test_an_outline_outside_the_brain_is_refused_and_one_at_its_rim_is_not(basis, hand_of):
    ann = hand_of()
    for low, good in ((2, False), (12, False), (16, True), (30, True)):
        event = ann("outline", "s1", runs=box(slice(low, low + 2), slice(30, 32), slice(30, 32)))
        if good:
            tried(basis, event)
        else:
            with pytest.raises(ParameterError, match=r"has no voxel in the brain nor within 10 mm"):
                tried(basis, event)
        tried(basis, event, mask=np.zeros(WIDE.shape, bool))  # no mask, no word


def test_an_outline_larger_than_any_hemorrhage_is_refused(basis, hand_of):
    ann, place = hand_of(), {"x_mm": 80.0, "y_mm": 80.0, "z_mm": 70.0, "class_": "microbleed"}
    large = box(slice(20, 60), slice(20, 60), slice(20, 40))  # 256 mL
    tried(basis, ann("add", **place, runs=box(slice(20, 50), slice(20, 60), slice(20, 40))))
    for event in (ann("add", **place, runs=large), ann("outline", "s1", runs=large)):
        with pytest.raises(ParameterError, match=r"32000 voxels, 256 mL.*at most 200 mL"):
            tried(basis, event)


def test_only_what_lies_together_is_merged(basis, hand_of):
    ann, labels = hand_of(), np.zeros(WIDE.shape, np.int32)
    for n, i in enumerate((30, 36, 42, 60), start=1):  # 12 mm from edge to edge; 32 mm the last
        labels[i, 40, 30] = n
    tried(basis, ann("merge", "s1", with_=["s3", "s2"]), labels)  # s3 by way of s2
    with pytest.raises(ParameterError, match=r"s3 lies 24 mm from what it would be merged with"):
        tried(basis, ann("merge", "s1", with_=["s3"]), labels)
    with pytest.raises(ParameterError, match=r"s4 lies 36 mm .*within 20 mm"):
        tried(basis, ann("merge", "s1", with_=["s2", "s3", "s4"]), labels)


def test_one_lesion_is_not_counted_twice(basis, hand_of):
    """A click on what is there already: grown wider, narrower, or voxel for voxel the same."""
    ann, labels = hand_of(), np.zeros(WIDE.shape, np.int32)
    labels[30:33, 30:33, 30:33] = 1
    labels[31:33, 40:42, 30] = 6  # not asked about: unlikely
    place = {"x_mm": 62.0, "y_mm": 62.0, "z_mm": 62.0, "class_": "microbleed"}
    sides = (slice(30, 33), slice(29, 34), slice(31, 32))
    for first in sides:
        runs = box(first, first, first)
        for event in (ann("add", **place, runs=runs), ann("outline", "s2", runs=runs)):
            with pytest.raises(ParameterError, match=r"and s1 lie within .* counted twice.* s1,"):
                tried(basis, event, labels)
    beside = ann("add", **place, runs=box(slice(32, 36), slice(30, 33), slice(30, 33)))
    tried(basis, beside, labels)  # another one that touches it
    tried(basis, ann("outline", "s1", runs=box(*sides[1:], sides[1])), labels)
    tried(basis, ann("add", **place, runs=box(slice(31, 33), slice(40, 42), slice(30, 31))), labels)
    no = ann("decide", "s1", verdict="reject", class_="vessel")
    mine = ann("add", **place, runs=box(*sides[:1] * 3))
    tried(basis, mine, labels, before=[no])  # one's own outline in its stead
    with pytest.raises(ParameterError, match=f"s1 and {mine.finding} lie within"):
        tried(basis, ann("decide", "s1", verdict="accept"), labels, before=[no, mine])
