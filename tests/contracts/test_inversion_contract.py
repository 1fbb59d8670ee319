"""Every dipole inversion: sign, place, symmetry, scale, and manners."""

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.errors import GridMismatchError, InputError, UnfitError
from petechia.qsm.inversion import METHODS

SHAPE = (35, 41, 37)
SPACING_MM = (0.9, 1.0, 1.3)
CENTRE = (17.0, 21.0, 16.0)
RADIUS_MM = 3.0

ABSOLUTE = {
    "nltv": ("radians_per_ppm", -1),
    "nltgv": ("radians_per_ppm", -1),
    "medi": ("radians_per_ppm", -1),
    "ndi": ("radians_per_ppm", -1),
    "star": ("strong_ppm", 1),
    "strong_first": ("strong_ppm", 1),
}
"""Settings that are a size of the field itself, and their power of it: they scale along."""

OBLIQUE = {"tkd": 0.12, "tikhonov": 0.12}
"""How far a method's answer may depend on how its voxels lie to the field, if more than 0.08 of
the source: the cone where `tkd` and `tikhonov` cut off meets other frequencies."""


def tilted(degrees: float, spacing_mm=(1.0, 1.0, 1.0)) -> np.ndarray:
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    affine = np.eye(4)
    affine[:3, :3] = np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) * np.asarray(spacing_mm)
    return affine


def closed_form(grid: Grid, chi_ppm: float = 0.4):
    """The field of a sphere, averaged over 3 x 3 x 3 points a voxel; and the distance."""
    index = np.indices(grid.shape).reshape(3, -1) - np.array(CENTRE)[:, None]
    sub = (np.arange(3) - 1) / 3
    field = np.zeros(index.shape[1])
    for shift in np.stack(np.meshgrid(sub, sub, sub)).reshape(3, -1).T:
        place = grid.affine[:3, :3] @ (index + shift[:, None])
        r = np.maximum(np.linalg.norm(place, axis=0), 1e-6)
        dipole = chi_ppm / 3 * (RADIUS_MM / r) ** 3 * (3 * (place[2] / r) ** 2 - 1)
        field += np.where(r > RADIUS_MM, dipole, 0) / 27
    r = np.linalg.norm(grid.affine[:3, :3] @ index, axis=0)
    return field.reshape(grid.shape).astype(np.float32), r.reshape(grid.shape)


def ball(grid: Grid, radius_mm: float = 16.0) -> np.ndarray:
    return closed_form(grid, 0.0)[1] <= radius_mm


def with_field(available: dict, field: np.ndarray) -> dict:
    return available | {"field_ppm": field, "total_field_ppm": field}


def inputs(grid: Grid, chi_ppm: float = 0.4) -> dict:
    mask = ball(grid)
    field = closed_form(grid, chi_ppm)[0] * mask
    return {
        "field_ppm": field,
        "total_field_ppm": field,
        "mask": mask,
        "weights": mask.astype(np.float32),
        "magnitude": mask.astype(np.float32),
    }


def invert(name: str, available: dict, grid: Grid) -> np.ndarray:
    (chi,) = METHODS[name](available, grid=grid)
    return chi


@pytest.fixture(params=sorted(METHODS))
def name(request) -> str:
    return request.param


@pytest.mark.parametrize("degrees", [0.0, 30.0], ids=["straight", "oblique"])
@pytest.mark.parametrize("chi_ppm", [0.4, -0.4], ids=["blood", "calcium"])
def test_a_sphere_comes_back_with_its_sign_place_and_moment(name, degrees, chi_ppm):
    grid = Grid(SHAPE, tilted(degrees))
    available = inputs(grid, chi_ppm)
    chi = invert(name, available, grid)
    _, r = closed_form(grid)
    sign = np.sign(chi_ppm)
    assert np.all(sign * chi[r < RADIUS_MM - 1] > 0.5 * abs(chi_ppm))
    peak = np.unravel_index(np.argmax(sign * chi), grid.shape)
    assert r[peak] <= RADIUS_MM
    around = (r > 6) & (r < 8)
    moment = (chi[r <= 6] - chi[around].mean()).sum()
    assert moment == pytest.approx(chi_ppm * 4 / 3 * np.pi * RADIUS_MM**3, rel=0.15)


@pytest.mark.parametrize("chi_ppm", [0.4, -0.4], ids=["blood", "calcium"])
def test_a_sphere_in_voxels_that_are_no_cubes(name, chi_ppm):
    """The map is in millimetres: its moment does not know the voxel."""
    grid = Grid(SHAPE, tilted(20.0, SPACING_MM))
    chi = invert(name, inputs(grid, chi_ppm), grid)
    _, r = closed_form(grid)
    sign = np.sign(chi_ppm)
    assert np.all(sign * chi[r < RADIUS_MM - 1] > 0.5 * abs(chi_ppm))
    assert r[np.unravel_index(np.argmax(sign * chi), grid.shape)] <= RADIUS_MM + 0.5
    around = (r > 6) & (r < 8)
    moment = (chi[r <= 6] - chi[around].mean()).sum() * grid.voxel_mm3
    assert moment == pytest.approx(chi_ppm * 4 / 3 * np.pi * RADIUS_MM**3, rel=0.2)


