from types import SimpleNamespace

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.errors import ParameterError
from petechia.lesions.detect import detect
from petechia.lesions.look import look
from petechia.lesions.params import DetectParams
from petechia.lesions.shape import measure_shape
from petechia.lesions.shortlist import (
    EVEN,
    LARGE,
    MEASURES,
    THICK,
    THIN,
    ShortlistParams,
    best,
    measured,
    promise,
    strongest,
    symmetric_depth,
    trained_worth,
    worth,
)
from petechia.lesions.trees import Trees
from petechia.lesions.tube import continuation
from petechia.lesions.void import grow_voids
from petechia.pipeline.detector import detector

SHAPE = (31, 33, 29)
BALL, ROD = (9.0, 16.0, 14.0), (22.0, 16.0, 14.0)


def scene(spacing=(1.0, 1.0, 1.0), along=(0.0, 0.3, 1.0)):
    """A dark ball of 1.5 mm and a rod as wide, long and as dark, in smooth tissue."""
    grid = Grid.from_spacing(SHAPE, spacing)
    at = np.stack(np.meshgrid(*[np.arange(n) for n in SHAPE], indexing="ij"), -1) * spacing
    ball = np.linalg.norm(at - np.multiply(BALL, spacing), axis=-1)
    u = np.divide(along, np.linalg.norm(along))
    r = at - np.multiply(ROD, spacing)
    rod = np.linalg.norm(r - (r @ u)[..., None] * u, axis=-1)
    near = np.minimum(ball, rod)
    signal = (1 - 0.8 * np.clip(2.0 - near, 0, 1)).astype(np.float32)
    return signal, np.ones(SHAPE, dtype=bool), grid


def told_of_the_ball(symmetric=0.8):
    """Return what is measured of the ball."""
    signal, mask, grid = scene()
    void, _ = grow_voids(signal, 0.02, mask, np.array([BALL, ROD]), grid)
    shape = measure_shape(void, signal, mask, signal < 0.6, grid)
    tube = continuation(1 - signal, mask, shape, grid)
    return measured(void, shape, tube, symmetric, 0.02, grid.voxel_mm3)


def stump(name, below, above, at=0.5):
    """Return trees of one question: is a measure more than `at`?"""
    return Trees(
        baseline=np.zeros(1), root=np.zeros(1, np.int32), column=np.zeros(1, np.int32),
        feature=np.array([MEASURES.index(name), -1, -1], np.int16),
        threshold=np.array([at, 0.0, 0.0]), left=np.array([1, 0, 0], np.int32),
        right=np.array([2, 0, 0], np.int32), missing_left=np.zeros(3, bool),
        value=np.array([0.0, below, above]),
    )  # fmt: skip


def judged(signal, mask, grid, order=THIN):
    """Return symmetric depth and worth of the ball and of the rod, by a table or by trees."""
    voids = grow_voids(signal, 0.02, mask, np.array([BALL, ROD]), grid)
    assert len(voids) == 2
    depth = symmetric_depth(signal, mask, voids, grid)
    dark = signal < 0.6
    out = []
    for void, d in zip(voids, depth, strict=True):
        shape = measure_shape(void, signal, mask, dark, grid)
        tube = continuation(1 - signal, mask, shape, grid)
        told = measured(void, shape, tube, float(d), 0.02, grid.voxel_mm3)
        trained = isinstance(order, Trees)
        out.append((float(d), trained_worth([told], order)[0] if trained else worth(told, order)))
    return out


@pytest.mark.parametrize("along", [(0, 0, 1), (0, 1, 0), (0, 1, 1)])
@pytest.mark.parametrize("spacing", [(1, 1, 1), (0.7, 0.9, 1.4)])
def test_a_spot_is_worth_more_than_a_vein(spacing, along):
    (ball, spot), (rod, vein) = judged(*scene(spacing, along))
    assert ball == pytest.approx(0.8, abs=0.05)
    assert rod < 0.65 * ball
    assert spot > vein + 3


@pytest.mark.parametrize("along", [(0, 0, 1), (0, 1, 1)])
@pytest.mark.parametrize("spacing", [(1, 1, 1), (0.7, 0.9, 1.4)])
def test_so_it_is_by_the_trained_order(spacing, along):
    (_, spot), (_, vein) = judged(*scene(spacing, along), detector().order)
    assert spot > vein + 3


def test_a_trained_order_asks_its_columns_by_name_and_raises_what_is_large():
    told = told_of_the_ball()
    assert set(MEASURES) == set(told)
    large = {"inscribed_mm": 3.0, "sphericity": 0.9, "outside": 0.1}
    for name in MEASURES:
        low, high = ({**told, "inscribed_mm": 1.0, name: value} for value in (0.0, 1.0))
        assert trained_worth([low, high], stump(name, -1.0, 2.0)) == pytest.approx(
            [EVEN - 1, EVEN + 2]
        )
    many = trained_worth([told | large, told | large | {"outside": 0.3}], stump("depth", 0.0, 0.0))
    assert many == pytest.approx([EVEN + LARGE, EVEN])
    assert trained_worth([], stump("depth", 0.0, 0.0)).shape == (0,)


