"""Faults that pass, and how long we wait for them to."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from petechia.errors import TransferError

log = logging.getLogger(__name__)
T = TypeVar("T")


class Passing(Exception):  # noqa: N818  (no error of ours: it may go well the next time)
    """The server did not answer, broke off or was busy.

    Parameters
    ----------
    what : str
        What happened; no identifier in it.
    wait_s : float or None
        How long the server asks us to wait [s].
    """

    def __init__(self, what: str, wait_s: float | None = None) -> None:
        super().__init__(what)
        self.what, self.wait_s = what, wait_s


class Refused(Exception):  # noqa: N818
    """The server will not give or take this one object; others may go well."""


class CannotAsk(Exception):  # noqa: N818
    """The server answers no queries of this kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How often something is tried again, and after which waits.

    Attributes
    ----------
    retries : int
        Further tries after the first.
    first_wait_s, longest_wait_s : float
        Waits double from the first to the longest [s].
    sleep : callable
        Waits.
    """

    retries: int = 4
    first_wait_s: float = 1.0
    longest_wait_s: float = 30.0
    sleep: Callable[[float], None] = time.sleep

    def with_(self, act: Callable[[], T], where: str) -> T:
        """Return what `act` returns, tried again after passing faults.

        Raises
        ------
        TransferError
            It never went well.
        """
        wait_s = self.first_wait_s
        for left in range(self.retries, -1, -1):
            try:
                return act()
            except Passing as fault:
                if left == 0:
                    raise self._given_up(fault, where) from fault
                asked = fault.wait_s if fault.wait_s is not None else 0.0
                log.info("%s; trying again (%d tries left)", fault.what, left)
                self.sleep(min(max(wait_s, asked), self.longest_wait_s))
                wait_s = min(2 * wait_s, self.longest_wait_s)
        raise AssertionError  # the loop returns or raises

    def _given_up(self, fault: Passing, where: str) -> TransferError:
        tries = "once" if self.retries == 0 else f"{self.retries + 1} times"
        return TransferError(
            f"{fault.what} (tried {tries})",
            where=where,
            mend="Check that the server and the network are up; the same command goes on from "
            "what was finished.",
        )
