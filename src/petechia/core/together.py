"""Independent pieces of work on as many threads as the transforms may use."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from scipy.fft import get_workers

T = TypeVar("T")


def together(jobs: Sequence[Callable[[], T]]) -> list[T]:
    """Return what each job returns, in their order.

    They run on `scipy.fft.get_workers()` threads, each with one worker of its own: transforms,
    filters and compiled kernels let go of the interpreter's lock. One worker: one after the
    other, in this thread. What a job raises is raised here.
    """
    workers = min(get_workers(), len(jobs))
    if workers < 2:
        return [job() for job in jobs]
    with ThreadPoolExecutor(workers) as pool:
        return [done.result() for done in [pool.submit(job) for job in jobs]]


def meanwhile(job: Callable[[], T]) -> Callable[[], T]:
    """Begin a job beside this thread; what is returned waits for it and gives its answer.

    For long work that nothing waits for yet, beside work that cannot fill all threads. With one
    worker the job begins when it is asked for. What it raises is raised when it is asked for.
    """
    if get_workers() < 2:
        return job
    pool = ThreadPoolExecutor(1)
    done = pool.submit(job)
    pool.shutdown(wait=False)
    return done.result
