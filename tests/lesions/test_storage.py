"""How a scan is stored: order and signs of its axes, order of proposed places, rounded headers."""

import itertools
import warnings
from dataclasses import replace

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.errors import ParameterError
from petechia.lesions.detect import detect
from petechia.lesions.look import look
from petechia.lesions.params import DetectParams
from petechia.lesions.pieces import Voids
from petechia.lesions.shape import in_plane_diameter, measure_shape
from petechia.lesions.tube import continuation
from petechia.lesions.void import Void, _body, grow_voids

WAYS = [((0, 1, 2), (0,)), ((0, 1, 2), (0, 1, 2)), ((2, 0, 1), ()), ((1, 0, 2), (1, 2))]
BASE = Grid.from_spacing((34, 30, 26), (0.8, 0.9, 1.3), (0.2, -0.1, 0.97))


def stored(volume, way):
    order, flips = way
    return np.ascontiguousarray(np.flip(volume.transpose(order), flips))


def stored_places(places, way, shape=BASE.shape):
    order, flips = way
    out = places[:, order].copy()
    for axis in flips:
        out[:, axis] = shape[order[axis]] - 1 - out[:, axis]
    return out


def stored_grid(grid, way):
    order, flips = way
    affine = grid.affine.copy()
    affine[:3, :3] = affine[:3, :3][:, order]
    for axis in flips:
        affine[:3, 3] += affine[:3, axis] * (grid.shape[order[axis]] - 1)
        affine[:3, axis] *= -1
    return Grid(tuple(grid.shape[n] for n in order), affine)


def tangle(seed=0):
    """Return dark tubes and dots with noise."""
    rng = np.random.default_rng(seed)
    at = np.stack(np.indices(BASE.shape), -1) * BASE.spacing_mm
    signal = np.ones(BASE.shape)
    for _ in range(9):
        through, along = rng.uniform(4, 22, 3), rng.normal(size=3)
        along /= np.linalg.norm(along)
        off = at - through
        away = np.linalg.norm(off - (off @ along)[..., None] * along, axis=-1)
        signal -= 0.7 * np.exp(-0.5 * (away / 0.9) ** 2)
    for _ in range(9):
        away = np.linalg.norm(at - rng.uniform(3, 22, 3), axis=-1)
        signal -= 0.8 * np.exp(-0.5 * (away / 1.2) ** 2)
    return (np.clip(signal, 0, 1) + rng.normal(0, 0.02, BASE.shape)).astype(np.float32)


SIGNAL, MASK = tangle(), np.ones(BASE.shape, dtype=bool)
PLACES = np.argwhere(SIGNAL < 0.6)[::7]


def bodies(voids):
    return {frozenset(map(tuple, v.body.tolist())) for v in voids}


@pytest.mark.parametrize("way", WAYS)
def test_voids_do_not_depend_on_how_the_scan_is_stored(way):
    here = grow_voids(SIGNAL, 0.02, MASK, PLACES, BASE)
    there = grow_voids(
        stored(SIGNAL, way), 0.02, stored(MASK, way), stored_places(PLACES, way),
        stored_grid(BASE, way),
    )  # fmt: skip
    assert len(here) > 30
    assert bodies(there) == {
        frozenset(map(tuple, stored_places(v.body, way).tolist())) for v in here
    }


def test_voids_do_not_depend_on_the_order_of_the_places():
    here = grow_voids(SIGNAL, 0.02, MASK, PLACES, BASE)
    shuffled = np.random.default_rng(1).permutation(PLACES)
    assert bodies(grow_voids(SIGNAL, 0.02, MASK, shuffled, BASE)) == bodies(here)


@pytest.mark.parametrize("length", [9, 10])
def test_the_body_of_a_row_is_its_middle(length):
    region = np.zeros((length + 2, 3, 3), dtype=bool)
    region[1:-1, 1, 1] = True
    body, tail, _ = _body(region, np.ones(region.shape, np.float32), np.ones(3), 2.2)
    assert body[:, 0].mean() == (length + 1) / 2
    assert len(body) + len(tail) == length


@pytest.mark.parametrize("way", WAYS)
def test_what_continues_does_not_depend_on_how_the_scan_is_stored(way):
    (void, *_) = grow_voids(SIGNAL, 0.02, MASK, PLACES, BASE)
    turned = Void(
        body=stored_places(void.body, way), tail=stored_places(void.tail, way),
        seed_vox=stored_places(void.seed_vox[None], way)[0], background=void.background,
        least=void.least, inscribed_mm=void.inscribed_mm,
    )  # fmt: skip
    tubes = []
    for v, signal, grid in (
        (void, SIGNAL, BASE),
        (turned, stored(SIGNAL, way), stored_grid(BASE, way)),
    ):
        mask = np.ones(grid.shape, dtype=bool)
        shape = measure_shape(v, signal, mask, ~mask, grid)
        tubes.append(continuation(1 - signal, mask, shape, grid))
    assert tubes[0].one_way > 0.1
    assert tubes[1].through == pytest.approx(tubes[0].through, abs=1e-4)
    assert tubes[1].one_way == pytest.approx(tubes[0].one_way, abs=1e-4)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_thin_slices_lie_across_the_odd_side(order):
    """In slices thinner than their voxels are wide an oval lesion is as wide however it is stored."""
    spacing = np.array([1.0, 1.0, 0.8])[list(order)]
    grid = Grid.from_spacing((23, 23, 23), spacing)
    assert grid.slice_axis == order.index(2)
    radii = np.array([3.0, 2.0, 6.0])[list(order)]
    at = (np.stack(np.indices(grid.shape), -1) - 11) * spacing
    void = np.argwhere(((at / radii) ** 2).sum(-1) <= 1)
    assert in_plane_diameter(void, grid) == pytest.approx(7.0, abs=1e-9)


