import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.core.units import radians_per_ppm, wrap
from petechia.errors import InputError, ParameterError
from petechia.phase.fieldmap.complex_fit import ComplexFitParams, complex_fit
from petechia.phase.fieldmap.weighted import weighted

GRID = Grid((16, 15, 9))
MASK = np.ones(GRID.shape, bool)
B0 = 3.0
TE_S = (0.004, 0.011, 0.017, 0.026)
PER_PPM = radians_per_ppm(B0, 1.0)


def signal(seed=0, noise=0.0, late=1.0):
    rng = np.random.default_rng(seed)
    field = rng.normal(0, 0.1, GRID.shape)
    te = np.asarray(TE_S)[:, None, None, None]
    image = np.exp(1j * PER_PPM * te * field - te / 0.03)
    image[-1] *= late
    image = image + noise * (rng.normal(size=image.shape) + 1j * rng.normal(size=image.shape))
    return field, image


def inputs(image, true_rad):
    phase = np.angle(image)
    unwrapped = true_rad + wrap(phase - true_rad)
    return unwrapped.astype("f4"), phase.astype("f4"), np.abs(image).astype("f4")


def turned(field):
    return PER_PPM * np.asarray(TE_S)[:, None, None, None] * field


def test_whole_turns_of_a_late_echo_do_not_matter():
    field, image = signal(noise=0.01)
    unwrapped, phase, magnitude = inputs(image, turned(field))
    clean, _, _ = complex_fit(unwrapped, phase, magnitude, TE_S, B0, MASK, GRID)
    rng = np.random.default_rng(1)
    wild = (phase + 2 * np.pi * rng.integers(-3, 4, phase.shape)).astype("f4")
    found, _, _ = complex_fit(unwrapped, wild, magnitude, TE_S, B0, MASK, GRID)
    np.testing.assert_allclose(found, clean, atol=2e-5)


def test_the_sum_over_complex_echoes_is_at_its_least():
    """No other field near it makes |S|^2 |exp(i phi) - exp(i omega t)|^2 smaller."""
    field, image = signal(noise=0.08)
    unwrapped, phase, magnitude = inputs(image, turned(field))
    params = ComplexFitParams(shared_mm=0.0, trusted=1e6)
    found, _, residual = complex_fit(unwrapped, phase, magnitude, TE_S, B0, MASK, GRID, params)

    def misfit(f):
        return (magnitude**2 * (2 - 2 * np.cos(phase - turned(f)))).sum(0)

    least = misfit(found.astype(float))
    for step in (-0.003, 0.003):
        assert np.mean(misfit(found + step) > least) > 0.999
    weight = (magnitude**2).sum(0)
    np.testing.assert_allclose(residual, np.sqrt(least / weight), atol=2e-4)


def test_unwrapping_that_is_not_exact_is_mended():
    field, image = signal(noise=0.005)
    unwrapped, phase, magnitude = inputs(image, turned(field))
    i = np.arange(GRID.shape[0])[:, None, None] / GRID.shape[0]
    te = np.asarray(TE_S)[:, None, None, None]
    bent = (unwrapped + 40 * te * (i - 0.5)).astype("f4")
    error = [
        np.abs(run(bent)[0] - field).mean()
        for run in (
            lambda u: weighted(u, magnitude, TE_S, B0, MASK, GRID),
            lambda u: complex_fit(u, phase, magnitude, TE_S, B0, MASK, GRID),
        )
    ]
    assert error[1] < 0.1 * error[0]


def test_an_offset_of_each_voxel_is_fitted_when_asked():
    field, image = signal()
    start = np.random.default_rng(2).uniform(-1, 1, GRID.shape)
    image = image * np.exp(1j * start)
    unwrapped, phase, magnitude = inputs(image, turned(field) + start)
    params = ComplexFitParams(fit_offset=True)
    found, _, _ = complex_fit(unwrapped, phase, magnitude, TE_S, B0, MASK, GRID, params)
    np.testing.assert_allclose(found, field, atol=2e-5)


def test_phase_of_other_echoes_is_named():
    field, image = signal()
    unwrapped, phase, magnitude = inputs(image, turned(field))
    with pytest.raises(InputError, match="3 images of phase, 4 of unwrapped"):
        complex_fit(unwrapped, phase[1:], magnitude, TE_S, B0, MASK, GRID)


@pytest.mark.parametrize(("name", "value"), [("shared_mm", -1.0), ("trusted", 0.0)])
def test_settings_out_of_range_are_named(name, value):
    with pytest.raises(ParameterError, match=f"ComplexFitParams.{name}"):
        ComplexFitParams(**{name: value})