@pytest.mark.parametrize("degrees", [35.0, 90.0])
def test_an_oblique_scan_is_the_rotated_one(name, degrees):
    """The same patient on turned voxels: one map, looked at from the side."""
    profiles = []
    for turn in (0.0, degrees):
        grid = Grid(SHAPE, tilted(turn))
        chi = invert(name, inputs(grid), grid)
        index = np.indices(SHAPE) - np.array(CENTRE)[:, None, None, None]
        x, y, z = np.tensordot(grid.affine[:3, :3], index, axes=1)
        r, across = np.sqrt(x * x + y * y + z * z), np.hypot(x, y)
        middle = chi[r < 2].mean()
        poles = chi[(np.abs(z) > 4) & (np.abs(z) < 8) & (across < 2)].mean()
        equator = chi[(np.abs(z) < 2) & (across > 4) & (across < 8)].mean()
        profiles.append((middle - equator, poles - equator))
    (middle, poles), (other_middle, other_poles) = profiles
    near = OBLIQUE.get(name, 0.08)
    assert other_middle == pytest.approx(middle, rel=near)
    assert abs(other_poles - poles) < near * middle


@pytest.mark.parametrize("shape", [(33, 37, 35), (34, 37, 36), (47, 33, 41)], ids=str)
def test_odd_and_even_sizes_give_one_map(name, shape):
    """The same field in a larger or smaller volume, the mask whole in each."""
    grid, wide = Grid(SHAPE), Grid(shape)
    low = [min(n, m) for n, m in zip(SHAPE, shape, strict=True)]
    cut = tuple(slice(0, n) for n in low)
    available = inputs(grid)
    mask = np.zeros(SHAPE, bool)
    mask[cut] = closed_form(grid)[1][cut] < 11
    available = {key: array * mask for key, array in available.items()}
    moved = {}
    for key, array in available.items():
        moved[key] = np.zeros(shape, array.dtype)
        moved[key][cut] = array[cut]
    chi, other = invert(name, available, grid), invert(name, moved, wide)
    np.testing.assert_allclose(other[cut], chi[cut], atol=1e-3 * np.abs(chi).max())


@pytest.mark.parametrize("degrees", [0.0, 30.0], ids=["straight", "oblique"])
def test_poles_and_equator_are_no_sources(name, degrees):
    """Where the field outside the sphere is strongest, the map stays below half a source."""
    grid = Grid(SHAPE, tilted(degrees))
    chi = invert(name, inputs(grid), grid)
    for direction in (grid.b0_dir, -grid.b0_dir, np.array([1.0, 0.0, 0.0])):
        place = tuple(np.round(np.array(CENTRE) + 6 * direction).astype(int))
        assert abs(chi[place] - np.median(chi[ball(grid)])) < 0.5 * 0.4


def test_permuting_the_axes_permutes_the_map(name):
    grid = Grid(SHAPE, tilted(25.0, (1.0, 1.1, 1.2)))
    available = inputs(grid)
    chi = invert(name, available, grid)
    order = (2, 0, 1)
    affine = grid.affine.copy()
    affine[:3, :3] = grid.affine[:3, :3][:, order]
    turned = Grid(tuple(np.array(SHAPE)[list(order)]), affine)
    swapped = {key: np.ascontiguousarray(a.transpose(order)) for key, a in available.items()}
    np.testing.assert_allclose(
        invert(name, swapped, turned), chi.transpose(order), atol=2e-3 * np.abs(chi).max()
    )


def test_flipping_an_axis_flips_the_map(name):
    """Neurological and radiological storage are one patient."""
    grid = Grid(SHAPE, tilted(25.0))
    available = inputs(grid)
    affine = grid.affine.copy()
    affine[:3, 1] *= -1
    flipped = {key: np.ascontiguousarray(a[:, ::-1]) for key, a in available.items()}
    chi, other = invert(name, available, grid), invert(name, flipped, Grid(SHAPE, affine))
    inside = closed_form(grid)[1] < RADIUS_MM
    # one-sided differences see a corner from the other side: near, not equal
    np.testing.assert_allclose(other[:, ::-1], chi, atol=0.2 * np.abs(chi).max())
    assert other[:, ::-1][inside].sum() == pytest.approx(chi[inside].sum(), rel=0.01)


@pytest.mark.parametrize("factor", [-1.0, 0.05, 40.0])
def test_the_map_scales_with_the_field(name, factor):
    grid = Grid(SHAPE, tilted(20.0))
    available = inputs(grid)
    chi = invert(name, available, grid)
    larger = with_field(available, factor * available["field_ppm"])
    settings = {}
    if name in ABSOLUTE:
        setting, power = ABSOLUTE[name]
        usual = getattr(METHODS[name].settings(), setting)
        settings[setting] = usual * abs(factor) ** power
    (scaled,) = METHODS[name](larger, grid=grid, settings=METHODS[name].settings(**settings))
    np.testing.assert_allclose(scaled / factor, chi, atol=1e-3 * np.abs(chi).max())


