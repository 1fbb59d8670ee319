"""Rows of the report on what other scans show."""

import re
from dataclasses import asdict
from types import SimpleNamespace

import pytest

from petechia.anatomy.signs.read import nothing_read
from petechia.report.language import speaking
from petechia.report.signs import image_rows, sign_rows


def sign(state="yes", low=2, high=2, measure="", scans="FLAIR", why=""):
    return {"state": state, "low": low, "high": high, "measure": measure, "scans": scans,
            "why_not": why}  # fmt: skip


def rows(signs, facts=None, entries=()):
    summary = {"signs": {"signs": signs}, "criteria": {"clinical_facts": facts or {}}}
    return dict(sign_rows(SimpleNamespace(summary=summary), entries))


FAZEKAS = "White-matter hyperintensities (Fazekas)"


def test_without_other_scans_nothing_is_assessed():
    old = rows({})
    assert old["Lacunes"] == "not assessed (needs FLAIR)"
    why = {n: sign("not_assessed", None, None, why="the exam has no FLAIR")
           for n in ("lacunes", "edema")}  # fmt: skip
    told = rows(why)
    assert told["Lacunes"] == "not assessed: the exam has no FLAIR"
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
    assert told["Edema around a finding"] == "there is no finding to look around"
    dry = SimpleNamespace(row={"criteria": "no edema: met"})
    told = rows({"edema": sign(low=1, high=1, measure=measure)}, entries=[dry])
    assert told["Edema around a finding"].startswith("none seen around the findings")
    entry = SimpleNamespace(name="microbleed 3", row={"criteria": "no edema: not met"})
    near = rows({"edema": sign(low=1, high=1, measure=measure)}, entries=[entry])
    assert "microbleed 3" in near["Edema around a finding"]
    words = ("met", "met", "not assessed")
    some = [SimpleNamespace(name="x", row={"criteria": f"no edema: {word}"}) for word in words]
    open_ = rows({"edema": sign(low=0, high=0)}, entries=some)["Edema around a finding"]
    assert open_ == "none seen around 2 findings, by software on FLAIR; not told at 1"


def test_effusion_and_spaces_are_never_claimed():
    signs = nothing_read("the exam has no FLAIR")
    told = rows({n: asdict(s) | {"why_not": s.why} for n, s in signs.items()})
    assert "not assessed" in told["Sulcal effusion on FLAIR (ARIA-E)"]
    assert "not assessed" in told["Perivascular spaces"]


def test_what_lies_beside_the_scan_is_told():
    chosen = {"FLAIR": "series 7 (FLAIR, 1 x 1 x 1 mm): of 2 the one with the smallest voxels"}
    left = [
        "series 8 (FLAIR, 1 x 1 x 5 mm) was not taken: series 7 (FLAIR, 1 x 1 x 1 mm) comes first."
    ]
    data = SimpleNamespace(summary={"beside": {"chosen": chosen, "left": left}})
    assert image_rows(data) == [("Beside it: FLAIR", chosen["FLAIR"]), ("Image not taken", left[0])]
    with speaking("zh"):
        for title, text in image_rows(data):
            assert not re.search("[a-z]{3,}", re.sub(r"series \d+|mm", "", title + text)), text


@pytest.mark.parametrize("measure", [
    "7.1 mL near the ventricles, reaching 8 mm, along 44% of their border",
    "largest 16 mm across, 3.7 mL, 31 small", "2 certain, of 3, 8 mm; 1 possible",
])  # fmt: skip
def test_it_speaks_chinese(measure):
    with speaking("zh"):
        told = rows({"fazekas_deep": sign(measure=measure), "lacunes": sign(measure=measure)})
    text = "".join(told.values())
    assert "across" not in text
    assert "reaching" not in text
    assert " of " not in text
