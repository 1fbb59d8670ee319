"""What was answered is never lost, never changed, never there by half."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

import petechia
from petechia.errors import FileError, OutputError, ParameterError, StaleError
from petechia.pipeline.review.log import FORM, ReviewLog, log_path

SCAN = "sub-01_ses-2"

SOURCE = str(Path(petechia.__file__).parents[1])


@pytest.fixture
def log(tmp_path):
    with ReviewLog(log_path(tmp_path)) as made:
        yield made


def test_an_event_comes_back_as_it_was_given(log, hand_of):
    given = hand_of(log=log)("decide", "s1", verdict="reject", class_="vessel", reason="a tube")
    (read,) = log.events(SCAN)
    assert read == given == log.event(given.id)
    assert read.at.endswith("Z")
    assert read.version == petechia.__version__


def test_the_same_uuid_is_one_event_and_no_other(log, hand_of):
    once = hand_of(log=log)("note", text="x")
    assert log.append(replace(once, id=0)) == once
    assert len(log.events()) == 1
    with pytest.raises(ParameterError, match="another event"):
        log.append(replace(once, payload={"text": "y"}))


def test_nothing_is_changed_or_removed(log, hand_of):
    hand_of(log=log)("note", text="x")
    raw = sqlite3.connect(log.path)
    for statement in ("UPDATE events SET reader = 'b'", "DELETE FROM events"):
        with pytest.raises(sqlite3.IntegrityError, match="never"):
            raw.execute(statement)
    raw.close()


def test_undo_takes_back_own_decisions_once(log, hand_of):
    ann, ben = hand_of(log=log), hand_of("ben", log=log)
    first = ann("decide", "s2", verdict="accept")
    undo = ann("undo", event=first.id)
    assert undo.finding == "s2"
    for hand, target in ((ann, first.id), (ann, undo.id), (ben, first.id), (ann, 999)):
        with pytest.raises(ParameterError):
            hand("undo", event=target)
    assert len(log.events()) == 2


def test_another_window_does_not_write_over_what_it_has_not_seen(log, hand_of):
    ann = hand_of(log=log)
    seen = ann("decide", "s1", verdict="accept")
    ann("merge", "s1", with_=["s3"])
    late = replace(seen, uuid=str(uuid.uuid4()), id=0, finding="s3")
    with pytest.raises(StaleError, match="s3 was changed"):
        log.append(late, after=seen.id)
    assert log.append(replace(late, finding="s2"), after=seen.id).id
    assert log.append(replace(late, uuid=str(uuid.uuid4())), after=log.last()).id


def test_threads_do_not_lose_each_others_events(log, hand_of):
    def work(name):
        hand = hand_of(name, log=log)
        for n in range(12):
            hand("note", text=str(n))

    threads = [threading.Thread(target=work, args=(f"r{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [e.id for e in log.events()] == list(range(1, 49))
    assert {t.events for t in log.tallies()} == {12}
    assert log.readers(SCAN) == ["r0", "r1", "r2", "r3"]


WRITER = """
import sys, uuid
from petechia.pipeline.review.events import Event
from petechia.pipeline.review.log import ReviewLog
log = ReviewLog(sys.argv[1])
for n in range(100_000):
    event = Event(uuid=str(uuid.uuid4()), reader=sys.argv[2], round=1, scan="sub-01",
                  fingerprint="f", finding="", kind="note", payload={"text": "x" * 200})
    print(log.append(event).uuid, flush=True)
