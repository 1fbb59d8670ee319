"""By way of a T1w scan of the same head; another's is not used."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from petechia.anatomy import companion
from petechia.anatomy.companion import LEAST_PEAK, apart_mm, through_companion, to_companion
from petechia.anatomy.deformation import DeformationParams
from petechia.anatomy.registration import Registration
from petechia.anatomy.starts import turned
from petechia.core.grid import Grid


@pytest.fixture(scope="module")
def scan(make_head):
    return make_head("RAS", (4.0, 4.0, 4.0))


@pytest.fixture(scope="module")
def own(scan, template):
    """The gradient echo's own fit, as good as it can be."""
    return Registration(
        matrix=scan.matrix, scan_grid=scan.grid, template_grid=template.grid,
        quality=0.8, ok=True, says="exact",
    )  # fmt: skip


@pytest.fixture(scope="module")
def motion():
    """Scan RAS to T1w RAS: the head has moved between the two."""
    out = np.eye(4)
    out[:3, :3] = turned((4, -3, 5))
    out[:3, 3] = (3.0, -5.0, 4.0)
    return out


@pytest.fixture(scope="module")
def t1w(scan, motion, template):
    """The same head in the template's T1 contrast, on its own grid."""
    affine = np.diag([-3.0, 3.0, 3.0, 1.0])
    shape = (64, 74, 64)
    middle = motion @ [*scan.grid.to_mm((np.array(scan.grid.shape) - 1) / 2), 1.0]
    affine[:3, 3] = middle[:3] - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    grid = Grid(shape, affine)
    to = np.linalg.inv(template.grid.affine) @ scan.matrix @ np.linalg.inv(motion) @ affine
    image = ndimage.affine_transform(template.t1, to[:3, :3], to[:3, 3], shape, order=1)
    noise = np.random.default_rng(3).normal(0, 2, (2, *shape))
    return np.hypot(image + noise[0], noise[1]).astype(np.float32), grid


def test_the_motion_between_two_scans_is_found(scan, t1w, motion):
    matrix, peak = to_companion(scan.magnitude, scan.grid, *t1w)
    assert peak > LEAST_PEAK
    assert apart_mm(matrix, motion, scan.brain, scan.grid) < 1.5


@pytest.fixture(scope="module", autouse=True)
def once():
    """The T1w scan is registered to the template once, not in every test."""
    plain, kept = companion.register, {}

    def remembered(image, grid, template, **more):
        key = (id(image), *more)
        if key not in kept:
            kept[key] = plain(image, grid, template, **more)
        return kept[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(companion, "register", remembered)
        yield


def test_the_template_comes_by_way_of_the_companion(scan, own, t1w, template):
    quick = DeformationParams(rounds=2, steps=6, fine_steps=6)
    rigid = to_companion(scan.magnitude, scan.grid, *t1w)
    found = through_companion(own, rigid, scan.brain, *t1w, template, params=quick)
    assert isinstance(found, Registration), found
    assert found.scan_grid is scan.grid
    assert "by way of the T1w scan" in found.says
    labels = found.to_scan(template.regions)
    both = scan.brain & (scan.regions > 0) & (labels > 0)
    assert np.mean(labels[both] == scan.regions[both]) > 0.93


def test_noise_is_no_companion(scan, t1w, template):
    image, grid = t1w
    noise = np.abs(np.random.default_rng(1).normal(0, 50, image.shape)).astype(np.float32)
    _, peak = to_companion(scan.magnitude, scan.grid, noise, grid)
    assert peak < LEAST_PEAK


def test_a_companion_that_disagrees_is_left_out(scan, own, t1w, template):
    """Its own fit is sound, but the gradient echo puts the brain elsewhere."""
    shifted = scan.matrix.copy()
    shifted[2, 3] += 25.0
    elsewhere = replace(own, matrix=shifted)
    rigid = to_companion(scan.magnitude, scan.grid, *t1w)
    found = through_companion(elsewhere, rigid, scan.brain, *t1w, template)
    assert isinstance(found, str)
    assert "mm from where the gradient echo does" in found
