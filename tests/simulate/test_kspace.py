"""What k-space does."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import fft

from petechia.core.units import hz_per_ppm
from petechia.errors import ParameterError
from petechia.simulate.kspace import (
    displaced_along,
    disturbed,
    fat_shift_voxels,
    sampled_part,
    vendor_filtered,
)
from petechia.simulate.motion import Disturbance
from petechia.simulate.protocols import Protocol
from petechia.simulate.receive import coil_images, combined, sample_coils
from petechia.simulate.signal import acquire, acquire_with_fat

BASE = Protocol(
    b0_t=3.0, te_s=(0.006, 0.012, 0.018), tr_s=0.03, flip_deg=15.0, shape=(31, 36, 20),
    spacing_mm=(1.0, 1.2, 1.5),
)  # fmt: skip
STILL = Disturbance(
    breath_s=4.0, breath_turn=0.3, moves=(), bipolar_rad=0.4, bipolar_rad_mm=0.02
)  # fmt: skip


@pytest.fixture
def images():
    x, y, z = (g - g.mean() for g in np.indices(BASE.shape).astype(float))
    blob = np.exp(-((x / 6) ** 2 + (y / 7) ** 2 + (z / 4) ** 2))
    return np.stack([blob * np.exp(1j * te * 20 * y) for te in BASE.te_s]).astype(np.complex64)


def test_a_perfect_k_space_changes_nothing(images):
    np.testing.assert_array_equal(disturbed(images, BASE, STILL), images)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"partial_fourier": 0.75}, 0.75),
        ({"acquired": 0.6}, 0.6**3),
        ({"elliptical": True}, np.pi / 4),
    ],
)
def test_as_much_of_k_space_is_recorded_as_stated(images, change, part):
    protocol = replace(BASE, **change)
    assert sampled_part(protocol).mean() == pytest.approx(part, abs=0.035)
    spectrum = np.abs(fft.fftn(disturbed(images, protocol, STILL)[0]))
    assert (spectrum > 1e-4).mean() < part + 0.04


@pytest.mark.parametrize("phase_axis", [0, 1])
def test_partial_fourier_leaves_out_the_first_lines_of_the_phase_axis_only(phase_axis):
    protocol = replace(BASE, partial_fourier=0.75, phase_axis=phase_axis)
    kept = sampled_part(protocol) > 0
    n = BASE.shape[phase_axis]
    lines = fft.fftfreq(n) * n
    by_line = np.moveaxis(kept, phase_axis, 0).reshape(n, -1)
    assert (by_line == by_line[:, :1]).all()  # other axes are whole
    assert by_line[lines >= -0.25 * n, 0].all()  # the middle and one side
    assert not by_line[lines < -0.25 * n - 1, 0].any()


@pytest.mark.parametrize(("kind", "phase_axis"), [("3D", 0), ("3D", 1), ("2D", 0)])
def test_an_elliptical_shutter_takes_corners_of_the_encoded_axes(kind, phase_axis):
    protocol = replace(BASE, elliptical=True, phase_axis=phase_axis, acquisition_type=kind)
    kept = np.broadcast_to(sampled_part(protocol) > 0, BASE.shape)
    turning = (phase_axis, 2) if kind == "3D" else (0, 1)
    (other,) = {0, 1, 2} - set(turning)
    plane = np.moveaxis(kept, other, 0)
    assert (plane == plane[0]).all()  # the readout, or the slices, are whole
    u, v = (fft.fftfreq(BASE.shape[a]) * 2 for a in turning)
    inside = u[:, None] ** 2 + v**2
    assert plane[0][inside < 0.98].all()
    assert not plane[0][inside > 1.02].any()


def test_truncation_keeps_the_middle_of_every_encoded_axis():
    for kind, axes in (("3D", (0, 1, 2)), ("2D", (0, 1))):
        protocol = replace(BASE, acquired=0.6, acquisition_type=kind)
        kept = np.broadcast_to(sampled_part(protocol) > 0, BASE.shape)
        for axis in range(3):
            row = np.moveaxis(kept, axis, 0)[:, 0, 0]
            far = np.abs(fft.fftfreq(BASE.shape[axis])) * 2 > 0.6
            np.testing.assert_array_equal(row, ~far if axis in axes else np.ones_like(far))


def test_what_partial_fourier_leaves_out_makes_an_edge_s_phase_lean():
    # a half-empty k-space is the image and its Hilbert transform: smooth parts stay as they are
    protocol = replace(BASE, partial_fourier=0.6, te_s=(0.01,), phase_axis=1)
    x = np.arange(36.0)
    smooth = (1 + 0.5 * np.cos(2 * np.pi * x / 36)).astype(np.complex64)
    fine = np.exp(2j * np.pi * x * 10 / 36).astype(np.complex64)
    for pattern, factor in ((smooth, 1.0), (fine, 1.0), (fine.conj(), 0.0)):
        image = np.broadcast_to(pattern[None, :, None], BASE.shape)[None].astype(np.complex64)
        np.testing.assert_allclose(disturbed(image, protocol, STILL), factor * image, atol=1e-5)


def test_bipolar_echoes_differ_by_a_ramp_along_the_readout(images):
    out = disturbed(images, replace(BASE, bipolar=True), STILL)
    np.testing.assert_array_equal(out[::2], images[::2])
    turn = np.angle(out[1] * images[1].conj())[15, :, 10]
    np.testing.assert_allclose(np.diff(turn), 0.02 * 1.2, atol=1e-3)
    # the constant is that of the middle of the readout
    middle = np.angle(out[1] * images[1].conj())[15, 17:19, 10].mean()
    assert middle == pytest.approx(0.4, abs=1e-3)
    across = disturbed(images, replace(BASE, bipolar=True, phase_axis=1), STILL)
    turn = np.angle(across[1] * images[1].conj())[:, 18, 10]
    np.testing.assert_allclose(np.diff(turn), 0.02 * 1.0, atol=1e-3)


def test_fat_is_displaced_by_its_frequency_over_the_bandwidth(uniform):
    maps, protocol = uniform(te_s=(0.002, 0.004), bandwidth_hz=217.1, bipolar=True)
    assert fat_shift_voxels(protocol, 0) == pytest.approx(-2.0, abs=0.01)
    assert fat_shift_voxels(protocol, 1) == pytest.approx(2.0, abs=0.01)
    maps.s0[:] = 0
    maps.s0[20:28, 20:28, 20:28] = 1
    maps.fat[20:28, 20:28, 20:28] = 255
    still = np.abs(acquire(maps, protocol, protocol.te_s))
    moved = np.abs(acquire_with_fat(maps, protocol, protocol.te_s))
    np.testing.assert_allclose(moved[0], np.roll(still[0], -2, axis=1), atol=0.03)
    np.testing.assert_allclose(moved[1], np.roll(still[1], 2, axis=1), atol=0.03)
    across = np.abs(acquire_with_fat(maps, replace(protocol, phase_axis=1), protocol.te_s))
    np.testing.assert_allclose(across[0], np.roll(still[0], -2, axis=0), atol=0.03)
    assert hz_per_ppm(3.0) * 3.4 / 217.1 == pytest.approx(2.0, abs=0.01)


def test_a_shift_there_and_back_is_none():
    rng = np.random.default_rng(0)
    image = rng.normal(size=(9, 10, 7)) + 1j * rng.normal(size=(9, 10, 7))
    image = image.astype(np.complex64)
    back = displaced_along(displaced_along(image, 0, 1.3), 0, -1.3)
    np.testing.assert_allclose(back, image, atol=1e-5)


def test_the_vendor_s_filter_keeps_magnitude_and_takes_smooth_phase_away(images):
    x, y, _ = (g - g.mean() for g in np.indices(BASE.shape).astype(float))
    smooth = (1.0 + 0.05 * x).astype(np.float32)
    spot = 0.8 * np.exp(-(x**2 + y**2) / 2)
    image = np.exp(1j * (smooth + spot))[None].astype(np.complex64)
    out = vendor_filtered(image, 12)
    np.testing.assert_allclose(np.abs(out), 1, atol=1e-5)
    phase = np.angle(out[0])
    assert np.abs(phase[8:-8, 3:7].mean()) < 0.1
    assert phase[15, 17:19].mean() > 0.3


def test_several_coils_combine_to_the_image_with_even_noise():
    rng = np.random.default_rng(0)
    grid = replace(BASE, shape=(24, 24, 24)).grid
    coils = sample_coils(rng, 6)
    flat = np.full((1, 24, 24, 24), 100, dtype=np.complex64)
    seen = list(coil_images(flat, coils, grid, 0.0, rng))
    assert len(seen) == 6
    quiet = combined(flat, coils, grid, 0.0, rng)
    shading = np.sqrt(sum(np.abs(s) ** 2 for _, s in seen))
    np.testing.assert_allclose(quiet[0], 100 * shading, rtol=1e-4, atol=1e-3)
    noisy = combined(flat, coils, grid, 2.0, rng) - quiet
    for half in (noisy[0, :12], noisy[0, 12:]):
        assert half.real.std() == pytest.approx(2.0, rel=0.05)
        assert half.imag.std() == pytest.approx(2.0, rel=0.05)


@pytest.mark.parametrize("change", [{"partial_fourier": 0.3}, {"acquired": 2.0}, {"n_coils": 0}])
def test_impossible_sampling_is_refused(change):
    ((name, value),) = change.items()
    with pytest.raises(ParameterError, match=f"{name} = {value}"):
        replace(BASE, **change)
