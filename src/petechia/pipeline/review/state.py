"""A scan as its reader left it: the software's findings and the reader's events, added up.

Pure: the same findings and events give the same state, whatever else the log holds.
Voxels are named here, not touched (`Outline`); `outline` has the arrays.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from petechia.anatomy.sites import COMPARTMENT_OF
from petechia.errors import ParameterError
from petechia.lesions.criteria import LARGEST_MM, CriteriaParams, summarise
from petechia.lesions.criteria.clinical import ClinicalFacts, read_facts
from petechia.lesions.findings import COLUMNS, DIGITS, EXTRA_COLUMNS, Finding, from_row
from petechia.pipeline.review.events import (
    SCALES,
    Event,
    Runs,
    joined_runs,
    software_key,
)
from petechia.pipeline.review.rerun import NEAR_MM, Orphan, carry

ASKED_FROM = 0.05
"""A finding needs a decision when the software counted it, or from this probability on."""
UNMEASURED = (
    "moment_ppm_mm3", "moment_se_ppm_mm3", "chi_mean_ppm", "parenchyma_fraction", "sphericity",
    "margin_sharpness", "homogeneity", "source_x_mm", "source_y_mm", "source_z_mm", "iron_ug",
    "iron_se_ug", "criteria",
)  # fmt: skip
"""Columns that nobody has measured of what a reader drew or cut."""


@dataclass(frozen=True, slots=True)
class Outline:
    """Voxels by name: the union of labels of the software and of runs.

    Attributes
    ----------
    labels : tuple of int
        Indices of the software's label image.
    runs : tuple of (start, length)
        Of the flattened grid, C order.
    """

    labels: tuple[int, ...] = ()
    runs: Runs = ()

    def __or__(self, other: "Outline") -> "Outline":
        """Return the union."""
        labels = tuple(sorted({*self.labels, *other.labels}))
        return Outline(labels, joined_runs((*self.runs, *other.runs)))

    def __bool__(self) -> bool:
        """Return True when there is a voxel in it."""
        return bool(self.labels or self.runs)


Measure = Callable[[Outline], Mapping[str, float] | None]
"""An outline to `x_mm`, `y_mm`, `z_mm`, `volume_mm3`, `diameter_mm`; None: it cannot be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What the software said of a scan, and what is needed to add up decisions on it.

    Attributes
    ----------
    scan : str
        Prefix.
    rows : sequence of mapping
        The software's own table of findings, as text.
    fingerprint : str
        Of its summary.
    params, facts, no_siderosis_search, assessable
        As `lesions.criteria.summarise` takes them.
    near_mm : float
        A finding of a later run within this is the same: 3 mm, or a voxel.
    shape : tuple of int, or None
        Of the volumes.
    measure : callable or None
        Measures outlines that a reader made; without it they have no size.
    """

    scan: str
    rows: Sequence[Mapping[str, str]]
    fingerprint: str = ""
    params: CriteriaParams = field(default_factory=CriteriaParams)
    facts: ClinicalFacts = field(default_factory=ClinicalFacts)
    no_siderosis_search: str | None = None
    assessable: bool = True
    near_mm: float = NEAR_MM
    shape: tuple[int, ...] | None = None
    measure: Measure | None = None


def basis_of(
    summary: Mapping[str, Any], rows: Sequence[Mapping[str, str]], measure: Measure | None = None
) -> Basis:
    """Return the basis of a scan from its summary and its table as they lie on the disk."""
    settings, criteria = summary.get("settings") or {}, summary.get("criteria") or {}
    known = {name: settings[name] for name in ("cerebellum", "pvs_above") if name in settings}
    protocol = summary.get("protocol") or {}
    scan = str((summary.get("source") or {}).get("name", ""))
    return Basis(
        scan=scan,
        rows=rows,
        fingerprint=str(summary.get("fingerprint", "")),
        params=CriteriaParams(**known),
        facts=read_facts(criteria.get("clinical_facts") or {}, f"{scan}: clinical facts"),
        no_siderosis_search=(criteria.get("superficial_siderosis") or {}).get("why_not"),
        assessable=summary.get("category") != "not_assessable",
        near_mm=max(NEAR_MM, *(float(v) for v in protocol.get("spacing_mm") or (0.0,))),
        shape=tuple(protocol["shape"]) if protocol.get("shape") else None,
        measure=measure,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What was decided on a finding, by whom.

    Attributes
    ----------
    verdict : str
        "accept" or "reject".
    class_, mars : str
        As in the contract; `mars` "" where it was left to the software's.
    reason : str
        In the reader's words.
    adjudicated : bool
        True when it settles a disagreement.
    """

    verdict: str
    class_: str
    mars: str = ""
    reason: str = ""
    reader: str = ""
    round: int = 1
    event: int = 0
    at: str = ""
    adjudicated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A reader's words on a finding, or on the scan when `finding` is ""."""

    finding: str
    text: str
    reader: str
    event: int
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingState:
    """One finding as it stands.

    Attributes
    ----------
    key : str
        See `events.Event`.
    index : int or None
        In the software's table; None for what a reader made.
    origin : str
        "software", "reader" (added), or "split".
    parents : tuple of str
        Findings that went into it by split or merge.
    asked : bool
        True when a reader should decide on it.
    software : mapping
        The row of the software's table it goes back to; empty for an added one.
    decision : Decision or None
        None: undecided, and the software's word stands.
    class_, counted, mars, site, side, compartment
        As they stand now.
    too_wide : bool
        True when a reader took it for a microbleed, but it is wider than one can be: it
        stands as a macrobleed.
    x_mm, y_mm, z_mm, volume_mm3, diameter_mm : float or None
        Of the outline as it stands; None where it was not measured.
    outline : Outline
        Its voxels.
    outline_changed : bool
        True when they are not the software's label any more.
    notes : tuple of Note
        Of this finding.
    seconds : float
        Time spent on it.
    last_event : int
        The newest event about it, also one that was taken back.
    votes : mapping of str to Decision
        In a consensus: what each reader decided.
    disagreement : str
        In a consensus: why the readers' word is none; "" when it is one.
    """

    key: str
    index: int | None
    origin: str
    parents: tuple[str, ...] = ()
    asked: bool = True
    software: Mapping[str, str] = field(default_factory=dict)
    decision: Decision | None = None
    class_: str = "undetermined"
    counted: bool = False
    mars: str = "n/a"
    site: str = "n/a"
    side: str = "n/a"
    compartment: str = "n/a"
    place_changed: bool = False
    too_wide: bool = False
    x_mm: float = 0.0
    y_mm: float = 0.0
    z_mm: float = 0.0
    volume_mm3: float | None = None
    diameter_mm: float | None = None
    outline: Outline = Outline()
    outline_changed: bool = False
    notes: tuple[Note, ...] = ()
    seconds: float = 0.0
    last_event: int = 0
    votes: Mapping[str, Decision] = field(default_factory=dict)
    disagreement: str = ""

    @property
    def probability(self) -> float | None:
        """The software's probability; None for what only a reader saw."""
        return _float(self.software.get("probability"))

    @property
    def decided(self) -> bool:
        """True when a reader has decided on it."""
        return self.decision is not None

    @property
    def moment_of(self) -> str:
        """Whose outline the moment belongs to: "software", or "" when it has none."""
        has = self.origin == "software" and _float(self.software.get("moment_ppm_mm3")) is not None
        return "software" if has else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """A cell of a form that a reader filled otherwise than it was computed."""

    form: str
    row: str
    value: Any
    reason: str
    reader: str
    event: int
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Siderosis:
    """A reader's word on superficial siderosis."""

    extent: str
    sulci: int | None
    note: str
    reader: str
    event: int
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanState:
    """A scan as it stands for one reader in one round, or for all (`reader` "").

    Attributes
    ----------
    findings : tuple of FindingState
        In the order of attention: what the software counted, nearest to 0.5 first, then the
        other asked ones and the unlikely ones by probability, then what readers added. The
        order does not change with decisions; parts of a split stand in their parent's place.
    gone : tuple of str
        Keys that were split, merged or removed.
    overrides : mapping of (form, row) to Override
    siderosis : Siderosis or None
    notes : tuple of Note
        On the scan as a whole.
    finished : bool
    last_event : int
        The newest event that was read, also of what was taken back.
    seconds : float
        All time spent.
    ignored : tuple of int
        Events whose finding is not there (its `add` was taken back, a rerun lost it).
    orphans : tuple of Orphan
        Decisions about an earlier run whose finding the present one does not have.
    readers : tuple of str
        Whose events these are.
    disagreements : tuple of str
        In a consensus: what is not settled, besides findings (siderosis).
    """

    scan: str
    reader: str
    round: int
    fingerprint: str = ""
    findings: tuple[FindingState, ...] = ()
    gone: tuple[str, ...] = ()
    overrides: Mapping[tuple[str, str], Override] = field(default_factory=dict)
    siderosis: Siderosis | None = None
    notes: tuple[Note, ...] = ()
    finished: bool = False
    last_event: int = 0
    seconds: float = 0.0
    ignored: tuple[int, ...] = ()
    orphans: tuple[Orphan, ...] = ()
    readers: tuple[str, ...] = ()
    disagreements: tuple[str, ...] = ()
    basis: Basis = field(repr=False, compare=False)

    def finding(self, key: str) -> FindingState | None:
        """Return a finding by its key."""
        return next((item for item in self.findings if item.key == key), None)

    @property
    def n_asked(self) -> int:
        """Findings that a reader should decide on."""
        return sum(item.asked for item in self.findings)

    @property
    def n_undecided(self) -> int:
        """Those that are not decided yet."""
        return sum(item.asked and not item.decided for item in self.findings)

    @property
    def counted(self) -> int:
        """Microbleeds counted as things stand."""
        return sum(item.counted for item in self.findings)


