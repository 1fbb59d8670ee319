"""Every background removal: outside sources go, inside sources stay."""

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.errors import GridMismatchError, InputError
from petechia.phase.background import METHODS

SHAPE = (45, 50, 40)
SPACING_MM = (1.2, 1.0, 1.3)
DISCRETE = {"pdf": 0.05}
"""How far a method's answer may depend on how it lays sources on its grid, over its largest
value: of `pdf`, whose sources beside the mask are voxels; a sphere's mean knows no direction."""


def tilted(degrees: float, spacing_mm=SPACING_MM) -> np.ndarray:
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    affine = np.eye(4)
    affine[:3, :3] = np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) * np.asarray(spacing_mm)
    return affine


def places_mm(grid: Grid) -> np.ndarray:
    """Scanner mm of every voxel from the middle of the volume, (3, I, J, K)."""
    index = np.indices(grid.shape).reshape(3, -1) - (np.array(grid.shape)[:, None] - 1) / 2
    return (grid.affine[:3, :3] @ index).reshape(3, *grid.shape)


def dipole(grid: Grid, centre_mm, radius_mm: float, chi_ppm: float) -> np.ndarray:
    """Closed form of a sphere's field."""
    place = places_mm(grid) - np.asarray(centre_mm, dtype=float)[:, None, None, None]
    r = np.maximum(np.linalg.norm(place, axis=0), 1e-6)
    field = chi_ppm / 3 * (radius_mm / r) ** 3 * (3 * (place[2] / r) ** 2 - 1)
    return np.where(r > radius_mm, field, 0.0)


def ball(grid: Grid, radius_mm: float = 22.0) -> np.ndarray:
    return np.linalg.norm(places_mm(grid), axis=0) <= radius_mm


def background(grid: Grid, kind: str) -> np.ndarray:
    x, y, z = places_mm(grid)
    return {
        "constant": np.full(grid.shape, 0.7),
        "linear": 0.02 * x - 0.01 * y + 0.03 * z,
        "quadratic": 1e-3 * (2 * z**2 - x**2 - y**2) + 1e-3 * x * y,
        "air": dipole(grid, (5.0, 30.0, -12.0), 9.0, 9.0),
    }[kind].astype(np.float32)


def remove(name: str, field: np.ndarray, mask: np.ndarray, grid: Grid):
    available = {"field_ppm": field, "mask": mask, "weights": mask.astype(np.float32)}
    local, inside = METHODS[name](available, grid=grid)
    return local, inside


@pytest.fixture(params=sorted(METHODS))
def name(request) -> str:
    return request.param


@pytest.fixture(params=[0.0, 25.0], ids=["straight", "oblique"])
def grid(request) -> Grid:
    return Grid(SHAPE, tilted(request.param))


@pytest.mark.parametrize("kind", ["constant", "linear", "quadratic", "air"])
def test_a_field_from_outside_goes(name, grid, kind):
    mask = ball(grid)
    field = background(grid, kind) * mask
    local, inside = remove(name, field, mask, grid)
    assert inside.sum() > 0.4 * mask.sum()
    size = np.sqrt(np.mean(field[inside] ** 2))
    assert np.sqrt(np.mean(local[inside] ** 2)) < 0.05 * size


def test_a_field_from_inside_stays(name, grid):
    mask = ball(grid)
    truth = dipole(grid, (2.0, -3.0, 1.0), 2.0, 1.0).astype(np.float32)
    local, inside = remove(name, truth * mask, mask, grid)
    r = np.linalg.norm(places_mm(grid) - np.array([2.0, -3.0, 1.0])[:, None, None, None], axis=0)
    near = inside & (r < 8) & (r > 2)
    slope = np.vdot(local[near], truth[near]) / np.vdot(truth[near], truth[near])
    assert 0.98 < slope < 1.02
    assert np.corrcoef(local[near], truth[near])[0, 1] > 0.97


@pytest.mark.parametrize("chi_ppm", [1.0, -1.0], ids=["blood", "calcium"])
def test_poles_and_equator_keep_their_sign(name, grid, chi_ppm):
    """A paramagnetic source: field up along B0, down across it; a diamagnetic one the reverse."""
    mask = ball(grid)
    field = (dipole(grid, (0.0, 0.0, 0.0), 2.0, chi_ppm) * mask).astype(np.float32)
    local, inside = remove(name, field, mask, grid)
    x, y, z = places_mm(grid)
    across = np.hypot(x, y)
    poles = inside & (np.abs(z) > 2.5) & (np.abs(z) < 6) & (across < 1.5)
    equator = inside & (across > 2.5) & (across < 6) & (np.abs(z) < 1.5)
    assert np.sign(chi_ppm) * local[poles].mean() > 0
    assert np.sign(chi_ppm) * local[equator].mean() < 0
    assert local[poles].mean() / local[equator].mean() == pytest.approx(
        field[poles].mean() / field[equator].mean(), rel=0.1
    )


