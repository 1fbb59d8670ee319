"""What was worked out, kept while it is used: bounded, safe for threads."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


def one(_: object) -> int:
    """Return 1: every value weighs the same."""
    return 1


class Kept(Generic[Value]):
    """Values by key; what was used longest ago goes first when there is too much.

    Parameters
    ----------
    most : int
        Sum of the weights that is kept.
    weight : callable
        Weight of a value.
    """

    def __init__(self, most: int, weight: Callable[[Value], int] = one) -> None:
        self.most, self.weight = most, weight
        self._guard = threading.Lock()
        self._held: OrderedDict[Hashable, Value] = OrderedDict()
        self._sum = 0

    def get(self, key: Hashable) -> Value | None:
        """Return a value, or None when it is not held."""
        with self._guard:
            if key in self._held:
                self._held.move_to_end(key)
            return self._held.get(key)

    def put(self, key: Hashable, value: Value) -> Value:
        """Hold a value and return it."""
        with self._guard:
            if key in self._held:
                self._sum -= self.weight(self._held.pop(key))
            self._held[key] = value
            self._sum += self.weight(value)
            while self._sum > self.most and self._held:
                _, gone = self._held.popitem(last=False)
                self._sum -= self.weight(gone)
        return value

    def __len__(self) -> int:
        """Return how many values are held."""
        with self._guard:
            return len(self._held)
