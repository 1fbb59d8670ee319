"""The face plane takes the face and never the brain."""

import numpy as np
import pytest

from petechia.anatomy.face import FaceParams, face_plane
from petechia.core.grid import Grid
from petechia.errors import InputError, ParameterError


def head_on(grid: Grid):
    """A brain (ellipsoid), and a head with a nose, whose places are world places."""
    x, y, z = np.moveaxis(grid.to_mm(np.stack(np.indices(grid.shape), -1)), -1, 0)
    brain = (x / 65) ** 2 + (y / 80) ** 2 + (z / 60) ** 2 < 1
    skull = (x / 78) ** 2 + (y / 95) ** 2 + ((z + 25) / 105) ** 2 < 1
    nose = (x / 15) ** 2 + ((y - 95) / 22) ** 2 + ((z + 60) / 25) ** 2 < 1
    return brain, skull | nose, nose


def grid_of(kind: str) -> Grid:
    turn = {
        "axial": np.eye(3),
        "sagittal": np.eye(3)[:, [1, 2, 0]],
        "flipped": np.diag([-1, -1, 1]),
    }
    axes = turn.get(kind, np.eye(3))
    if kind == "oblique":
        c, s = np.cos(0.35), np.sin(0.35)
        axes = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    affine = np.eye(4)
    affine[:3, :3] = axes * (4.0, 5.0, 6.0)
    shape = (61, 55, 47)
    affine[:3, 3] = -affine[:3, :3] @ (np.array(shape) - 1) / 2 + (0, 5, -20)
    return Grid(shape, affine)


@pytest.mark.parametrize("kind", ["axial", "sagittal", "flipped", "oblique"])
def test_the_nose_goes_and_the_brain_keeps_its_margin(kind):
    grid = grid_of(kind)
    brain, head, nose = head_on(grid)
    plane = face_plane(brain, head, grid)
    beyond = plane.beyond(grid)
    assert (beyond & nose).sum() > 0.8 * nose.sum()
    heights = grid.to_mm(np.argwhere(brain)) @ np.array(plane.normal)
    assert plane.offset_mm - heights.max() >= 10.0
    assert plane.normal[0] == 0
    assert plane.normal[1] > 0 > plane.normal[2]
    assert np.linalg.norm(plane.normal) == pytest.approx(1)


def test_beyond_is_the_half_space_of_world_places():
    grid = grid_of("oblique")
    brain, head, _ = head_on(grid)
    plane = face_plane(brain, head, grid)
    places = grid.to_mm(np.stack(np.indices(grid.shape), -1))
    np.testing.assert_array_equal(
        plane.beyond(grid), places @ np.array(plane.normal) > plane.offset_mm
    )


def test_a_wider_margin_takes_less():
    grid = grid_of("axial")
    brain, head, _ = head_on(grid)
    taken = [
        int(face_plane(brain, head, grid, FaceParams(margin_mm=m)).beyond(grid).sum())
        for m in (0, 10, 25)
    ]
    assert taken[0] > taken[1] > taken[2]


def test_no_brain_and_impossible_angles_are_refused():
    grid = grid_of("axial")
    brain, head, _ = head_on(grid)
    with pytest.raises(InputError, match="no brain"):
        face_plane(np.zeros_like(brain), head, grid)
    with pytest.raises(ParameterError, match="margin -1"):
        FaceParams(margin_mm=-1)
