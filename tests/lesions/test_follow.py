"""What became of a lesion: states that follow from what was and could be seen."""

import math
from dataclasses import replace

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.core.kernels import forward_field
from petechia.core.matching import one_to_one
from petechia.errors import ParameterError
from petechia.files.contract import contract
from petechia.lesions.change import ChangeParams, change_of
from petechia.lesions.findings import Finding
from petechia.lesions.follow import (
    STATES,
    FollowParams,
    Session,
    fates,
    kinships,
    match,
    new_bounds,
    present,
    rate_per_year,
    sessions_against,
)
from petechia.lesions.forced import Look, Maps, look_at, moment_of_void, visible_exponent
from petechia.lesions.pieces import Voids
from petechia.lesions.protocols import protocol_differences

BLEED = Finding(
    index=1, name="microbleed 1", class_="microbleed", sign="paramagnetic", probability=0.99,
    counted=True, mars="definite", x_mm=0.0, y_mm=0.0, z_mm=0.0, volume_mm3=10.0, diameter_mm=3.0,
    moment_ppm_mm3=3.0, moment_se_ppm_mm3=0.4, chi_mean_ppm=0.2, side="left", site="frontal",
    compartment="lobar", parenchyma_fraction=1.0, sphericity=0.8, margin_sharpness=0.5,
    homogeneity=0.6, evidence="",
)  # fmt: skip
CLEAR = Look(loss=0.6, loss_sd=0.05, moment_ppm_mm3=3.0, se_ppm_mm3=0.4)
BARE = Look(loss=0.08, loss_sd=0.05, moment_ppm_mm3=0.1, se_ppm_mm3=0.3)


def spot(x, moment=3.0, se=0.4, counted=True, class_="microbleed", index=1):
    return replace(
        BLEED, index=index, x_mm=x, moment_ppm_mm3=moment, moment_se_ppm_mm3=se, counted=counted,
        class_=class_,
    )  # fmt: skip


def session(*findings, te_s=0.02, b0_t=3.0, voxel=(1.0, 1.0, 1.0)):
    places = np.array([(f.x_mm, f.y_mm, f.z_mm) for f in findings], dtype=float).reshape(-1, 3)
    return Session(
        findings=findings, places_mm=places, b0_t=b0_t, te_s=te_s, voxel_mm=np.array(voxel)
    )


def followed(first, second, looks_first=None, looks_second=None, same_protocol=False):
    lesions = kinships(first, second, match(first, second, 0.1), 0.1)
    return fates(
        first, second, lesions, looks_first or {}, looks_second or {}, same_protocol=same_protocol
    )


def states(*args, **kwargs):
    return [f.state for f in followed(*args, **kwargs)]


def with_voids(own, other, touching=(), holding=()):
    """Return a session whose voids touch (own rows), and hold places (other's row, own row)."""
    voids = Voids.apart(len(own.findings), len(other.findings))
    for a, b in touching:
        voids.touching[a, b] = voids.touching[b, a] = True
    for a, b in holding:
        voids.holding[a, b] = True
    return replace(own, voids=voids)


def test_the_words_are_those_of_the_contract():
    assert contract().follow.state == STATES


def test_matching_is_one_to_one_and_by_each_pairs_own_reach():
    first = np.array([[0.0, 0, 0], [4.0, 0, 0]])
    second = np.array([[1.0, 0, 0]])
    assert one_to_one(first, second, np.array([[2.0], [5.0]])).pairs.tolist() == [[0, 0]]
    assert one_to_one(first, second, np.array([[0.5], [5.0]])).pairs.tolist() == [[1, 0]]
    assert one_to_one(first, second, np.array([[0.5], [0.5]])).pairs.tolist() == []


def test_counted_lesions_meet_before_any_other_finding_is_asked():
    vein = spot(0.1, counted=False, class_="vessel", index=2)
    first, second = session(vein, spot(1.5)), session(spot(0.0))
    assert match(first, second, 0.1) == [(1, 0)]
    # exchanging the sessions exchanges the pairs
    assert match(second, first, 0.1) == [(0, 1)]


def test_a_growth_is_called_one_when_it_exceeds_its_error():
    assert states(session(spot(0, 3.0, 0.4)), session(spot(0.3, 3.9, 0.4))) == ["stable"]
    assert states(session(spot(0, 3.0, 0.4)), session(spot(0.3, 4.2, 0.4))) == ["grown"]
    assert states(session(spot(0, 4.2, 0.4)), session(spot(0.3, 3.0, 0.4))) == ["shrunk"]
    assert states(session(spot(0, None, None)), session(spot(0, 9.0, 0.4))) == ["stable"]


