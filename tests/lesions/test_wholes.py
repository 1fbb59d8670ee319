from types import SimpleNamespace

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.lesions import anew
from petechia.lesions.classify import Verdict
from petechia.lesions.known import Features
from petechia.lesions.rows import Measured
from petechia.lesions.shape import Shape
from petechia.lesions.sources import Sources
from petechia.lesions.tube import Tube
from petechia.lesions.void import Void
from petechia.lesions.wholes import WAIST, extent_mm, waist, wholes_of

SHAPE = (40, 24, 20)


def voxels(grid, *balls, wide=1.0):
    """Return the voxels of balls (centre [mm], radius [mm]); `wide` stretches the first axis."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), -1)
    at = index * grid.spacing_mm
    good = np.zeros(grid.shape, dtype=bool)
    for centre, radius in balls:
        offset = (at - centre) / np.array([wide, 1, 1])
        good |= (offset**2).sum(axis=-1) <= radius**2
    return np.argwhere(good)


def cut(body, *places, axis=0):
    """Return a body in parts along an axis."""
    return [body[np.digitize(body[:, axis], places) == n] for n in range(len(places) + 1)]


@pytest.fixture
def grid():
    return Grid.from_spacing(SHAPE, 0.5)


def test_halves_of_an_oval_are_one_and_two_balls_that_touch_are_two(grid):
    middle = np.array([10.0, 6.0, 5.0])
    halves = cut(voxels(grid, (middle, 1.8), wide=1.9), 20)
    assert wholes_of(halves, grid) == [[0, 1]]
    aside = np.array([1.8, 0, 0])
    balls = cut(voxels(grid, (middle - aside, 1.8), (middle + aside, 1.8)), 20)
    assert wholes_of(balls, grid) == [[0], [1]]


@pytest.mark.parametrize("apart_mm", [2.0, 3.0, 3.6])
def test_the_waist_of_two_equal_balls_that_overlap(apart_mm):
    """Their common disc over the section of half their union, taken for a ball."""
    grid = Grid.from_spacing((96, 56, 56), 0.2)
    radius, middle, half = 2.0, np.array([9.5, 5.5, 5.5]), 0.5 * apart_mm
    aside = np.array([half, 0, 0])
    balls = [(middle - aside, radius), (middle + aside, radius)]
    one, other = cut(voxels(grid, *balls), 48)
    ball = np.cbrt(0.75 / np.pi * len(one) * grid.voxel_mm3)
    disc = radius**2 - (half - 0.1) ** 2  # where the voxels beside it have their centres
    assert waist(one, other, grid) == pytest.approx(disc / ball**2, rel=0.06)
    assert waist(one, other, grid) == waist(other, one, grid)


def test_a_chain_is_put_together_piece_by_piece_and_named_after_its_first(grid):
    body = voxels(grid, (np.array([10.0, 6.0, 5.0]), 1.3), wide=2.6)
    left, middle, right = cut(body, 17, 24)
    assert wholes_of([right, left], grid) == [[0], [1]]  # they do not touch
    assert wholes_of([right, left, middle], grid) == [[0, 2, 1]]
    far = body + np.array([0, 8, 0])
    assert wholes_of([left, far, middle, right], grid) == [[0, 2, 3], [1]]


def test_what_is_not_likely_joins_but_is_no_lesion_of_its_own(grid):
    left, middle, right = cut(voxels(grid, (np.array([10.0, 6.0, 5.0]), 1.3), wide=2.6), 17, 24)
    assert wholes_of([left, right, middle], grid, 2) == [[0, 2, 1]]
    assert wholes_of([left, right, middle], grid, 1) == [[0, 2, 1]]
    assert wholes_of([left, middle + np.array([0, 9, 0]), right], grid, 1) == [[0]]
    assert wholes_of([left, middle], grid, 0) == []


def test_what_is_not_likely_joins_nothing_that_it_is_much_larger_than(grid):
    left, middle, _ = cut(voxels(grid, (np.array([10.0, 6.0, 5.0]), 1.3), wide=2.6), 17, 24)
    times = len(middle) / len(left)
    assert wholes_of([left, middle], grid, 1, times) == [[0, 1]]
    assert wholes_of([left, middle], grid, 1, 0.99 * times) == [[0]]
    assert wholes_of([left, middle], grid, 2, 0.99 * times) == [[0, 1]]


def test_how_an_array_is_stored_does_not_put_voids_together():
    """It is 10.5 mm long from edge to edge, and that lies in the scanner's slices."""
    grid = Grid.from_spacing((40, 40, 40), 0.5)
    body = voxels(grid, (np.array([10.0, 10.0, 10.0]), 2.2), wide=2.3)
    assert extent_mm(body, grid) == 10
    told = set()
    for order in ((0, 1, 2), (1, 0, 2), (2, 1, 0), (1, 2, 0)):
        affine = grid.affine.copy()
        affine[:, :3] = affine[:, :3][:, order]
        parts = cut(body[:, order], 20, axis=order.index(0))
        told.add(len(wholes_of(parts, Grid(grid.shape, affine))))
    assert told == {2}


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_what_is_too_long_for_a_microbleed_stays_in_pieces_whatever_its_way(axis):
    grid = Grid.from_spacing((40, 40, 40), 0.5)
    body = voxels(grid, (np.array([10.0, 10.0, 10.0]), 2.2), wide=2.6)
    assert extent_mm(body, grid) > 10
    body = np.roll(body, axis, axis=1)
    assert wholes_of(cut(body, 20, axis=axis), grid) == [[0], [1]]
    # a vessel is not taken up piece by piece
    rod = np.argwhere(np.ones((3, 3, 36), dtype=bool)) + np.array([18, 18, 2])
    rod = np.roll(rod, axis + 1, axis=1)
    (whole,) = wholes_of(cut(rod, 8, 14, 20, 26, 32, axis=axis), grid, 1)
    assert len(whole) < 5


