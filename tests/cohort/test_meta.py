"""Meta-analysis against the BCG trials, statsmodels, and one study alone."""

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import StratifiedTable
from statsmodels.stats.meta_analysis import combine_effects

from petechia.cohort.meta import meta_analysis, meta_proportions, meta_ratios
from petechia.cohort.published import BCG_TRIALS
from petechia.cohort.two_by_two import two_by_two
from petechia.errors import ParameterError

COLUMNS = tuple([trial[n] for trial in BCG_TRIALS.values()] for n in range(4))
BCG = meta_ratios(*COLUMNS, tuple(BCG_TRIALS), "risk ratio")


def test_the_bcg_trials():
    ours = (BCG.q, BCG.tau2, BCG.i2, BCG.random.value, BCG.random.se)
    assert ours == pytest.approx((152.233008, 0.308760, 0.921173, -0.714117, 0.178742), abs=1e-6)


def test_the_bcg_trials_by_statsmodels():
    theirs = combine_effects(BCG.effects, BCG.variances, method_re="chi2")
    assert BCG.hartung_knapp.se == pytest.approx(theirs.sd_eff_w_re_hksj, rel=1e-9)
    assert BCG.fixed.value == pytest.approx(theirs.mean_effect_fe, rel=1e-9)
    low, high = theirs.conf_int(use_t=True)[3]
    assert (BCG.hartung_knapp.low, BCG.hartung_knapp.high) == pytest.approx((low, high), rel=1e-9)
    assert BCG.prediction[0] < BCG.hartung_knapp.low < BCG.hartung_knapp.high < BCG.prediction[1]
    assert BCG.back(BCG.random.value) == pytest.approx(0.4896, abs=1e-4)


def test_mantel_haenszel_by_statsmodels():
    cases, totals, cases_0, totals_0 = (np.array(v, float) for v in COLUMNS)
    tables = [
        [[a, n - a], [c, m - c]]
        for a, n, c, m in zip(cases, totals, cases_0, totals_0, strict=True)
    ]
    theirs = StratifiedTable(tables)
    made = meta_ratios(*COLUMNS).mantel_haenszel
    low, high = theirs.oddsratio_pooled_confint()
    assert (made.value, made.low, made.high) == pytest.approx((theirs.oddsratio_pooled, low, high))
    assert BCG.mantel_haenszel.value == pytest.approx(theirs.riskratio_pooled)


@pytest.mark.parametrize("measure", ["odds ratio", "risk ratio"])
def test_mantel_haenszel_of_one_table_is_its_ratio(measure):
    made = meta_ratios([40], [472], [61], [1556], measure=measure)
    t = two_by_two(40, 472, 61, 1556)
    one = t.odds_ratio if measure == "odds ratio" else t.risk_ratio
    e = made.mantel_haenszel
    assert (e.value, e.low, e.high) == pytest.approx((one.value, one.low, one.high), rel=1e-9)
    assert np.exp(made.random.value) == pytest.approx(one.value)
    assert made.tau2 == 0
    assert made.hartung_knapp.why == "one study"


def test_like_studies_have_no_heterogeneity():
    made = meta_analysis([0.3, 0.3, 0.3], [0.1, 0.2, 0.4])
    assert (made.q, made.tau2, made.i2) == pytest.approx((0, 0, 0), abs=1e-12)
    assert made.random.value == pytest.approx(0.3)
    assert "DerSimonian-Laird" in made.hartung_knapp.why  # not narrower than it
    assert made.hartung_knapp.se == pytest.approx(made.random.se)


def test_signs_and_scales():
    one, other = (
        meta_analysis(BCG.effects, BCG.variances),
        meta_analysis(-BCG.effects, BCG.variances),
    )
    assert one.random.value == -other.random.value
    assert one.tau2 == pytest.approx(other.tau2)
    assert meta_analysis(2 * BCG.effects, 4 * BCG.variances).tau2 == pytest.approx(4 * one.tau2)


def test_empty_cells_and_empty_studies_are_said():
    made = meta_ratios([0, 3, 0], [20, 30, 25], [4, 6, 0], [20, 30, 25], ["a", "b", "c"])
    assert made.names == ("a", "b")
    assert any("c says nothing" in note for note in made.notes)
    assert any("a: 0.5" in note for note in made.notes)


def test_proportions():
    made = meta_proportions([10, 20, 0], [100, 200, 30])
    assert made.back(made.random.low) < 0.1 < made.back(made.random.high)
    assert made.notes == ("study 3: 0.5 added",)
    alone = meta_proportions([25], [199])
    assert alone.back(alone.random.value) == pytest.approx(25 / 199)


def test_no_study_and_bad_variances():
    assert meta_analysis([], []).random.why == "no study"
    with pytest.raises(ParameterError, match="variance"):
        meta_analysis([0.1], [0.0])


def test_the_intervals_cover():
    """Hartung-Knapp covers the mean of 8 unlike studies about as often as it says."""
    rng = np.random.default_rng(11)
    hit = {"random": 0, "hartung_knapp": 0, "prediction": 0}
    n = 400
    for _ in range(n):
        v = rng.uniform(0.02, 0.3, 8)
        y = 0.4 + rng.normal(0, 0.4, 8) + rng.normal(0, np.sqrt(v))
        made = meta_analysis(y, v)
        for name in ("random", "hartung_knapp"):
            e = getattr(made, name)
            hit[name] += e.low < 0.4 < e.high
        hit["prediction"] += made.prediction[0] < 0.4 + rng.normal(0, 0.4) < made.prediction[1]
    assert 0.92 < hit["hartung_knapp"] / n < 0.98
    assert hit["random"] < hit["hartung_knapp"]
    # with few studies the variance between them is badly known: below what it says, but not far
    assert 0.85 < hit["prediction"] / n < 0.98


def test_the_prediction_of_the_bcg_trials_takes_student_of_two_fewer_than_studies():
    """Higgins et al. 2009, of the published figures: t of 11 degrees of freedom is 2.2010."""
    reach = 2.200985 * np.sqrt(0.308760 + 0.178742**2)
    expected = (-0.714117 - reach, -0.714117 + reach)
    assert BCG.prediction == pytest.approx(expected, abs=1e-4)