def test_the_interval_of_a_change_covers_it_as_often_as_it_says():
    rng = np.random.default_rng(4)
    inside = grown = 0
    for _ in range(2000):
        one, other = (spot(0, 3.0 + rng.normal(0, s), s) for s in (0.3, 0.5))
        change = change_of(one, other)
        inside += change.low <= 0 <= change.high
        grown += change.reliable
    assert abs(inside / 2000 - 0.95) < 0.02
    assert inside + grown == 2000
    turned = change_of(other, one)
    assert turned.value == -change_of(one, other).value


def test_new_only_when_it_was_not_there_and_could_have_been_seen():
    empty, now = session(), session(spot(0))
    assert states(empty, now, {0: (CLEAR, BARE)}) == ["new"]
    assert states(now, empty, {}, {0: (CLEAR, BARE)}) == ["not_seen"]
    assert states(empty, now, {0: (CLEAR, CLEAR)}) == ["seen_not_counted"]
    hidden = Look(why_not="outside the field of view")
    assert states(empty, now, {0: (CLEAR, hidden)}) == ["not_assessable"]
    # a vein there is as dark, but has not the moment: the lesion may hide in it, or be it
    vein = replace(CLEAR, moment_ppm_mm3=0.3, se_ppm_mm3=0.3)
    assert states(empty, now, {0: (CLEAR, vein)}) == ["not_assessable"]
    faint = replace(vein, loss=0.5 * CLEAR.loss)
    assert states(empty, now, {0: (CLEAR, faint)}) == ["new"]
    # thick slices at short echo times would not have shown a small one
    blind = session(te_s=0.005, b0_t=1.5, voxel=(1.0, 1.0, 5.0))
    small = session(spot(0, 1.0, 0.3))
    assert states(blind, small, {0: (CLEAR, BARE)}) == ["not_assessable"]
    # but what the same protocol shows now, it would have shown then
    assert states(blind, small, {0: (CLEAR, BARE)}, same_protocol=True) == ["new"]


def test_what_was_found_but_not_counted_is_not_new():
    before = session(spot(0.5, counted=False, class_="undetermined"))
    assert states(before, session(spot(0))) == ["seen_not_counted"]
    # a finding beside it without its moment is something else
    faint = session(spot(0.5, 0.2, 0.3, counted=False, class_="vessel"))
    assert match(faint, session(spot(0)), 0.1) == []


def test_bounds_of_what_is_new_take_in_what_could_not_be_seen():
    hidden = Look(why_not="outside the brain mask")
    now = session(spot(0), spot(30, index=2), spot(60, index=3))
    looks = {0: (CLEAR, BARE), 1: (CLEAR, hidden), 2: (CLEAR, CLEAR)}
    told = followed(session(), now, looks)
    assert new_bounds(told, "microbleed") == (1, 2)
    assert new_bounds(told, "siderosis") == (0, 0)


def test_pieces_of_one_lesion_are_neither_new_nor_gone():
    whole = session(spot(0.0, 3.0))
    two = session(spot(-0.8, 1.8), spot(1.2, 1.3, index=2))
    # both pieces lie in the void of the other session
    now, then = with_voids(two, whole, [(0, 1)]), with_voids(whole, two, (), [(0, 0), (1, 0)])
    for first, second, of_later in ((then, now, True), (now, then, False)):
        (lesion,) = followed(first, second)
        assert lesion.state == "stable"
        assert lesion.change.value == pytest.approx(0.1 if of_later else -0.1)
        assert (lesion.pieces_second if of_later else lesion.pieces_first) == (1, 2)
        assert "split in the " + ("later" if of_later else "earlier") in lesion.why
    # only touching: a piece when the moments add up, and something new when they do not
    bare = {1: (CLEAR, BARE)}
    assert states(whole, with_voids(two, whole, [(0, 1)])) == ["stable"]
    more = session(spot(-0.8, 3.0), spot(1.2, 2.9, index=2))
    assert states(whole, with_voids(more, whole, [(0, 1)]), bare) == ["new", "stable"]
    # apart from the lesion and in no void: new
    assert states(whole, with_voids(two, whole), bare) == ["new", "shrunk"]


