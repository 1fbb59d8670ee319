"""Every relaxation fit: closed-form decays, range, and manners."""

import numpy as np
import pytest

from petechia.contrast.relaxation import METHODS
from petechia.core.grid import Grid
from petechia.errors import GridMismatchError, InputError, ParameterError

GRID = Grid((5, 7, 9), np.diag([0.8, 1.0, 1.7, 1.0]))
TE_S = (0.005, 0.010, 0.015, 0.020, 0.025)


def decay(rate, s0=200.0, te_s=TE_S) -> np.ndarray:
    rate, s0 = np.broadcast_to(rate, GRID.shape), np.broadcast_to(s0, GRID.shape)
    return (s0 * np.exp(-np.multiply.outer(te_s, rate))).astype(np.float32)


def fit(name: str, magnitude, te_s=TE_S, noise_sd=0.0, field_ppm=None, grid=GRID, **settings):
    method = METHODS[name]
    available = {
        "magnitude": magnitude,
        "te_s": te_s,
        "noise_sd": noise_sd,
        "field_ppm": field_ppm,
        "b0_t": 3.0,
        "acquisition_type": "2D",
    }
    return method(available, grid=grid, settings=method.settings(**settings))


def slopes() -> np.ndarray:
    """A field [ppm] that dephases some echoes in part of the volume."""
    i, j, k = np.indices(GRID.shape)
    return (0.002 * i**2 - 0.01 * j + 0.003 * k**2 + 0.5).astype(np.float32)


@pytest.fixture(params=sorted(METHODS))
def name(request) -> str:
    return request.param


def test_a_mono_exponential_comes_back(name):
    rate = np.linspace(5, 100, GRID.size).reshape(GRID.shape)
    s0 = np.linspace(50, 500, GRID.size).reshape(GRID.shape)[::-1]
    r2star, amplitude = fit(name, decay(rate, s0))
    assert r2star.dtype == amplitude.dtype == np.float32
    np.testing.assert_allclose(r2star, rate, rtol=0.002)
    np.testing.assert_allclose(amplitude, s0, rtol=0.002)


def test_the_fastest_decay_it_claims_is_within_a_few_percent(name):
    """At 200/s the signal falls to a third between echoes."""
    r2star, _ = fit(name, decay(200.0))
    np.testing.assert_allclose(r2star, 200.0, rtol=0.01)


def test_noise_spreads_without_bias(name):
    rng = np.random.default_rng(1)
    signal = decay(30.0, 1000.0)
    fits = [
        fit(
            name,
            np.abs(signal + 10 * rng.standard_normal(signal.shape)).astype(np.float32),
            noise_sd=10.0,
        )[0]
        for _ in range(20)
    ]
    assert np.mean(fits) == pytest.approx(30.0, rel=0.01)
    assert 0.1 < np.std(fits) < 3.0


def test_the_unit_of_the_magnitude_is_free(name):
    rng = np.random.default_rng(2)
    signal = decay(40.0) + rng.random((len(TE_S), *GRID.shape)).astype(np.float32)
    r2star, s0 = fit(name, signal, noise_sd=0.3)
    scaled, s0_scaled = fit(name, signal * np.float32(1e-4), noise_sd=0.3e-4)
    np.testing.assert_allclose(scaled, r2star, rtol=1e-4)
    np.testing.assert_allclose(s0_scaled, 1e-4 * s0, rtol=1e-4)


@pytest.mark.parametrize(
    "signal",
    [
        np.zeros((5, *GRID.shape)),
        decay(-20.0),
        decay(0.0),
        decay(1e5),
        np.eye(5)[:, 0, None, None, None] * np.ones((1, *GRID.shape)),
        np.eye(5)[:, 4, None, None, None] * np.ones((1, *GRID.shape)),
        1e-30 * decay(30.0),
        1e15 * decay(30.0),
    ],
    ids=["zero", "rising", "flat", "gone", "first only", "last only", "tiny", "huge"],
)
def test_results_are_finite_and_in_range(name, signal):
    r2star, s0 = fit(name, signal, r2star_max=500.0)
    for result in (r2star, s0):
        assert np.isfinite(result).all()
    assert r2star.min() >= 0
    assert r2star.max() <= 500
    assert s0.min() >= 0
    assert s0.max() <= 10.01 * signal.max()


def test_nothing_in_nothing_out(name):
    for volume in fit(name, np.zeros((5, *GRID.shape)), noise_sd=1.0):
        assert not volume.any()


def test_every_voxel_is_its_own(name):
    signal = decay(30.0)
    signal[:, 2, 3, 4] = decay(90.0)[:, 0, 0, 0]
    r2star, _ = fit(name, signal)
    assert r2star[2, 3, 4] == pytest.approx(90, rel=0.002)
    r2star[2, 3, 4] = 30
    np.testing.assert_allclose(r2star, 30, rtol=0.002)


@pytest.mark.parametrize("axes", [(1, 2, 0), (2, 0, 1), (1, 0, 2)])
def test_it_turns_with_the_volume(name, axes):
    rng = np.random.default_rng(3)
    signal = decay(40.0) + rng.random((5, *GRID.shape)).astype(np.float32)
    shape = tuple(GRID.shape[a] for a in axes)
    turned_grid = Grid(shape, GRID.affine[:, [*axes, 3]])
    straight = fit(name, signal, noise_sd=0.3, field_ppm=slopes())
    echo_axes = (0, *(a + 1 for a in axes))
    turned = fit(name, signal.transpose(echo_axes), noise_sd=0.3,
                 field_ppm=slopes().transpose(axes), grid=turned_grid)  # fmt: skip
    for one, other in zip(straight, turned, strict=True):
        np.testing.assert_allclose(one.transpose(axes), other, rtol=1e-5)


def test_rising_signal_does_not_relax(name):
    assert not fit(name, decay(-20.0))[0].any()


def test_inputs_are_left_alone(name):
    signal, field = decay(30.0), slopes()
    signal.flags.writeable = field.flags.writeable = False
    fit(name, signal, noise_sd=1.0, field_ppm=field)
    np.testing.assert_array_equal(signal, decay(30.0))
    np.testing.assert_array_equal(field, slopes())


def test_bad_input_is_named(name):
    signal = decay(30.0)
    with pytest.raises(GridMismatchError, match="magnitude"):
        fit(name, signal[..., :-1])
    with pytest.raises(ParameterError, match=r"4 echo times .* for 5 images"):
        fit(name, signal, TE_S[:-1])
    with pytest.raises(ParameterError, match="not 1"):
        fit(name, signal[:1], TE_S[:1])
    with pytest.raises(InputError, match=r"magnitude: .* not finite"):
        fit(name, np.where(signal > 0, np.nan, signal))
    with pytest.raises(ParameterError, match="is it phase"):
        fit(name, -signal)
    if "field_ppm" in METHODS[name].needs:
        with pytest.raises(GridMismatchError, match="field_ppm"):
            fit(name, signal, field_ppm=slopes()[1:])
        with pytest.raises(InputError, match=r"field_ppm: .* not finite"):
            fit(name, signal, field_ppm=np.full(GRID.shape, np.nan))
    with pytest.raises(ParameterError, match="seconds"):
        fit(name, signal, tuple(1000 * t for t in TE_S))


def test_the_range_is_checked(name):
    with pytest.raises(ParameterError, match="r2star_max"):
        METHODS[name].settings(r2star_max=0.0)
