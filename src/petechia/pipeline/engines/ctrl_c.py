"""Ctrl-C that is heard at a place of one's choice."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

LISTEN_S = 0.2
"""How often Ctrl-C is looked for while workers work [s]."""


@contextmanager
def heard_ctrl_c() -> Iterator[list[int]]:
    """Yield a list that Ctrl-C adds to, instead of interrupting wherever the code happens to be.

    An interrupt inside `concurrent.futures` can leave one of its locks held, and the end of
    the pool then waits for ever. A polite kill is a Ctrl-C where the command line made it one.
    """
    heard: list[int] = []
    taken = [
        number
        for number in (signal.SIGINT, signal.SIGTERM)
        if signal.getsignal(number) is signal.default_int_handler
    ]
    if not taken or threading.current_thread() is not threading.main_thread():
        yield heard
        return
    for number in taken:
        signal.signal(number, lambda number, _: heard.append(number))
    try:
        yield heard
    finally:
        for number in taken:
            signal.signal(number, signal.default_int_handler)


@contextmanager
def kept_ctrl_c() -> Iterator[None]:
    """Give Ctrl-C back its meaning after the block: dask-jobqueue takes it when it is imported."""
    ours = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if ours is not None and signal.getsignal(signal.SIGINT) is not ours:
            signal.signal(signal.SIGINT, ours)


def leave_ctrl_c() -> None:
    """Leave Ctrl-C to the parent: it ends its workers itself, and says so once."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def dask_setup(worker: object) -> None:
    """Do the same in a worker that Dask starts here: it calls what is named so at the start."""
    leave_ctrl_c()
