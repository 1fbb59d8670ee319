"""What every row of the unwrapping table promises."""

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.core.units import wrap
from petechia.errors import ParameterError
from petechia.phase.unwrap import METHODS

ROWS = sorted(METHODS)


@pytest.fixture(
    params=[((25, 28, 21), (1.0, 1.0, 1.0)), ((24, 19, 13), (0.8, 0.9, 2.5))], ids=["cube", "slab"]
)
def case(request):
    shape, spacing = request.param
    grid = Grid.from_spacing(shape, spacing, (0.1, -0.3, 1.0))
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    te_s = (0.004, 0.0093, 0.017)
    field = 90 * np.exp(-((x - 0.2) ** 2 + (y + 0.1) ** 2 + z**2) / 0.3) - 40
    true = np.stack([2 * np.pi * field * t for t in te_s]).astype(np.float32)
    magnitude = np.stack([np.exp(-t / 0.03) * (1.5 + x) for t in te_s]).astype(np.float32)
    mask = x**2 + y**2 + z**2 < 1.1  # touches the border of the volume
    return {"phase_rad": wrap(true), "magnitude": magnitude, "te_s": te_s, "mask": mask}, grid, true


def run(name, available, grid):
    return METHODS[name](available, grid=grid)[0]


@pytest.mark.parametrize("name", ROWS)
def test_shape_type_and_outside(name, case):
    available, grid, true = case
    before = available["phase_rad"].copy()
    out = run(name, available, grid)
    assert out.shape == true.shape
    assert out.dtype == np.float32
    assert np.isfinite(out).all()
    assert not out[:, ~available["mask"]].any()
    assert np.array_equal(available["phase_rad"], before)


@pytest.mark.parametrize("name", ROWS)
def test_no_jumps_are_left(name, case):
    available, grid, true = case
    out = run(name, available, grid)
    for axis in (1, 2, 3):
        step = np.diff(out, axis=axis)
        both = np.diff(available["mask"].astype(int), axis=axis - 1) == 0
        both &= np.take(available["mask"], range(1, available["mask"].shape[axis - 1]), axis - 1)
        limit = np.abs(np.diff(true, axis=axis)[:, both]).max() + 0.8
        assert limit < 2 * np.pi
        assert np.abs(step[:, both]).max() < limit


@pytest.mark.parametrize("name", ROWS)
def test_negated_phase_gives_negated_result(name, case):
    available, grid, _ = case
    out = run(name, available, grid)
    turned = run(name, available | {"phase_rad": -available["phase_rad"]}, grid)
    assert np.allclose(turned, -out, atol=2e-3)


@pytest.mark.parametrize("name", ROWS)
def test_whole_turns_in_the_input_do_not_matter(name, case):
    available, grid, _ = case
    turns = 2 * np.pi * np.random.default_rng(0).integers(-2, 3, available["phase_rad"].shape)
    shifted = available | {"phase_rad": (available["phase_rad"] + turns).astype(np.float32)}
    assert np.allclose(run(name, shifted, grid), run(name, available, grid), atol=2e-3)


@pytest.mark.parametrize("name", ROWS)
def test_memory_layout_does_not_matter(name, case):
    available, grid, _ = case
    other = {
        k: np.asfortranarray(v) if isinstance(v, np.ndarray) else v for k, v in available.items()
    }
    assert np.array_equal(run(name, other, grid), run(name, available, grid))


@pytest.mark.parametrize("name", ROWS)
def test_unknown_settings_are_named(name):
    with pytest.raises(ParameterError, match="unknown setting speed = 3"):
        METHODS[name].settings(speed=3)


def test_romeo_is_congruent_modulo_two_pi_and_right(case):
    available, grid, true = case
    out = run("romeo", available, grid)
    mask = available["mask"]
    turns = (out - available["phase_rad"])[:, mask] / (2 * np.pi)
    assert np.abs(turns - np.round(turns)).max() < 1e-5
    assert np.abs(out - true)[:, mask].max() < 1e-3
