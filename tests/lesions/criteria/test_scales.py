"""Boston 2.0, ARIA-H and the two scores: truth tables, and claims against brute force.

The oracles below are written from the published tables, apart from the code under test, and
see only patients of whom everything is known. Brute force puts every value of the missing
facts to them: a claim must hold what they answer, no less and no more.
"""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from petechia.lesions.criteria.aria import aria_h, aria_h_between
from petechia.lesions.criteria.boston import boston
from petechia.lesions.criteria.clinical import ClinicalFacts, read_facts
from petechia.lesions.criteria.svd import caa_svd, total_svd
from petechia.lesions.findings import NO_CALCIUM_PLACE

GATE = {"age_years": 71, "presentation": "cognitive_impairment", "other_cause": False}
NO_MORE = {"css": "none", "csah_foci": 0, "centrum_semiovale_pvs": 5, "subcortical_spots": 3}


def facts(*tables, **more):
    return read_facts({k: v for t in tables for k, v in t.items()} | more, "test")


# --- Boston 2.0


def boston_oracle(person, scan):
    """The tier of a person of whom everything is known; `scan` counts lobar, deep bleeds."""
    lobar, deep = scan
    at_risk = person["age_years"] >= 50 and person["presentation"] != "other"
    if not at_risk or person["other_cause"] or deep + person["deep_ich"] > 0:
        return "not_met"
    foci = lobar + person["lobar_ich"] + person["css_foci"] + person["csah_foci"]
    white = person["centrum_semiovale_pvs"] > 20 or person["subcortical_spots"] > 10
    if foci > 1 or (foci == 1 and white):
        return "probable"
    return "possible" if foci == 1 or white else "not_met"


BOSTON_VALUES = {
    "age_years": (30, 49, 49.9, 50, 88),
    "presentation": ("spontaneous_ich", "transient_focal_episodes", "cognitive_impairment", "other"),
    "other_cause": (False, True),
    "lobar_ich": (0, 1, 2, 5),
    "deep_ich": (0, 1, 3),
    "css_foci": (0, 1, 2, 7),
    "csah_foci": (0, 1, 2),
    "centrum_semiovale_pvs": (0, 20, 21, 60),
    "subcortical_spots": (0, 10, 11, 40),
}  # fmt: skip
ORDER = ("not_met", "possible", "probable")


def brute(oracle, known, values, *more):
    """Every answer over all values of what is not known."""
    missing = [name for name in values if name not in known]
    return {
        oracle(known | dict(zip(missing, chosen, strict=True)), *more)
        for chosen in product(*(values[name] for name in missing))
    }


def known_part(rng, values, share):
    return {
        name: choices[rng.integers(len(choices))]
        for name, choices in values.items()
        if rng.random() < share
    }


@pytest.mark.parametrize("share", [0.95, 0.8, 0.6])
def test_boston_claims_exactly_what_no_missing_fact_could_change(make, share):
    rng = np.random.default_rng(7)
    claimed = 0
    for _ in range(40):
        known = known_part(rng, BOSTON_VALUES, share)
        ich_told = {"lobar_ich", "deep_ich"} <= known.keys()
        if not ich_told:  # else a silence on haemorrhage has rules of its own, tested below
            known |= {"lobar_ich": 0, "deep_ich": int(rng.integers(2))}
        scan = (int(rng.integers(4)), int(rng.random() < 0.15))
        findings = [make("lobar")] * scan[0] + [make("deep")] * scan[1] + [make("cerebellum")]
        claim = boston(findings, facts(known))
        assert set(claim.could_be) == brute(boston_oracle, known, BOSTON_VALUES, scan), known
        assert list(claim.could_be) == sorted(claim.could_be, key=ORDER.index)
        claimed += claim.claimed
    assert claimed


