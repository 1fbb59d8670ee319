"""The recorded signal: decay, sampling, voids."""

import numpy as np
import pytest

from petechia.core.units import hz_per_ppm
from petechia.simulate.nearby import add_source_fields, matter_of, near_sources, sphere_table
from petechia.simulate.signal import acquire, slice_profiles, voxel_means

INNER = (slice(None), slice(5, -5), slice(5, -5), slice(5, -5))


def scanned(maps, protocol, spheres, substance="hemosiderin"):
    table = sphere_table(np.array(spheres), maps.grid)
    matter = matter_of([substance] * len(table), protocol)
    near = near_sources(maps, table, matter, protocol, protocol.te_s)
    add_source_fields(maps, table)
    return acquire(maps, protocol, protocol.te_s, near)


def void_mm3(uniform, te_s, b0_t=3.0, moment=6.0, chi=0.9, loss=0.3, n=6):
    """Mean volume that loses 30 %, over places of the source within its voxel."""
    radius = (moment / chi * 3 / (4 * np.pi)) ** (1 / 3)
    volumes = []
    for shift in np.random.default_rng(1).uniform(-0.5, 0.5, (n, 3)):
        maps, protocol = uniform(te_s=(te_s,), b0_t=b0_t, tr_s=0.1)
        image = np.abs(scanned(maps, protocol, [(*shift, radius, chi)]))[INNER]
        volumes.append((image < (1 - loss) * np.exp(-20 * te_s)).sum())
    return np.mean(volumes)


def test_uniform_tissue_decays_with_its_r2star(uniform):
    maps, protocol = uniform(te_s=(0.005, 0.015, 0.030))
    image = np.abs(acquire(maps, protocol, protocol.te_s))[INNER]
    for echo, te in zip(image, protocol.te_s, strict=True):
        np.testing.assert_allclose(echo, np.exp(-20 * te), rtol=3e-3)


def test_phase_grows_with_field_and_time_in_the_right_sense(uniform):
    maps, protocol = uniform(te_s=(0.004, 0.008))
    maps.field_ppm[:] = 0.1
    phase = np.angle(acquire(maps, protocol, protocol.te_s))[INNER]
    expected = 2 * np.pi * hz_per_ppm(3.0) * 0.1 * np.array(protocol.te_s)
    np.testing.assert_allclose(phase.mean(axis=(1, 2, 3)), expected, rtol=1e-4)


def test_fat_precesses_slower(uniform):
    maps, protocol = uniform(te_s=(0.0005,))
    maps.fat[:] = 255
    phase = np.angle(acquire(maps, protocol, protocol.te_s))[INNER]
    np.testing.assert_allclose(phase, -2 * np.pi * hz_per_ppm(3.0) * 3.4 * 0.0005, rtol=1e-3)


def test_a_slope_across_the_voxel_dephases_as_a_sinc(uniform):
    # only the slope within each fine point can be lost: 2D, one point to a slice
    maps, protocol = uniform(
        te_s=(0.02,), acquisition_type="2D", fine=(1.0, 1.0, 1.0), spacing_mm=(1.0, 1.0, 2.0)
    )
    turns = 0.4
    slope = turns / (hz_per_ppm(3.0) * 0.02)
    maps.field_ppm[:] = slope * np.arange(24)
    image = np.abs(acquire(maps, protocol, protocol.te_s))[INNER]
    np.testing.assert_allclose(image, np.sinc(turns) * np.exp(-0.4), rtol=1e-3)


@pytest.mark.parametrize(("te", "moment"), [(0.010, 6.0), (0.015, 10.0)])
def test_a_void_grows_when_the_echo_time_doubles(uniform, te, moment):
    growth = void_mm3(uniform, 2 * te, moment=moment) / void_mm3(uniform, te, moment=moment)
    assert 1.4 < growth < 2.0


