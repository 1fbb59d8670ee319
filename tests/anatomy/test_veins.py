"""Tubes are seen as tubes, blobs and sheets are not, in millimetres."""

import numpy as np
import pytest

from petechia.anatomy.veins import vessel_likeness
from petechia.core.grid import Grid
from petechia.errors import InputError

GRID = Grid((41, 45, 27), np.diag([0.8, 0.8, 1.4, 1.0]))


def places():
    axes = [(np.arange(n) - n // 2) * d for n, d in zip(GRID.shape, GRID.spacing_mm, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


def soft(distance_mm, radius_mm):
    return np.clip((radius_mm - distance_mm) / 0.8 + 0.5, 0, 1).astype(np.float32)


def tube(direction):
    unit = np.asarray(direction) / np.linalg.norm(direction)
    p = places()
    return soft(np.linalg.norm(p - (p @ unit)[..., None] * unit, axis=-1), 1.2)


def with_noise(volume):
    return volume + np.random.default_rng(0).normal(0, 0.02, volume.shape).astype(np.float32)


EVERYWHERE = np.ones(GRID.shape, dtype=bool)
CENTRE = tuple(n // 2 for n in GRID.shape)


@pytest.mark.parametrize("direction", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 2, 1.5)])
def test_a_vein_of_any_direction_stands_out(direction):
    chi = with_noise(0.4 * tube(direction))
    seen = vessel_likeness(chi, None, EVERYWHERE, GRID)
    assert seen[CENTRE] > 0.6
    assert np.median(seen[tube(direction) == 0]) < 0.1


def test_a_ball_and_a_sheet_score_low():
    p = places()
    ball = vessel_likeness(
        with_noise(0.8 * soft(np.linalg.norm(p, axis=-1), 1.6)), None, EVERYWHERE, GRID
    )
    sheet = vessel_likeness(with_noise(0.4 * soft(np.abs(p[..., 0]), 1.2)), None, EVERYWHERE, GRID)
    line = vessel_likeness(with_noise(0.4 * tube((0, 0, 1))), None, EVERYWHERE, GRID)
    assert ball[CENTRE] < 0.3 * line[CENTRE]
    assert sheet[CENTRE] < 0.3 * line[CENTRE]


def test_dark_veins_of_swi_equal_bright_ones_of_chi():
    chi = with_noise(0.4 * tube((1, 1, 0)))
    np.testing.assert_array_equal(
        vessel_likeness(chi, None, EVERYWHERE, GRID), vessel_likeness(None, -chi, EVERYWHERE, GRID)
    )


def test_diamagnetic_tubes_are_not_veins():
    chi = with_noise(-0.4 * tube((0, 1, 0)))
    assert vessel_likeness(chi, None, EVERYWHERE, GRID)[CENTRE] < 0.05


def test_the_edge_of_the_mask_is_no_vessel():
    mask = np.linalg.norm(places(), axis=-1) < 13
    chi = with_noise(np.where(mask, 0.3, 0.0))
    seen = vessel_likeness(chi, None, mask, GRID)
    assert not seen[~mask].any()
    assert np.percentile(seen[mask], 90) < 0.2


def test_the_scale_of_the_map_does_not_matter():
    chi = with_noise(0.4 * tube((1, 0, 0)))
    np.testing.assert_allclose(
        vessel_likeness(1000 * chi, None, EVERYWHERE, GRID),
        vessel_likeness(chi, None, EVERYWHERE, GRID),
        atol=2e-3,
    )


def test_an_empty_mask_gives_zeros_and_no_image_is_an_error():
    assert not vessel_likeness(tube((1, 0, 0)), None, ~EVERYWHERE, GRID).any()
    with pytest.raises(InputError, match="neither a susceptibility map nor an SWI"):
        vessel_likeness(None, None, EVERYWHERE, GRID)
