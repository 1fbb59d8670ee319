"""One session of a person, as the follow-up reads it from an output folder."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.core.grid import Grid
from petechia.errors import FileError
from petechia.files.contract import contract, place
from petechia.files.finished import read_rows, read_summary, read_volume
from petechia.files.scan import ScanName
from petechia.lesions.findings import Finding, from_row
from petechia.lesions.forced import Maps
from petechia.pipeline.review.cases import ReviewFolder
from petechia.pipeline.review.images import dark_image

HIDING = ("macrobleed", "air_tissue")
"""Classes within whose voids a microbleed cannot be told."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Visit:
    """One scan of a person, with the readers' decisions where they were applied.

    Attributes
    ----------
    name : ScanName
    summary : mapping
        Of its run, or of the review that was applied.
    findings : tuple of Finding
        All.
    maps : Maps
        What it shows at a place.
    labels : (I, J, K) ndarray of int
        The voids of the findings by their index.
    """

    name: ScanName
    summary: Mapping[str, Any]
    findings: tuple[Finding, ...]
    maps: Maps
    labels: npt.NDArray[np.int32]

    @property
    def scan(self) -> str:
        """Its prefix."""
        return self.name.prefix

    @property
    def grid(self) -> Grid:
        """Of its volumes."""
        return self.maps.grid

    @property
    def assessable(self) -> bool:
        """False when the scan cannot show microbleeds at all."""
        return bool(self.summary["category"] != "not_assessable")

    @property
    def places_mm(self) -> npt.NDArray[np.float64]:
        """Where its findings lie, its own scanner RAS, (N, 3) [mm]."""
        places = [f.source_mm or (f.x_mm, f.y_mm, f.z_mm) for f in self.findings]
        return np.array(places, dtype=np.float64).reshape(-1, 3)

    @property
    def protocol(self) -> dict[str, Any]:
        """What decides what can be seen, for a comparison of protocols."""
        told = self.summary["protocol"]
        return {**told, "reading_te_s": self.summary["reading_te_s"]}


def read_visit(folder: ReviewFolder, scan: str) -> Visit:
    """Return a finished scan.

    Raises
    ------
    FileError
        A file of it cannot be read, or it has no image in which bleeds are dark.
    """
    case = folder.case(scan)
    agreed = contract()
    table = folder.root / place(str(agreed.file("findings").table), case.name)
    summary = read_summary(case.path("summary"))
    findings = tuple(from_row(row) for row in read_rows(table))
    labels, grid = read_volume(case.path("findings"))
    labels = np.rint(labels).astype(np.int32)
    dark = dark_image(folder, case)
    if dark is None or case.mask is None:
        raise FileError(
            "no image in which bleeds are dark is at hand",
            where=scan,
            mend="Give the input of the run as --images, or run the scan again with all steps.",
        )
    hiding = [f.index for f in findings if f.class_ in HIDING]
    maps: dict[str, npt.NDArray[Any] | None] = {}
    for key in ("local_field", "chi"):
        path = case.path(key)
        maps[key] = read_volume(path)[0] if path.is_file() else None
    return Visit(
        name=case.name,
        summary=summary,
        findings=findings,
        maps=Maps.of(
            np.asarray(dark, dtype=np.float32),
            case.mask,
            grid,
            labels,
            np.isin(labels, hiding),
            maps["local_field"],
            maps["chi"],
        ),
        labels=labels,
    )
