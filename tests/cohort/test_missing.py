"""Missing values: Rubin's rules, imputation that widens, and the doubt of the detector."""

import numpy as np
import pytest

from petechia.cohort.counts import count_regression
from petechia.cohort.design_matrix import build_design
from petechia.cohort.detection import (
    draw_counts,
    fit_uncertain,
    uncertain_prevalence,
)
from petechia.cohort.logistic import logistic_regression
from petechia.cohort.missing import fit_imputed, impute, missingness, pooled_fit, rubin
from petechia.cohort.prevalence import prevalence
from petechia.core.counts import CountDoubt, count_distribution
from petechia.errors import ParameterError


def test_rubin_by_hand():
    made = rubin([1.0, 2.0, 3.0], [0.5, 0.5, 0.5])
    assert made.estimate.value == 2
    assert made.between == 1
    assert made.estimate.se == pytest.approx(np.sqrt(0.5 + 4 / 3))
    r = (4 / 3) / 0.5
    assert made.df == pytest.approx(2 * (1 + 1 / r) ** 2)
    assert made.fraction_missing == pytest.approx((r + 2 / (made.df + 3)) / (r + 1))


def test_like_sets_lose_nothing():
    made = rubin([0.7] * 5, [0.04] * 5, df_complete=50, ratio=True)
    assert made.fraction_missing == 0
    assert made.df == 50
    assert made.estimate.value == pytest.approx(np.exp(0.7))
    assert made.estimate.se == pytest.approx(0.2)


def test_what_is_missing_is_told():
    table = {"age": [70, np.nan, 60, 50], "sex": ["F", "n/a", None, "M"], "count": [0, 1, 2, 3]}
    age, sex = missingness(table, ["age", "sex"], "count")
    assert (age.known, age.missing, age.share) == (3, 1, 0.25)
    assert sex.missing == 2
    assert np.isnan(age.p_with_outcome)
    assert 0 < sex.p_with_outcome <= 1


def holes(rng, n=300):
    """Return people whose blood value is missing more often where they are old and have many."""
    age = rng.normal(0, 1, n)
    crp = 0.6 * age + rng.normal(0, 0.8, n)
    y = rng.poisson(np.exp(0.2 + 0.5 * crp))
    sex = np.where(rng.random(n) < 0.5, "F", "M").astype(object)
    gone = rng.random(n) < 1 / (1 + np.exp(0.8 - 0.7 * age - 0.25 * y))
    seen = np.where(gone, np.nan, crp)
    sex[rng.random(n) < 0.1] = None
    return {"count": y, "crp": seen, "age": age, "sex": sex}, crp


def test_imputation_keeps_what_is_known_and_fills_with_what_exists():
    table, _ = holes(np.random.default_rng(0))
    sets = impute(
        table, ["count", "crp", "age", "sex"], np.random.default_rng(1), n_sets=3, n_cycles=3
    )
    assert len(sets) == 3
    gap = np.isnan(table["crp"])
    for done in sets:
        assert (done["crp"][~gap] == table["crp"][~gap]).all()
        assert np.isin(done["crp"][gap], table["crp"][~gap]).all()
        assert set(done["sex"]) == {"F", "M"}
    assert (sets[0]["crp"][gap] != sets[1]["crp"][gap]).any()
    again = impute(
        table, ["count", "crp", "age", "sex"], np.random.default_rng(1), n_sets=3, n_cycles=3
    )
    assert (again[2]["crp"] == sets[2]["crp"]).all()


def test_imputation_covers():
    rng = np.random.default_rng(2)
    hit, wider = 0, 0
    n = 15
    for _ in range(n):
        table, whole = holes(rng, 200)

        def fit(t):
            return count_regression(build_design(t, "count", ["crp"], ()), "poisson")

        pooled = fit_imputed(table, ["count", "crp", "age"], fit, rng, n_sets=6)
        assert pooled.ok
        term = pooled.term("crp")
        hit += term.low < 0.5 < term.high
        wider += term.se > fit({**table, "crp": whole}).term("crp").se
        assert pooled.n == 200
    assert hit >= 11
    assert wider >= 12
    assert pooled.statistics["fraction_missing"] > 0.1


def test_a_column_without_any_value_cannot_be_imputed():
    with pytest.raises(ParameterError, match="crp"):
        impute(
            {"crp": [np.nan, np.nan], "age": [1.0, 2.0]}, ["crp", "age"], np.random.default_rng(0)
        )


def test_sets_that_fail_are_said():
    rng = np.random.default_rng(3)
    x = rng.normal(size=60)
    good = logistic_regression(build_design({"y": rng.random(60) < 0.5, "x": x}, "y", ["x"], ()))
    bad = logistic_regression(build_design({"y": x > 0, "x": x}, "y", ["x"], ()), "none")
    assert bad.status == "separated"
    pooled = pooled_fit([good] * 9 + [bad])
    assert pooled.ok
    assert any("1 sets could not" in note for note in pooled.notes)
    lost = pooled_fit([good] * 3 + [bad] * 7)
    assert not lost.ok
    assert np.isnan(lost.term("x").p)
    assert "7 of 10" in lost.said


