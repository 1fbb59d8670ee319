"""What every row of the unwrapping table promises."""

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.core.units import wrap
from petechia.errors import InputError, ParameterError
from petechia.phase.unwrap import METHODS

ROWS = sorted(METHODS)
EXACT = [name for name in ROWS if "not congruent" not in METHODS[name].summary]
TURN = 2 * np.pi


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


@pytest.mark.parametrize("name", ROWS)
def test_zero_in_zero_out(name, case):
    available, grid, _ = case
    zero = available | {"phase_rad": np.zeros_like(available["phase_rad"])}
    assert not run(name, zero, grid).any()


@pytest.mark.parametrize("name", ROWS)
def test_a_turn_added_everywhere_does_not_matter(name, case):
    available, grid, _ = case
    shifted = available | {"phase_rad": available["phase_rad"] + np.float32(TURN)}
    assert np.allclose(run(name, shifted, grid), run(name, available, grid), atol=2e-3)


@pytest.mark.parametrize("order", [(1, 2, 0), (2, 0, 1), (0, 2, 1)])
@pytest.mark.parametrize("name", ROWS)
def test_order_of_axes_does_not_matter(name, order, case):
    available, grid, _ = case
    echoes = (0, *(a + 1 for a in order))
    turned = {
        "phase_rad": available["phase_rad"].transpose(echoes),
        "magnitude": available["magnitude"].transpose(echoes),
        "te_s": available["te_s"],
        "mask": available["mask"].transpose(order),
    }
    there = Grid.from_spacing(turned["mask"].shape, grid.spacing_mm[list(order)])
    here = run(name, available, grid).transpose(echoes)
    assert np.allclose(run(name, turned, there), here, atol=2e-3)


@pytest.mark.parametrize("flip", [1, 2, 3])
@pytest.mark.parametrize("name", ROWS)
def test_mirrored_scans_give_mirrored_results(name, flip, case):
    available, grid, _ = case
    turned = available | {
        "phase_rad": np.flip(available["phase_rad"], flip),
        "magnitude": np.flip(available["magnitude"], flip),
        "mask": np.flip(available["mask"], flip - 1),
    }
    here = np.flip(run(name, available, grid), flip)
    assert np.allclose(run(name, turned, grid), here, atol=2e-3)


@pytest.mark.parametrize("name", ROWS)
def test_wrong_grids_and_bad_voxels_are_named(name, case):
    available, grid, _ = case
    other = Grid.from_spacing((24, 28, 22), 1.0)
    with pytest.raises(InputError, match="does not end in"):
        run(name, available, other)
    with pytest.raises(InputError, match="mask"):
        run(name, available | {"mask": available["mask"][:-1]}, grid)
    for value in (np.nan, np.inf):
        bad = available["phase_rad"].copy()
        bad[1, 0, 0, 0] = value  # outside the mask too
        with pytest.raises(InputError, match=r"1 of \d+ voxels are not finite"):
            run(name, available | {"phase_rad": bad}, grid)


@pytest.mark.parametrize("shape", [(1, 9, 7), (5, 1, 1), (1, 1, 1), (2, 3, 5)])
@pytest.mark.parametrize("echoes", [1, 2, 4])
@pytest.mark.parametrize("name", ROWS)
def test_thin_volumes_and_few_echoes(name, echoes, shape):
    rng = np.random.default_rng(0)
    phase = rng.uniform(-np.pi, np.pi, (echoes, *shape)).astype(np.float32)
    available = {
        "phase_rad": phase,
        "magnitude": rng.uniform(0, 1, phase.shape).astype(np.float32),
        "te_s": (0.003, 0.0071, 0.02, 0.0205)[:echoes],
        "mask": np.ones(shape, bool),
    }
    out = run(name, available, Grid.from_spacing(shape, (0.7, 1.1, 2.3)))
    assert out.shape == phase.shape
    assert np.isfinite(out).all()


@pytest.mark.parametrize("name", EXACT)
def test_exact_rows_are_congruent_modulo_two_pi_and_right(name, case):
    available, grid, true = case
    out = run(name, available, grid)
    mask = available["mask"]
    turns = (out - available["phase_rad"])[:, mask] / TURN
    assert np.abs(turns - np.round(turns)).max() < 1e-5
    assert np.abs(out - true)[:, mask].max() < 1e-3


@pytest.mark.parametrize("name", EXACT)
def test_exact_rows_are_congruent_in_noise(name, case):
    available, grid, true = case
    rng = np.random.default_rng(1)
    noise = available | {"phase_rad": rng.uniform(-np.pi, np.pi, true.shape).astype(np.float32)}
    scattered = rng.random(grid.shape) < 0.3  # hundreds of parts
    for mask in (available["mask"], np.ones(grid.shape, bool), scattered):
        out = run(name, noise | {"mask": mask}, grid)
        turns = ((out - noise["phase_rad"])[:, mask] / TURN).astype(np.float64)
        assert np.abs(turns - np.round(turns)).max() < 1e-5
        assert not out[:, ~mask].any()
