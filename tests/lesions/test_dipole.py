import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.core.kernels import forward_field
from petechia.lesions.dipole import dipole_field, dipole_mean, means_and_slopes, voxel_nodes


def test_a_sphere_is_a_dipole_of_chi_times_volume():
    chi, a, b = 0.7, 2.0, np.array([0.0, 0.6, 0.8])
    at = np.array([[3.0, 1.0, -2.0], [0.0, 2.4, 3.2], [5.0, 0.0, 0.0]])
    r = np.linalg.norm(at, axis=1)
    cosine = at @ b / r
    expected = chi / 3 * (a / r) ** 3 * (3 * cosine**2 - 1)
    assert np.allclose(chi * 4 / 3 * np.pi * a**3 * dipole_field(at, b), expected)
    # paramagnetic: twice as strong and positive at the pole, negative at the equator
    assert expected[1] > 0 > expected[2]


def test_it_agrees_with_the_dipole_kernel():
    grid = Grid.from_spacing((65, 65, 65), 1.0, (0, 0.5, 0.8))
    at = np.stack(np.meshgrid(*[np.arange(65) - 32] * 3, indexing="ij"), -1)
    # a round cloud is a point from outside, and free of ringing
    chi = np.exp(-(at**2).sum(-1) / (2 * 1.5**2))
    field = forward_field(chi / chi.sum(), grid, pad_mm=60)
    index = np.array([[32, 38, 40], [40, 32, 32], [32, 32, 41], [27, 39, 28]])
    point = dipole_field(index - 32.0, grid.b0_dir)
    assert np.allclose(field[tuple(index.T)], point, atol=0.02 * np.abs(point).max())


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.6, 0.6, 3.0)])
def test_the_voxel_mean_is_the_mean_of_many_points(spacing):
    spacing, b = np.array(spacing), np.array([0.0, 0.6, 0.8])
    offset = np.array([[2.0, 1.0, 3.5], [1.3, 2.2, -0.4], [0.2, 0.0, 5.0]])
    fine = (np.arange(24) + 0.5) / 24 - 0.5
    cloud = np.stack(np.meshgrid(fine, fine, fine, indexing="ij"), -1).reshape(-1, 3) * spacing
    exact = dipole_field(offset[:, None] + cloud, b).mean(axis=1)
    assert np.allclose(dipole_mean(offset, b, spacing), exact, rtol=0.02, atol=1e-5)


def test_slopes_are_those_of_the_mean():
    spacing, b = np.array([1.0, 0.8, 2.0]), np.array([0.6, 0.0, 0.8])
    at, h = np.array([1.5, -2.0, 2.5]), 1e-4
    (both,) = means_and_slopes(at[None], b, spacing)
    assert both[0] == pytest.approx(dipole_mean(at, b, spacing))
    for axis in range(3):
        step = h * np.eye(3)[axis]
        rise = np.diff(dipole_mean(np.stack([at - step, at + step]), b, spacing))[0] / (2 * h)
        assert both[1 + axis] == pytest.approx(rise, rel=1e-4)


def test_weights_of_a_voxel_sum_to_one():
    nodes, weights = voxel_nodes(np.array([0.5, 0.5, 5.0]))
    assert weights.sum() == pytest.approx(1)
    assert np.abs(nodes).max(axis=0) == pytest.approx([0.1443, 0.1443, 2.331], abs=1e-3)
