"""The trained classifier: trees as arrays, how evidence is joined, what is refused."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from petechia.errors import InputError, ParameterError
from petechia.lesions.classification import METHODS
from petechia.lesions.classify import name_void
from petechia.lesions.detect import detect
from petechia.lesions.features import NAMES, Described, pipeline_hash
from petechia.lesions.features.patches import BALL, CHANNELS, SIDE
from petechia.lesions.findings import CLASSES
from petechia.lesions.known import Features
from petechia.lesions.linear import REACH, Linear
from petechia.lesions.model import KINDS, OTHERS, Model, joined, kinds_of, symmetries, words
from petechia.lesions.moment import MomentFit
from petechia.lesions.params import DetectParams
from petechia.lesions.shape import Shape
from petechia.lesions.shortlist import MEASURES
from petechia.lesions.trees import Trees
from petechia.lesions.tube import Tube

DEPTH = NAMES.index("form_depth")
PHASE = NAMES.index("phase")


def stump(feature, threshold, low, high, missing_left=True, baseline=0.0):
    """Return one tree of one question."""
    return Trees(
        baseline=np.array([baseline]),
        root=np.array([0], np.int32),
        column=np.array([0], np.int32),
        feature=np.array([feature, -1, -1], np.int16),
        threshold=np.array([threshold, 0.0, 0.0]),
        left=np.array([1, 0, 0], np.int32),
        right=np.array([2, 0, 0], np.int32),
        missing_left=np.array([missing_left, False, False]),
        value=np.array([0.0, low, high]),
    )


def others(best="vessel"):
    """Return trees that always think of one class."""
    baseline = np.where(np.array(OTHERS) == best, 3.0, 0.0)
    one = stump(0, 0.0, 0.0, 0.0)
    return replace(one, baseline=baseline)


def model(**more):
    """Return a model that calls a deep void a microbleed."""
    card = {
        "name": "test", "features": pipeline_hash(), "operating_points":
        {"screening": 0.2, "balanced": 0.5, "counting": 0.8}, "outside_limit": 0.02,
        "thick_slices": {"from_mm": 3.0}, "orders": {"measures": list(MEASURES)},
    }  # fmt: skip
    arrays = {
        **stump(DEPTH, 0.3, -4.0, 4.0).arrays("bleed_"),
        **others().arrays("other_"),
        **stump(0, 0.5, -1.0, 1.0).arrays("order_"),
        **stump(0, 0.5, 1.0, -1.0).arrays("order_thick_"),
        "joint_trees": np.tile([0.0, 1.0], (len(KINDS), 1)),
        "low": np.full(len(NAMES), -1e6, np.float32),
        "high": np.full(len(NAMES), 1e6, np.float32),
    }
    return Model.load(card | more.pop("card", {}), arrays | more, None)


def told(depth, phase=2.0):
    table = np.zeros((1, len(NAMES)), np.float32)
    table[0, DEPTH], table[0, PHASE] = depth, phase
    return Described(table=table, cubes=np.zeros((1, len(CHANNELS), SIDE, SIDE, SIDE), np.float32))


def test_a_tree_goes_left_up_to_its_threshold():
    tree = stump(1, 0.5, -1.0, 2.0, missing_left=False, baseline=0.25)
    table = np.array([[9, 0.5], [9, 0.5001], [9, np.nan]])
    assert tree.scores(table)[:, 0].tolist() == [-0.75, 2.25, 2.25]


def test_reasons_add_up_to_the_score():
    two = Trees(
        baseline=np.array([0.0]),
        root=np.array([0], np.int32),
        column=np.array([0], np.int32),
        feature=np.array([0, 1, -1, -1, -1], np.int16),
        threshold=np.array([0.0, 0.0, 0, 0, 0]),
        left=np.array([1, 3, 0, 0, 0], np.int32),
        right=np.array([2, 4, 0, 0, 0], np.int32),
        missing_left=np.ones(5, bool),
        value=np.array([0.0, 0.0, 8.0, 2.0, 4.0]),
    )
    row = np.array([-1.0, 1.0])
    share, high = two.reasons(row)
    mean_below = 0.5 * (2 + 4)
    mean = 0.5 * (mean_below + 8)
    assert share.tolist() == [mean_below - mean, 4 - mean_below]
    assert high.tolist() == [0.0, share[1]]
    assert share.sum() == pytest.approx(two.scores(row[None])[0, 0] - mean)


def test_reasons_tell_whether_a_low_or_a_high_value_spoke():
    low = replace(model(), bleed=stump(DEPTH, 0.5, 2.0, -2.0))
    table = np.concatenate([told(depth).table[:1] for depth in (0.2, 0.8, np.nan)])
    first, second, missing = low.reasons(table, "trees")
    assert (first, second) == ("form: depth (low) for it", "form: depth (high) against it")
    assert missing.startswith("form: depth (not measured)")


def test_reasons_are_those_of_trees_and_sum_together():
    """The sum outweighs the trees of a row that joins it, and is not asked by one that does not."""
    both = replace(
        model(), bleed=stump(DEPTH, 0.5, 2.0, -2.0), linear=line(form_depth=-20.0, edge_mm=0.5),
        joint={row: np.ones((len(KINDS), n)) for row, n in (("combined", 3), ("refined", 4))},
    )  # fmt: skip
    table = told(0.2).table[:1]
    table[:, NAMES.index("edge_mm")] = 4.0
    assert both.reasons(table, "combined") == ("form: depth (low) for it",)
    # the trees' 2 and the sum's 16 for a depth 0.4 spreads low, 1.5 for a distance 1.5 spreads high
    assert both.reasons(table, "refined") == (
        "form: depth (low) for it, distance to the mask's edge (high) for it",
    )
    against = replace(both, linear=line(form_depth=20.0))
    assert against.reasons(table, "refined") == ("form: depth (low) against it",)


def test_thick_slices_have_trees_of_their_own_for_odds_and_reasons():
    """Turned round in thick slices; without such trees the others serve for both."""
    own = stump(DEPTH, 0.3, 5.0, -3.0).arrays("bleed_thick_")
    table = np.concatenate([told(depth).table for depth in (0.2, 0.8, 0.2, 0.8)])
    table[:, NAMES.index("in_plane_mm")] = 1.0
    table[:, NAMES.index("thickness_ratio")] = [1.0, 1.0, 5.0, 5.0]
    both, one = model(**own), model()
    assert both.grown(table).tolist() == [-4.0, 4.0, 5.0, -3.0]
    assert one.grown(table).tolist() == [-4.0, 4.0, -4.0, 4.0]
    p = METHODS["trees"]({"told": Described(table=table, cubes=None), "model": both}, grid=None)[0]
    assert p[:, 0].tolist() == both.grown(table).tolist()
    assert both.reasons(table, "trees") == (
        "form: depth (low) against it", "form: depth (high) for it",
        "form: depth (low) for it", "form: depth (high) against it",
    )  # fmt: skip
    own.pop("bleed_thick_value")
    with pytest.raises(InputError, match="no bleed_thick_value"):
        model(**own)


def test_thick_slices_have_an_order_of_their_own():
    """That of thin slices puts deep voids first here, that of thick ones shallow ones."""
    assert MEASURES[0] == "depth"
    deep = np.eye(1, len(MEASURES))
    worth = [model().order_of(mm).scores(deep)[0, 0] for mm in (2.9, 3.0)]
    assert worth == [1.0, -1.0]


def test_orders_grown_on_other_measures_are_refused():
    """Columns in another order would be asked as if they were those of training."""
    other = {"orders": {"measures": [*MEASURES[1:], MEASURES[0]]}}
    with pytest.raises(InputError, match=r"was trained on depth_of_full, .*, depth of dark spots"):
        model(card=other)
    with pytest.raises(InputError, match="no known measures of dark spots"):
        model(card={"orders": {"thin": {}}})


def test_what_the_network_sees_has_no_name():
    assert model().reasons(told(0.2).table, "network") == ("",)


def test_arrays_that_are_not_a_model_are_refused():
    arrays = stump(0, 0, 0, 0).arrays("bleed_")
    arrays.pop("bleed_value")
    with pytest.raises(InputError, match=r"no bleed_value"):
        Trees.from_arrays(arrays, "bleed_")


def test_kinds_of_scans_are_told_by_sign_echoes_and_thickness():
    columns = ["phase", "multi_echo", "in_plane_mm", "thickness_ratio"]
    rows = {
        (0, 0, 0.5, 3.0): 0, (1, 0, 0.5, 3.0): 0, (2, 0, 0.5, 3.0): 1, (np.nan, 1, 1.0, 1.0): 2,
        (2, 1, 1.0, 2.9): 3, (2, 1, 1.0, 3.0): 4, (0, 0, 0.9, 3.3333): 4, (2, 0, 0.45, 11.2): 4,
    }  # fmt: skip
    table = np.zeros((len(rows), len(NAMES)), np.float32)
    table[:, [NAMES.index(name) for name in columns]] = list(rows)
    assert kinds_of(table).tolist() == list(rows.values())


def test_joining_is_logistic_with_slopes_of_its_own_for_each_kind():
    weights = np.array([[1.0, 0.5, 0.0], [0.0, 1.0, 1.0]])
    evidence = np.array([[2.0, -1.0], [2.0, -1.0]])
    p = joined(evidence, np.array([0, 1]), weights)
    assert p == pytest.approx([1 / (1 + np.exp(-2.0)), 1 / (1 + np.exp(-1.0))])


def line(**weights):
    """Return a sum of features about 1, of spread 2; kind 1 has twice the weights of kind 0."""
    weight = np.zeros((len(KINDS), len(NAMES)))
    for name, value in weights.items():
        weight[:, NAMES.index(name)] = value
    weight[1] *= 2
    ones = np.ones_like(weight)
    return Linear(middle=ones, spread=2 * ones, weight=weight)


def test_a_sum_of_features_goes_by_spreads_and_not_by_what_is_missing_or_beyond_all_measure():
    of = line(form_depth=3.0, edge_mm=-1.0)
    table = np.ones((5, len(NAMES)))
    table[1:3, DEPTH] = 2.0
    table[3, DEPTH] = np.nan
    table[4, [DEPTH, NAMES.index("edge_mm")]] = 1e9, -1e9
    told = of.scores(table, np.array([0, 0, 1, 0, 0]))
    assert told.tolist() == [0.0, 1.5, 3.0, 0.0, 3 * REACH + REACH]


def test_a_sum_of_features_is_joined_only_where_it_has_a_slope(monkeypatch):
    """By the law of `joined`: signed kinds are moved by the sum itself, others not at all."""
    joint = np.zeros((len(KINDS), 4))
    joint[:, 1:3] = 0.5
    signed = np.array([kind.endswith(", signed") for kind in KINDS])
    joint[signed, 3] = 1.0
    monkeypatch.setattr(Model, "seen", lambda self, cubes: np.full(len(cubes), 1.0))
    of = line(form_depth=2.0)
    judge = model(joint_refined=joint, joint_combined=joint[:, :3], **of.arrays("linear_"))
    for phase, added in ((2.0, 4.0 * (0.6 - 1) / 2), (0.0, 0.0)):
        void = told(0.6, phase)
        p = judge.judge(void, "refined").probability[0]
        assert np.log(p / (1 - p)) == pytest.approx(0.5 * (4.0 + 1.0) + added, rel=1e-6)
        assert (p == judge.judge(void, "combined").probability[0]) == (added == 0)


def test_a_model_without_a_sum_of_features_says_so():
    with pytest.raises(ParameterError, match=r"no sum of features.*combined"):
        model().added(told(0.6).table)


def test_a_model_of_other_features_is_refused():
    with pytest.raises(InputError, match=r"trained on features 0123.*this version makes"):
        model(card={"features": "0123"})


def test_every_feature_has_words_that_fit_into_a_list():
    told = {name: words(name) for name in NAMES}
    assert len(set(told.values())) == len(NAMES)
    assert not [w for w in told.values() if "," in w or ";" in w or "_" in w]
    assert told["chi_curve_1.7_2"] == "susceptibility: curvature at 1.7 mm (2)"
    assert told["form_surrounding"] == "form: signal around"
    assert told["dark_swi_through_1"] == "SWI: on both sides at 4 to 6.4 mm"


def test_the_model_judges_and_says_why():
    opinion = model().judge(told(0.8), "trees")
    probability, shares, why = opinion.of(0)
    assert probability == pytest.approx(1 / (1 + np.exp(-4)))
    assert max(shares, key=shares.get) == "vessel"
    assert sum(shares.values()) == pytest.approx(1)
    assert why == "form: depth (high) for it"
    assert opinion.says == ()


def test_a_row_that_was_not_trained_is_refused():
    with pytest.raises(ParameterError, match="has no network"):
        model().judge(told(0.8), "network")
    with pytest.raises(ParameterError, match="no method 'oracle'"):
        model().judge(told(0.8), "oracle")


def test_a_scan_unlike_training_is_warned_of():
    high = np.full(len(NAMES), 1e6, np.float32)
    high[NAMES.index("thickness_ratio")] = 3.0
    strange = told(0.8)
    strange.table[0, NAMES.index("thickness_ratio")] = 8.0
    says = model(high=high).judge(strange, "trees").says
    assert len(says) == 1
    assert "unlike" in says[0]
    assert "8 (trained on" in says[0]


def test_a_scan_at_the_border_of_training_is_not_unlike():
    low = np.full(len(NAMES), -1e6, np.float32)
    low[NAMES.index("thickness_ratio")] = 1.02
    alike = told(0.8)
    for ratio, warned in ((1.0, False), (0.95, True)):
        alike.table[0, NAMES.index("thickness_ratio")] = ratio
        assert bool(model(low=low).judge(alike, "trees").says) is warned


def test_four_views_leave_a_dipole_as_it_is():
    z, r = BALL.offset_mm[:, 2], np.maximum(BALL.radius_mm, 0.5)
    dipole = ((3 * (z / r) ** 2 - 1) / r**3).reshape(1, 1, SIDE, SIDE, SIDE)
    for view in symmetries(dipole.astype(np.float32)):
        assert np.allclose(view, dipole, atol=1e-6)


SHAPE = Shape(
    centre_vox=(10, 10, 10), n_voxels=14, volume_mm3=14.0, diameter_mm=3.2, stored_mm=3.2,
    radius_mm=1.5, sphericity=0.85, elongation=1.2, flatness=1.2, margin_sharpness=0.5, homogeneity=0.6,
    parenchyma_fraction=0.95, outside_fraction=0.0, depth=0.8,
)  # fmt: skip
FIT = MomentFit(
    moment_ppm_mm3=3.1, se_ppm_mm3=0.3, significance=10.3, place_vox=(10, 10, 10), n_border=22,
    explained=0.8, poles_ppm=0.05, equator_ppm=-0.02,
)  # fmt: skip
BLOOD = Features(
    shape=SHAPE, noise=0.03, tube=Tube(through=0.05, one_way=0.1), fit=FIT, phase="signed"
)
SHARES = dict.fromkeys(OTHERS, 0.1) | {"calcification": 0.3, "vessel": 0.2}


def test_a_clear_negative_moment_is_never_counted_whatever_the_model_thinks():
    stone = replace(BLOOD, fit=replace(FIT, moment_ppm_mm3=-3.1, significance=-10.3))
    v = name_void(stone, (0.99, SHARES, ""), 0.2)
    assert (v.class_, v.sign) == ("calcification", "diamagnetic")
    assert v.probability <= 0.02


def test_the_model_names_the_rest():
    assert name_void(BLOOD, (0.3, SHARES, "x for it"), 0.2).class_ == "microbleed"
    assert "model: x for it" in name_void(BLOOD, (0.3, SHARES, "x for it"), 0.2).evidence
    # a clear positive moment is no calcium; nor is calcium told without a sign
    assert name_void(BLOOD, (0.1, SHARES, ""), 0.2).class_ == "vessel"
    blind = replace(BLOOD, fit=None, phase="none")
    assert name_void(blind, (0.1, SHARES, ""), 0.2).class_ == "vessel"
    unclear = replace(BLOOD, fit=replace(FIT, moment_ppm_mm3=-0.5, significance=-1.7))
    assert name_void(unclear, (0.1, SHARES, ""), 0.2).class_ == "calcification"


def test_wider_than_ten_millimetres_is_a_macrobleed():
    wide = replace(BLOOD, shape=replace(SHAPE, diameter_mm=12.0))
    v = name_void(wide, (0.9, SHARES, ""), 0.2)
    assert v.class_ == "macrobleed"
    assert v.probability <= 0.02


def test_a_model_detects_on_a_phantom(phantom):
    params = DetectParams(classification="trees", threshold=0.5)
    detection = detect(phantom.inputs(), params, model())
    counted = [f for f in detection.findings if f.counted]
    assert counted
    assert all(f.class_ == "microbleed" and f.sign != "diamagnetic" for f in counted)
    for f in detection.findings:
        assert f.class_ in CLASSES
        assert "model: form: depth" in f.evidence or f.class_ in ("calcification", "macrobleed")
    calcium = phantom.grid.to_mm(phantom.objects[3].centre_vox)
    near = [
        f for f in detection.findings
        if np.linalg.norm(np.subtract((f.x_mm, f.y_mm, f.z_mm), calcium)) < 2
    ]  # fmt: skip
    assert [f.class_ for f in near] == ["calcification"]


def test_rows_load():
    for row in METHODS.values():
        assert callable(row.run)
        row.settings()


def test_a_network_is_asked_for_the_mean_of_its_views():
    class Session:
        def get_inputs(self):
            return [SimpleNamespace(name="cubes")]

        def run(self, _names, given):
            (x,) = given.values()
            return [x[:, 0, 0, 0, :1] * np.ones((1, 8), np.float32)]

    one = replace(model(), network=Session())
    cubes = np.zeros((3, len(CHANNELS), SIDE, SIDE, SIDE), np.float32)
    cubes[:, 0, 0, 0, 0] = (4, 8, 12)
    # the corner is looked at in one of the four views
    assert one.seen(cubes).tolist() == [1.0, 2.0, 3.0]


def test_the_vendored_card_is_complete():
    from petechia.assets.store import load_bytes, manifest

    if "detector_card" not in manifest():
        pytest.skip("no model is vendored")
    card = json.loads(load_bytes("detector_card"))
    assert card["features"] == pipeline_hash()
    for points in (card["operating_points"], card["thick_slices"]["operating_points"]):
        assert 0 < points["screening"] <= points["balanced"] <= points["counting"] < 1
    for key in ("trained_on", "out_of_fold", "count_doubt", "counted_on", "outside_limit",
                "limits", "licence", "classes"):  # fmt: skip
        assert card[key]
