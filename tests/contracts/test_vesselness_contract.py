"""Every measure of shape: 0 to 1, place, scale, turn, and manners."""

import numpy as np
import pytest

from petechia.anatomy.vesselness import METHODS
from petechia.core.grid import Grid
from petechia.errors import GridMismatchError, InputError

GRID = Grid.from_spacing((29, 27, 21), (0.9, 1.0, 1.4))


@pytest.fixture(params=sorted(METHODS))
def name(request) -> str:
    return request.param


def places(grid: Grid = GRID) -> np.ndarray:
    """Millimetres from the middle voxel."""
    index = np.stack(np.indices(grid.shape), -1) - (np.array(grid.shape) - 1) / 2
    return index * grid.spacing_mm


def tube(way=(1.0, 0.4, 0.7), radius_mm=1.2, grid: Grid = GRID) -> np.ndarray:
    d = np.asarray(way) / np.linalg.norm(way)
    at = places(grid)
    away = (at**2).sum(-1) - (at @ d) ** 2
    return np.exp(-away / (2 * radius_mm**2)).astype(np.float32)


def sheet(grid: Grid = GRID) -> np.ndarray:
    return np.exp(-(places(grid)[..., 1] ** 2) / (2 * 1.2**2)).astype(np.float32)


def measure(name: str, image: np.ndarray, grid: Grid = GRID, mask=None, **settings) -> np.ndarray:
    row = METHODS[name]
    mask = np.ones(grid.shape, bool) if mask is None else mask
    (out,) = row({"image": image, "mask": mask}, grid=grid, settings=row.settings(**settings))
    return out


def shape(name: str) -> np.ndarray:
    return sheet() if name == "plate" else tube()


def test_it_is_highest_on_its_shape_and_between_0_and_1(name):
    image = shape(name)
    found = measure(name, image)
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert found.max() <= 1
    on, off = image > 0.9, image < 0.02
    assert np.median(found[on]) > 0.5
    assert np.median(found[off]) < 0.1


def test_a_sheet_is_no_tube_and_a_tube_no_sheet(name):
    other = tube() if name == "plate" else sheet()
    own = measure(name, shape(name))[shape(name) > 0.9]
    wrong = measure(name, other)[other > 0.9]
    # the narrow ends of the volume apart
    assert np.median(wrong) < 0.4 * np.median(own)


def test_dark_shapes_are_bright_ones_negated(name):
    image = 3 - 2 * shape(name)
    np.testing.assert_allclose(measure(name, image, dark=True), measure(name, -image), atol=2e-4)


def test_dark_is_nothing_where_bright_is_asked_for(name):
    image = -shape(name)
    assert np.median(measure(name, image)[shape(name) > 0.9]) < 0.05


def test_the_unit_of_the_image_and_its_level_do_not_matter(name):
    image = shape(name)
    np.testing.assert_allclose(measure(name, 40 * image), measure(name, image), atol=2e-3)
    np.testing.assert_allclose(measure(name, image + 5), measure(name, image), atol=2e-2)


@pytest.mark.parametrize("axes", [(1, 2, 0), (2, 0, 1), (1, 0, 2)])
def test_it_turns_with_the_volume(name, axes):
    image = shape(name)
    turned = Grid(tuple(GRID.shape[a] for a in axes), GRID.affine[:, [*axes, 3]])
    found = measure(name, np.ascontiguousarray(image.transpose(axes)), turned)
    np.testing.assert_allclose(found, measure(name, image).transpose(axes), atol=3e-3)


def test_the_size_is_in_millimetres(name):
    """The same tube on other voxels has the same likeness on its axis."""
    fine = Grid.from_spacing((41, 41, 41), (0.6, 0.6, 0.6))
    if name == "plate":
        one, other = measure(name, sheet()), measure(name, sheet(fine), fine)
    else:
        one, other = measure(name, tube()), measure(name, tube(grid=fine), fine)
    assert one[14, 13, 10] == pytest.approx(other[20, 20, 20], abs=0.2)


def test_nothing_in_nothing_out(name):
    assert not measure(name, np.zeros(GRID.shape, np.float32)).any()
    assert not measure(name, tube(), mask=np.zeros(GRID.shape, bool)).any()


def test_outside_the_mask_is_0_and_need_not_be_finite(name):
    mask = np.linalg.norm(places(), axis=-1) < 9
    image = shape(name)
    image[~mask] = np.nan
    found = measure(name, image, mask=mask)
    assert not found[~mask].any()
    assert np.isfinite(found).all()
    assert found[14, 13, 10] > 0.4


def test_the_rim_of_a_mask_is_no_edge(name):
    """A level image cut by a mask has no structure but what rounding leaves."""
    mask = np.linalg.norm(places(), axis=-1) < 9
    rng = np.random.default_rng(0)
    image = shape(name) + 0.01 * rng.normal(size=GRID.shape).astype(np.float32)
    found = measure(name, image, mask=mask)
    rim = mask & (np.linalg.norm(places(), axis=-1) > 7.5) & (shape(name) < 0.02)
    assert np.median(found[rim]) < 0.15


def test_inputs_are_left_alone(name):
    image, mask = shape(name), np.ones(GRID.shape, bool)
    image.flags.writeable = mask.flags.writeable = False
    METHODS[name]({"image": image, "mask": mask}, grid=GRID)
    np.testing.assert_array_equal(image, shape(name))


def test_bad_input_is_named(name):
    image, mask = tube(), np.ones(GRID.shape, bool)
    for argument in ("image", "mask"):
        available = {"image": image, "mask": mask}
        with pytest.raises(GridMismatchError, match=argument):
            METHODS[name](available | {argument: available[argument][1:]}, grid=GRID)
    image[3, 4, 5] = np.inf
    with pytest.raises(InputError, match=r"image: .* not finite"):
        measure(name, image)
