"""Rings in thick slices are filled, and nothing else is."""

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.errors import ParameterError
from petechia.lesions.ring import RingParams, fill_rings

SHAPE, SPACING = (25, 27, 5), (0.8, 0.9, 5.0)
GRID = Grid.from_spacing(SHAPE, SPACING)
X, Y = ((np.indices(SHAPE[:2])[axis] - SHAPE[axis] // 2) * SPACING[axis] for axis in range(2))
RADIUS = np.hypot(X, Y)


def ringed(radius_mm=2.5, ring=0.3, middle=0.65, slice_=2):
    """A ring of 1.6 mm across in one slice, its middle half bright."""
    signal = np.ones(SHAPE, np.float32)
    signal[..., slice_][np.abs(RADIUS - radius_mm) < 0.8] = ring
    signal[..., slice_][radius_mm - 0.8 >= RADIUS] = middle
    return signal


def test_a_ring_is_filled_to_its_own_level_in_its_own_slice():
    signal = ringed()
    filled = fill_rings(signal, GRID)
    disc = RADIUS < 2.5 + 0.8
    # levels are tried in steps: the middle is as dark as the ring within one
    assert filled[..., 2][disc].max() <= 0.3 + 0.05 + 1e-3
    assert filled[..., 2][~disc] == pytest.approx(1.0)
    np.testing.assert_array_equal(filled[..., [0, 1, 3, 4]], signal[..., [0, 1, 3, 4]])


def test_a_ring_with_a_gap_is_filled_to_the_gap_s_level():
    signal = ringed()
    gap = (np.abs(RADIUS - 2.5) < 0.8) & (X > 0) & (np.abs(Y) < 1.0)
    signal[..., 2][gap] = 0.5
    middle = fill_rings(signal, GRID)[12, 13, 2]
    assert 0.5 <= middle <= 0.55 + 1e-3
    signal[..., 2][gap] = 1.0
    np.testing.assert_array_equal(fill_rings(signal, GRID), signal)


@pytest.mark.parametrize("left_alone", [
    ringed(radius_mm=4.5),  # wider than a disc of 6 mm within: tissue that veins go round
    ringed(ring=0.75, middle=0.95),  # hardly dark
    np.ones(SHAPE, np.float32),
])  # fmt: skip
def test_what_is_large_or_hardly_dark_stays(left_alone):
    np.testing.assert_array_equal(fill_rings(left_alone, GRID), left_alone)


def test_nothing_becomes_brighter_and_the_order_of_axes_is_nothing():
    rng = np.random.default_rng(3)
    signal = np.clip(rng.normal(0.6, 0.25, SHAPE), 0, 2).astype(np.float32)
    filled = fill_rings(signal, GRID)
    assert (filled <= signal).all()
    assert (filled < signal).any()
    for axes in ((2, 0, 1), (1, 2, 0), (0, 2, 1)):
        turned = Grid.from_spacing(tuple(np.take(SHAPE, axes)), tuple(np.take(SPACING, axes)))
        again = fill_rings(np.ascontiguousarray(signal.transpose(axes)[::-1]), turned)
        np.testing.assert_array_equal(again[::-1], filled.transpose(axes))


def test_where_no_edge_is_the_longest_there_are_no_slices():
    signal = ringed()
    np.testing.assert_array_equal(
        fill_rings(signal, Grid.from_spacing(SHAPE, (3.0, 3.0, 3.0))), signal
    )


def test_none_is_filled_when_no_width_is_allowed():
    signal = ringed()
    np.testing.assert_array_equal(fill_rings(signal, GRID, RingParams(widest_mm=0.0)), signal)


@pytest.mark.parametrize("bad", [{"widest_mm": -1.0}, {"step": 0.0}, {"step": 0.8}, {"brightest": 1.0}])  # fmt: skip
def test_bad_settings_are_named(bad):
    with pytest.raises(ParameterError, match="RingParams"):
        RingParams(**bad)
