"""Every separation: signs, what the sum is, a mixed lesion, and manners."""

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.core.kernels import forward_field
from petechia.errors import GridMismatchError, InputError
from petechia.qsm.separation import METHODS
from petechia.qsm.separation.rates import RELAXIVITY

GRID = Grid.from_spacing((33, 35, 29), (1.0, 1.0, 1.2), (0.1, 0.2, 1.0))


@pytest.fixture(params=sorted(METHODS))
def name(request) -> str:
    return request.param


def away(*at: float) -> np.ndarray:
    index = np.stack(np.indices(GRID.shape), -1) - np.array(at)
    return np.linalg.norm(index * GRID.spacing_mm, axis=-1)


MASK = away(16, 17, 14) < 14
BLOOD, STONE, MIXED = away(9, 17, 14) < 3, away(23, 17, 14) < 3, away(16, 24, 14) < 3


def truth() -> tuple[np.ndarray, np.ndarray]:
    """Blood, a calcification, and a calcification inside blood."""
    positive = 0.4 * BLOOD + 0.5 * MIXED + 0.0
    negative = -0.3 * STONE - 0.4 * MIXED + 0.0
    return positive.astype(np.float32), negative.astype(np.float32)


def inputs(b0_t: float = 3.0, sign: float = 1.0) -> dict:
    positive, negative = truth()
    chi = sign * (positive + negative)
    return {
        "chi_ppm": chi * MASK,
        "field_ppm": forward_field(chi, GRID, 20.0) * MASK,
        "r2prime": (RELAXIVITY * b0_t / 3 * (positive - negative) * MASK).astype(np.float32),
        "b0_t": b0_t,
        "weights": None,
        "mask": MASK,
    }


def separate(name: str, available: dict, **settings) -> tuple[np.ndarray, np.ndarray]:
    return METHODS[name](available, grid=GRID, settings=METHODS[name].settings(**settings))


def test_each_source_is_found_where_it_is_also_inside_the_other(name):
    positive, negative = separate(name, inputs())
    assert positive.dtype == negative.dtype == np.float32
    for found, true in zip((positive, negative), truth(), strict=True):
        for part in (BLOOD, STONE, MIXED):
            # the very centre, apart from what total variation takes off the edge
            assert found[part].mean() == pytest.approx(true[part].mean(), abs=0.08)


def test_signs_and_outside(name):
    rng = np.random.default_rng(0)
    available = inputs()
    for key in ("chi_ppm", "field_ppm", "r2prime"):
        available[key] = rng.normal(0, 0.1, GRID.shape).astype(np.float32)
    available["r2prime"] = np.abs(available["r2prime"]) * 100
    positive, negative = separate(name, available)
    assert positive.min() >= 0
    assert negative.max() <= 0
    assert not positive[~MASK].any()
    assert not negative[~MASK].any()


def test_their_sizes_are_what_r2prime_says_or_more(name):
    available = inputs()
    positive, negative = separate(name, available)
    sizes = available["r2prime"] / RELAXIVITY
    assert (positive - negative >= sizes - 1e-5)[MASK].all()


def test_blood_and_calcium_change_places_when_the_field_is_negated(name):
    positive, negative = separate(name, inputs())
    other = separate(name, inputs(sign=-1.0))
    np.testing.assert_allclose(other[0], -negative, atol=2e-3)
    np.testing.assert_allclose(other[1], -positive, atol=2e-3)


def test_the_main_field_takes_its_part(name):
    """At 7 T the same sources dephase more; they come out the same."""
    at_3t, at_7t = separate(name, inputs(3.0)), separate(name, inputs(7.0))
    np.testing.assert_allclose(at_7t[0], at_3t[0], atol=1e-4)


def test_without_decay_each_voxel_holds_one_source(name):
    available = inputs() | {"r2prime": np.zeros(GRID.shape, np.float32)}
    positive, negative = separate(name, available)
    assert not (positive * negative).any()


def test_nothing_in_nothing_out(name):
    zero = np.zeros(GRID.shape, np.float32)
    available = inputs() | {"chi_ppm": zero, "field_ppm": zero, "r2prime": zero}
    assert not any(found.any() for found in separate(name, available))
    available = inputs() | {"mask": np.zeros(GRID.shape, bool)}
    assert not any(found.any() for found in separate(name, available))


def test_inputs_are_left_alone(name):
    available = inputs()
    for value in available.values():
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
    separate(name, available)
    for key, value in inputs().items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(available[key], value)


def test_bad_input_is_named(name):
    available = inputs()
    arrays = [k for k in METHODS[name].needs if isinstance(available[k], np.ndarray)]
    for argument in arrays:
        with pytest.raises(GridMismatchError, match=argument):
            separate(name, available | {argument: available[argument][1:]})
    for argument in set(arrays) - {"mask"}:
        broken = available[argument].copy()
        broken[16, 17, 14] = np.nan
        with pytest.raises(InputError, match=rf"{argument}: .* not finite"):
            separate(name, available | {argument: broken})
    with pytest.raises(InputError, match="r2prime"):
        separate(name, available | {"r2prime": available["r2prime"] - 1})
