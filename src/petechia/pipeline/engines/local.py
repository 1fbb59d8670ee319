"""Processes on this computer."""

import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from petechia.errors import ParameterError

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
LISTEN_S = 0.2
"""How often Ctrl-C is looked for while workers work [s]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalParams:
    """Settings of `local`.

    Attributes
    ----------
    n_procs : int
        Scans at once; 1 runs them in this process.
    """

    n_procs: int = 1

    def __post_init__(self) -> None:
        if self.n_procs < 1:
            raise ParameterError(
                f"{self.n_procs} processes", where="--n-procs", mend="Give 1 or more."
            )


@contextmanager
def _pool(n_procs: int) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool whose processes end at once when the block is left by Ctrl-C or an error."""
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(
        n_procs, mp_context=multiprocessing.get_context("spawn"), initializer=_leave_ctrl_c
    ) as pool:
        try:
            yield pool
        except BaseException:
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()
            raise


@contextmanager
def _heard_ctrl_c() -> Iterator[list[int]]:
    """Yield a list that Ctrl-C adds to, instead of interrupting wherever the code happens to be.

    An interrupt inside `concurrent.futures` can leave one of its locks held, and the end of
    the pool then waits for ever.
    """
    heard: list[int] = []
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler or (
        threading.current_thread() is not threading.main_thread()
    ):
        yield heard
        return
    signal.signal(signal.SIGINT, lambda number, _: heard.append(number))
    try:
        yield heard
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave_ctrl_c() -> None:
    """Leave Ctrl-C to the parent: it ends its workers itself, and says so once."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def local(
    job: Callable[[Item], Outcome],
    items: Sequence[Item],
    params: LocalParams,
    *,
    lost: Callable[[Item], Outcome],
) -> Iterator[tuple[Item, Outcome]]:
    """Yield every item with its outcome, in the order they finish.

    Parameters
    ----------
    job : callable
        Runs one item; must be importable by name, so that it reaches a new process.
    items : sequence
        What to run.
    params : LocalParams
        How many at once.
    lost : callable
        Makes the outcome of an item whose process died (killed, out of memory). A dead
        process takes its pool down, so nobody knows which of the items then running killed
        it: each of them is tried once more, alone, and one that dies again is lost.
    """
    if params.n_procs == 1 or len(items) == 1:
        for item in items:
            yield item, job(item)
        return
    with _heard_ctrl_c() as heard:
        waiting = list(items)
        suspects: list[Item] = []
        while waiting:
            for item, future in _outcomes(job, waiting, params.n_procs, heard):
                try:
                    outcome = future.result()
                except BrokenProcessPool:
                    suspects.append(item)
                    continue
                yield item, outcome
        for suspect in suspects:
            for item, future in _outcomes(job, [suspect], 1, heard):
                try:
                    outcome = future.result()
                except BrokenProcessPool:
                    outcome = lost(item)
                yield item, outcome


def _outcomes(
    job: Callable[[Item], Outcome], waiting: list[Item], n_procs: int, heard: list[int]
) -> Iterator[tuple[Item, Future[Outcome]]]:
    """Yield items taken from `waiting` as their futures end, until a process of the pool dies."""
    with _pool(n_procs) as pool:
        # one item a future, as many futures as workers: a dead pool takes only what ran
        running: dict[Future[Outcome], Item] = {}
        broken = False
        while running or (waiting and not broken):
            while waiting and not broken and len(running) < n_procs:
                try:
                    future = pool.submit(job, waiting[0])
                except BrokenProcessPool:
                    broken = True
                else:
                    running[future] = waiting.pop(0)
            done, _ = wait(running, timeout=LISTEN_S, return_when=FIRST_COMPLETED)
            if heard:
                raise KeyboardInterrupt
            for future in done:
                broken = broken or isinstance(future.exception(), BrokenProcessPool)
                yield running.pop(future), future
