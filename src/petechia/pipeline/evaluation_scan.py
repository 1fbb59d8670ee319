"""One scan of a tool against its truth, read and compared as far as volumes are needed."""

import json
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.core.grid import Grid
from petechia.errors import FileError, GridMismatchError
from petechia.evaluate.spots import (
    MICROBLEED,
    Case,
    Extent,
    extent_of,
    extent_of_places,
    findings_at,
)
from petechia.evaluate.valdo import ValdoParams, ValdoScore, valdo_scan
from petechia.files.nifti import read_on_grid, require_same_grid
from petechia.pipeline.evaluation_files import Side
from petechia.pipeline.evaluation_maps import MapScores, compare_maps
from petechia.pipeline.evaluation_read import (
    APART_MM,
    INSIDE,
    Labels,
    Spots,
    findings_of,
    lesions_of,
    read_spots,
)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ReadScan:
    """One scan, read and compared as far as volumes are needed.

    Attributes
    ----------
    name : str
        The scan.
    case : Case or None
        None when a side says nothing of lesions.
    valdo : ValdoScore or None
        None without volumes on one grid.
    maps : MapScores
    finding_index : tuple of str
        What each finding is called in its table or image.
    vein_fraction : tuple of float
        The most that a voxel of each finding is true vein, 0 to 1; empty where not known.
    notes : tuple of str
        What could not be compared, and why.
    """

    name: str
    case: Case | None
    valdo: ValdoScore | None
    maps: MapScores
    finding_index: tuple[str, ...] = ()
    vein_fraction: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()


def read_scan(
    predicted: Side,
    truth: Side,
    *,
    threshold: float | None = None,
    valdo: ValdoParams | None = None,
) -> ReadScan:
    """Read both sides of a scan and compare what needs volumes.

    Parameters
    ----------
    predicted, truth : Side
        Their files.
    threshold : float, optional
        Count findings from this probability on instead of as the tool does; in probability
        images, where voxels are inside (0.5).
    valdo : ValdoParams, optional
        Open parameters of the challenge's rules.

    Raises
    ------
    PetechiaError
        A file that cannot be read or used.
    """
    notes: list[str] = []
    case: Case | None = None
    score: ValdoScore | None = None
    index: tuple[str, ...] = ()
    veins: tuple[float, ...] = ()
    true: Spots | None = None
    if predicted.has_lesions and truth.has_lesions:
        true = read_spots(truth, INSIDE)
        found = read_spots(predicted, INSIDE if threshold is None else threshold)
        notes += _scattered("the truth's", true) + _scattered("the tool's", found)
        case = Case(
            name=truth.key,
            subject=dict(truth.entities).get("sub", truth.key),
            truth=lesions_of(true),
            predicted=findings_of(found, threshold),
            slice_mm=_slice_mm(predicted, true.grid or found.grid),
        )
        case = _with_extents(case, true, found, notes)
        score = _valdo(case, true, found, valdo, notes)
        index = tuple(str(n) for n in found.index)
        veins = _vein_fraction(case, truth, true)
        if _facts(predicted).get("category") == "not_assessable":
            notes.append("the tool calls a scan not assessable: taken as nothing found")
        facts = _facts(truth)
        if facts and not facts.get("review"):
            notes.append("the truth is software output that nobody has reviewed: no truth at all")
    maps = compare_maps(predicted, truth, true, notes)
    return ReadScan(
        name=truth.key,
        case=case,
        valdo=score,
        maps=maps,
        finding_index=index,
        vein_fraction=veins,
        notes=tuple(notes),
    )


def _scattered(whose: str, spots: Spots) -> list[str]:
    if not spots.scattered:
        return []
    return [
        f"{whose} label image has a value in parts more than {APART_MM:g} mm apart: it is taken "
        "as one lesion; give a mask (one value above 0) to count its parts"
    ]


def empty_scan(truth: Side) -> ReadScan:
    """Return a scan that a tool has no result for, taken as one where it found nothing."""
    true = read_spots(truth, INSIDE)
    ours = _no_extent() if true.labels is None else extent_of(true.labels, true.index)
    case = Case(
        name=truth.key,
        subject=dict(truth.entities).get("sub", truth.key),
        truth=replace(lesions_of(true), extent=ours),
        predicted=findings_at(np.zeros((0, 3)), extent=_no_extent()),
        slice_mm=_slice_mm(truth, true.grid),
    )
    notes = ("no result of the tool: taken as nothing found",)
    return ReadScan(name=truth.key, case=case, valdo=None, maps=MapScores(), notes=notes)


def _no_extent() -> Extent:
    nothing = np.zeros(0, dtype=np.intp)
    return Extent(voxel=nothing, owner=nothing)


