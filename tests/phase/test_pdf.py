"""Projection onto dipole fields against what must come out of it."""

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.core.kernels import forward_field
from petechia.errors import InputError, ParameterError
from petechia.phase.background.pdf import PdfParams, pdf, without_far_sources

GRID = Grid.from_spacing((41, 36, 33), (1.5, 1.5, 1.8), b0_dir=(0.2, 0.3, 0.9))


def ball(radius_vox=13.0):
    index = np.indices(GRID.shape) - (np.array(GRID.shape)[:, None, None, None] - 1) / 2
    return np.linalg.norm(index, axis=0) <= radius_vox


def field_of_sources_outside(mask, seed=0):
    """The field of random sources next to the mask, by the same physics, padded."""
    rng = np.random.default_rng(seed)
    chi = np.where(mask, 0, rng.normal(size=GRID.shape)).astype(np.float32)
    return forward_field(chi, GRID, pad_mm=30.0)


def test_what_sources_outside_can_make_is_taken_away():
    mask = ball()
    field = field_of_sources_outside(mask) * mask
    local, kept = pdf(field, None, mask, GRID, PdfParams(iterations=200, tolerance=1e-4))
    np.testing.assert_array_equal(kept, mask)
    assert np.linalg.norm(local[mask]) < 0.05 * np.linalg.norm(field[mask])


def test_more_steps_take_more_away():
    mask = ball()
    field = field_of_sources_outside(mask) * mask
    left = [
        np.linalg.norm(pdf(field, None, mask, GRID, PdfParams(iterations=n, tolerance=0.0))[0])
        for n in (2, 8, 40)
    ]
    assert left[0] > left[1] > left[2]


def test_a_voxel_without_weight_has_no_say():
    mask = ball()
    field = field_of_sources_outside(mask) * mask
    wrong = field.copy()
    spot = (20, 18, 16)
    wrong[spot] += 50.0
    weights = mask.astype(np.float32)
    weights[spot] = 0.0
    # the polynomial that comes first is not weighted: neither is it moved by one voxel
    one, _ = pdf(field, weights, mask, GRID)
    two, _ = pdf(wrong, weights, mask, GRID)
    away = mask.copy()
    away[spot] = False
    assert np.abs(one - two)[away].max() < 0.5
    assert np.abs(one - two)[away].max() < 0.01 * 50.0
    assert two[spot] > 40.0


def test_harmonic_polynomials_of_second_order_go():
    mask = ball()
    place = GRID.to_mm(np.moveaxis(np.indices(GRID.shape), 0, -1))
    x, y, z = np.moveaxis(place - GRID.to_mm((np.array(GRID.shape) - 1) / 2), -1, 0)
    for term in (1 + 0 * x, x - 3 * z, x * y, y * z, x**2 - y**2, 2 * z**2 - x**2 - y**2):
        left = without_far_sources((term * mask).astype(np.float32), mask, GRID)
        assert np.abs(left).max() < 1e-4 * np.abs(term * mask).max()
    own = (x**2 + y**2 + z**2) * mask  # not harmonic: it has sources inside
    left = without_far_sources(own.astype(np.float32), mask, GRID)
    assert np.std(left[mask]) > 0.3 * np.std(own[mask])


def test_a_flat_mask_still_has_an_answer():
    mask = np.zeros(GRID.shape, dtype=bool)
    mask[8:30, 8:30, 15] = True
    local, _ = pdf(np.where(mask, 0.3, 0).astype(np.float32), None, mask, GRID)
    assert np.abs(local).max() < 0.02


def test_weights_must_not_be_negative():
    mask = ball()
    with pytest.raises(InputError, match="weights"):
        pdf(mask.astype(np.float32), -mask.astype(np.float32), mask, GRID)


def test_bad_settings_are_named():
    with pytest.raises(ParameterError, match="iterations"):
        PdfParams(iterations=0)
