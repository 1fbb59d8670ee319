from dataclasses import replace

import pytest

from petechia.core.counts import CountDoubt
from petechia.errors import ParameterError
from petechia.lesions.criteria import (
    CriteriaParams,
    count_bin,
    count_bins,
    count_interval,
    extent,
    lesion_criteria,
    mars_grade,
    patient_category,
    summarise,
)
from petechia.lesions.findings import COLUMNS, EXTRA_COLUMNS, Finding

ONE = Finding(
    index=1, name="microbleed 1", class_="microbleed", sign="paramagnetic", probability=0.9,
    counted=True, mars="definite", x_mm=-0.001, y_mm=2.0, z_mm=3.14159, volume_mm3=14.0,
    diameter_mm=3.25, moment_ppm_mm3=3.1, moment_se_ppm_mm3=0.3, chi_mean_ppm=None, side="left",
    site="frontal", compartment="lobar", parenchyma_fraction=1.0, sphericity=0.82,
    margin_sharpness=0.5, homogeneity=0.6, evidence="round;\tno tube\ncontinues",
)  # fmt: skip


def at(site, compartment, **more):
    return replace(ONE, site=site, compartment=compartment, **more)


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [
        ([], (0, 0)),
        ([1.0] * 4, (4, 4)),
        ([0.0] * 3, (0, 0)),
        ([0.5], (0, 1)),
        ([0.5] * 100, (40, 60)),
    ],
)
def test_count_interval(probabilities, expected):
    assert count_interval(probabilities) == expected


def test_what_findings_have_in_common_moves_the_interval():
    doubtful = [0.95] * 10 + [0.3] * 10
    doubt = CountDoubt(usual_rate=0.5, rate_spread=0.0, shared_error=1.4)
    alone, shared = count_interval(doubtful), count_interval(doubtful, doubt=doubt)
    assert shared[0] < alone[0] < alone[1] < shared[1]
    few = [replace(ONE, probability=p) for p in doubtful]
    for told, expected in ((None, alone), (doubt, shared)):
        summary = summarise(few, CriteriaParams(count_doubt=told))
        assert tuple(summary["count_interval_95"]) == expected


def test_a_probability_above_one_is_refused():
    with pytest.raises(ParameterError, match=r"probability 1\.2"):
        count_interval([1.2])


@pytest.mark.parametrize(("count", "bin_"), [(0, "0"), (1, "1-4"), (4, "1-4"), (5, ">=5")])
def test_count_bins(count, bin_):
    assert count_bin(count) == bin_


def test_a_negative_count_is_refused():
    with pytest.raises(ParameterError, match="count of -1"):
        count_bin(-1)


LOBAR, DEEP = ("parietal", "lobar"), ("thalamus", "deep")
CEREBELLAR, UNKNOWN = ("cerebellum", "infratentorial"), ("n/a", "n/a")


@pytest.mark.parametrize(
    ("places", "category"),
    [
        ([], "none"),
        ([LOBAR], "strictly_lobar"),
        ([DEEP, CEREBELLAR], "strictly_deep_or_infratentorial"),
        ([LOBAR, DEEP], "mixed"),
        ([LOBAR, CEREBELLAR], "mixed"),
        ([LOBAR, UNKNOWN], "unknown_site"),
        ([LOBAR, DEEP, UNKNOWN], "mixed"),
    ],
)
def test_patient_category(places, category):
    assert patient_category([at(*place) for place in places]) == category


def test_cerebellar_microbleeds_may_be_ignored():
    params = CriteriaParams(cerebellum="ignored")
    assert patient_category([at(*LOBAR), at(*CEREBELLAR)], params) == "strictly_lobar"
    with pytest.raises(ParameterError, match="'lobar'"):
        CriteriaParams(cerebellum="lobar")


def test_what_is_not_counted_does_not_enter_the_category():
    assert patient_category([at(*LOBAR), at(*DEEP, counted=False)]) == "strictly_lobar"


@pytest.mark.parametrize(
    ("diameter", "roundness", "sharpness", "grade"),
    [
        (4.0, 0.8, 0.5, "definite"),
        (10.0, 0.8, 0.5, "definite"),
        (1.5, 0.8, 0.5, "possible"),
        (4.0, 0.5, 0.5, "possible"),
        (4.0, 0.8, 0.1, "possible"),
    ],
)
def test_mars(diameter, roundness, sharpness, grade):
    criteria = lesion_criteria(diameter, roundness, sharpness, 0.5, 1.0)
    assert mars_grade("microbleed", criteria) == grade
    assert mars_grade("vessel", criteria) == "n/a"


