"""The law of a scan's count."""

from itertools import product

import numpy as np
import pytest

from petechia.core.counts import (
    CountDoubt,
    chance_of_any,
    count_distribution,
    draw_count,
    shifted,
)
from petechia.core.logistic import expit, logit
from petechia.errors import ParameterError


def test_poisson_binomial_is_the_sum_over_all_outcomes():
    p = [0.9, 0.35, 0.6, 0.05]
    law = np.zeros(5)
    for outcome in product((0, 1), repeat=4):
        law[sum(outcome)] += np.prod(
            [q if hit else 1 - q for q, hit in zip(p, outcome, strict=True)]
        )
    assert np.allclose(count_distribution(p), law)


def test_mean_and_variance():
    assert count_distribution([]) == pytest.approx([1.0])
    p = np.random.default_rng(4).random(9)
    law, k = count_distribution(p), np.arange(10)
    assert law.sum() == pytest.approx(1)
    assert law @ k == pytest.approx(p.sum())
    assert law @ k**2 - (law @ k) ** 2 == pytest.approx((p * (1 - p)).sum())


def doubt(**told):
    return CountDoubt(**{"usual_rate": 0.3, "rate_spread": 0.0, "shared_error": 0.0} | told)


def test_without_anything_in_common_findings_are_independent():
    p = [0.9, 0.35, 0.6, 0.05]
    assert count_distribution(p, doubt()) == pytest.approx(count_distribution(p))


def test_a_shared_error_is_a_mean_over_normal_ones():
    p, spread = np.array([0.9, 0.6, 0.3, 0.1, 0.02]), 1.4
    rng = np.random.default_rng(7)
    z = spread * rng.standard_normal((200000, 1))
    drawn = (rng.random((200000, 5)) < expit(logit(p) + z)).sum(axis=1)
    law = count_distribution(p, doubt(shared_error=spread))
    assert law.sum() == pytest.approx(1)
    assert np.bincount(drawn, minlength=6) / 200000 == pytest.approx(law, abs=0.005)


def test_a_scans_own_rate_is_read_from_its_findings():
    """Scores of real ones and others are drawn at a rate of 2 % or 70 %; the usual is 30 %."""
    rng, shared = np.random.default_rng(3), doubt(rate_spread=3.0)
    for rate in (0.02, 0.7):
        off = []
        for _ in range(40):
            real = rng.random(100) < rate
            score = rng.normal(np.where(real, 1.5, -1.5), 1.0)
            # log-odds of a real one at the usual rate: equal spread, so that it is linear
            p = expit(3.0 * score + logit(0.3))
            off.append([(np.arange(101) @ count_distribution(p, d)) - real.sum()
                        for d in (None, shared)])  # fmt: skip
        alone, own = np.mean(off, axis=0)
        assert abs(own) < 0.8
        assert abs(alone) > 2 * abs(own) + 1.0


def test_any_and_draws_follow_the_law():
    p, shared = np.array([0.4, 0.2, 0.1, 0.02]), doubt(rate_spread=2.0, shared_error=0.7)
    law = count_distribution(p, shared)
    assert chance_of_any(p, shared) == pytest.approx(1 - law[0], abs=1e-9)
    assert chance_of_any(p) == pytest.approx(1 - np.prod(1 - p))
    drawn = draw_count(p, np.random.default_rng(5), 100000, shared)
    assert np.bincount(drawn, minlength=5) / 100000 == pytest.approx(law, abs=0.006)


def test_what_they_have_in_common_leaves_the_certain_as_it_is():
    shared = doubt(rate_spread=3.0, shared_error=2.0)
    assert count_distribution([1.0, 1.0, 0.0], shared) == pytest.approx([0, 0, 1, 0])
    assert count_distribution([], shared) == pytest.approx([1.0])
    assert shifted(np.array([0.0, 0.5, 1.0]), np.array([2.0])) == pytest.approx(
        np.array([[0.0, expit(2.0), 1.0]])
    )


@pytest.mark.parametrize(
    "wrong", [{"usual_rate": 0.0}, {"rate_spread": -1.0}, {"shared_error": np.inf}]
)
def test_impossible_doubts_are_refused(wrong):
    with pytest.raises(ParameterError, match="CountDoubt"):
        doubt(**wrong)


@pytest.mark.parametrize("wrong", [1.2, -0.1, np.nan])
def test_what_is_no_probability_is_refused(wrong):
    with pytest.raises(ParameterError, match="between 0 and 1"):
        count_distribution([0.5, wrong])