# --- adding up ------------------------------------------------------------------------------


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
    carried = carry(events, basis.rows, basis.fingerprint, near_mm=basis.near_mm, shape=basis.shape)
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
    counted, probability = row["counted"] == "1", _float(row["probability"])
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
        x_mm=_float(row["x_mm"]) or 0.0,
        y_mm=_float(row["y_mm"]) or 0.0,
        z_mm=_float(row["z_mm"]) or 0.0,
        volume_mm3=_float(row["volume_mm3"]),
        diameter_mm=_float(row["diameter_mm"]),
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
        """Return what changes of a finding with its outline."""
        if item.index is not None and outline == Outline(labels=(item.index,)):
            own = _of_software(item.software)
            names = ("x_mm", "y_mm", "z_mm", "volume_mm3", "diameter_mm", "outline")
            return {name: getattr(own, name) for name in names} | {"outline_changed": False}
        found = self.basis.measure(outline) if self.basis.measure and outline else None
        sizes: Mapping[str, Any] = found or {"volume_mm3": None, "diameter_mm": None}
        return {**sizes, "outline": outline, "outline_changed": True}

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
        if len(keys[0]) > 64 or any(key in self.items or key in self.gone for key in keys):
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
        whole, notes = first.outline, first.notes
        for key in others:
            whole |= self.items[key].outline
            notes += self.items[key].notes
        asked = first.asked or any(self.items[key].asked for key in others)
        parents = (*first.parents, *others)
        changes = self._measured(first, whole)
        self._change(event, asked=asked, parents=parents, notes=notes, **changes)
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
    if event.kind == "split" and len(event.finding) > 60:
        raise _no_such(event.finding, "was split too often", "Correct its outline instead.")