def test_what_is_called_missing_could_change_the_answer_and_nothing_else_could(make):
    rng = np.random.default_rng(3)
    for _ in range(25):
        known = known_part(rng, BOSTON_VALUES, 0.75) | {"lobar_ich": 0, "deep_ich": 0}
        findings = [make("lobar")] * int(rng.integers(3))
        claim = boston(findings, facts(known))
        scan = (len(findings), 0)
        for name in set(BOSTON_VALUES) - set(known):
            alone = [
                brute(boston_oracle, known | dict(zip(rest, chosen, strict=True)), {name: BOSTON_VALUES[name]}, scan)
                for rest in [[n for n in BOSTON_VALUES if n not in known and n != name]]
                for chosen in product(*(BOSTON_VALUES[n] for n in rest))
            ]  # fmt: skip
            assert (name in claim.missing) == any(len(found) > 1 for found in alone), (known, name)


@pytest.mark.parametrize(
    ("lobar", "more", "tier"),
    [
        (0, {}, "not_met"),
        (1, {}, "possible"),
        (2, {}, "probable"),
        (0, {"centrum_semiovale_pvs": 20}, "not_met"),
        (0, {"centrum_semiovale_pvs": 21}, "possible"),
        (1, {"centrum_semiovale_pvs": ">20"}, "probable"),
        (0, {"subcortical_spots": 10}, "not_met"),
        (0, {"subcortical_spots": 11}, "possible"),
        (1, {"subcortical_spots": 11}, "probable"),
        (1, {"css": "focal"}, "probable"),
        (0, {"css": "focal", "css_foci": 1}, "possible"),
        (0, {"css": "focal", "css_foci": 2}, "probable"),
        (0, {"csah_foci": 2}, "probable"),
        (0, {"lobar_ich": 1}, "possible"),
        (1, {"lobar_ich": 1}, "probable"),
        (2, {"age_years": 49}, "not_met"),
        (2, {"age_years": 50}, "probable"),
        (2, {"presentation": "other"}, "not_met"),
        (2, {"presentation": "transient_focal_episodes"}, "probable"),
        (2, {"other_cause": True}, "not_met"),
        (2, {"deep_ich": 1}, "not_met"),
    ],
)
def test_boston_truth_table(make, lobar, more, tier):
    claim = boston([make("lobar")] * lobar, facts(GATE, NO_MORE, more))
    assert claim.answer == tier
    assert claim.claimed
    assert claim.missing == ()


@pytest.mark.parametrize(
    ("places", "answer"),
    [
        (["lobar", "lobar"], "probable"),  # without T2 or FLAIR
        (["lobar"], "at_least_possible"),
        ([], "indeterminate"),
        (["lobar", "lobar", "deep"], "not_met"),
        (["lobar", "lobar", "brainstem"], "not_met"),
        (["lobar", "lobar", "cerebellum"], "probable"),
        (["cerebellum", "cerebellum"], "indeterminate"),
        (["lobar", "lobar", "unknown"], "indeterminate"),
        (["deep", "unknown"], "not_met"),
    ],
)
def test_boston_without_t2_and_flair(make, places, answer):
    claim = boston([make(place) for place in places], facts(GATE))
    assert claim.answer == answer


def test_boston_without_any_clinical_fact(make):
    claim = boston([make("lobar")] * 3, ClinicalFacts())
    assert claim.answer == "indeterminate"
    assert set(claim.missing) >= {"age_years", "presentation", "other_cause"}
    assert boston([make("deep")], ClinicalFacts()).answer == "not_met"


def test_a_scan_that_shows_no_microbleeds_leaves_them_unknown(make):
    claim = boston([], facts(GATE, NO_MORE), assessable=False)
    assert claim.could_be == ORDER
    assert claim.missing == ("bleeds_on_scan",)