def test_a_vein_in_one_slice_continues_there():
    j, i = np.meshgrid(np.arange(31), np.arange(33))
    slice_ = np.clip(1 - 0.7 * np.exp(-0.5 * ((j - 15 - 0.2 * (i - 16)) / 1.0) ** 2), 0, 1)
    for slices in (1, 2):
        signal = np.repeat(slice_[..., None], slices, axis=2).astype(np.float32)
        grid = Grid.from_spacing(signal.shape, (0.9, 0.9, 4.0))
        mask = np.ones(signal.shape, dtype=bool)
        voids = grow_voids(signal, 0.02, mask, np.array([[16, 15, 0]]), grid)
        shape = measure_shape(voids[0], signal, mask, ~mask, grid)
        assert continuation(1 - signal, mask, shape, grid).through > 0.8


@pytest.mark.parametrize("off", [0.0, 1e-7, -1e-7])
def test_rounded_sizes_of_voxels_touch_as_exact_ones(off):
    labels = np.zeros((20, 5, 5), dtype=np.int32)
    labels[4, 2, 2], labels[7, 2, 2], labels[11, 2, 2] = 1, 2, 3
    grid = Grid.from_spacing(labels.shape, 0.5 * (1 + off))
    touching = Voids.of(labels, [1, 2, 3], grid, np.zeros((0, 3)), 0.0).touching
    assert touching[0, 1]
    assert not touching[1, 2]


def test_a_tail_that_is_the_body_of_another_void_is_read(phantom):
    seen = look(phantom.inputs(), DetectParams())
    told = [
        (v.unread, (~seen.bodies[tuple(v.tail.T)]).sum() / (len(v.body) + len(v.tail)))
        for v in seen.voids
    ]
    assert any(whole > own for whole, own in told)
    shares = [own / (1 - whole + own) for whole, own in told]
    np.testing.assert_allclose(seen.sources.tails, shares)


def test_joined_voids_have_no_voxel_twice():
    def void(body, tail):
        return Void(
            body=np.array(body), tail=np.array(tail).reshape(-1, 3), seed_vox=np.array(body[0]),
            background=1.0, least=0.2, inscribed_mm=1.0,
        )  # fmt: skip

    one = void([(1, 1, 1), (1, 1, 2)], [(1, 1, 3), (1, 1, 4)])
    other = void([(1, 1, 3)], [(1, 1, 4), (1, 1, 2)])
    whole = one.joined_by([other], (6, 6, 6))
    assert whole.body.tolist() == [[1, 1, 1], [1, 1, 2], [1, 1, 3]]
    assert whole.tail.tolist() == [[1, 1, 4]]
    assert whole.unread == 0.25


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_masks_of_numbers_are_masks(phantom, kind):
    inputs = phantom.inputs()
    structures = {"pallidum": inputs.brain_mask}
    plain = replace(inputs, field_mask=inputs.brain_mask, structures=structures)
    told = replace(
        plain, brain_mask=inputs.brain_mask.astype(kind), field_mask=inputs.brain_mask.astype(kind),
        structures={name: mask.astype(kind) for name, mask in structures.items()},
    )  # fmt: skip
    for mask in (told.brain_mask, told.trusted, told.structures["pallidum"]):
        assert mask.dtype == bool
    before, after = (detect(i).findings for i in (plain, told))
    assert [(f.class_, f.moment_ppm_mm3) for f in before] == [
        (f.class_, f.moment_ppm_mm3) for f in after
    ]


def test_a_sheared_grid_is_refused(phantom):
    affine = np.eye(4)
    affine[0, 2] = 0.4
    with pytest.raises(ParameterError, match=r"LesionInputs.grid.*sheared.* 68.2 degrees"):
        replace(phantom.inputs(), grid=Grid(phantom.grid.shape, affine))


def test_a_negative_relaxation_rate_is_no_gain(phantom):
    """Of a map from outside: one voxel of -6000 1/s would be more than a float32 holds."""
    rate = np.full(phantom.grid.shape, 20.0, dtype=np.float32)
    inputs = replace(phantom.inputs(), r2star=rate)
    wild = rate.copy()
    wild[23, 20, 20] = -6e3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = [detect(replace(inputs, r2star=r)).findings for r in (rate, wild)]
    assert [f.class_ for f in found[0]] == [f.class_ for f in found[1]]
