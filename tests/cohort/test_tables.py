"""Tables of two by two, trends, prevalence and paired tables against published vectors."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import Table
from statsmodels.stats.contingency_tables import mcnemar as their_mcnemar

from petechia.cohort.before_after import mcnemar
from petechia.cohort.incidence import poisson_rate, rate_ratio
from petechia.cohort.prevalence import (
    age_standardised,
    prevalence,
    prevalence_by,
    prevalence_by_age,
)
from petechia.cohort.ratios import ratio_of_totals
from petechia.cohort.trend import cochran_armitage, linear_by_linear
from petechia.cohort.two_by_two import two_by_two
from petechia.errors import ParameterError

close = {"rel": 1e-5, "abs": 1e-12}
TABLES = {
    "Ge microbleeds": (60, 150, 18, 150),
    "Ge haemorrhage": (42, 150, 2, 150),
    "Thorn": (46, 191, 1, 30),
    "Charidimou": (40, 472, 61, 1556),
}


def digits(value, *texts):
    """Return whether values agree with printed numbers to half of their last digit."""
    for v, text in zip(value, texts, strict=True):
        number, _, power = text.partition("e")
        last = 10.0 ** (int(power or 0) - len(number.partition(".")[2]))
        assert v == pytest.approx(float(text), abs=0.5000001 * last)
    return True


@pytest.mark.parametrize(
    ("name", "odds", "risk", "chi2", "p"),
    [
        ("Ge microbleeds", "4.888889 2.707467 8.827894", "3.333333", "30.561331", "3.23477e-8 6.79134e-8 3.80152e-8"),
        ("Ge haemorrhage", "28.777778 6.817976 121.467205", "21.0", "42.613636", "6.66928e-11 1.95654e-10 5.28707e-12"),
        ("Thorn", "9.2 1.2194 69.413", "7.2251", "6.667365", "0.009819 0.01917 0.007352"),
        ("Charidimou", "2.2693 1.5017 3.4293", "2.1617", "15.872801", "6.7745e-5 1.1187e-4 1.5698e-4"),
    ],
)  # fmt: skip
def test_the_published_tables(name, odds, risk, chi2, p):
    t = two_by_two(*TABLES[name])
    assert digits((t.odds_ratio.value, t.odds_ratio.low, t.odds_ratio.high), *odds.split())
    assert digits((t.risk_ratio.value, t.chi2), risk, chi2)
    assert digits((t.p_chi2, t.p_yates, t.p_fisher), *p.split())


def test_ges_risk_ratio_and_difference():
    t = two_by_two(*TABLES["Ge microbleeds"])
    assert (t.risk_ratio.low, t.risk_ratio.high) == pytest.approx((2.071655, 5.363399), **close)
    d = t.risk_difference
    assert (d.value, d.low, d.high) == pytest.approx((0.28, 0.182910, 0.370654), **close)


def test_the_dose_trend_of_aspirin():
    assert cochran_armitage([18, 18, 42], [150, 82, 68]).z == pytest.approx(7.387844, **close)


def test_luos_prevalence():
    row = prevalence([1] * 25 + [0] * 174)
    assert row.wilson == pytest.approx((0.086560, 0.178876), abs=1e-6)
    assert row.exact == pytest.approx((0.082976, 0.179845), abs=1e-6)


def test_the_paired_table():
    made = mcnemar(101, 121, 59, 33)
    assert made.p_exact == pytest.approx(4.43445e-6, **close)
    assert made.chi2_corrected == pytest.approx(20.672222, **close)
    theirs = their_mcnemar([[101, 121], [59, 33]], exact=True)
    assert made.p_exact == pytest.approx(theirs.pvalue, rel=1e-12)


@pytest.mark.parametrize("name", TABLES)
def test_the_other_way_round_is_the_reciprocal(name):
    a, n, c, m = TABLES[name]
    one, other = two_by_two(a, n, c, m), two_by_two(c, m, a, n)
    for ratio in ("odds_ratio", "risk_ratio", "odds_ratio_exact"):
        e, f = getattr(one, ratio), getattr(other, ratio)
        assert (e.value, e.low, e.high) == pytest.approx(
            (1 / f.value, 1 / f.high, 1 / f.low), rel=1e-6
        )
    assert one.risk_difference.low == pytest.approx(-other.risk_difference.high)
    assert (one.p_fisher, one.chi2, one.p_yates) == pytest.approx(
        (other.p_fisher, other.chi2, other.p_yates)
    )
    swapped = two_by_two(n - a, n, m - c, m)
    assert swapped.odds_ratio.value == pytest.approx(1 / one.odds_ratio.value)


def test_an_empty_cell_is_filled_and_said():
    t = two_by_two(0, 20, 5, 20)
    assert np.isfinite(
        [t.odds_ratio.value, t.odds_ratio.low, t.odds_ratio.high, t.risk_ratio.low]
    ).all()
    assert "0.5" in t.odds_ratio.why
    assert t.odds_ratio.value == pytest.approx(0.5 * 15.5 / (20.5 * 5.5))
    assert t.odds_ratio_exact.value == 0
    assert t.odds_ratio_exact.low == 0
    assert t.odds_ratio_exact.high < 1.2
    assert t.p_fisher == pytest.approx(stats.fisher_exact([[0, 20], [5, 15]]).pvalue)


def test_a_group_of_three_has_an_exact_ratio_and_no_other():
    t = two_by_two(2, 3, 10, 40)
    assert np.isnan([t.odds_ratio.value, t.odds_ratio.low, t.risk_ratio.high]).all()
    assert t.odds_ratio.why == t.risk_ratio.why == "too few: 3 in a group, a ratio asks for 5"
    assert t.odds_ratio_exact.low < t.odds_ratio_exact.value < t.odds_ratio_exact.high
    assert t.p_fisher == pytest.approx(stats.fisher_exact([[2, 1], [10, 30]]).pvalue)


@pytest.mark.parametrize(
    ("counts", "why"),
    [((0, 10, 0, 10), "nobody"), ((10, 10, 7, 7), "everybody"), ((0, 0, 3, 10), "a group")],
)
def test_an_empty_margin_gives_no_test(counts, why):
    t = two_by_two(*counts)
    assert why in t.why
    assert np.isnan([t.p_chi2, t.p_fisher, t.odds_ratio.value, t.odds_ratio.p]).all()


def test_more_cases_than_people_are_refused():
    with pytest.raises(ParameterError, match="11 cases of 10"):
        two_by_two(11, 10, 0, 5)


def test_a_trend_of_two_groups_is_the_chi_square_of_their_table():
    t = two_by_two(12, 40, 25, 50)
    trend = cochran_armitage([12, 25], [40, 50])
    assert trend.z**2 == pytest.approx(t.chi2)
    assert trend.slope == pytest.approx(25 / 50 - 12 / 40)
    exact = cochran_armitage([3, 9], [10, 12], exact=True)
    assert exact.p_exact == pytest.approx(_both_sides(3, 10, 9, 12))


def _both_sides(a, n, c, m):
    """Hypergeometric chance of a second count as far from its mean."""
    law = stats.hypergeom(n + m, m, a + c)
    k = np.arange(a + c + 1)
    far = abs(c - law.mean())
    return law.pmf(k)[np.abs(k - law.mean()) >= far - 1e-9].sum()


def test_the_exact_trend_comes_near_the_other_one_and_is_symmetric():
    cases, totals = [5, 9, 16], [40, 42, 38]
    made = cochran_armitage(cases, totals, exact=True)
    assert made.p_exact == pytest.approx(made.p, rel=0.5)
    back = cochran_armitage(cases[::-1], totals[::-1], exact=True)
    assert back.z == pytest.approx(-made.z)
    assert back.p_exact == pytest.approx(made.p_exact)
    # scores stretched and shifted are the same scores
    assert cochran_armitage(cases, totals, [10, 30, 50]).z == pytest.approx(made.z)


def test_a_trend_without_spread_has_a_reason():
    assert cochran_armitage([0, 0], [5, 5]).why
    assert np.isnan(cochran_armitage([2, 3], [5, 5], [1, 1]).p)


def test_linear_by_linear_against_statsmodels():
    counts = np.array([[20, 8, 2], [11, 12, 6], [5, 9, 14]])
    made = linear_by_linear(counts)
    theirs = Table(counts, shift_zeros=False).test_ordinal_association()
    assert abs(made.z) == pytest.approx(abs(theirs.zscore), rel=1e-9)
    assert made.z > 0
    assert linear_by_linear(counts.T).z == pytest.approx(made.z)
    # cases by dose: Cochran-Armitage but for N against N - 1
    two = np.array([[35, 5], [33, 9], [22, 16]])
    trend = cochran_armitage(two[:, 1].tolist(), two.sum(axis=1).tolist())
    assert linear_by_linear(two).z == pytest.approx(trend.z * np.sqrt((two.sum() - 1) / two.sum()))


def test_denominators_leave_out_what_could_not_be_seen():
    present = [1, 0, np.nan, 1, 0, 0]
    row = prevalence(present, [True, True, True, False, True, True])
    assert (row.cases, row.assessable, row.not_assessable) == (1, 4, 2)
    assert row.share == 0.25
    assert row.few


def test_groups_and_ages_add_up():
    rng = np.random.default_rng(3)
    n = 300
    age = np.append(rng.uniform(30, 95, n - 2), [np.nan, 44.9])
    has, seen = rng.random(n) < 0.3, rng.random(n) < 0.9
    all_ = prevalence(has, seen)
    by_age = prevalence_by_age(has, age, seen)
    assert [row.name for row in by_age] == [
        "0-44",
        "45-54",
        "55-64",
        "65-74",
        "75-84",
        "85+",
        "unknown",
    ]
    by_sex = prevalence_by(has, [None, "F", "M"] * 100, seen)
    assert [row.name for row in by_sex] == ["F", "M", "unknown"]
    for rows in (by_age, by_sex):
        assert sum(row.cases for row in rows) == all_.cases
        assert sum(row.assessable for row in rows) == all_.assessable
        assert sum(row.not_assessable for row in rows) == all_.not_assessable


def test_nobody_assessable():
    row = prevalence([np.nan, np.nan])
    assert row.assessable == 0
    assert np.isnan(row.share)
    assert row.wilson == (0.0, 1.0)


def test_standardised_to_its_own_ages_a_prevalence_is_itself():
    rows = prevalence_by_age([1] * 10 + [0] * 90 + [1] * 30 + [0] * 70, [50] * 100 + [70] * 100)
    own = age_standardised(rows, [100, 100])
    assert own.value == pytest.approx(0.2)
    assert own.low < 0.2 < own.high
    assert age_standardised(rows, [0, 1]).value == pytest.approx(0.3)
    with pytest.raises(ParameterError, match="weights"):
        age_standardised(rows, [1])


def test_paired_tables_by_symmetry():
    one, other = mcnemar(20, 12, 3, 40), mcnemar(20, 3, 12, 40)
    assert one.p_exact == other.p_exact
    assert one.difference.low == pytest.approx(-other.difference.high)
    assert one.odds_ratio.value == pytest.approx(1 / other.odds_ratio.value)
    assert one.p_mid < one.p_exact
    assert mcnemar(5, 0, 0, 5).p_exact == 1
    assert mcnemar(5, 4, 4, 5).p_mid == pytest.approx(1 - stats.binom.pmf(4, 8, 0.5) / 2)
    assert mcnemar(1, 0, 4, 2).odds_ratio.value == np.inf


def test_newcombes_paired_interval():
    # Newcombe 1998, table II, contrast (36, 12, 2, 0) of 50: 0.2, method 10 gives 0.0569 to 0.3404
    made = mcnemar(36, 2, 12, 0)
    d = made.difference
    assert (d.value, d.low, d.high) == pytest.approx((0.2, 0.0569, 0.3404), abs=6e-5)


def test_exact_poisson_intervals():
    assert poisson_rate(0, 10).high == pytest.approx(0.3688879, rel=1e-6)  # -ln(0.025) / 10
    made = poisson_rate(10, 1)
    assert (made.low, made.high) == pytest.approx((4.795389, 18.390356), rel=1e-6)
    assert poisson_rate(20, 2).value == made.value


def test_rate_ratio_the_other_way_round():
    one, other = rate_ratio(15, 100, 6, 130), rate_ratio(6, 130, 15, 100)
    assert (one.value, one.low, one.high) == pytest.approx(
        (1 / other.value, 1 / other.high, 1 / other.low)
    )
    assert one.p == pytest.approx(other.p)
    assert rate_ratio(5, 10, 0, 10).high == np.inf
    assert rate_ratio(0, 10, 0, 10).why


def test_a_group_of_five_has_a_ratio():
    t = two_by_two(2, 5, 10, 40)
    assert t.odds_ratio.value == pytest.approx(2 * 30 / (3 * 10))
    assert t.risk_ratio.value == pytest.approx((2 / 5) / (10 / 40))
    assert t.odds_ratio.why == t.risk_ratio.why == ""


def test_a_rate_of_equal_times_has_the_standard_error_of_a_mean():
    """Of counts a in a year each: s / sqrt(n), s with n - 1, over the mean on the logarithm."""
    counts = np.array([0.0, 1, 1, 2, 4, 7])
    rate = ratio_of_totals(counts, np.ones(6), measure="rate")
    assert rate.value == pytest.approx(counts.mean())
    assert rate.se == pytest.approx(stats.sem(counts) / counts.mean())
