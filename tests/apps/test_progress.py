"""The line that shows how far a run is."""

import sys

from petechia.apps.cli.outcomes import conclude, headline, progress, time_left_s
from petechia.pipeline.run import Outcome


def test_only_what_may_pass_by_itself_is_said_to_be_worth_another_run(capsys, tmp_path):
    ended = [
        Outcome(prefix=f"sub-{again}", status="failed", message="x", again=again)
        for again in ("no", "later", "elsewhere")
    ]
    assert conclude(ended, tmp_path) == 3
    told = capsys.readouterr().err
    assert told == "sub-later: tried several times; run again later\n"


def test_a_count_that_readers_have_settled_has_no_interval():
    told = {
        "counts": {"total": 3, "definite": 2, "possible": 1}, "count_interval_95": [1, 5],
        "category": "strictly_lobar",
    }  # fmt: skip
    assert headline(told).startswith(
        "3 microbleeds counted (95 % interval 1 to 5; 2 definite, 1 possible); strictly lobar."
    )
    told |= {"count_interval_95": None, "review": {"readers": ["ann"]}}
    assert "3 microbleeds counted (reviewed; 2 definite, 1 possible)" in headline(told)


def test_time_left_goes_by_the_scans_that_took_work():
    assert time_left_s(600.0, 0, 100) is None  # only skipped ones so far: nothing is known
    assert time_left_s(600.0, 10, 5) == 300.0
    assert time_left_s(600.0, 10, 0) == 0.0


def test_scans_are_counted_and_skipped_ones_tell_nothing_of_time(monkeypatch):
    shown = progress(4)
    shown.began_s -= 100.0
    shown.ended("skipped")
    assert (shown._count(), shown._left()) == ("1/4 ", "")
    shown.ended("done")
    assert shown._count() == "2/4 "
    assert shown._left() == "about 0:03:20 left"
    shown.ended("failed")
    assert shown._left() == "about 0:00:50 left"


def test_a_terminal_shows_it_and_a_file_does_not(monkeypatch, capsys):
    with progress(2) as tell:
        tell("sub-01", "mask")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    shown = progress(2)
    with shown as tell:
        tell("sub-01", "mask")
        shown.ended("done")
    assert shown.bar is not None
    assert shown.bar.tasks[0].fields["count"] == "1/2 "
    assert shown.bar.tasks[0].description == "sub-01: mask"
