"""Sessions of a cohort go in the order that `petechia follow` gives them."""

import json

import numpy as np
import pytest

from petechia.files.contract import follow_path
from petechia.pipeline import follow
from petechia.pipeline.group.changes import changes_tables
from petechia.pipeline.group.followed import read_intervals
from petechia.pipeline.group.plan import Plan
from petechia.pipeline.group.write import analyse, write_group
from petechia.pipeline.review.cases import RAW_LINK, ReviewFolder
from petechia.pipeline.session_times import GUESS_SAYS

SITE = ("lobar", "frontal")
BY_LABEL = "sessions are ordered by label; no dates are known"
GUESSED = f"Of 1 people {GUESS_SAYS}."


@pytest.fixture
def output(make, tmp_path):
    """Return a way to write one person's sessions, the n-th with n lesions."""

    def write(*labels, failed=()):
        scans = [make.scan(make.name("01", label), [SITE] * n, extra=())
                 for n, label in enumerate(labels, 1)]  # fmt: skip
        out = make.write(tmp_path / "out", scans)
        for label in failed:
            make.crash(out, f"sub-01_ses-{label}")
        return out

    return write


def stands(out, **plan):
    frame = analyse(out, None, Plan(**plan)).frame
    return frame.scans[int(np.flatnonzero(frame.chosen)[0])].session, frame.notes


def dates(raw, **when):
    (raw / "sub-01").mkdir(parents=True, exist_ok=True)
    rows = [f"ses-{label}\t{at}" for label, at in when.items()]
    text = "\n".join(["session_id\tacq_time", *rows]) + "\n"
    (raw / "sub-01" / "sub-01_sessions.tsv").write_text(text)


def link(out, raw):
    path = out / "dataset_description.json"
    links = {"DatasetLinks": {RAW_LINK: f"../{raw.relative_to(out.parent)}"}}
    path.write_text(json.dumps(json.loads(path.read_text()) | links))


def settle(out, sessions, by, comparisons=()):
    told = {"order": {"sessions": sessions, "by": by}, "comparisons": list(comparisons)}
    path = follow_path(out, "summary", "sub-01")
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(told))


def test_a_guess_is_said_on_page_and_in_json(output):
    out = output("alpha", "beta")
    assert stands(out) == ("alpha", [GUESSED])
    group = analyse(out, None, Plan())
    page, _ = write_group(group, out)
    assert GUESSED in page.read_text()
    told = [path for path in page.parent.glob("*.json") if GUESSED in path.read_text()]
    assert told


def test_the_order_is_that_of_follow(output):
    out = output("post", "pre")
    assert stands(out) == ("pre", [f"Of 1 people {BY_LABEL}."])
    assert stands(out, session="last")[0] == "post"
    person = follow._people(ReviewFolder(out))["01"]
    assert person.order == {"sessions": ["pre", "post"], "by": "label"}


def test_dates_of_the_dataset_that_the_output_links_to_count(output, tmp_path):
    out = output("alpha", "beta")
    dates(tmp_path / "raw", alpha="2021-01-01", beta="2020-01-01")
    link(out, tmp_path / "raw")
    assert stands(out) == ("beta", [])
    assert follow._people(ReviewFolder(out))["01"].order["sessions"] == ["beta", "alpha"]


def test_the_order_that_follow_found_by_dates_counts(output):
    out = output("2", "3", "4", "10", failed=["4"])
    assert stands(out)[0] == "2"
    settle(out, ["10", "2", "3"], "dates")  # 4 did not finish
    first, notes = stands(out)
    says = "sessions are ordered by their dates, which contradict their labels"
    assert (first, notes) == ("10", [f"Of 1 people {says}."])
    frame = analyse(out, None, Plan()).frame
    at = {row.session: int(place) for row, place in zip(frame.scans, frame.order, strict=True)}
    assert at == {"10": 0, "2": 1, "3": 2, "4": 3}
    settle(out, ["10", "2"], "dates")  # an old one, before session 3 came
    first, notes = stands(out)
    assert first == "2"
    assert "a guess by label" in notes[0]
    assert "another order of sessions" in notes[1]


def test_a_session_that_failed_does_not_make_a_guess_of_the_others(output):
    out = output("post", "pre", "x", failed=["x"])
    assert stands(out) == ("pre", [f"Of 1 people {BY_LABEL}."])


def test_another_order_than_that_of_follow_is_said(output, tmp_path):
    out = output("alpha", "beta")
    settle(out, ["alpha", "beta"], "guess")
    dates(tmp_path / "raw", alpha="2021-01-01", beta="2020-01-01")
    link(out, tmp_path / "raw")
    first, notes = stands(out)
    assert first == "beta"
    assert notes == [
        "Of 1 people petechia follow took another order of sessions; give acq_time in scans.tsv "
        "or sessions.tsv, and run it again."
    ]


@pytest.mark.parametrize(("new", "turned"), [(None, False), ({"least": 1, "most": 1}, True)])
def test_new_lesions_are_none_where_the_order_is_not_known(output, new, turned):
    out = output("alpha", "beta")
    ends = ("alpha", "beta") if turned else ("beta", "alpha")  # later, earlier
    one = {
        "scan": f"sub-01_ses-{ends[0]}", "against": f"sub-01_ses-{ends[1]}", "followed": True,
        "compared": "first and previous", "interval_days": None, "same_protocol": True,
        "new_microbleeds": new,
    }  # fmt: skip
    settle(out, ["alpha", "beta"], "guess", [one])
    frame = analyse(out, None, Plan()).frame
    (only,) = read_intervals(out, frame)["01"]
    assert (only.followed, only.least, only.most) == (False, 0, 0)
    rows = {table.name: table.rows for table in changes_tables(out, frame, Plan())}
    assert [row["people"] for row in rows.get("incidence", [])] == []