def test_the_strongest_field_stays_in_its_place(name, grid):
    mask = ball(grid)
    field = (dipole(grid, (2.0, -3.0, 1.0), 2.0, 1.0) * mask).astype(np.float32)
    local, _ = remove(name, field, mask, grid)
    apart = places_mm(grid)[:, *np.unravel_index(np.argmax(local), grid.shape)]
    assert np.linalg.norm(apart - np.array([2.0, -3.0, 1.0])) < 4


def test_both_together_part(name, grid):
    """The operation is linear enough to tell a lesion from the air beside it."""
    mask = ball(grid)
    lesion = dipole(grid, (2.0, -3.0, 1.0), 2.0, 1.0).astype(np.float32) * mask
    air = background(grid, "air") * mask
    alone, inside = remove(name, lesion, mask, grid)
    local, both_inside = remove(name, lesion + air, mask, grid)
    np.testing.assert_array_equal(inside, both_inside)
    error = np.sqrt(np.mean((local - alone)[inside] ** 2))
    assert error < 0.05 * np.sqrt(np.mean(air[inside] ** 2))


def test_the_direction_of_the_field_does_not_matter(name):
    """Harmonic is harmonic in every direction: only the voxels count."""
    straight, oblique = Grid(SHAPE, tilted(0.0)), Grid(SHAPE, tilted(25.0))
    mask = ball(straight)
    field = (background(straight, "air") + dipole(straight, (0, 4, 0), 2.0, 1.0)) * mask
    one, _ = remove(name, field.astype(np.float32), mask, straight)
    two, _ = remove(name, field.astype(np.float32), mask, oblique)
    np.testing.assert_allclose(one, two, atol=DISCRETE.get(name, 1e-4) * np.abs(one).max())


def test_permuting_the_axes_permutes_the_field(name):
    grid = Grid(SHAPE, tilted(25.0))
    mask = ball(grid)
    field = ((background(grid, "air") + dipole(grid, (0, 4, 0), 2.0, 1.0)) * mask).astype("f4")
    local, inside = remove(name, field, mask, grid)
    order = (2, 0, 1)
    affine = grid.affine.copy()
    affine[:3, :3] = grid.affine[:3, :3][:, order]
    turned = Grid(tuple(np.array(SHAPE)[list(order)]), affine)
    other, other_inside = remove(
        name,
        np.ascontiguousarray(field.transpose(order)),
        np.ascontiguousarray(mask.transpose(order)),
        turned,
    )
    np.testing.assert_array_equal(other_inside, inside.transpose(order))
    atol = DISCRETE.get(name, 2e-3) * np.abs(local).max()
    np.testing.assert_allclose(other, local.transpose(order), atol=atol)


@pytest.mark.parametrize("factor", [-1.0, 1e-3, 40.0])
def test_the_local_field_scales_with_the_field(name, factor):
    grid = Grid(SHAPE, tilted(0.0))
    mask = ball(grid)
    field = ((background(grid, "air") + dipole(grid, (0, 4, 0), 2.0, 1.0)) * mask).astype("f4")
    local, inside = remove(name, field, mask, grid)
    scaled, scaled_inside = remove(name, (factor * field).astype(np.float32), mask, grid)
    np.testing.assert_array_equal(inside, scaled_inside)
    np.testing.assert_allclose(scaled / factor, local, atol=2e-4 * np.abs(field).max())


def test_no_field_stays_no_field(name):
    grid = Grid(SHAPE, tilted(0.0))
    local, _ = remove(name, np.zeros(SHAPE, np.float32), ball(grid), grid)
    assert local.dtype == np.float32
    assert not local.any()


def test_zero_outside_a_mask_that_only_shrinks(name, grid):
    mask = ball(grid)
    field = background(grid, "air") * mask
    local, inside = remove(name, field, mask, grid)
    assert inside.dtype == bool
    assert not (inside & ~mask).any()
    assert not local[~inside].any()


def test_what_lies_outside_the_mask_does_not_matter(name):
    grid = Grid(SHAPE, tilted(0.0))
    mask = ball(grid)
    field = background(grid, "air") * mask
    littered = np.where(mask, field, 50.0).astype(np.float32)
    np.testing.assert_array_equal(
        remove(name, littered, mask, grid)[0], remove(name, field, mask, grid)[0]
    )


