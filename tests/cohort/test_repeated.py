"""Scans of the same people: GEE, mixed models, before and after, incidence."""

import numpy as np
import pytest

from petechia.cohort.before_after import interrupted_series, paired_counts
from petechia.cohort.counts import count_regression
from petechia.cohort.design_matrix import build_design
from petechia.cohort.incidence import incidence
from petechia.cohort.logistic import logistic_regression
from petechia.cohort.ratios import ratio_of_totals
from petechia.cohort.repeated import gee, mixed
from petechia.errors import ParameterError


def visits(rng, people=80, each=3, sd=0.8, effect=0.5, family="poisson"):
    """Return scans of people who differ, with a covariate that changes between visits."""
    who = np.repeat(np.arange(people), each)
    x = rng.normal(size=len(who))
    eta = -0.2 + effect * x + rng.normal(0, sd, people)[who]
    if family == "poisson":
        y = rng.poisson(np.exp(eta))
    elif family == "binomial":
        y = rng.random(len(who)) < 1 / (1 + np.exp(-eta))
    else:
        y = eta + rng.normal(0, 0.7, len(who))
    return build_design({"y": y, "x": x, "who": who}, "y", ["x"], (), group="who")


@pytest.mark.parametrize("family", ["poisson", "binomial", "gaussian"])
def test_mixed_models_find_effect_and_spread(family):
    fit = mixed(visits(np.random.default_rng(1), 150, 5, family=family), family)
    assert fit.ok, fit.said
    term = fit.term("x")
    assert abs(term.coefficient - 0.5) < 3 * term.se
    assert fit.statistics["group_sd"] == pytest.approx(0.8, abs=0.35)  # SD of it: 0.13 for binary


def test_mixed_covers_and_its_error_knows_of_groups():
    rng = np.random.default_rng(2)
    hit = 0
    for _ in range(20):
        term = mixed(visits(rng, 25, 3)).term("x")
        hit += term.low < 0.5 < term.high
    assert hit >= 16


def test_groups_that_do_not_differ_give_the_plain_model():
    design = visits(np.random.default_rng(3), 60, 3, sd=0.0)
    # the same people with groups dealt at random hold no spread between groups
    fit, plain = mixed(design), count_regression(design, "poisson")
    assert fit.ok
    assert fit.term("x").coefficient == pytest.approx(plain.term("x").coefficient, abs=0.05)


def test_gee_is_wider_for_what_is_the_same_in_all_scans_of_a_person():
    rng = np.random.default_rng(4)
    people, each = 100, 4
    who = np.repeat(np.arange(people), each)
    ill = (rng.random(people) < 0.5)[who]
    y = rng.poisson(np.exp(0.2 + 0.6 * ill + rng.normal(0, 0.9, people)[who]))
    design = build_design({"y": y, "ill": ill, "who": who}, "y", ["ill"], (), group="who")
    alone = count_regression(design, "poisson").term("ill")
    for family in ("poisson", "negative_binomial"):
        fit = gee(design, family)
        assert fit.ok, fit.said
        assert fit.term("ill").se > 1.4 * alone.se
        assert fit.statistics["correlation"] > 0.2


def test_gee_covers_with_few_people():
    rng = np.random.default_rng(5)
    hit, n = 0, 60
    for _ in range(n):
        who = np.repeat(np.arange(24), 2)
        ill = np.repeat(np.arange(24) % 2, 2)
        y = rng.poisson(np.exp(0.5 + 0.5 * ill + rng.normal(0, 0.7, 24)[who]))
        fit = gee(build_design({"y": y, "ill": ill, "who": who}, "y", ["ill"], (), group="who"))
        term = fit.term("ill")
        hit += term.low < 0.5 < term.high
    assert any("bias-reduced" in note for note in fit.notes)
    assert hit >= 52


def test_population_odds_are_nearer_to_one_than_those_within_people():
    design = visits(np.random.default_rng(6), 250, 4, sd=2.0, effect=1.0, family="binomial")
    within, average = mixed(design, "binomial").term("x"), gee(design, "binomial").term("x")
    assert within.coefficient > 1.2 * average.coefficient
    assert abs(within.coefficient - 1.0) < 3 * within.se


