"""What every row of the field map table promises."""

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.core.units import radians_per_ppm, wrap
from petechia.errors import InputError, ParameterError
from petechia.phase.fieldmap import METHODS

ROWS = sorted(METHODS)
TE_S = (0.004, 0.0093, 0.017, 0.0181)
B0_T = 3.0


@pytest.fixture(
    params=[((17, 14, 11), (1.0, 1.0, 1.0)), ((13, 19, 7), (0.8, 0.9, 2.5))], ids=["cube", "slab"]
)
def grid(request):
    shape, spacing = request.param
    return Grid.from_spacing(shape, spacing, (0.1, -0.3, 1.0))


@pytest.fixture(params=ROWS)
def name(request):
    return request.param


def scan(grid, te_s=TE_S, noise=0.0):
    """Return inputs and the true field: a slope and a source, with a mask that is a ball."""
    rng = np.random.default_rng(0)
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n) for n in grid.shape], indexing="ij")
    field = 0.2 * x - 0.1 * y + 0.3 * np.exp(-((x**2 + y**2 + z**2) / 0.1))
    te = np.asarray(te_s)[:, None, None, None]
    magnitude = (2 + x) * np.exp(-te / 0.03)
    phase = radians_per_ppm(B0_T, 1.0) * te * field
    phase = phase + noise * rng.normal(size=phase.shape) / magnitude
    available = {
        "unwrapped_rad": phase.astype(np.float32),
        "phase_rad": wrap(phase).astype(np.float32),
        "magnitude": magnitude.astype(np.float32),
        "te_s": te_s,
        "b0_t": B0_T,
        "mask": x**2 + y**2 + z**2 < 0.9,
    }
    return available, field


def changed(available, change):
    """Return inputs with `change` (array, first axis in space) done to every array."""
    return {k: change(v, v.ndim - 3) if np.ndim(v) > 1 else v for k, v in available.items()}


def run(name, available, grid, **settings):
    row = METHODS[name]
    maps = row(available, grid=grid, settings=row.settings(**settings))
    found = dict(zip(row.gives, maps, strict=True))
    assert set(found) == {"field_ppm", "noise_ppm", "residual_rad"}
    for volume in found.values():
        assert volume.dtype == np.float32
        assert volume.shape == grid.shape
        assert np.isfinite(volume).all()
        assert not volume[~available["mask"]].any()
    assert (found["noise_ppm"] >= 0).all()
    assert (found["residual_rad"] >= 0).all()
    return found


@pytest.mark.parametrize("te_s", [(0.02,), (0.004, 0.011), (0.005, 0.01, 0.015), TE_S])
@pytest.mark.parametrize("fit_offset", [False, True])
def test_phase_that_grows_with_time_gives_the_field(name, grid, te_s, fit_offset):
    available, field = scan(grid, te_s)
    found = run(name, available, grid, fit_offset=fit_offset)
    mask = available["mask"]
    assert np.allclose(found["field_ppm"][mask], field[mask], atol=1e-5)
    assert found["residual_rad"].max() < 1e-4


def test_the_field_turns_with_the_phase(name, grid):
    available, _ = scan(grid, noise=0.05)
    one = run(name, available, grid)
    turned = {k: -available[k] for k in ("unwrapped_rad", "phase_rad")}
    other = run(name, available | turned, grid)
    np.testing.assert_allclose(other["field_ppm"], -one["field_ppm"], atol=1e-6)
    np.testing.assert_allclose(other["noise_ppm"], one["noise_ppm"], rtol=1e-3)


def test_no_phase_no_field(name, grid):
    available, _ = scan(grid)
    nothing = {k: np.zeros_like(available[k]) for k in ("unwrapped_rad", "phase_rad")}
    found = run(name, available | nothing, grid)
    assert not found["field_ppm"].any()
    assert not found["residual_rad"].any()


def test_the_scale_of_the_magnitude_does_not_matter(name, grid):
    available, _ = scan(grid, noise=0.05)
    one = run(name, available, grid)
    for factor in (np.float32(1e-18), np.float32(4e5)):
        other = run(name, available | {"magnitude": factor * available["magnitude"]}, grid)
        for key, volume in one.items():
            np.testing.assert_allclose(other[key], volume, rtol=2e-3, atol=1e-6)


def test_equal_echoes_need_no_magnitude(name, grid):
    available, _ = scan(grid, noise=0.05)
    even = run(name, available | {"magnitude": np.ones_like(available["magnitude"])}, grid)
    none = run(name, available | {"magnitude": None}, grid)
    np.testing.assert_array_equal(even["field_ppm"], none["field_ppm"])


@pytest.mark.parametrize("order", [(1, 2, 0), (2, 0, 1), (0, 2, 1)])
def test_the_order_of_axes_does_not_matter(name, grid, order):
    available, _ = scan(grid, noise=0.05)
    one = run(name, available, grid)

    def turn(v, first):
        return v.transpose(*range(first), *(first + a for a in order))

    there = Grid.from_spacing(turn(available["mask"], 0).shape, grid.spacing_mm[list(order)])
    other = run(name, changed(available, turn), there)
    for key, volume in one.items():
        np.testing.assert_allclose(other[key], turn(volume, 0), rtol=2e-3, atol=1e-5)


