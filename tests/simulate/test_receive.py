"""Coil and noise."""

import numpy as np
from scipy import stats

from petechia.core.grid import Grid
from petechia.simulate.fields import shim_terms
from petechia.simulate.receive import Receiver, add_noise, coil_gain, receive, sample_receiver

FLAT = Receiver(log_gain=np.zeros(9), offset_rad=np.zeros(9))


def grid(n=40):
    affine = np.eye(4)
    affine[:3, 3] = -n / 2
    return Grid((n, n, n), affine)


def test_noise_in_air_is_rayleigh_and_in_tissue_rician():
    images = np.zeros((2, 40, 40, 40), dtype=np.complex64)
    images[1] = 50.0
    out = receive(images, FLAT, grid(), 5.0, np.random.default_rng(0))
    air = np.abs(out[0])
    assert abs(air.mean() / (5 * np.sqrt(np.pi / 2)) - 1) < 0.01
    assert abs(np.sqrt((air**2).mean()) / (5 * np.sqrt(2)) - 1) < 0.01
    # the mean gain of 1.06 or less at the rim is the coil's
    middle = np.abs(out[1, 15:25, 15:25, 15:25])
    assert abs(middle.std() - 5.0) < 0.5
    assert abs(np.sqrt((middle**2).mean()) - np.sqrt(51.0**2 + 2 * 25)) < 1.5


def test_the_phase_offset_is_the_same_at_every_echo_and_smooth():
    coil = sample_receiver(np.random.default_rng(3), 3.0)
    images = np.ones((2, 40, 40, 40), dtype=np.complex64)
    out = receive(images, coil, grid(), 0.0, np.random.default_rng(0))
    np.testing.assert_allclose(out[0], out[1])
    step = np.angle(out[0, 1:] * out[0, :-1].conj())
    assert np.abs(step).max() < 0.2
    assert np.ptp(np.abs(out[0])) > 0.02


def test_fast_noise_is_gaussian_and_alike_in_both_parts():
    n = 400_000
    image = np.full((2, n // 2), 3 - 2j, dtype=np.complex64)
    add_noise(image, 5.0, np.random.default_rng(4))
    noise = (image.reshape(-1) - np.complex64(3 - 2j)) / 5.0
    real, imaginary = noise.real.astype(float), noise.imag.astype(float)
    for part in (real, imaginary):
        assert stats.kstest(part, "norm").pvalue > 0.01
        assert abs(part.mean()) < 4 / np.sqrt(n)
        assert abs(part.var() - 1) < 4 * np.sqrt(2 / n)
        assert abs((part**4).mean() - 3) < 4 * np.sqrt(96 / n)
        assert 4.2 < np.abs(part).max() < 6
        assert abs(np.corrcoef(part[1:], part[:-1])[0, 1]) < 4 / np.sqrt(n)
    assert abs(np.corrcoef(real, imaginary)[0, 1]) < 4 / np.sqrt(n)
    assert abs(np.corrcoef(real**2, imaginary**2)[0, 1]) < 4 / np.sqrt(n)
    again = np.full((2, n // 2), 3 - 2j, dtype=np.complex64)
    add_noise(again, 5.0, np.random.default_rng(4))
    np.testing.assert_array_equal(again, image)


def test_a_coil_s_gain_is_made_of_the_solid_harmonics():
    affine = np.array([[2.0, 0, 0.3, -30], [0, 2.5, 0, -20], [-0.3, 0, 3.0, -25], [0, 0, 0, 1]])
    slanted = Grid((21, 17, 15), affine)
    places = slanted.to_mm(np.stack(np.indices(slanted.shape), -1).reshape(-1, 3))
    terms = shim_terms(places)
    rng = np.random.default_rng(0)
    coil = Receiver(log_gain=rng.normal(0, 0.2, 9), offset_rad=rng.normal(0, 2, 9))
    rim = 0.25 * np.minimum((places**2).sum(axis=1) / 6400, 2)
    exact = np.exp(terms @ coil.log_gain + rim + 1j * terms @ coil.offset_rad)
    np.testing.assert_allclose(coil_gain(coil, slanted).ravel(), exact, rtol=1e-4)
