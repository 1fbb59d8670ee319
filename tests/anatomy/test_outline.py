"""The outline of a brain alone says where it lies, and what is no brain is not believed."""

from dataclasses import replace

import numpy as np
import pytest

from petechia.anatomy.outline import by_outline
from petechia.anatomy.registration import Registration
from petechia.anatomy.starts import turned
from petechia.core.grid import Grid


def refused(grid, template):
    return Registration(
        matrix=np.eye(4), scan_grid=grid, template_grid=template.grid, quality=0.3, ok=False,
        says="scan and template agree hardly better here than elsewhere (0.30): not believed",
    )  # fmt: skip


def outlined(mask, grid, template):
    return by_outline(mask, template, refused(grid, template))


def error_mm(found, head):
    here = np.c_[head.grid.to_mm(np.argwhere(head.brain)), np.ones(head.brain.sum())]
    return float(np.linalg.norm((here @ (found.matrix - head.matrix).T)[:, :3], axis=1).mean())


@pytest.fixture(scope="module")
def head(make_head):
    return make_head("RAS", (4.0, 4.0, 4.0))


def test_a_brain_is_found_by_its_outline_whatever_its_axes_and_pitch(make_head, template):
    head = make_head("PIL", (4.0, 4.0, 4.0), 20.0)
    found = outlined(head.brain, head.grid, template)
    assert found.ok, found.says
    assert error_mm(found, head) < 1.5
    assert "outline alone" in found.says
    assert "agree hardly better" in found.says  # why the images did not do


@pytest.mark.parametrize(("share", "ok"), [(0.25, True), (0.5, False)])
def test_much_of_a_brain_is_enough_and_half_is_not(head, template, share, ok):
    heights = np.flatnonzero(head.brain.any(axis=(0, 1)))
    start = int(heights[0] + share * len(heights))
    affine = head.grid.affine.copy()
    affine[:3, 3] = head.grid.to_mm((0, 0, start))
    slab = head.brain[:, :, start:]
    found = outlined(slab, Grid(slab.shape, affine), template)
    assert found.ok == ok, found.says
    assert error_mm(found, head) < 2.5 or not ok


@pytest.mark.parametrize("axes", [(0, 1), (2,), (1,)])
def test_a_header_that_lies_is_not_believed(head, template, axes):
    found = outlined(np.flip(head.brain, axes).copy(), head.grid, template)
    assert not found.ok
    assert "outline" in found.says


@pytest.mark.parametrize(
    ("radii_mm", "cut"), [((70, 70, 70), 0), ((66, 84, 60), 0), ((66, 84, 60), 13)]
)
def test_a_ball_and_an_ellipsoid_are_no_brain(template, radii_mm, cut):
    grid = Grid((46, 46, 46 - cut), np.diag([4.0, 4.0, 4.0, 1.0]))
    offset = (np.indices((46, 46, 46)).T - 22.5) * 4.0 / np.asarray(radii_mm)
    ball = ((offset**2).sum(axis=-1).T < 1)[:, :, cut:]
    found = outlined(ball, grid, template)
    assert not found.ok
    assert "outline" in found.says


def test_an_empty_mask_stays_refused(head, template):
    nothing = np.zeros(head.grid.shape, dtype=bool)
    before = refused(head.grid, template)
    assert by_outline(nothing, template, before) is before


@pytest.mark.parametrize("turn_deg", [(0, 22, 0), (0, 0, 15)])
def test_a_head_that_leans_is_followed(head, template, turn_deg):
    turn = np.eye(4)
    turn[:3, :3] = turned(turn_deg)
    tilted = Grid(head.grid.shape, turn @ head.grid.affine)
    found = outlined(head.brain, tilted, template)
    assert found.ok, found.says
    here = np.c_[tilted.to_mm(np.argwhere(head.brain)), np.ones(head.brain.sum())]
    true = head.matrix @ np.linalg.inv(turn)
    assert np.linalg.norm((here @ (found.matrix - true).T)[:, :3], axis=1).mean() < 2.0


def test_a_mask_that_lacks_its_lowest_quarter_is_not_stretched_over_the_hole(head, template):
    heights = np.flatnonzero(head.brain.any(axis=(0, 1)))
    short = head.brain.copy()
    short[:, :, : int(heights[0] + 0.25 * len(heights))] = False
    found = outlined(short, head.grid, template)
    assert not found.ok, found.says


def test_an_image_that_contradicts_its_header_is_not_overruled(head, template):
    before = replace(refused(head.grid, template), contradicted=True)
    assert by_outline(head.brain, template, before) is before
