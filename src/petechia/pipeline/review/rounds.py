"""Which round of reading a scan stands by."""

from collections.abc import Callable, Iterable

from petechia.pipeline.review.state import ScanState


def standing_state(rounds: Iterable[int], state_in: Callable[[int], ScanState]) -> ScanState:
    """Return a scan as its newest finished round leaves it; while none is, as the newest does.

    A round that was only begun takes nothing from one that was finished.

    Parameters
    ----------
    rounds : iterable of int
        Those in which something was said of it; without any it is the first.
    state_in : callable
        Returns the scan as it stands in a round.
    """
    newest, *before = sorted(set(rounds), reverse=True) or [1]
    state = state_in(newest)
    if state.finished:
        return state
    earlier = (state_in(number) for number in before)
    return next((one for one in earlier if one.finished), state)