def _no_such(key: str, what: str, mend: str) -> ParameterError:
    return ParameterError(f"{key} {what}", where="finding", mend=mend)


# --- forms, tables --------------------------------------------------------------------------


def table_row(item: FindingState, index: int) -> dict[str, str]:
    """Return a finding as a row of the table: the contract's columns and the extra ones.

    What was measured on the software's outline stays, also when a reader changed the outline;
    what a reader added or cut out of another has no such measures.
    """
    row = dict(item.software) or dict.fromkeys((*COLUMNS, *EXTRA_COLUMNS), "n/a")
    if not item.software:
        row |= {"sign": "not_assessed", "evidence": "seen by a reader, not by the software"}
    if item.origin == "split":
        row |= {name: "n/a" for name in UNMEASURED if name in row}
    if item.class_ != item.software.get("class") or item.index is None:
        row["name"] = f"{item.class_.replace('_', ' ')} {index}"
    if item.outline_changed or item.index is None:
        for name in ("x_mm", "y_mm", "z_mm", "volume_mm3", "diameter_mm"):
            value = getattr(item, name)
            row[name] = (
                "n/a" if value is None else f"{round(value, DIGITS[name]) + 0.0:.{DIGITS[name]}f}"
            )
    row |= {
        "index": str(index),
        "class": item.class_,
        "counted": str(int(item.counted)),
        "mars": item.mars,
        "site": item.site,
        "side": item.side,
        "compartment": item.compartment,
    }
    return row


