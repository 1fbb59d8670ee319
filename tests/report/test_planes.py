"""A patient's left must be on the picture's right, however the file stores its axes."""

from itertools import permutations, product

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.report.planes import AXIAL, CORONAL, SAGITTAL, Box, Layout, cut, spot_mm

SHAPE = (15, 19, 17)
STORAGE = [(axes, signs) for axes in permutations(range(3)) for signs in product((1, -1), repeat=3)]


def grid_of(axes, signs, spacing=(1.0, 1.0, 1.0), shape=SHAPE, turn_deg=0.0):
    affine = np.eye(4)
    affine[:3, :3] = 0
    for column, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
        affine[axis, column] = sign * spacing[column]
    c, s = np.cos(np.deg2rad(turn_deg)), np.sin(np.deg2rad(turn_deg))
    affine[:3, :3] = np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ affine[:3, :3]
    affine[:3, 3] = -affine[:3, :3] @ ((np.asarray(shape) - 1) / 2)
    return Grid(shape, affine)


def picture_of(grid, place_mm, plane):
    """Mark the voxel at a place, cut the plane through it, return (row, column) and the size."""
    volume = np.zeros(grid.shape, np.float32)
    volume[tuple(np.round(grid.to_index(place_mm)).astype(int))] = 1
    layout = Layout.of(grid)
    across, down = plane.axes
    n = round(float(layout.place(place_mm)[plane.normal]))
    box = Box((0, 0), (layout.shape[across], layout.shape[down]))
    picture = cut(layout.lay(volume), plane, n, box)
    (spot,) = np.argwhere(picture == 1)
    return layout, box, spot, picture.shape


@pytest.mark.parametrize(("axes", "signs"), STORAGE)
@pytest.mark.parametrize("turn_deg", [0.0, 20.0])
def test_patient_left_front_top_come_out_right_left_top(axes, signs, turn_deg):
    grid = grid_of(axes, signs, turn_deg=turn_deg)
    left_front_up = (-5.0, 4.0, 3.0)
    _, _, (row, column), (rows, columns) = picture_of(grid, left_front_up, AXIAL)
    assert column > columns / 2  # the patient's left on the picture's right
    assert row < rows / 2  # front is up
    _, _, (row, column), (rows, columns) = picture_of(grid, left_front_up, CORONAL)
    assert column > columns / 2
    assert row < rows / 2  # head is up
    _, _, (row, column), (rows, columns) = picture_of(grid, left_front_up, SAGITTAL)
    assert column < columns / 2  # front is left
    assert row < rows / 2


@pytest.mark.parametrize(("axes", "signs"), STORAGE[::5])
def test_the_ring_falls_on_the_marked_voxel(axes, signs):
    grid = grid_of(axes, signs, spacing=(0.5, 2.0, 1.25))
    place = grid.to_mm([9, 5, 12])
    for plane in (AXIAL, CORONAL, SAGITTAL):
        layout, box, (row, column), _ = picture_of(grid, place, plane)
        left, top = spot_mm(layout, plane, box, layout.place(place))
        across, down = plane.axes
        assert left == pytest.approx((column + 0.5) * layout.spacing_mm[across])
        assert top == pytest.approx((row + 0.5) * layout.spacing_mm[down])


@pytest.mark.parametrize(("axes", "signs"), STORAGE[::7])
def test_spacing_and_shape_follow_the_axes(axes, signs):
    spacing = (0.5, 2.0, 1.25)
    layout = Layout.of(grid_of(axes, signs, spacing))
    for column, axis in enumerate(axes):
        assert layout.spacing_mm[axis] == pytest.approx(spacing[column])
        assert layout.shape[axis] == SHAPE[column]
    assert layout.tilt_deg == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize(("thick_axis", "plane"), [(0, SAGITTAL), (1, CORONAL), (2, AXIAL)])
def test_thick_slices_are_shown_in_their_own_plane(thick_axis, plane):
    axes = (2, 0, 1)  # storage axis of a patient axis: its position here
    spacing = tuple(4.0 if axis == thick_axis else 0.9 for axis in axes)
    assert Layout.of(grid_of(axes, (1, -1, 1), spacing)).plane is plane


def test_nearly_isotropic_voxels_are_shown_axially():
    assert Layout.of(grid_of((1, 2, 0), (1, 1, 1), (1.0, 0.9, 1.3))).plane is AXIAL


@pytest.mark.parametrize("degrees", [0.0, 12.0, 35.0])
def test_tilt_is_the_angle_of_the_slices(degrees):
    layout = Layout.of(grid_of((0, 1, 2), (-1, 1, 1), turn_deg=degrees))
    assert layout.tilt_deg == pytest.approx(degrees, abs=1e-4)


@pytest.mark.parametrize(("axes", "signs"), STORAGE[::7])
def test_height_is_the_patient_coordinate_of_the_slice(axes, signs):
    layout = Layout.of(grid_of(axes, signs, spacing=(0.5, 2.0, 1.25)))
    for plane in (AXIAL, CORONAL, SAGITTAL):
        size = layout.shape[plane.normal]
        step = layout.spacing_mm[plane.normal]
        for n in (0, size - 1):
            expected = (n - (size - 1) / 2) * step
            assert layout.height_mm(plane, n) == pytest.approx(expected)


def test_a_box_may_reach_outside_the_volume():
    laid = np.ones((3, 4, 2), np.float32)
    picture = cut(laid, AXIAL, 1, Box((-2, -1), (5, 4)))
    assert picture.shape == (5, 7)
    assert picture.sum() == 12
    assert not cut(laid, AXIAL, 1, Box((50, 50), (53, 54))).any()
    assert not cut(laid, AXIAL, 1, Box((-9, -9), (-5, -5))).any()