def _facts(side: Side) -> dict[str, Any]:
    """Return the summary of a run of ours; {} without one."""
    if side.summary is None:
        return {}
    try:
        return dict(json.loads(side.summary.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise FileError(
            f"not a summary ({type(error).__name__})",
            where=str(side.summary),
            mend="Run that scan again, or take the file away.",
        ) from error


def _slice_mm(side: Side, grid: Grid | None) -> float:
    """Return the slice thickness that a summary states, else the voxel along the slices."""
    stated = (_facts(side).get("protocol") or {}).get("slice_thickness_mm")
    if isinstance(stated, int | float):
        return float(stated)
    return float(grid.spacing_mm[grid.slice_axis]) if grid is not None else math.nan


def _vein_fraction(case: Case, truth: Side, true: Spots) -> tuple[float, ...]:
    """Return how far the voxels of each finding are true vein; () where not known."""
    extent = case.predicted.extent
    if extent is None or true.grid is None or "veins" not in truth.maps:
        return ()
    veins = read_on_grid(truth.maps["veins"], true.grid).ravel()
    most = np.zeros(len(case.predicted))
    np.maximum.at(most, extent.owner, veins[extent.voxel])
    return tuple(most.tolist())


def _given(case: Case, true: Extent | None, found: Extent | None) -> Case:
    """Return the case with voxels."""
    return replace(
        case,
        truth=replace(case.truth, extent=true),
        predicted=replace(case.predicted, extent=found),
    )


def _with_extents(case: Case, true: Spots, found: Spots, notes: list[str]) -> Case:
    grid = true.grid or found.grid
    if grid is None:
        notes.append("no label image on either side: the touch rule cannot be asked")
        return case
    ours = _extent(true, case.truth.place_mm, grid)
    if found.labels is not None and found.grid is not None and not _same(found.grid, grid):
        notes.append("findings lie on another grid: their voxels were brought to the truth's")
        return _given(case, ours, _moved(found, true.labels, grid))
    return _given(case, ours, _extent(found, case.predicted.place_mm, grid))


def _same(one: Grid, other: Grid) -> bool:
    try:
        require_same_grid(one, "findings", other, "the truth")
    except GridMismatchError:
        return False
    return True


def _extent(spots: Spots, place_mm: npt.NDArray[np.float64], grid: Grid) -> Extent:
    if spots.labels is None:
        return extent_of_places(place_mm, grid)
    return extent_of(spots.labels, spots.index)


def _moved(found: Spots, true_labels: Labels | None, grid: Grid) -> Extent:
    """Return voxels of findings on the truth's grid: nearest neighbour, both ways.

    Centres of found voxels fall into true voxels; and centres of labelled true voxels are
    looked up among the findings, so that neither the finer nor the coarser grid loses any.
    """
    labels, own = _required_labels(found)
    at = np.argwhere(labels)
    forth = np.round(grid.to_index(own.to_mm(at))).astype(np.int64).reshape(-1, 3)
    pairs = [(forth, labels[tuple(at.T)])]
    if true_labels is not None:
        there = np.argwhere(true_labels)
        back = np.round(own.to_index(grid.to_mm(there))).astype(np.int64).reshape(-1, 3)
        inside = ((back >= 0) & (back < np.array(own.shape))).all(axis=1)
        value = labels[tuple(back[inside].T)]
        pairs.append((there[inside][value > 0], value[value > 0]))
    position = {label: n for n, label in enumerate(found.index)}
    voxels, owners = [], []
    for place, value in pairs:
        inside = ((place >= 0) & (place < np.array(grid.shape))).all(axis=1)
        voxels.append(np.ravel_multi_index(tuple(place[inside].T), grid.shape))
        owners.append(np.array([position.get(int(v), -1) for v in value[inside]], dtype=np.intp))
    voxel, owner = np.concatenate(voxels), np.concatenate(owners)
    return Extent(voxel=voxel[owner >= 0].astype(np.intp), owner=owner[owner >= 0])


def _required_labels(spots: Spots) -> tuple[Labels, Grid]:
    if spots.labels is None or spots.grid is None:
        raise RuntimeError("findings without labels were moved")
    return spots.labels, spots.grid


def _valdo(
    case: Case, true: Spots, found: Spots, params: ValdoParams | None, notes: list[str]
) -> ValdoScore | None:
    """Return the challenge's measures; its truth is every visible microbleed's voxels."""
    if true.labels is None or found.labels is None or true.grid is None or found.grid is None:
        notes.append("VALDO's rules need images of truth and findings")
        return None
    if not _same(found.grid, true.grid):
        notes.append("VALDO's rules need one grid")
        return None
    seen = (case.truth.kind == MICROBLEED) & case.truth.visible
    reference = np.isin(true.labels, np.array(true.index, dtype=np.int64)[seen])
    if found.image is not None:
        prediction = found.image
    else:
        counted = np.array(found.index, dtype=np.int64)[case.predicted.counted]
        prediction = np.isin(found.labels, counted).astype(np.float32)
    return valdo_scan(reference.astype(np.float32), prediction, true.grid, params)
