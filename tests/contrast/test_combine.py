import numpy as np
import pytest

from petechia.contrast.combine import combine_magnitude
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


def test_bad_input_is_named():
    magnitude = echoes()
    with pytest.raises(InputError, match=r"magnitude: shape \(5, 6, 7\) is not"):
        combine_magnitude(magnitude[0], TE_S)
    with pytest.raises(ParameterError, match="3 echo times"):
        combine_magnitude(magnitude, TE_S[:3])
    magnitude[0, 0, 0, 0] = np.nan
    with pytest.raises(InputError, match="magnitude: 1 of 840 voxels are not finite"):
        combine_magnitude(magnitude, TE_S)
