"""Signals of fine points, against the formula."""

from dataclasses import replace

import numpy as np
import pytest

from petechia.core.units import hz_per_ppm
from petechia.simulate.evolve import clock, cos_sin, evolve, turn
from petechia.simulate.signal import acquire

EVEN = (0.004, 0.009, 0.014, 0.019, 0.024)
UNEVEN = (0.004, 0.007, 0.015, 0.019, 0.024)


def formula(maps, b0_t, te_s, profile):
    """Signal x decay x turn x a sinc of each axis' slope, in double precision."""
    field = maps.field_ppm.astype(float)
    padded = np.pad(field, 1, mode="edge")
    inner = slice(1, -1)
    slopes = [
        0.5 * (padded[2:, inner, inner] - padded[:-2, inner, inner]),
        0.5 * (padded[inner, 2:, inner] - padded[inner, :-2, inner]),
        0.5 * (padded[inner, inner, 2:] - padded[inner, inner, :-2]),
    ]
    out = []
    for te in te_s:
        turns = hz_per_ppm(b0_t) * te * (field - 3.4 / 255 * maps.fat)
        signal = maps.s0 * np.exp(-te * maps.r2star) * np.exp(2j * np.pi * turns) * profile
        for slope in slopes:
            signal = signal * np.sinc(hz_per_ppm(b0_t) * te * slope)
        out.append(signal)
    return np.array(out)


@pytest.mark.parametrize("te_s", [EVEN, UNEVEN, (0.02,)])
@pytest.mark.parametrize("rough_ppm", [0.004, 0.5])
def test_points_do_what_the_formula_says(uniform, te_s, rough_ppm):
    maps, protocol = uniform(te_s=te_s, shape=(6, 5, 7))
    rng = np.random.default_rng(0)
    shape = maps.grid.shape
    maps.field_ppm[:] = rng.normal(0, rough_ppm, shape)
    maps.s0[:] = rng.uniform(0, 1, shape)
    maps.s0[2] = 0
    maps.r2star[:] = rng.uniform(5, 80, shape)
    maps.fat[:] = rng.integers(0, 256, shape)
    profile = np.linspace(0.2, 1, shape[2]).astype(np.float32)
    got = np.zeros((len(te_s), *shape), dtype=np.complex64)
    evolve(maps, protocol.b0_t, te_s, profile, 0, got)
    np.testing.assert_allclose(got, formula(maps, protocol.b0_t, te_s, profile), atol=2e-4)
    slab = np.zeros((len(te_s), 3, *shape[1:]), dtype=np.complex64)
    evolve(maps, protocol.b0_t, te_s, profile, 4, slab)
    np.testing.assert_array_equal(slab, got[:, 4:7])


def test_only_equal_steps_are_stepped():
    assert clock(EVEN).step_s == pytest.approx(0.005)
    assert clock(UNEVEN).step_s == 0
    assert clock((0.02,)).step_s == 0


@pytest.mark.parametrize("te_s", [EVEN, UNEVEN])
def test_a_field_turns_images_forwards(te_s):
    rng = np.random.default_rng(0)
    field = rng.normal(0, 0.3, (5, 4, 3)).astype(np.float32)
    field[0] = 0
    images = rng.normal(size=(5, 5, 4, 3, 2)).astype(np.float32).view(np.complex64)[..., 0]
    out = images.copy()
    turn(out, field, 3.0, te_s)
    turns = hz_per_ppm(3.0) * np.array(te_s)[:, None, None, None] * field
    np.testing.assert_allclose(out, images * np.exp(2j * np.pi * turns), atol=1e-4)
    np.testing.assert_array_equal(out[:, 0], images[:, 0])


def test_the_fast_cosine_is_the_cosine():
    turns = np.concatenate([np.linspace(-3, 3, 2001), [0.125, 0.375, 0.625, 0.875, 40.3, -57.9]])
    got = np.array([cos_sin(np.float32(t)) for t in turns])
    exact = 2 * np.pi * turns.astype(np.float32).astype(float)
    np.testing.assert_allclose(got[:, 0], np.cos(exact), atol=2e-6)
    np.testing.assert_allclose(got[:, 1], np.sin(exact), atol=2e-6)


def test_the_whole_scan_does_not_depend_on_how_many_echoes_are_followed_together(uniform):
    te_s = tuple(np.linspace(0.003, 0.03, 7))
    maps, protocol = uniform(te_s=te_s, tr_s=0.05)
    maps.field_ppm[:] = np.random.default_rng(1).normal(0, 0.05, maps.grid.shape)
    together = acquire(maps, protocol, te_s)
    for n in (0, 3, 6):
        alone = acquire(maps, replace(protocol, te_s=te_s[n : n + 1]), te_s[n : n + 1])
        np.testing.assert_allclose(together[n], alone[0], atol=2e-5)
