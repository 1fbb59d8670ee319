import numpy as np
import pytest

from petechia.core.units import hz_per_ppm, radians_per_ppm, wrap
from petechia.errors import InputError


@pytest.mark.parametrize(("b0_t", "hz"), [(1.5, 63.866), (3.0, 127.732), (7.0, 298.042)])
def test_one_ppm_in_hertz(b0_t, hz):
    assert hz_per_ppm(b0_t) == pytest.approx(hz, abs=5e-4)
    assert radians_per_ppm(b0_t, 0.02) == pytest.approx(2 * np.pi * hz * 0.02, rel=1e-5)


def test_wrapping_takes_whole_turns_off():
    phase = np.random.default_rng(0).uniform(-40, 40, 5000)
    out = wrap(phase)
    assert out.dtype == np.float32
    assert out.min() >= -np.pi - 1e-6
    assert out.max() < np.pi + 1e-6
    turns = (phase - out) / (2 * np.pi)
    np.testing.assert_allclose(turns, np.round(turns), atol=1e-6)


def test_messages_end_their_sentences_once():
    assert str(InputError("nothing here.", where="a", mend="Look.")) == "a: nothing here. Look."
    assert str(InputError("nothing here", where="a", mend="Look.")) == "a: nothing here. Look."
