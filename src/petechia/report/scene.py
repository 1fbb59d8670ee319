"""A scan prepared for pictures: laid out, windowed, cropped to the brain, findings placed."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.report.data import ReportData
from petechia.report.findings import Entry
from petechia.report.pictures import Window, intensity_window, rate_window
from petechia.report.planes import Box, Layout, Plane, cut, spot_mm

Array = npt.NDArray[Any]
MARGIN_MM = 5.0
CHI = Window(-0.2, 0.2, "ppm")
"""Fixed, so that the same grey is the same susceptibility in every report."""
FIELD = Window(-0.06, 0.06, "ppm")


@dataclass(frozen=True, slots=True)
class Mark:
    """A ring on a picture, from its left and top edges [mm]."""

    left_mm: float
    top_mm: float
    radius_mm: float
    look: str
    index: int


@dataclass(frozen=True, slots=True)
class Spot:
    """A finding in laid voxels: its centre and the slice that shows it."""

    entry: Entry
    place: Array
    slice: int


def brain_extent(layout: Layout, mask: Array | None) -> list[tuple[int, int]]:
    """Return the brain's first and last + 1 laid voxel along each axis, with a margin.

    Parameters
    ----------
    layout : Layout
    mask : ndarray of bool, laid, or None
        Without one, or with an empty one, it is the whole volume.
    """
    if mask is None or not mask.any():
        return [(0, size) for size in layout.shape]
    out = []
    for axis, size in enumerate(layout.shape):
        others = tuple(a for a in range(3) if a != axis)
        filled = np.flatnonzero(mask.any(axis=others))
        margin = round(MARGIN_MM / layout.spacing_mm[axis])
        out.append((max(0, int(filled[0]) - margin), min(size, int(filled[-1]) + 1 + margin)))
    return out


class Scene:
    """Everything pictures are cut from, computed once per report."""

    def __init__(self, data: ReportData, entries: list[Entry]) -> None:
        self.layout = Layout.of(data.grid)
        self.plane: Plane = self.layout.plane
        self.laid: dict[str, Array] = {
            name: self.layout.lay(volume)
            for name, volume in data.volumes.items()
            if volume is not None
        }
        mask = self.laid.get("brain_mask")
        self.mask: Array | None = None if mask is None or not np.any(mask) else mask.astype(bool)
        self.windows = {name: self._window(name) for name in self.laid}
        self.extent = brain_extent(self.layout, self.mask)
        self.box = Box(*self._sides(self.plane))
        self.labels: Array | None = None if data.labels is None else self.layout.lay(data.labels)
        self.spots = self._spots(entries, self.labels)

    @property
    def slice_mm(self) -> float:
        """Distance between neighbouring slices of the plane [mm]."""
        return self.layout.spacing_mm[self.plane.normal]

    @property
    def pixel_mm(self) -> tuple[float, float]:
        """Width and height of a full-resolution pixel [mm]."""
        across, down = self.plane.axes
        return self.layout.spacing_mm[across], self.layout.spacing_mm[down]

    def slice_of(self, name: str, n: int, box: Box) -> Array:
        """Return slice `n` of a volume in `box` as a picture."""
        return cut(self.laid[name], self.plane, n, box)

    def mark(self, spot: Spot, box: Box) -> Mark:
        """Return the ring around a finding on a picture of `box`."""
        left, top = spot_mm(self.layout, self.plane, box, spot.place)
        return Mark(left, top, spot.entry.ring_mm, spot.entry.look, spot.entry.index)

    def shown_slices(self, most: int) -> list[int]:
        """Return up to `most` slices, evenly from the first to the last with much brain."""
        first, last = self.extent[self.plane.normal]
        if self.mask is not None:
            axes = self.plane.axes
            area = np.count_nonzero(self.mask, axis=axes)
            much = np.flatnonzero(area >= 0.12 * area.max())
            first, last = int(much[0]), int(much[-1]) + 1
        count = min(most, last - first)
        return [int(n) for n in np.linspace(first, last - 1, count).round()]

    def _window(self, name: str) -> Window:
        if name == "chi":
            return CHI
        if name == "local_field":
            return FIELD
        maker = rate_window if name == "r2star" else intensity_window
        return maker(self.laid[name], self.mask)

    def _sides(self, plane: Plane) -> tuple[tuple[int, int], tuple[int, int]]:
        across, down = plane.axes
        (left, right), (bottom, top) = self.extent[across], self.extent[down]
        return (left, bottom), (right, top)

    def _spots(self, entries: list[Entry], labels: Array | None) -> dict[int, Spot]:
        """Place every finding whose centre lies in the volume."""
        boxes = [] if labels is None else ndimage.find_objects(labels)
        out = {}
        for entry in entries:
            if entry.place_mm is None:
                continue
            place = self.layout.place(entry.place_mm)
            nearest = np.round(place).astype(int)
            if (nearest < 0).any() or (nearest >= self.layout.shape).any():
                continue
            n = int(nearest[self.plane.normal])
            known = boxes[entry.index - 1] if 0 < entry.index <= len(boxes) else None
            if labels is not None and known is not None:
                n = self._labelled_slice(labels, known, entry.index, n)
            out[entry.index] = Spot(entry, place, n)
        return out

    def _labelled_slice(self, labels: Array, box: Any, index: int, wanted: int) -> int:
        """Return the slice nearest to `wanted` that holds a voxel of the label."""
        inside = (labels[box] == index).any(axis=self.plane.axes)
        holding = np.flatnonzero(inside) + box[self.plane.normal].start
        return int(holding[np.abs(holding - wanted).argmin()])
