"""A simulated CT laid upon a simulated gradient echo, from another pose."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from petechia.anatomy.ct import _judged, fluid_on_ct, to_ct
from petechia.anatomy.density import CALCIFIED_HU, density_at, skull_voxels
from petechia.anatomy.signs.fit import LEAST_FLUID
from petechia.anatomy.skull import skull_of
from petechia.errors import InputError
from petechia.simulate.atlas import atlas_from
from petechia.simulate.ct import CtProtocol, simulate_ct
from petechia.simulate.head import CENTRE_MM, head_maps, make_head, sample_head
from petechia.simulate.protocols import rotation
from petechia.simulate.render import Pose
from petechia.simulate.sources import Source, Sphere

STONE_MM = (25.0, -20.0, 25.0)
CT = CtProtocol(shape=(110, 120, 70), pixel_mm=2.2, slice_mm=3.0, tilt_deg=10.0)
MOVED = Pose(turn=rotation(0.3, -0.1, 0.2), shift_mm=np.array([12.0, -20.0, 9.0]))


@pytest.fixture(scope="module")
def head(arrays):
    atlas = atlas_from(arrays)
    return make_head(sample_head(atlas, np.random.default_rng(4)), atlas, 2.4)


@pytest.fixture(scope="module")
def scan(head):
    """The head's signal on its own grid: scanner and head millimetres are one."""
    maps = head_maps(head, 3.0, 0.03, 15.0)
    signal = 1000 * maps.s0 * np.exp(-0.02 * maps.r2star)
    noise = np.random.default_rng(2).normal(0, 2, (2, *signal.shape))
    return np.hypot(signal + noise[0], noise[1]).astype(np.float32), head.brain > 0.5


@pytest.fixture(scope="module")
def ct(head):
    stone = Sphere(centre_mm=STONE_MM, radius_mm=3.0, chi_ppm=-1.0, substance="calcium")
    source = Source(kind="calcification", spheres=(stone,))
    return simulate_ct(head, [source], MOVED, CT, np.random.default_rng(3))


@pytest.fixture(scope="module")
def fit(scan, head, ct):
    return to_ct(*scan, head.grid, ct, CT.grid)


def truth():
    out = np.eye(4)
    out[:3, :3] = MOVED.turn
    out[:3, 3] = MOVED.shift_mm - MOVED.turn @ CENTRE_MM
    return out


def test_the_ct_is_found_in_another_pose_under_a_leaning_gantry(fit, scan, head):
    assert fit.ok, fit.says
    places = head.grid.to_mm(np.argwhere(scan[1])[::61])
    apart = (np.c_[places, np.ones(len(places))] @ (fit.matrix - truth()).T)[:, :3]
    assert np.linalg.norm(apart, axis=1).mean() < 1.0
    assert np.allclose(fit.matrix[:3, :3] @ fit.matrix[:3, :3].T, np.eye(3), atol=1e-5)
    assert fit.overlap > 0.93


def test_calcium_is_dense_at_its_place_and_nowhere_else(fit, head, ct):
    skull = skull_voxels(ct, CT.grid)

    def read(place):
        return density_at(np.array([place]), fit.matrix, ct, skull, CT.grid, 2.0)

    assert read(STONE_MM).hu > 2 * CALCIFIED_HU
    assert read(STONE_MM).calcified
    other = read((-STONE_MM[0], *STONE_MM[1:]))
    assert 0 < other.hu < 80
    assert other.calcified is False
    nowhere = read((0.0, 0.0, 400.0))
    assert (nowhere.hu, nowhere.calcified, nowhere.says) == (None, None, "not on the CT")


def test_fluid_is_less_dense_only_where_it_lies(scan, head, ct):
    """The ventricles and sulci of the head itself, and the same laid 12 mm beside them."""
    fluid = head.fractions["csf"]
    own = fluid_on_ct(fluid, scan[1], head.grid, ct, CT.grid, truth())
    assert own > LEAST_FLUID
    beside = truth()
    beside[:3, 3] += (12.0, 8.0, 0.0)
    assert fluid_on_ct(fluid, scan[1], head.grid, ct, CT.grid, beside) < LEAST_FLUID
    assert np.isnan(fluid_on_ct(0 * fluid, scan[1], head.grid, ct, CT.grid, truth()))


def test_a_place_at_the_bone_is_not_read(head, ct):
    skull = skull_voxels(ct, CT.grid)
    at = CT.grid.to_mm(np.argwhere(skull & (ct > 500))[1000])
    found = density_at(at[None], np.eye(4), ct, skull, CT.grid, 2.0)
    assert (found.hu, found.says) == (None, "beside bone")


@pytest.fixture(scope="module")
def skull(ct):
    return skull_of(ct, CT.grid)


def test_the_space_within_the_skull_is_the_brain_without_bed_and_scalp(head, skull):
    brain = (head.brain > 0.5).sum() * head.grid.voxel_mm3
    assert 0.85 < skull.space.sum() * skull.grid.voxel_mm3 / brain < 1.1
    at = skull.grid.to_mm(np.argwhere(skull.space)[::50])
    inside = np.rint(head.grid.to_index(MOVED.to_head(at))).astype(int)
    assert head.brain[tuple(inside.T)].mean() > 0.9


def moved_by(shift_mm):
    out = truth()
    out[0, 3] += shift_mm
    return out


@pytest.mark.parametrize(
    ("fits", "words"),
    [
        ((0, 0, (0, 0)), ""),
        ((0, 0, (3, 3)), "repeated fits lie 3.0 mm apart"),
        ((0, 7, (0, 0)), "surfaces and images disagree by 7.0 mm"),
        ((25, 25, (25, 25)), "overlap by"),
        ((150, 150, (150, 150)), "covers"),
    ],
)
def test_a_fit_that_does_not_repeat_or_fill_the_skull_is_refused(skull, scan, head, fits, words):
    brain, grid = scan[1], head.grid
    places = grid.to_mm(np.argwhere(brain)[::61])
    found, start, repeats = fits
    judged = _judged(
        moved_by(found), moved_by(start), [moved_by(r) for r in repeats], places, brain, grid, skull
    )
    assert judged.ok == (not words)
    assert words in judged.says


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda hu: hu + 1024, "not Hounsfield units"),
        (lambda hu: np.clip(hu, -1000, 90), "not Hounsfield units"),
        (lambda hu: np.where(hu > -500, 900, hu), "ml of brain-like density"),
    ],
)
def test_what_is_no_head_ct_is_refused(ct, change, words):
    with pytest.raises(InputError, match=words):
        skull_of(change(ct), CT.grid)


def test_the_pose_of_the_test_is_no_small_one():
    assert np.rad2deg(Rotation.from_matrix(MOVED.turn).magnitude()) > 20