def test_moments_of_pieces_are_called_added_only_where_there_is_a_sum():
    whole = session(spot(0.0, 3.0))
    now = session(spot(-0.8, 1.8), spot(1.2, None, None, index=2))  # cut by a reader: not measured
    then, now = with_voids(whole, now, (), [(0, 0), (1, 0)]), with_voids(now, whole, [(0, 1)])
    (lesion,) = followed(then, now)
    assert lesion.second.moment_ppm_mm3 is None
    assert lesion.why.endswith("split in the later session: findings 1 and 2 are its pieces")
    fresh = with_voids(session(spot(0.0, None, None), spot(2.5, 2.0, index=2)), session(), [(0, 1)])
    (lesion,) = followed(session(), fresh, {0: (CLEAR, BARE), 1: (CLEAR, BARE)})
    assert lesion.why.endswith("are its pieces")


def test_two_pieces_of_a_new_lesion_are_one_new_lesion():
    now = session(spot(0.0, 1.0), spot(2.5, 2.0, index=2), spot(30.0, 2.0, index=3))
    now = with_voids(now, session(), [(0, 1)])
    told = followed(session(), now, {1: (CLEAR, BARE), 2: (CLEAR, BARE)})
    assert [f.state for f in told] == ["new", "new"]
    assert [f.pieces_second for f in told] == [(2, 1), (3,)]
    assert told[0].second.moment_ppm_mm3 == pytest.approx(3.0)
    assert new_bounds(told, "microbleed") == (2, 2)
    # what touches but is of another kind is no piece
    other = session(spot(0.0, 1.0, class_="siderosis"), spot(2.5, 2.0, index=2))
    other = with_voids(other, session(), [(0, 1)])
    assert len(followed(session(), other, {0: (CLEAR, BARE), 1: (CLEAR, BARE)})) == 2


def test_two_lesions_side_by_side_stay_two():
    both = session(spot(0.0, 3.0), spot(2.5, 2.0, index=2))
    then = with_voids(both, both, [(0, 1)], [(0, 0), (1, 1)])
    grown = session(spot(0.0, 3.0), spot(2.5, 5.0, index=2))
    now = with_voids(grown, both, [(0, 1)], [(0, 0), (1, 1)])
    assert states(then, now) == ["grown", "stable"]


def test_a_large_bleed_whose_middle_moved_is_the_same():
    first = session(spot(0.0, 90.0, 9.0, class_="macrobleed"))
    second = session(spot(9.0, 90.0, 9.0, class_="macrobleed"))
    assert match(first, second, 0.1) == []
    assert match(first, with_voids(second, first, (), [(0, 0)]), 0.1) == [(0, 0)]


def test_voids_touch_and_hold_places_by_their_voxels_on_any_grid():
    tilt = np.array([[0.9, -0.3, 0.1], [0.3, 0.95, 0.0], [-0.1, 0.05, 1.0]])
    for spacing in ((1.0, 1.0, 1.0), (0.6, 0.9, 4.0)):
        affine = np.eye(4)
        affine[:3, :3] = np.linalg.qr(tilt)[0] @ np.diag(spacing)
        grid = Grid((20, 20, 12), affine)
        labels = np.zeros(grid.shape, dtype=np.int32)
        labels[4:7, 5:8, 5] = 1
        labels[7:9, 8, 6] = 2  # touches a corner of the first
        labels[14, 14, 9] = 4  # far away; 3 is not there
        places = grid.to_mm(np.array([[5.0, 6.0, 5.0], [6.5, 7.5, 5.5], [14.0, 14.0, 9.0]]))
        voids = Voids.of(labels, [1, 2, 3, 4], grid, places, 0.1)
        assert voids.touching.tolist() == [
            [True, True, False, False], [True, True, False, False],
            [False, False, True, False], [False, False, False, True],
        ]  # fmt: skip
        assert voids.holding.tolist() == [
            [True, False, False, False], [True, True, False, False], [False, False, False, True],
        ]  # fmt: skip