def test_inputs_are_left_alone(name):
    grid = Grid(SHAPE, tilted(0.0))
    mask = ball(grid)
    field = background(grid, "air") * mask
    kept, kept_mask = field.copy(), mask.copy()
    remove(name, field, mask, grid)
    np.testing.assert_array_equal(field, kept)
    np.testing.assert_array_equal(mask, kept_mask)


@pytest.mark.parametrize("bad", [np.nan, -np.inf])
def test_a_field_that_is_not_finite_is_refused(name, bad):
    grid = Grid(SHAPE, tilted(0.0))
    field = np.zeros(SHAPE, np.float32)
    field[3, 4, 5] = bad
    with pytest.raises(InputError, match=r"field_ppm: 1 of .* first at \(3, 4, 5\)"):
        remove(name, field, ball(grid), grid)


def test_an_empty_mask_is_named(name):
    grid = Grid(SHAPE, tilted(0.0))
    with pytest.raises(InputError, match="mask"):
        remove(name, np.zeros(SHAPE, np.float32), np.zeros(SHAPE, bool), grid)


def test_a_mask_of_whole_numbers_is_one(name):
    """Not a list of places: a mask from a file is often of uint8."""
    grid = Grid(SHAPE, tilted(0.0))
    mask = ball(grid)
    field = background(grid, "air") * mask
    local, inside = remove(name, field, mask, grid)
    other, other_inside = remove(name, field, mask.astype(np.uint8), grid)
    np.testing.assert_array_equal(other, local)
    np.testing.assert_array_equal(other_inside, inside)


def test_weights_that_trust_nothing_are_refused(name):
    if "weights" not in METHODS[name].needs:
        return
    grid = Grid(SHAPE, tilted(0.0))
    mask = ball(grid)
    available = {"field_ppm": background(grid, "air") * mask, "mask": mask, "weights": 0.0 * mask}
    with pytest.raises(InputError, match="weights: weights are 0 in the whole mask"):
        METHODS[name](available, grid=grid)


def test_double_precision_is_taken_and_single_given(name):
    grid = Grid(SHAPE, tilted(25.0))
    mask = ball(grid)
    field = ((background(grid, "air") + dipole(grid, (0, 4, 0), 2.0, 1.0)) * mask).astype("f4")
    local, _ = remove(name, field, mask, grid)
    double, _ = remove(name, field.astype(np.float64), mask, grid)
    assert local.dtype == double.dtype == np.float32
    np.testing.assert_allclose(double, local, atol=1e-5 * np.abs(field).max())


@pytest.mark.parametrize("shape", [(47, 55, 43), (46, 52, 48)], ids=["odd", "even"])
def test_odd_and_even_sizes_give_one_field(name, shape):
    """The same mask in a larger volume has the same local field."""
    grid, wide = Grid(SHAPE, tilted(25.0)), Grid(shape, tilted(25.0))
    mask = ball(grid, 19.0)
    field = ((background(grid, "air") + dipole(grid, (0, 4, 0), 2.0, 1.0)) * mask).astype("f4")
    cut = tuple(slice(0, n) for n in SHAPE)
    moved, moved_mask = np.zeros(shape, np.float32), np.zeros(shape, bool)
    moved[cut], moved_mask[cut] = field, mask
    local, inside = remove(name, field, mask, grid)
    other, other_inside = remove(name, moved, moved_mask, wide)
    np.testing.assert_array_equal(other_inside[cut], inside)
    np.testing.assert_allclose(other[cut], local, atol=1e-4 * np.abs(field).max())


@pytest.mark.parametrize("argument", ["field_ppm", "mask", "weights"])
def test_a_wrong_grid_is_named(name, argument):
    if argument == "weights" and argument not in METHODS[name].needs:
        return
    grid = Grid(SHAPE, tilted(0.0))
    available = {"field_ppm": np.zeros(SHAPE, np.float32), "mask": ball(grid)}
    available["weights"] = available["mask"].astype(np.float32)
    available[argument] = available[argument][:-1]
    with pytest.raises(GridMismatchError, match=argument):
        METHODS[name](available, grid=grid)


def test_without_weights_every_voxel_counts_alike(name):
    grid = Grid(SHAPE, tilted(0.0))
    mask = ball(grid)
    field = background(grid, "air") * mask
    local, inside = remove(name, field, mask, grid)
    available = {"field_ppm": field, "mask": mask, "weights": None}
    other, other_inside = METHODS[name](available, grid=grid)
    np.testing.assert_array_equal(other_inside, inside)
    np.testing.assert_allclose(other, local, atol=1e-5 * np.abs(field).max())
