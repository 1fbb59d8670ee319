"""The software's findings and a reader's events, added up.

Pure: the same findings and events give the same state, whatever else the log holds.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from petechia.anatomy.sites import COMPARTMENT_OF
from petechia.errors import ParameterError
from petechia.lesions.criteria import LARGEST_MM
from petechia.pipeline.review.events import Event, Runs, software_key, split_too_often
from petechia.pipeline.review.rerun import Orphan, carry
from petechia.pipeline.review.state import (
    ASKED_FROM,
    Basis,
    Decision,
    FindingState,
    Note,
    Outline,
    Override,
    ScanState,
    Siderosis,
    as_number,
)

PLACE = ("site", "side", "compartment")


def fold(basis: Basis, events: Iterable[Event], *, reader: str, round: int = 1) -> ScanState:
    """Return the scan as it stands for one reader in one round.

    Events of others are passed over, and so is what was taken back by an `undo`, what comes
    twice, and what is about a finding that is not there. Events about an earlier run find their
    findings again by place (`rerun.carry`); those that find none are `orphans`.

    Parameters
    ----------
    basis : Basis
        What the software said.
    events : iterable of Event
        Of this scan; a log's order is their ids.
    """
    mine, orphans = present(basis, own_events(events, basis.scan, reader, round))
    undone = taken_back(mine)
    desk = _Desk(basis)
    for event in mine:
        if event.kind != "undo" and event.id not in undone:
            desk.take(event)
    return replace(desk.state(mine, reader, round), orphans=orphans)


def present(basis: Basis, events: Sequence[Event]) -> tuple[list[Event], tuple[Orphan, ...]]:
    """Return events as they are about the present results, and those that are about none."""
    carried = carry(
        events,
        basis.rows,
        basis.fingerprint,
        near_mm=basis.near_mm,
        shape=basis.shape,
        marks=basis.marks,
    )
    return list(carried.events), carried.orphans


def own_events(events: Iterable[Event], scan: str, reader: str, round: int) -> list[Event]:
    """Return a reader's events on a scan in a round, each once, in their order."""
    once: dict[str, Event] = {}
    for event in events:
        if (event.scan, event.reader, event.round) == (scan, reader, round):
            once.setdefault(event.uuid, event)
    return sorted(once.values(), key=lambda event: event.id)


def taken_back(events: Sequence[Event]) -> set[int]:
    """Return the ids that an `undo` among the events takes back; never an undo's own."""
    decisions = {event.id for event in events if event.kind != "undo" and event.id}
    undos = [event for event in events if event.kind == "undo"]
    return {
        undo.payload["event"]
        for undo in undos
        if undo.payload["event"] in decisions and undo.payload["event"] < undo.id
    }


def base_findings(basis: Basis) -> list[FindingState]:
    """Return the software's findings in the order of attention."""
    return sorted((_of_software(row) for row in basis.rows), key=_attention)


def _of_software(row: Mapping[str, str]) -> FindingState:
    counted, probability = row["counted"] == "1", as_number(row["probability"])
    index = int(row["index"])
    return FindingState(
        key=software_key(index),
        index=index,
        origin="software",
        asked=counted or (probability is not None and probability >= ASKED_FROM),
        software=row,
        class_=row["class"],
        counted=counted,
        mars=row["mars"],
        site=row["site"],
        side=row["side"],
        compartment=row["compartment"],
        x_mm=as_number(row["x_mm"]) or 0.0,
        y_mm=as_number(row["y_mm"]) or 0.0,
        z_mm=as_number(row["z_mm"]) or 0.0,
        volume_mm3=as_number(row["volume_mm3"]),
        diameter_mm=as_number(row["diameter_mm"]),
        outline=Outline(labels=(index,)),
    )


def _attention(item: FindingState) -> tuple[int, float, int]:
    p = item.probability or 0.0
    order = 0 if item.counted else 1 if item.asked else 2
    return order, abs(p - 0.5) if item.counted else -p, item.index or 0


