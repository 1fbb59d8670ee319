from dataclasses import replace

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.core.units import radians_per_ppm
from petechia.errors import ParameterError
from petechia.lesions.dephasing import (
    SHARED,
    DephasingParams,
    both,
    fit_dephasing,
    remaining_signal,
)

B0 = np.array([0.1, 0.3, 0.9486833])


def averaged(offset, b0, spacing, a, n=40):
    """Mean of exp(i phase) over each voxel, on n^3 points: no cells, no slopes."""
    axes = [((np.arange(n) + 0.5) / n - 0.5) * d for d in spacing]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    out = []
    for at in offset:
        y = at + points
        r2 = (y**2).sum(axis=1)
        out.append(abs(np.exp(1j * a * (3 * (y @ b0) ** 2 - r2) / r2**2.5).mean()))
    return np.array(out)


@pytest.mark.parametrize(
    ("spacing", "a"), [((1, 1, 1), 2.5), ((0.7, 0.7, 1.5), 0.5), ((1, 1, 2), 20.0)]
)
def test_what_a_dipole_leaves_is_the_mean_over_each_voxel(spacing, a):
    spacing = np.asarray(spacing, dtype=float)
    # no voxel holds the source: there the phase has no mean on any number of points
    offset = np.random.default_rng(1).uniform(-4, 4, (120, 3))
    offset = offset[(np.abs(offset) > 0.6 * spacing).any(axis=1)]
    left = remaining_signal(offset, B0, spacing, a)
    truth = averaged(offset, B0, spacing, a)
    assert np.abs(left[:, 0] - truth).max() < 0.03
    assert (1 - left[:, 0]).sum() == pytest.approx((1 - truth).sum(), rel=0.04)


def test_slopes_are_those_of_the_signal():
    offset = np.random.default_rng(2).uniform(-5, 5, (200, 3))
    offset = offset[np.linalg.norm(offset, axis=1) > 2.0]
    spacing, a, h = np.array([1.0, 1.0, 1.5]), 2.0, 1e-4
    left = remaining_signal(offset, B0, spacing, a)
    up, down = (remaining_signal(offset, B0, spacing, a + s * h)[:, 0] for s in (1, -1))
    np.testing.assert_allclose(left[:, 1], (up - down) / (2 * h), atol=0.02)
    for axis in range(3):
        moved = h * np.eye(3)[axis]
        up, down = (remaining_signal(offset - s * moved, B0, spacing, a)[:, 0] for s in (1, -1))
        np.testing.assert_allclose(left[:, 2 + axis], (up - down) / (2 * h), atol=0.06)


def sphere(moment, turn, spacing=(1.0, 1.0, 1.0), chi=1.0, noise=0.02, seed=0, reach=14.0):
    """A dark ball and the dephasing of its field outside, on points of 0.2 mm; the place [voxels]."""
    spacing = np.asarray(spacing)
    radius = (3 * moment / chi / (4 * np.pi)) ** (1 / 3)
    shape = tuple(2 * int(reach / d / 2) + 1 for d in spacing)
    place = (np.asarray(shape) - 1) / 2 + np.array([0.3, -0.2, 0.1])
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    offset = (index - place) * spacing
    counts = np.maximum(np.round(spacing / 0.2), 1).astype(int)
    axes = [((np.arange(n) + 0.5) / n - 0.5) * d for n, d in zip(counts, spacing, strict=True)]
    a, b0 = turn * moment / (4 * np.pi), np.array([0.0, 0.0, 1.0])
    total = np.zeros(shape, dtype=complex)
    for point in np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3):
        y = offset + point
        r2 = (y**2).sum(axis=-1)
        wave = np.exp(1j * a * (3 * (y @ b0) ** 2 - r2) / np.maximum(r2, 1e-3) ** 2.5)
        total += np.where(r2 > radius**2, wave, 0)
    rng = np.random.default_rng(seed)
    total = total / counts.prod() + rng.normal(0, noise, shape) + 1j * rng.normal(0, noise, shape)
    return np.abs(total).astype(np.float32), Grid(shape, np.diag([*spacing, 1.0])), place


def read(signal, grid, place, turn, start=1.0, off=0.3, **settings):
    void = np.argwhere(signal < 0.5)
    clear = np.ones(grid.shape, dtype=bool)
    clear[tuple(void.T)] = False
    params = DephasingParams(**settings)
    radius = max(np.cbrt(0.24 * len(void) * grid.voxel_mm3), 0.5)
    return fit_dephasing(
        signal, clear, void, place + off, radius, grid, turn, start, 0.02, params=params
    )


