"""Regressions: effects put in are found again, symmetries hold, what cannot be fitted says so."""

import numpy as np
import pytest
import statsmodels.api as sm

from petechia.cohort.counts import COUNT_MODELS, choose_count_model, count_regression
from petechia.cohort.design_matrix import build_design, read_column
from petechia.cohort.estimates import STATUSES
from petechia.cohort.logistic import logistic_regression
from petechia.cohort.ordinal import proportional_odds
from petechia.cohort.topography import PATTERNS, pattern_of, pattern_regression, region_rates
from petechia.cohort.two_by_two import two_by_two
from petechia.errors import ParameterError

EFFECT = {"age": 0.04, "hypertension[yes]": 0.8}


def cohort(rng, n=250, *, alpha=0.7, never=0.0):
    """Return a table of people whose counts rise with age and hypertension, at two fields."""
    age = rng.normal(70, 8, n)
    ill = rng.random(n) < 0.45
    b0 = np.where(rng.random(n) < 0.5, 3.0, 1.5)
    mu = np.exp(
        -0.2 + EFFECT["age"] * (age - 70) + EFFECT["hypertension[yes]"] * ill + 0.3 * (b0 == 3)
    )
    mu *= rng.random(n) >= never
    y = rng.poisson(mu * (rng.gamma(1 / alpha, alpha, n) if alpha else 1))
    return {
        "count": y, "age": age, "hypertension": np.where(ill, "yes", "no"), "b0_t": b0,
        "sequence": np.full(n, "swi"), "slice_thickness_mm": np.full(n, 2.0),
    }  # fmt: skip


def designed(table, outcome="count"):
    return build_design(table, outcome, ("age", "hypertension"))


def nothing_is_told(fit):
    return all(np.isnan([t.p, t.coefficient, t.low, t.ratio]).all() for t in fit.terms)


# -- the design


def test_adjusters_that_vary_are_in_and_the_others_are_said():
    design = designed(cohort(np.random.default_rng(0)))
    assert design.names == ("intercept", "age", "hypertension[yes]", "b0_t")
    assert design.exposures == ("age", "hypertension[yes]")
    assert any("sequence is the same" in note for note in design.notes)


def test_a_covariate_told_by_others_is_dropped_and_said():
    table = cohort(np.random.default_rng(0))
    table["sequence"] = np.where(table["b0_t"] == 3, "swi", "gre")
    table["slice_thickness_mm"] = 2 * table["b0_t"] - 1
    design = designed(table)
    assert design.names == ("intercept", "age", "hypertension[yes]", "b0_t")
    assert sum("told by the other columns" in note for note in design.notes) == 2
    assert np.linalg.matrix_rank(design.x) == design.x.shape[1]


def test_digits_that_name_groups_are_levels_when_that_is_said():
    table = cohort(np.random.default_rng(0))
    site = 1 + np.arange(len(table["age"])) % 3
    for values in (site, site.astype(float), site.astype(str), site.astype(str).astype(object)):
        design = build_design(
            table | {"site": values}, "count", ["site"], ["age"], factors={"site"},
            reference={"site": "2"},
        )  # fmt: skip
        assert design.names == ("intercept", "site[1]", "site[3]", "age")
        assert design.x[:, 2].tolist() == (site == 3).tolist()
    assert build_design(table | {"site": site}, "count", ["site"], ()).exposures == ("site",)


def test_people_whose_labels_differ_in_zeros_are_not_one():
    who = np.array(["1", "01", "2"] * 4, dtype=object)
    table = {"y": np.arange(12.0), "x": np.arange(12.0) ** 2, "who": who}
    assert build_design(table, "y", ["x"], (), group="who").groups.max() == 2


def test_a_number_with_an_underscore_is_a_word():
    column = read_column({"x": ["7_5", "80"]}, "x")
    assert column.tolist() == ["7_5", "80"]


def test_an_exposure_stays_and_the_covariate_it_tells_goes():
    table = cohort(np.random.default_rng(0))
    table["site"] = np.where(table["b0_t"] == 3, "A", "B")
    design = build_design(table, "count", ["site"])
    assert design.names == ("intercept", "site[B]")
    assert any("b0_t is told by" in note for note in design.notes)


