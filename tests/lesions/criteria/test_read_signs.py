"""What the software read enters a scale as a range: told facts win, doubt is never claimed away."""

from itertools import product

import pytest

from petechia.lesions.criteria.boston import boston
from petechia.lesions.criteria.clinical import FIELDS, as_range, read_facts, with_read
from petechia.lesions.criteria.svd import total_score, total_svd

GATE = {"age_years": 71, "presentation": "cognitive_impairment", "other_cause": False}


def sign(low, high, state="yes"):
    return {"state": state, "low": low, "high": high}


UNREAD = {"state": "not_assessed", "low": None, "high": None}


def test_told_facts_win_over_what_was_read():
    facts = with_read(read_facts({"lacunes": 0}, "f"), {"lacunes": sign(2, 3)})
    assert facts.bounds("lacunes") == (0, 0)
    assert facts.count_above("lacunes", 0).source == "clinical"
    assert facts.as_dict() == {"lacunes": "0"}  # what is read is never passed on as told


def test_what_was_not_assessed_stays_unknown():
    facts = with_read(read_facts({}, "f"), {"lacunes": UNREAD, "fazekas_deep": UNREAD})
    assert facts.count_above("lacunes", 0).values == (False, True)
    assert facts.grade("fazekas_deep").values == (0, 1, 2, 3)
    assert facts.grade("fazekas_deep").source == ""


def test_a_count_without_bounds_claims_nothing():
    open_ = {"state": "no", "low": 0, "high": None}
    facts = with_read(read_facts({}, "f"), {"lacunes": open_, "subcortical_spots": open_})
    assert facts.read == {}
    some = with_read(read_facts({}, "f"), {"lacunes": {"state": "yes", "low": 2, "high": None}})
    assert some.count_above("lacunes", 0).values == (True,)


def test_what_is_no_count_or_grade_never_enters():
    facts = with_read(read_facts({}, "f"), {"edema": sign(1, 1), "other_cause": sign(0, 0)})
    assert facts.read == {}


def test_a_range_is_told_and_marked():
    facts = with_read(read_facts({}, "f"), {"fazekas_deep": sign(1, 2, "unsure")})
    given = facts.grade("fazekas_deep")
    assert (given.values, given.source, given.told) == ((1, 2), "read", "1-2")
    assert [as_range(b) for b in ((2, 2), (0, 3), (4, None))] == ["2", "0-3", "4 or more"]


@pytest.mark.parametrize(
    ("spots", "answer", "missing"),
    [((15, 25), "probable", False), ((2, 4), "possible", False), ((8, 14), "at_least_possible", True)],
)  # fmt: skip
def test_boston_claims_only_what_no_value_of_a_range_could_change(make, spots, answer, missing):
    told = read_facts(GATE | {"css": "none", "csah_foci": 0, "lobar_ich": 0, "deep_ich": 0,
                              "centrum_semiovale_pvs": 3}, "f")  # fmt: skip
    claim = boston([make("lobar")], with_read(told, {"subcortical_spots": sign(*spots)}))
    assert claim.answer == answer
    assert ("subcortical_spots" in claim.missing) is missing


def test_the_total_score_is_that_of_every_value_in_the_ranges():
    names = ("lacunes", "fazekas_periventricular", "fazekas_deep", "basal_ganglia_pvs")
    ranges = {"lacunes": [(0, 0), (0, 1), (2, 3)], "fazekas_periventricular": [(1, 1), (2, 3)],
              "fazekas_deep": [(0, 1), (1, 2)], "basal_ganglia_pvs": [(4, 6), (9, 12)]}  # fmt: skip
    for chosen in product(*(ranges[name] for name in names)):
        facts = with_read(
            read_facts({}, "f"), {n: sign(*b) for n, b in zip(names, chosen, strict=True)}
        )
        every = {
            total_score(False, lacunes > 0, near, far, spaces > 10)
            for lacunes, near, far, spaces in product(*(range(b[0], b[1] + 1) for b in chosen))
        }
        assert set(total_svd([], facts).could_be) == every


def test_every_sign_but_those_of_edema_is_a_clinical_fact():
    from petechia.anatomy.signs.read import NAMES

    assert set(NAMES) - set(FIELDS) == {"edema", "sulcal_effusion"}
