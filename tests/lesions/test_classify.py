from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest

from petechia.errors import ParameterError
from petechia.lesions.classify import (
    ClassifyParams,
    classify,
    log_odds,
    name_void,
    ramp,
    sign_of,
)
from petechia.lesions.context import Context
from petechia.lesions.criteria import CriteriaParams
from petechia.lesions.dephasing import Dephasing
from petechia.lesions.detect import _by_void
from petechia.lesions.known import Features
from petechia.lesions.moment import MomentFit
from petechia.lesions.rows import Measured
from petechia.lesions.shape import Shape
from petechia.lesions.tube import Tube

ROUND = Shape(
    centre_vox=(10, 10, 10), n_voxels=14, volume_mm3=14.0, diameter_mm=3.2, stored_mm=3.2,
    radius_mm=1.5, sphericity=0.85, elongation=1.2, flatness=1.2, margin_sharpness=0.5, homogeneity=0.6,
    parenchyma_fraction=0.95, outside_fraction=0.0, depth=0.8,
)  # fmt: skip
FIT = MomentFit(
    moment_ppm_mm3=3.1, se_ppm_mm3=0.3, significance=10.3, place_vox=(10, 10, 10), n_border=22, explained=0.8,
    poles_ppm=0.05, equator_ppm=-0.02,
)  # fmt: skip
BLOOD = Features(
    shape=ROUND, noise=0.03, tube=Tube(through=0.05, one_way=0.1), fit=FIT, phase="signed"
)


def shaped(**more):
    return replace(BLOOD, shape=replace(ROUND, **more))


def fitted(moment, **more):
    fit = replace(FIT, moment_ppm_mm3=moment, significance=moment / 0.3)
    return replace(BLOOD, fit=fit, **more)


def test_a_round_paramagnetic_void_is_a_microbleed_and_says_why():
    v = classify(BLOOD)
    assert (v.class_, v.sign) == ("microbleed", "paramagnetic")
    assert v.probability > 0.95
    for words in (
        "field negative at the equator and positive at the poles over 22 border voxels",
        "moment 3.10 +- 0.30 ppm mm3: paramagnetic",
        "round (sphericity 0.85), 3.2 mm",
        "no tube continues",
    ):
        assert words in v.evidence


def test_the_void_counts_less_where_much_of_the_fields_error_stands_for_form():
    void = Dephasing(moment_ppm_mm3=3.7, se_ppm_mm3=0.5, n_voxels=30)
    plain = replace(BLOOD, dephasing=void).moment
    formed = replace(BLOOD, fit=replace(FIT, form_ppm_mm3=0.25), dephasing=void).moment
    assert 3.1 < formed[0] < plain[0] < 3.7
    assert formed[1] < plain[1]


def test_a_clear_negative_moment_is_never_blood():
    flipped = replace(
        FIT, moment_ppm_mm3=-3.1, significance=-10.3, poles_ppm=-0.05, equator_ppm=0.02
    )
    v = classify(replace(BLOOD, fit=flipped))
    assert (v.class_, v.sign) == ("calcification", "diamagnetic")
    assert v.probability <= 0.02
    assert "positive at the equator and negative at the poles" in v.evidence


@pytest.mark.parametrize(
    ("moment", "sign"),
    [(0.9, "paramagnetic"), (0.89, "unclear"), (-0.89, "unclear"), (-0.9, "diamagnetic")],
)
def test_three_errors_make_a_sign_clear(moment, sign):
    assert sign_of(fitted(moment)) == sign


def test_an_unclear_sign_beside_a_moment_of_many_errors_says_why():
    """Moment and error are of field and void together, the sign is the field's alone."""
    weak = replace(FIT, moment_ppm_mm3=2.0, se_ppm_mm3=0.8, significance=2.4)
    by_void = Dephasing(moment_ppm_mm3=2.4, se_ppm_mm3=0.4, n_voxels=30)
    told = classify(replace(BLOOD, fit=weak, dephasing=by_void))
    assert told.sign == "unclear"
    assert "its sign by the field alone, at 2.4 errors of the 3 asked for" in told.evidence
    assert "its sign by" not in classify(replace(BLOOD, fit=weak)).evidence


