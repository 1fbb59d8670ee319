import tracemalloc
from itertools import product

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.core.kernels import dipole_kernel, forward_field, smv_kernel
from petechia.errors import ParameterError


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


@pytest.mark.parametrize("shape", [(8, 6, 10), (9, 6, 10), (8, 7, 10), (9, 7, 10), (8, 6, 9)])
def test_a_tilted_kernel_takes_both_signs_of_every_nyquist_frequency(shape):
    """Also where two or three of them meet: else a flip of even sizes changes the field."""
    b0 = np.array([0.3, 0.5, 0.8]) / np.linalg.norm([0.3, 0.5, 0.8])
    grid = Grid.from_spacing(shape, (1.0, 1.2, 1.5), b0)
    expected = np.zeros(shape)
    for signs in product((1, -1), repeat=3):
        axes = [np.fft.fftfreq(n, d) for n, d in zip(shape, grid.spacing_mm, strict=True)]
        for k, n, sign in zip(axes, shape, signs, strict=True):
            if n % 2 == 0:
                k[n // 2] *= sign
        k = np.stack(np.meshgrid(*axes, indexing="ij"))
        k_squared = (k**2).sum(axis=0)
        k_squared[0, 0, 0] = 1
        expected += (1 / 3 - np.tensordot(b0, k, axes=1) ** 2 / k_squared) / 8
    expected[0, 0, 0] = 0
    np.testing.assert_allclose(dipole_kernel(grid), expected[..., : shape[2] // 2 + 1], atol=1e-6)

    chi = np.random.default_rng(0).standard_normal(shape)
    mirrored = Grid.from_spacing(shape, (1.0, 1.2, 1.5), b0 * [-1, 1, 1])
    field = forward_field(chi, grid)
    other = forward_field(chi[::-1], mirrored)[::-1]
    np.testing.assert_allclose(other, field, atol=1e-5)


def test_a_sheared_grid_is_refused():
    affine = np.eye(4)
    affine[2, 0] = 0.3
    with pytest.raises(ParameterError, match=r"dipole_kernel: sheared: .* 73\.3 degrees"):
        dipole_kernel(Grid((8, 9, 10), affine))
    affine[2, 0] = 0.005  # what rounding leaves
    dipole_kernel(Grid((8, 9, 10), affine))


@pytest.mark.parametrize("radius_mm", [0.3, 2.0, 5.3, 14.0])
def test_a_sphere_is_sampled_at_five_points_along_each_edge(radius_mm):
    """Also where it is wider than the volume, whose far side it then comes back on."""
    grid = Grid.from_spacing((14, 9, 11), (0.8, 1.0, 2.5))
    ball = np.zeros(grid.shape)
    reach = [int(radius_mm / d) + 2 for d in grid.spacing_mm]
    points = [
        (np.arange(-5 * r - 2, 5 * r + 3) / 5) * d
        for r, d in zip(reach, grid.spacing_mm, strict=True)
    ]
    squared = sum(p**2 for p in np.meshgrid(*points, indexing="ij"))
    places = np.argwhere(squared <= radius_mm**2 + 1e-9)
    voxels = places // 5 - reach
    np.add.at(ball, tuple((voxels % grid.shape).T), 1)
    expected = np.fft.rfftn(ball / ball.sum()).real
    np.testing.assert_allclose(smv_kernel(grid, radius_mm), expected, atol=1e-5)


def test_a_large_sphere_does_not_fill_the_memory():
    """At five points an edge all at once, one of 30 mm would take 0.3 GB here."""
    grid = Grid.from_spacing((16, 16, 16), (1.0, 1.0, 1.0))
    tracemalloc.start()
    smv_kernel(grid, 30.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6
