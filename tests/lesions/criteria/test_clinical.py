"""Clinical facts: what is read, and what is refused in which words."""

import pytest

from petechia.errors import InputError
from petechia.lesions.criteria.clinical import FIELDS, ClinicalFacts, read_facts
from petechia.lesions.criteria.logic import above, numbers


@pytest.mark.parametrize(
    ("written", "bounds"),
    [
        (0, (0, 0)), ("7", (7, 7)), (12.0, (12, 12)), ("11-20", (11, 20)), ("11 \N{EN DASH} 20", (11, 20)),
        (">20", (21, None)), (">=20", (20, None)), ("\u226520", (20, None)), ("<=10", (0, 10)),
        ("<11", (0, 10)), ("\u226410", (0, 10)), ("5-5", (5, 5)),
    ],
)  # fmt: skip
def test_counts_may_be_ranges(written, bounds):
    assert read_facts({"lacunes": written}, "f").bounds("lacunes") == bounds


@pytest.mark.parametrize("written", [-1, "many", 1.5, "20-11", "<0", True, "1e3", "1,2", [1]])
def test_what_is_no_count_is_refused(written):
    with pytest.raises(InputError, match=r"f\.json: lacunes is .*Give a whole number, or a range"):
        read_facts({"lacunes": written}, "f.json")


@pytest.mark.parametrize(
    ("name", "bad", "wanted"),
    [
        ("age_years", "old", "a number of years from 0 to 130"),
        ("age_years", -1, "a number of years"),
        ("age_years", True, "a number of years"),
        ("age_years", "nan", "a number of years"),
        ("presentation", "stroke", "one of spontaneous_ich, transient_focal_episodes"),
        ("presentation", 1, "one of spontaneous_ich"),
        ("css", "some", "one of none, focal, disseminated"),
        ("fazekas_deep", 4, "0, 1, 2 or 3"),
        ("fazekas_deep", "1-2", "0, 1, 2 or 3"),
        ("other_cause", "perhaps", "true or false"),
        ("other_cause", 1, "true or false"),
    ],
)
def test_a_bad_value_tells_what_is_wanted(name, bad, wanted):
    with pytest.raises(InputError, match=f"{name} is {bad!r}.*Give {wanted}"):
        read_facts({name: bad}, "here")


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(InputError, match=r"'lacune'\. Did you mean lacunes\? Known: age_years"):
        read_facts({"lacune": 1}, "here")


@pytest.mark.parametrize("nothing", [None, "", "n/a", " N/A "])
def test_nothing_is_not_known(nothing):
    facts = read_facts(dict.fromkeys(FIELDS, nothing), "here")
    assert facts.values == facts.told == {}
    assert facts.yes_no("other_cause").values == (False, True)
    assert facts.grade("fazekas_deep").values == (0, 1, 2, 3)


@pytest.mark.parametrize(("extent", "foci"), [("none", 1), ("focal", 0), ("disseminated", "0")])
def test_facts_that_contradict_each_other_are_refused(extent, foci):
    with pytest.raises(InputError, match="leave css_foci out"):
        read_facts({"css": extent, "css_foci": foci}, "here")


def test_facts_are_told_as_they_were_written_in_a_fixed_order():
    facts = read_facts({"lacunes": " > 3", "other_cause": False, "age_years": 71}, "here")
    assert facts.as_dict() == {"age_years": "71", "other_cause": "no", "lacunes": "> 3"}
    assert ClinicalFacts().as_dict() == {}


def test_numbers_from_the_cap_on_are_one():
    assert numbers((0, None), 2) == (0, 1, 2)
    assert numbers((0, 0), 2) == (0,)
    assert numbers((5, 9), 2) == (2,)
    assert numbers((1, 9), 2) == (1, 2)


@pytest.mark.parametrize(
    ("bounds", "answers"),
    [((20, 20), (False,)), ((21, 21), (True,)), ((20, 21), (False, True)), ((0, None), (False, True)),
     ((21, None), (True,)), ((0, 20), (False,))],
)  # fmt: skip
def test_above_a_cutoff(bounds, answers):
    assert above(bounds, 20) == answers