def test_voids_are_equal_at_equal_field_times_echo_time(uniform):
    at_3t = void_mm3(uniform, 0.020, 3.0, moment=8.0)
    at_15t = void_mm3(uniform, 0.040, 1.5, moment=8.0)
    assert at_15t == pytest.approx(at_3t, rel=0.12)


def test_a_median_microbleed_looks_as_large_as_real_ones(uniform):
    # apparent radius of annotated microbleeds: median 1.36 mm, 5-95 % 0.67-2.48
    radii = [
        (void_mm3(uniform, 0.020, moment=m, n=4) * 3 / (4 * np.pi)) ** (1 / 3)
        for m in (0.4, 2.3, 25.0)
    ]
    assert 0.3 < radii[0] < 1.1
    assert 1.0 < radii[1] < 1.7
    assert 2.0 < radii[2] < 3.6


def test_the_moment_in_the_phase_does_not_depend_on_the_echo_time(uniform):
    radius, chi = 1.2, 0.8
    fitted = []
    for te in (0.008, 0.020):
        maps, protocol = uniform(te_s=(te,), shape=(28, 28, 28))
        phase = np.angle(scanned(maps, protocol, [(0.2, -0.1, 0.3, radius, chi)])[0])
        points = protocol.grid.to_mm(np.stack(np.indices(phase.shape), -1)) - (0.2, -0.1, 0.3)
        r = np.linalg.norm(points, axis=-1)
        ring = (r > 3.5) & (r < 9)
        unit = (3 * points[..., 2] ** 2 / r**2 - 1) / (4 * np.pi * r**3)
        field = phase / (2 * np.pi * hz_per_ppm(3.0) * te)
        fitted.append((field * unit)[ring].sum() / (unit**2)[ring].sum())
    true = chi * 4 / 3 * np.pi * radius**3
    np.testing.assert_allclose(fitted, true, rtol=0.03)


def test_supersampling_agrees_with_a_much_finer_grid(uniform):
    spheres = [(0.3, 0.1, -0.2, 1.0, 1.2)]
    coarse = uniform(te_s=(0.015,), fine=(2.0, 2.0, 2.0))
    fine = uniform(te_s=(0.015,), fine=(6.0, 6.0, 6.0))
    few, many = (np.abs(scanned(*made, spheres))[INNER] for made in (coarse, fine))
    assert np.abs(few - many).max() < 0.05
    assert np.sqrt(((few - many) ** 2).mean()) < 0.003


def test_sources_are_dark_and_calcium_has_few_protons(uniform):
    image = np.abs(scanned(*uniform(te_s=(0.002,)), [(0.0, 0.0, 0.0, 2.5, -0.2)], "calcium"))[0]
    assert image[12, 12, 12] < 0.3 * image[2, 2, 2]


def test_slices_average_their_thickness_and_leave_gaps(uniform):
    maps, protocol = uniform(
        shape=(8, 8, 6), spacing_mm=(1.0, 1.0, 6.0), slice_thickness_mm=4.0,
        acquisition_type="2D", fine=(1.0, 1.0, 12.0),
    )  # fmt: skip
    weights = slice_profiles(maps.grid, protocol)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
    width = (weights > 0.5 * weights.max()).sum(axis=1) * maps.grid.spacing_mm[2]
    np.testing.assert_allclose(width, 4.0, atol=0.5)


def test_voxel_means_keep_the_integral(uniform):
    maps, protocol = uniform(fine=(1.5, 2.0, 2.4))
    rng = np.random.default_rng(0)
    inner = np.zeros(maps.grid.shape, dtype=np.float32)
    inner[6:-6, 6:-6, 6:-6] = rng.random((*[n - 12 for n in inner.shape],))
    total = inner.sum(dtype=float) * np.prod(maps.grid.spacing_mm)
    means = voxel_means(inner, maps.grid)
    assert means.shape == protocol.shape
    assert means.sum(dtype=float) * protocol.grid.voxel_mm3 == pytest.approx(total, rel=1e-4)