def test_one_who_came_with_a_haemorrhage_has_one_somewhere(make):
    came = facts(GATE, NO_MORE, presentation="spontaneous_ich")
    claim = boston([make("lobar")] * 2, came)
    assert claim.could_be == ("not_met", "probable")
    assert claim.missing == ("lobar_ich", "deep_ich")
    lobar = facts(GATE, NO_MORE, presentation="spontaneous_ich", lobar_ich=1, deep_ich=0)
    assert boston([make("lobar")], lobar).answer == "probable"
    seen = boston([make("lobar", class_="macrobleed", mm=25.0)], came)
    assert seen.answer == "possible"
    assert boston([make("deep", class_="macrobleed", mm=25.0)], came).answer == "not_met"


def test_a_macrobleed_that_ct_shows_to_be_calcium_is_no_haemorrhage(make):
    stone = replace(make("deep", class_="macrobleed", mm=12.0), ct_hu=400.0, ct_calcified=True)
    beside = [make("lobar")] * 2
    assert boston([stone, *beside], facts(GATE, NO_MORE)).answer == "probable"
    old = replace(stone, ct_hu=38.0, ct_calcified=False)
    assert boston([old, *beside], facts(GATE, NO_MORE)).answer == "not_met"


def test_told_haemorrhages_stand_in_for_those_of_the_scan(make):
    large = [make("deep", class_="macrobleed", mm=14.0)]
    assert boston(large, facts(GATE, NO_MORE)).answer == "not_met"
    assert boston(large, facts(GATE, NO_MORE, deep_ich=0, lobar_ich=1)).answer == "possible"


def test_what_is_not_counted_is_no_lesion(make):
    vessels = [make("deep", class_="vessel"), make("lobar", counted=False)]
    assert boston(vessels, facts(GATE, NO_MORE)).answer == "not_met"
    assert boston(vessels, facts(GATE, NO_MORE, subcortical_spots=12)).answer == "possible"


# --- ARIA-H


@pytest.mark.parametrize(
    ("new", "siderosis", "grade"),
    [
        (0, 0, "none"), (1, 0, "mild"), (4, 0, "mild"), (5, 0, "moderate"), (9, 0, "moderate"),
        (10, 0, "severe"), (40, 0, "severe"), (0, 1, "mild"), (0, 2, "moderate"), (0, 3, "severe"),
        (4, 2, "moderate"), (9, 3, "severe"), (10, 1, "severe"), (1, 1, "mild"),
    ],
)  # fmt: skip
def test_aria_truth_table(new, siderosis, grade):
    told = facts(amyloid_immunotherapy=True, new_microhemorrhages=new, new_siderosis_foci=siderosis)
    claim = aria_h([], told)
    assert claim.answer == grade
    assert claim.missing == ()
    untreated = facts(
        amyloid_immunotherapy=False, new_microhemorrhages=new, new_siderosis_foci=siderosis
    )
    assert aria_h([], untreated).answer == "not_applicable"


@pytest.mark.parametrize(
    ("then", "now", "siderosis", "answer"),
    [
        (0, 0, 0, "indeterminate"),
        (0, 1, 0, "at_least_mild"),
        (2, 6, 0, "at_least_mild"),
        (2, 7, 0, "at_least_moderate"),
        (2, 12, 0, "severe"),
        ("0-3", 12, 0, "at_least_moderate"),
        (">3", 12, 0, "indeterminate"),
        (9, 3, 3, "severe"),
        (9, 3, 2, "at_least_moderate"),
    ],
)
def test_the_count_at_baseline_bounds_what_is_new(make, then, now, siderosis, answer):
    told = facts(
        amyloid_immunotherapy=True, baseline_microhemorrhages=then, new_siderosis_foci=siderosis
    )
    assert aria_h([make("lobar")] * now, told).answer == answer


def test_a_scan_alone_grades_no_aria(make):
    claim = aria_h([make("lobar")] * 30, ClinicalFacts())
    assert claim.answer == "indeterminate"
    assert claim.missing == ("amyloid_immunotherapy", "new_microhemorrhages", "new_siderosis_foci")


