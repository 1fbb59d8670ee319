"""The voxels of findings: runs and arrays, grown from a click, split, painted, measured again.

Arrays in, arrays out. A run is (start, length) in the flattened grid, C order, so an outline is
as good on any later reading of the same images.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.core.grid import Grid
from petechia.errors import ParameterError
from petechia.lesions.rim import Rim
from petechia.lesions.ring import fill_rings
from petechia.lesions.shape import in_plane_diameter
from petechia.lesions.signal import relative_signal
from petechia.lesions.void import Void, VoidParams, grow_voids
from petechia.pipeline.review.events import Event, Runs
from petechia.pipeline.review.state import Outline, ScanState

Voxels = npt.NDArray[np.int64]
"""(N,) flat voxel numbers, C order, ascending, each once."""
Labels = npt.NDArray[np.integer[Any]]
Place = Callable[[tuple[int, int, int]], Mapping[str, str]]
CLICK = VoidParams(reach_mm=5.0, least_depth=0.05, least_depth_sd=1.0)
"""A reader says that something is there: less contrast is asked for, and 10 mm is the most."""
CLICK_MM = 3.0
"""A void whose nearest voxel is farther than this from the click is another one."""
BALL_MM = 1.5
"""Radius of what stands in where nothing dark is found."""
CROP_MM = 25.0


def flat_of(runs: Runs, size: int) -> Voxels:
    """Return the voxels of runs, those of a volume of `size` voxels."""
    parts = [np.arange(start, min(start + n, size)) for start, n in runs if start < size]
    return np.unique(np.concatenate([np.zeros(0, np.int64), *parts]))


def runs_of(flat: npt.ArrayLike) -> Runs:
    """Return voxels, in any order, as runs."""
    sorted_ = np.unique(np.asarray(flat, dtype=np.int64))
    if not len(sorted_):
        return ()
    first = np.flatnonzero(np.diff(sorted_, prepend=sorted_[0] - 2) != 1)
    length = np.diff(np.append(first, len(sorted_)))
    return tuple((int(s), int(n)) for s, n in zip(sorted_[first], length, strict=True))


class Canvas:
    """The grid and label image of a scan, for outlines.

    Parameters
    ----------
    labels : (I, J, K) ndarray of int
        Of the software: voxel value = index of the finding.
    grid : Grid
        Its geometry.
    place : callable, optional
        Voxel (i, j, k) to `site`, `side` and `compartment`; {} where there are no regions.
    """

    def __init__(self, labels: Labels, grid: Grid, place: Place | None = None) -> None:
        grid.require(labels, "labels")
        self.labels, self.grid, self.place = labels, grid, place
        self._measured: dict[Outline, Mapping[str, Any] | None] = {}

    @cached_property
    def _boxes(self) -> list[tuple[slice, slice, slice] | None]:
        return list(ndimage.find_objects(np.asarray(self.labels, dtype=np.int32)))

    def voxels(self, outline: Outline) -> Voxels:
        """Return the voxels of an outline; those beyond the grid are left out."""
        found = [flat_of(outline.runs, self.grid.size)]
        for label in outline.labels:
            box = self._boxes[label - 1] if 0 < label <= len(self._boxes) else None
            if box is not None:
                corner = np.array([s.start for s in box])
                place = np.argwhere(self.labels[box] == label) + corner
                found.append(np.ravel_multi_index(tuple(place.T), self.grid.shape))
        return np.unique(np.concatenate(found))

    def measure(self, outline: Outline) -> Mapping[str, Any] | None:
        """Return centre, volume, diameter and place of an outline, by the software's own rules.

        The diameter is the longest extent within one slice; site, side and compartment are
        those of its voxel nearest the centre, where there are regions. None for an outline
        without a voxel. Answers are kept.
        """
        if outline not in self._measured:
            self._measured[outline] = self.told(self.voxels(outline))
        return self._measured[outline]

    def told(self, flat: Voxels) -> Mapping[str, Any] | None:
        """Return what `measure` does, of voxels."""
        sizes = measured(flat, self.grid)
        if sizes is None or self.place is None:
            return sizes
        index = np.stack(np.unravel_index(flat, self.grid.shape), axis=1)
        away = (index - index.mean(axis=0)) * self.grid.spacing_mm
        i, j, k = index[np.argmin((away**2).sum(axis=1))].tolist()
        return {**sizes, **self.place((i, j, k))}

    def paint(self, outlines: Sequence[Outline]) -> tuple[npt.NDArray[np.int32], list[int]]:
        """Return the outlines as labels 1, 2, ... and how many voxels each was left.

        Where outlines overlap the smaller one stands, so that none is lost below another.
        """
        painted = np.zeros(self.grid.size, dtype=np.int32)
        parts = [self.voxels(outline) for outline in outlines]
        for n in sorted(range(len(parts)), key=lambda n: (-len(parts[n]), n)):
            painted[parts[n]] = n + 1
        left = np.bincount(painted, minlength=len(parts) + 1)[1:]
        return painted.reshape(self.grid.shape), [int(n) for n in left]


def measured(flat: Voxels, grid: Grid) -> dict[str, float] | None:
    """Return `x_mm`, `y_mm`, `z_mm`, `volume_mm3` and `diameter_mm` of voxels; None of none."""
    if not len(flat):
        return None
    place = np.stack(np.unravel_index(flat, grid.shape), axis=1)
    x, y, z = (round(float(v), 3) for v in grid.to_mm(place.mean(axis=0)))
    return {
        "x_mm": x,
        "y_mm": y,
        "z_mm": z,
        "volume_mm3": len(flat) * grid.voxel_mm3,
        "diameter_mm": in_plane_diameter(place, grid),
    }


def grow(
    image: npt.NDArray[np.floating],
    mask: npt.NDArray[np.bool_] | None,
    place_mm: Sequence[float],
    grid: Grid,
) -> Voxels:
    """Return the dark connected void around a place that a reader pointed at.

    Grown as the software grows its own (`lesions.void.grow_voids`), with less contrast asked
    for and no farther than 5 mm from its darkest voxel. Where nothing dark is near, a ball of
    1.5 mm around the place stands in: the reader can correct it.

    Parameters
    ----------
    image : (I, J, K) ndarray of float
        Magnitude or SWI: bleeds are dark.
    mask : (I, J, K) ndarray of bool or None
        Brain. A place outside of it is looked at all the same.
    place_mm : (x, y, z)
        Scanner RAS [mm].
    grid : Grid
        Geometry.

    Raises
    ------
    ParameterError
        The place lies outside the volume.
    """
    grid.require(image, "image")
    at = grid.to_index(place_mm)
    shape = np.asarray(grid.shape)
    if (at < -0.5).any() or (at > shape - 0.5).any():
        raise ParameterError(
            f"({', '.join(f'{v:g}' for v in place_mm)}) mm lies outside the volume",
            where="place",
            mend="Point at a place inside the images.",
        )
    seed = np.clip(np.rint(at), 0, shape - 1).astype(np.int64)
    margin = np.ceil(CROP_MM / grid.spacing_mm).astype(np.int64)
    low, high = np.maximum(seed - margin, 0), np.minimum(seed + margin + 1, shape)
    i, j, k = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    near = grid.cut((i, j, k))
    cut = np.nan_to_num(np.asarray(image[i, j, k], dtype=np.float32))
    brain = np.ones(near.shape, bool) if mask is None else np.ascontiguousarray(mask[i, j, k])
    if not brain[tuple(seed - low)]:
        brain = cut > 0
    signal = relative_signal(cut, brain, near)
    level = fill_rings(Rim.of(brain, near).level(signal.value), near)  # as the detector sees it
    voids = grow_voids(level, signal.texture, brain, (seed - low)[None], near, CLICK)
    body = _nearest(voids, seed - low, near) if voids else None
    if body is None:
        body = _ball(at - low, near)
    whole = body + low
    return np.unique(np.ravel_multi_index(tuple(whole.T), grid.shape))


def _nearest(voids: Sequence[Void], seed: Voxels, grid: Grid) -> Voxels | None:
    gaps = [np.linalg.norm((v.body - seed) * grid.spacing_mm, axis=1).min() for v in voids]
    best = int(np.argmin(gaps))
    reach = max(CLICK_MM, float(grid.spacing_mm.max()))
    return voids[best].body if gaps[best] <= reach else None


def _ball(at: npt.NDArray[np.float64], grid: Grid) -> Voxels:
    index = np.indices(grid.shape).reshape(3, -1).T
    gap = np.linalg.norm((index - at) * grid.spacing_mm, axis=1)
    return np.asarray(index[gap <= max(BALL_MM, float(gap.min()) + 1e-6)])


def split(flat: Voxels, places_mm: Sequence[Sequence[float]], grid: Grid) -> tuple[Runs, Runs]:
    """Return voxels in two: each goes to the nearer of two places.

    Floods from the two places, over the image or over the depth of the outline, were worse on
    touching balls (`validation/split.py`).

    Raises
    ------
    ParameterError
        One part would be empty.
    """
    place = grid.to_mm(np.stack(np.unravel_index(flat, grid.shape), axis=1))
    gaps = np.linalg.norm(place[:, None] - np.asarray(places_mm, dtype=float)[None], axis=2)
    first = gaps[:, 0] <= gaps[:, 1]
    if first.all() or not first.any():
        raise ParameterError(
            "one of the two parts has no voxel",
            where="payload.at_mm",
            mend="Point at two places inside the finding, one in each part.",
        )
    return runs_of(flat[first]), runs_of(flat[~first])


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Surroundings:
    """What an event's voxels are found with; `image` is loaded only when it is needed.

    Attributes
    ----------
    canvas : Canvas
    image : callable
        Gives the magnitude or SWI (I, J, K); None when there is none.
    mask : (I, J, K) ndarray of bool or None
        Brain.
    region : callable or None
        Voxel (i, j, k) to (site, side); None where it lies in no region.
    """

    canvas: Canvas
    image: Callable[[], npt.NDArray[np.floating] | None] = lambda: None
    mask: npt.NDArray[np.bool_] | None = None
    region: Callable[[tuple[int, int, int]], tuple[str, str] | None] | None = None


def complete(event: Event, state: ScanState, around: Surroundings) -> Event:
    """Return an event with its voxels worked out, so that the log needs no image.

    An `add` without runs gets those grown around its place, and the region's site and side
    where it names none; a `split` at two places gets its parts. Others stay as they are.

    Raises
    ------
    ParameterError
        The place is outside the volume, runs reach beyond it, or a part would be empty.
    """
    grid = around.canvas.grid
    payload = dict(event.payload)
    if event.kind == "add":
        if not payload.get("runs"):
            place = [payload[axis] for axis in ("x_mm", "y_mm", "z_mm")]
            image = around.image()
            flat = (
                np.unique(np.ravel_multi_index(tuple(_in_grid(place, grid).T), grid.shape))
                if image is None
                else grow(image, around.mask, place, grid)
            )
            payload["runs"] = [list(run) for run in runs_of(flat)]
        if "site" not in payload and around.region is not None:
            i, j, k = _in_grid([payload[axis] for axis in ("x_mm", "y_mm", "z_mm")], grid)[0]
            found = around.region((int(i), int(j), int(k)))
            payload |= dict(zip(("site", "side"), found, strict=True)) if found else {}
    if event.kind == "split" and "at_mm" in payload:
        parent = state.finding(event.finding)
        flat = around.canvas.voxels(parent.outline) if parent else np.zeros(0, np.int64)
        parts = split(flat, payload["at_mm"], grid)
        payload = {"parts": [[list(run) for run in part] for part in parts]}
    for runs in (payload.get("runs", ()), *payload.get("parts", ())):
        if runs and runs[-1][0] + runs[-1][1] > grid.size:
            raise ParameterError(
                f"voxel {sum(runs[-1]) - 1} of {grid.size}",
                where="payload.runs",
                mend="Count voxels of the whole volume as it is stored, last axis fastest.",
            )
    return dataclasses.replace(event, payload=payload)


def _in_grid(place_mm: Iterable[float], grid: Grid) -> Voxels:
    """Return the voxel (1, 3) that holds a place; `ParameterError` outside of the grid."""
    at = np.rint(grid.to_index(list(place_mm))).astype(np.int64)
    if (at < 0).any() or (at >= np.asarray(grid.shape)).any():
        raise ParameterError(
            "the place lies outside the volume",
            where="place",
            mend="Point at a place inside the images.",
        )
    return at[None]
