"""What the report of a reviewed scan shows: its table and summary, and the run's images."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy.typing as npt

from petechia.errors import PetechiaError
from petechia.files.finished import read_rows, read_volume
from petechia.files.output import OutputTree
from petechia.pipeline.review.cases import Case, ReviewFolder
from petechia.pipeline.review.images import decayed, reading_echo
from petechia.pipeline.review.tables import Table
from petechia.report.data import ReportData


def report_data(
    folder: ReviewFolder, tree: OutputTree, case: Case, summary: Mapping[str, Any], table: Table
) -> ReportData:
    """Return what the report of a reviewed scan is made of."""
    return ReportData(
        prefix=case.scan,
        summary=summary,
        findings=table.rows,
        labels=table.labels,
        volumes=_volumes(folder, tree, case),
        grid=case.grid,
        methods=(case.summary.get("report") or {}).get("methods") or (),
        says=tuple((case.summary.get("report") or {}).get("says") or ()),
        language=(case.summary.get("report") or {}).get("language") or "en",
        region_table=_region_table(case),
    )


def _volumes(folder: ReviewFolder, tree: OutputTree, case: Case) -> dict[str, Any]:
    """Return what the report shows, from the output and, where they are at hand, the images."""
    keys = ("swi", "mip", "chi", "r2star", "local_field", "brain_mask", "regions")
    found: dict[str, Any] = {}
    for key in keys:
        path = tree.path(key, case.name)
        if not path.is_file():
            continue
        volume, grid = read_volume(path)
        if grid.shape == case.grid.shape:
            found[key] = volume > 0 if key == "brain_mask" else volume
    magnitude = _magnitude(folder, case)
    return found | ({} if magnitude is None else {"magnitude": magnitude})


def _magnitude(folder: ReviewFolder, case: Case) -> npt.NDArray[Any] | None:
    """Return the echo that dark spots are read at; computed from S0 and R2* without images."""
    ref = folder.input(case.scan)
    if ref is not None:
        with suppress(PetechiaError):
            return reading_echo(ref, case)
    if case.path("s0").is_file() and case.path("r2star").is_file():
        return decayed(case)
    return None


def _region_table(case: Case) -> list[dict[str, Any]]:
    path = case.path("regions")
    table = path.with_name(path.name.replace(".nii.gz", ".tsv"))
    if not path.is_file() or not table.is_file():
        return []
    return [{**row, "index": int(row["index"])} for row in read_rows(table)]
