"""Gradients across a voxel: the closed forms of a k-space window and of a slice."""

import numpy as np
import pytest

from petechia.contrast.relaxation.arlo import arlo
from petechia.contrast.relaxation.nonlinear import NonlinearParams, nonlinear
from petechia.core.grid import Grid
from petechia.core.units import hz_per_ppm

TE_S = (0.004, 0.008, 0.012, 0.016, 0.020)
RATE, FINE, N = 25.0, 16, 64


def gradient_echo(hz_per_voxel: float, te_s: float, encoded: bool) -> np.ndarray:
    """Magnitude of N voxels of a uniform bar in a linear field, by summing fine points.

    Encoded: the central N frequencies of the fine line. Sliced: the mean over each slice.
    """
    place = (np.arange(N * FINE) + 0.5) / FINE - 0.5  # in voxels
    middle = (N - 1) / 2
    bar = 0.5 * (np.tanh((place - 8) / 3) - np.tanh((place - N + 9) / 3))
    signal = bar * np.exp(2j * np.pi * hz_per_voxel * (place - middle) * te_s - RATE * te_s)
    if not encoded:
        return np.abs(signal.reshape(N, FINE).mean(axis=1))
    spectrum = np.fft.fftshift(np.fft.fft(signal))
    centre = N * FINE // 2
    return np.abs(np.fft.ifft(np.fft.ifftshift(spectrum[centre - N // 2 : centre + N // 2]))) / FINE


def scan(hz_per_voxel: float, encoded: bool) -> tuple[np.ndarray, np.ndarray, Grid]:
    """Echoes (E, 3, 3, N) and the field [ppm] of such a bar along the slice axis."""
    grid = Grid((3, 3, N), np.diag([1.0, 1.0, 2.0, 1.0]))
    lines = np.stack([gradient_echo(hz_per_voxel, te, encoded) for te in TE_S])
    magnitude = np.broadcast_to(lines[:, None, None, :], (len(TE_S), 3, 3, N))
    field = (hz_per_voxel * np.arange(N) + 100) / hz_per_ppm(3.0)
    return magnitude.astype(np.float32), np.broadcast_to(field, grid.shape).astype("f4"), grid


def rate_of(hz_per_voxel: float, kind: str, **settings) -> float:
    magnitude, field, grid = scan(hz_per_voxel, kind == "3D")
    r2star, _ = nonlinear(magnitude, TE_S, 0.0, field, 3.0, kind, grid, NonlinearParams(**settings))
    return float(r2star[1, 1, N // 2])


@pytest.mark.parametrize("cycles", [0.2, 0.5, 0.8])
def test_a_slice_fades_as_a_sinc(cycles):
    """What the simulated line does is the closed form."""
    hz, te = cycles / TE_S[-1], TE_S[-1]
    seen = gradient_echo(hz, te, encoded=False)[N // 2]
    assert seen == pytest.approx(np.sinc(cycles) * np.exp(-RATE * te), rel=5e-3)


def test_an_encoded_axis_keeps_its_signal_until_half_a_cycle():
    whole = np.exp(-RATE * TE_S[-1])
    for cycles, left in ((0.2, 1.0), (0.4, 1.0), (0.6, 0.0), (0.8, 0.0)):
        seen = gradient_echo(cycles / TE_S[-1], TE_S[-1], encoded=True)[N // 2]
        assert seen / whole == pytest.approx(left, abs=0.05)


@pytest.mark.parametrize("kind", ["2D", "3D"])
@pytest.mark.parametrize("hz", [0.0, 5.0, 15.0, 22.0, 30.0, 40.0, -30.0])
def test_the_decay_comes_back(kind, hz):
    assert rate_of(hz, kind) == pytest.approx(RATE, rel=0.02)


def test_without_the_field_a_gradient_is_taken_for_decay():
    for kind in ("2D", "3D"):
        assert rate_of(30.0, kind, dephasing=False) > 1.5 * RATE
        magnitude, _, grid = scan(30.0, kind == "3D")
        assert arlo(magnitude, TE_S, grid)[0][1, 1, N // 2] > 1.5 * RATE


def test_two_echoes_count_whatever_the_field():
    """Two hundred hertz kill all but nothing is left out of the first two."""
    field = np.zeros((3, 3, 9), np.float32)
    field[:] = 200 / hz_per_ppm(3.0) * (np.arange(9) + 1)
    magnitude = np.exp(-np.multiply.outer(TE_S, np.full(field.shape, 60.0))).astype(np.float32)
    magnitude[2:] *= 0.01
    found, _ = nonlinear(magnitude, TE_S, 0.0, field, 3.0, "3D", Grid(field.shape))
    np.testing.assert_allclose(found, 60, rtol=1e-3)


def test_an_unknown_field_makes_no_gradient():
    """0 is not known: the step from the brain to the 0 around it is no field."""
    field = np.zeros((5, 5, 5), np.float32)
    field[2, 2, 2] = 3.0
    magnitude = np.exp(-np.multiply.outer(TE_S, np.full(field.shape, 60.0))).astype(np.float32)
    magnitude[4] *= 0.5
    grid = Grid(field.shape)
    with_field, _ = nonlinear(magnitude, TE_S, 0.0, field, 3.0, "3D", grid)
    without, _ = nonlinear(magnitude, TE_S, 0.0, None, 3.0, "3D", grid)
    np.testing.assert_array_equal(with_field, without)
