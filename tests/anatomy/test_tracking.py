"""A tube is followed to its length, whatever its direction; a ball and a sheet are not."""

import numpy as np
import pytest

from petechia.anatomy.tracking import TrackParams, track_veins
from petechia.core.grid import Grid
from petechia.errors import ParameterError

GRID = Grid((45, 49, 31), np.diag([0.8, 0.8, 1.2, 1.0]))
EVERYWHERE = np.ones(GRID.shape, dtype=bool)


def places(grid=GRID):
    axes = [(np.arange(n) - n // 2) * d for n, d in zip(grid.shape, grid.spacing_mm, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


def soft(distance_mm, radius_mm=1.0):
    return np.clip((radius_mm - distance_mm) / 0.8 + 0.5, 0, 1).astype(np.float32)


def rod(direction, length_mm, grid=GRID, at=(0.0, 0.0, 0.0)):
    unit = np.asarray(direction) / np.linalg.norm(direction)
    p = places(grid) - np.asarray(at)
    along = p @ unit
    beyond = np.maximum(np.abs(along) - length_mm / 2, 0)
    away = np.linalg.norm(p - along[..., None] * unit, axis=-1)
    return soft(np.hypot(away, beyond))


def noisy(volume, seed=0):
    return volume + np.random.default_rng(seed).normal(0, 0.02, volume.shape).astype(np.float32)


def length_of(volume, grid=GRID):
    """Median over the core: what most voxels of the vein are told."""
    mask = np.ones(grid.shape, dtype=bool)
    found = track_veins(noisy(0.4 * volume), None, mask, grid).length_mm
    return float(np.median(found[volume > 0.9]))


@pytest.mark.parametrize("direction", [(1, 0, 0), (0, 0, 1), (1, 1, 0), (1, 2, 1.5), (-1, 1, 2)])
@pytest.mark.parametrize("length_mm", [12.0, 20.0])
def test_a_tube_oblique_to_the_grid_is_followed_to_its_length(direction, length_mm):
    whole = length_mm + 2.0  # with its round ends
    assert length_of(rod(direction, length_mm)) == pytest.approx(whole + 1.5, abs=2.5)


def test_a_ball_is_hardly_followed():
    ball = soft(np.linalg.norm(places(), axis=-1), 1.6)
    assert length_of(ball) < 7.0  # 3.2 mm, and as much where it fades


def test_a_sheet_is_no_vein():
    sheet = soft(np.abs(places()[..., 0]))
    found = track_veins(noisy(0.4 * sheet), None, EVERYWHERE, GRID).length_mm
    assert np.mean(found[sheet > 0.9] > 8) < 0.02


def test_short_gaps_are_crossed_and_long_ones_are_not():
    whole = rod((0, 1, 0), 24.0)
    y = places()[..., 1]
    short, long = (np.where(np.abs(y - 4.0) < gap / 2, 0, whole) for gap in (1.0, 6.0))
    assert length_of(short) > 23.0
    assert length_of(long) < 20.0  # the longer piece has 13 mm


def test_a_vein_cut_across_goes_on_above_and_below():
    """Dark dots in every thick slice, each beside the last, are one vein."""
    thick = Grid((41, 41, 13), np.diag([0.8, 0.8, 3.0, 1.0]))
    vein, ball = rod((0.5, 0, 1), 24.0, thick), soft(np.linalg.norm(places(thick), axis=-1), 1.6)
    assert length_of(vein, thick) > 15.0
    assert length_of(ball, thick) < 8.0


def test_dark_in_swi_is_as_bright_in_chi():
    chi = noisy(0.4 * rod((1, 1, 1), 16.0))
    a, b = track_veins(chi, None, EVERYWHERE, GRID), track_veins(None, -chi, EVERYWHERE, GRID)
    np.testing.assert_array_equal(a.length_mm, b.length_mm)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_flips_change_nothing(axis):
    chi = noisy(0.4 * rod((1, 2, 1), 18.0))
    straight = track_veins(chi, None, EVERYWHERE, GRID)
    flipped = track_veins(np.flip(chi, axis).copy(), None, EVERYWHERE, GRID)
    back = np.flip(flipped.length_mm, axis)
    vein = rod((1, 2, 1), 18.0) > 0.9
    assert np.median(np.abs(back - straight.length_mm)[vein]) < 1.0
    np.testing.assert_allclose(np.flip(flipped.likeness, axis), straight.likeness, atol=1e-4)


def test_a_quarter_turn_changes_nothing():
    chi = noisy(0.4 * rod((1, 2, 1), 18.0))
    turned_grid = Grid((49, 45, 31), np.diag([0.8, 0.8, 1.2, 1.0]))
    straight = track_veins(chi, None, EVERYWHERE, GRID).length_mm
    turned = track_veins(np.rot90(chi).copy(), None, np.rot90(EVERYWHERE), turned_grid).length_mm
    vein = rod((1, 2, 1), 18.0) > 0.9
    assert np.median(np.abs(np.rot90(turned, -1) - straight)[vein]) < 1.0


def test_an_empty_mask_and_a_constant_give_no_veins():
    chi = rod((1, 0, 0), 12.0)
    assert not track_veins(chi, None, ~EVERYWHERE, GRID).length_mm.any()
    assert not track_veins(np.ones_like(chi), None, EVERYWHERE, GRID).length_mm.any()


@pytest.mark.parametrize("bad", [{"keep": 0.5}, {"bend_deg": 90.0}, {"longest_mm": 0.0}])
def test_settings_that_cannot_be_are_refused(bad):
    with pytest.raises(ParameterError, match="TrackParams"):
        TrackParams(**bad)
