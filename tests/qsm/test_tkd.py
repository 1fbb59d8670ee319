import numpy as np
import pytest

from petechia.core.fourier import padded_grid
from petechia.core.grid import Grid
from petechia.core.kernels import dipole_kernel, forward_field
from petechia.errors import ParameterError
from petechia.qsm.inversion.tkd import TkdParams, thresholded_inverse, tkd


def test_division_is_exact_where_the_kernel_is_large():
    kernel = dipole_kernel(Grid((12, 13, 14)))
    inverse = thresholded_inverse(kernel, 0.2)
    large = np.abs(kernel) > 0.2
    np.testing.assert_allclose((kernel * inverse)[large], 1, rtol=1e-5)
    assert np.abs(inverse).max() <= 5.0001
    assert np.all(inverse * kernel >= 0)
    assert inverse[0, 0, 0] == 0


def test_a_low_threshold_inverts_the_forward_model():
    grid = Grid((24, 25, 27))  # sizes the transform takes as they are: periodic, no cut
    assert padded_grid(grid).shape == grid.shape
    chi = np.zeros(grid.shape, np.float32)
    chi[9:14, 10:15, 11:16] = 0.3
    field = forward_field(chi, grid)
    params = TkdParams(threshold=1e-3, corrected=False, pad_mm=0)
    found = tkd(field, np.ones(grid.shape, bool), grid, params)
    assert np.abs(found - (chi - chi.mean())).max() < 0.02 * 0.3


def test_the_correction_restores_the_mean_contrast(grid, sphere):
    field = forward_field(sphere, grid, 40)
    mask = np.ones(grid.shape, bool)
    plain = tkd(field, mask, grid, TkdParams(corrected=False))
    corrected = tkd(field, mask, grid)
    ratio = corrected[sphere > 0].mean() / plain[sphere > 0].mean()
    assert 1.1 < ratio < 1.5
    assert corrected[sphere > 0].mean() == pytest.approx(0.5, rel=0.15)
    assert plain[sphere > 0].mean() < 0.9 * 0.5


def test_a_higher_threshold_has_less_noise():
    grid = Grid((30, 30, 30))
    noise = np.random.default_rng(0).standard_normal(grid.shape).astype(np.float32)
    mask = np.ones(grid.shape, bool)
    spread = [
        tkd(noise, mask, grid, TkdParams(threshold=t, corrected=False)).std()
        for t in (0.1, 0.2, 0.3)
    ]
    assert spread[0] > spread[1] > spread[2]


def test_bad_settings_are_named():
    with pytest.raises(ParameterError, match=r"TkdParams.threshold: 0.7 is outside"):
        TkdParams(threshold=0.7)
    with pytest.raises(ParameterError, match=r"TkdParams.pad_mm"):
        TkdParams(pad_mm=-1)