def test_what_was_not_measured_is_not_assessed():
    criteria = lesion_criteria(11.0, None, 0.5, 0.1, 0.4)
    assert list(criteria.values()) == [
        "not met", "not assessed", "met", "not met", "not met", "not assessed",
    ]  # fmt: skip


def test_summary_counts_are_sums_of_the_column_counted():
    found = [
        ONE,
        at(*DEEP, side="right", mars="possible", diameter_mm=6.0, moment_ppm_mm3=2.0),
        at(*LOBAR, counted=False, probability=0.4),
        at(*UNKNOWN, class_="vessel", counted=False, probability=0.1, mars="n/a"),
    ]
    out = summarise(found)
    assert out["counts"]["total"] == 2
    assert (out["counts"]["definite"], out["counts"]["possible"]) == (1, 1)
    assert (out["counts"]["left"], out["counts"]["right"]) == (1, 1)
    assert out["counts"]["by_site"]["frontal"] == out["counts"]["by_compartment"]["deep"] == 1
    assert out["counts"]["by_class"]["microbleed"] == 3
    assert out["counts"]["by_class"]["vessel"] == 1
    assert out["category"] == "mixed"
    assert out["count_bin"] == "1-4"
    # 0.9, 0.9, 0.4 and a vessel's 0.1: all four are bleeds with a chance of 0.032
    assert out["count_interval_95"] == [1, 4]
    assert out["criteria"]["largest_diameter_mm"] == 6.0
    assert out["criteria"]["total_moment_ppm_mm3"] == 5.1
    errors = [f.moment_se_ppm_mm3 for f in found if f.counted and f.moment_se_ppm_mm3]
    told = out["criteria"]["total_moment_se_ppm_mm3"]
    assert told == pytest.approx(sum(e**2 for e in errors) ** 0.5, abs=0.005)


def test_no_findings_summarise():
    out = summarise([])
    assert out["counts"]["total"] == 0
    assert out["category"] == "none"
    assert out["count_interval_95"] == [0, 0]
    assert out["criteria"]["largest_diameter_mm"] is None


def test_a_row_has_stated_digits_and_one_line():
    row = ONE.row()
    assert tuple(row) == (*COLUMNS, *EXTRA_COLUMNS)
    assert row["x_mm"] == "0.00"
    assert row["z_mm"] == "3.14"
    assert row["probability"] == "0.900"
    assert row["counted"] == "1"
    assert row["chi_mean_ppm"] == row["source_x_mm"] == row["criteria"] == "n/a"
    assert row["evidence"] == "round; no tube continues"


def test_a_sphere_of_2_mm_and_1_ppm_holds_3_ug_of_iron():
    blood = replace(ONE, moment_ppm_mm3=4.189, moment_se_ppm_mm3=0.0)
    assert blood.iron_ug == pytest.approx((3.232, 0.3 * 3.232), rel=1e-3)
    assert blood.row()["iron_ug"] == "3.23"
    for other in ({"class_": "calcification"}, {"sign": "unclear"}, {"moment_ppm_mm3": None}):
        assert replace(blood, **other).iron_ug is None
        assert replace(blood, **other).row()["iron_se_ug"] == "n/a"


@pytest.mark.parametrize(
    ("count", "fine", "high"),
    [(0, "0", False), (1, "1", False), (2, "2-4", False), (4, "2-4", False), (5, ">=5", False),
     (10, ">=5", False), (11, ">=5", True)],
)  # fmt: skip
def test_the_finer_division_and_the_high_burden(count, fine, high):
    bins = count_bins(count)
    assert bins["0, 1-4, >=5"] == count_bin(count)
    assert bins["0, 1, 2-4, >=5"] == fine
    assert bins["high_burden"] is high


@pytest.mark.parametrize(
    ("sulci", "word"),
    [(0, "none"), (1, "focal"), (3, "focal"), (4, "disseminated"), (12, "disseminated")],
)
def test_siderosis_is_focal_in_up_to_three_sulci(sulci, word):
    """Linn et al. 2010."""
    assert extent(sulci) == word
