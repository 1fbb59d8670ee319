"""The orders of dark spots: what teaches them, how they are kept and handed on."""

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.lesions.inputs import LesionInputs
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


def one_of_each_kind(shortlist, training, tmp_path):
    """Return orders that were grown on four people, and written and read."""
    orders = training("orders")
    fold, trees = {}, {}
    grown = {}
    for n, name in enumerate(orders.NAMES):
        scans = [scan(shortlist, person, 10 * n + k, bool(n)) for k, person in enumerate("abcd")]
        fold[name], trees[name] = shortlist.by_others(scans)
        grown[name] = shortlist.grown(scans)
    orders.Orders(grown, trees, fold, {"thin": {"scans": 3}}).write(tmp_path)
    return orders, orders.Orders.read(tmp_path), trees, grown


def test_a_person_is_told_by_trees_of_the_others(shortlist, training, tmp_path, monkeypatch):
    grown, seen = shortlist.grown, []

    def noted(scans):
        seen.append({s.person for s in scans})
        return grown(scans)

    monkeypatch.setattr(shortlist, "grown", noted)
    scans = [scan(shortlist, person, n) for n, person in enumerate("aabbccdd")]
    fold, trees = shortlist.by_others(scans)
    assert len(trees) == len(seen) == 4
    for person, k in fold.items():
        assert seen[k] == set("abcd") - {person}
    told = [trained_worth(s.told, trees[fold[s.person]]) for s in scans]
    assert shortlist.among_first(scans, told) == 160  # all that have a void
    monkeypatch.undo()
    _, kept, trees, everybody = one_of_each_kind(shortlist, training, tmp_path)
    grid = Grid.from_spacing((5, 5, 5), (0.5, 0.5, 2.0))
    for person, k in kept.fold["order_"].items():
        assert kept.of(grid, person).value.tolist() == trees["order_"][k].value.tolist()
    assert kept.of(grid, "e").value.tolist() == everybody["order_"].value.tolist()


def test_what_is_told_of_an_order_counts_what_it_keeps(shortlist):
    scans = [scan(shortlist, person, n) for n, person in enumerate("abcd")]
    told = [trained_worth(s.told, shortlist.grown(scans)) for s in scans]
    facts = shortlist.facts_of(scans, told, shortlist.THIN)
    assert (facts["scans"], facts["people"], facts["visible_microbleeds"]) == (4, 4, 100)
    assert (facts["with_a_void"], facts["first"], facts["among_first"]) == (80, 150, 80)
    assert facts["among_first_by_table"] < 80
    assert facts["most_that_are_sure"] == 20


def test_orders_are_found_again_by_the_thickness_of_slices(shortlist, training, tmp_path):
    with pytest.raises(SystemExit, match=r"training/shortlist\.py first"):
        training("orders").Orders.read(tmp_path)
    _, kept, _, grown = one_of_each_kind(shortlist, training, tmp_path)
    assert kept.facts == {"thin": {"scans": 3}}
    assert len({k for k in kept.arrays() if k.startswith("order_thick_")}) == len(kept.arrays()) / 2
    for spacing, name in (((0.5, 0.5, 2.0), "order_"), ((3.5, 0.5, 0.5), "order_thick_")):
        found = kept.of(Grid.from_spacing((5, 5, 5), spacing), "a stranger")
        assert found.value.tolist() == grown[name].value.tolist()


def test_looks_by_other_orders_are_refused(shortlist, training, tmp_path):
    _, kept, _, _ = one_of_each_kind(shortlist, training, tmp_path)
    mine = {"scan": "21000_001_3", "orders": kept.digest}
    kept.require([mine])
    for other in ({"scan": "21000_002_3"}, {"scan": "21000_002_3", "orders": "0123456789abcdef"}):
        with pytest.raises(SystemExit, match="1 looks \\(21000_002_3"):
            kept.require([mine, other])


def test_only_whole_heads_and_cases_teach_an_order(shortlist, tmp_path):
    (tmp_path / "scans").mkdir()
    for name in ("21000_001_3", "22000_001_4", "20000_001_1", "23000_001_5", "25000_001_6"):
        (tmp_path / "scans" / f"{name}.npz").touch()
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "3t_swi_9600.npz").touch()
    found = shortlist.scans_in(tmp_path, [tmp_path / "a"])
    assert list(found) == ["21000_001_3.npz", "22000_001_4.npz", "case_3t_swi_9600.npz"]
    with pytest.raises(SystemExit, match="another folder, too"):
        shortlist.scans_in(tmp_path, [tmp_path / "a", tmp_path / "b"])


def test_the_voids_of_a_case_are_told_by_its_lesions(shortlist, training, tmp_path):
    """Three dark balls: a microbleed, a calcification and one that is nothing that was put in."""
    cases, shape = training("cases"), (33, 35, 31)
    magnitude = np.random.default_rng(0).normal(1.0, 0.02, shape).astype(np.float32)
    labels = np.zeros(shape, np.int16)
    places = {1: (8, 9, 9), 2: (23, 24, 20), 3: (9, 25, 22)}
    for n, place in places.items():
        away = np.linalg.norm(np.moveaxis(np.indices(shape), 0, -1) - place, axis=-1)
        magnitude[away < 2.1] = 0.1
        labels[away < 2.1] = n if n < 3 else 0
    rows = [
        {"class": name, "visible": "1", **dict(zip(("x_mm", "y_mm", "z_mm"), place, strict=True))}
        for name, place in zip(("microbleed", "calcification"), places.values(), strict=False)
    ]
    inputs = LesionInputs(
        grid=Grid(shape, np.eye(4)), brain_mask=np.ones(shape, bool), b0_t=3.0, reading_te_s=0.02,
        magnitude=magnitude,
    )  # fmt: skip
    kept = cases.kept_of(cases.Case(inputs=inputs, labels=labels, lesions=rows))
    shortlist.measure_scan(tmp_path / "case_3t_swi_1.npz", kept, inputs, "case-1")
    with np.load(tmp_path / "case_3t_swi_1.npz") as stored:
        real, large = stored["real"], stored["log_voxels"] > 3
        assert (stored["visible"], str(stored["person"]), bool(stored["thick"])) == (
            1, "case-1", False,
        )  # fmt: skip
        assert sorted(real[large]) == [-1, 0, 1]
        assert all(stored[name].shape == real.shape for name in MEASURES)
