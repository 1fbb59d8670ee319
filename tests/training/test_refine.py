"""What is added to trees and network: a sum that is found again, of people told by others."""

from types import SimpleNamespace

import numpy as np
import pytest

from petechia.core.logistic import expit
from petechia.lesions.features import NAMES, SCAN_NAMES
from petechia.lesions.model import KINDS, joint_log_odds

DEPTH, ECHOES = NAMES.index("form_depth"), NAMES.index(SCAN_NAMES[-2])
SIGNED, THICK = 1, KINDS.index("thick slices")


@pytest.fixture(scope="module")
def refine(training):
    pytest.importorskip("sklearn", reason="needs the extra `train`")
    return training("refine")


def voids(kind=SIGNED, n=6000, seed=0, people=6):
    """Return examples whose log-odds are right but for a feature that they do not know."""
    rng = np.random.default_rng(seed)
    table = np.full((n, len(NAMES)), np.nan, np.float32)
    table[:, DEPTH] = rng.normal(3.0, 2.0, n)
    table[:, ECHOES] = rng.integers(0, 2, n)
    base = rng.normal(0, 1.5, n)
    truth = base + 0.75 * (table[:, DEPTH] - 3.0)
    label = np.where(rng.random(n) < 1 / (1 + np.exp(-truth)), 0, 3)
    facts = [{"person": f"p{k}"} for k in range(people)]
    e = SimpleNamespace(table=table, label=label, scan=np.arange(n) % people, facts=facts)
    return e, base, truth, np.full(n, kind)


@pytest.mark.parametrize("kind", range(THICK))
def test_the_sum_is_found_again_by_spreads_in_its_group_of_kinds_alone(refine, kind):
    e, base, truth, kinds = voids(kind)
    told = refine.fitted(e.table, base, e.label, kinds, held=1e3)
    (own,) = (group for group in refine.GROUPS.values() if kind in group)
    assert (told.constant[own], told.slope[own]) == pytest.approx((0.0, 1.0), abs=0.1)
    assert told.linear.weight[own, DEPTH] == pytest.approx(1.5, abs=0.15)
    assert told.linear.middle[own, DEPTH] == pytest.approx(3.0, abs=0.1)
    # what is missing everywhere weighs nothing, and other kinds are left as they are
    assert np.count_nonzero(told.linear.weight) == len(own)
    assert np.abs(told.log_odds(base, e.table, kinds) - truth).mean() < 0.15
    other = np.full(len(base), next(k for k in range(len(KINDS)) if k not in own))
    np.testing.assert_array_equal(told.log_odds(base, e.table, other), base)


def test_thick_slices_are_left_as_they_are(refine):
    e, base, _, kinds = voids(THICK)
    told = refine.fitted(e.table, base, e.label, kinds)
    np.testing.assert_array_equal(told.log_odds(base, e.table, kinds), base)


def test_what_is_one_number_for_a_whole_scan_is_never_weighed(refine):
    e, base, _, kinds = voids()
    label = np.where(e.table[:, ECHOES] > 0, 0, 3)
    told = refine.fitted(e.table, base, label, kinds)
    assert not told.linear.weight[:, ECHOES].any()


def test_neither_ignored_nor_hopeless_voids_are_fitted_to(refine):
    e, base, _, kinds = voids()
    once = refine.fitted(e.table, base, e.label, kinds)
    base[::3] = -9.0
    e.label[1::3] = -1
    e.table[1::3, DEPTH] = 1e6
    rest = slice(2, None, 3)
    expected = refine.fitted(e.table[rest], base[rest], e.label[rest], kinds[rest])
    found = refine.fitted(e.table, base, e.label, kinds)
    np.testing.assert_allclose(found.linear.weight, expected.linear.weight, atol=1e-6)
    assert not np.allclose(found.linear.weight, once.linear.weight, atol=1e-3)


def test_a_person_is_told_by_the_others(refine):
    e, base, truth, kinds = voids()
    told = refine.kept_out(e, base, e.label, kinds)
    assert np.abs(told - truth).mean() < 0.5 * np.abs(base - truth).mean()
    first = e.scan == 0
    e.label[first] = np.where(e.label[first] == 0, 3, 0)
    again = refine.kept_out(e, base, e.label, kinds)
    np.testing.assert_allclose(again[first], told[first])
    assert not np.allclose(again[~first], told[~first], atol=1e-3)


def test_a_model_with_the_correction_says_what_was_fitted(refine):
    """Trees and network joined, moved and added to, are what the model joins by itself."""
    e, base, _, kinds = voids()
    told = refine.fitted(e.table, base, e.label, kinds)
    rng = np.random.default_rng(5)
    joint = rng.normal(size=(len(KINDS), 3))
    evidence = rng.normal(size=(len(base), 2))
    kinds = rng.integers(0, len(KINDS), len(base))
    arrays = refine.arrays_with(told, {"joint_combined": joint, "low": np.zeros(1)})
    added = told.linear.scores(e.table, kinds)[:, None]
    expected = told.log_odds(joint_log_odds(evidence, kinds, joint), e.table, kinds)
    found = joint_log_odds(np.hstack([evidence, added]), kinds, arrays["joint_refined"])
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert {"low", "joint_combined", "linear_weight"} <= arrays.keys()


def test_what_the_last_fit_said_is_of_the_same_examples(refine, tmp_path):
    e, base, _, _ = voids(n=12)
    with pytest.raises(SystemExit, match=r"no fit\. Run training/fit\.py"):
        refine.last_fit(tmp_path, e)
    model = tmp_path / "model"
    model.mkdir()
    evidence = np.stack([base, -base], axis=1)
    told = {"evidence": evidence, "p_combined": expit(2 * base)}
    np.savez(model / "out_of_fold.npz", label=e.label, **told)
    np.savez(model / "detector.npz", low=np.zeros(2, np.float32))
    found, joint, arrays = refine.last_fit(tmp_path, e)
    np.testing.assert_array_equal(found, evidence)
    np.testing.assert_allclose(joint, 2 * base, atol=1e-6)
    assert arrays["low"].tolist() == [0.0, 0.0]
    e.label[0] = 5
    with pytest.raises(SystemExit, match="on other examples"):
        refine.last_fit(tmp_path, e)


def test_too_few_clean_scans_do_not_choose_a_threshold(refine):
    """One false finding in four of them would be above 0.2 a scan whatever the threshold."""
    facts = [{"visible_moment": [] if n < 5 else [2.0]} for n in range(10)]
    e = SimpleNamespace(facts=facts)
    assert refine.bounds_of_few(e, range(10)) == refine.MAY_THICK
    assert refine.bounds_of_few(e, range(1, 10)) == (refine.MAY_THICK[0], np.inf)