def findings_of(state: ScanState, *, only_decided: bool = False) -> list[Finding]:
    """Return the findings for counting; `only_decided` leaves the software's word out."""
    chosen = [item for item in state.findings if item.decided or not only_decided]
    return [from_row(table_row(item, n)) for n, item in enumerate(chosen, 1)]


def summary_of(state: ScanState, *, only_decided: bool = False) -> dict[str, Any]:
    """Return counts, category and criteria (`lesions.criteria.summarise`) as things stand.

    The reader's word on siderosis goes before the software's search, and enters the scales
    where nothing else was told of it. There is no overriding here: see `forms_of`.
    """
    basis, facts, search = state.basis, state.basis.facts, state.basis.no_siderosis_search
    told = state.siderosis
    if told and not {"css", "css_foci"} & set(facts.told):
        more = {"css": told.extent}
        if told.sulci is not None:
            more["css_foci"] = str(told.sulci)
        facts = read_facts({**facts.told, **more}, "siderosis")
    out = summarise(
        findings_of(state, only_decided=only_decided),
        basis.params,
        search,
        facts,
        assessable=basis.assessable,
    )
    if told:
        out["criteria"]["superficial_siderosis"] = {
            "sulci": told.sulci, "extent": told.extent, "why_not": None, "reader": told.reader,
        }  # fmt: skip
    return out