def test_a_wide_void_with_no_more_moment_than_tissue_is_neither_calcium_nor_blood():
    """White matter beside fluid: 682 mm3 and a moment of -10.45 +- 6.10 ppm mm3."""
    core = replace(FIT, moment_ppm_mm3=-10.45, se_ppm_mm3=6.1, significance=-3.6)
    wide = replace(shaped(diameter_mm=15.6, volume_mm3=682.0), fit=core)
    for v in (
        classify(wide),
        name_void(wide, (0.9, {"macrobleed": 0.6, "calcification": 0.3, "vessel": 0.1}, ""), 0.2),
    ):
        assert v.class_ not in ("calcification", "microbleed", "macrobleed")
        assert v.probability <= 0.02
        assert "negative moment, for its size no more than that of normal tissue" in v.evidence
        assert (
            "moment -10.45 +- 6.10 ppm mm3: diamagnetic; its sign by an error of 2.90" in v.evidence
        )
    stone = replace(wide, fit=replace(core, moment_ppm_mm3=-42.0, significance=-7.0))
    small = replace(shaped(diameter_mm=4.6), fit=replace(core, moment_ppm_mm3=-0.4))
    assert classify(stone).class_ == classify(small).class_ == "calcification"
    assert "its sign by" not in classify(BLOOD).evidence


@pytest.mark.parametrize(
    ("moment", "through", "why"),
    [
        (-2730.0, 0.0, "for its size more than calcium has"),
        (-21.0, 0.98, "but a tube goes through it"),
        (-21.0, 0.55, ""),
    ],
)
def test_bone_and_tubes_are_neither_calcium_nor_blood(moment, through, why):
    """Skull base in the mask: 500 mm3, -2730 ppm mm3, goes on at both sides."""
    fit = replace(FIT, moment_ppm_mm3=moment, significance=-8.0)
    void = replace(shaped(volume_mm3=80.0), fit=fit, tube=replace(BLOOD.tube, through=through))
    others = {"macrobleed": 0.5, "calcification": 0.3, "vessel": 0.2}
    for v in (classify(void), name_void(void, (0.9, others, ""), 0.2)):
        assert v.probability <= 0.02
        assert f"negative moment{', ' + why if why else ''}" in v.evidence
        assert (v.class_ == "calcification") == (not why)
        assert v.class_ not in ("microbleed", "macrobleed")


@pytest.mark.parametrize(
    ("sphericity", "word", "oval_from"),
    [
        (0.85, "round", 0.7), (0.79, "oval", 0.7), (0.695, "irregular", 0.7), (0.697, "oval", 0.7),
        (0.69, "irregular", 0.7), (0.69, "oval", 0.6),
    ],
)  # fmt: skip
def test_the_word_for_a_form_is_that_of_its_criterion(sphericity, word, oval_from):
    criteria = CriteriaParams(round_from=oval_from)
    told = classify(shaped(sphericity=sphericity), criteria=criteria).evidence
    assert f"{word} (sphericity {sphericity:.2f})" in told


def test_without_phase_a_likely_microbleed_stays_one():
    v = classify(replace(BLOOD, fit=None, phase="none"))
    assert (v.class_, v.sign) == ("microbleed", "not_assessed")
    assert "cannot be told apart" in v.evidence


def test_unknown_handedness_gives_no_sign():
    v = classify(fitted(-3.1, phase="unsigned"))
    assert (v.class_, v.sign) == ("microbleed", "not_assessed")
    assert "size 3.10" in v.evidence
    assert "; diamagnetic if the phase is as given;" in v.evidence
    assert "as given" not in classify(fitted(0.5, phase="unsigned")).evidence


def test_a_tube_is_a_vessel():
    v = classify(replace(BLOOD, tube=Tube(through=0.9, one_way=0.9)))
    assert v.class_ == "vessel"
    assert "continues as a tube on two sides (0.90" in v.evidence


def test_susceptibility_may_show_the_tube_alone():
    faint = shaped(depth=0.35, sphericity=0.6)
    seen = replace(faint, tube_chi=Tube(through=0.9, one_way=0.9))
    assert classify(seen).class_ == "vessel"
    assert classify(seen).probability < classify(faint).probability