def test_rows_without_a_value_are_counted_and_columns_without_any_are_dropped():
    table = cohort(np.random.default_rng(0), 60)
    table["age"][:5] = np.nan
    table["hypertension"] = table["hypertension"].astype(object)
    table["hypertension"][5:8] = ["n/a", "", None]
    table["b0_t"] = np.full(60, np.nan)
    design = designed(table)
    assert (len(design.y), design.left_out) == (52, 8)
    assert any("b0_t has no value" in note for note in design.notes)
    assert (design.rows == np.arange(8, 60)).all()


def test_a_pandas_table_is_as_good_as_a_dict():
    pandas = pytest.importorskip("pandas")
    table = cohort(np.random.default_rng(0), 80)
    frame = pandas.DataFrame(table)
    one, other = designed(table), designed(frame)
    assert one.names == other.names
    assert (one.x == other.x).all()


def test_nearly_told_is_said():
    table = cohort(np.random.default_rng(0))
    table["years_ill"] = table["age"] - 40 + np.random.default_rng(1).normal(0, 0.5, 250)
    design = build_design(table, "count", ["age", "years_ill"])
    assert any("variance inflation" in note for note in design.notes)


def test_refusals_of_the_design():
    table = cohort(np.random.default_rng(0), 20)
    with pytest.raises(ParameterError, match=r"'weight'.*age"):
        build_design(table, "count", ["weight"])
    table["grade"] = np.array(["a", "b", "c", "d"] * 5)
    with pytest.raises(ParameterError, match="grade"):
        build_design(table, "grade", ["age"])


# -- recovery


def test_negative_binomial_covers_what_was_put_in():
    rng = np.random.default_rng(20)
    hits, n = dict.fromkeys(EFFECT, 0), 60
    for _ in range(n):
        fit = count_regression(designed(cohort(rng)))
        assert fit.ok, fit.said
        for name, true in EFFECT.items():
            term = fit.term(name)
            hits[name] += term.low < true < term.high
    assert all(hit >= 51 for hit in hits.values())  # 57 expected, 51 is 3.6 SD below


def test_poissons_robust_errors_cover_what_its_own_do_not():
    rng = np.random.default_rng(21)
    robust = plain = 0
    n = 60
    for _ in range(n):
        design = designed(cohort(rng, alpha=1.0))
        term = count_regression(design, "poisson").term("age")
        robust += term.low < EFFECT["age"] < term.high
        own = sm.GLM(design.y, design.x, family=sm.families.Poisson()).fit().bse[1]
        plain += abs(term.coefficient - EFFECT["age"]) < 1.96 * own
    assert robust >= 49
    assert robust > plain


@pytest.mark.parametrize("model", COUNT_MODELS)
def test_every_count_model_is_near_the_truth_on_a_large_sample(model):
    zero_inflated = model.startswith("zero")
    alpha = 0.7 if "negative" in model else 0.0
    rng = np.random.default_rng(7)
    table = cohort(rng, 1000, alpha=alpha, never=0.3 if zero_inflated else 0.0)
    fit = count_regression(designed(table), model)
    assert fit.ok, fit.said
    for name, true in EFFECT.items():
        term = fit.term(name)
        assert abs(term.coefficient - true) < 3 * term.se
        assert term.ratio == pytest.approx(np.exp(term.coefficient))
    if zero_inflated:
        never = fit.term("intercept", "zeros")
        assert never.low < np.log(0.3 / 0.7) < never.high
    if alpha:
        spread = fit.term("dispersion", "spread")
        assert abs(spread.coefficient - alpha) < 3 * spread.se
        assert fit.statistics["dispersion"] == spread.coefficient


def test_a_negative_binomial_is_that_of_statsmodels():
    design = designed(cohort(np.random.default_rng(2)))
    fit = count_regression(design)
    theirs = sm.NegativeBinomial(design.y, design.x).fit(
        start_params=[t.coefficient for t in fit.terms], disp=0, method="newton"
    )
    assert fit.log_likelihood == pytest.approx(theirs.llf, abs=1e-6)
    assert [t.se for t in fit.terms] == pytest.approx(theirs.bse, rel=1e-3)