@pytest.mark.parametrize(
    ("new", "siderosis", "answer", "missing"),
    [
        ((0, 0), (0, 0), "none", ()),
        ((1, 2), (0, 0), "mild", ()),
        ((4, 5), (0, 0), "at_least_mild", ("new_microhemorrhages",)),
        ((5, 5), None, "at_least_moderate", ("new_siderosis_foci",)),
        ((10, 12), None, "severe", ()),
        (None, (3, None), "severe", ()),
        (None, None, "indeterminate", ("new_microhemorrhages", "new_siderosis_foci")),
    ],
)
def test_what_two_scans_show_is_graded_as_if_treated(new, siderosis, answer, missing):
    claim = aria_h_between(new, siderosis)
    assert (claim.answer, claim.missing) == (answer, missing)
    told = {i.name: (i.told, i.source) for i in claim.inputs}
    assert told["amyloid_immunotherapy"] == ("yes", "assumed")
    assert "clinical" not in {source for _, source in told.values()}
    assert (told["new_microhemorrhages"] == ("", "")) == (new is None)
    assert (told["new_siderosis_foci"] == ("", "")) == (siderosis is None)


# --- the two scores

SVD_VALUES = {
    "lacunes": (0, 1, 4),
    "fazekas_periventricular": (0, 1, 2, 3),
    "fazekas_deep": (0, 1, 2, 3),
    "basal_ganglia_pvs": (0, 10, 11, 20, 21),
}
CAA_VALUES = {
    "css": ("none", "focal", "disseminated"),
    "centrum_semiovale_pvs": (0, 20, 21),
    "fazekas_periventricular": (0, 1, 2, 3),
    "fazekas_deep": (0, 1, 2, 3),
}


def white(person):
    return int(person["fazekas_periventricular"] == 3 or person["fazekas_deep"] in (2, 3))


def svd_oracle(person, microbleeds, cutoff):
    pvs = int(person["basal_ganglia_pvs"] > cutoff)
    return min(1, microbleeds) + min(1, person["lacunes"]) + white(person) + pvs


def caa_oracle(person, lobar):
    points = {0: 0, 1: 0, 2: 1, 3: 1, 4: 1}.get(lobar, 2)
    points += {"none": 0, "focal": 1, "disseminated": 2}[person["css"]]
    return points + int(person["centrum_semiovale_pvs"] > 20) + white(person)


@pytest.mark.parametrize("cutoff", [10, 20])
def test_total_score_against_brute_force(make, cutoff):
    rng = np.random.default_rng(5)
    for share in (0.3, 0.6, 0.9, 1.0) * 12:
        known, n = known_part(rng, SVD_VALUES, share), int(rng.integers(3))
        claim = total_svd([make("deep")] * n, facts(known), pvs_above=cutoff)
        expected = brute(svd_oracle, known, SVD_VALUES, n, cutoff)
        assert list(claim.could_be) == sorted(expected), known
        assert (claim.missing == ()) == (len(expected) == 1)


def test_score_of_amyloid_angiopathy_against_brute_force(make):
    rng = np.random.default_rng(6)
    for share in (0.3, 0.6, 0.9, 1.0) * 12:
        known, n = known_part(rng, CAA_VALUES, share), int(rng.integers(8))
        claim = caa_svd([make("lobar")] * n + [make("deep")] * 3, facts(known))
        assert list(claim.could_be) == sorted(brute(caa_oracle, known, CAA_VALUES, n)), known


@pytest.mark.parametrize(
    ("name", "value", "points"),
    [
        ("lacunes", 0, 0), ("lacunes", 1, 1), ("lacunes", 9, 1),
        ("fazekas_periventricular", 2, 0), ("fazekas_periventricular", 3, 1),
        ("fazekas_deep", 1, 0), ("fazekas_deep", 2, 1), ("fazekas_deep", 3, 1),
        ("basal_ganglia_pvs", 10, 0), ("basal_ganglia_pvs", 11, 1),
    ],
)  # fmt: skip
def test_each_point_of_the_total_score(make, name, value, points):
    nothing = dict.fromkeys(SVD_VALUES, 0)
    assert total_svd([], facts(nothing, {name: value})).answer == str(points)
    assert total_svd([make("cerebellum")], facts(nothing, {name: value})).answer == str(points + 1)


