from dataclasses import replace
from types import SimpleNamespace

import pytest

from petechia.errors import ParameterError
from petechia.lesions.classify import ClassifyParams, Features, classify, log_odds, ramp, sign_of
from petechia.lesions.moment import MomentFit
from petechia.lesions.shape import Shape
from petechia.lesions.tube import Tube

ROUND = Shape(
    centre_vox=(10, 10, 10), n_voxels=14, volume_mm3=14.0, diameter_mm=3.2, radius_mm=1.5,
    sphericity=0.85, elongation=1.2, flatness=1.2, margin_sharpness=0.5, homogeneity=0.6,
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


def test_without_phase_a_likely_microbleed_stays_one():
    v = classify(replace(BLOOD, fit=None, phase="none"))
    assert (v.class_, v.sign) == ("microbleed", "not_assessed")
    assert "cannot be told apart" in v.evidence


def test_unknown_handedness_gives_no_sign():
    v = classify(fitted(-3.1, phase="unsigned"))
    assert (v.class_, v.sign) == ("microbleed", "not_assessed")
    assert "size 3.10" in v.evidence


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
