"""The deformable fit against displacements that are known."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from petechia.anatomy.deformation import DeformationParams, deform, jacobian
from petechia.anatomy.registration import Registration
from petechia.anatomy.template import template_from
from petechia.core.grid import Grid
from petechia.errors import ParameterError

QUICK = DeformationParams(rounds=3, steps=6, fine_steps=8)


def smooth_displacement(shape, spacing_mm, amplitude_mm, seed):
    """Known, smooth, as people differ: 25 mm wide, so many mm at most, in voxels."""
    rng = np.random.default_rng(seed)
    field = np.stack(
        [ndimage.gaussian_filter(rng.normal(size=shape), 25.0 / spacing_mm) for _ in range(3)]
    )
    return (field / np.abs(field).max() * amplitude_mm / spacing_mm).astype(np.float32)


def displaced(arrays, template):
    """The template's head with displaced anatomy, in the contrast of a gradient echo."""
    field = smooth_displacement(template.grid.shape, template.grid.spacing_mm[0], 8.0, seed=1)
    place = np.indices(template.grid.shape) + field
    signal = 90.0 * arrays["gm"] + 72 * arrays["wm"] + 115 * arrays["csf"]
    signal[template.regions == 11] *= 0.8

    def moved(volume, order):
        return ndimage.map_coordinates(volume, place, order=order, mode="nearest")

    rng = np.random.default_rng(2)
    brain = moved((arrays["brain_mask"] > 0).astype(np.uint8), 0) > 0
    magnitude = moved(signal, 1) * brain / 255
    magnitude = np.hypot(magnitude + rng.normal(0, 2, brain.shape), rng.normal(0, 2, brain.shape))
    return magnitude.astype(np.float32), brain, moved(template.regions, 0), field


@pytest.fixture(scope="module")
def sparse(arrays):
    """The template's arrays on every second voxel: an eighth of the work."""
    out = {k: v[::2, ::2, ::2] for k, v in arrays.items() if v.ndim == 3}
    return out | {"affine": arrays["affine"] @ np.diag([2, 2, 2, 1])}


@pytest.fixture(scope="module")
def small(sparse):
    return template_from(sparse)


@pytest.fixture(scope="module")
def person(sparse, small):
    return displaced(sparse, small)


@pytest.fixture(scope="module")
def fit(person, small):
    magnitude, brain, _, _ = person
    found = deform(identity(small), magnitude, brain, small, QUICK)
    assert np.abs(found.displacement_vox[:, brain]).max() > 0.5  # there is something to compare
    return found


def identity(template, **changes):
    plain = Registration(
        matrix=np.eye(4), scan_grid=template.grid, template_grid=template.grid,
        quality=0.8, ok=True, says="exact",
    )  # fmt: skip
    return replace(plain, **changes)


def agreement(found, regions, brain):
    inside = brain & (regions > 0)
    return float(np.mean(found[inside] == regions[inside]))


def test_follows_a_known_displacement(arrays, template):
    magnitude, brain, regions, field = displaced(arrays, template)
    fit = deform(identity(template), magnitude, brain, template, QUICK)
    before = agreement(identity(template).to_scan(template.regions), regions, brain)
    after = agreement(fit.to_scan(template.regions), regions, brain)
    assert 1 - after < 0.9 * (1 - before)
    error = np.linalg.norm((fit.displacement_vox - field)[:, brain], axis=0)
    assert np.median(error) < 0.9 * np.median(np.linalg.norm(field[:, brain], axis=0))
    assert jacobian(fit.displacement_vox)[brain].min() > 0


def test_half_a_head_is_fitted_where_it_is_seen(person, fit, small):
    magnitude, brain, _, _ = person
    top = 27
    shape = (*small.grid.shape[:2], top)
    half = identity(small, scan_grid=Grid(shape, small.grid.affine))
    part = deform(half, magnitude[..., :top], brain[..., :top], small, QUICK)
    apart = np.abs(part.displacement_vox - fit.displacement_vox)
    assert np.median(apart[..., : top - 6][:, brain[..., : top - 6]]) < 0.05
    assert np.abs(part.displacement_vox[..., top + 7 :]).max() < 1.0  # unseen: nothing pulls


def test_bleeds_and_dropout_pull_nothing(person, fit, small):
    magnitude, brain, _, _ = person
    dark = magnitude.copy()
    places = np.argwhere(ndimage.binary_erosion(brain, iterations=4))
    for i, j, k in places[:: len(places) // 40]:
        dark[i : i + 2, j : j + 2, k : k + 2] = 0.0
    spotted = deform(identity(small), dark, brain, small, QUICK).displacement_vox
    assert np.percentile(np.abs(fit.displacement_vox - spotted)[:, brain], 99) < 0.3


def test_same_answer_whatever_the_grid_of_the_scan(person, fit, small):
    magnitude, brain, _, _ = person
    turned = small.grid.affine.copy()
    turned[:3, 0] *= -1
    turned[:3, 3] = small.grid.to_mm([small.grid.shape[0] - 1, 0, 0])
    mirrored = Grid(small.grid.shape, turned)
    other = deform(identity(small, scan_grid=mirrored), magnitude[::-1], brain[::-1], small, QUICK)
    assert np.abs(other.displacement_vox - fit.displacement_vox).max() < 0.05
    found = other.to_scan(small.regions)[::-1]
    assert agreement(found, fit.to_scan(small.regions), brain) > 0.999


def test_what_is_not_believed_is_left_alone(person, small):
    magnitude, brain, _, _ = person
    doubtful = identity(small, ok=False)
    assert deform(doubtful, magnitude, brain, small) is doubtful


def test_a_map_that_folds_is_not_taken(person, small):
    magnitude, brain, _, _ = person
    strict = DeformationParams(rounds=1, fine_steps=2, least_jacobian=0.999)
    fit = deform(identity(small), magnitude, brain, small, strict)
    assert fit.displacement_vox is None
    assert "folded" in fit.says


def test_an_empty_brain_is_left_where_it_is(person, small):
    magnitude, brain, _, _ = person
    fit = deform(identity(small), magnitude, np.zeros_like(brain), small, QUICK)
    assert not fit.displacement_vox.any()


def test_jacobian_of_a_linear_map():
    stretch = np.array([[0.1, 0.2, 0.0], [0.0, -0.3, 0.1], [0.05, 0.0, 0.2]])
    place = np.indices((6, 7, 5), dtype=np.float32)
    field = np.tensordot(stretch, place, axes=1).astype(np.float32)
    expected = np.linalg.det(np.eye(3) + stretch)
    np.testing.assert_allclose(jacobian(field), expected, rtol=1e-4)


def test_a_constant_displacement_is_a_shift(template):
    steps = np.zeros((3, *template.grid.shape), np.float32)
    steps[1] = 3.0
    moved = identity(template, displacement_vox=steps).to_scan(template.regions)
    np.testing.assert_array_equal(moved[:, :-3], template.regions[:, 3:])
    smooth = identity(template, displacement_vox=steps).to_scan(template.t1, nearest=False)
    np.testing.assert_allclose(smooth[:, :-3], template.t1[:, 3:], atol=1e-3)


def test_bad_settings_are_named():
    with pytest.raises(ParameterError, match="rounds"):
        DeformationParams(rounds=0)