def test_no_field_no_susceptibility(name):
    grid = Grid(SHAPE)
    available = inputs(grid)
    chi = invert(name, with_field(available, np.zeros(SHAPE, np.float32)), grid)
    assert chi.dtype == np.float32
    assert not chi.any()


def test_an_empty_mask_gives_an_empty_map(name):
    grid = Grid(SHAPE)
    available = inputs(grid) | {"mask": np.zeros(SHAPE, bool)}
    assert not invert(name, available, grid).any()


def test_the_map_is_zero_outside_the_mask_whatever_the_field_there(name):
    grid = Grid(SHAPE)
    available = inputs(grid)
    mask = available["mask"]
    chi = invert(name, available, grid)
    littered = np.where(mask, available["field_ppm"], 50.0).astype(np.float32)
    assert not chi[~mask].any()
    np.testing.assert_array_equal(invert(name, with_field(available, littered), grid), chi)


def test_inputs_are_left_alone(name):
    grid = Grid(SHAPE)
    available = inputs(grid)
    before = {key: array.copy() for key, array in available.items()}
    invert(name, available, grid)
    for key, array in available.items():
        np.testing.assert_array_equal(array, before[key])


def test_a_wrong_grid_is_named(name):
    grid = Grid(SHAPE)
    available = inputs(grid)
    for argument in METHODS[name].needs:
        cut = available | {argument: available[argument][:-1]}
        with pytest.raises(GridMismatchError, match=argument):
            invert(name, cut, grid)


def test_a_field_that_is_not_finite_is_refused(name):
    grid = Grid(SHAPE)
    available = inputs(grid)
    field = available["field_ppm"].copy()
    field[3, 4, 5] = np.nan
    with pytest.raises(InputError, match=r"field_ppm: 1 of .* first at \(3, 4, 5\)"):
        invert(name, with_field(available, field), grid)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(name, bad):
    if "weights" not in METHODS[name].needs:
        return
    grid = Grid(SHAPE)
    available = inputs(grid)
    weights = available["weights"].copy()
    weights[17, 20, 15] = bad
    with pytest.raises(InputError, match=r"weights: 1 of .* first at \(17, 20, 15\)"):
        invert(name, available | {"weights": weights}, grid)


def test_a_magnitude_that_is_not_finite_is_refused(name):
    if "magnitude" not in METHODS[name].needs:
        return
    grid = Grid(SHAPE)
    available = inputs(grid)
    magnitude = available["magnitude"].copy()
    magnitude[17, 20, 15] = np.nan
    with pytest.raises(InputError, match=r"magnitude: 1 of .* first at \(17, 20, 15\)"):
        invert(name, available | {"magnitude": magnitude}, grid)


def test_a_map_is_made_without_weights(name):
    grid = Grid(SHAPE)
    available = inputs(grid)
    chi = invert(name, available, grid)
    np.testing.assert_allclose(
        invert(name, available | {"weights": None}, grid), chi, atol=1e-3 * np.abs(chi).max()
    )


def test_a_mask_of_one_voxel_and_one_of_everything_do_not_fail(name):
    grid = Grid((9, 11, 7))
    rng = np.random.default_rng(0)
    field = rng.normal(0, 0.01, grid.shape).astype(np.float32)
    one = np.zeros(grid.shape, bool)
    one[4, 5, 3] = True
    for mask in (one, np.ones(grid.shape, bool)):
        weights = mask.astype(np.float32)
        available = with_field({"mask": mask, "weights": weights, "magnitude": weights}, field)
        if hasattr(METHODS[name].settings(), "radius_min_mm") and mask.sum() == 1:
            with pytest.raises(UnfitError, match="mask of 1 voxels"):  # no room for a sphere
                invert(name, available, grid)
            continue
        chi = invert(name, available, grid)
        assert np.isfinite(chi).all()
        assert not chi[~mask].any()


def test_a_mask_of_whole_numbers_is_one(name):
    """Not a list of places: a mask from a file is often of uint8."""
    grid = Grid(SHAPE, tilted(20.0))
    available = inputs(grid)
    available["magnitude"] = available["mask"] * (1 + 0.3 * np.sin(np.indices(SHAPE)[1] / 2))
    available["weights"][12:15, 20:23, 14:18] = 0
    chi = invert(name, available, grid)
    whole = available | {"mask": available["mask"].astype(np.uint8)}
    np.testing.assert_array_equal(invert(name, whole, grid), chi)


def test_weights_that_trust_nothing_are_refused(name):
    if "weights" not in METHODS[name].needs or name == "two_pass":  # its reliable mask is empty
        return
    grid = Grid(SHAPE)
    available = inputs(grid)
    available["weights"] = np.where(available["mask"], 0, 1).astype(np.float32)
    with pytest.raises(InputError, match="weights: weights are 0 in the whole mask"):
        invert(name, available, grid)


def test_double_precision_is_taken_and_single_given(name):
    grid = Grid(SHAPE)
    available = inputs(grid)
    double = with_field(available, available["field_ppm"].astype(np.float64))
    chi = invert(name, double, grid)
    assert chi.dtype == np.float32
    np.testing.assert_allclose(chi, invert(name, available, grid), atol=1e-6)
