import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.core.units import wrap
from petechia.phase.unwrap.laplacian import laplacian

TE = (0.006, 0.013, 0.020)


def test_exact_on_a_whole_volume_with_gradients_below_half_a_turn(scan):
    truth = 2 * scan.true_rad[2:]
    steepest = max(np.abs(np.diff(truth[0], axis=a)).max() for a in range(3))
    assert 1.0 < steepest < np.pi
    assert np.ptp(truth) > 2 * np.pi
    out = laplacian(wrap(truth), TE[:1], np.ones(scan.grid.shape, bool), scan.grid)
    away = out - truth
    assert np.ptp(away) < 2e-3
    assert np.isclose(np.exp(1j * away.mean()), 1, atol=1e-3)


def test_what_a_mask_loses_is_harmonic(axes_mm):
    """A source well inside keeps its Laplacian; only a smooth harmonic field is lost."""
    grid = Grid.from_spacing((41, 39, 37), 1.0)
    x, y, z = axes_mm(grid)
    truth = (8 * np.exp(-(x**2 + y**2 + z**2) / 18) + 0.25 * x)[None].astype(np.float32)
    mask = x**2 + y**2 + z**2 < 16**2
    away = (laplacian(wrap(truth), TE[:1], mask, grid) - truth)[0]
    inner = x**2 + y**2 + z**2 < 12**2
    bend = sum(np.roll(away, s, a) for a in range(3) for s in (-1, 1)) - 6 * away
    source = sum(np.roll(truth[0], s, a) for a in range(3) for s in (-1, 1)) - 6 * truth[0]
    assert np.abs(bend[inner]).max() < 1e-3 * np.abs(source[inner]).max()


@pytest.mark.parametrize("offset_ppm", [0.0, 0.1, 0.3, -0.5, 0.9])
def test_a_field_far_from_zero_keeps_its_line_through_the_echoes(make_scan, offset_ppm):
    """Whole turns of each echo by itself would bend it, here by up to 1.5 turns."""
    smooth = 0.15 * make_scan(te_s=TE, noise=0).field_ppm
    scan = make_scan(te_s=TE, noise=0, field_ppm=smooth + offset_ppm)
    out = laplacian(scan.phase_rad, TE, np.ones(scan.grid.shape, bool), scan.grid)
    np.testing.assert_allclose(out, scan.true_rad, atol=3e-3)
    inside = laplacian(scan.phase_rad, TE, scan.mask, scan.grid)[:, scan.mask]
    means = inside.mean(axis=1) / scan.true_rad[:, scan.mask].mean(axis=1)
    np.testing.assert_allclose(means, 1, atol=0.2)


def test_spacing_is_respected(axes_mm):
    grid = Grid.from_spacing((21, 19, 17), (0.5, 0.8, 3.0))
    x, y, z = axes_mm(grid)
    truth = (0.3 * x + 0.15 * y * y - 0.02 * z * z)[None].astype(np.float32)
    out = laplacian(wrap(truth), TE[:1], np.ones(grid.shape, bool), grid)
    assert np.ptp(out - truth) < 2e-3
