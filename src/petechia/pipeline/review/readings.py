"""What each reader said of each scan, reduced to what agreement and calibration need.

Only a reader's own decisions are a reading: what was left undecided is nobody's word, though the
software's stands in the table.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from petechia.errors import FileError
from petechia.lesions.criteria import CriteriaParams, patient_category
from petechia.pipeline.review.cases import ReviewFolder
from petechia.pipeline.review.state import HIT_MM, Basis, FindingState, ScanState


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """One finding as a reader left it.

    Attributes
    ----------
    key : str
        As in the log.
    x_mm, y_mm, z_mm : float
        Where it is, scanner RAS [mm].
    asked, decided : bool
        Whether a decision was asked for, and made.
    counted : bool
        Whether this reader called it a microbleed; False when undecided.
    class_, site, side, compartment : str
        In the contract's words.
    probability : float or None
        The software's; None for what only a reader saw.
    seconds : float
        Spent on it [s].
    """

    key: str
    x_mm: float
    y_mm: float
    z_mm: float
    asked: bool
    decided: bool
    counted: bool
    class_: str
    site: str
    side: str
    compartment: str
    probability: float | None
    seconds: float = 0.0

    @property
    def place_mm(self) -> tuple[float, float, float]:
        """Where it is [mm]."""
        return self.x_mm, self.y_mm, self.z_mm


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One scan as one reader left it in one round.

    Attributes
    ----------
    scan, reader, round
        Whose reading of what.
    finished : bool
        Whether the reader was done with it.
    spots : tuple of Spot
        All findings, decided or not.
    near_mm : float
        Places at most so far apart are one lesion: 5 mm, or a slice when that is more.
    params : CriteriaParams
        How the patient's category is made.
    seconds : float
        Spent on the scan, notes and forms included [s].
    """

    scan: str
    reader: str
    round: int = 1
    finished: bool = True
    spots: tuple[Spot, ...] = ()
    near_mm: float = HIT_MM
    params: CriteriaParams = field(default_factory=CriteriaParams)
    seconds: float = 0.0

    @property
    def rater(self) -> tuple[str, int]:
        """Reader and round."""
        return self.reader, self.round

    @property
    def counted(self) -> tuple[Spot, ...]:
        """What this reader called a microbleed."""
        return tuple(spot for spot in self.spots if spot.counted)

    @property
    def n_undecided(self) -> int:
        """Findings that were asked for and left."""
        return sum(spot.asked and not spot.decided for spot in self.spots)

    @property
    def category(self) -> str:
        """The patient's category by this reader's own microbleeds."""
        return patient_category(self.counted, self.params)


def person_of(scan: str) -> str:
    """Return whose scan it is: the subject of its prefix."""
    return scan.split("_", 1)[0]


def reading_of(state: ScanState, slice_mm: float = 0.0) -> Reading:
    """Return what a reader said of a scan.

    Parameters
    ----------
    state : ScanState
        Of one reader in one round, or the consensus.
    slice_mm : float
        Thickness of its slices [mm].
    """
    return Reading(
        scan=state.scan,
        reader=state.reader,
        round=state.round,
        finished=state.finished,
        spots=tuple(_spot(item) for item in state.findings),
        near_mm=max(HIT_MM, slice_mm),
        params=state.basis.params,
        seconds=state.seconds,
    )


def _spot(item: FindingState) -> Spot:
    return Spot(
        key=item.key,
        x_mm=item.x_mm,
        y_mm=item.y_mm,
        z_mm=item.z_mm,
        asked=item.asked,
        decided=item.decided,
        counted=item.decided and item.counted,
        class_=item.class_,
        site=item.site,
        side=item.side,
        compartment=item.compartment,
        probability=item.probability,
        seconds=item.seconds,
    )


def by_scan(readings: Iterable[Reading]) -> dict[str, dict[tuple[str, int], Reading]]:
    """Return the finished readings of each scan by reader and round, scans in order of name."""
    found: dict[str, dict[tuple[str, int], Reading]] = {}
    for reading in readings:
        if reading.finished:
            found.setdefault(reading.scan, {})[reading.rater] = reading
    return {scan: found[scan] for scan in sorted(found)}


def slice_mm(summary: Mapping[str, object]) -> float:
    """Return the largest side of a voxel from a scan's summary [mm]; 0 when it is not told."""
    protocol = summary.get("protocol")
    told = protocol.get("spacing_mm") if isinstance(protocol, Mapping) else None
    return max((float(v) for v in told), default=0.0) if isinstance(told, list | tuple) else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """Every reading of an output, and what is missing.

    Attributes
    ----------
    readings : list of Reading
        Each scan by each reader in each round.
    unread : mapping of str to str
        Scans with decisions whose results cannot be read, and why.
    """

    readings: list[Reading]
    unread: Mapping[str, str]

    @property
    def notes(self) -> list[str]:
        """What a table of agreement must say of scans that are not in it."""
        return [f"{scan} is left out: {why}." for scan, why in self.unread.items()]


def open_scan(folder: ReviewFolder, scan: str) -> tuple[Basis, Mapping[str, Any]]:
    """Return what a scan's decisions stand on, and its summary.

    Raises
    ------
    FileError
        It is not there, or cannot be read.
    """
    if folder.find(scan) is None:
        raise FileError(
            "the output has no results of it", where=scan, mend="Run it again: decisions are kept."
        )
    return folder.told(scan)