def forms_of(state: ScanState, criteria: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the cells of `mars`, `bombs` and `scale` that are not 0, or were overridden.

    Each is `{"computed", "value", "override"}` with an override of `{"value", "reason",
    "reader", "event", "at"}` or None.
    """
    cells = {form: dict[str, Any]() for form in ("mars", "bombs")}
    for row in criteria["mars"]["form"]:
        for grade in ("definite", "possible"):
            for side, number in row[grade].items():
                cells["mars"][f"{row['site']}/{grade}/{side}"] = number
    for row in criteria["bombs"]["form"]:
        for name in (name for name in row if name != "place"):
            for side, number in row[name].items():
                cells["bombs"][f"{row['place']}/{name}/{side}"] = number
    cells["scale"] = {name: criteria[name]["answer"] for name in SCALES}
    return {
        form: {
            row: _cell(value, state.overrides.get((form, row)))
            for row, value in computed.items()
            if value != 0 or (form, row) in state.overrides
        }
        for form, computed in cells.items()
    }


def _cell(computed: Any, override: Override | None) -> dict[str, Any]:
    if override is None:
        return {"computed": computed, "value": computed, "override": None}
    names = ("value", "reason", "reader", "event", "at")
    said = {name: getattr(override, name) for name in names}
    return {"computed": computed, "value": override.value, "override": said}


# --- for a screen ---------------------------------------------------------------------------


def ordered(state: ScanState, *, blind: bool = False) -> list[FindingState]:
    """Return the findings as they are listed: by attention, or blind by place (top down)."""
    if not blind:
        return list(state.findings)
    return sorted(state.findings, key=lambda item: (-item.z_mm, -item.y_mm, item.x_mm, item.key))


def as_json(state: ScanState, *, blind: bool = False) -> dict[str, Any]:
    """Return the state as plain values.

    Parameters
    ----------
    blind : bool
        Leave out what the software thinks (class, probability, sign, moment, evidence,
        counted, grade, its name for it), and count only what was decided.

    Returns
    -------
    dict
        `scan, reader, round, fingerprint, findings, n_asked, n_undecided, counted, category,
        count_bin, forms, siderosis, notes, finished, last_event, seconds, gone, ignored,
        orphans, readers, disagreements, blind`. A finding is `key, index, name, origin, parents,
        asked, x_mm, y_mm, z_mm, site, side, compartment, volume_mm3, diameter_mm, class,
        counted, mars, too_wide, decision, outline_changed, notes, seconds, last_event,
        software, votes, disagreement`; `decision` is `verdict, class, mars, reason, reader,
        round, event, at, adjudicated` or null; `software` (null when blind) is `index, name,
        class, sign, probability, counted, mars, evidence, moment_ppm_mm3, moment_se_ppm_mm3,
        chi_mean_ppm, sphericity, criteria`, numbers as numbers, null for n/a.
    """
    counts = summary_of(state, only_decided=blind)
    return {
        "scan": state.scan,
        "reader": state.reader,
        "round": state.round,
        "fingerprint": state.fingerprint,
        "blind": blind,
        "findings": [_finding_json(item, blind) for item in ordered(state, blind=blind)],
        "n_asked": state.n_asked,
        "n_undecided": state.n_undecided,
        "counted": counts["counts"]["total"],
        "category": counts["category"],
        "count_bin": counts["count_bin"],
        "forms": forms_of(state, counts["criteria"]),
        "siderosis": _plain(state.siderosis, ("extent", "sulci", "note", *_BY)),
        "notes": [_plain(note, ("finding", "text", *_BY)) for note in state.notes],
        "finished": state.finished,
        "last_event": state.last_event,
        "seconds": state.seconds,
        "gone": list(state.gone),
        "ignored": list(state.ignored),
        "orphans": [orphan_json(orphan) for orphan in state.orphans],
        "readers": list(state.readers),
        "disagreements": list(state.disagreements),
    }


_BY = ("reader", "event", "at")
_SAME = (
    "key", "origin", "asked", "x_mm", "y_mm", "z_mm", "site", "side", "compartment",
    "volume_mm3", "diameter_mm", "too_wide", "outline_changed", "seconds", "last_event",
    "disagreement",
)  # fmt: skip
_SOFTWARE_NUMBERS = (
    "probability", "moment_ppm_mm3", "moment_se_ppm_mm3", "chi_mean_ppm", "sphericity",
)  # fmt: skip
_SOFTWARE_WORDS = ("name", "class", "sign", "mars", "evidence", "criteria")


def _finding_json(item: FindingState, blind: bool) -> dict[str, Any]:
    hidden = blind and not item.decided
    own = item.software
    software: dict[str, Any] | None = None
    if own and not blind:
        software = {"index": int(own["index"]), "counted": own["counted"] == "1"}
        software |= {name: own.get(name, "n/a") for name in _SOFTWARE_WORDS}
        software |= {name: _float(own.get(name)) for name in _SOFTWARE_NUMBERS}
    return {
        **{name: getattr(item, name) for name in _SAME},
        "index": None if blind else item.index,
        "name": "" if blind else own.get("name", ""),
        "parents": list(item.parents),
        "class": None if hidden else item.class_,
        "counted": None if hidden else item.counted,
        "mars": None if hidden else item.mars,
        "decision": decision_json(item.decision),
        "notes": [_plain(note, ("finding", "text", *_BY)) for note in item.notes],
        "software": software,
        "votes": {reader: decision_json(vote) for reader, vote in item.votes.items()},
    }


def orphan_json(orphan: Orphan) -> dict[str, Any]:
    """Return a decision without a finding as plain values."""
    names = ("finding", "fingerprint", "reader", "round")
    told = _plain(orphan, names) or {}
    place = None if orphan.place_mm is None else list(orphan.place_mm)
    return {
        **told, "place_mm": place, "events": list(orphan.events), "kinds": list(orphan.kinds),
    }  # fmt: skip


def decision_json(decision: Decision | None) -> dict[str, Any] | None:
    """Return a decision as plain values."""
    names = ("verdict", "mars", "reason", "round", "adjudicated", *_BY)
    told = _plain(decision, names)
    return None if decision is None or told is None else {**told, "class": decision.class_}


def anchor_of(
    item: FindingState,
    shape: Sequence[int] | None = None,
    others: Iterable[FindingState | None] = (),
) -> dict[str, Any]:
    """Return what a later run's finding is known by; for `Event.anchor`.

    `others` are the findings that a merge takes in.
    """
    moment = _float(item.software.get("moment_ppm_mm3"))
    out: dict[str, Any] = {"x_mm": item.x_mm, "y_mm": item.y_mm, "z_mm": item.z_mm}
    out["class"] = item.software.get("class", item.class_)
    if moment is not None:
        out["moment"] = moment
    if shape is not None:
        out["shape"] = [int(n) for n in shape]
    taken = {o.key: [o.x_mm, o.y_mm, o.z_mm] for o in others if o is not None}
    return {**out, "with": taken} if taken else out


# --- small things ---------------------------------------------------------------------------


def _plain(value: Any, names: Sequence[str]) -> dict[str, Any] | None:
    return None if value is None else {name: getattr(value, name) for name in names}


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


def _float(text: str | None) -> float | None:
    return None if text in (None, "", "n/a") else float(text)
