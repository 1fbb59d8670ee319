"""What all engines share: who waits, who is tried again, who is set aside."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
Again = Literal["no", "later", "elsewhere"]
"""What may help after a fault: nothing by itself, time, or another computer."""


def _no(outcome: object) -> Again:
    return "no"


def _nothing(item: object) -> float:
    return 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Care(Generic[Item, Outcome]):
    """How an engine meets faults.

    Attributes
    ----------
    lost : callable
        Makes the outcome of an item that no worker brought to its end: `lost(item, why)`.
    again : callable
        Says of an outcome whether it is worth another try, and where.
    need_mb : callable
        Memory that an item takes [MB]; 0 when not known.
    tries : int
        How often an item is tried in all.
    pause_s : float
        Wait before the second try; each further one waits twice as long [s].
    deaths : int
        An item whose worker died so often is set aside.
    """

    lost: Callable[[Item, str], Outcome]
    again: Callable[[Outcome], Again] = _no
    need_mb: Callable[[Item], float] = _nothing
    tries: int = 3
    pause_s: float = 5.0
    deaths: int = 2


@dataclass(slots=True, eq=False)
class Entry(Generic[Item]):
    """One item in the ledger.

    Attributes
    ----------
    item : object
        What is run.
    tries, deaths : int
        Ends that were no success, and workers that died with it.
    due_s : float
        Not before this time.
    avoid : set of str
        Workers at which it failed for a fault of theirs.
    need_mb : float
        Memory it takes.
    """

    item: Item
    tries: int = 0
    deaths: int = 0
    due_s: float = 0.0
    avoid: set[str] = field(default_factory=set)
    need_mb: float = 0.0


class Ledger(Generic[Item, Outcome]):
    """Every item waits, runs, or has ended; none ends twice.

    Parameters
    ----------
    items : iterable
        What to run, in this order.
    care : Care
        How faults are met.
    clock : callable
        Seconds that only grow.
    """

    def __init__(
        self,
        items: Iterable[Item],
        care: Care[Item, Outcome],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.care, self.clock = care, clock
        self.waiting = [Entry(item) for item in items]
        self.running: set[Entry[Item]] = set()

    def is_open(self) -> bool:
        """Whether anything is left to do."""
        return bool(self.waiting or self.running)

    def take(
        self, room_mb: float = float("inf"), fits: Callable[[Entry[Item]], bool] = lambda _: True
    ) -> Entry[Item] | None:
        """Return the first that is due, fits, and finds room beside what runs; it runs now.

        What needs more than all the room runs alone.
        """
        now, taken = self.clock(), sum(entry.need_mb for entry in self.running)
        for entry in self.waiting:
            if entry.due_s > now or not fits(entry):
                continue
            if room_mb != float("inf"):
                entry.need_mb = entry.need_mb or self.care.need_mb(entry.item)
                if self.running and taken + entry.need_mb > room_mb:
                    return None  # its turn comes: smaller ones behind it don't overtake for ever
            self.waiting.remove(entry)
            self.running.add(entry)
            return entry
        return None

    def pause_s(self) -> float:
        """Return how long nothing can be due [s]."""
        due = min((entry.due_s for entry in self.waiting), default=0.0)
        return max(0.0, due - self.clock())

    def ended(self, entry: Entry[Item], outcome: Outcome, worker: str = "") -> bool:
        """Note an outcome; True when it is final, False when the item waits for another try.

        `worker` is where it ran; "" where there is no other place.
        """
        self.running.discard(entry)
        again = self.care.again(outcome)
        if again == "elsewhere":
            again = again if worker else "no"
            entry.avoid.add(worker)
        entry.tries += 1
        if again == "no" or entry.tries >= self.care.tries:
            return True
        self._wait(entry, self.care.pause_s * 2 ** (entry.tries - 1))
        return False

    def died(self, entry: Entry[Item], why: str) -> Outcome | None:
        """Note that a worker died with an item; return its outcome when it is set aside."""
        self.running.discard(entry)
        entry.deaths += 1
        if entry.deaths >= self.care.deaths:
            return self.care.lost(entry.item, why)
        self._wait(entry, 0.0)
        return None

    def back(self, entry: Entry[Item]) -> None:
        """Put an item first in line again: what happened was no fault of its own."""
        self.running.discard(entry)
        self.waiting.insert(0, entry)

    def _wait(self, entry: Entry[Item], seconds: float) -> None:
        entry.due_s = self.clock() + seconds
        self.waiting.append(entry)