@pytest.mark.parametrize("moment", [1.0, 3.0, 12.0])
@pytest.mark.parametrize(
    ("b0_t", "te_s", "spacing"),
    [(3.0, 0.02, (1, 1, 1)), (1.5, 0.04, (0.8, 0.8, 2.0)), (7.0, 0.012, (0.6, 0.6, 1.0))],
)
def test_a_spheres_moment_comes_of_its_void_whatever_the_protocol(moment, b0_t, te_s, spacing):
    turn = radians_per_ppm(b0_t, te_s)
    signal, grid, place = sphere(moment, turn, spacing)
    for start in (0.3 * moment, 3 * moment):  # a poor first guess, a place beside the source
        told = read(signal, grid, place, turn, start)
        assert told.moment_ppm_mm3 == pytest.approx(moment, rel=0.08)
        assert abs(told.moment_ppm_mm3 - moment) < 1.96 * told.se_ppm_mm3


def test_another_void_beside_is_left_out():
    turn = radians_per_ppm(3.0, 0.02)
    signal, grid, place = sphere(3.0, turn)
    alone = read(signal, grid, place, turn)
    beside = np.rint(place).astype(int) + np.array([5, 0, 0])
    dark = np.zeros(grid.shape, dtype=bool)
    dark[tuple(slice(i - 1, i + 2) for i in beside)] = True
    void = np.argwhere((signal < 0.5) & ~dark)
    clear = ~dark & (signal >= 0.5)
    spoilt = np.where(dark, 0.1, signal).astype(np.float32)
    told = fit_dephasing(spoilt, clear, void, place, 1.5, grid, turn, 1.0, 0.02)
    assert told.moment_ppm_mm3 == pytest.approx(alone.moment_ppm_mm3, rel=0.06)


def test_too_few_voxels_say_nothing():
    signal, grid, place = sphere(1.0, 16.0)
    nowhere = np.zeros(grid.shape, dtype=bool)
    few = np.argwhere(signal < 0.5)[:5]
    assert fit_dephasing(signal, nowhere, few, place, 1.0, grid, 16.0, 1.0, 0.02) is None


def test_two_readings_are_one_by_their_errors():
    moment, error = both((2.0, 0.3), (2.2, 0.6))
    assert moment == pytest.approx((2.0 / 0.09 + 2.2 / 0.36) / (1 / 0.09 + 1 / 0.36))
    independent = (1 / 0.09 + 1 / 0.36) ** -0.5
    assert error > independent
    weights = np.array([0.8, 0.2]) * [0.3, 0.6]
    expected = weights @ np.array([[1, SHARED], [SHARED, 1]]) @ weights
    assert error == pytest.approx(np.sqrt(expected))


def test_what_form_may_do_to_the_field_has_no_part_in_the_weights_and_little_in_the_error():
    field, void = (20.0, np.hypot(1.0, 2.4)), (22.0, 4.0)
    moment, error = both(field, void, form=2.4)
    assert moment == pytest.approx((20.0 + 22.0 / 16) / (1 + 1 / 16))
    weights = np.array([16 / 17, 1 / 17]) * [np.hypot(1.0, 0.3 * 2.4), 4.0]
    assert error == pytest.approx(np.sqrt(weights @ np.array([[1, SHARED], [SHARED, 1]]) @ weights))
    plain = both(field, void)
    assert abs(moment - 20) < abs(plain[0] - 20)
    assert error < plain[1]


def test_a_void_that_does_not_agree_gives_way_to_the_field():
    near = [both((2.0, 0.3), (v, 0.5))[0] for v in np.arange(2.0, 12.0, 0.5)]
    assert np.argmax(near) < 6  # pulls less and less
    moment, error = both((2.0, 0.3), (60.0, 4.0))  # a vein in the void's place
    assert moment == pytest.approx(2.0, abs=0.02)
    assert error == pytest.approx(0.3, rel=0.02)


@pytest.mark.parametrize("wrong", [{"reach_rad": 0.0}, {"huber": -1.0}, {"floor": -0.1}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ParameterError, match=next(iter(wrong))):
        replace(DephasingParams(), **wrong)


def test_far_apart_the_pull_of_a_void_falls_with_the_cube_of_the_distance():
    """Its variance grows with the fourth power, so twice as far away it pulls an eighth."""
    near, far = (both((2.0, 0.01), (2.0 + d, 0.01))[0] - 2.0 for d in (2.0, 4.0))
    assert near / far == pytest.approx(8, rel=0.01)