def test_the_unit_of_a_covariate_does_not_matter():
    table = cohort(np.random.default_rng(2))
    one = count_regression(designed(table))
    table["age"] = table["age"] * 365.25 * 86400
    other = count_regression(designed(table))
    assert other.term("age").coefficient * 365.25 * 86400 == pytest.approx(
        one.term("age").coefficient, rel=1e-4
    )
    assert other.term("age").p == pytest.approx(one.term("age").p, rel=1e-2)


def test_twice_the_volume_looked_at_halves_the_rate():
    table = cohort(np.random.default_rng(3))
    table["volume"] = np.random.default_rng(4).uniform(0.8, 1.2, 250)
    one = build_design(table, "count", ["age"], exposure_time="volume")
    table["volume"] = 2 * table["volume"]
    other = build_design(table, "count", ["age"], exposure_time="volume")
    for model in ("poisson", "negative_binomial", "hurdle_poisson", "zero_inflated_poisson"):
        a, b = count_regression(one, model), count_regression(other, model)
        assert a.ok
        assert b.ok
        assert b.term("age").coefficient == pytest.approx(a.term("age").coefficient, abs=1e-4)
        shift = b.term("intercept").coefficient - a.term("intercept").coefficient
        assert shift == pytest.approx(-np.log(2), abs=1e-3)


def test_aic_chooses_by_what_the_counts_are():
    rng = np.random.default_rng(5)
    models = ("poisson", "negative_binomial", "zero_inflated_poisson", "hurdle_poisson")
    spread = choose_count_model(designed(cohort(rng, 400, alpha=1.5)), models)
    assert spread.chosen == "negative_binomial"
    assert spread.p_dispersion < 1e-4
    assert spread.dispersion > 1.5
    none = choose_count_model(designed(cohort(rng, 400, alpha=0.0)), models)
    assert none.chosen != "negative_binomial"
    assert none.p_dispersion > 0.01
    assert none.p_zeros > 0.01
    never = choose_count_model(designed(cohort(rng, 400, alpha=0.0, never=0.4)))
    assert never.chosen == "zero_inflated_poisson"
    assert never.p_zeros < 1e-6
    assert never.fit() is never.fit("zero_inflated_poisson")
    for model in COUNT_MODELS:
        assert model in never.said


def test_tests_of_spread_and_zeros_are_right_when_nothing_is_there():
    rng = np.random.default_rng(23)
    told = [
        choose_count_model(designed(cohort(rng, 120, alpha=0.0)), ("poisson",)) for _ in range(150)
    ]
    for name in ("p_dispersion", "p_zeros"):
        p = np.array([getattr(made, name) for made in told])
        assert 0.0 < (p < 0.1).mean() < 0.18
        assert 0.35 < np.median(p) < 0.65


def test_logistic_covers_and_swapping_inverts():
    rng = np.random.default_rng(22)
    hit = 0
    for _ in range(60):
        n = 150
        x = rng.random(n) < 0.5
        y = rng.random(n) < 1 / (1 + np.exp(1 - 0.9 * x))
        design = build_design({"y": y, "x": x}, "y", ["x"], ())
        term = logistic_regression(design).term("x")
        hit += term.low < 0.9 < term.high
    assert hit >= 51
    back = logistic_regression(build_design({"y": y, "x": ~x}, "y", ["x"], ())).term("x")
    assert back.ratio == pytest.approx(1 / term.ratio)
    assert back.ratio_low == pytest.approx(1 / term.ratio_high)
    # one exposure: the table's odds ratio and Woolf's interval
    t = two_by_two(int(y[x].sum()), int(x.sum()), int(y[~x].sum()), int((~x).sum()))
    assert (term.ratio, term.ratio_low) == pytest.approx(
        (t.odds_ratio.value, t.odds_ratio.low), rel=1e-6
    )


# -- separation


def test_a_separated_outcome_is_said_and_firth_bounds_it():
    x = np.array([0.0] * 12 + [1.0] * 10)
    y = np.array([0.0] * 9 + [1.0] * 3 + [1.0] * 10)
    design = build_design({"y": y, "x": x}, "y", ["x"], ())
    plain = logistic_regression(design, "none")
    assert plain.status == "separated"
    assert "x" in plain.said
    assert nothing_is_told(plain)
    auto = logistic_regression(design)
    assert auto.ok
    assert "Firth" in auto.model
    assert any("separated" in note for note in auto.notes)
    # Firth's estimate of a table is that with 0.5 in every cell
    assert auto.term("x").ratio == pytest.approx(10.5 * 9.5 / (0.5 * 3.5), rel=1e-5)
    assert 1 < auto.term("x").ratio_low < auto.term("x").ratio < auto.term("x").ratio_high
    assert auto.term("x").p < 0.01


