"""Fields against closed forms."""

import numpy as np
import pytest

from petechia.simulate.fields import add_spheres, grid_field, shim, shim_terms, sphere_field

DIRECTIONS = [(0.0, 0.0, 1.0), (0.0, np.sin(0.4), np.cos(0.4)), (1.0, 0.0, 0.0)]


def lattice(shape, spacing):
    axes = [(np.arange(n) - n // 2) * d for n, d in zip(shape, spacing, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1)


def filled(distance, radius, step):
    """Partial volume of a surface at `radius`."""
    return np.clip((radius - distance) / step + 0.5, 0, 1).astype(np.float32)


@pytest.mark.parametrize("b0_dir", DIRECTIONS)
def test_the_grid_field_of_a_sphere_is_the_closed_form(b0_dir):
    shape, spacing = (61, 64, 55), (0.5, 0.5, 0.6)
    points = lattice(shape, spacing)
    radius = np.linalg.norm(points, axis=-1)
    # an edge of two points, as heads have: a sharper one rings at the Nyquist frequency
    chi = 0.8 * filled(radius, 4.0, 1.0)
    volume = chi.sum() * np.prod(spacing) / 0.8
    field = grid_field(chi, spacing, b0_dir, pad=1.0)
    a = (volume * 3 / (4 * np.pi)) ** (1 / 3)
    exact = sphere_field(points, (0, 0, 0), a, 0.8, b0_dir)
    outside = (radius > 5.0) & (radius < 11.0)
    error = (field - exact)[outside]
    assert np.sqrt((error**2).mean()) < 0.015 * np.sqrt((exact[outside] ** 2).mean())
    assert abs(field[radius < 3].mean()) < 0.005


@pytest.mark.parametrize("degrees", [0.0, 35.0, 90.0])
def test_the_grid_field_of_a_cylinder_is_the_closed_form(degrees):
    # along the third axis and periodic there: an endless vein
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    spacing = (0.4, 0.4, 0.4)
    points = lattice((120, 121, 8), spacing)
    rho = np.linalg.norm(points[..., :2], axis=-1)
    chi = 0.4 * filled(rho, 3.0, 0.4)
    wide = np.pad(chi, ((0, 300), (0, 300), (0, 0)))
    field = grid_field(wide, spacing, (s, 0.0, c))[:120, :121]
    inside = 0.4 / 6 * (3 * c**2 - 1)
    away = np.maximum(rho, 0.1)
    cos_2phi = (points[..., 0] ** 2 - points[..., 1] ** 2) / away**2
    outside = 0.4 / 2 * s**2 * (3.0 / away) ** 2 * cos_2phi
    assert field[rho < 2.0].mean() == pytest.approx(inside, abs=0.002)
    ring = (rho > 4) & (rho < 9)
    assert np.abs(field - outside)[ring].max() < 0.004


def test_a_paramagnetic_sphere_is_positive_at_its_poles_and_negative_at_its_equator():
    tilted = np.array([0.0, 0.6, 0.8])
    across = np.array([1.0, 0.0, 0.0])
    at = np.stack([2.0 * tilted, -2.0 * tilted, 2.0 * across])
    field = sphere_field(at, (0, 0, 0), 2.0 - 1e-9, 0.9, tilted)
    np.testing.assert_allclose(field, [0.6, 0.6, -0.3], rtol=1e-6)
    assert (sphere_field(at, (0, 0, 0), 1.0, -0.9, tilted) * field < 0).all()


def test_added_spheres_are_the_closed_form_inside_and_out():
    spacing, origin = np.array([0.5, 0.7, 0.9]), np.array([-2.0, 1.0, 0.5])
    field = np.zeros((31, 28, 25), dtype=np.float32)
    b0 = np.array([0.36, 0.48, 0.8])
    spheres = np.array([[4.0, 10.0, 10.0, 1.3, 0.7], [9.0, 13.0, 15.0, 0.8, -1.1]])
    add_spheres(field, spheres, spacing, origin, b0, 1e-7)
    points = np.stack(np.indices(field.shape), -1) * spacing + origin
    exact = sum(sphere_field(points, s[:3], s[3], s[4], b0) for s in spheres)
    np.testing.assert_allclose(field, exact, atol=2e-6)


def test_the_shim_takes_second_order_harmonics_away():
    rng = np.random.default_rng(0)
    places = rng.uniform(-70, 70, (400, 3))
    wanted = rng.normal(0, 1, 9)
    np.testing.assert_allclose(shim(shim_terms(places) @ wanted, places), wanted, atol=1e-9)
