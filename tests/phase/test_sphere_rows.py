"""SHARP, iSMV and V-RESHARP: what each equals, and what it must fulfil."""

import numpy as np
import pytest
from scipy import ndimage

from petechia.core.fourier import irfft3, rfft3
from petechia.core.grid import Grid
from petechia.core.kernels import forward_field, smv_kernel
from petechia.errors import ParameterError, UnfitError
from petechia.phase.background.ismv import IsmvParams, ismv
from petechia.phase.background.resharp import ResharpParams, resharp
from petechia.phase.background.sharp import SharpParams, sharp
from petechia.phase.background.vresharp import VresharpParams, vresharp
from petechia.phase.background.vsharp import VsharpParams, vsharp

GRID = Grid.from_spacing((37, 33, 35), (1.0, 1.1, 1.2), b0_dir=(0.1, 0.3, 0.9))


@pytest.fixture(scope="module")
def case():
    index = np.indices(GRID.shape) - (np.array(GRID.shape)[:, None, None, None] - 1) / 2
    mask = np.linalg.norm(index, axis=0) <= 14
    rng = np.random.default_rng(0)
    chi = np.where(mask, 0.05, 3.0) * rng.normal(size=GRID.shape)
    return forward_field(chi.astype(np.float32), GRID, 20.0) * mask, mask


def test_sharp_is_vsharp_of_one_sphere(case):
    field, mask = case
    local, kept = sharp(field, mask, GRID, SharpParams(radius_mm=4.0, threshold=0.05))
    one = VsharpParams(radius_max_mm=4.0, radius_min_mm=4.0, threshold=0.05)
    other, other_kept = vsharp(field, mask, GRID, one)
    np.testing.assert_array_equal(kept, other_kept)
    np.testing.assert_allclose(local, other, atol=1e-5 * np.abs(other).max())


def test_vresharp_of_one_sphere_is_resharp(case):
    field, mask = case
    steps = {"strength": 1e-3, "iterations": 200, "tolerance": 1e-4}
    local, kept = resharp(field, mask, GRID, ResharpParams(radius_mm=4.0, **steps))
    one = VresharpParams(radius_max_mm=4.0, radius_min_mm=4.0, n_radii=1, **steps)
    other, other_kept = vresharp(field, mask, GRID, one)
    np.testing.assert_array_equal(kept, other_kept)
    assert np.linalg.norm(other - local) < 0.01 * np.linalg.norm(local)


def test_vresharp_keeps_more_of_the_rim_than_resharp(case):
    field, mask = case
    assert vresharp(field, mask, GRID)[1].sum() > 1.5 * resharp(field, mask, GRID)[1].sum()


def test_ismv_is_where_the_published_iteration_ends(case):
    field, mask = case
    local, kept = ismv(field, mask, GRID, IsmvParams(radius_mm=3.0, iterations=300, tolerance=1e-4))
    kernel = smv_kernel(GRID, 3.0)  # the mask is further from the border than a radius
    background = field.copy()
    for _ in range(400):
        mean = irfft3(rfft3(background) * kernel, GRID.shape)
        background = np.where(kept, mean, field).astype(np.float32)
    np.testing.assert_allclose(local, (field - background) * kept, atol=3e-3 * np.abs(local).max())


@pytest.mark.parametrize(("row", "params"), [(resharp, ResharpParams), (ismv, IsmvParams)])
def test_steps_end_where_many_more_would(row, params):
    """A smooth local field comes last: it must be there by default, not only in the end."""
    index = np.indices(GRID.shape) - (np.array(GRID.shape)[:, None, None, None] - 1) / 2
    mask = np.linalg.norm(index, axis=0) <= 15
    smooth = np.cos(index[0] / 6) * np.cos(index[1] / 7) * mask
    local, kept = row(smooth.astype(np.float32), mask, GRID)
    ended, _ = row(smooth.astype(np.float32), mask, GRID, params(iterations=800, tolerance=1e-5))
    assert np.linalg.norm((local - ended)[kept]) < 0.03 * np.linalg.norm(ended[kept])


def test_vresharp_is_nearer_to_the_local_field_than_vsharp():
    """Which it regularises, where V-SHARP divides by the largest sphere everywhere."""
    index = np.indices(GRID.shape) - (np.array(GRID.shape)[:, None, None, None] - 1) / 2
    mask = np.linalg.norm(index, axis=0) <= 14
    chi = ndimage.gaussian_filter(np.random.default_rng(1).normal(size=GRID.shape), 2.5)
    own = forward_field(np.where(mask, chi, 0).astype(np.float32), GRID, 20.0)
    air = forward_field((3.0 * (index[2] > 15.5)).astype(np.float32), GRID, 20.0)
    away = {}
    for row in (vsharp, vresharp):
        local, kept = row((air + own) * mask, mask, GRID)
        left = (local - own)[kept]
        away[row.__name__] = np.linalg.norm(left - left.mean())
    assert np.linalg.norm(air[mask]) > 5 * np.linalg.norm(own[mask])
    assert away["vresharp"] < 0.9 * away["vsharp"]


@pytest.mark.parametrize("row", [sharp, ismv, vresharp])
def test_a_mask_that_no_sphere_fits_into_is_named(row):
    mask = np.zeros(GRID.shape, bool)
    mask[10:12, 10:12, 10:12] = True
    with pytest.raises(UnfitError, match=r"no sphere of .* mm fits into the mask of 8 voxels"):
        row(np.zeros(GRID.shape, np.float32), mask, GRID)


@pytest.mark.parametrize(
    ("params", "given", "says"),
    [
        (SharpParams, {"radius_mm": 0.0}, r"SharpParams.radius_mm"),
        (SharpParams, {"threshold": 0.9}, r"SharpParams.threshold"),
        (IsmvParams, {"radius_mm": 99.0}, r"IsmvParams.radius_mm"),
        (IsmvParams, {"iterations": 0}, r"IsmvParams.iterations"),
        (IsmvParams, {"tolerance": 1.0}, r"IsmvParams.tolerance"),
        (VresharpParams, {"radius_min_mm": 19.0}, r"smallest radius 19.0 mm, largest 12.0 mm"),
        (VresharpParams, {"n_radii": 0}, r"VresharpParams.n_radii"),
        (VresharpParams, {"strength": -1.0}, r"VresharpParams.strength"),
    ],
)
def test_bad_settings_are_named(params, given, says):
    with pytest.raises(ParameterError, match=says):
        params(**given)
