"""What the page of a cohort says when scans are half reviewed, or none could be assessed."""

import json
import re

import pytest

from petechia.pipeline.group.plan import Plan
from petechia.pipeline.group.scans import read_scans
from petechia.pipeline.group.write import analyse, write_group
from petechia.report.language import LANGUAGES


def page_of(output, language="en"):
    group = analyse(output, None, Plan())
    (page, *_) = write_group(group, output, language=language)
    html = page.read_text(encoding="utf-8")
    return " ".join(re.sub(r"<[^>]+>", " ", html.split("</style>")[-1]).split()), html


def reviewed(output, prefix, undecided):
    (path,) = output.rglob(f"{prefix}_desc-petechia_summary.json")
    told = json.loads(path.read_text(encoding="utf-8"))
    told["review"] = {"readers": ["anna"], "asked": 9, "undecided": undecided}
    path.write_text(json.dumps(told), encoding="utf-8")


def test_a_review_that_is_only_begun_is_not_called_one(make, tmp_path):
    output = make.write(
        tmp_path / "out", [make.scan(make.name(who), [("deep", "thalamus")]) for who in "123"]
    )
    for prefix, undecided in (("sub-1", 0), ("sub-2", 9), ("sub-3", 1)):
        reviewed(output, prefix, undecided)
    assert [scan.reviewed for scan in read_scans(output)] == [True, False, False]
    text, _ = page_of(output)
    assert "1 of 3 assessed scans were reviewed by a reader." in text
    assert "Scans whose review is begun, with findings undecided: 2." in text
    reviewed(output, "sub-1", 4)
    assert "no reader reviewed them. Scans whose review is begun" in page_of(output)[0]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_cohort_of_which_nobody_was_assessed_says_so(make, tmp_path, language):
    output = make.write(tmp_path / "out", [make.scan(make.name("01"), refused="Thick slices.")])
    text, html = page_of(output, language)
    said = {
        "en": (
            "Nobody could be assessed: no prevalence can be told.",
            "A cohort: 1 person, 1 scan",
        ),
        "zh": ("无人可评估\uff1a无法给出患病率", "队列\uff1a1 人\uff0c1 次扫描"),
    }[language]
    for words in said:
        assert words in text
    answer = re.search(r'id="answer".*?</section>', html, re.S)[0]
    assert "\u2013" not in answer
    assert "no reader reviewed" not in text
