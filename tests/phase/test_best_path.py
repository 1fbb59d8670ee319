"""Best-path and temporal unwrapping where they are special."""

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.core.units import wrap
from petechia.phase.unwrap.best_path import best_path
from petechia.phase.unwrap.temporal import temporal

SHAPE = (24, 26, 22)
GRID = Grid.from_spacing(SHAPE, 1.0)
EVERYWHERE = np.ones(SHAPE, bool)


def ramp(steepness=0.9):
    x, y, z = np.indices(SHAPE)
    true = steepness * x + 0.5 * y - 0.4 * z
    return (true - true.mean()).astype(np.float32)


def test_noise_on_one_side_does_not_reach_the_other():
    """The path goes through what is reliable first; noise comes last."""
    rng = np.random.default_rng(0)
    true = ramp()
    noisy = true.copy()
    noisy[8:14, 8:14, 8:14] = rng.uniform(-np.pi, np.pi, (6, 6, 6))
    out = best_path(wrap(noisy)[None], (0.01,), EVERYWHERE, GRID)[0]
    clean = EVERYWHERE.copy()
    clean[7:15, 7:15, 7:15] = False
    np.testing.assert_allclose((out - true)[clean], (out - true)[0, 0, 0], atol=1e-3)


def test_noise_around_a_residue_line_leaves_the_rest_right():
    rng = np.random.default_rng(1)
    true = ramp(0.6) + rng.normal(0, 0.5, SHAPE).astype(np.float32)
    out = best_path(wrap(true)[None], (0.01,), EVERYWHERE, GRID)[0]
    turns = np.round((out - true) / (2 * np.pi))
    _values, counts = np.unique(turns, return_counts=True)
    assert counts.max() > 0.999 * true.size


def test_later_echoes_take_the_turns_of_the_first():
    te_s = (0.004, 0.009, 0.025)
    field = ramp(1.0) * 5 + 30  # Hz; a mean of 4.7 rad at the last echo
    true = np.stack([2 * np.pi * field * t for t in te_s]).astype(np.float32)
    out = best_path(wrap(true), te_s, EVERYWHERE, GRID)
    np.testing.assert_allclose(out, true, atol=2e-3)


@pytest.mark.parametrize("rate_hz", [-49.0, 20.0, 49.0])
def test_temporal_is_right_up_to_half_a_turn_between_echoes(rate_hz):
    te_s = (0.012, 0.022, 0.037)
    true = np.array([2 * np.pi * rate_hz * t for t in te_s], np.float32)[:, None, None, None]
    true = true * np.ones(SHAPE, np.float32)
    np.testing.assert_allclose(temporal(wrap(true), None, te_s, EVERYWHERE, GRID), true, atol=1e-4)


def test_temporal_takes_a_faster_field_for_the_aliased_one():
    te_s = (0.01, 0.02, 0.03)
    true = np.array([2 * np.pi * 60.0 * t for t in te_s], np.float32)[:, None, None, None]
    out = temporal(wrap(true * np.ones(SHAPE, np.float32)), None, te_s, EVERYWHERE, GRID)
    slow = np.array([2 * np.pi * -40.0 * t for t in te_s])
    np.testing.assert_allclose(out[:, 3, 4, 5], slow, atol=1e-4)


def test_in_temporal_no_voxel_knows_another():
    rng = np.random.default_rng(2)
    phase = rng.uniform(-np.pi, np.pi, (3, *SHAPE)).astype(np.float32)
    te_s = (0.005, 0.011, 0.02)
    before = temporal(phase, None, te_s, EVERYWHERE, GRID)
    phase[:, 5, 6, 7] = 0.3
    after = temporal(phase, None, te_s, EVERYWHERE, GRID)
    changed = np.argwhere((before != after).any(axis=0))
    assert changed.tolist() == [[5, 6, 7]]


def test_an_echo_without_signal_does_not_mislead_the_later_ones():
    te_s = (0.005, 0.010, 0.015, 0.020)
    true = np.array([2 * np.pi * 45.0 * t for t in te_s], np.float32)[:, None, None, None]
    phase = wrap(true * np.ones(SHAPE, np.float32))
    phase[2] = 2.0
    magnitude = np.ones((4, *SHAPE), np.float32)
    magnitude[2] = 1e-3
    out = temporal(phase, magnitude, te_s, EVERYWHERE, GRID)
    np.testing.assert_allclose(out[3], true[3] * np.ones(SHAPE), atol=1e-3)