def test_too_few_groups_separation_and_no_groups_are_said():
    rng = np.random.default_rng(7)
    design = visits(rng, 4, 10)
    assert gee(design).status == "too_few"
    assert mixed(design).status == "too_few"
    who = np.repeat(np.arange(20), 2)
    ill = np.repeat(np.arange(20) % 2, 2)
    parted = build_design({"y": ill, "ill": ill, "who": who}, "y", ["ill"], (), group="who")
    for fit in (gee(parted, "binomial"), mixed(parted, "binomial"), gee(parted, "poisson")):
        assert fit.status == "separated"
        assert np.isnan(fit.term("ill").p)
    with pytest.raises(ParameterError, match="groups"):
        gee(build_design({"y": ill, "ill": ill}, "y", ["ill"], ()))


def test_one_scan_each_is_the_plain_logistic_odds_ratio():
    rng = np.random.default_rng(8)
    x = rng.normal(size=120)
    y = rng.random(120) < 1 / (1 + np.exp(-x))
    design = build_design({"y": y, "x": x, "who": np.arange(120)}, "y", ["x"], (), group="who")
    fit = gee(design, "binomial", "independence")
    assert fit.term("x").coefficient == pytest.approx(
        logistic_regression(design).term("x").coefficient, rel=1e-5
    )


# -- before and after


def test_a_paired_ratio_is_found_and_inverts():
    rng = np.random.default_rng(9)
    hit = 0
    for _ in range(100):
        own = rng.gamma(1, 2, 40)
        before, after = rng.poisson(own), rng.poisson(1.6 * own)
        made = paired_counts(before, after)
        hit += made.ratio.low < 1.6 < made.ratio.high
    assert 88 <= hit <= 100
    back = paired_counts(after, before)
    assert back.ratio.value == pytest.approx(1 / made.ratio.value)
    assert back.ratio.low == pytest.approx(1 / made.ratio.high)
    assert back.difference.value == -made.difference.value
    assert back.presence.p_exact == made.presence.p_exact


def test_pairs_without_one_scan_are_left_out():
    made = paired_counts([1, 2, np.nan, 0], [2, 2, 5, np.nan])
    assert (made.pairs, made.left_out) == (2, 2)
    assert made.before == 1.5


def test_time_watched_counts():
    before, after = [2, 1, 3, 0], [4, 2, 6, 1]
    plain = paired_counts(before, after).ratio.value
    timed = paired_counts(before, after, [1.0] * 4, [2.0] * 4).ratio.value
    assert timed == pytest.approx(plain / 2)


def test_nobody_changed_and_nothing_before():
    same = paired_counts([1, 2, 0], [1, 2, 0])
    assert np.isnan(same.p_signed_rank)
    assert same.ratio.value == 1
    assert same.presence.p_exact == 1
    none = paired_counts([0, 0, 0], [1, 2, 0])
    assert np.isnan(none.ratio.value)
    assert "0" in none.ratio.why


def test_the_paired_ratio_is_that_of_gee():
    rng = np.random.default_rng(10)
    own = rng.gamma(1, 2, 60)
    before, after = rng.poisson(own), rng.poisson(1.4 * own)
    ratio = paired_counts(before, after).ratio
    table = {
        "y": np.concatenate([before, after]), "after": np.repeat([0.0, 1.0], 60),
        "who": np.tile(np.arange(60), 2),
    }  # fmt: skip
    fit = gee(build_design(table, "y", ["after"], (), group="who"), "poisson", "independence")
    assert fit.term("after").ratio == pytest.approx(ratio.value)
    assert fit.term("after").se == pytest.approx(ratio.se, rel=0.02)


def test_an_interrupted_series_finds_the_step_and_the_slope():
    rng = np.random.default_rng(11)
    people, each = 80, 8
    who = np.repeat(np.arange(people), each)
    event = rng.uniform(3, 5, people)[who]
    year = np.tile(np.arange(each, dtype=float), people)
    since = year - event
    eta = (
        1.0
        + 0.10 * since
        + 0.5 * (since > 0)
        + 0.15 * np.maximum(since, 0)
        + rng.normal(0, 0.4, people)[who]
    )
    fit = interrupted_series(rng.poisson(np.exp(eta)), year, event, who)
    assert fit.ok, fit.said
    for name, true in (("time", 0.10), ("after", 0.5), ("time_after", 0.15)):
        term = fit.term(name)
        assert abs(term.coefficient - true) < 3 * term.se


