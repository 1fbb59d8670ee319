import numpy as np

from petechia.core.grid import Grid
from petechia.core.kernels import dipole_kernel, forward_field


def tilted(degrees: float, spacing_mm=(1.0, 1.0, 1.0)) -> np.ndarray:
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    affine = np.eye(4)
    affine[:3, :3] = np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) * spacing_mm
    return affine


def test_kernel_limits_are_minus_two_thirds_and_one_third(grid):
    kernel = dipole_kernel(grid)
    assert np.isclose(kernel.min(), -2 / 3, atol=1e-4)
    assert np.isclose(kernel.max(), 1 / 3, atol=1e-3)


def test_forward_operator_is_its_own_adjoint():
    grid = Grid(shape=(9, 10, 11), affine=tilted(37, (0.8, 1.0, 2.0)))
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, *grid.shape))
    left = np.vdot(forward_field(x, grid), y)
    right = np.vdot(x, forward_field(y, grid))
    np.testing.assert_allclose(left, right, rtol=1e-5)


def sphere_field(grid: Grid, radius_mm: float):
    """A sphere of +1 ppm, its field, and each voxel's place in scanner mm."""
    index = np.indices(grid.shape).reshape(3, -1)
    centre = np.array(grid.shape)[:, None] // 2
    place = (grid.affine[:3, :3] @ (index - centre)).reshape(3, *grid.shape)
    r = np.linalg.norm(place, axis=0)
    chi = 1.0 * (r <= radius_mm)
    return chi, forward_field(chi, grid), place[2], r


def test_a_paramagnetic_sphere_is_positive_at_its_poles_negative_at_its_equator():
    for degrees in (0, 25):
        grid = Grid(shape=(80, 80, 80), affine=tilted(degrees))
        _, field, z, r = sphere_field(grid, 6.0)
        shell = (r > 8) & (r < 10)
        cosine = np.abs(z / np.maximum(r, 1e-6))
        assert field[shell & (cosine > 0.95)].min() > 0
        assert field[shell & (cosine < 0.2)].max() < 0


def test_field_outside_a_sphere_is_a_dipole():
    """Closed form: dB = chi/3 * (a/r)^3 * (3 cos^2 - 1) outside radius a."""
    grid = Grid(shape=(96, 96, 96))
    chi, field, z, r = sphere_field(grid, 8.0)
    radius = (3 * chi.sum() / (4 * np.pi)) ** (1 / 3)
    shell = (r > 11) & (r < 18)
    expected = (radius / r[shell]) ** 3 * (3 * (z[shell] / r[shell]) ** 2 - 1) / 3
    np.testing.assert_allclose(field[shell], expected, atol=0.01)
