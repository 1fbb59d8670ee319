"""Signs on a head whose white matter, fluid and bright places are known."""

from dataclasses import replace

import numpy as np
import pytest

from petechia.anatomy.signs.edema import find_edema
from petechia.anatomy.signs.fit import fluid_agreement
from petechia.anatomy.signs.hyperintensities import bright_white_matter, load_of, widest_mm
from petechia.anatomy.signs.lacunes import find_lacunes
from petechia.anatomy.signs.normal import over_white_matter
from petechia.anatomy.signs.places import Places
from petechia.anatomy.signs.read import (
    NAMES,
    between,
    deep,
    nothing_read,
    periventricular,
    read_flair,
)
from petechia.anatomy.sites import label_of
from petechia.core.grid import Grid
from petechia.core.morphology import distance_inside_mm

SHAPE = (76, 84, 71)
GRID = Grid(SHAPE, np.diag([1.6, 1.6, 1.6, 1.0]))
MIDDLE = (np.array(SHAPE) - 1) / 2 * 1.6
X, Y, Z = np.meshgrid(*[np.arange(n) * 1.6 - m for n, m in zip(SHAPE, MIDDLE, strict=True)],
                      indexing="ij")  # fmt: skip


def ball(centre, radius):
    x, y, z = centre
    return (X - x) ** 2 + (Y - y) ** 2 + (Z - z) ** 2 <= radius**2


BRAIN = ball((0, 0, 0), 50)
CORTEX = BRAIN & ~ball((0, 0, 0), 45)
VENTRICLES = ball((-12, 0, 0), 7) | ball((12, 0, 0), 7)


@pytest.fixture(scope="module")
def places():
    regions = np.where(X < 0, label_of("frontal", "left"), label_of("frontal", "right"))
    deep_wm = BRAIN & ball((0, 0, 0), 30)
    regions = np.where(
        deep_wm,
        np.where(X < 0, label_of("deep_periventricular_wm", "left"),
                 label_of("deep_periventricular_wm", "right")),
        regions,
    )  # fmt: skip
    regions[VENTRICLES & (X < 0)], regions[VENTRICLES & (X > 0)] = 26, 27
    white = (BRAIN & ~CORTEX & ~VENTRICLES).astype(np.float32)
    return Places(
        grid=GRID, brain=BRAIN, white=white, grey=CORTEX.astype(np.float32),
        fluid=VENTRICLES.astype(np.float32), regions=(regions * BRAIN).astype(np.int16),
        height_mm=Z.astype(np.float32), left=X < 0, depth_mm=distance_inside_mm(BRAIN, GRID),
    )  # fmt: skip


def flair(*bright, dark=(), seed=0, shade=0.4):
    image = np.where(CORTEX, 115.0, 100.0) * BRAIN
    for mask in bright:
        image[mask & BRAIN] = 180
    image[VENTRICLES] = 8
    for mask in dark:
        image[mask] = 8
    rng = np.random.default_rng(seed)
    image = image + rng.normal(0, 3, SHAPE)
    return (np.abs(image) * np.exp(shade * X / 50)).astype(np.float32)


def test_normal_white_matter_is_one_whatever_scale_and_shading(places):
    found = over_white_matter(1000 * flair(), places)
    inner = places.white.astype(bool) & (places.depth_mm > 8)
    assert abs(np.median(found.ratio[inner]) - 1) < 0.02
    sides = [np.median(found.ratio[inner & part]) for part in (X < -25, X > 25)]
    assert abs(sides[0] - sides[1]) < 0.05  # the image itself differs by half
    assert found.fluid < 0.2
    assert 1.05 < found.grey < 1.25


def test_much_disease_does_not_move_the_level(places):
    ill = ball((-12, 0, 0), 22) | ball((12, 0, 0), 22)
    found = over_white_matter(flair(ill), places)
    healthy = places.white.astype(bool) & ~ill & (places.depth_mm > 8)
    assert abs(np.median(found.ratio[healthy]) - 1) < 0.04


def test_too_little_white_matter_gives_no_level(places):
    assert over_white_matter(flair(), replace(places, white=0 * places.white)) is None
    assert over_white_matter(np.zeros(SHAPE), places) is None


def test_hyperintensity_has_the_volume_that_was_put_in(places):
    halo = (ball((-12, 0, 0), 13) | ball((12, 0, 0), 13)) & ~VENTRICLES
    focus = ball((0, -32, 0), 4)
    seen = over_white_matter(flair(halo, focus), places)
    bright = bright_white_matter(seen, places)
    true = (halo | focus) & BRAIN
    dice = 2 * (bright.mask & true).sum() / (bright.mask.sum() + true.sum())
    assert dice > 0.93
    load = load_of(bright, places)
    assert load.total_ml == pytest.approx(true.sum() * 1.6**3 / 1000, rel=0.1)
    assert 4.0 < load.reach_mm < 7.5
    assert load.covered > 0.8
    assert load.spots[0] + load.spots[1] == 1
    assert load.largest_mm == pytest.approx(8, abs=1.5)


def test_a_healthy_flair_has_none_of_the_signs(places):
    read = read_flair(over_white_matter(flair(), places), places, {})
    states = {name: sign.state for name, sign in read.signs.items()}
    assert set(states.values()) == {"no"}, states


def test_reading_does_not_hang_on_the_order_of_voxels(places):
    flip = (0, 2)
    image = flair(ball((-12, 0, 0), 14), ball((20, -25, 5), 4))
    turned = Places(
        grid=GRID,
        **{
            name: np.ascontiguousarray(np.flip(getattr(places, name), flip))
            for name in ("brain", "white", "grey", "fluid", "regions", "height_mm", "left",
                         "depth_mm")
        },
    )  # fmt: skip
    one = read_flair(over_white_matter(image, places), places, {})
    other = read_flair(over_white_matter(np.flip(image, flip).copy(), turned), turned, {})
    assert one.load.total_ml == pytest.approx(other.load.total_ml, rel=1e-3)
    assert {n: s.state for n, s in one.signs.items()} == {
        n: s.state for n, s in other.signs.items()
    }


