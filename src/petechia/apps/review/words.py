"""What is asked and answered, typed: the models of the JSON API."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Id = Annotated[int, Field(ge=0, le=2**53)]


class Told(BaseModel):
    """An error: where, what, how to mend it."""

    where: str
    what: str
    mend: str


class Fault(BaseModel):
    """An answer that is none."""

    error: Told


class Session(BaseModel):
    """Who reads, and how."""

    reader: str
    round: int
    blind: bool
    language: str
    version: str
    readers: list[str]
    csrf: str
    research_use: str


class QueueCounts(BaseModel):
    """Scans in each state, of those that the search finds."""

    new: int
    open: int
    done: int


class QueueScan(BaseModel):
    """One scan of the queue; null where the software's opinion is hidden."""

    scan: str
    subject: str
    session: str
    state: Literal["new", "open", "done"]
    n_findings: int
    n_asked: int
    n_undecided: int
    counted: int | None
    category: str | None
    seconds: float
    prior: str | None
    problem: str
    warning: str


class QueuePage(BaseModel):
    """Part of the queue."""

    total: int
    counts: QueueCounts
    scans: list[QueueScan]


class Decision(BaseModel):
    """What a reader decided on a finding."""

    model_config = ConfigDict(populate_by_name=True)
    verdict: str
    class_: str = Field(alias="class")
    mars: str
    reason: str
    reader: str
    round: int
    event: int
    at: str
    adjudicated: bool


class Note(BaseModel):
    """A reader's words."""

    finding: str
    text: str
    reader: str
    event: int
    at: str


class SoftwareFinding(BaseModel):
    """What the software said of a finding."""

    index: int
    name: str
    class_: str = Field(alias="class")
    sign: str
    probability: float | None
    counted: bool
    mars: str
    evidence: str
    moment_ppm_mm3: float | None
    moment_se_ppm_mm3: float | None
    chi_mean_ppm: float | None
    sphericity: float | None
    criteria: str


class Finding(BaseModel):
    """One finding as it stands; null where the software's opinion is hidden."""

    key: str
    index: int | None
    name: str
    origin: str
    parents: list[str]
    asked: bool
    x_mm: float
    y_mm: float
    z_mm: float
    site: str
    side: str
    compartment: str
    volume_mm3: float | None
    diameter_mm: float | None
    class_: str | None = Field(alias="class")
    counted: bool | None
    mars: str | None
    too_wide: bool
    decision: Decision | None
    outline_changed: bool
    notes: list[Note]
    seconds: float
    last_event: int
    software: SoftwareFinding | None
    votes: dict[str, Decision | None]
    disagreement: str


class Override(BaseModel):
    """What a reader wrote over a cell of a form."""

    value: Any
    reason: str
    reader: str
    event: int
    at: str


class Cell(BaseModel):
    """A cell of a form."""

    computed: Any
    value: Any
    override: Override | None


class Siderosis(BaseModel):
    """A reader's word on superficial siderosis."""

    extent: str
    sulci: int | None
    note: str
    reader: str
    event: int
    at: str


class Orphan(BaseModel):
    """A decision whose finding the present results do not have."""

    finding: str
    fingerprint: str
    reader: str
    round: int
    place_mm: tuple[float, float, float] | None
    events: list[int]
    kinds: list[str]


class State(BaseModel):
    """A scan as its reader left it."""

    scan: str
    reader: str
    round: int
    fingerprint: str
    blind: bool
    findings: list[Finding]
    n_asked: int
    n_undecided: int
    counted: int
    category: str
    count_bin: str | None
    forms: dict[str, dict[str, Cell]]
    siderosis: Siderosis | None
    notes: list[Note]
    finished: bool
    last_event: int
    seconds: float
    gone: list[str]
    ignored: list[int]
    orphans: list[Orphan]
    readers: list[str]
    disagreements: list[str]


class Volume(BaseModel):
    """A volume to look at: value = number x slope + inter, in `unit`; 0 is what is not shown.

    A slab holds the slices `first` to `last` - 1 of the third axis (towards superior), one
    byte a voxel, the first axis (towards right) fastest: the slabs one after the other are
    the volume. `version` goes into its address. `placed` is "" for the scan's own volumes;
    others are `registered`, or lie by `scanner` coordinates only, or so while `waiting`.
    """

    name: str
    title: str
    group: str
    te_s: float | None
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    slope: float
    inter: float
    low: float
    high: float
    unit: str
    slabs: list[tuple[int, int]]
    bytes: int
    version: str
    placed: Literal["", "registered", "scanner", "waiting"]
    says: str


class PriorExam(BaseModel):
    """How the exam before lies to this one."""

    placed: Literal["registered", "scanner", "waiting"]
    says: str


class Beside(BaseModel):
    """Other images of the same head, on this scan's grid; `prior-*` are of the exam before."""

    volumes: list[Volume]
    prior: PriorExam | None
    waiting: bool


class Labels(BaseModel):
    """Outlines: two bytes a voxel, little end first; the position in `findings`, from 1."""

    shape: tuple[int, int, int]
    slabs: list[tuple[int, int]]
    bytes: int


class ToNative(BaseModel):
    """How laid voxels are numbered in the stored volume (C order).

    Laid voxel v of the box stands at u = v + low of the whole laid volume; the index along
    stored axis order[a] is u[a], or size - 1 - u[a] where flipped[a].
    """

    order: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]
    low: tuple[int, int, int]
    native_shape: tuple[int, int, int]


class Opened(BaseModel):
    """A scan, opened: its state, what there is to see, and its geometry."""

    scan: str
    fingerprint: str
    state: State
    volumes: list[Volume]
    labels: Labels
    to_mm: list[list[float]]
    to_native: ToNative
    plane: str
    protocol: dict[str, Any]
    summary: dict[str, Any]
    warnings: list[str]
    prior: str | None
    next: str | None


class Post(BaseModel):
    """An event as it is sent; the server adds reader, round, time and anchor."""

    model_config = ConfigDict(extra="forbid")
    uuid: Annotated[str, Field(max_length=40)]
    kind: Annotated[str, Field(max_length=20)]
    finding: Annotated[str, Field(max_length=64)] = ""
    payload: dict[str, Any] = Field(default_factory=dict)
    seconds: Annotated[float, Field(ge=0, le=86400)] = 0.0
    fingerprint: Annotated[str, Field(max_length=128)]
    after: Id | None = None


class Event(BaseModel):
    """An event as it stands in the log."""

    id: int
    uuid: str
    at: str
    reader: str
    round: int
    scan: str
    fingerprint: str
    finding: str
    kind: str
    payload: dict[str, Any]
    seconds: float
    anchor: dict[str, Any]
    version: str


class Taken(BaseModel):
    """An event that was taken, and the state it made."""

    event: Event
    state: State


class Conflict(BaseModel):
    """An event that was not taken, and the state that it did not know."""

    error: Told
    state: State


class Events(BaseModel):
    """A reader's own log of a scan, the oldest first."""

    events: list[Event]


class Agreement(BaseModel):
    """How far readers agree; parts of it as `pipeline.review.study.agreement` tells."""

    round: int
    readers: list[str]
    scans: int
    finished: dict[str, int]
    pairs: list[dict[str, Any]]
    repeats: list[dict[str, Any]]
    overall: dict[str, Any]
    seconds: dict[str, dict[str, Any]]
    undecided: dict[str, int]
    notes: list[str]


class Disagreement(BaseModel):
    """One lesion that some readers marked and others did not."""

    scan: str
    finding: str
    keys: dict[str, str]
    place: dict[str, Any]
    by_reader: dict[str, dict[str, str | None]]
    settled: bool