def test_the_order_that_is_given_makes_the_list(phantom):
    """With a list of one: of the voids that the usual order puts last, where that is asked for."""
    params = DetectParams(shortlist=ShortlistParams(most=1, sure=np.inf))
    inputs = phantom.inputs()
    deep, shallow = (
        look(inputs, params, stump("depth", *values)).features for values in ((0, 1), (1, 0))
    )
    assert min(f.shape.depth for f in deep) > 0.5
    assert max(f.shape.depth for f in shallow) < 0.5


@pytest.mark.parametrize("along", [(0, 1, 0), (1, 2, 0)])
@pytest.mark.parametrize("across", [3.0, 4.5])
def test_in_thick_slices_a_spot_comes_before_a_vein_that_lies_in_them(across, along):
    signal, mask, grid = scene((0.8, 0.9, across), along)
    (_, spot), (_, vein) = judged(signal, mask, grid, THICK)
    assert spot > vein + 2


def test_each_order_asks_for_what_is_measured():
    told = told_of_the_ball()
    for order in (THIN, THICK):
        assert set(order) <= set(told)
        for knots, values in order.values():
            assert list(knots) == sorted(knots)
            assert len(knots) == len(values)
    assert worth(told | {"through": 0.8}, THICK) < worth(told, THICK) - 3
    assert worth(told | {"through": 0.8}) < worth(told) - 3


def test_the_order_does_not_depend_on_how_the_volume_is_stored():
    signal, mask, grid = scene()
    told = judged(signal, mask, grid)
    voids = grow_voids(signal, 0.02, mask, np.array([BALL, ROD]), grid)
    depth = symmetric_depth(signal, mask, voids, grid)
    turned = np.ascontiguousarray(signal.transpose(2, 0, 1)[::-1])
    places = [np.array([SHAPE[2] - 1 - p[2], p[0], p[1]]) for p in (BALL, ROD)]
    there = Grid(turned.shape)
    voids = grow_voids(turned, 0.02, np.ones(turned.shape, bool), np.array(places), there)
    again = symmetric_depth(turned, np.ones(turned.shape, bool), voids, there)
    assert again == pytest.approx(depth, abs=1e-6)
    assert depth == pytest.approx([d for d, _ in told])


def test_beyond_the_mask_nothing_rises():
    signal, mask, grid = scene()
    mask[:8] = False
    voids = grow_voids(signal, 0.02, mask, np.array([BALL]), grid)
    assert symmetric_depth(signal, mask, voids, grid)[0] < 0.5
    assert symmetric_depth(signal, mask, [], grid).shape == (0,)


def test_what_touches_a_vein_or_is_strong_in_the_map_is_not_forgotten():
    signal, mask, grid = scene()
    ball, rod = grow_voids(signal, 0.02, mask, np.array([BALL, ROD]), grid)
    chi = np.zeros(SHAPE, dtype=np.float32)
    chi[tuple(rod.body[0])], chi[tuple(ball.body[0])] = -0.5, 0.1
    assert strongest(chi, mask, [ball, rod]) == pytest.approx([0.1, 0.5])
    assert strongest(chi, ~mask, [ball, rod]).tolist() == [0, 0]
    assert strongest(None, mask, [ball, rod]).tolist() == [0, 0]
    known, strong = promise(np.zeros(2), [ball, ball], np.array([0.0, 0.5]))
    assert strong == pytest.approx(known + 0.5)


def test_a_large_round_void_is_raised_whatever_lies_beside_it():
    told = told_of_the_ball(symmetric=0.2)
    large = told | {"inscribed_mm": 3.0, "sphericity": 0.9, "outside": 0.1}
    for order in (THIN, THICK):
        plain = [worth(large | one, order) for one in (
            {"inscribed_mm": 1.5}, {"sphericity": 0.75}, {"outside": 0.25},
        )]  # fmt: skip
        assert worth(large, order) > max(plain) + 1


def test_best_keeps_the_order_and_all_that_is_sure():
    assert best([3.0, 1.0, 2.0, 2.0], 2).tolist() == [0, 2]
    assert best([3.0, 1.0, 2.0, 2.0], 1, sure=1.5).tolist() == [0, 2, 3]
    assert best([], 5).tolist() == []


def test_a_short_list_keeps_the_lesions_and_says_what_it_left(phantom):
    params = DetectParams(shortlist=ShortlistParams(most=4, sure=np.inf))
    few = detect(phantom.inputs(), params)
    assert len(few.findings) == 4
    assert any("dark spots were seen; the 4 most" in text for text in few.says)
    assert sum(f.counted for f in few.findings) == 3


def test_bad_settings_are_named():
    with pytest.raises(ParameterError, match="most=9, most_shaped=3"):
        ShortlistParams(most=9, most_shaped=3)


def test_the_rise_is_looked_for_within_twice_the_inscribed_radius_and_a_half():
    """Signal that rises by 0.1 a millimetre; 7.5 mm hold four steps along a diagonal."""
    grid = Grid.from_spacing(SHAPE, 1.0)
    middle = np.array([15, 16, 14])
    away = np.linalg.norm(np.moveaxis(np.indices(SHAPE), 0, -1) - middle, axis=-1)
    void = SimpleNamespace(seed_vox=middle, inscribed_mm=3.0, background=1.0)
    mask = np.ones(SHAPE, dtype=bool)
    (found,) = symmetric_depth((0.1 * away).astype(np.float32), mask, [void], grid)
    assert found == pytest.approx(0.1 * 4 * 3**0.5, abs=1e-5)