def test_firth_of_the_sex2_kind_is_symmetric_and_shrinks():
    rng = np.random.default_rng(8)
    x = rng.normal(size=60)
    y = rng.random(60) < 1 / (1 + np.exp(-x))
    design = build_design({"y": y, "x": x}, "y", ["x"], ())
    firth, plain = (
        logistic_regression(design, "firth").term("x"),
        logistic_regression(design).term("x"),
    )
    assert 0 < firth.coefficient < plain.coefficient
    turned = logistic_regression(build_design({"y": ~y, "x": x}, "y", ["x"], ()), "firth").term("x")
    assert turned.coefficient == pytest.approx(-firth.coefficient, rel=1e-5)
    assert turned.low == pytest.approx(-firth.high, rel=1e-4)


def test_a_level_in_which_nobody_has_any_separates_counts():
    table = cohort(np.random.default_rng(9))
    table["count"] = table["count"] * (table["hypertension"] == "yes")
    design = designed(table)
    for model in COUNT_MODELS:
        fit = count_regression(design, model)
        assert fit.status == "separated", model
        assert "hypertension" in fit.said
        assert nothing_is_told(fit)
    choice = choose_count_model(design)
    assert choice.chosen == ""
    assert "no count model fitted" in choice.said


@pytest.mark.parametrize(
    "fit", [count_regression, logistic_regression, proportional_odds, pattern_regression]
)
def test_too_few_rows_and_no_variation_are_said(fit):
    few = build_design({"y": [0, 1, 1], "a": [1, 2, 3], "b": [2, 1, 5]}, "y", ["a", "b"], ())
    assert fit(few).status == "too_few"
    same = build_design({"y": np.zeros(30), "a": np.arange(30.0)}, "y", ["a"], ())
    made = fit(same)
    assert made.status == "no_variation"
    assert made.status in STATUSES
    assert nothing_is_told(made)


def test_no_more_spread_than_poisson_is_a_note_not_a_failure():
    rng = np.random.default_rng(10)
    table = cohort(rng, 200, alpha=0.0)
    table["count"] = rng.binomial(4, 0.3, 200)  # less spread than Poisson
    fit = count_regression(designed(table))
    assert fit.ok
    assert fit.statistics["dispersion"] == 0
    assert any("no more than Poisson" in note for note in fit.notes)
    zero = count_regression(designed(table), "zero_inflated_poisson")
    assert zero.status == "singular"
    assert nothing_is_told(zero)


def test_volumes_are_no_counts():
    design = build_design({"y": [0.5, 1.0, 2.0, 3.0], "a": [1, 2, 3, 5]}, "y", ["a"], ())
    with pytest.raises(ParameterError, match="counts"):
        count_regression(design)
    with pytest.raises(ParameterError, match="gamma"):
        count_regression(design, "gamma")


# -- ordered and unordered categories


def test_proportional_odds_finds_one_ratio_for_all_cuts():
    rng = np.random.default_rng(12)
    n = 1500
    x, z = rng.normal(size=n), rng.random(n) < 0.5
    latent = 0.6 * x + 0.9 * z + rng.logistic(size=n)
    y = np.digitize(latent, [-0.5, 1.0, 2.5])
    table = {"bin": y, "x": 100 + 7 * x, "z": z}
    fit = proportional_odds(build_design(table, "bin", ["x", "z"], ()), ["0", "1", "2-4", ">=5"])
    assert fit.ok
    for name, true in (("x", 0.6 / 7), ("z", 0.9)):
        assert abs(fit.term(name).coefficient - true) < 3 * fit.term(name).se
    # thresholds are on the columns as they were given
    cut = fit.term("1|2-4", "threshold")
    assert abs(cut.coefficient - (1.0 + 0.6 * 100 / 7)) < 3 * cut.se
    assert fit.statistics["p_proportional"] > 0.01


