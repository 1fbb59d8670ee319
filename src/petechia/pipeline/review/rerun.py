"""Decisions after a new run: each finds its finding again by its place, or is kept apart.

A run with other settings, or another version, numbers and measures anew. What a reader decided
was about a place in the images, which every event tells in its anchor; its fingerprint tells
of which results it spoke, and marks of the input of which scan (`standing.marks_of`): what was
decided on another scan is kept apart whole. No decision is ever put on a finding it was not about.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from petechia.core.matching import one_to_one
from petechia.pipeline.review.events import Event, software_key

NEAR_MM = 3.0
"""A finding of a later run this near, or nearer than a voxel, is the same, one to one."""
Place = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """A decision whose finding is not in the present results.

    Attributes
    ----------
    finding : str
        Its key in the results it was about.
    fingerprint : str
        Of those results.
    place_mm : tuple of float, or None
        Where it was, scanner RAS [mm].
    reader, round
        Whose.
    events : tuple of int
        Ids of the events about it.
    kinds : tuple of str
        What they are.
    other_scan : bool
        True when it was made on results of another input, or of another person.
    """

    finding: str
    fingerprint: str
    place_mm: Place | None
    reader: str
    round: int
    events: tuple[int, ...]
    kinds: tuple[str, ...]
    other_scan: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """Events as they are about the present results, and those that are about none of it."""

    events: tuple[Event, ...]
    orphans: tuple[Orphan, ...] = ()


def carry(
    events: Iterable[Event],
    rows: Sequence[Mapping[str, str]],
    fingerprint: str,
    *,
    near_mm: float = NEAR_MM,
    shape: Sequence[int] | None = None,
    marks: Sequence[str] = (),
) -> Carried:
    """Return events with the keys of the present results.

    Findings of the software are matched one to one by the places that events remember, most
    pairs first, then least total distance, within `near_mm`. What readers added stays where
    it is. Outlines drawn on another matrix are left out, and so is all that was decided on
    another input, the end of the reading and its forms too.

    Parameters
    ----------
    events : iterable of Event
    rows : sequence of mapping
        The present table of the software.
    fingerprint : str
        Of the present summary.
    near_mm : float
        Greatest distance [mm].
    shape : sequence of int, optional
        Of the present volumes.
    marks : sequence of str, optional
        Of the present input.
    """
    given = list(events)
    apart = {e.uuid for e in given if of_another_scan(e, marks)}
    old = [e for e in given if e.fingerprint not in ("", fingerprint) and e.uuid not in apart]
    if not old and not apart:
        return Carried(events=tuple(given))
    renamed = {
        then: _renamed([e for e in old if e.fingerprint == then], rows, near_mm)
        for then in {e.fingerprint for e in old}
    }
    kept: list[Event] = []
    lost: dict[tuple[str, str, str, int], list[Event]] = {}
    for event in given:
        now: Event | None = event
        if event.uuid in apart:
            now = None
        elif event.fingerprint in renamed:
            now = _carried(event, renamed[event.fingerprint], fingerprint, shape)
        if now is None:
            key = (event.fingerprint, root(event.finding), event.reader, event.round)
            lost.setdefault(key, []).append(event)
        else:
            kept.append(now)
    orphans = tuple(_orphan(key, some, marks) for key, some in lost.items())
    return Carried(events=tuple(kept), orphans=orphans)


def of_another_scan(event: Event, marks: Sequence[str]) -> bool:
    """Return whether an event was made on an input that has nothing in common with this one.

    Never of one that does not tell its input, as in logs of before.
    """
    told = event.anchor.get("input")
    return bool(told and marks) and set(told or ()).isdisjoint(marks)


def root(key: str) -> str:
    """Return the finding that parts of a split came from."""
    return key.partition(".")[0]


def _renamed(
    events: Sequence[Event], rows: Sequence[Mapping[str, str]], near_mm: float
) -> dict[str, str]:
    """Return the present key by the old one, of findings that were found again."""
    then: dict[str, Place] = {}
    for event in events:
        for key, place in _anchors(event).items():
            then.setdefault(key, place)  # the first time seen: as the software placed it
    if not then or not rows:
        return {}
    now = np.array([[float(row[f"{axis}_mm"]) for axis in "xyz"] for row in rows])
    keys = list(then)
    pairs = one_to_one(now, np.array([then[key] for key in keys]), near_mm).pairs
    return {keys[int(p)]: software_key(rows[int(t)]["index"]) for t, p in pairs}


def _anchors(event: Event) -> dict[str, Place]:
    """Return the places of the software's findings that an event tells."""
    out: dict[str, Place] = {}
    at = event.anchor
    if event.finding.startswith("s") and "." not in event.finding and "x_mm" in at:
        out[event.finding] = (at["x_mm"], at["y_mm"], at["z_mm"])
    for key, place in at.get("with", {}).items():
        if key.startswith("s") and "." not in key:
            out[key] = (place[0], place[1], place[2])
    return out


def _carried(
    event: Event, renamed: Mapping[str, str], fingerprint: str, shape: Sequence[int] | None
) -> Event | None:
    """Return an old event with present keys; None when its finding is not there any more."""
    keys = [event.finding, *event.payload.get("with", ())]
    names = [_key(key, renamed) for key in keys]
    if None in names:
        return None
    payload: dict[str, Any] = dict(event.payload)
    if "with" in payload:
        payload["with"] = names[1:]
    drawn = event.anchor.get("shape")
    if shape is not None and drawn is not None and list(drawn) != list(shape):
        if event.kind in ("outline", "split"):
            return None
        payload.pop("runs", None)
    return replace(event, finding=names[0] or "", payload=payload, fingerprint=fingerprint)


def _key(key: str, renamed: Mapping[str, str]) -> str | None:
    if not key.startswith("s"):
        return key
    start, dot, rest = key.partition(".")
    found = renamed.get(start)
    return None if found is None else found + dot + rest


def _orphan(
    key: tuple[str, str, str, int], events: Sequence[Event], marks: Sequence[str]
) -> Orphan:
    fingerprint, finding, reader, round = key
    places = [_anchors(event).get(finding) for event in events]
    return Orphan(
        finding=finding,
        fingerprint=fingerprint,
        place_mm=next((place for place in places if place is not None), None),
        reader=reader,
        round=round,
        events=tuple(event.id for event in events),
        kinds=tuple(event.kind for event in events),
        other_scan=any(of_another_scan(event, marks) for event in events),
    )
