"""What every candidate finder promises."""

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.errors import GridMismatchError, ParameterError
from petechia.lesions.candidates import METHODS
from petechia.lesions.dipole import dipole_mean

CENTRE = np.array([14.0, 17.0, 15.0])


def scene(spacing=(1.0, 1.0, 1.2), b0_dir=(0, 0, 1), moment=4.0, shape=(31, 35, 29)):
    """Return a grid and one lesion of 2 mm as every finder may see it, with mild noise."""
    rng = np.random.default_rng(3)
    grid = Grid.from_spacing(shape, spacing, b0_dir)
    index = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), -1)
    offset = (index - CENTRE) * grid.spacing_mm
    away = np.linalg.norm(offset, axis=-1)
    signal = 1 - 0.9 / (1 + np.exp((away - 2.0) / 0.3))
    field = np.zeros(shape)
    field[away > 0.1] = moment * dipole_mean(offset[away > 0.1], grid.b0_dir, grid.spacing_mm)
    chi = np.where(away < 1.2, moment / 7, 0.0)
    arrays = {
        "relative_signal": signal + rng.normal(0, 0.02, shape),
        "local_field_ppm": field + rng.normal(0, 0.003, shape),
        "field_noise_ppm": np.full(shape, 0.003),
        "chi_ppm": chi + rng.normal(0, 0.01, shape),
        "mask": np.ones(shape, dtype=bool),
    }
    arrays = {k: v if v.dtype == bool else v.astype(np.float32) for k, v in arrays.items()}
    return grid, arrays


pytestmark = pytest.mark.parametrize("name", sorted(METHODS))


def best(name, grid, arrays):
    (found,) = METHODS[name](arrays, grid=grid)
    return found


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.2), (0.7, 0.7, 1.5), (0.9, 0.9, 3.0)])
def test_the_strongest_place_is_the_lesion(name, spacing):
    grid, arrays = scene(spacing)
    found = best(name, grid, arrays)
    assert np.linalg.norm((found.places_vox[0] - CENTRE) * grid.spacing_mm) <= max(spacing)
    assert (np.diff(found.score) <= 0).all()
    assert found.places_vox.dtype == np.float32
    assert found.places_vox.shape == (len(found), 3)


@pytest.mark.parametrize("moment", [4.0, -4.0])
def test_a_sign_is_right_or_not_given(name, moment):
    grid, arrays = scene(b0_dir=(0.3, 0.5, 0.8), moment=moment)
    assert best(name, grid, arrays).sign[0] in (0, np.sign(moment))


def test_turning_the_axes_turns_the_places(name):
    grid, arrays = scene((1.0, 1.0, 1.2))
    straight = best(name, grid, arrays)
    turned = Grid.from_spacing((29, 31, 35), (1.2, 1.0, 1.0), (1, 0, 0))
    rolled = {k: np.ascontiguousarray(np.moveaxis(v, 2, 0)) for k, v in arrays.items()}
    places = best(name, turned, rolled).places_vox
    assert np.array_equal(places[0], np.roll(straight.places_vox[0], 1))


def test_nothing_is_proposed_outside_the_mask(name):
    grid, arrays = scene()
    arrays["mask"] = np.zeros(grid.shape, dtype=bool)
    assert len(best(name, grid, arrays)) == 0
    arrays["mask"][:9] = True
    places = best(name, grid, arrays).places_vox
    assert (places[:, 0] < 9).all()


def test_flat_images_hold_nothing(name):
    grid, arrays = scene()
    arrays["relative_signal"] = np.ones(grid.shape, dtype=np.float32)
    arrays["local_field_ppm"] = np.zeros(grid.shape, dtype=np.float32)
    arrays["chi_ppm"] = np.zeros(grid.shape, dtype=np.float32)
    assert len(best(name, grid, arrays)) == 0


def test_the_limit_keeps_the_strongest(name):
    grid, arrays = scene()
    settings = METHODS[name].settings(limit=1)
    (one,) = METHODS[name](arrays, grid=grid, settings=settings)
    assert len(one) == 1
    assert np.array_equal(one.places_vox[0], best(name, grid, arrays).places_vox[0])


def test_another_grid_is_refused(name):
    _, arrays = scene()
    other = Grid.from_spacing((9, 9, 9), 1.0)
    with pytest.raises(GridMismatchError, match=r"does not end in \(9, 9, 9\)"):
        METHODS[name](arrays, grid=other)


def test_a_limit_of_zero_is_refused(name):
    with pytest.raises(ParameterError, match="limit"):
        METHODS[name].settings(limit=0)


def test_inputs_are_left_alone(name):
    grid, arrays = scene()
    for array in arrays.values():
        array.setflags(write=False)
    arrays["mask"] = arrays["mask"].copy()
    arrays["mask"][:4] = False
    arrays["mask"].setflags(write=False)
    assert len(best(name, grid, arrays))


def test_scores_radii_and_signs_have_their_kinds_and_ranges(name):
    grid, arrays = scene()
    found = best(name, grid, arrays)
    assert (found.score.dtype, found.radius_mm.dtype) == (np.float32, np.float32)
    assert found.sign.dtype == np.int8
    assert set(found.sign.tolist()) <= {-1, 0, 1}
    assert (found.score > 0).all()
    assert np.isfinite(found.score).all()
    assert found.score.shape == found.radius_mm.shape == found.sign.shape == (len(found),)
    inside = (found.places_vox >= 0) & (found.places_vox <= np.array(grid.shape) - 1)
    assert inside.all()


def test_the_radius_is_in_millimetres(name):
    """Of the lesion of 2 mm, in voxels of half the size too."""
    for spacing, shape in (((1.0, 1.0, 1.2), (31, 35, 29)), ((0.5, 0.5, 0.6), (31, 35, 29))):
        grid, arrays = scene(spacing, shape=shape)
        assert 0.7 <= best(name, grid, arrays).radius_mm[0] <= 4


def test_what_lies_outside_the_mask_is_not_read(name):
    grid, arrays = scene()
    arrays["mask"] = arrays["mask"].copy()
    arrays["mask"][:6] = arrays["mask"][:, :, 24:] = False
    straight = best(name, grid, arrays)
    littered = {
        k: v if k == "mask" else np.where(arrays["mask"], v, np.float32(37)).astype(np.float32)
        for k, v in arrays.items()
    }
    other = best(name, grid, littered)
    np.testing.assert_array_equal(other.places_vox, straight.places_vox)
    np.testing.assert_allclose(other.score, straight.score, rtol=1e-4)
