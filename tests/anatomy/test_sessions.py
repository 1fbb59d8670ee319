"""Two sessions of one head: known turns come back, and exchanging them turns the map round."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from petechia.anatomy.parts import parts_apart_mm
from petechia.anatomy.sessions import (
    SessionImage,
    SessionParams,
    halfway,
    mean_rigid,
    register_sessions,
)
from petechia.core.grid import Grid
from petechia.errors import InputError, ParameterError

FAST = SessionParams(steps_mm=(9.0, 4.5))


def rigid(degrees, shift_mm):
    out = np.eye(4)
    out[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    out[:3, 3] = shift_mm
    return out


def head(places_mm, seed=0, bent_mm=0.0):
    """Return what a made-up head of lumps looks like at places, and whether it is brain.

    Bent, its outline stays, and all that lies within is elsewhere, here this way, there that.
    """
    rng = np.random.default_rng(seed)
    inside = np.linalg.norm(places_mm / np.array([62.0, 78.0, 55.0]), axis=-1) < 1
    places_mm = places_mm + bent_mm * np.sin(places_mm[..., [1, 2, 0]] / 18)
    value = np.ones(places_mm.shape[:-1])
    for _ in range(150):
        at, width, high = rng.uniform(-60, 60, 3), rng.uniform(4, 9), rng.uniform(-0.7, 0.7)
        value += high * np.exp(-(((places_mm - at) / width) ** 2).sum(axis=-1))
    return np.clip(value, 0.05, None), inside


def session(matrix, grid, contrast=lambda v: v, seed=0, noise=0.02, bent_mm=0.0):
    """Return a head seen by a scanner; `matrix` brings head places to scanner places."""
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1)
    back = np.linalg.inv(matrix)
    value, inside = head(grid.to_mm(index) @ back[:3, :3].T + back[:3, 3], seed, bent_mm)
    image = contrast(value) * inside
    image = image + noise * np.random.default_rng(seed + 7).normal(size=image.shape)
    return SessionImage(image=np.abs(image).astype(np.float32), mask=inside, grid=grid)


@pytest.fixture(scope="module")
def pair():
    one = Grid(
        (47, 57, 43),
        np.diag([3.4, 3.4, 3.4, 1.0]) + np.array([[0, 0, 0, v] for v in (-78, -95, -72, 0)]),
    )
    tilted = rigid((14, -6, 4), (0, 0, 0)) @ np.diag([2.9, 2.9, 5.2, 1.0])
    other = Grid((57, 67, 33), tilted)
    tilted[:3, 3] = np.array([9.0, -4.0, 13.0]) - other.to_mm((np.array(other.shape) - 1) / 2)
    other = Grid(other.shape, tilted)
    moved = rigid((-9, 4, 6), (7, -5, 16))
    return session(np.eye(4), one), session(moved, other, lambda v: 2.2 - v), moved


def test_a_known_turn_comes_back_whatever_the_contrast(pair):
    first, second, moved = pair
    fit = register_sessions(first, second, FAST)
    places = first.grid.to_mm(np.argwhere(first.mask)[::501])
    error = np.linalg.norm(
        fit.to_second(places) - (places @ moved[:3, :3].T + moved[:3, 3]), axis=1
    )
    assert fit.ok, fit.says
    assert error.max() < 1.2  # compared on voxels of 4.5 mm
    assert 0 < fit.uncertainty_mm < 1.2
    turn = fit.matrix[:3, :3]
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-9)

    exchanged = register_sessions(second, first, FAST)
    np.testing.assert_allclose(exchanged.matrix @ fit.matrix, np.eye(4), atol=1e-6)
    assert exchanged.uncertainty_mm == pytest.approx(fit.uncertainty_mm, rel=0.05)

    back = fit.inverse.to_second(fit.to_second(places))
    np.testing.assert_allclose(back, places, atol=1e-9)
    shown = fit.brought(second.image, second.grid, first.grid)
    # inverted contrast: what is bright in one is dark in the other
    assert np.corrcoef(shown[first.mask], first.image[first.mask])[0, 1] < -0.4


def test_another_head_is_refused(pair):
    first, _, _ = pair
    stranger = session(np.eye(4), first.grid, seed=5)
    fit = register_sessions(first, stranger, FAST)
    assert not fit.ok
    assert "not registered" in fit.says


def test_a_head_of_the_same_form_whose_parts_lie_elsewhere_is_refused(pair):
    first, second, _ = pair
    assert register_sessions(first, second, FAST).bent_mm < 0.9
    fit = register_sessions(first, session(np.eye(4), first.grid, bent_mm=4.0), FAST)
    assert fit.bent_mm > 1.7
    assert not fit.ok
    assert "two people's heads" in fit.says


def test_parts_are_found_where_they_were_moved_to():
    grid = Grid((64, 60, 56), np.diag([2.0, 2.0, 2.0, 1.0]))
    rng = np.random.default_rng(3)
    image = ndimage.gaussian_filter(rng.normal(size=grid.shape), 2.0).astype(np.float32)
    where = np.zeros(grid.shape, dtype=bool)
    where[5:-5, 5:-5, 5:-5] = True
    assert parts_apart_mm(image, 1 - image, where, grid) < 0.1
    moved = ndimage.shift(image, (1.25, 0, -0.9), order=1)
    assert parts_apart_mm(image, moved, where, grid) == pytest.approx(np.hypot(2.5, 1.8), abs=0.4)
    assert np.isnan(parts_apart_mm(image, image, where & False, grid))


def test_a_brain_that_is_cut_elsewhere_still_fits(pair):
    first, second, moved = pair
    part = (slice(0, 57), slice(0, 67), slice(0, 24))
    cut = SessionImage(image=second.image[part], mask=second.mask[part], grid=second.grid.cut(part))
    fit = register_sessions(first, cut, FAST)
    places = np.array([[0.0, 0.0, 0.0], [30.0, -20.0, 0.0]])
    there = places @ moved[:3, :3].T + moved[:3, 3]
    assert fit.ok, fit.says
    assert np.linalg.norm(fit.to_second(places) - there, axis=1).max() < 1.5


def test_halves_of_rigid_maps():
    whole = rigid((20, -10, 5), (4, 5, -6))
    np.testing.assert_allclose(halfway(whole) @ halfway(whole), whole, atol=1e-12)
    np.testing.assert_allclose(
        halfway(np.linalg.inv(whole)), np.linalg.inv(halfway(whole)), atol=1e-12
    )
    other = rigid((21, -9, 5), (4, 6, -6))
    np.testing.assert_allclose(mean_rigid(whole, other), mean_rigid(other, whole), atol=1e-9)
    np.testing.assert_allclose(mean_rigid(whole, whole), whole, atol=1e-12)


def test_what_cannot_be_compared_is_said(pair):
    first, _, _ = pair
    empty = SessionImage(image=first.image, mask=np.zeros_like(first.mask), grid=first.grid)
    with pytest.raises(InputError, match="no brain"):
        register_sessions(first, empty)
    with pytest.raises(ParameterError, match="SessionParams"):
        SessionParams(steps_mm=())
