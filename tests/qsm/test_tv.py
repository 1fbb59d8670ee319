"""Total variation against closed forms and its own optimality."""

import time

import numpy as np
import pytest

from petechia.core.fourier import frequencies, padded_grid, rfft3
from petechia.core.grid import Grid
from petechia.core.kernels import forward_field
from petechia.core.morphology import bounding_box
from petechia.errors import InputError, ParameterError
from petechia.qsm.inversion.admm import field_noise
from petechia.qsm.inversion.gradients import (
    gradient_adjoint,
    laplacian_spectrum,
    shrink_gradient,
)
from petechia.qsm.inversion.tv import TvParams, tv


def tilted(degrees: float, spacing_mm=(1.0, 1.0, 1.0)) -> np.ndarray:
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    affine = np.eye(4)
    affine[:3, :3] = np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) * np.asarray(spacing_mm)
    return affine


def sphere_field(grid: Grid, centre, radius_mm: float, chi_ppm: float, sub: int = 5):
    """The closed form averaged over sub^3 points a voxel: a sphere may be a voxel wide."""
    index = np.indices(grid.shape).reshape(3, -1) - np.asarray(centre, dtype=float)[:, None]
    index = index.astype(np.float32)
    points = (np.arange(sub) - (sub - 1) / 2) / sub
    field = np.zeros(index.shape[1])
    for shift in np.stack(np.meshgrid(points, points, points)).reshape(3, -1).T:
        place = grid.affine[:3, :3].astype(np.float32) @ (index + shift[:, None].astype(np.float32))
        r = np.maximum(np.linalg.norm(place, axis=0), 1e-6)
        dipole = chi_ppm / 3 * (radius_mm / r) ** 3 * (3 * (place[2] / r) ** 2 - 1)
        field += np.where(r > radius_mm, dipole, 0)
    return (field / sub**3).reshape(grid.shape).astype(np.float32)