def test_grades_follow_the_reach_and_leave_the_border_open(places):
    empty = load_of(bright_white_matter(over_white_matter(flair(), places), places), places)

    def load(reach, covered=0.9, largest=0.0, beyond=0.0):
        return replace(
            empty, periventricular_ml=9.0, reach_mm=reach, covered=covered, largest_mm=largest,
            largest_with_border_mm=max(largest, beyond),
        )  # fmt: skip

    grades = {r: periventricular(load(r)) for r in (2.0, 5.0, 7.0, 10.5, 14.0)}
    assert [(s.low, s.high) for s in grades.values()] == [(1, 1), (1, 2), (2, 2), (2, 3), (3, 3)]
    assert [s.state for s in grades.values()] == ["yes", "unsure", "yes", "unsure", "yes"]
    assert periventricular(load(8.0, covered=0.05)).high == 1  # long caps are caps
    sizes = {d: deep(load(2.0, largest=d)) for d in (0.0, 6.0, 10.0, 15.0, 20.0, 30.0)}
    assert [(s.low, s.high) for s in sizes.values()] == [
        (0, 0), (1, 1), (1, 2), (2, 2), (2, 3), (3, 3),
    ]  # fmt: skip
    # what grows out of the ventricles leaves the deep grade open upwards
    assert (deep(load(14.0, largest=6.0, beyond=30.0)).low,
            deep(load(14.0, largest=6.0, beyond=30.0)).high) == (1, 3)  # fmt: skip
    assert between(5.0, (5.0,)) == (0, 1)


def test_edema_is_told_from_a_halo_and_from_foci(places):
    patch = ball((-30, 14, 14), 13)
    halo = (ball((-12, 0, 0), 17) | ball((12, 0, 0), 17)) & ~VENTRICLES
    spots = [ball((20, -25, 5), 4), ball((-5, 35, 0), 3)]
    for bright, expected in (((halo, *spots), "no"), ((patch, halo), "yes")):
        seen = over_white_matter(flair(*bright), places)
        read = read_flair(seen, places, {})
        assert read.signs["edema"].state == expected, read.signs["edema"]
    patches, mask = find_edema(
        over_white_matter(flair(patch), places), places,
        bright_white_matter(over_white_matter(flair(patch), places), places),
    )  # fmt: skip
    true = patch & BRAIN
    assert 2 * (mask & true).sum() / (mask.sum() + true.sum()) > 0.8
    away = np.subtract(patches[0].at_mm, np.add((-30, 14, 14), MIDDLE))
    assert np.linalg.norm(away) < 3


def test_a_rimmed_cavity_is_a_lacune_and_a_ventricle_is_none(places):
    hole, rim = ball((0, 28, 0), 4), ball((0, 28, 0), 7)
    scan = flair(rim, dark=(hole,))
    t2w = np.where(hole | VENTRICLES, 300.0, 100.0) * BRAIN
    seen = over_white_matter(scan, places)
    bright = bright_white_matter(seen, places)
    other = {"T2w": over_white_matter(t2w, places)}
    (found,) = find_lacunes(seen, places, bright.ventricles, other)
    assert found.sure
    assert found.diameter_mm == pytest.approx(8, abs=1.2)
    assert np.allclose(found.at_mm, np.add((0, 28, 0), MIDDLE), atol=1.0)
    (alone,) = find_lacunes(seen, places, bright.ventricles, {})
    assert not alone.sure  # one contrast is not enough
    solid = {"T2w": over_white_matter(np.where(VENTRICLES, 300.0, 100.0) * BRAIN, places)}
    assert find_lacunes(seen, places, bright.ventricles, solid) == []  # no fluid in it


def test_fluid_agrees_only_where_it_lies():
    fluid = (ball((-12, 0, 0), 9) | ball((12, 10, 5), 8)).astype(np.float32)
    rng = np.random.default_rng(2)
    image = np.where(fluid > 0, 20.0, 100.0) + rng.normal(0, 8, SHAPE)
    own = fluid_agreement(fluid, BRAIN, GRID, image, GRID, np.eye(4), False)
    assert own > 0.99
    away = np.eye(4)
    away[:3, 3] = (14, -9, 6)
    assert fluid_agreement(fluid, BRAIN, GRID, image, GRID, away, False) < 0.7
    bright = fluid_agreement(fluid, BRAIN, GRID, 200 - image, GRID, np.eye(4), True)
    assert bright == pytest.approx(own, abs=0.01)
    assert np.isnan(fluid_agreement(0 * fluid, BRAIN, GRID, image, GRID, np.eye(4), False))


def test_what_is_never_read_says_why():
    """Numbers that were far from the truth are not shown, and no effusion is claimed or denied."""
    told = nothing_read("the exam has no FLAIR")
    assert set(told) == set(NAMES)
    assert {s.state for s in told.values()} == {"not_assessed"}
    assert "far from the truth" in told["basal_ganglia_pvs"].why
    assert "does not read it" in told["sulcal_effusion"].why
    assert told["edema"].why == "the exam has no FLAIR"


def test_width_is_of_the_largest_slice():
    assert widest_mm(ball((0, 0, 0), 10), GRID) == pytest.approx(20, abs=1.2)
    assert widest_mm(np.zeros(SHAPE, dtype=bool), GRID) == 0