class _Desk:
    """The findings while events are taken, one after the other."""

    def __init__(self, basis: Basis) -> None:
        self.basis = basis
        self.items = {item.key: item for item in base_findings(basis)}
        self.gone: list[str] = []
        self.overrides: dict[tuple[str, str], Override] = {}
        self.siderosis: Siderosis | None = None
        self.notes: list[Note] = []
        self.finished = False
        self.ignored: list[int] = []

    def take(self, event: Event) -> None:
        """Take one event; one that finds nothing to change is noted as ignored."""
        here = not event.finding or event.finding in self.items
        if event.kind == "add":
            here = event.finding not in self.items and event.finding not in self.gone
        if here and event.kind != "adjudicate":
            here = getattr(self, f"_{event.kind}")(event)
        if not here:
            self.ignored.append(event.id)

    def _change(self, event: Event, **values: Any) -> bool:
        self.items[event.finding] = replace(self.items[event.finding], **values)
        return True

    def _decide(self, event: Event) -> bool:
        return self._change(event, decision=decision_of(event))

    def _site(self, event: Event) -> bool:
        return self._change(event, **_placed(event.payload))

    def _outline(self, event: Event) -> bool:
        drawn = Outline(runs=_runs(event.payload["runs"]))
        return self._change(event, **self._measured(self.items[event.finding], drawn))

    def _measured(self, item: FindingState, outline: Outline) -> dict[str, Any]:
        """Return what changes of a finding with its outline; a reader's word on its site stays."""
        if item.index is not None and outline == Outline(labels=(item.index,)):
            own = _of_software(item.software)
            names = ("x_mm", "y_mm", "z_mm", "volume_mm3", "diameter_mm", "outline", *PLACE)
            told = {name: getattr(own, name) for name in names} | {"outline_changed": False}
        else:
            found = self.basis.measure(outline) if self.basis.measure and outline else None
            told = dict(found or {"volume_mm3": None, "diameter_mm": None})
            told |= {"outline": outline, "outline_changed": True}
        return {k: v for k, v in told.items() if not (k in PLACE and item.place_changed)}

    def _add(self, event: Event) -> bool:
        told = event.payload
        item = FindingState(
            key=event.finding,
            index=None,
            origin="reader",
            decision=decision_of(event),
            x_mm=told["x_mm"],
            y_mm=told["y_mm"],
            z_mm=told["z_mm"],
            **(_placed(told) if "site" in told else {}),
        )
        outline = Outline(runs=_runs(told.get("runs", ())))
        self.items[event.finding] = replace(item, **self._measured(item, outline))
        return True

    def _split(self, event: Event) -> bool:
        parent = self.items[event.finding]
        keys = [f"{event.finding}.{n}" for n in (1, 2)]
        known = any(key in self.items or key in self.gone for key in keys)
        if known or split_too_often(event.finding):
            return False
        payload = event.payload
        parts = payload.get("parts", ((), ()))
        places = payload.get("at_mm", ((parent.x_mm, parent.y_mm, parent.z_mm),) * 2)
        children = {}
        for key, runs, place in zip(keys, parts, places, strict=True):
            child = replace(
                parent,
                key=key,
                index=None,
                origin="split",
                parents=(*parent.parents, event.finding),
                asked=True,
                decision=None,
                notes=(),
                **dict(zip(("x_mm", "y_mm", "z_mm"), place, strict=True)),
            )
            children[key] = replace(child, **self._measured(child, Outline(runs=_runs(runs))))
        self._replace(event.finding, children)
        return True

    def _merge(self, event: Event) -> bool:
        others = [key for key in event.payload["with"] if key in self.items]
        if len(others) < len(event.payload["with"]):
            return False
        first = self.items[event.finding]
        whole, notes, merged = first.outline, first.notes, first.merged
        for key in others:
            taken = self.items[key]
            whole |= taken.outline
            notes += taken.notes
            merged += (taken.software if taken.origin == "software" else {}, *taken.merged)
        asked = first.asked or any(self.items[key].asked for key in others)
        parents = (*first.parents, *others)
        changes = self._measured(first, whole)
        self._change(event, asked=asked, parents=parents, notes=notes, merged=merged, **changes)
        for key in others:
            self._replace(key, {})
        return True

    def _remove(self, event: Event) -> bool:
        self._replace(event.finding, {})
        return True

    def _replace(self, key: str, children: Mapping[str, FindingState]) -> None:
        items: dict[str, FindingState] = {}
        for name, item in self.items.items():
            items |= children if name == key else {name: item}
        self.items = items
        self.gone.append(key)

    def _note(self, event: Event) -> bool:
        note = Note(text=event.payload["text"], finding=event.finding, **_by(event))
        if event.finding:
            return self._change(event, notes=(*self.items[event.finding].notes, note))
        self.notes.append(note)
        return True

    def _form(self, event: Event) -> bool:
        told = dict(event.payload)
        cell_of = (told["form"], told["row"])
        self.overrides.pop(cell_of, None)
        if told["value"] is not None:
            self.overrides[cell_of] = Override(**told, **_by(event))
        return True

    def _siderosis(self, event: Event) -> bool:
        self.siderosis = Siderosis(**{"note": "", **event.payload}, **_by(event))
        return True

    def _finish(self, event: Event) -> bool:
        self.finished = True
        return True

    def _reopen(self, event: Event) -> bool:
        self.finished = False
        return True

    def state(self, events: Sequence[Event], reader: str, round: int) -> ScanState:
        """Return the state, with what each finding stands as."""
        seconds: dict[str, float] = {}
        last: dict[str, int] = {}
        for event in events:
            seconds[event.finding] = seconds.get(event.finding, 0.0) + event.seconds
            for key in (event.finding, *event.payload.get("with", ())):
                last[key.partition(".")[0]] = event.id
        findings = tuple(
            replace(
                standing(item),
                seconds=round_s(seconds.get(key, 0.0)),
                last_event=last.get(key.partition(".")[0], 0),
            )
            for key, item in self.items.items()
        )
        return ScanState(
            scan=self.basis.scan,
            reader=reader,
            round=round,
            fingerprint=self.basis.fingerprint,
            findings=findings,
            gone=tuple(self.gone),
            overrides=self.overrides,
            siderosis=self.siderosis,
            notes=tuple(self.notes),
            finished=self.finished,
            last_event=max((event.id for event in events), default=0),
            seconds=round_s(sum(seconds.values())),
            ignored=tuple(self.ignored),
            readers=(reader,) if events else (),
            basis=self.basis,
        )


