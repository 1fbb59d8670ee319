"""Work side by side: order, threads, errors, and the same numbers."""

import threading

import pytest
from scipy.fft import get_workers, set_workers

from petechia.core.together import together


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
