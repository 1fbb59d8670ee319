"""What an event remembers of its finding, so that a later run can find it again (`rerun`)."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from petechia.pipeline.review.events import Event
from petechia.pipeline.review.state import FindingState, ScanState, as_number


def anchor_of(
    item: FindingState,
    shape: Sequence[int] | None = None,
    others: Iterable[FindingState | None] = (),
) -> dict[str, Any]:
    """Return what a later run's finding is known by; for `Event.anchor`.

    `others` are the findings that a merge takes in.
    """
    moment = as_number(item.software.get("moment_ppm_mm3"))
    out: dict[str, Any] = {"x_mm": item.x_mm, "y_mm": item.y_mm, "z_mm": item.z_mm}
    out["class"] = item.software.get("class", item.class_)
    if moment is not None:
        out["moment"] = moment
    if shape is not None:
        out["shape"] = [int(n) for n in shape]
    taken = {o.key: [o.x_mm, o.y_mm, o.z_mm] for o in others if o is not None}
    return {**out, "with": taken} if taken else out


def anchored(event: Event, state: ScanState, shape: Sequence[int]) -> Event:
    """Return an event that remembers what it is about, for runs to come.

    Parameters
    ----------
    event : Event
    state : ScanState
        As it was before the event.
    shape : sequence of int
        Of the volumes.
    """
    found = state.finding(event.finding)
    if found is None:  # an addition remembers on which matrix it was drawn
        anchor: dict[str, Any] = {"shape": [int(n) for n in shape]}
    else:
        others = [state.finding(key) for key in event.payload.get("with", ())]
        anchor = anchor_of(found, shape, others)
    if state.basis.marks:  # everything remembers which scan it was about
        anchor["input"] = list(state.basis.marks)
    return replace(event, anchor=anchor)
