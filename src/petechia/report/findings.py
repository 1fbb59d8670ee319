"""Rows of the findings table, read once: numbers as numbers, order as a reader wants it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from petechia.report.data import number

Place = tuple[float, float, float]

REJECTED_ORDER = (
    "macrobleed",
    "undetermined",
    "microbleed",
    "calcification",
    "siderosis",
    "vessel",
    "iron",
    "air_tissue",
)
"""What a reader wants to check first comes first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One finding. None where the table says n/a."""

    index: int
    name: str
    kind: str
    counted: bool
    mars: str
    sign: str
    probability: float | None
    place_mm: Place | None
    diameter_mm: float | None
    moment: float | None
    moment_se: float | None
    row: Mapping[str, str]

    @classmethod
    def read(cls, row: Mapping[str, str], position: int) -> Self:
        """Return the entry of a table row; `position` stands in for a missing index."""
        index = number(row.get("index"))
        x, y, z = (number(row.get(f"{axis}_mm")) for axis in "xyz")
        placed = x is not None and y is not None and z is not None
        return cls(
            index=position if index is None else int(index),
            name=row.get("name", "") or f"finding {position}",
            kind=row.get("class", "undetermined"),
            counted=row.get("counted") == "1",
            mars=row.get("mars", "n/a"),
            sign=row.get("sign", "not_assessed"),
            probability=number(row.get("probability")),
            place_mm=(x, y, z) if placed else None,  # type: ignore[arg-type]
            diameter_mm=number(row.get("diameter_mm")),
            moment=number(row.get("moment_ppm_mm3")),
            moment_se=number(row.get("moment_se_ppm_mm3")),
            row=row,
        )

    @property
    def look(self) -> str:
        """How its ring is drawn: 'definite' (or counted and not graded), 'possible', 'other'."""
        if not self.counted:
            return "other"
        return "possible" if self.mars == "possible" else "definite"

    @property
    def ring_mm(self) -> float:
        """Radius of a ring that leaves the finding itself free [mm]."""
        return max(4.0, (self.diameter_mm or 0.0) / 2 + 2.0)

    @property
    def anchor(self) -> str:
        """Name of its place on the page."""
        return f"finding-{self.index}"


def read_entries(rows: Iterable[Mapping[str, str]]) -> list[Entry]:
    """Return all entries, the likeliest first, then by index."""
    entries = [Entry.read(row, position) for position, row in enumerate(rows, start=1)]
    return sorted(entries, key=lambda e: (-(e.probability or 0.0), e.index))


def rejected_groups(entries: Sequence[Entry]) -> list[tuple[str, list[Entry]]]:
    """Return what was not counted by class, known classes in `REJECTED_ORDER`."""
    groups: dict[str, list[Entry]] = {kind: [] for kind in REJECTED_ORDER}
    for entry in entries:
        if not entry.counted:
            groups.setdefault(entry.kind, []).append(entry)
    return [(kind, members) for kind, members in groups.items() if members]


def picture_order(entries: Sequence[Entry]) -> list[Entry]:
    """Return entries by how much a reader needs to see them: counted, macrobleeds, likeliest."""
    return sorted(entries, key=lambda e: (not e.counted, e.kind != "macrobleed"))