"""


def writers(path, *names):
    env = os.environ | {"PYTHONPATH": SOURCE}
    return [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), name],
            stdout=subprocess.PIPE,
            text=True,
            env=env,
        )
        for name in names
    ]


def test_a_killed_process_has_lost_nothing_it_was_answered(tmp_path, hand_of):
    path = log_path(tmp_path)
    started = writers(path, "ann", "ben")
    answered = [[process.stdout.readline().strip() for _ in range(15)] for process in started]
    for process in started:
        process.send_signal(signal.SIGKILL)
    for process, lines in zip(started, answered, strict=True):
        lines += [line.strip() for line in process.stdout.read().splitlines() if len(line) == 36]
        process.stdout.close()
        process.wait()
    with ReviewLog(path) as log:
        events = log.events()
        assert {line for lines in answered for line in lines} <= {e.uuid for e in events}
        assert {e.payload["text"] for e in events} == {"x" * 200}
        assert hand_of("cat", log=log)("note", text="still").id == events[-1].id + 1


def test_a_full_disk_is_told_and_leaves_nothing_half(log, hand_of):
    hand = hand_of(log=log)
    hand("note", text="before")
    pages = log._connection().execute("PRAGMA page_count").fetchone()[0]
    log._connection().execute(f"PRAGMA max_page_count = {pages}")

    def fill():
        for _ in range(50):
            hand("note", text="x" * 4000)

    with pytest.raises(OutputError, match="Make room"):
        fill()
    written = len(log.events())
    assert written == len(hand.events)
    log._connection().execute("PRAGMA max_page_count = 100000")
    assert hand("note", text="after").id == written + 1


LIMITED = """
import resource, signal, sys, uuid
from petechia.errors import OutputError
from petechia.pipeline.review.events import Event
from petechia.pipeline.review.log import ReviewLog
log, n = ReviewLog(sys.argv[1]), 0
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, resource.RLIM_INFINITY))
try:
    while n < 1000:
        log.append(Event(uuid=str(uuid.uuid4()), reader="ann", round=1, scan="sub-01",
                         fingerprint="f", finding="", kind="note", payload={"text": "x" * 4000}))
        n += 1
except OutputError as error:
    print(n, error.mend)
"""


def test_a_file_that_cannot_grow_is_told_too(tmp_path):
    path = log_path(tmp_path)
    env = os.environ | {"PYTHONPATH": SOURCE}
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path)],
        capture_output=True,
        text=True,
        env=env,
        check=True,
    )
    count, _, mend = done.stdout.partition(" ")
    assert "Make room" in mend
    with ReviewLog(path) as log:
        assert len(log.events()) == int(count) >= 1


def test_logs_that_are_not_ours_stay_as_they_are(tmp_path):
    newer = log_path(tmp_path / "newer")
    ReviewLog(newer).close()
    raw = sqlite3.connect(newer)
    raw.execute(f"PRAGMA user_version = {FORM + 1}")
    raw.close()
    broken = tmp_path / "broken.sqlite"
    broken.write_bytes(b"not a database at all, but long enough to be read" * 50)
    foreign = tmp_path / "foreign.sqlite"
    raw = sqlite3.connect(foreign)
    raw.execute("CREATE TABLE things (a)")
    raw.commit()
    raw.close()
    for path, match in ((newer, "newer petechia"), (broken, "broken"), (foreign, "no log of")):
        before = path.read_bytes()
        with pytest.raises(FileError, match=match):
            ReviewLog(path)
        assert path.read_bytes() == before


def test_a_place_one_may_not_write_is_told(tmp_path):
    (tmp_path / "review").write_text("a file in the way")
    with pytest.raises(OutputError):
        ReviewLog(log_path(tmp_path))


def test_finished_is_the_last_word_that_was_not_taken_back(log, hand_of):
    ann = hand_of(log=log)
    done = ann("finish")
    assert log.tallies()[0].finished
    ann("undo", event=done.id)
    assert not log.tallies()[0].finished
    ann("finish")
    ann("reopen")
    assert not log.tallies("ann", 1)[0].finished


def test_appending_stays_fast_in_a_long_log(log, hand_of):
    ann = hand_of(log=log)
    row = ann("note", text="x")
    raw = sqlite3.connect(log.path)
    with raw:
        raw.executemany(
            "INSERT INTO events (uuid, at, reader, round, scan, fingerprint, finding, kind, payload,"
            " seconds, anchor, version) VALUES (?, '', 'ann', 1, ?, 'f', 's1', 'note', "
            "'{\"text\":\"x\"}', 1, '{}', '0')",
            ((str(uuid.uuid4()), f"sub-{n % 10_000:05d}") for n in range(20_000)),
        )
    raw.close()
    times = []
    for _ in range(20):
        start = time.perf_counter()
        ann("decide", "s1", verdict="accept")
        times.append(time.perf_counter() - start)
    assert sorted(times)[10] < 0.1  # 4 ms measured on a busy machine
    assert len(log.tallies()) == 10_001
    assert len(log.events(row.scan)) == 21


def test_many_make_the_same_log_at_once(tmp_path, hand_of):
    path, faults = log_path(tmp_path), []
    gate = threading.Barrier(8)

    def work(name):
        gate.wait()
        try:
            with ReviewLog(path) as log:
                hand_of(name, log=log)("note", text="x")
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=(f"r{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    with ReviewLog(path) as log:
        assert len(log.events()) == 8
