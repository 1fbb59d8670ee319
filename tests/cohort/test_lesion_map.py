"""The map of a cohort's lesions, and how lesions look."""

import numpy as np
import pytest

from petechia.cohort.lesion_map import lesion_frequency
from petechia.cohort.looks import homogeneity, looks
from petechia.core.grid import Grid
from petechia.errors import InputError, ParameterError

GRID = Grid(
    (31, 29, 27), np.array([[2, 0, 0, -30], [0, 2, 0, -28], [0, 0, 2, -26], [0, 0, 0, 1.0]])
)
NONE = np.zeros((0, 3))


def test_a_lesion_marks_a_ball_of_the_radius(grid):
    middle = grid.to_mm((np.asarray(grid.shape) - 1) / 2)
    share = lesion_frequency([middle[None]], grid, 6.0)
    mm3 = float((share > 0).sum()) * grid.voxel_mm3
    assert mm3 == pytest.approx(4 / 3 * np.pi * 6**3, rel=0.05)
    far = np.argwhere(share > 0)
    assert np.linalg.norm(grid.to_mm(far) - middle, axis=1).max() <= 6.0


def test_people_count_once_and_those_without_belong_to_the_denominator():
    near = np.array([[0.0, 0, 0], [1.0, 0, 0]])
    share = lesion_frequency([near, near[:1], NONE, NONE], GRID, 5.0)
    assert share.max() == 0.5
    assert share[tuple(np.rint(GRID.to_index((0, 0, 0))).astype(int))] == 0.5


def test_the_order_of_people_does_not_matter_and_a_flip_flips_the_map():
    rng = np.random.default_rng(1)
    people = [rng.uniform(-25, 25, (n, 3)) for n in (1, 0, 4, 2)]
    share = lesion_frequency(people, GRID, 7.0)
    assert np.array_equal(share, lesion_frequency(people[::-1], GRID, 7.0))
    flipped = lesion_frequency([p * [-1, 1, 1] for p in people], GRID, 7.0)
    assert np.array_equal(flipped, share[::-1])


def test_what_cannot_be_mapped_is_told():
    assert not lesion_frequency([], GRID, 5.0).any()
    assert not lesion_frequency([np.array([[900.0, 0, 0]])], GRID, 5.0).any()
    with pytest.raises(InputError, match="not finite"):
        lesion_frequency([np.array([[np.nan, 0, 0]])], GRID, 5.0)
    with pytest.raises(ParameterError, match="radius_mm = 0"):
        lesion_frequency([NONE], GRID, 0)


def test_conspicuity_is_contrast_over_the_noise_around():
    rng = np.random.default_rng(3)
    labels = np.zeros(GRID.shape, np.int32)
    labels[14:17, 13:16, 12:15] = 4
    image = rng.normal(10, 2.0, GRID.shape) - 16.0 * (labels > 0)
    whole = np.ones(GRID.shape, bool)
    found = looks(image, labels, whole, GRID)
    assert set(found) == {4}
    assert found[4].conspicuity == pytest.approx(8, rel=0.15)
    assert found[4].homogeneity == pytest.approx(1 - 2 / 16, abs=0.05)
    assert found[4].unambiguous
    scaled = looks(-3 * image + 7, labels, whole, GRID)[4]
    assert scaled.conspicuity == pytest.approx(found[4].conspicuity)
    assert scaled.homogeneity == pytest.approx(found[4].homogeneity)


def test_another_lesion_beside_it_is_no_background():
    rng = np.random.default_rng(3)
    labels = np.zeros(GRID.shape, np.int32)
    labels[14:17, 13:16, 12:15], labels[17:20, 13:16, 12:15] = 1, 2
    image = rng.normal(0, 1.0, GRID.shape) + 10.0 * (labels == 1) + 500.0 * (labels == 2)
    found = looks(image, labels, np.ones(GRID.shape, bool), GRID)
    assert found[1].conspicuity == pytest.approx(10, rel=0.2)


def test_a_shell_of_nothing_and_one_voxel_tell_nothing():
    labels = np.zeros(GRID.shape, np.int32)
    labels[3, 3, 3] = 1
    none = looks(np.ones(GRID.shape), labels, np.zeros(GRID.shape, bool), GRID)[1]
    assert np.isnan(none.conspicuity)
    assert not none.unambiguous
    assert np.isnan(homogeneity([1.0]))
    assert np.isnan(homogeneity([1.0, -1.0]))
    assert homogeneity([2.0, 2.0]) == 1.0