def test_a_spread_at_its_bound_in_some_sets_costs_none_of_the_others():
    rng = np.random.default_rng(1)
    x = rng.normal(size=100)
    true = rng.poisson(np.exp(0.2 + 0.3 * x))
    chances = [np.concatenate([np.full(k, 0.8), np.full(3, 0.15)]) for k in true]
    design = build_design({"c": true.astype(float), "x": x}, "c", ["x"], ())
    fits = [
        count_regression(design.with_outcome(counts))
        for counts in draw_counts(chances, np.random.default_rng(1), 20)
    ]
    n_terms = [len(fit.terms) for fit in fits]
    assert all(fit.ok for fit in fits)
    assert set(n_terms) == {2, 3}  # at the bound, and with a dispersion
    for order in (fits, fits[::-1], sorted(fits, key=lambda fit: len(fit.terms))):
        pooled = pooled_fit(order)
        assert (pooled.status, pooled.said) == ("fitted", "converged in every set")
        assert pooled.statistics["sets"] == 20
        assert [t.name for t in pooled.terms] == ["intercept", "x"]
        mean = np.mean([fit.term("x").coefficient for fit in fits])
        assert pooled.term("x").coefficient == pytest.approx(mean)
        said = f"dispersion at its bound 0 in {n_terms.count(2)} of 20 sets: not pooled"
        assert said in pooled.notes
        assert not any("the Poisson fit is given" in note for note in pooled.notes)


def test_sets_with_other_terms_than_most_are_lost_whichever_comes_first():
    rng = np.random.default_rng(2)
    y, x, z = rng.random(60) < 0.5, rng.normal(size=60), rng.normal(size=60)
    both = logistic_regression(build_design({"y": y, "x": x, "z": z}, "y", ["x", "z"], ()))
    one = logistic_regression(build_design({"y": y, "x": x}, "y", ["x"], ()))
    assert pooled_fit([one, *[both] * 9]).said == "converged in 9 sets"


def test_a_pooled_interval_of_firths_fits_is_said_to_be_walds():
    rng = np.random.default_rng(3)
    x = rng.normal(size=60)
    design = build_design({"y": rng.random(60) < 0.5, "x": x}, "y", ["x"], ())
    fits = [logistic_regression(design, penalty) for penalty in ("none", "firth")]
    assert "Wald" not in pooled_fit([fits[0]] * 5).said
    assert "the pooled one is Wald's" in pooled_fit([fits[0]] * 4 + [fits[1]]).said


def test_missing_levels_that_are_digits_are_completed_with_levels():
    rng = np.random.default_rng(4)
    site = rng.choice(["1", "2", "9"], 80).astype(object)
    table = {"site": site.copy(), "y": rng.normal(size=80) + 3 * (site == "2")}
    table["site"][::7] = "n/a"
    for made in impute(table, ["site", "y"], rng, 3, factors={"site"}):
        assert set(made["site"]) == {"1", "2", "9"}
        right = (made["site"] == site)[::7].mean()
        assert right > 0.4


# -- detection


def test_drawn_counts_have_the_law_of_the_count():
    p = np.random.default_rng(4).random(9)
    for doubt in (None, CountDoubt(usual_rate=0.5, rate_spread=0.0, shared_error=1.2)):
        drawn = draw_counts([p], np.random.default_rng(5), 20000, [doubt])[:, 0]
        law = count_distribution(p, doubt)
        assert np.bincount(drawn, minlength=10) / 20000 == pytest.approx(law, abs=0.015)


def test_findings_that_share_an_error_make_fewer_people_have_any():
    chances = [np.full(3, 0.3)] * 40
    doubt = CountDoubt(usual_rate=0.5, rate_spread=0.0, shared_error=2.0)
    alone, shared = (uncertain_prevalence(chances, doubts=d) for d in (None, [doubt] * 40))
    assert alone.value == pytest.approx(1 - 0.7**3)
    assert shared.value < alone.value - 0.05


def test_a_sure_detector_changes_nothing():
    rng = np.random.default_rng(6)
    y = rng.poisson(1.0, 80)
    design = build_design({"y": y, "x": rng.normal(size=80)}, "y", ["x"], ())
    made = fit_uncertain(
        design, [np.ones(k) for k in y], lambda d: count_regression(d, "poisson"), rng, 5
    )
    naive = count_regression(design, "poisson")
    assert made.term("x").coefficient == pytest.approx(naive.term("x").coefficient)
    assert made.term("x").se == pytest.approx(naive.term("x").se)
    assert made.statistics["fraction_missing"] < 1e-9


def test_a_doubtful_detector_widens_the_interval_and_stays_unbiased():
    rng = np.random.default_rng(7)
    n, effect = 150, 0.5
    hit = wider = 0
    rounds = 20
    for _ in range(rounds):
        x = rng.normal(size=n)
        found, probabilities, counted = [], [], []
        for mean in np.exp(0.2 + effect * x):
            # each candidate has a probability, and is true with it: candidates are twice as many
            p = rng.beta(0.8, 0.8, rng.poisson(2 * mean))
            found.append(int((rng.random(len(p)) < p).sum()))
            counted.append(int((p > 0.5).sum()))
            probabilities.append(p)
        design = build_design({"y": counted, "x": x}, "y", ["x"], ())
        made = fit_uncertain(
            design, probabilities, lambda d: count_regression(d, "poisson"), rng, 12
        )
        term = made.term("x")
        hit += term.low < effect < term.high
        wider += term.se > count_regression(design, "poisson").term("x").se
    assert hit >= 16
    assert wider >= 16


