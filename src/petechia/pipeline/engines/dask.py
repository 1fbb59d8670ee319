"""Workers of a Dask cluster, one scan each.

Every item is sent to a worker of our own choice instead of one of the scheduler's, for three
reasons: no worker runs two scans at once, a dead worker tells which item it died with, and
an item that failed for a fault of its node is tried on another.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from petechia.errors import ParameterError, TransferError
from petechia.pipeline.engines.cluster import (
    ClusterParams,
    local_cluster,
    require_distributed,
    slurm_cluster,
)
from petechia.pipeline.engines.ctrl_c import LISTEN_S, heard_ctrl_c
from petechia.pipeline.engines.ledger import Care, Entry, Ledger

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
CONNECT_S = 10.0
"""How long one attempt to reach the scheduler may take [s]."""
LOOK_S = 1.0
"""How often the scheduler is asked which workers there are [s]."""
FETCH_S = 60.0
"""How long an answer may take from its worker to here [s]."""
STRIKES = 3
"""A worker with so many faults of its own in a row gets no more, while there are others."""
DIED = "its Dask worker was lost, and so was the next one it was given to"


@dataclass(frozen=True, slots=True, kw_only=True)
class DaskParams:
    """Settings of `dask`.

    Attributes
    ----------
    scheduler : str
        Address of a scheduler, as 'tcp://head:8786'; empty starts workers of its own.
    n_procs : int
        Workers to start on this computer when there is neither scheduler nor cluster.
    cluster : ClusterParams or None
        Jobs to ask SLURM for.
    patience_s : float
        How long to wait for a scheduler that is gone, and for the first worker of one that
        is there [s].
    first_patience_s : float
        How long to wait for a scheduler that has not answered yet [s]: its address may be wrong.
    """

    scheduler: str = ""
    n_procs: int = 1
    cluster: ClusterParams | None = None
    patience_s: float = 600.0
    first_patience_s: float = 30.0

    def __post_init__(self) -> None:
        if self.n_procs < 1:
            raise ParameterError(
                f"{self.n_procs} workers", where="--n-procs", mend="Give 1 or more."
            )
        if self.scheduler and self.cluster is not None:
            raise ParameterError(
                f"{self.scheduler} and a table [cluster]",
                where="--scheduler",
                mend="Leave one of them out.",
            )


class _SchedulerGoneError(Exception):
    """The connection to the scheduler broke."""


def dask(
    job: Callable[[Item], Outcome],
    items: Sequence[Item],
    params: DaskParams,
    *,
    care: Care[Item, Outcome],
) -> Iterator[tuple[Item, Outcome]]:
    """Yield every item with its outcome, in the order they finish.

    Parameters
    ----------
    job : callable
        Runs one item; its module must be installed where the workers are.
    items : sequence
        What to run.
    params : DaskParams
        Which cluster.
    care : Care
        How faults are met. When the scheduler is lost, what has ended stays ended; the rest
        is sent again to the one that answers at the same address within `patience_s`.

    Raises
    ------
    DependencyError
        The extra `cluster` is not installed.
    TransferError
        No scheduler within `first_patience_s`; later none, or no worker, within `patience_s`; or
        SLURM refused every job.
    """
    ledger = Ledger(items, care)
    with ExitStack() as stack:
        heard = stack.enter_context(heard_ctrl_c())
        address, refusal = stack.enter_context(_started(params))
        patience = min(params.first_patience_s, params.patience_s)
        while ledger.is_open():
            with _client(address, patience, heard) as client:
                patience = params.patience_s
                carrier = _Carrier(client, job, ledger, params, refusal)
                try:
                    yield from carrier.carry(heard)
                except _SchedulerGoneError:
                    for entry in list(ledger.running):
                        ledger.back(entry)


@contextmanager
def _started(params: DaskParams) -> Iterator[tuple[str, Callable[[], str]]]:
    """Yield a scheduler's address; what was started for it ends with the block.

    And a function that returns why no worker will ever come; "" while one may.
    """
    require_distributed()
    if params.scheduler:
        yield params.scheduler, str
    elif params.cluster is not None:
        with slurm_cluster(params.cluster) as (address, refusal):
            yield address, refusal
    else:
        with local_cluster(params.n_procs) as address:
            yield address, str


@contextmanager
def _client(address: str, patience_s: float, heard: list[int]) -> Iterator[Any]:
    """Yield a client of the scheduler, waiting for it for as long as patience lasts."""
    distributed = require_distributed()
    until, pause = time.monotonic() + patience_s, 0.5
    while True:
        try:
            client = distributed.Client(
                address, timeout=CONNECT_S, set_as_default=False, name="petechia"
            )
            break
        except (OSError, ValueError) as error:
            if isinstance(error, ValueError) or time.monotonic() > until:
                raise TransferError(
                    f"no Dask scheduler answers ({error})",
                    where=f"--scheduler {address}",
                    mend="Check the address and start it (`dask scheduler`); then run again: "
                    "what was finished is kept.",
                ) from error
        if heard:
            raise KeyboardInterrupt
        time.sleep(pause)
        pause = min(2 * pause, 15.0)
    try:
        yield client
    finally:
        with suppress(Exception):  # a broken connection cannot be closed in good order
            client.close(timeout=2)


def _suits(entry: Entry[Any], worker: str, there: set[str]) -> bool:
    """Return whether an item may go to a worker: not to one it failed at, if there is another."""
    return worker not in entry.avoid or entry.avoid >= there


class _Carrier:
    """Sends items to idle workers and brings back what became of them."""

    def __init__(
        self,
        client: Any,
        job: Callable[[Any], Any],
        ledger: Ledger[Any, Any],
        params: DaskParams,
        refusal: Callable[[], str],
    ) -> None:
        self.client, self.job, self.ledger, self.params = client, job, ledger, params
        self.refusal = refusal
        self.running: dict[str, tuple[Any, Entry[Any]]] = {}
        self.workers: tuple[str, ...] = ()
        self.strikes: Counter[str] = Counter()
        self.looked_s = self.seen_s = -float("inf")

    def carry(self, heard: list[int]) -> Iterator[tuple[Any, Any]]:
        """Yield items with final outcomes until all have one."""
        self.seen_s = time.monotonic()
        try:
            while self.ledger.is_open():
                if heard:
                    raise KeyboardInterrupt
                self._look()
                yield from self._collect()
                if not self._send():
                    time.sleep(0.05 if self.running else LISTEN_S)
        finally:
            futures = [future for future, _ in self.running.values()]
            if futures:
                with suppress(Exception):
                    self.client.cancel(futures)

    def _look(self) -> None:
        """Learn which workers there are."""
        if self.client.status != "running":
            raise _SchedulerGoneError
        now = time.monotonic()
        if now - self.looked_s < LOOK_S:
            return
        self.looked_s = now
        try:
            self.workers = tuple(sorted(self.client.nthreads()))
        except (OSError, TimeoutError, RuntimeError) as error:
            raise _SchedulerGoneError from error
        if self.workers or self.running:
            self.seen_s = now
        elif said := self.refusal():
            raise TransferError(
                f"SLURM takes no job ({said})",
                where="[cluster]",
                mend="Correct that table of the settings file, and run again: what was finished is "
                "kept.",
            )
        elif self.params.cluster is None and now - self.seen_s > self.params.patience_s:
            raise TransferError(
                f"no worker for {self.params.patience_s:.0f} s",
                where=f"--scheduler {self.params.scheduler}",
                mend="Start workers (`dask worker ADDRESS --nthreads 1`), and run again.",
            )

    def _collect(self) -> Iterator[tuple[Any, Any]]:
        """Yield what has ended; what its worker took along waits again or is set aside."""
        for worker, (future, entry) in list(self.running.items()):
            status = future.status
            if status == "pending" and worker in self.workers:
                continue
            del self.running[worker]
            if status in ("cancelled", "lost"):
                raise _SchedulerGoneError
            if status == "finished":
                try:
                    outcome = future.result(timeout=FETCH_S)
                except TimeoutError:  # its worker died with the answer; the files may be whole
                    self.client.cancel([future])
                    outcome = self.ledger.died(entry, DIED)
                    if outcome is not None:
                        yield entry.item, outcome
                    continue
                if self.ledger.ended(entry, outcome, self._place(worker)):
                    yield entry.item, outcome
                self._strike(worker, entry)
                continue
            why = DIED
            if status == "error":
                why = self._said(future)
            else:
                self.client.cancel([future])
            outcome = self.ledger.died(entry, why)
            if outcome is not None:
                yield entry.item, outcome

    def _said(self, future: Any) -> str:
        """Return why a future holds no outcome: the job itself never raises."""
        error = future.exception()
        return f"the Dask worker could not run it ({type(error).__name__}: {error})"

    def _place(self, worker: str) -> str:
        """Return the place of a worker for the ledger: "" where there is no other computer."""
        elsewhere = self.params.scheduler or self.params.cluster is not None
        return worker if elsewhere else ""

    def _strike(self, worker: str, entry: Entry[Any]) -> None:
        self.strikes[worker] = self.strikes[worker] + 1 if worker in entry.avoid else 0

    def _send(self) -> bool:
        """Send one item to every idle worker; whether any was sent."""
        sent = False
        there = set(self.workers)
        for worker in self._idle():
            entry = self.ledger.take(fits=partial(_suits, worker=worker, there=there))
            if entry is None:
                continue
            try:
                future = self.client.submit(self.job, entry.item, workers=[worker], pure=False)
            except Exception as error:
                raise _SchedulerGoneError from error
            self.running[worker] = (future, entry)
            sent = True
        return sent

    def _idle(self) -> list[str]:
        idle = [worker for worker in self.workers if worker not in self.running]
        good = [worker for worker in self.workers if self.strikes[worker] < STRIKES]
        return [worker for worker in idle if worker in good] if good else idle
