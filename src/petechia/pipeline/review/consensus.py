"""What several readers say together: votes, majorities, and what stays a disagreement.

Findings of the software are the same for all readers. What readers added or cut is theirs:
those of two readers are one finding when they meet one to one within 5 mm, or a slice, as
agreement and evaluation have it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from petechia.core.matching import one_to_one
from petechia.pipeline.review.events import Event
from petechia.pipeline.review.fold import (
    base_findings,
    decision_of,
    fold,
    own_events,
    present,
    round_s,
    standing,
    taken_back,
)
from petechia.pipeline.review.state import (
    Basis,
    Decision,
    FindingState,
    Note,
    Override,
    ScanState,
    Siderosis,
)

Versions = dict[str, FindingState]
"""One finding as each reader left it."""


def consensus(
    basis: Basis,
    events: Iterable[Event],
    *,
    round: int = 1,
    near_mm: float | None = None,
    only: Sequence[str] | None = None,
) -> ScanState:
    """Return the scan as its readers leave it together in one round.

    An adjudication goes before all votes. Else the majority of those who voted wins; in a tie
    the software's word stands and the finding is a disagreement. A reader who has finished the
    scan also votes by silence: on what another one added or cut (not seen), and on unlikely
    findings (as the software says), but never on what was asked and left undecided.

    Parameters
    ----------
    basis : Basis
    events : iterable of Event
        Of any readers and rounds.
    round : int
        Rounds are read apart.
    near_mm : float
        Additions of two readers at most so far apart are one; `Basis.hit_mm` by default.
    only : sequence of str, optional
        Readers that vote; adjudications of others hold all the same.

    Returns
    -------
    ScanState
        `reader` is "", `votes` and `disagreement` of each finding are filled.
    """
    near = basis.hit_mm if near_mm is None else near_mm
    same = [event for event in events if event.scan == basis.scan and event.round == round]
    events, orphans = present(basis, same)
    names = sorted({event.reader for event in events} if only is None else set(only))
    judged = _adjudications(events, basis.scan, round)
    settlers = {event.reader for event in events if event.kind == "adjudicate"}
    states = {name: fold(basis, events, reader=name, round=round) for name in names}
    voting = {n: s for n, s in states.items() if n not in settlers or _has_own_word(s)}
    pooled = _pool(basis, voting, near)
    findings = [_together(basis, versions, voting, judged) for versions in pooled]
    siderosis, unsettled = _siderosis(voting)
    used = [s for s in states.values() if s.readers]
    return ScanState(
        scan=basis.scan,
        reader="",
        round=round,
        fingerprint=basis.fingerprint,
        findings=tuple(findings),
        gone=tuple(sorted(_gone(voting, findings))),
        overrides=_overrides(voting),
        siderosis=siderosis,
        notes=tuple(sorted((n for s in used for n in s.notes), key=lambda note: note.event)),
        finished=bool(voting) and all(state.finished for state in voting.values()),
        last_event=max((event.id for event in events), default=0),
        seconds=round_s(sum(state.seconds for state in used)),
        ignored=tuple(sorted(n for s in used for n in s.ignored)),
        orphans=orphans,
        readers=tuple(name for name in names if states[name].readers),
        disagreements=tuple(unsettled),
        basis=basis,
    )


def _has_own_word(state: ScanState) -> bool:
    changed = any(i.decision or i.origin != "software" for i in state.findings)
    return changed or bool(state.gone) or state.finished


def _adjudications(events: Sequence[Event], scan: str, round: int) -> dict[str, Decision | None]:
    """Return the newest adjudication of each key; None where it was cleared."""
    found: dict[str, tuple[int, Decision | None]] = {}
    for reader in sorted({event.reader for event in events if event.kind == "adjudicate"}):
        mine = own_events(events, scan, reader, round)
        undone = taken_back(mine)
        for event in mine:
            newest = event.id >= found.get(event.finding, (0, None))[0]
            if event.kind == "adjudicate" and event.id not in undone and newest:
                found[event.finding] = (event.id, decision_of(event))
    return {key: decision for key, (_, decision) in found.items()}


def _pool(basis: Basis, states: Mapping[str, ScanState], near_mm: float) -> list[Versions]:
    """Return all findings of all readers, each once, in the order of the list."""
    pool: list[Versions] = [{"": item} for item in base_findings(basis)]
    keys = {versions[""].key: versions for versions in pool}
    for reader, state in states.items():
        rest = []
        for item in state.findings:
            if item.key in keys and item.origin == "software":
                keys[item.key][reader] = item
            else:
                rest.append(item)
        free = [versions for versions in pool if reader not in versions]
        for n, versions in _met(rest, free, near_mm).items():
            versions[reader] = rest[n]
        met = {id(item) for versions in pool for item in versions.values()}
        pool += [{reader: item} for item in rest if id(item) not in met]
    return [versions for versions in pool if not _dropped(versions, states)]


def _dropped(versions: Versions, states: Mapping[str, ScanState]) -> bool:
    """Return whether every reader has split or merged a finding of the software."""
    alone = set(versions) == {""} and bool(states)
    return alone and all(versions[""].key in state.gone for state in states.values())


def _met(
    items: Sequence[FindingState], pool: Sequence[Versions], near_mm: float
) -> dict[int, Versions]:
    if not items or not pool:
        return {}
    firsts = [next(iter(versions.values())) for versions in pool]
    pairs = one_to_one(_places(firsts), _places(items), near_mm).pairs
    return {int(mine): pool[int(theirs)] for theirs, mine in pairs}


def _places(items: Sequence[FindingState]) -> np.ndarray:
    return np.array([[i.x_mm, i.y_mm, i.z_mm] for i in items], dtype=float).reshape(-1, 3)


def _together(
    basis: Basis,
    versions: Versions,
    states: Mapping[str, ScanState],
    judged: Mapping[str, Decision | None],
) -> FindingState:
    """Return one finding as all versions of it make it."""
    readers = [reader for reader in versions if reader]
    base = versions.get("") or versions[readers[0]]
    votes = _votes(base, versions, states)
    decision, unsettled = _majority(base, votes)
    keys = {item.key for item in versions.values()}
    settled = [judged[key] for key in sorted(keys) if judged.get(key) is not None]
    if settled:
        decision, unsettled = settled[0], ""
    # a lone reader's own word on place and outline; of several, of the first who agrees
    agreeing = [
        name
        for name in readers
        if decision is None or name not in votes or votes[name].verdict == decision.verdict
    ]
    shown = next((versions[name] for name in agreeing if _touched(versions[name])), None)
    shown = shown or (versions[agreeing[0]] if agreeing and "" not in versions else base)
    site = _common([versions[n] for n in agreeing if versions[n].place_changed]) or shown
    notes: list[Note] = sorted(
        (note for name in readers for note in versions[name].notes), key=lambda note: note.event
    )
    whole = replace(
        shown,
        decision=decision,
        site=site.site,
        side=site.side,
        compartment=site.compartment,
        place_changed=site.place_changed,
        asked=any(item.asked for item in versions.values()),
        notes=tuple(notes),
        seconds=round_s(sum(versions[name].seconds for name in readers)),
        last_event=max((item.last_event for item in versions.values()), default=0),
        votes=votes,
        disagreement=unsettled,
    )
    stands = standing(whole)
    if unsettled and not whole.software:  # nobody's word: not counted
        stands = replace(stands, class_="undetermined", counted=False, mars="n/a")
    return stands


def _touched(item: FindingState) -> bool:
    return item.outline_changed or item.origin != "software"


def _common(items: Sequence[FindingState]) -> FindingState | None:
    """Return one with the commonest place; the first of those in a tie."""
    if not items:
        return None
    counts = Counter((item.site, item.side) for item in items)
    return max(items, key=lambda item: counts[item.site, item.side])


def _votes(
    base: FindingState, versions: Versions, states: Mapping[str, ScanState]
) -> dict[str, Decision]:
    out = {}
    for reader, state in states.items():
        mine = versions.get(reader)
        if mine is not None and mine.decision is not None:
            out[reader] = mine.decision
        elif not state.finished:
            continue
        elif mine is None and base.key not in state.gone:  # another one's, not seen here
            out[reader] = Decision(verdict="reject", class_="undetermined", reader=reader)
        elif mine is not None and not mine.asked:
            counted = mine.class_ if mine.class_ != "microbleed" else "undetermined"
            out[reader] = Decision(verdict="reject", class_=counted, reader=reader)
    # silence alone decides nothing
    spoken = [d for d in out.values() if d.event]
    return out if spoken else {}


def _majority(base: FindingState, votes: Mapping[str, Decision]) -> tuple[Decision | None, str]:
    if not votes:
        return None, ""
    yes = {name: vote for name, vote in votes.items() if vote.verdict == "accept"}
    no = {name: vote for name, vote in votes.items() if vote.verdict == "reject"}
    if len(yes) == len(no):
        return None, f"{', '.join(sorted(yes))}: microbleed; {', '.join(sorted(no))}: not"
    winners = yes if len(yes) > len(no) else no
    if len(winners) == 1:
        return next(iter(winners.values())), ""
    class_ = _most([vote.class_ for vote in winners.values()])
    usual = str(base.software.get("class", "undetermined"))
    if class_ is None:
        class_ = usual if usual != "microbleed" else "undetermined"
    told = [vote.mars for vote in winners.values() if vote.mars]
    mars = (_most(told) or "possible") if told else ""
    newest = max(winners.values(), key=lambda vote: vote.event)
    return Decision(
        verdict=newest.verdict,
        class_=class_,
        mars=mars,
        reader=", ".join(sorted(winners)),
        round=newest.round,
        event=newest.event,
        at=newest.at,
    ), ""


def _most(words: Sequence[str]) -> str | None:
    """Return the commonest word; None in a tie."""
    ranked = Counter(words).most_common(2)
    tie = len(ranked) == 2 and ranked[0][1] == ranked[1][1]
    return None if tie or not ranked else ranked[0][0]


def _siderosis(states: Mapping[str, ScanState]) -> tuple[Siderosis | None, list[str]]:
    told = {name: state.siderosis for name, state in states.items() if state.siderosis}
    if not told:
        return None, []
    extent = _most([word.extent for word in told.values()])
    if extent is None:
        words = "; ".join(f"{name}: {word.extent}" for name, word in sorted(told.items()))
        return None, [f"superficial siderosis ({words})"]
    same = [word for word in told.values() if word.extent == extent]
    sulci = {word.sulci for word in same}
    names = ", ".join(sorted(word.reader for word in same))
    first = replace(same[0], reader=names)
    return (first if len(sulci) == 1 else replace(first, sulci=None)), []


def _overrides(states: Mapping[str, ScanState]) -> dict[tuple[str, str], Override]:
    """Return the overrides that no other reader's contradicts."""
    found: dict[tuple[str, str], list[Override]] = {}
    for state in states.values():
        for cell, override in state.overrides.items():
            found.setdefault(cell, []).append(override)
    return {
        cell: said[0] for cell, said in sorted(found.items()) if len({_value(o) for o in said}) == 1
    }


def _value(override: Override) -> Any:
    return override.value


def _gone(states: Mapping[str, ScanState], findings: Sequence[FindingState]) -> set[str]:
    here = {item.key for item in findings}
    return {key for state in states.values() for key in state.gone} - here
