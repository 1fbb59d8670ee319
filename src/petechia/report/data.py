"""What a report is made of, checked once so that the page can trust it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.core.grid import Grid
from petechia.errors import InputError, ParameterError

RESEARCH_USE = (
    "Research use only. Not a medical device; not for diagnosis, treatment or drug-eligibility "
    "decisions. Every finding needs review by a qualified reader on the original images. "
    "A negative output does not exclude microbleeds."
)
"""Printed at the top and at the bottom of every page, whatever the summary says."""

VOLUMES = ("magnitude", "swi", "mip", "chi", "r2star", "local_field", "brain_mask", "regions")
"""Names a report knows; any of them may be absent or None."""

STATUSES = ("done", "failed")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ReportData:
    """One scan's results, as arrays and plain values.

    Attributes
    ----------
    prefix : str
        BIDS entities of the scan: the only name that appears on the page.
    summary : mapping
        The summary file's content, keys as in `contract.toml`.
    findings : sequence of mappings
        Rows of the findings table: contract columns, values as text, "n/a" where unmeasured.
    labels : (I, J, K) ndarray of int, or None
        Voxel value = index of the finding.
    volumes : mapping of str to (I, J, K) ndarray or None
        Any of `VOLUMES`: magnitude, swi, mip (arbitrary units), chi, local_field [ppm],
        r2star [1/s], brain_mask (bool), regions (int labels).
    grid : Grid
        Shared geometry.
    methods : sequence of mappings
        Rows with `stage`, `method`, `summary`, `doi` in the order they were run.
    says : tuple of str
        What the search itself has to say about its own completeness.
    language : str
        Of the page: 'en' or 'zh'.
    region_table : sequence of mappings
        Rows with `index` and `compartment`: colours of the region map. Empty: no region map.

    Raises
    ------
    GridMismatchError
        A volume or the labels do not fit `grid`.
    InputError
        The findings and the summary's total disagree.
    ParameterError
        A volume has a name that no report shows.
    """

    prefix: str
    summary: Mapping[str, Any]
    findings: Sequence[Mapping[str, str]]
    labels: npt.NDArray[np.integer[Any]] | None
    volumes: Mapping[str, npt.NDArray[Any] | None]
    grid: Grid
    methods: Sequence[Mapping[str, str]] = ()
    says: tuple[str, ...] = ()
    language: str = "en"
    region_table: Sequence[Mapping[str, Any]] = ()

    def __post_init__(self) -> None:
        for name, volume in self.volumes.items():
            if name not in VOLUMES:
                raise ParameterError(
                    f"unknown volume {name!r}",
                    where="ReportData.volumes",
                    mend=f"A report shows {', '.join(VOLUMES)}.",
                )
            if volume is not None:
                self.grid.require(volume, f"ReportData.volumes[{name!r}]")
        if self.labels is not None:
            self.grid.require(self.labels, "ReportData.labels")
        counted = sum(row.get("counted") == "1" for row in self.findings)
        total = self.counts.get("total", 0)
        if counted != total:
            raise InputError(
                f"{counted} findings are marked as counted but counts.total is {total}",
                where="ReportData.summary",
                mend="Counts everywhere are sums of the column `counted`: make the summary anew.",
            )

    @property
    def counts(self) -> Mapping[str, Any]:
        """The summary's counts; empty when it has none."""
        return self.summary.get("counts") or {}

    @property
    def protocol(self) -> Mapping[str, Any]:
        """The summary's protocol; empty when it has none."""
        return self.summary.get("protocol") or {}

    @property
    def fitness(self) -> Sequence[Mapping[str, Any]]:
        """The summary's fitness checks."""
        return self.summary.get("fitness") or ()

    @property
    def assessable(self) -> bool:
        """False when this scan cannot show microbleeds at all."""
        return self.summary.get("category") != "not_assessable"

    def volume(self, name: str) -> npt.NDArray[Any] | None:
        """Return a volume, or None when this scan has none of that name."""
        return self.volumes.get(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexRow:
    """One scan on the index page.

    Attributes
    ----------
    prefix : str
        BIDS entities of the scan.
    status : str
        'done' or 'failed'.
    message : str
        Why it failed, or a remark on a finished one.
    counts : mapping or None
        `total`, `definite`, `possible` of the summary.
    category, count_bin : str
        As in the summary.
    link : str
        Report beside the index, a bare file name; empty when there is none.
    follow : str
        Page of the person's follow-up beside the index; empty when there is none.
    """

    prefix: str
    status: str
    message: str = ""
    counts: Mapping[str, int] | None = None
    category: str = ""
    count_bin: str = ""
    link: str = ""
    follow: str = ""

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ParameterError(
                f"status {self.status!r}",
                where="IndexRow.status",
                mend=f"Choose one of {', '.join(STATUSES)}.",
            )
        both = self.link + self.follow
        if any(mark in both for mark in ("/", "\\", ":", "?", "#")):
            raise ParameterError(
                f"link {both!r} is not the bare name of a file",
                where="IndexRow.link",
                mend="Reports lie beside the index: give the file name alone.",
            )


def number(text: Any) -> float | None:
    """Return a table's value as a finite number; None for "n/a" and the like."""
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None