@pytest.mark.parametrize(("lobar", "points"), [(0, 0), (1, 0), (2, 1), (4, 1), (5, 2), (30, 2)])
def test_lobar_microbleeds_of_the_angiopathy_score(make, lobar, points):
    nothing = facts(css="none", centrum_semiovale_pvs=0, fazekas_periventricular=0, fazekas_deep=0)
    assert caa_svd([make("lobar")] * lobar, nothing).answer == str(points)


def test_scores_without_facts_are_bounds(make):
    claim = total_svd([make("lobar")], ClinicalFacts())
    assert claim.could_be == (1, 2, 3, 4)
    assert claim.answer == "at_least_1"
    assert caa_svd([make("lobar")] * 5, ClinicalFacts()).could_be == (2, 3, 4, 5, 6)
    assert caa_svd([], facts(css_foci=2)).could_be == (1, 2, 3, 4)
    assert total_svd([], ClinicalFacts(), assessable=False).answer == "indeterminate"


def test_what_lies_where_calcium_is_usual_may_be_no_bleed_without_a_sign(make):
    def told(finding, sign, place):
        return replace(finding, sign=sign, criteria={NO_CALCIUM_PLACE: place})

    patient = facts(age_years=74, presentation="cognitive_impairment", other_cause="no", css="none")
    lobar, spot = [make("lobar")] * 2, make("deep")
    maybe = told(spot, "not_assessed", "not met")
    claim = boston([*lobar, maybe], patient)
    assert claim.could_be == ("not_met", "probable")
    assert claim.missing == ("bleeds_on_scan",)
    assert claim.as_dict()["inputs"]["bleeds_on_scan"]["value"] == (
        "2 lobar, 0 deep, 1 that may be calcium"
    )
    for sure in (told(spot, "paramagnetic", "not met"), told(spot, "not_assessed", "met")):
        assert boston([*lobar, sure], patient).could_be == ("not_met",)
    assert boston([*lobar, maybe, spot], patient).could_be == ("not_met",)
    assert total_svd([maybe], ClinicalFacts()).could_be == (0, 1, 2, 3, 4)
    assert total_svd([maybe, spot], ClinicalFacts()).could_be == (1, 2, 3, 4)
    lobes = [told(make("lobar"), "not_assessed", "not met")]
    assert caa_svd([*lobar, *lobes * 3], facts(css="none")).could_be[0] == 1


def test_a_claim_is_plain_values(make):
    told = total_svd([make("lobar")], facts(lacunes=">2", fazekas_deep=0)).as_dict()
    assert told["could_be"] == [2, 3, 4]
    assert told["answer"] == "at_least_2"
    assert told["missing"] == ["fazekas_periventricular", "basal_ganglia_pvs"]
    assert told["inputs"]["lacunes"] == {"value": ">2", "source": "clinical"}
    assert told["inputs"]["microbleeds_on_scan"] == {"value": "1 counted", "source": "scan"}
    assert told["inputs"]["basal_ganglia_pvs"] == {"value": "", "source": ""}
    assert told["doi"].startswith("10.")


def test_a_bleed_in_an_unknown_place_is_told_only_by_both_counts(make):
    """Told of the lobes alone, it may lie deep: the scan's own still counts."""
    large = [make("unknown", class_="macrobleed", mm=14.0)]
    for told in ({"lobar_ich": 0}, {"deep_ich": 0}):
        assert boston(large, facts(GATE, NO_MORE, told)).answer != "not_met"
    both = facts(GATE, NO_MORE, lobar_ich=0, deep_ich=0)
    assert boston(large, both).answer == "not_met"
