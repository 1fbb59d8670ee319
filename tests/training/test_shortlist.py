"""The orders of dark spots: what teaches them, how they are kept and handed on."""

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.lesions.shortlist import MEASURES, trained_worth


@pytest.fixture(scope="module")
def shortlist(training):
    pytest.importorskip("sklearn", reason="needs the extra `train`")
    return training("shortlist")


def scan(shortlist, person, seed, thick=False):
    """Return 200 voids of a person; the 20 that are symmetric are microbleeds."""
    rng = np.random.default_rng(seed)
    table = rng.uniform(0, 0.4, (200, len(MEASURES)))
    table[:20, MEASURES.index("symmetric")] += 0.5
    told = tuple(dict(zip(MEASURES, row, strict=True)) for row in table.tolist())
    real = np.repeat([1, 0], [20, 180])
    return shortlist.Scan(told=told, real=real, person=person, thick=thick, visible=25)


def test_trees_learn_what_microbleeds_have_and_take_no_side_on_what_is_neither(shortlist):
    scans = [scan(shortlist, "a", 1), scan(shortlist, "b", 2)]
    for one in scans:
        one.real[100:] = -1  # asymmetric: by these alone nothing would be told
    held = scan(shortlist, "c", 3)
    worth = trained_worth(held.told, shortlist.grown(scans))
    assert worth[:20].min() > worth[20:].max()


def test_a_person_is_told_by_trees_of_the_others(shortlist, monkeypatch):
    grown, seen = shortlist.grown, []

    def noted(scans):
        seen.append({s.person for s in scans})
        return grown(scans)

    monkeypatch.setattr(shortlist, "grown", noted)
    scans = [scan(shortlist, person, n) for n, person in enumerate("aabbccdd")]
    told = shortlist.told_by_others(scans)
    assert [len(people) for people in seen] == [3, 3, 3, 3]
    assert sorted(min(set("abcd") - people) for people in seen) == list("abcd")
    assert len(told) == len(scans)
    assert shortlist.among_first(scans, told) == 160  # all that have a void


def test_what_is_told_of_an_order_counts_what_it_keeps(shortlist):
    scans = [scan(shortlist, person, n) for n, person in enumerate("abcd")]
    facts = shortlist.facts_of(scans, shortlist.THIN)
    assert (facts["scans"], facts["people"], facts["visible_microbleeds"]) == (4, 4, 100)
    assert (facts["with_a_void"], facts["among_150"]) == (80, 80)
    assert facts["among_150_by_table"] < 80
    assert 60 <= 4 * facts["most_that_are_sure"] <= 100


def test_orders_are_found_again_by_the_thickness_of_slices(shortlist, training, tmp_path):
    orders = training("orders")
    with pytest.raises(SystemExit, match=r"training/shortlist\.py first"):
        orders.read_orders(tmp_path)
    thin, thick = (shortlist.grown([scan(shortlist, "a", n)]) for n in (1, 2))
    arrays = thin.arrays("order_") | thick.arrays("order_thick_")
    orders.write_orders(tmp_path, arrays, {"thin": {"scans": 3}})
    kept, facts = orders.read_orders(tmp_path)
    assert facts == {"thin": {"scans": 3}}
    assert set(kept) == set(arrays)
    of = orders.order_of(tmp_path)
    for spacing, own in (((0.5, 0.5, 2.0), thin), ((3.5, 0.5, 0.5), thick)):
        found = of(Grid.from_spacing((5, 5, 5), spacing))
        assert found.value.tolist() == own.value.tolist()
