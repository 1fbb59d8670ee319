"""What a report says of its readers: a review is one when all that was asked is decided."""

from dataclasses import replace

import pytest

from petechia.report.findings import read_entries
from petechia.report.language import speaking
from petechia.report.narrative import short_text
from petechia.report.review import review_words, reviewed_by

TOLD = {"readers": ["anna"], "from": "2026-11-27T10:00:00", "to": "2026-11-27T10:05:00"}


@pytest.mark.parametrize(
    ("review", "said"),
    [
        (None, "Not reviewed by a reader."),
        ({"asked": 9, "undecided": 9}, "Review begun by anna on 2026-11-27: 0 of 9 findings decided, "
         "the others stand as the software left them."),
        ({"asked": 9, "undecided": 2, "finished": True}, "Review begun by anna on 2026-11-27: 7 of 9 "
         "findings decided, the others stand as the software left them."),
        ({"asked": 9, "undecided": 0}, "Reviewed by anna on 2026-11-27."),
        ({"asked": 9, "undecided": 0, "to": "2026-11-29"},
         "Reviewed by anna from 2026-11-27 to 2026-11-29."),
    ],
)  # fmt: skip
def test_reviewed_is_what_is_decided(data, review, said):
    summary = data.summary if review is None else data.summary | {"review": TOLD | review}
    assert reviewed_by(summary) == said
    one = replace(data, summary=summary)
    assert said in short_text(one, read_entries(one.findings)).splitlines()
    if review:
        words = review_words(one)
        assert words.who == said
        missing = not review.get("undecided") and not review.get("finished")
        assert ("not marked as finished" in words.unfinished) == missing


@pytest.mark.parametrize(
    ("review", "said"),
    [
        (None, "read by software (Petechia {version})"),
        ({"asked": 9, "undecided": 2}, "read by software (Petechia {version})"),
        ({"asked": 9, "undecided": 0},
         "read by software (Petechia {version}), reviewed by anna"),
    ],
)  # fmt: skip
def test_the_short_text_says_first_who_has_read(data, review, said):
    summary = data.summary | ({} if review is None else {"review": TOLD | review})
    text = short_text(replace(data, summary=summary), read_entries(data.findings))
    version = summary.get("version")
    assert text.splitlines()[0].endswith(f"gradient-echo MRI, {said.format(version=version)}")
    assert "Comparison with a prior scan: not part of this report" in text  # it may have been made


def test_a_disagreement_is_no_finding_that_is_left():
    told = TOLD | {"asked": 9, "undecided": 0, "finished": True, "disagreements": ["a", "b"]}
    assert reviewed_by({"review": told}).endswith("2026-11-27. Disagreements not settled: 2.")
    with speaking("zh"):
        assert "尚有 2 处分歧未解决" in reviewed_by({"review": told})


def test_a_begun_review_in_chinese(data):
    with speaking("zh"):
        told = reviewed_by({"review": TOLD | {"asked": 9, "undecided": 9}})
    assert (
        told
        == "由 anna 于 2026-11-27 开始复核\uff1a9 个所见中已判定 0 个\uff0c其余以软件结果为准。"
    )
