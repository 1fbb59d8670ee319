"""Processes on this computer."""

import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from petechia.errors import ParameterError
from petechia.pipeline.engines.ctrl_c import LISTEN_S, heard_ctrl_c, leave_ctrl_c
from petechia.pipeline.engines.ledger import Care, Entry, Ledger

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
DIED = "the process of this scan ended without a word"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalParams:
    """Settings of `local`.

    Attributes
    ----------
    n_procs : int
        Scans at once; 1 runs them in this process.
    memory_mb : float
        Scans are not begun together when they are thought to need more [MB]; 0: no limit.
    """

    n_procs: int = 1
    memory_mb: float = 0.0

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
        n_procs, mp_context=multiprocessing.get_context("spawn"), initializer=leave_ctrl_c
    ) as pool:
        try:
            yield pool
        except BaseException:
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()
            raise


def local(
    job: Callable[[Item], Outcome],
    items: Sequence[Item],
    params: LocalParams,
    *,
    care: Care[Item, Outcome],
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
    care : Care
        How faults are met. A dead process takes its pool down, so nobody knows which of the
        items then running killed it: each of them is tried once more, alone, and one that
        dies again is lost.
    """
    ledger = Ledger(items, care)
    if params.n_procs == 1 or len(items) == 1:
        yield from _here(job, ledger)
        return
    with heard_ctrl_c() as heard:
        suspects: list[Entry[Item]] = []
        while ledger.is_open():
            yield from _pooled(job, ledger, params, heard, suspects)
        for suspect in suspects:
            suspect.deaths += 1
            ledger.back(suspect)
            while ledger.is_open():
                alone: list[Entry[Item]] = []
                yield from _pooled(job, ledger, LocalParams(), heard, alone)
                for entry in alone:
                    outcome = ledger.died(entry, DIED)
                    if outcome is not None:
                        yield entry.item, outcome


def _here(
    job: Callable[[Item], Outcome], ledger: Ledger[Item, Outcome]
) -> Iterator[tuple[Item, Outcome]]:
    """Run one after another in this process."""
    while ledger.is_open():
        entry = ledger.take()
        if entry is None:
            time.sleep(ledger.pause_s())
            continue
        outcome = job(entry.item)
        if ledger.ended(entry, outcome):
            yield entry.item, outcome


def _pooled(
    job: Callable[[Item], Outcome],
    ledger: Ledger[Item, Outcome],
    params: LocalParams,
    heard: list[int],
    fallen: list[Entry[Item]],
) -> Iterator[tuple[Item, Outcome]]:
    """Yield what ends until nothing is left or a process dies; `fallen` gets what ran then."""
    with _pool(params.n_procs) as pool:
        # one item a future, as many futures as workers: a dead pool takes only what ran
        running: dict[Future[Outcome], Entry[Item]] = {}
        broken = False
        while running or (ledger.is_open() and not broken):
            while not broken and len(running) < params.n_procs:
                entry = ledger.take(params.memory_mb or float("inf"))
                if entry is None:
                    break
                try:
                    running[pool.submit(job, entry.item)] = entry
                except BrokenProcessPool:
                    broken = True
                    ledger.back(entry)
            if not running:
                time.sleep(min(LISTEN_S, ledger.pause_s()))
            done, _ = wait(running, timeout=LISTEN_S, return_when=FIRST_COMPLETED)
            if heard:
                raise KeyboardInterrupt
            for future in done:
                entry = running.pop(future)
                try:
                    outcome = future.result()
                except BrokenProcessPool:
                    broken = True
                    ledger.running.discard(entry)
                    fallen.append(entry)
                    continue
                if ledger.ended(entry, outcome):
                    yield entry.item, outcome