def test_errors_that_come_again_are_no_errors_of_a_change():
    one, other = spot(0, 3.0, 0.5), spot(0, 3.6, 0.55)
    unlike, alike = (change_of(one, other, same_protocol=same) for same in (False, True))
    assert unlike.value == alike.value == pytest.approx(0.6)
    assert unlike.high - unlike.low == pytest.approx(2 * 1.959964 * math.hypot(0.5, 0.55))
    assert alike.high - alike.low < 0.8 * (unlike.high - unlike.low)
    assert change_of(one, spot(0, 3.8, 0.55), same_protocol=True).reliable
    assert not change_of(one, spot(0, 3.8, 0.55)).reliable
    # never more than both errors together, and with nothing shared just as much of the residuals
    wide = ChangeParams(residual_share=1.0, retest_share=1.0)
    both = change_of(one, other, same_protocol=True, params=wide)
    assert both.high - both.low == pytest.approx(unlike.high - unlike.low)
    none = ChangeParams(residual_share=1.0, retest_share=0.0, retest_ppm_mm3=0.0)
    # three tenths of what stands for form are in the error also where the void was read
    left = [s**2 - (0.3 * 0.12 * m) ** 2 for m, s in ((3.0, 0.5), (3.6, 0.55))]
    half = 1.959964 * math.sqrt(sum(left) + (0.12 * 0.6) ** 2)
    told = change_of(one, other, same_protocol=True, params=none)
    assert told.high - told.value == pytest.approx(half)
    with pytest.raises(ParameterError, match="ChangeParams"):
        ChangeParams(residual_share=1.2)


def test_visibility_goes_by_field_echo_time_and_voxel():
    usual = visible_exponent(2.0, 3.0, 0.02, 1.0)
    assert visible_exponent(2.0, 1.5, 0.04, 1.0) == pytest.approx(usual)
    assert visible_exponent(2.0, 3.0, 0.02, 4.0) == pytest.approx(usual / 4)
    # a void of 0.29 w TE m goes back to its moment
    turning = 2 * math.pi * 42.577 * 3.0 * 0.02
    assert moment_of_void(0.29 * turning * 2.0, 3.0, 0.02) == pytest.approx(2.0, rel=1e-3)


def test_rates_have_the_exact_interval_of_a_count():
    rate, low, high = rate_per_year(4, 2 * 365.25)
    # Garwood's interval of 4 events: 1.0899 to 10.2416
    assert (rate, 2 * low, 2 * high) == pytest.approx((2.0, 1.0899, 10.2416), abs=1e-4)
    assert rate_per_year(0, 365.25)[1] == 0.0
    with pytest.raises(ParameterError, match="days"):
        rate_per_year(1, 0.0)


def test_protocols_are_the_same_within_tolerances_and_every_difference_is_named():
    one = {
        "b0_t": 3.0, "reading_te_s": 0.02, "spacing_mm": [0.7, 0.7, 1.4], "n_echoes": 1,
        "phase": "absolute", "acquisition_type": "3D", "sequence": None, "manufacturer": "A",
        "model": None,
    }  # fmt: skip
    near = {**one, "b0_t": 2.9, "reading_te_s": 0.0205, "spacing_mm": [1.4, 0.72, 0.7]}
    assert protocol_differences(one, near) == []
    far = {**one, "b0_t": 1.5, "reading_te_s": 0.04, "spacing_mm": [1, 1, 5], "manufacturer": "B"}
    told = protocol_differences(one, far)
    assert [text.split(" ")[0] for text in told] == ["field", "echo", "voxel", "manufacturer"]


def test_every_session_meets_the_one_before_and_the_first():
    assert sessions_against(2) == [(0, 1)]
    assert sorted(sessions_against(4)) == [(0, 1), (0, 2), (0, 3), (1, 2), (2, 3)]


def test_bad_settings_are_said():
    with pytest.raises(ParameterError, match="FollowParams"):
        FollowParams(most_mm=0.0)
    for name, share in (("kept_moment", -3), ("kept_loss", 1.1), ("sure_loss", 9)):
        with pytest.raises(ParameterError, match=f"{name}={share}"):
            FollowParams(**{name: share})


@pytest.fixture(scope="module")
def maps():
    """A ball of 2 mm in a slightly oblique brain, with its true field; noise of 2 %."""
    grid = Grid.from_spacing((41, 45, 39), (1.0, 1.0, 1.2), (0.1, 0.0, 1.0))
    rng = np.random.default_rng(2)
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1)
    away = np.linalg.norm((index - np.array([20, 22, 18])) * grid.spacing_mm, axis=-1)
    mask = np.linalg.norm((index - np.array([20, 22, 19])) / np.array([18, 20, 17]), axis=-1) < 1
    ball = away <= 2.0
    chi = np.where(ball, 0.5, 0.0).astype(np.float32)
    dark = 100 * (1 + 0.02 * rng.normal(size=grid.shape)) * np.where(away <= 2.5, 0.3, 1.0)
    dark[:, :, :9] *= 0.1  # signal lost at the base
    dark[~mask] = 0
    field = forward_field(chi, grid, 20.0) + 0.002 * rng.normal(size=grid.shape)
    made = Maps.of(
        dark.astype(np.float32), mask, grid, (away <= 2.5).astype(np.int32), np.zeros_like(mask),
        field.astype(np.float32), None,
    )  # fmt: skip
    return made, float(chi.sum() * grid.voxel_mm3)


