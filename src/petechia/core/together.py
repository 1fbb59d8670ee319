"""Independent pieces of work on as many threads as the transforms may use."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
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


@contextmanager
def meanwhile(job: Callable[[], T]) -> Iterator[Callable[[], T]]:
    """Begin a job on one thread more; what is yielded waits for it and gives its answer.

    For work that nothing waits for yet, beside work that cannot fill all threads; the job has one
    worker. With one worker in all it begins when it is asked for. What it raises is raised when
    it is asked for, and it is not left running behind the block.
    """
    if get_workers() < 2:
        yield job
        return
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(job).result
