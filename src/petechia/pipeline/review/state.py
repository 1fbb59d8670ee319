"""A scan as its reader left it, in records: findings, decisions, notes, overrides.

Voxels are named here, not touched (`Outline`); `outline` has the arrays, `fold` adds the
records up, `told` makes tables, counts and forms of them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from petechia.core.counts import CountDoubt
from petechia.lesions.criteria import CriteriaParams
from petechia.lesions.criteria.clinical import ClinicalFacts, read_facts, with_read
from petechia.pipeline.review.events import Runs, joined_runs
from petechia.pipeline.review.rerun import NEAR_MM, Orphan
from petechia.pipeline.standing import marks_of

ASKED_FROM = 0.05
"""A finding needs a decision when the software counted it, or from this probability on."""


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


HIT_MM = 5.0
"""The rule that detection is evaluated by (`evaluate.detection.MAIN_RULE`), with a slice where
that is more: consensus, agreement and evaluation pair the same things."""
Measure = Callable[[Outline], Mapping[str, Any] | None]
"""An outline to `x_mm`, `y_mm`, `z_mm`, `volume_mm3`, `diameter_mm`, and `site`, `side` and
`compartment` where there are regions; None: it cannot be."""


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
        A finding of a later run within this is the same: 3 mm, or a voxel. It is strict: a
        decision on another finding would be worse than one that is asked for again.
    shape : tuple of int, or None
        Of the volumes.
    marks : tuple of str
        What its input is known by; () when its summary tells nothing.
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
    marks: tuple[str, ...] = ()
    measure: Measure | None = None

    @property
    def hit_mm(self) -> float:
        """What two readers marked within this is one lesion: 5 mm, or a slice [mm]."""
        return max(HIT_MM, self.near_mm)


def basis_of(
    summary: Mapping[str, Any], rows: Sequence[Mapping[str, str]], measure: Measure | None = None
) -> Basis:
    """Return the basis of a scan from its summary and its table as they lie on the disk."""
    settings, criteria = summary.get("settings") or {}, summary.get("criteria") or {}
    known = {name: settings[name] for name in ("cerebellum", "pvs_above") if name in settings}
    doubt = (summary.get("model") or {}).get("count_doubt")
    known["count_doubt"] = CountDoubt(**doubt) if doubt else None
    protocol = summary.get("protocol") or {}
    scan = str((summary.get("source") or {}).get("name", ""))
    return Basis(
        scan=scan,
        rows=rows,
        fingerprint=str(summary.get("fingerprint", "")),
        params=CriteriaParams(**known),
        facts=with_read(
            read_facts(criteria.get("clinical_facts") or {}, f"{scan}: clinical facts"),
            (summary.get("signs") or {}).get("signs") or {},
        ),
        no_siderosis_search=(criteria.get("superficial_siderosis") or {}).get("why_not"),
        assessable=summary.get("category") != "not_assessable",
        near_mm=max(NEAR_MM, *(float(v) for v in protocol.get("spacing_mm") or (0.0,))),
        shape=tuple(protocol["shape"]) if protocol.get("shape") else None,
        marks=marks_of(summary),
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
    merged : tuple of mapping
        The rows of what a merge took into it; one is empty where nobody measured the finding.
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
    merged: tuple[Mapping[str, str], ...] = ()
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
        return as_number(self.software.get("probability"))

    @property
    def decided(self) -> bool:
        """True when a reader has decided on it."""
        return self.decision is not None


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
        """Those that nobody has decided on; in a consensus a disagreement is no such."""
        return sum(
            item.asked and not item.decided and not item.disagreement for item in self.findings
        )

    @property
    def counted(self) -> int:
        """Microbleeds counted as things stand."""
        return sum(item.counted for item in self.findings)


def as_number(text: str | None) -> float | None:
    """Return a cell of the table as a number; None for n/a."""
    return None if text in (None, "", "n/a") else float(text)
