"""Work side by side: order, threads, errors, and the same numbers."""

import threading

import pytest
from scipy.fft import get_workers, set_workers

from petechia.core.together import meanwhile, together


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_what_comes_back_is_in_order(workers):
    with set_workers(workers):
        assert together([lambda n=n: n * n for n in range(7)]) == [n * n for n in range(7)]
    assert together([]) == []


def test_one_worker_stays_in_this_thread_and_two_run_side_by_side():
    here = threading.current_thread()
    with set_workers(1):
        assert together([threading.current_thread] * 3) == [here] * 3
    both = threading.Barrier(2)
    with set_workers(2):  # each waits for the other: one after the other would never end
        together([lambda: both.wait(timeout=20)] * 2)
        # inside, transforms have one worker each: two by two is not four
        assert together([get_workers] * 2) == [1, 1]


def test_an_error_of_a_job_is_raised_here():
    def fail():
        raise ValueError("of the job")

    for workers in (1, 2):
        with set_workers(workers), pytest.raises(ValueError, match="of the job"):
            together([lambda: 1, fail])


def test_with_two_workers_a_job_runs_meanwhile_and_with_one_when_it_is_asked_for():
    begun, may_end = threading.Event(), threading.Event()

    def job():
        begun.set()
        may_end.wait(timeout=20)
        return threading.current_thread()

    here = threading.current_thread()
    with set_workers(2), meanwhile(job) as answer:
        assert begun.wait(timeout=20)  # before anybody asks
        may_end.set()
        assert answer() is not here
    begun.clear()
    with set_workers(1), meanwhile(job) as answer:
        assert not begun.is_set()
        assert answer() is here


def test_no_job_is_left_behind_when_what_runs_beside_it_fails():
    may_end, ended = threading.Event(), threading.Event()

    def job():
        may_end.wait(timeout=20)
        ended.set()

    def fail_beside():
        with meanwhile(job):
            may_end.set()
            raise ValueError("of the other work")

    with set_workers(2), pytest.raises(ValueError, match="of the other work"):
        fail_beside()
    assert ended.is_set()


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_a_job_that_runs_meanwhile_is_raised_where_it_is_asked_for(workers):
    def fail():
        raise ValueError("of the job")

    with (
        set_workers(workers),
        meanwhile(fail) as answer,
        pytest.raises(ValueError, match="of the job"),
    ):
        answer()