@pytest.mark.parametrize("flip", [0, 1, 2])
def test_mirrored_scans_give_mirrored_maps(name, grid, flip):
    available, _ = scan(grid, noise=0.05)
    one = run(name, available, grid)
    other = run(name, changed(available, lambda v, first: np.flip(v, first + flip)), grid)
    for key, volume in one.items():
        np.testing.assert_allclose(other[key], np.flip(volume, flip), rtol=2e-3, atol=1e-5)


def test_an_outlying_echo_is_held_back_and_told(name, grid):
    available, field = scan(grid, noise=0.02)
    middle = tuple(n // 2 for n in grid.shape)
    clean = run(name, available, grid)
    spoilt = {k: available[k].copy() for k in ("unwrapped_rad", "phase_rad")}
    for volume in spoilt.values():
        volume[(3, *middle)] += 1.2
    found = run(name, available | spoilt, grid)
    believed = run(name, available | spoilt, grid, trusted=1e6)
    error = abs(found["field_ppm"] - field)[middle]
    assert error < 0.4 * abs(believed["field_ppm"] - field)[middle]
    assert found["noise_ppm"][middle] > 3 * clean["noise_ppm"][middle]
    assert found["residual_rad"][middle] > 3 * clean["residual_rad"][middle]


@pytest.mark.parametrize("te_s", [(0.004, 0.011), TE_S])
@pytest.mark.parametrize("fit_offset", [False, True])
def test_the_noise_is_that_of_the_field(name, grid, te_s, fit_offset):
    available, field = scan(grid, te_s, noise=0.05)
    if fit_offset and len(te_s) > 2:  # of any size
        for key in ("unwrapped_rad", "phase_rad"):
            available[key] = available[key] + np.float32(0.7)
    found = run(name, available, grid, fit_offset=fit_offset)
    mask = available["mask"]
    off = np.abs(found["field_ppm"] - field)[mask] / found["noise_ppm"][mask]
    assert np.quantile(off, 0.68) == pytest.approx(1.0, rel=0.2)


def test_what_lies_outside_the_mask_does_not_matter(name, grid):
    available, _ = scan(grid, noise=0.05)
    littered = {
        k: np.where(available["mask"], available[k], np.float32(2))
        for k in ("unwrapped_rad", "phase_rad")
    }
    one, other = run(name, available, grid), run(name, available | littered, grid)
    for key, volume in one.items():
        np.testing.assert_array_equal(other[key], volume)


def test_inputs_are_left_alone(name, grid):
    available, _ = scan(grid, noise=0.3)
    available["unwrapped_rad"][1, ::2] += np.float32(2 * np.pi)
    kept = {k: np.copy(v) for k, v in available.items()}
    run(name, available, grid)
    for key, value in kept.items():
        np.testing.assert_array_equal(available[key], value)


def test_memory_layout_does_not_matter(name, grid):
    available, _ = scan(grid, noise=0.05)
    other = run(name, changed(available, lambda v, _: np.asfortranarray(v)), grid)
    for key, volume in run(name, available, grid).items():
        np.testing.assert_array_equal(other[key], volume)


def test_wrong_grids_and_bad_voxels_are_named(name, grid):
    available, _ = scan(grid)
    for key in ("unwrapped_rad", "phase_rad", "magnitude", "mask"):
        if key not in METHODS[name].needs:
            continue
        with pytest.raises(InputError, match=key.removeprefix("unwrapped_").removesuffix("_rad")):
            run(name, available | {key: available[key][..., :-1]}, grid)
        if key != "mask":
            bad = available[key].copy()
            bad[0, 1, 2, 3] = np.nan
            with pytest.raises(InputError, match=r"1 of \d+ voxels are not finite"):
                run(name, available | {key: bad}, grid)
    with pytest.raises(ParameterError, match="1 echo times"):
        run(name, available | {"te_s": (0.004,)}, grid)


@pytest.mark.parametrize("shape", [(1, 9, 7), (5, 1, 1), (1, 1, 1), (2, 3, 5)])
@pytest.mark.parametrize("echoes", [1, 2, 4])
def test_thin_volumes_noise_and_dead_voxels(name, echoes, shape):
    rng = np.random.default_rng(0)
    phase = rng.uniform(-np.pi, np.pi, (echoes, *shape)).astype(np.float32)
    magnitude = rng.uniform(0, 1, phase.shape).astype(np.float32)
    magnitude[:, 0, 0, 0] = 0
    available = {
        "unwrapped_rad": phase,
        "phase_rad": phase,
        "magnitude": magnitude,
        "te_s": TE_S[:echoes],
        "b0_t": B0_T,
        "mask": np.ones(shape, bool),
    }
    run(name, available, Grid.from_spacing(shape, (0.7, 1.1, 2.3)))


def test_unknown_settings_are_named(name):
    with pytest.raises(ParameterError, match="unknown setting speed = 3"):
        METHODS[name].settings(speed=3)
