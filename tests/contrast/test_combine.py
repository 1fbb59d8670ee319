import numpy as np
import pytest

from petechia.contrast.combine import combine_highpass, combine_magnitude
from petechia.errors import InputError, ParameterError

TE_S = (0.006, 0.012, 0.018, 0.024)
SHAPE = (5, 6, 7)


def echoes(seed: int = 0) -> np.ndarray:
    s0 = 100 * np.random.default_rng(seed).random(SHAPE) + 20
    return (s0 * np.exp(-np.multiply.outer(TE_S, np.full(SHAPE, 30.0)))).astype(np.float32)


def test_magnitudes_add_in_squares():
    both = np.stack([np.full(SHAPE, 3.0), np.full(SHAPE, 4.0)])
    combined = combine_magnitude(both, (0.01, 0.02))
    assert combined.dtype == np.float32
    np.testing.assert_allclose(combined, 5.0)


def test_one_echo_is_itself():
    one = echoes()[:1]
    np.testing.assert_allclose(combine_magnitude(one, TE_S[:1]), one[0], rtol=1e-6)
    phase = np.random.default_rng(0).uniform(-3, 3, (1, *SHAPE))
    np.testing.assert_allclose(combine_highpass(phase, one, TE_S[:1]), phase[0], rtol=1e-5)


@pytest.mark.parametrize("reading", [None, 0.018, 0.03])
def test_a_steady_frequency_is_read_at_the_asked_time(reading):
    rate = np.random.default_rng(1).uniform(-60, 60, SHAPE)
    phase = np.multiply.outer(TE_S, rate)
    combined = combine_highpass(phase, echoes(), TE_S, reading)
    np.testing.assert_allclose(combined, rate * (reading or TE_S[-1]), rtol=1e-4, atol=1e-6)


def test_noise_is_the_least_any_weights_can_give():
    """Phase noise is 1 / |S|: the spread is that of weighted least squares."""
    rng = np.random.default_rng(2)
    shape = (40, 40, 40)
    size = 20 * np.exp(-30 * np.asarray(TE_S))
    magnitude = size[:, None, None, None] * np.ones((4, *shape))
    noise = rng.standard_normal((4, *shape)) / magnitude
    combined = combine_highpass(noise, magnitude, TE_S)
    least = TE_S[-1] / np.sqrt(np.sum((size * TE_S) ** 2))
    assert np.std(combined) == pytest.approx(least, rel=0.02)
    assert np.std(combined) < np.std(noise[-1])


def test_no_signal_no_phase_and_any_unit():
    magnitude = echoes()
    magnitude[:, 0, 0, 0] = 0
    phase = np.ones((4, *SHAPE))
    combined = combine_highpass(phase, magnitude, TE_S)
    assert combined[0, 0, 0] == 0
    np.testing.assert_allclose(
        combine_highpass(phase, 1e-18 * magnitude, TE_S), combined, rtol=1e-4
    )
    assert not combine_highpass(phase, 0 * magnitude, TE_S).any()


def test_bad_input_is_named():
    magnitude = echoes()
    with pytest.raises(InputError, match=r"magnitude: shape \(5, 6, 7\) is not"):
        combine_magnitude(magnitude[0], TE_S)
    with pytest.raises(ParameterError, match="3 echo times"):
        combine_magnitude(magnitude, TE_S[:3])
    with pytest.raises(InputError, match="highpass_rad: shape"):
        combine_highpass(magnitude[..., 1:], magnitude, TE_S)
    with pytest.raises(ParameterError, match="reading_te_s: 20 s"):
        combine_highpass(magnitude, magnitude, TE_S, 20)
