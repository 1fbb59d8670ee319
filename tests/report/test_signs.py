"""Rows of the report on what other scans show."""

from types import SimpleNamespace

import pytest

from petechia.report.language import speaking
from petechia.report.signs import sign_rows


def sign(state="yes", low=2, high=2, measure="", scans="FLAIR", why=""):
    return {"state": state, "low": low, "high": high, "measure": measure, "scans": scans,
            "why_not": why}  # fmt: skip


def rows(signs, facts=None, entries=()):
    summary = {"signs": {"signs": signs}, "criteria": {"clinical_facts": facts or {}}}
    return dict(sign_rows(SimpleNamespace(summary=summary), entries))


FAZEKAS = "White-matter hyperintensities (Fazekas)"


def test_without_other_scans_nothing_is_assessed():
    old = rows({})
    assert old["Lacunes"] == "not assessed (needs T2 or FLAIR)"
    why = {n: sign("not_assessed", None, None, why="the exam has neither FLAIR nor T2w")
           for n in ("lacunes", "edema")}  # fmt: skip
    told = rows(why)
    assert told["Lacunes"] == "not assessed: the exam has neither FLAIR nor T2w"
    assert told["Edema around a finding"] == told["Lacunes"]


def test_what_was_read_is_marked_and_a_told_fact_comes_first():
    signs = {"fazekas_periventricular": sign(), "fazekas_deep": sign("unsure", 1, 2)}
    told = rows(signs)[FAZEKAS]
    assert "read by software on FLAIR, not validated on real scans" in told
    assert "periventricular Fazekas grade 2" in told
    assert "1-2 (unsure)" in told
    both = rows(signs, {"fazekas_deep": "3"})[FAZEKAS]
    assert both.startswith("as given: deep Fazekas grade 3; read by software")
    assert "1-2" not in both


def test_edema_is_for_the_reader_to_judge():
    measure = "1 patches: 23 mL and 41 mm across"
    told = rows({"edema": sign(low=1, high=1, measure=measure)})
    assert "for the reader to judge: 1 patches" in told["Patches like edema on FLAIR (ARIA-E)"]
    assert told["Edema around a finding"].startswith("none seen around the findings")
    entry = SimpleNamespace(name="microbleed 3", row={"criteria": "no edema: not met"})
    near = rows({"edema": sign(low=1, high=1, measure=measure)}, entries=[entry])
    assert "microbleed 3" in near["Edema around a finding"]


@pytest.mark.parametrize("measure", [
    "7.1 mL near the ventricles, reaching 8 mm, along 44% of their border",
    "largest 16 mm across, 3.7 mL, 31 small", "3, of 3, 4, 8 mm",
])  # fmt: skip
def test_it_speaks_chinese(measure):
    with speaking("zh"):
        told = rows({"fazekas_deep": sign(measure=measure), "lacunes": sign(measure=measure)})
    text = "".join(told.values())
    assert "across" not in text
    assert "reaching" not in text
    assert " of " not in text
