"""Regularised spherical means against closed forms."""

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.errors import ParameterError, UnfitError
from petechia.phase.background.resharp import ResharpParams, resharp

GRID = Grid.from_spacing((43, 40, 37), (1.2, 1.2, 1.5))


def places_mm():
    index = np.indices(GRID.shape) - (np.array(GRID.shape)[:, None, None, None] - 1) / 2
    return index * GRID.spacing_mm[:, None, None, None]


def ball(radius_mm=21.0):
    return np.linalg.norm(places_mm(), axis=0) <= radius_mm


def test_what_is_lost_at_the_edge_is_the_radius():
    mask = ball()
    _, kept = resharp(mask.astype(np.float32), mask, GRID, ResharpParams(radius_mm=5.0))
    r = np.linalg.norm(places_mm(), axis=0)
    assert kept[r < 21.0 - 5.0 - 1.5].all()
    assert not kept[r > 21.0 - 5.0 + 1.5].any()


def test_the_regularisation_shrinks_the_local_field():
    mask = ball()
    x, y, z = places_mm()
    r = np.maximum(np.sqrt(x**2 + y**2 + z**2), 1e-6)
    lesion = np.where(r > 2, (2 / r) ** 3 * (3 * (z / r) ** 2 - 1) / 3, 0).astype(np.float32)
    sizes = [
        np.linalg.norm(resharp(lesion * mask, mask, GRID, ResharpParams(strength=s))[0])
        for s in (1e-5, 1e-2, 1.0)
    ]
    assert sizes[0] > sizes[1] > sizes[2] > 0


def test_a_mask_too_thin_for_the_sphere_is_refused():
    mask = np.zeros(GRID.shape, dtype=bool)
    mask[10:30, 10:30, 18:20] = True
    with pytest.raises(UnfitError, match="fits into the mask"):
        resharp(mask.astype(np.float32), mask, GRID)


def test_bad_settings_are_named():
    with pytest.raises(ParameterError, match="radius_mm"):
        ResharpParams(radius_mm=0.0)