def test_rows_that_were_left_out_keep_their_own_probabilities():
    rng = np.random.default_rng(8)
    x = rng.normal(size=40)
    x[::4] = np.nan
    y = np.tile([0, 5], 20)
    design = build_design({"y": y, "x": x}, "y", ["x"], ())
    seen = []
    fit_uncertain(
        design,
        [np.ones(k) for k in y],
        lambda d: (seen.append(d.y), count_regression(d, "poisson"))[1],
        rng,
        2,
    )
    assert len(seen) == 2  # no fit but those that are pooled
    assert all((drawn == design.y).all() for drawn in seen)
    with pytest.raises(ParameterError, match="every row"):
        fit_uncertain(design, [np.ones(1)] * 5, lambda d: count_regression(d), rng, 2)


def test_uncertain_prevalence():
    sure = uncertain_prevalence([np.ones(1)] * 30 + [np.zeros(0)] * 70)
    row = prevalence([1] * 30 + [0] * 70)
    assert sure.value == pytest.approx(row.share)
    assert (sure.low, sure.high) == pytest.approx(row.wilson)
    doubtful = uncertain_prevalence([np.full(1, 0.5)] * 60 + [np.zeros(0)] * 40)
    assert doubtful.value == pytest.approx(0.30)
    assert doubtful.high - doubtful.low > sure.high - sure.low
    assert uncertain_prevalence([]).why
    none = uncertain_prevalence([np.zeros(0)] * 10)
    assert (none.value, none.low) == (0, 0)  # an interval holds its estimate
    assert none.high == pytest.approx(prevalence([0] * 10).wilson[1])


def test_uncertain_prevalence_is_rubins_of_endless_draws():
    rng = np.random.default_rng(10)
    chance = rng.beta(0.5, 1.0, 40)
    told = uncertain_prevalence(list(chance[:, None]))
    shares = (rng.random((40000, 40)) < chance).mean(axis=1)
    within, between = (shares * (1 - shares) / 40).mean(), shares.var()
    assert told.se**2 == pytest.approx(within + between, rel=0.02)


def test_the_error_with_detection_by_hand():
    # two groups of counts: the log of their ratio has, within, the sandwich of either mean, and
    # between draws the variance of each sum over its square
    rng = np.random.default_rng(11)
    x = np.repeat([0.0, 1.0], 40)
    chances = [rng.uniform(0.2, 0.9, 3 if one else 2) for one in x]
    design = build_design({"y": [len(p) for p in chances], "x": x}, "y", ["x"], ())
    made = fit_uncertain(
        design, chances, lambda d: count_regression(d, "poisson"), np.random.default_rng(1), 300
    )
    total, within, between = [], 0.0, 0.0
    for one in (0.0, 1.0):
        own = [p for p, group in zip(chances, x, strict=True) if group == one]
        mean = np.array([p.sum() for p in own])
        doubt = np.array([(p * (1 - p)).sum() for p in own])
        total.append(mean.sum())
        spread = ((mean - mean.mean()) ** 2).sum() + doubt.sum() * (1 - 1 / len(own))
        within += spread / total[-1] ** 2 * 80 / 78  # HC1
        between += doubt.sum() / total[-1] ** 2
    term = made.term("x")
    assert term.coefficient == pytest.approx(np.log(total[1] / total[0]), abs=0.02)
    assert term.se**2 == pytest.approx(within + between, rel=0.1)
    assert term.se > 1.2 * np.sqrt(within)
    lost = made.statistics["fraction_missing"]
    assert lost == pytest.approx(between / (within + between), abs=0.1)


def test_what_is_a_persons_own_is_completed_once_for_a_person():
    rng = np.random.default_rng(12)
    person = np.repeat([f"p{n}" for n in range(60)], 2)
    ill = rng.random(60) < 0.5
    y = rng.poisson(np.where(ill, 4.0, 0.5)[person_of := np.repeat(np.arange(60), 2)])
    words = np.where(ill, "yes", "no").astype(object)[person_of]
    words[person_of < 20] = None
    words[50] = None  # known in the person's other row
    age = np.round(rng.uniform(50, 80, 60)[person_of] + np.tile([0, 2], 60), 1)
    age[7] = np.nan
    table = {"ill": words, "age": age, "y": y}
    for made in impute(table, ["ill", "age", "y"], rng, 3, person=person):
        told = np.asarray(made["ill"]).reshape(60, 2)
        assert (told[:, 0] == told[:, 1]).all()
        assert told[25, 0] == ("yes" if ill[25] else "no")
        assert ((told[:20, 0] == "yes") == ill[:20]).mean() > 0.6
        assert np.isfinite(np.asarray(made["age"], dtype=float)).all()