def test_a_place_is_read_unasked(maps):
    made, moment = maps
    at = made.grid.to_mm(np.array([[20, 22, 18], [28, 22, 20], [20, 22, 5], [1, 1, 1]]))
    outside = made.grid.to_mm(np.array([[-9, 0, 0]]))
    there, bare, lost, rim, away = look_at(made, np.concatenate([at, outside]), [2.0] * 5, 0.5)
    assert there.loss > 0.6 > 0.15 > bare.loss
    assert there.moment_ppm_mm3 == pytest.approx(moment, rel=0.15)
    assert abs(bare.moment_ppm_mm3) < 3 * bare.se_ppm_mm3 + 0.1 * moment
    assert lost.why_not == "where the signal is lost"
    assert rim.why_not == "outside the brain mask"
    assert away.why_not == "outside the field of view"


def test_beside_the_edge_only_the_known_field_is_read():
    """Background removal leaves a rim of zeros, which is no field."""
    grid = Grid.from_spacing((49, 49, 49), 1.0)
    rng = np.random.default_rng(5)
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1)
    from_middle = np.linalg.norm(index - 24, axis=-1)
    mask, known = from_middle < 20, from_middle < 17
    source = np.array([39, 24, 24])  # 5 mm within the brain, 2 mm within the known field
    away = np.linalg.norm(index - source, axis=-1)
    chi = np.where(away <= 1.0, 0.43, 0.0)
    field = forward_field(chi.astype(np.float32), grid, 20.0)
    field += 0.002 * rng.normal(size=grid.shape)
    dark = np.where(mask, 100.0, 0.0).astype(np.float32)
    nothing, none = np.zeros(grid.shape, np.int32), np.zeros(grid.shape, bool)
    read = []
    for there in (mask, known):
        local = np.where(there, field, 0).astype(np.float32)
        made = Maps.of(dark, mask, grid, nothing, none, local, None)
        read += look_at(made, grid.to_mm(source[None]), [1.5], 0.5)
    whole, rim = read
    assert whole.moment_ppm_mm3 == pytest.approx(chi.sum(), rel=0.1)
    assert rim.moment_ppm_mm3 == pytest.approx(chi.sum(), rel=0.15)
    assert rim.se_ppm_mm3 > 1.2 * whole.se_ppm_mm3  # and it says that an edge is near


def test_a_strong_source_beside_a_place_is_none_of_its_own(maps):
    made, moment = maps
    beside = made.grid.to_mm(np.array([[25.0, 22.0, 18.0]]))  # 5 mm, at the equator
    (look,) = look_at(made, beside, [1.5], 0.3)
    assert abs(look.moment_ppm_mm3) < 2 * look.se_ppm_mm3
    assert abs(look.moment_ppm_mm3) < 0.1 * moment
    alone = replace(made, centres_vox=np.zeros((0, 3)), radii_mm=np.zeros(0))
    (taken,) = look_at(alone, beside, [1.5], 0.3)
    assert abs(taken.moment_ppm_mm3) > 2 * abs(look.moment_ppm_mm3)


def test_a_place_within_a_larger_void_tells_nothing(maps):
    made, _ = maps
    inside = replace(made, large=made.voids)
    (look,) = look_at(inside, made.grid.to_mm(np.array([[20, 22, 18]])), [1.0], 0.2)
    assert look.why_not == "within a larger void"


@pytest.mark.parametrize(("se", "seen"), [(0.9, True), (1.4, True), (1.6, False)])
def test_what_the_other_session_shows_is_above_its_noise(se, seen):
    """2.9 ppm mm3 are 1.96 errors of 1.48."""
    other = replace(CLEAR, moment_ppm_mm3=2.9, se_ppm_mm3=se)
    assert present(BLEED, CLEAR, other, FollowParams()) is seen


def test_both_measurements_differ_when_the_head_lies_otherwise():
    """A tenth of 10 twice, and 0.1 twice, and no other error."""
    only = ChangeParams(residual_share=0.0, retest_share=0.1, retest_ppm_mm3=0.1)
    change = change_of(spot(0, 10, 2.0), spot(0, 10, 2.0), same_protocol=True, params=only)
    assert change.high == pytest.approx(1.959964 * math.sqrt(2 * (1.0**2 + 0.1**2)))
