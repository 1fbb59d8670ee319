import numpy as np
import pytest

from petechia.contrast.weighting.swi import SwiParams, swi
from petechia.core.grid import Grid
from petechia.errors import ParameterError

PHASE = np.array([-4.0, -np.pi, -1.0, 0.0, np.pi / 4, np.pi / 2, np.pi, 4.0], np.float32)
GRID = Grid((8, 1, 1))
ONE = np.full(GRID.shape, 10.0, np.float32)


def weighted(**settings) -> np.ndarray:
    return swi(ONE, PHASE[:, None, None], GRID, SwiParams(**settings))[:, 0, 0]


def test_the_mask_falls_from_one_at_zero_to_nothing_at_pi():
    expected = 10 * np.array([1, 1, 1, 1, 0.75, 0.5, 0, 0]) ** 4
    np.testing.assert_allclose(weighted(), expected, atol=1e-5)


def test_the_other_handedness_is_the_mirror():
    mirrored = swi(ONE, -PHASE[:, None, None], GRID, SwiParams(paramagnetic_phase_sign=-1))
    np.testing.assert_array_equal(mirrored[:, 0, 0], weighted())


def test_the_negative_mask_darkens_negative_phase_alone():
    flipped = swi(ONE, -PHASE[:, None, None], GRID, SwiParams(mask="negative"))
    np.testing.assert_array_equal(flipped[:, 0, 0], weighted())
    np.testing.assert_array_equal(weighted(mask="negative"), weighted(paramagnetic_phase_sign=-1))


def test_the_triangular_mask_darkens_both_and_knows_no_handedness():
    found = weighted(mask="triangular")
    np.testing.assert_allclose(found, np.minimum(weighted(), weighted(mask="negative")), atol=1e-5)
    np.testing.assert_array_equal(found, weighted(mask="triangular", paramagnetic_phase_sign=-1))


def test_a_vein_along_the_field_is_dark_and_one_across_is_bright():
    """The field inside a cylinder is (chi / 6) (3 cos^2 - 1): +chi/3 along, -chi/6 across."""
    turn = 2 * np.pi * 127.73 * 0.4 * 0.020  # 0.4 ppm at 3 T and 20 ms
    phase = np.array([turn / 3, -turn / 6], np.float32)[:, None, None]
    grid = Grid((2, 1, 1))
    along, across = swi(np.ones(grid.shape), phase, grid)[:, 0, 0]
    assert along == pytest.approx((1 - turn / 3 / np.pi) ** 4, rel=1e-5)
    assert across == 1
    calcium, _ = swi(np.ones(grid.shape), -phase, grid, SwiParams(mask="negative"))[:, 0, 0]
    assert calcium == pytest.approx(along)


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0, 4.0, 5.5])
def test_any_power(power):
    expected = 10 * np.array([1, 1, 1, 1, 0.75, 0.5, 0, 0]) ** power
    np.testing.assert_allclose(weighted(power=power), expected, atol=1e-5)


def test_bad_settings_are_named():
    with pytest.raises(ParameterError, match=r"SwiParams.power: -1 is outside"):
        SwiParams(power=-1)
    with pytest.raises(ParameterError, match=r"paramagnetic_phase_sign: 0 is neither"):
        SwiParams(paramagnetic_phase_sign=0)
    with pytest.raises(ParameterError, match=r"SwiParams.mask: 'both' .* triangular"):
        SwiParams(mask="both")
