"""Slices that were lost: which they are, and what lies between their neighbours."""

import numpy as np
import pytest

from petechia.anatomy.empty import empty_slices

SHAPE = (7, 8, 9)


@pytest.mark.parametrize("axis", range(3))
def test_lost_slices_are_found_along_any_axis(axis):
    image = np.ones(SHAPE)
    np.moveaxis(image, axis, 0)[[2, 3]] = 0
    found = empty_slices(image)
    assert (found.axis, found.at) == (axis, (2, 3))
    assert found.says == f"There is no signal in slices 3, 4 of {SHAPE[axis]} (axis {'ijk'[axis]})"
    assert np.array_equal(found.mask(SHAPE), image == 0)


def test_air_above_and_below_the_head_is_not_lost():
    image = np.zeros(SHAPE)
    image[2:5, 2:6, 3:7] = 1
    found = empty_slices(image)
    assert found.at == ()
    assert found.says == ""
    assert not found.mask(SHAPE).any()
    assert found.filled(image) is image


def test_a_slice_lost_in_one_echo_is_lost():
    echoes = np.ones((3, *SHAPE))
    echoes[1, :, :, 4] = 0
    assert empty_slices(echoes).at == (4,)


def test_a_late_echo_without_signal_at_the_ends_has_lost_nothing():
    echoes = np.ones((2, *SHAPE))
    echoes[1, :, :, :2] = echoes[1, :, :, 7:] = 0
    assert empty_slices(echoes).at == ()


def test_a_speck_beyond_the_head_makes_no_lost_slices():
    image = np.zeros((20, 20, 30))
    image[2:18, 2:18, 2:20] = 1
    image[3, 3, 26] = 1
    assert empty_slices(image).at == ()


def test_what_was_lost_is_bridged_by_a_straight_line():
    whole = np.ones((2, *SHAPE)) * np.arange(1.0, 10.0)
    broken = whole.copy()
    broken[..., 3:6] = 0
    np.testing.assert_allclose(empty_slices(broken).filled(broken), whole)
    assert (broken[..., 3:6] == 0).all()