@pytest.mark.parametrize("way", [(1, 0, 0), (1, 1, 0), (1, 1, 1)])
def test_a_waist_is_as_wide_whatever_way_it_lies(way):
    grid = Grid.from_spacing((72, 72, 72), 0.25)
    middle, half = np.array([9.0, 9.0, 9.0]), 1.5 * np.array(way) / np.linalg.norm(way)
    body = voxels(grid, (middle - half, 2.0), (middle + half, 2.0))
    side = (body * grid.spacing_mm - middle) @ np.array(way) > 0
    radius = np.cbrt(0.75 / np.pi * min(side.sum(), (~side).sum()) * grid.voxel_mm3)
    assert waist(body[side], body[~side], grid) == pytest.approx(1.75 / radius**2, rel=0.15)


@pytest.mark.parametrize("spacing", [(0.5, 0.5, 0.5), (0.5, 0.6, 1.0), (1.0, 0.5, 0.5)])
def test_axes_and_order_do_not_matter(spacing):
    grid = Grid.from_spacing((40, 40, 40), spacing)
    middle = np.rint(np.array([20, 20, 20])) * grid.spacing_mm
    parts = cut(voxels(grid, (middle, 1.9), wide=1.5), 20)
    here = waist(*parts, grid)
    assert here > WAIST
    turned = Grid.from_spacing((40, 40, 40), np.roll(spacing, 1))
    assert waist(*[np.roll(p, 1, axis=1) for p in parts], turned) == pytest.approx(here)
    assert wholes_of(parts[::-1], grid) == [[0, 1]]


def test_no_voids_no_wholes(grid):
    assert wholes_of([], grid) == []


def spot(body, class_, sign):
    """Return a measured void of some class; its form does not matter here."""
    shape = Shape(
        centre_vox=(0, 0, 0), n_voxels=len(body), volume_mm3=9.0, diameter_mm=2.0, stored_mm=2.0,
        radius_mm=1.0, sphericity=0.8, elongation=1.2, flatness=1.2, margin_sharpness=0.5,
        homogeneity=0.6, parenchyma_fraction=0.9, outside_fraction=0.0, depth=0.8,
    )  # fmt: skip
    void = Void(
        body=body, tail=body[:0], seed_vox=body[0], background=1.0, least=0.2, inscribed_mm=1.0
    )
    told = Verdict(
        class_=class_, sign=sign, probability=0.9 * (class_ == "microbleed"), evidence=""
    )
    return Measured(
        void=void,
        features=Features(shape=shape, noise=0.03, tube=Tube(through=0.1, one_way=0.1)),
        verdict=told,
    )


def test_what_has_joined_a_microbleed_is_no_piece_of_a_stone_as_well(grid, monkeypatch):
    """In a row: a microbleed, calcium of no clear sign that joins it, and a diamagnetic crumb."""
    body = voxels(grid, (np.array([10.0, 6.0, 5.0]), 1.3), wide=2.6)
    parts = cut(body, 19, 23)
    kinds = [
        ("microbleed", "paramagnetic"), ("calcification", "unclear"), ("vessel", "diamagnetic"),
    ]  # fmt: skip
    spots = [spot(part, *kind) for part, kind in zip(parts, kinds, strict=True)]

    def together(measured, pieces, *_):
        bodies = [measured[n].void.body for n in pieces]
        return spot(np.concatenate(bodies), *kinds[pieces[0]])

    monkeypatch.setattr(anew, "_together", together)
    named = [lambda _, s=s: s.verdict for s in spots]
    out = anew.in_wholes(spots, named, None, SimpleNamespace(grid=grid), None)
    assert [m.verdict.class_ for m in out] == ["microbleed", "vessel"]
    assert [len(m.void.body) for m in out] == [len(parts[0]) + len(parts[1]), len(parts[2])]


def test_a_tail_that_is_no_part_of_a_lobe_stays_in_the_error(grid):
    """The body alone, and body and tail: of the second nothing is left unread."""
    body, tail = cut(voxels(grid, (np.array([10.0, 6.0, 5.0]), 1.3), wide=2.6), 23)
    void = Void(body=body, tail=tail, seed_vox=body[0], background=1.0, least=0.2, inscribed_mm=1.0)
    unread = []
    asked = SimpleNamespace(
        near=SimpleNamespace(grid=grid), _fit_as=lambda *told: unread.append(told[-1])
    )
    assert Sources.fit_lobes(asked, 0, void, np.zeros(SHAPE, np.float32)) is None
    assert unread == [pytest.approx(len(tail) / (len(body) + len(tail))), 0.0]