def test_incidence_covers_when_lesions_come_together():
    rng = np.random.default_rng(12)
    exact = robust = 0
    n = 200
    for _ in range(n):
        years = rng.uniform(1, 3, 80)
        new = rng.poisson(0.4 * years * rng.gamma(0.3, 1 / 0.3, 80))
        made = incidence(new, years)
        exact += made.rate.low < 0.4 < made.rate.high
        robust += made.rate_robust.low < 0.4 < made.rate_robust.high
    assert robust > 0.86 * n
    assert exact < 0.8 * n  # too narrow, and the docs say so
    assert made.rate.value == pytest.approx(made.rate_robust.value)


def test_incidence_leaves_out_who_was_not_seen_twice():
    made = incidence([1, np.nan, 0, 2], [2.0, 1.0, np.nan, 2.0])
    assert (made.people, made.not_assessable, made.events, made.with_new) == (2, 2, 3, 2)
    assert made.person_years == 4
    none = incidence([], [])
    assert none.risk.why
    assert none.rate.why


def test_rows_of_one_person_count_once():
    a, b = [2, 3, 1, 4, 0], [1, 2, 2, 3, 1]
    apart = ratio_of_totals(a, b)
    twice = ratio_of_totals(a * 2, b * 2, person=[0, 1, 2, 3, 4] * 2)
    assert (twice.value, twice.se, twice.n) == pytest.approx((apart.value, apart.se, 5))


def test_two_people_have_a_ratio_and_no_interval():
    for a, b, more in (
        ([5, 7], [2, 3], {}),
        ([5, 7, 0, 0, 0, 0, 0], [2, 3, 0, 0, 0, 0, 0], {}),  # five who have none tell nothing
        ([5, 7], [1.0, 2.0], {"measure": "rate"}),
    ):
        told = ratio_of_totals(a, b, **more)
        assert told.value == pytest.approx(sum(a) / sum(b))
        assert np.isnan([told.low, told.high, told.p]).all()
        assert told.why.startswith("too few: 2 people")


def test_a_correlation_that_does_not_converge_gives_way_to_independence():
    # two scans of each, always one with and one without: a correlation of -1
    rng = np.random.default_rng(13)
    x = rng.normal(size=24)
    table = {"y": np.tile([0.0, 1.0], 12), "x": x, "who": np.repeat(np.arange(12), 2)}
    fit = gee(build_design(table, "y", ["x"], (), group="who"), "binomial")
    assert fit.ok, fit.said
    assert np.isfinite(fit.term("x").p)


def test_few_groups_in_one_arm_have_bias_reduced_errors_however_many_others():
    rng = np.random.default_rng(5)
    exposed = np.repeat(["no"] * 45 + ["yes"] * 3, 2)
    table = {
        "count": rng.poisson(np.where(exposed == "yes", 2.0, 1.0)), "exposed": exposed,
        "who": np.repeat(np.arange(48), 2).astype(str),
    }  # fmt: skip
    few = gee(build_design(table, "count", ["exposed"], adjust=(), group="who"))
    even = np.repeat(["no", "yes"], 48)
    many = gee(
        build_design(table | {"exposed": even}, "count", ["exposed"], adjust=(), group="who")
    )
    assert any("bias-reduced" in note for note in few.notes)
    assert not any("bias-reduced" in note for note in many.notes)


@pytest.mark.parametrize("wrong", [-1.0, 1.5, np.inf])
def test_new_lesions_are_whole_numbers_from_zero(wrong):
    with pytest.raises(ParameterError, match=f"{wrong:g} new lesions"):
        incidence([2, wrong], [1.0, 1.0])
    found = incidence([2, np.nan], [1.0, 1.0])
    assert (found.events, found.people, found.not_assessable) == (2, 1, 1)