def test_iron_spread_over_a_nucleus_is_not_a_point():
    assert BLOOD.compactness == pytest.approx(0.8)
    spread = replace(shaped(depth=0.3), fit=replace(FIT, moment_ppm_mm3=11.0))
    assert spread.compactness == pytest.approx(0.3)
    assert log_odds(spread)["field"] < log_odds(BLOOD)["field"] - 3


def test_above_ten_millimetres_it_is_a_macrobleed():
    v = classify(shaped(diameter_mm=10.1))
    assert v.class_ == "macrobleed"
    assert v.probability <= 0.02
    assert classify(shaped(diameter_mm=10.04)).class_ == "microbleed"


def test_at_the_edge_of_the_brain_it_is_air():
    v = classify(shaped(outside_fraction=0.6, parenchyma_fraction=0.1, sphericity=0.4))
    assert v.class_ == "air_tissue"


def test_a_faint_spot_in_the_pallidum_is_iron():
    pallidum = SimpleNamespace(
        name="Pallidum", site="basal_ganglia", side="left", compartment="deep"
    )
    faint = replace(shaped(depth=0.3, sphericity=0.3, parenchyma_fraction=0.1), fit=None)
    assert classify(replace(faint, region=pallidum)).class_ == "iron"
    assert classify(faint).class_ == "undetermined"


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (BLOOD, shaped(sphericity=0.5)),
        (BLOOD, shaped(depth=0.3)),
        (BLOOD, shaped(parenchyma_fraction=0.3)),
        (BLOOD, fitted(0.5)),
        (fitted(0.1), fitted(-0.5)),
        (BLOOD, replace(BLOOD, tube=Tube(through=0.5, one_way=0.5))),
    ],
)
def test_each_feature_pulls_its_own_way(better, worse):
    assert sum(log_odds(better).values()) > sum(log_odds(worse).values())


def test_ramp_and_settings():
    assert [ramp(v, 1, 3) for v in (0, 2, 9)] == [0, 0.5, 1]
    with pytest.raises(ParameterError, match="between 0 and 1"):
        ClassifyParams(least_probability=0)


LARGE = replace(
    BLOOD,
    shape=replace(ROUND, diameter_mm=8.6, parenchyma_fraction=0.6),
    fit=replace(FIT, explained=0.95),
)
UNLIKELY = (0.1, {"iron": 0.8, "vessel": 0.2}, "symmetry (low) against it")


def test_a_large_sphere_of_blood_is_one_though_the_model_has_seen_few():
    v = name_void(LARGE, UNLIKELY, 0.4)
    assert (v.class_, v.probability) == ("microbleed", 0.9)
    assert "the field is that of one sphere" in v.evidence
    wider = replace(LARGE, shape=replace(LARGE.shape, diameter_mm=11.4))
    assert name_void(wider, UNLIKELY, 0.4).class_ == "macrobleed"
    sure = name_void(LARGE, (0.97, {"iron": 1.0}, "why"), 0.4)
    assert (sure.class_, sure.probability) == ("microbleed", 0.97)


@pytest.mark.parametrize(
    "other",
    [
        {"phase": "unsigned"},
        {"fit": None},
        {"fit": replace(FIT, explained=0.85)},
        {"fit": replace(FIT, explained=0.95, significance=4.5)},
        {"shape": replace(LARGE.shape, diameter_mm=6.4)},
        {"shape": replace(LARGE.shape, sphericity=0.75)},
        {"shape": replace(LARGE.shape, parenchyma_fraction=0.4)},
    ],
)
def test_what_is_no_large_sphere_is_left_to_the_model(other):
    v = name_void(replace(LARGE, **other), UNLIKELY, 0.4)
    assert (v.class_, v.probability) == ("iron", 0.1)


def test_a_positive_moment_is_no_calcium_though_its_sign_is_unclear():
    """As a pallidum of 48 +- 42 ppm mm3, which the model named by its place."""
    stone = (0.01, {"calcification": 0.9, "undetermined": 0.1}, "its place")
    for moment, class_ in ((48.0, "undetermined"), (-48.0, "calcification")):
        fit = replace(FIT, moment_ppm_mm3=moment, se_ppm_mm3=42.0, significance=moment / 42.0)
        v = name_void(replace(BLOOD, fit=fit), stone, 0.4)
        assert (v.class_, v.sign) == (class_, "unclear")


