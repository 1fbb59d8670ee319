"""Settings of detection."""

from dataclasses import dataclass, field

from petechia.core.methods import choose
from petechia.errors import ParameterError
from petechia.lesions.candidates import METHODS
from petechia.lesions.classify import ClassifyParams
from petechia.lesions.criteria import CriteriaParams
from petechia.lesions.dephasing import DephasingParams
from petechia.lesions.moment import MomentParams
from petechia.lesions.rim import RimParams
from petechia.lesions.ring import RingParams
from petechia.lesions.shortlist import ShortlistParams
from petechia.lesions.siderosis import SiderosisParams
from petechia.lesions.signal import SignalParams
from petechia.lesions.thread import ThreadParams
from petechia.lesions.tube import TubeParams
from petechia.lesions.void import VoidParams


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectParams:
    """Settings of `detect`.

    Attributes
    ----------
    threshold : float
        Operating point: a finding of class microbleed counts from this probability on.
    classification : str
        Row of `petechia.lesions.classification.METHODS` that names voids when there is a model.
    finders : tuple of str
        Rows of `petechia.lesions.candidates.METHODS`; those whose arrays are missing are
        left out.
    most_findings : int
        At most so many findings stay in the table: every named lesion and mimic first, then
        veins, edges and what is undetermined, the most probable first.
    signal, rim, ring, void, shortlist, tube, moment, dephasing, thread, classify, criteria
        Settings of the stages.
    siderosis : SiderosisParams or None
        Settings of the search for superficial siderosis; None: no search.
    """

    threshold: float = 0.5
    classification: str = "refined"
    finders: tuple[str, ...] = ("radial_symmetry", "blob", "dipole_match", "chi_peak")
    most_findings: int = 500
    signal: SignalParams = field(default_factory=SignalParams)
    rim: RimParams = field(default_factory=RimParams)
    ring: RingParams = field(default_factory=RingParams)
    void: VoidParams = field(default_factory=VoidParams)
    shortlist: ShortlistParams = field(default_factory=ShortlistParams)
    tube: TubeParams = field(default_factory=TubeParams)
    moment: MomentParams = field(default_factory=MomentParams)
    dephasing: DephasingParams = field(default_factory=DephasingParams)
    thread: ThreadParams = field(default_factory=ThreadParams)
    classify: ClassifyParams = field(default_factory=ClassifyParams)
    criteria: CriteriaParams = field(default_factory=CriteriaParams)
    siderosis: SiderosisParams | None = field(default_factory=SiderosisParams)

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise ParameterError(
                f"operating point {self.threshold}",
                where="DetectParams.threshold",
                mend="Give a probability between 0 and 1.",
            )
        if self.most_findings < 1:
            raise ParameterError(
                f"{self.most_findings} findings",
                where="DetectParams.most_findings",
                mend="Give 1 or more.",
            )
        if not self.finders:
            raise ParameterError(
                "no finder",
                where="DetectParams.finders",
                mend=f"Choose among {', '.join(sorted(METHODS))}.",
            )
        for name in self.finders:
            choose(METHODS, name, "DetectParams.finders")
