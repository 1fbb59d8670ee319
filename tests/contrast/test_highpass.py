"""The slow part goes, the fine part stays, wraps do not matter."""

import numpy as np
import pytest

from petechia.contrast.highpass import (
    HighpassParams,
    HomodyneParams,
    hann,
    homodyne,
    unwrapped_highpass,
)
from petechia.core.grid import Grid
from petechia.core.units import wrap
from petechia.errors import GridMismatchError, InputError, ParameterError

GRID = Grid((64, 60, 9), np.diag([0.5, 0.5, 2.0, 1.0]))
SIDEWAYS = Grid((9, 64, 60), np.diag([2.0, 0.5, 0.5, 1.0]))


def slow(grid: Grid = GRID, size: float = 6.0) -> np.ndarray:
    """One bump across the volume, far beyond a turn."""
    axes = [np.linspace(-1, 1, n) for n in grid.shape]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    return (size * np.cos(1.5 * x) * np.cos(1.5 * y) * np.cos(z)).astype(np.float32)


def vein(grid: Grid = GRID) -> np.ndarray:
    phase = np.zeros(grid.shape, np.float32)
    middle = tuple(slice(n // 2, n // 2 + 2) for n in grid.shape)
    phase[middle] = 0.8
    return phase


def disc() -> np.ndarray:
    x, y, _ = np.meshgrid(*[np.linspace(-1, 1, n) for n in GRID.shape], indexing="ij")
    return x**2 + y**2 < 0.8


CENTRE = (32, 30, 4)


def test_homodyne_leaves_the_vein_and_takes_the_bump():
    magnitude = np.ones(GRID.shape, np.float32)
    apart = homodyne(vein(), magnitude, GRID)
    bump = wrap(slow(size=3.0) + 2.0)  # across the wrap
    background = homodyne(bump, magnitude, GRID)
    both = homodyne(wrap(bump + vein()), magnitude, GRID)
    assert apart[CENTRE] == pytest.approx(0.8, rel=0.1)
    assert both[CENTRE] - background[CENTRE] == pytest.approx(0.8, rel=0.15)
    inner = (slice(12, -12), slice(12, -12))
    assert np.ptp(background[inner]) < 0.2 * np.ptp(slow(size=3.0)[inner])
    assert np.abs(both).max() <= np.float32(np.pi)


def test_homodyne_ignores_turns_and_constants():
    magnitude = np.random.default_rng(0).random(GRID.shape).astype(np.float32)
    phase = slow() + vein()
    one = homodyne(phase, magnitude, GRID)
    other = homodyne(wrap(phase + 1.3), magnitude, GRID)
    assert np.abs(wrap(one - other)).max() < 2e-3


def test_a_wider_window_takes_more():
    magnitude = np.ones(GRID.shape, np.float32)
    left = [
        homodyne(vein(), magnitude, GRID, HomodyneParams(window=w))[CENTRE]
        for w in (0.06, 0.19, 0.6)
    ]
    assert left[0] > left[1] > left[2] > 0


def test_homodyne_turns_with_the_sign():
    magnitude = np.ones(GRID.shape, np.float32)
    np.testing.assert_allclose(
        homodyne(-vein(), magnitude, GRID), -homodyne(vein(), magnitude, GRID), atol=1e-6
    )


def test_zero_phase_is_exactly_zero():
    magnitude = np.random.default_rng(0).random(GRID.shape)
    assert not homodyne(np.zeros(GRID.shape), magnitude, GRID).any()
    assert not unwrapped_highpass(np.zeros(GRID.shape), disc(), GRID).any()


@pytest.mark.parametrize("grid", [GRID, SIDEWAYS], ids=["axial", "sagittal"])
def test_slices_are_filtered_by_themselves(grid):
    """A phase that alternates from slice to slice is constant within each: all of it goes."""
    axis = grid.slice_axis
    steps = (np.arange(9) % 2).reshape([-1 if a == axis else 1 for a in range(3)])
    phase = (0.8 * steps * np.ones(grid.shape)).astype(np.float32)
    magnitude, mask = np.ones(grid.shape, np.float32), np.ones(grid.shape, bool)
    assert np.abs(homodyne(phase, magnitude, grid)).max() < 1e-3
    assert np.abs(unwrapped_highpass(phase, mask, grid)).max() < 1e-3
    assert np.abs(homodyne(phase, magnitude, grid, HomodyneParams(in_plane=False))).max() > 0.3
    assert np.abs(unwrapped_highpass(phase, mask, grid, HighpassParams(in_plane=False))).max() > 0.3


def test_unwrapped_highpass_keeps_the_vein_and_knows_the_edge():
    mask = disc()
    background = unwrapped_highpass(slow() + 40.0, mask, GRID)
    found = unwrapped_highpass(slow() + vein() + 40.0, mask, GRID)
    assert found[CENTRE] - background[CENTRE] == pytest.approx(0.8, rel=0.1)
    assert not found[~mask].any()
    inner = (slice(12, -12), slice(12, -12))
    assert np.ptp(background[inner]) < 0.25 * np.ptp(slow()[inner])


@pytest.mark.parametrize("in_plane", [True, False])
def test_constant_and_linear_phase_vanish_up_to_the_very_edge(in_plane):
    mask, params = disc(), HighpassParams(in_plane=in_plane)
    constant = unwrapped_highpass(np.full(GRID.shape, 123.4), mask, GRID, params)
    assert np.abs(constant).max() < 1e-3
    i, j, k = np.indices(GRID.shape)
    linear = unwrapped_highpass(0.3 * i - 0.2 * j + 0.5 * k, mask, GRID, params)
    assert np.abs(linear).max() < 0.1  # of 28 rad from end to end


def test_threads_and_specks_of_mask_are_no_accident():
    mask = np.zeros(GRID.shape, bool)
    mask[10, :, 3] = mask[40, 40, 5] = True
    found = unwrapped_highpass(slow(), mask, GRID)
    assert np.isfinite(found).all()
    assert abs(found[40, 40, 5]) < 1e-3
    assert np.abs(found[10, 5:-5, 3]).max() < 1


def test_unwrapped_highpass_is_a_gaussian_in_millimetres():
    """A sine of wavelength L keeps 1 - exp(-2 (pi sigma / L)^2) of itself."""
    x = np.arange(200) * 0.5
    grid = Grid((200, 5, 5), np.diag([0.5, 0.5, 2.0, 1.0]))
    for wavelength in (5.0, 20.0, 50.0):
        phase = np.sin(2 * np.pi * x / wavelength)[:, None, None] * np.ones(grid.shape)
        found = unwrapped_highpass(phase, np.ones(grid.shape, bool), grid)[60:140]
        kept = np.vdot(found, phase[60:140]) / np.vdot(phase[60:140], phase[60:140])
        assert kept == pytest.approx(1 - np.exp(-2 * (np.pi * 4 / wavelength) ** 2), abs=0.01)


def test_what_lies_outside_the_mask_does_not_matter():
    mask = disc()
    clean = unwrapped_highpass(slow(), mask, GRID)
    littered = unwrapped_highpass(np.where(mask, slow(), 1e4), mask, GRID)
    np.testing.assert_array_equal(clean, littered)
    assert not unwrapped_highpass(slow(), np.zeros_like(mask), GRID).any()


@pytest.mark.parametrize("n", [1, 5, 16, 17, 512])
def test_the_window_is_even_and_one_at_the_centre(n):
    window = hann(n, 0.125)
    assert window[0] == 1
    np.testing.assert_allclose(window[1:], window[1:][::-1], atol=1e-7)
    assert (window > 0).sum() == min(n, max(3, 2 * int(np.ceil(0.0625 * n)) - 1))


def test_inputs_are_left_alone():
    phase, magnitude, mask = slow(), np.ones(GRID.shape, np.float32), disc()
    kept = phase.copy()
    homodyne(phase, magnitude, GRID)
    unwrapped_highpass(phase, mask, GRID)
    np.testing.assert_array_equal(phase, kept)


def test_bad_input_is_named():
    phase, magnitude = slow(), np.ones(GRID.shape, np.float32)
    with pytest.raises(GridMismatchError, match="magnitude"):
        homodyne(phase, magnitude[1:], GRID)
    with pytest.raises(GridMismatchError, match="mask"):
        unwrapped_highpass(phase, disc()[1:], GRID)
    with pytest.raises(InputError, match=r"phase_rad: .* not finite"):
        homodyne(np.full(GRID.shape, np.nan), magnitude, GRID)
    with pytest.raises(ParameterError, match=r"HomodyneParams.window: 64 is outside .* 0.125"):
        HomodyneParams(window=64)
    with pytest.raises(ParameterError, match=r"HighpassParams.sigma_mm"):
        HighpassParams(sigma_mm=0)