def decision_of(event: Event) -> Decision | None:
    """Return the decision of a `decide`, `adjudicate` or `add`; None for "clear"."""
    told = event.payload
    usual = "accept" if told.get("class") == "microbleed" else "reject"
    verdict = told.get("verdict", usual)
    if verdict == "clear":
        return None
    return Decision(
        verdict=verdict,
        class_=told["class"],
        mars=told.get("mars", ""),
        reason=told.get("reason", ""),
        round=event.round,
        adjudicated=event.kind == "adjudicate",
        **_by(event),
    )


def standing(item: FindingState) -> FindingState:
    """Return a finding with class, counted and grade as its decision makes them.

    A microbleed is at most 10 mm across, whoever says so: wider, it stands as a macrobleed.
    """
    decision = item.decision
    own = item.software
    if decision is None:
        class_, counted, mars = "undetermined", False, "n/a"
        if own:
            class_, counted, mars = own["class"], own["counted"] == "1", own["mars"]
        accepted = class_ == "microbleed"
    else:
        accepted = decision.verdict == "accept"
        class_, counted, mars = decision.class_, accepted, "n/a"
        if accepted:
            mars = decision.mars or (own.get("mars", "n/a") if own else "n/a")
            mars = mars if mars != "n/a" else "possible"
    wide = item.diameter_mm is not None and round(item.diameter_mm, 1) > LARGEST_MM
    if accepted and wide:
        class_, counted, mars = "macrobleed", False, "n/a"
    return replace(item, class_=class_, counted=counted, mars=mars, too_wide=accepted and wide)


def require(state: ScanState, event: Event) -> None:
    """Raise `ParameterError` when an event finds nothing to change in its reader's state.

    The log itself takes such events (a rerun may bring their finding back); a desk should
    not send them.
    """
    keys = {item.key for item in state.findings}
    if event.kind == "add":
        if event.finding in keys or event.finding in state.gone:
            raise _no_such(event.finding, "is there already", "Make a new uuid.")
        return
    if event.kind in ("undo", "adjudicate"):
        return
    for key in (event.finding, *event.payload.get("with", ())):
        if key and key not in keys:
            gone = "was split, merged or removed" if key in state.gone else "is not there"
            raise _no_such(key, gone, "Look at the list of findings as it is now.")
    if event.kind == "split" and split_too_often(event.finding):
        raise _no_such(event.finding, "was split too often", "Correct its outline instead.")


def _no_such(key: str, what: str, mend: str) -> ParameterError:
    return ParameterError(f"{key} {what}", where="finding", mend=mend)


def _by(event: Event) -> dict[str, Any]:
    return {"reader": event.reader, "event": event.id, "at": event.at}


def _placed(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return site, side and the compartment that follows."""
    site = told["site"]
    return {
        "site": site,
        "side": told.get("side", "n/a"),
        "compartment": COMPARTMENT_OF.get(site, "n/a"),
        "place_changed": True,
    }


def _runs(value: Iterable[Sequence[int]]) -> Runs:
    return tuple((run[0], run[1]) for run in value)


def round_s(seconds: float) -> float:
    """Return seconds as they are told: tenths."""
    return round(seconds, 1)
