"""The order of a person's sessions: by dates, by labels that tell it, or a guess that says so."""

from itertools import permutations

import pytest

from petechia.files.scan import ScanName
from petechia.pipeline.listing import natural
from petechia.pipeline.session_times import (
    DATES,
    GUESS,
    GUESS_SAYS,
    LABEL,
    by_label,
    by_times,
    in_time,
    ordered,
)


def names(*labels):
    return [[ScanName((("sub", "01"), ("ses", label)))] for label in labels]


@pytest.mark.parametrize(
    "labels",
    [
        "1 2 10", "01 02", "m6 m12", "M0 m6 m24", "V1 V2", "t1 t2", "study2visit1 study2visit3",
        "20191203 20200105", "d0129 d3025", "pre post", "PRE Post", "before after", "pre1 pre2 post",
        "post1 post2", "screening baseline followup", "baseline followup1 followup2", "bl m06 m12",
        "baseline followup followup2", "scan rescan", "test retest", "first second third",
        "first last",
    ],
)  # fmt: skip
def test_labels_that_tell_the_order(labels):
    want = labels.split()
    for given in list(permutations(want))[:24]:
        rank = by_label(given)
        assert rank is not None
        assert sorted(given, key=dict(zip(given, rank, strict=True)).__getitem__) == want


@pytest.mark.parametrize(
    "labels",
    [
        "a b", "mri1 ct2", "post x", "1 01", "2 02 3", "pre PRE", "3T 7T", "15t 3t", "site1 site2",
        "te10 te20", "05012020 12032019", "190321 200105", "1234567 1234600", "2019m11 2020m01",
        "post post1", "pre rescan", "followup m6", "baseline m6 y1", "baseline visit1", "1 post",
        "premed postmed",
    ],
)  # fmt: skip
def test_labels_that_do_not(labels):
    given = sorted(labels.split(), key=natural)
    assert by_label(given) is None
    found = ordered(None, names(*given))
    assert (found.by, found.known, found.says) == (GUESS, False, GUESS_SAYS)
    assert found.order == list(range(len(given)))


def test_a_label_that_is_missing_tells_nothing():
    assert by_label(["", "1"]) is None
    assert ordered(None, names("1")).says == ""  # one session has no order
    assert in_time(None, names("1")) == ([0], "")


def test_pre_comes_before_post_without_dates_and_it_is_said():
    found = ordered(None, names("post", "pre"))
    assert (found.order, found.by) == ([1, 0], LABEL)
    assert found.says == "sessions are ordered by label; no dates are known"
    assert in_time(None, names("post", "pre")) == (found.order, found.says)  # the review desk's


@pytest.mark.parametrize(
    ("times", "labels", "order", "by", "says"),
    [
        ((5.0, 0.0), "post pre", [1, 0], DATES, ""),
        ((0.0, 5.0), "post pre", [0, 1], DATES, "which contradict their labels"),
        ((3.0, 0.0), "a b", [1, 0], DATES, ""),  # labels that tell nothing contradict nothing
        ((0.0, 0.0), "a b", [0, 1], GUESS, "some sessions are of one date or age; the order"),
        ((0.0, 0.0), "post pre", [1, 0], DATES, ""),  # of one day: by their labels
        ((None, 3.0, 0.0), "1 2 3", [0, 1, 2], GUESS, "dates contradict the order of the labels"),
        ((None, 0.0, 3.0), "1 2 3", [0, 1, 2], LABEL, "dates are not known of all"),
        ((None, 0.0, 3.0), "a b c", [0, 1, 2], GUESS, "a guess by label"),
    ],
)
def test_times_and_labels_together(times, labels, order, by, says):
    found = by_times(times, labels.split())
    assert (found.order, found.by) == (order, by)
    assert says in found.says
    assert bool(found.says) == bool(says)


def test_dates_that_contradict_count_also_where_the_first_session_has_none(tmp_path):
    folder = tmp_path / "sub-01"
    folder.mkdir()
    rows = "ses-1\tn/a\nses-2\t2021-01-01\nses-3\t2020-01-01\n"
    (folder / "sub-01_sessions.tsv").write_text(f"session_id\tacq_time\n{rows}")
    assert not ordered(tmp_path, names("1", "2", "3")).known