def test_one_cut_is_logistic_regression():
    rng = np.random.default_rng(13)
    x = rng.normal(5, 2, 200)
    y = (rng.random(200) < 1 / (1 + np.exp(5 - x))).astype(float)
    design = build_design({"y": y, "x": x}, "y", ["x"], ())
    one, other = proportional_odds(design).term("x"), logistic_regression(design).term("x")
    assert (one.coefficient, one.se) == pytest.approx((other.coefficient, other.se), rel=1e-3)


def test_odds_that_are_not_proportional_are_doubted():
    rng = np.random.default_rng(14)
    n = 1500
    x = rng.normal(size=n)
    some = rng.random(n) < 1 / (1 + np.exp(-1.5 * x))  # any at all: strongly
    many = rng.random(n) < 0.4  # more than one: not at all
    fit = proportional_odds(build_design({"y": some * (1.0 + many), "x": x}, "y", ["x"], ()))
    assert fit.statistics["p_proportional"] < 1e-4
    assert any("doubtful" in note for note in fit.notes)


def test_order_without_fail_is_separation():
    y = np.repeat([0, 1, 2], 10)
    fit = proportional_odds(build_design({"y": y, "x": np.arange(30.0)}, "y", ["x"], ()))
    assert fit.status == "separated"
    assert nothing_is_told(fit)


def test_patterns_from_counts():
    nan = np.nan
    made = pattern_of(
        [0, 2, 0, 1, nan, 1, 0, 1], [0, 0, 3, 1, 1, nan, nan, nan], [0, 0, 0, 0, 0, 2, 0, 0]
    )
    assert made == ("none", "lobar_only", "deep_only", "mixed", "", "mixed", "", "")


def test_patterns_and_their_causes():
    rng = np.random.default_rng(15)
    n = 2000
    ill, age = rng.random(n) < 0.5, rng.normal(0, 1, n)
    scores = np.stack(
        [np.zeros(n), -1 + 0.7 * age, -1 + 1.0 * ill, -1.5 + 0.5 * age + 0.5 * ill], axis=1
    )
    y = (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)
    fit = pattern_regression(
        build_design({"y": y, "ill": ill, "age": age}, "y", ["ill", "age"], ())
    )
    assert fit.ok
    for name, part, true in (
        ("age", "lobar_only", 0.7),
        ("ill", "deep_only", 1.0),
        ("ill", "lobar_only", 0.0),
    ):
        term = fit.term(name, part)
        assert abs(term.coefficient - true) < 3 * term.se
    assert {t.part for t in fit.terms} == set(PATTERNS[1:])


def test_a_pattern_foretold_without_fail_is_separation():
    y = np.array([0, 1, 2] * 20)
    ill = (y == 2).astype(float)
    fit = pattern_regression(build_design({"y": y, "ill": ill}, "y", ["ill"], ()))
    assert fit.status == "separated"


def test_region_rates():
    counts = {"frontal": [3.0, 0, 1, np.nan, 0, 2], "insula": [0.0, 0, 0, 0, 0, 0]}
    volume = {"frontal": [200.0, 210, 190, 200, 195, 205], "insula": 14.0}
    frontal, insula = region_rates(counts, ["frontal", "insula"], volume)
    assert (frontal.count, frontal.scans, frontal.share) == (6, 5, 1.0)
    assert frontal.per_scan.value == pytest.approx(6 / 5)
    assert frontal.per_litre.value == pytest.approx(6 / 1.0)
    assert frontal.per_scan.low < 6 / 5 < frontal.per_scan.high
    assert insula.per_scan.value == 0
    assert insula.per_scan.high == pytest.approx(-np.log(0.025) / 6)
    assert region_rates(counts, ["frontal"])[0].per_litre.why


def test_a_group_of_one_is_told_no_better_than_poissons_law_allows():
    counts = np.array([0, 1, 1, 2, 2, 2, 2, 3, 3, 4] * 4 + [1])
    table = {"count": counts, "exposed": np.array(["no"] * 40 + ["yes"])}
    design = build_design(table, "count", ["exposed"], adjust=())
    for model in ("poisson", "negative_binomial"):
        term = count_regression(design, model).term("exposed[yes]")
        # the logarithm of a total of 1 has an error of 1, that of 80 one of 0.11
        assert (term.high - term.low) / (2 * 1.96) == pytest.approx(
            np.sqrt(1 + 1 / counts[:-1].sum()), rel=1e-3
        )
