"""A header that the head contradicts is noticed; a turned head is found."""

import numpy as np
import pytest

from petechia.anatomy.compared import Fixed, Moving
from petechia.anatomy.head import head_mask
from petechia.anatomy.optimise import one_thread
from petechia.anatomy.registration import register
from petechia.anatomy.starts import RIVAL, find_start, other_orientations, turn_deg, turned
from petechia.core.grid import Grid


@pytest.fixture(scope="module")
def head(make_head):
    return make_head("RAS", (5.0, 5.0, 5.0), pitch_deg=0.0)


def started(magnitude, grid, template):
    scan = Fixed.of(magnitude, head_mask(magnitude, grid), grid, 8.0)
    with one_thread():
        return find_start(scan, Moving.at(template, 8.0), followed=2, bins=32, iterations=60)


def test_a_head_as_its_header_says_has_no_rival(head, template):
    start = started(head.magnitude, head.grid, template)
    assert start.rival <= RIVAL * start.agreement
    assert start.agreement > 1.5 * start.rival


def test_a_head_turned_about_its_length_is_contradicted(head, template):
    start = started(np.flip(head.magnitude, (0, 1)).copy(), head.grid, template)
    assert start.rival > RIVAL * start.agreement


def test_a_header_that_lies_is_contradicted_and_nothing_registered(head, template):
    found = register(np.flip(head.magnitude, 2).copy(), head.grid, template)
    assert not found.ok
    assert "left and right are not known" in found.says
    assert found.contradicted


def test_a_negative_determinant_is_no_lie(head, template):
    affine = head.grid.affine.copy()
    affine[:3, 3] = head.grid.to_mm((head.grid.shape[0] - 1, 0, 0))
    affine[:3, 0] *= -1
    mirrored = Grid(head.grid.shape, affine)
    assert np.linalg.det(affine[:3, :3]) < 0
    found = register(head.magnitude[::-1].copy(), mirrored, template)
    assert found.ok, found.says
    plain = register(head.magnitude, head.grid, template)
    np.testing.assert_allclose(found.matrix, plain.matrix, atol=0.05)


def test_a_head_that_lies_turned_by_forty_degrees_is_found(head, template):
    affine = np.eye(4)
    affine[:3, :3] = turned((0, 0, 40))
    tilted = Grid(head.grid.shape, affine @ head.grid.affine)
    found = register(head.magnitude, tilted, template)
    assert found.ok, found.says
    assert abs(turn_deg(found.matrix) - 40) < 6


def test_turns_are_rotations_and_their_angle_is_told_whatever_the_stretch():
    many = other_orientations()
    assert len(many) == 23
    assert len({m.tobytes() for m in many}) == 23
    for matrix in many:
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(3))
        assert np.linalg.det(matrix) == pytest.approx(1)
        assert turn_deg(np.diag([1.1, 0.9, 1.2]) @ matrix) >= 60
    for axis in range(3):
        angles = [0, 0, 0]
        angles[axis] = -35
        matrix = np.eye(4)
        matrix[:3, :3] = turned(tuple(angles)) * 1.07
        assert turn_deg(matrix) == pytest.approx(35)
    # about z by 90 degrees, x goes to y
    np.testing.assert_allclose(turned((0, 0, 90)) @ [1, 0, 0], [0, 1, 0], atol=1e-12)
