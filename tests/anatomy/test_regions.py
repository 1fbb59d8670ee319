"""A place in the scan gets the right region."""

import numpy as np
import pytest

from petechia.anatomy.regions import Regions, label_regions, regions_from_segmentation
from petechia.anatomy.registration import Registration
from petechia.anatomy.sites import REGIONS, VENTRICLE_LABELS, label_of
from petechia.anatomy.template import template_from
from petechia.core.grid import Grid
from petechia.errors import InputError


def exact(head, template, ok=True):
    return Registration(
        matrix=head.matrix,
        scan_grid=head.grid,
        template_grid=template.grid,
        quality=0.5,
        ok=ok,
        says="exact",
    )


def test_labels_follow_the_registration_and_fill_the_mask(make_head, template):
    head = make_head("LPS", (3.0, 3.0, 3.0))
    wide = np.roll(head.brain, 2, axis=0) | head.brain
    found = label_regions(exact(head, template), template, wide, head.grid)
    assert found.ok
    np.testing.assert_array_equal(found.labels > 0, wide)
    both = head.brain & (head.regions > 0)
    np.testing.assert_array_equal(found.labels[both], head.regions[both])
    assert found.labels.dtype == np.int16


def test_left_in_the_scan_is_left_whatever_the_axes(make_head, template):
    for codes in ("RAS", "LPS"):
        head = make_head(codes, (4.0, 4.0, 4.0))
        found = label_regions(exact(head, template), template, head.brain, head.grid)
        index = np.argwhere(found.labels == label_of("frontal", "left"))
        x_mm = head.grid.to_mm(index)[:, 0] * 1.05 + 4.0  # the known map's own midline
        assert x_mm.max() < 1.0


def test_no_regions_when_the_template_did_not_fit(make_head, template):
    head = make_head("RAS", (4.0, 4.0, 4.0))
    found = label_regions(exact(head, template, ok=False), template, head.brain, head.grid)
    assert not found.ok
    assert not found.labels.any()
    assert found.at((10, 10, 10)) is None
    assert found.says.startswith("No regions")


@pytest.fixture
def painted():
    grid = Grid((21, 21, 21), np.diag([1.0, 1.0, 1.5, 1.0]))
    labels = np.zeros(grid.shape, dtype=np.int16)
    labels[2:8] = label_of("frontal", "left")
    labels[8:16] = VENTRICLE_LABELS[0]
    return Regions(labels=labels, table=REGIONS, grid=grid, ok=True, says="painted")


def test_a_place_near_a_site_belongs_to_it_and_a_far_one_to_none(painted):
    assert painted.at((4, 10, 10)).name == "left frontal"
    assert painted.at((0, 10, 10)).name == "left frontal"  # 2 mm outside
    assert painted.at((9, 10, 10)).name == "left frontal"  # 2 mm into the ventricle
    assert painted.at((13, 10, 10)).name == "left lateral ventricle"
    assert painted.at((20, 10, 10)) is None
    assert painted.at((-4, 10, 10)) is None
    assert painted.at((4.4, 10.2, 9.6)).site == "frontal"


def test_a_template_needs_all_its_arrays(arrays):
    with pytest.raises(InputError, match="no regions among affine"):
        template_from({k: v for k, v in arrays.items() if k != "regions"})


def test_the_nearest_site_is_nearest_in_scanner_millimetres():
    """Oblique voxels of uneven sides: what is near is told by the places, not by the index."""
    a, b = np.deg2rad(35), np.deg2rad(20)
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = about_z @ about_x @ np.diag([0.7, 1.0, 2.4])
    grid = Grid((23, 17, 11), affine)
    rng = np.random.default_rng(2)
    sites = [label_of("frontal", "left"), label_of("parietal", "right")]
    labels = np.where(rng.random(grid.shape) < 0.01, rng.choice(sites, grid.shape), 0)
    regions = Regions(labels=labels.astype(np.int16), table=REGIONS, grid=grid, ok=True, says="")
    index = np.argwhere(labels > 0)
    for place in rng.integers(0, grid.shape, (60, 3)):
        away = np.linalg.norm(grid.to_mm(index) - grid.to_mm(place), axis=1)
        near = index[np.argmin(away)]
        found = regions.at(place)
        assert (found.index if found else 0) == (labels[tuple(near)] if away.min() <= 3 else 0)


def test_a_hole_is_filled_from_the_nearest_by_millimetres():
    """2 mm within the slice are nearer than the next slice at 3 mm."""
    grid = Grid((9, 9, 5), np.diag([1.0, 1.0, 3.0, 1.0]))
    frontal, parietal = label_of("frontal", "left"), label_of("parietal", "left")
    labels = np.full(grid.shape, frontal, dtype=np.int16)
    labels[:, :, 2] = parietal
    labels[3:6, 3:6, 2] = 0
    found = regions_from_segmentation(labels, grid, np.ones(grid.shape, bool), grid)
    assert found.ok
    assert found.labels[4, 4, 2] == parietal
