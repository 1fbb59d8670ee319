"""The local engine: all outcomes come back, also when a worker dies."""

import builtins

import pytest

from petechia.errors import ParameterError
from petechia.pipeline.engines.ledger import Care
from petechia.pipeline.engines.local import LocalParams, local

DIE = "__import__('os').kill(__import__('os').getpid(), 9)"
# new processes cannot import this test module: the job is a function they can, Python's own
JOB = builtins.eval


CARE = Care(
    lost=lambda item, why: "lost",
    again=lambda outcome: outcome if outcome == "later" else "no",
    pause_s=0.05,
)


def test_one_process_keeps_order():
    got = list(local(JOB, ["1+1", "2+2"], LocalParams(n_procs=1), care=CARE))
    assert got == [("1+1", 2), ("2+2", 4)]


def test_two_processes_and_a_killed_one_lose_nobody_else():
    items = ["1+1", DIE, "3+3", "4+4", "5+5"]
    got = list(local(JOB, items, LocalParams(n_procs=2), care=CARE))
    # what ran beside the killed one is tried again, and every item comes back once
    assert sorted(got) == sorted([("1+1", 2), (DIE, "lost"), ("3+3", 6), ("4+4", 8), ("5+5", 10)])


def test_what_was_killed_once_is_done_at_its_second_try(tmp_path):
    mark = tmp_path / "mark"
    once = f"4 if __import__('pathlib').Path({str(mark)!r}).exists() else "
    once += f"(__import__('pathlib').Path({str(mark)!r}).touch(), {DIE})"
    got = dict(local(JOB, ["1+1", once], LocalParams(n_procs=2), care=CARE))
    assert got == {"1+1": 2, once: 4}


@pytest.mark.parametrize("n_procs", [1, 2])
def test_a_fault_that_passes_is_tried_again_and_one_that_stays_is_told(tmp_path, n_procs):
    mark = tmp_path / "mark"
    passes = f"'late' if __import__('pathlib').Path({str(mark)!r}).exists() else "
    passes += f"(__import__('pathlib').Path({str(mark)!r}).touch(), 'later')[1]"
    got = list(local(JOB, ["'later'", passes, "3"], LocalParams(n_procs=n_procs), care=CARE))
    assert sorted(got, key=str) == sorted(
        [("'later'", "later"), (passes, "late"), ("3", 3)], key=str
    )


@pytest.mark.parametrize("n_procs", [1, 2])
def test_a_fault_of_this_computer_is_told_at_once(tmp_path, n_procs):
    tried = tmp_path / "tried"
    tried.touch()
    place = f"__import__('pathlib').Path({str(tried)!r})"
    full = f"({place}.write_text({place}.read_text() + 'x'), 'elsewhere')[1]"
    care = Care(lost=CARE.lost, again=lambda outcome: outcome if outcome == "elsewhere" else "no")
    got = list(local(JOB, [full, "3"], LocalParams(n_procs=n_procs), care=care))
    assert sorted(got, key=str) == sorted([(full, "elsewhere"), ("3", 3)], key=str)
    assert tried.read_text() == "x"


def test_no_process_is_no_engine():
    with pytest.raises(ParameterError, match=r"--n-procs: 0 processes"):
        LocalParams(n_procs=0)
