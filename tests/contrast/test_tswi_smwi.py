"""Images weighted with susceptibility: closed forms, and what phase cannot do."""

import numpy as np
import pytest

from petechia.contrast.weighting.smwi import SmwiParams, smwi
from petechia.contrast.weighting.swi import swi
from petechia.contrast.weighting.tswi import TswiParams, tswi
from petechia.core.grid import Grid
from petechia.core.kernels import forward_field
from petechia.errors import ParameterError

GRID = Grid.from_spacing((21, 21, 21), (1.0, 1.0, 1.0))
CHI = np.linspace(-1.5, 1.5, GRID.size).reshape(GRID.shape).astype(np.float32)


def test_true_swi_in_closed_form():
    image = tswi(np.full(GRID.shape, 7.0), CHI, GRID, TswiParams(low_ppm=0.1, high_ppm=0.5))
    np.testing.assert_allclose(image, 7 * np.clip((0.5 - CHI) / 0.4, 0, 1) ** 2, atol=1e-4)
    odd = tswi(np.full(GRID.shape, 7.0), CHI, GRID, TswiParams(power=3))
    np.testing.assert_allclose(odd, 7 * np.clip(1 - CHI / 0.45, 0, 1) ** 3, atol=1e-4)


@pytest.mark.parametrize(("sources", "sign"), [("paramagnetic", 1), ("diamagnetic", -1)])
def test_smwi_in_closed_form(sources, sign):
    echoes = np.stack([np.full(GRID.shape, 3.0), np.full(GRID.shape, 4.0)])
    image = smwi(echoes, (0.01, 0.02), CHI, GRID, SmwiParams(sources=sources))
    np.testing.assert_allclose(image, 5 * np.clip(1 - sign * CHI, 0, 1) ** 4, atol=1e-4)


def test_blood_is_dark_and_calcium_is_not_and_the_other_way_round():
    chi = np.zeros(GRID.shape, np.float32)
    chi[5, 10, 10], chi[15, 10, 10] = 0.8, -0.8
    echoes = np.ones((1, *GRID.shape), np.float32)
    blood = smwi(echoes, (0.02,), chi, GRID)
    calcium = smwi(echoes, (0.02,), chi, GRID, SmwiParams(sources="diamagnetic"))
    assert blood[5, 10, 10] < 0.01 < 0.99 < blood[15, 10, 10]
    assert calcium[15, 10, 10] < 0.01 < 0.99 < calcium[5, 10, 10]


def test_a_vein_across_the_field_is_dark_in_true_swi_only():
    """Its field has the other sign, so the phase mask lets it through."""
    x, _, z = np.indices(GRID.shape) - 10.0
    chi = (0.4 * (np.hypot(x, z) < 2)).astype(np.float32)
    phase = (2 * np.pi * 127.7 * 0.02 * forward_field(chi, GRID, 20)).astype(np.float32)
    ones = np.ones(GRID.shape, np.float32)
    assert tswi(ones, chi, GRID)[10, 10, 10] < 0.05
    assert swi(ones, np.clip(phase, -np.pi, np.pi), GRID)[10, 10, 10] > 0.9


def test_settings_that_make_no_sense_are_named():
    with pytest.raises(ParameterError, match=r"TswiParams\.high_ppm.*not above low_ppm"):
        TswiParams(low_ppm=0.5, high_ppm=0.4)
    with pytest.raises(ParameterError, match=r"'iron' are no sources.*paramagnetic or diamagnetic"):
        SmwiParams(sources="iron")
    with pytest.raises(ParameterError, match=r"SmwiParams\.threshold_ppm"):
        SmwiParams(threshold_ppm=0.0)