def everywhere(threshold: float, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    return np.array([threshold], np.float32), np.zeros(grid.shape, np.uint8)


def distance_mm(grid: Grid, centre) -> np.ndarray:
    index = np.indices(grid.shape).reshape(3, -1) - np.asarray(centre, dtype=float)[:, None]
    return np.linalg.norm(grid.affine[:3, :3] @ index, axis=0).reshape(grid.shape)


def moment(chi: np.ndarray, grid: Grid, centre) -> float:
    """Susceptibility above the surroundings, summed within 4 mm [ppm mm^3]."""
    r = distance_mm(grid, centre)
    return float((chi[r <= 4] - chi[(r > 4) & (r < 7)].mean()).sum() * grid.voxel_mm3)


LESIONS = (
    ((14.0, 15.3, 16.5), 1.0),
    ((33.4, 15.0, 30.0), -1.0),
    ((15.5, 33.2, 30.7), 1.0),
    ((32.5, 32.5, 15.5), -1.0),
)


@pytest.mark.parametrize("noise_ppm", [0.0, 0.003], ids=["clean", "noisy"])
@pytest.mark.parametrize(
    ("degrees", "spacing_mm"),
    [(0.0, (1, 1, 1)), (25.0, (1, 1, 1)), (15.0, (0.8, 0.8, 1.6))],
    ids=["straight", "oblique", "anisotropic"],
)
def test_moments_of_two_millimetre_spheres(degrees, spacing_mm, noise_ppm):
    """Blood and calcium of 1 ppm, 2 mm wide, at any place between the voxel centres."""
    affine = tilted(degrees, spacing_mm)
    grid = Grid((48, 47, 46), affine)
    mask = distance_mm(grid, np.array(grid.shape) / 2) < 22 * min(1, affine[0, 0] * 1.05)
    field = sum(sphere_field(grid, c, 1.0, chi) for c, chi in LESIONS)
    rng = np.random.default_rng(3)
    field = (field + noise_ppm * rng.standard_normal(grid.shape)).astype(np.float32)
    chi = tv(field, None, mask, grid)
    true = 4 / 3 * np.pi
    ratios = [moment(chi, grid, c) / (s * true) for c, s in LESIONS]
    assert np.mean(ratios) == pytest.approx(1, abs=0.12)
    assert min(ratios) > 0.75
    assert max(ratios) < 1.25


def test_a_lesion_blanked_by_its_own_void_keeps_its_moment():
    """Weights of 0 in the void: the field around it is enough."""
    grid = Grid((44, 44, 44))
    centre = (21.5, 22.0, 21.0)
    mask = distance_mm(grid, (21.5, 21.5, 21.5)) < 20
    field = sphere_field(grid, centre, 1.0, 1.0)
    rng = np.random.default_rng(0)
    void = distance_mm(grid, centre) < 1.8
    spoiled = np.where(void, rng.uniform(-0.5, 0.5, grid.shape), field).astype(np.float32)
    weights = np.where(void, 0.0, 1.0)
    blanked, trusted = tv(spoiled, weights, mask, grid), tv(spoiled, None, mask, grid)
    assert moment(blanked, grid, centre) == pytest.approx(4 / 3 * np.pi, rel=0.15)
    around = mask & (distance_mm(grid, centre) > 2.5)
    assert np.std(blanked[around]) < 0.5 * np.std(trusted[around])


@pytest.mark.parametrize("degrees", [0.0, 30.0], ids=["straight", "oblique"])
def test_streaks_are_suppressed(degrees):
    grid = Grid((40, 40, 40), tilted(degrees))
    centre = (19.5, 20.0, 19.0)
    mask = distance_mm(grid, (19.5, 19.5, 19.5)) < 18
    chi = tv(sphere_field(grid, centre, 3.0, 0.5) * mask, None, mask, grid)
    away = mask & (distance_mm(grid, centre) > 5)
    assert np.std(chi[away]) < 0.01 * 0.5


def test_edges_are_kept():
    """A step of grey against white matter stays within two voxels, at the right height."""
    grid = Grid((40, 40, 40))
    mask = distance_mm(grid, (19.5, 19.5, 19.5)) < 19
    truth = np.where(distance_mm(grid, (19.5, 19.5, 19.5)) < 9, 0.05, 0.0)
    field = forward_field(truth, grid, pad_mm=40)
    rng = np.random.default_rng(0)
    noisy = (field + 0.001 * rng.standard_normal(grid.shape)).astype(np.float32)
    chi = tv(noisy, None, mask, grid)
    r = distance_mm(grid, (19.5, 19.5, 19.5))
    assert chi[r < 8].mean() - chi[(r > 10) & (r < 15)].mean() == pytest.approx(0.05, rel=0.05)


def test_the_scale_of_the_weights_is_free():
    grid = Grid((24, 25, 26))
    mask = distance_mm(grid, (12, 12, 12)) < 11
    field = sphere_field(grid, (12, 12, 12), 2.0, 0.3)
    rng = np.random.default_rng(0)
    weights = rng.uniform(0.5, 1.0, grid.shape)
    one, other = tv(field, weights, mask, grid), tv(field, 1e4 * weights, mask, grid)
    np.testing.assert_allclose(one, other, atol=1e-5)
    np.testing.assert_allclose(
        tv(field, mask.astype(float), mask, grid), tv(field, None, mask, grid), atol=1e-6
    )


def test_weights_follow_the_noise():
    """Half the field ten times noisier: weights of inverse noise make a better map."""
    grid = Grid((40, 40, 40))
    centre = (19.5, 19.5, 19.5)
    mask = distance_mm(grid, centre) < 18
    truth = 0.2 * (distance_mm(grid, centre) < 6)
    noise = np.where(np.arange(40)[:, None, None] < 18, 0.02, 0.002) * np.ones(grid.shape)
    rng = np.random.default_rng(0)
    field = forward_field(truth, grid, 30) + noise * rng.standard_normal(grid.shape)

    def error(weights):
        chi = tv(field, weights, mask, grid)
        return np.std((chi - truth)[mask])

    assert error(1 / noise) < 0.8 * error(None)


def test_the_default_ends_near_the_minimiser():
    """Default iterations end near the minimiser, which the penalties do not move."""
    grid = Grid((32, 32, 32))
    mask = distance_mm(grid, (15.5, 15.5, 15.5)) < 15
    truth = 0.1 * (distance_mm(grid, (15.5, 15.5, 15.5)) < 5)
    rng = np.random.default_rng(0)
    field = forward_field(truth, grid, 30) + 0.002 * rng.standard_normal(grid.shape)
    field = (field * mask).astype(np.float32)

    def error(params):
        return tv(field, None, mask, grid, params)

    exact = error(TvParams(iterations=250, tolerance=0, outside=1))
    default = error(TvParams(outside=1))
    other = error(
        TvParams(iterations=250, tolerance=0, gradient_penalty=3, field_penalty=1, outside=1)
    )
    size = np.linalg.norm(exact)
    assert np.linalg.norm(other - exact) < 0.01 * size  # penalties change the road only
    assert np.linalg.norm(default - exact) < 0.05 * size


def test_padding_keeps_the_periodic_copies_away():
    grid = Grid((24, 24, 24))
    mask = np.ones(grid.shape, dtype=bool)
    field = sphere_field(grid, (4.0, 12.0, 12.0), 2.0, 0.5)
    near, far = (tv(field, None, mask, grid, TvParams(pad_mm=p)) for p in (20.0, 70.0))
    assert np.abs(near - far).max() < 0.03 * np.abs(far).max()


def test_noise_is_read_off_the_field():
    grid = Grid((40, 40, 40))
    mask = distance_mm(grid, (19.5, 19.5, 19.5)) < 18
    rng = np.random.default_rng(0)
    field = sphere_field(grid, (20, 20, 20), 2.0, 1.0)
    noisy = field + 0.01 * rng.standard_normal(grid.shape)
    assert field_noise(noisy, mask) == pytest.approx(0.01, rel=0.05)
    assert field_noise(field, mask) < 0.001
    assert field_noise(noisy, np.zeros_like(mask)) == 0
    assert field_noise(noisy[:, :, :1], mask[:, :, :1]) == 0


def test_noise_alone_is_smoothed_away():
    """The strength follows the noise that was read: at that of a third of it, 4 times more stays."""
    grid = Grid((31, 30, 29))
    noise = 0.01 * np.random.default_rng(0).standard_normal(grid.shape).astype(np.float32)
    whole = np.ones(grid.shape, dtype=bool)
    assert tv(noise, None, whole, grid).std() < 0.01


def test_a_thin_volume_and_a_single_voxel_of_mask_are_no_accident():
    for shape in ((17, 18, 1), (9, 1, 8)):
        grid = Grid(shape)
        field = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        assert np.isfinite(tv(field, None, np.ones(shape, bool), grid)).all()
    grid = Grid((9, 9, 9))
    mask = np.zeros(grid.shape, bool)
    mask[4, 4, 4] = True
    assert np.isfinite(tv(np.ones(grid.shape, np.float32), None, mask, grid)).all()


@pytest.mark.parametrize("spacing_mm", [(1, 1, 1), (0.5, 0.8, 2.0)])
def test_gradients_are_per_millimetre_and_their_spectrum_is_theirs(spacing_mm):
    grid = Grid((8, 9, 10), np.diag([*spacing_mm, 1.0]))
    rng = np.random.default_rng(0)
    chi = rng.standard_normal(grid.shape).astype(np.float32)
    per_mm = tuple(np.float32(1 / d) for d in spacing_mm)
    split = np.zeros((3, *grid.shape), np.float32)
    reflection = np.full(grid.shape, -1, np.float32)
    before = np.zeros_like(chi)
    change, size = shrink_gradient(chi, before, split, reflection, *everywhere(1e9, grid), *per_mm)
    expected = [(np.roll(chi, -1, axis) - chi) / d for axis, d in enumerate(spacing_mm)]
    np.testing.assert_allclose(split, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(reflection, -1)  # below the threshold all is shrunk away
    assert change == pytest.approx(size, rel=1e-6)
    # adjoint: <grad x, p> = <x, grad^H p> for p = r v
    out = np.empty_like(chi)
    gradient_adjoint(split, reflection, out, *per_mm)
    assert -np.sum(np.square(split)) == pytest.approx(np.vdot(chi, out), rel=1e-4)
    np.testing.assert_allclose(
        rfft3(-out), laplacian_spectrum(grid) * rfft3(chi), rtol=1e-3, atol=1e-2
    )


def test_shrinkage_shortens_the_gradient_by_the_threshold():
    grid = Grid((6, 7, 8))
    rng = np.random.default_rng(0)
    chi = rng.standard_normal(grid.shape).astype(np.float32)
    split = np.zeros((3, *grid.shape), np.float32)
    reflection = np.full(grid.shape, -1, np.float32)
    one = np.float32(1)
    shrink_gradient(chi, np.zeros_like(chi), split, reflection, *everywhere(1, grid), one, one, one)
    length = np.linalg.norm(split, axis=0)
    shrunk = (1 + reflection) / 2 * length
    np.testing.assert_allclose(shrunk, np.maximum(length - 1, 0), atol=1e-5)


def test_a_threshold_of_each_voxel_is_its_own():
    grid = Grid((6, 7, 8))
    rng = np.random.default_rng(0)
    chi = rng.standard_normal(grid.shape).astype(np.float32)
    limits = np.array([0, 0.5, 1, 2], np.float32)
    row = rng.integers(0, 4, grid.shape).astype(np.uint8)
    thresholds = limits[row]
    split = np.zeros((3, *grid.shape), np.float32)
    reflection = np.full(grid.shape, -1, np.float32)
    one = np.float32(1)
    shrink_gradient(chi, np.zeros_like(chi), split, reflection, limits, row, one, one, one)
    length = np.linalg.norm(split, axis=0)
    shrunk = (1 + reflection) / 2 * length
    np.testing.assert_allclose(shrunk, np.maximum(length - thresholds, 0), atol=1e-5)


def test_the_laplacian_tends_to_the_continuous_one():
    grid = padded_grid(Grid((60, 60, 60), np.diag([0.5, 1.0, 2.0, 1.0])))
    k0, k1, k2 = frequencies(grid)
    continuous = (2 * np.pi) ** 2 * (k0**2 + k1**2 + k2**2)
    low = continuous < 0.05
    np.testing.assert_allclose(laplacian_spectrum(grid)[low], continuous[low], rtol=0.05)


def test_the_box_is_the_smallest():
    mask = np.zeros((9, 9, 9), bool)
    mask[2:5, 3, 1:8] = True
    assert bounding_box(mask) == (slice(2, 5), slice(3, 4), slice(1, 8))


def test_bad_settings_and_weights_are_named():
    with pytest.raises(ParameterError, match=r"TvParams.strength: 0.0 is outside"):
        TvParams(strength=0.0)
    with pytest.raises(ParameterError, match=r"TvParams.iterations: 0 is outside"):
        TvParams(iterations=0)
    with pytest.raises(ParameterError, match=r"TvParams.tolerance"):
        TvParams(tolerance=float("nan"))
    grid = Grid((8, 8, 8))
    mask = np.ones(grid.shape, bool)
    field = np.ones(grid.shape, np.float32)
    with pytest.raises(InputError, match=r"weights: -1.0 is outside"):
        tv(field, -np.ones(grid.shape), mask, grid)
    with pytest.raises(InputError, match=r"weights: 512 of 512"):
        tv(field, np.full(grid.shape, np.nan), mask, grid)


@pytest.mark.slow
def test_a_whole_brain_in_time():
    """160 x 160 x 128 on one core: 10 s, with room for slow machines."""
    grid = Grid((160, 160, 128))
    r = np.indices(grid.shape).reshape(3, -1) / np.array(grid.shape)[:, None] - 0.5
    mask = (np.linalg.norm(r, axis=0) < 0.46).reshape(grid.shape)
    rng = np.random.default_rng(0)
    chi = 0.05 * (rng.random((20, 20, 16)) > 0.6).repeat(8, 0).repeat(8, 1).repeat(8, 2)
    field = forward_field(chi, grid) + 0.002 * rng.standard_normal(grid.shape)
    began = time.process_time()
    tv(field.astype(np.float32), None, mask, grid)
    assert time.process_time() - began < 40