def test_a_large_sphere_of_calcium_stays_calcium():
    negative = replace(
        FIT, moment_ppm_mm3=-31.0, significance=-10.3, explained=0.95, poles_ppm=-0.05,
        equator_ppm=0.02,
    )  # fmt: skip
    v = name_void(replace(LARGE, fit=negative), UNLIKELY, 0.4)
    assert (v.class_, v.probability) == ("calcification", 0.02)


SPECK = replace(
    BLOOD,
    shape=replace(ROUND, diameter_mm=1.4, volume_mm3=0.9),
    fit=replace(FIT, moment_ppm_mm3=0.05, se_ppm_mm3=0.2, significance=0.25),
)
SURE = (0.95, {"vessel": 0.9, "undetermined": 0.1}, "form: sharpness (high) for it")


def test_a_speck_with_hardly_any_moment_is_no_microbleed():
    """Its own phase turns by one radian within less than a millimetre."""
    v = name_void(SPECK, SURE, 0.4)
    assert (v.class_, v.probability) == ("vessel", 0.05)
    assert v.evidence.startswith("too little iron for a microbleed; ")
    assert classify(SPECK).probability <= 0.05 < sum(log_odds(SPECK).values())
    unlikely = name_void(SPECK, (0.01, SURE[1], SURE[2]), 0.4)
    assert unlikely.probability == 0.01
    assert unlikely.evidence.startswith("model: form")


@pytest.mark.parametrize(
    "other",
    [
        {"phase": "unsigned"},
        {"fit": None},
        {"fit": replace(SPECK.fit, moment_ppm_mm3=0.11)},
        {"fit": replace(SPECK.fit, se_ppm_mm3=0.36)},
        {"dephasing": Dephasing(moment_ppm_mm3=0.4, se_ppm_mm3=0.1, n_voxels=9)},
        {"shape": replace(SPECK.shape, diameter_mm=2.0)},
    ],
)
def test_where_the_moment_is_not_known_to_be_little_the_model_is_asked(other):
    v = name_void(replace(SPECK, **other), SURE, 0.4)
    assert (v.class_, v.probability) == ("microbleed", 0.95)


def test_lines_beyond_and_no_tube_do_not_contradict_each_other():
    beyond = Context(vein_beyond_mm=16.0)
    told = classify(replace(BLOOD, context=beyond)).evidence
    assert "no tube continues at its own strength" in told
    assert "thin dark lines go on for 16 mm beyond it" in told
    assert "at its own strength" not in classify(BLOOD).evidence


@pytest.mark.parametrize(
    ("diameter_mm", "class_"),
    [(9.9, "microbleed"), (10.0, "microbleed"), (10.04, "microbleed"), (10.1, "macrobleed")],
)
def test_ten_millimetres_are_still_a_microbleed(diameter_mm, class_):
    """As the table shows the diameter: one digit."""
    assert name_void(shaped(diameter_mm=diameter_mm), (0.9, {}, ""), 0.4).class_ == class_


def test_a_speck_that_the_field_alone_calls_too_little_is_read_from_its_void_too():
    by_void = Dephasing(moment_ppm_mm3=0.4, se_ppm_mm3=0.1, n_voxels=9)
    named = [partial(name_void, opinion=SURE, least_probability=0.4)] * 2
    vein = replace(SPECK, shape=replace(SPECK.shape, diameter_mm=2.4))
    unlikely = partial(name_void, opinion=(0.01, *SURE[1:]), least_probability=0.4)
    spots = [
        Measured(void=None, features=f, verdict=told(f))
        for f, told in ((SPECK, named[0]), (vein, unlikely))
    ]
    seen = SimpleNamespace(features=[SPECK, vein], by_void=[by_void, by_void])
    speck, other = _by_void(spots, named, seen)
    assert speck.features.dephasing is by_void
    assert (speck.verdict.class_, speck.verdict.probability) == ("microbleed", 0.95)
    assert other is spots[1]
