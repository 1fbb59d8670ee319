"""Geometry: where voxels are, where the field points, which way slices lie."""

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.core.kernels import forward_field
from petechia.errors import GridMismatchError, ParameterError

BASE = np.array(
    [[0.9, 0.0, 0.0, -20], [0.0, 0.974, -0.35, 7], [0.0, 0.225, 1.515, -31], [0, 0, 0, 1]]
)
"""Voxels of 0.9 x 1.0 x 1.555 mm, turned about x."""


def stored(order, flips):
    """The same world on axes in another order, some of them reversed."""
    shape = (45, 48, 31)
    step = np.zeros((4, 4))
    step[3, 3] = 1
    for new, old in enumerate(order):
        step[old, new] = -1 if new in flips else 1
        step[old, 3] = shape[old] - 1 if new in flips else 0
    return Grid(tuple(shape[old] for old in order), BASE @ step)


STORAGES = {
    "as it is": ((0, 1, 2), ()),
    "left-handed": ((0, 1, 2), (0,)),
    "slices first": ((2, 0, 1), ()),
    "slices second, head down": ((1, 2, 0), (1,)),
    "all reversed": ((0, 1, 2), (0, 1, 2)),
}


@pytest.fixture(params=STORAGES.values(), ids=STORAGES.keys())
def storage(request):
    return request.param


def test_a_blood_sphere_is_positive_at_its_poles_however_it_is_stored(storage):
    """Closed form chi/3 (a/r)^3 (3 cos^2 - 1), the poles along scanner z."""
    grid = stored(*storage)
    place = np.moveaxis(grid.to_mm(np.moveaxis(np.indices(grid.shape), 0, -1)), -1, 0)
    middle = grid.to_mm((np.array(grid.shape) - 1) / 2)
    offset = place - middle[:, None, None, None]
    r = np.linalg.norm(offset, axis=0)
    field = forward_field((r <= 6.0).astype(np.float32), grid, pad_mm=40.0)
    a3 = np.count_nonzero(r <= 6.0) * grid.voxel_mm3 * 3 / (4 * np.pi)
    shell = (r > 9) & (r < 15)
    cosine = offset[2] / np.maximum(r, 1e-6)
    expected = a3 / r[shell] ** 3 * (3 * cosine[shell] ** 2 - 1) / 3
    # the steps of a sphere of voxels leave up to 0.025
    np.testing.assert_allclose(field[shell], expected, atol=0.025)
    assert np.sqrt(np.mean((field[shell] - expected) ** 2)) < 0.005
    assert field[shell & (np.abs(cosine) > 0.95)].min() > 0
    assert field[shell & (np.abs(cosine) < 0.2)].max() < 0


def test_axes_follow_their_storage(storage):
    order, flips = storage
    one, other = Grid((45, 48, 31), BASE), stored(order, flips)
    signs = np.array([-1.0 if n in flips else 1.0 for n in range(3)])
    np.testing.assert_allclose(other.spacing_mm, one.spacing_mm[list(order)])
    np.testing.assert_allclose(other.b0_dir, signs * one.b0_dir[list(order)])
    assert order[other.slice_axis] == one.slice_axis == 2
    assert other.voxel_mm3 == pytest.approx(one.voxel_mm3)


def test_millimetres_and_indices_are_inverses():
    grid = Grid((5, 6, 7), BASE)
    index = np.random.default_rng(0).uniform(-3, 9, (4, 2, 3))
    np.testing.assert_allclose(grid.to_index(grid.to_mm(index)), index, atol=1e-9)
    np.testing.assert_allclose(grid.to_mm((0, 0, 0)), BASE[:3, 3])


@pytest.mark.parametrize("b0_dir", [(0, 0, 1), (1, 0, 0), (0, -2, 0), (0.3, -0.4, 0.8), (0, 0, -1)])
def test_a_grid_from_spacing_has_the_field_it_is_asked_for(b0_dir):
    grid = Grid.from_spacing((4, 5, 6), (0.5, 1.0, 2.0), b0_dir)
    np.testing.assert_allclose(grid.spacing_mm, (0.5, 1.0, 2.0))
    np.testing.assert_allclose(grid.b0_dir, np.array(b0_dir) / np.linalg.norm(b0_dir), atol=1e-12)
    turn = grid.affine[:3, :3] / grid.spacing_mm
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1)


def test_cubic_voxels_have_their_slices_last():
    assert Grid((4, 4, 4)).slice_axis == 2
    assert Grid.from_spacing((4, 4, 4), (1.0, 1.0 + 1e-9, 1.0)).slice_axis == 2
    assert Grid.from_spacing((4, 4, 4), (3.0, 1.0, 1.0)).slice_axis == 0


@pytest.mark.parametrize("spacing", [(1, 1), (1, 1, -2), (1, 0, 1), (1, np.nan, 1), -1.0])
def test_sizes_of_voxels_are_three_and_positive(spacing):
    with pytest.raises(ParameterError, match=r"spacing_mm .* is not three voxel sizes above 0"):
        Grid.from_spacing((4, 4, 4), spacing)


def test_bad_geometry_is_named():
    with pytest.raises(ParameterError, match="not a direction"):
        Grid.from_spacing((4, 4, 4), 1.0, (0, 0, 0))
    with pytest.raises(ParameterError, match=r"shape \(4, 0, 4\)"):
        Grid((4, 0, 4))
    with pytest.raises(ParameterError, match="not an affine"):
        Grid((4, 4, 4), np.diag([1.0, 0, 1, 1]))
    with pytest.raises(GridMismatchError, match=r"chi: shape \(4, 4, 5\) does not end in"):
        Grid((4, 4, 4)).require(np.zeros((4, 4, 5)), "chi")
