"""Edits that make no sense: refused at the desk, before they are in the log."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import KDTree

from petechia.core.grid import Grid
from petechia.errors import ParameterError
from petechia.pipeline.review.events import Event
from petechia.pipeline.review.outline import Canvas, Surroundings, Voxels, flat_of
from petechia.pipeline.review.state import FindingState, Outline, ScanState

BESIDE_BRAIN_MM = 10.0
"""An outline may lie so far outside the brain mask: the mask may have missed a gyrus [mm]."""
LARGEST_ML = 200.0
"""No outline is larger: the largest hemorrhages that people live with are about that [mL]."""
MERGE_MM = 20.0
"""Findings whose nearest voxels are farther apart than this are not one [mm]."""


def require_sense(event: Event, state: ScanState, around: Surroundings) -> None:
    """Raise unless what a reader drew or merged can be one lesion of this brain.

    Parameters
    ----------
    event : Event
        With its voxels worked out (`outline.complete`).
    state : ScanState
        The scan before the event.
    around : Surroundings
        Grid, labels and brain mask.

    Raises
    ------
    ParameterError
        An outline is larger than 200 mL or lies more than 10 mm outside the brain mask,
        findings that are merged lie more than 20 mm apart, or what is drawn or accepted and
        another finding would be one lesion, counted twice.
    """
    grid = around.canvas.grid
    payload = event.payload
    for runs in (payload.get("runs", ()), *payload.get("parts", ())):
        _require_size(sum(length for _, length in runs), grid)
        if runs:
            flat = flat_of(tuple((start, length) for start, length in runs), grid.size)
            _require_near(flat, around.mask, grid)
    if event.kind == "merge":
        items = [state.finding(key) for key in (event.finding, *payload["with"])]
        _require_together([item for item in items if item is not None], around.canvas)
    _require_once(event, state, around.canvas)


def _require_once(event: Event, state: ScanState, canvas: Canvas) -> None:
    """Raise when one of two findings that count, or may yet, has all its voxels in the other."""
    known, runs = state.finding(event.finding), event.payload.get("runs")
    if event.kind in ("add", "outline") and runs:
        own = Outline(runs=tuple((start, length) for start, length in runs))
    elif event.kind == "decide" and event.payload["verdict"] == "accept" and known is not None:
        own = known.outline
    else:
        return
    mine = canvas.voxels(own)
    for other in state.findings:
        stands = other.decision.verdict == "accept" if other.decision else other.asked
        if other.key == event.finding or not stands:
            continue
        theirs = canvas.voxels(other.outline)
        least = min(len(mine), len(theirs))
        if least and len(np.intersect1d(mine, theirs, assume_unique=True)) == least:
            raise ParameterError(
                f"all voxels of one of {event.finding} and {other.key} lie within the other: "
                "that is one lesion, and would be counted twice",
                where="finding",
                mend=f"Decide on {other.key}, correct its outline, split it or merge it; or reject "
                "it first.",
            )


def _require_size(n_voxels: int, grid: Grid) -> None:
    ml = n_voxels * grid.voxel_mm3 / 1000
    if ml > LARGEST_ML:
        raise ParameterError(
            f"{n_voxels} voxels, {ml:.0f} mL",
            where="payload.runs",
            mend=f"A finding has at most {LARGEST_ML:g} mL: draw the lesion alone.",
        )


def _require_near(flat: Voxels, mask: npt.NDArray[np.bool_] | None, grid: Grid) -> None:
    """Raise when no voxel lies in the brain mask or within 10 mm of it."""
    if mask is None or not mask.any() or mask.ravel()[flat].any():
        return
    place = np.stack(np.unravel_index(flat, grid.shape), axis=1)
    reach = np.ceil(BESIDE_BRAIN_MM / grid.spacing_mm).astype(int)
    low = np.maximum(place.min(axis=0) - reach, 0)
    high = np.minimum(place.max(axis=0) + reach + 1, grid.shape)
    outside = ~mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    if not outside.all():
        away = ndimage.distance_transform_edt(outside, sampling=grid.spacing_mm)
        if away[tuple((place - low).T)].min() <= BESIDE_BRAIN_MM:
            return
    x, y, z = grid.to_mm(place.mean(axis=0))
    raise ParameterError(
        f"the outline at ({x:.0f}, {y:.0f}, {z:.0f}) mm has no voxel in the brain nor within "
        f"{BESIDE_BRAIN_MM:g} mm of it",
        where="payload.runs",
        mend="Draw it inside the brain; voxels count through the whole volume as it is stored.",
    )


def _require_together(items: list[FindingState], canvas: Canvas) -> None:
    """Raise when findings are not within 20 mm of each other, one by one."""
    _require_size(sum(len(canvas.voxels(item.outline)) for item in items), canvas.grid)
    first, *left = [(item, _places(item, canvas)) for item in items]
    here = first[1]
    while left:
        tree = KDTree(here)
        gaps = [float(tree.query(places)[0].min()) for _, places in left]
        n = int(np.argmin(gaps))
        if gaps[n] > MERGE_MM:
            raise ParameterError(
                f"{left[n][0].key} lies {gaps[n]:.0f} mm from what it would be merged with",
                where="payload.with",
                mend=f"What is one lesion lies within {MERGE_MM:g} mm: decide on each alone.",
            )
        here = np.concatenate([here, left.pop(n)[1]])


def _places(item: FindingState, canvas: Canvas) -> npt.NDArray[np.float64]:
    """Return the voxels of a finding [mm], or the place of one that has none."""
    flat = canvas.voxels(item.outline)
    if not len(flat):
        return np.array([[item.x_mm, item.y_mm, item.z_mm]])
    index = np.stack(np.unravel_index(flat, canvas.grid.shape), axis=1)
    return np.asarray(canvas.grid.to_mm(index))
