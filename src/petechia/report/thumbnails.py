"""A strip of small pictures for a finding: where it lies, and how each contrast shows it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from petechia.report.findings import Entry, picture_order
from petechia.report.language import t
from petechia.report.pictures import data_uri, png, shrink
from petechia.report.planes import Box
from petechia.report.scene import Mark, Scene, Spot

VIEW_MM = 40.0
STRIP = ("magnitude", "swi", "mip", "chi", "r2star", "local_field")
STRIP_LENGTH = 4
NAMES = {
    "magnitude": "Magnitude",
    "swi": "SWI",
    "mip": "mIP",
    "chi": "QSM",
    "r2star": "R2*",
    "local_field": "Local field",
}
MOST_PIXELS = 96
MOST_COUNTED = 80
MOST_REJECTED = 24


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """One picture: its bytes as an address, its size [mm], the ring on it.

    `whole` tells the picture of the whole slice from those around the finding.
    """

    name: str
    uri: str
    alt: str
    width_mm: float
    height_mm: float
    mark: Mark
    whole: bool = False


def strips(
    scene: Scene, entries: Sequence[Entry], budget_bytes: int
) -> tuple[dict[int, list[Thumbnail]], int]:
    """Return thumbnails by finding index, and how many placed findings had to go without.

    Counted findings first, then macrobleeds, then the likeliest of the others, until the
    limits in number or `budget_bytes` are reached.
    """
    made: dict[int, list[Thumbnail]] = {}
    left = {True: MOST_COUNTED, False: MOST_REJECTED}
    without = 0
    for entry in picture_order(entries):
        spot = scene.spots.get(entry.index)
        if spot is None or not scene.laid:
            continue
        strip = strip_of(scene, spot) if left[entry.counted] > 0 else []
        size = sum(len(picture.uri) for picture in strip)
        if not strip or size > budget_bytes:
            without += 1
            continue
        budget_bytes -= size
        left[entry.counted] -= 1
        made[entry.index] = strip
    return made, without


def strip_of(scene: Scene, spot: Spot) -> list[Thumbnail]:
    """Return where the finding lies in its slice, then up to four contrasts around it."""
    present = [name for name in STRIP if name in scene.laid][:STRIP_LENGTH]
    if not present:
        return []
    whole = _picture(scene, spot, present[0], scene.box)
    caption = t(
        "{name}, whole {plane} slice with finding {index} ringed",
        name=whole.name,
        plane=t(scene.plane.name),
        index=spot.entry.index,
    )
    first = replace(whole, name=t("Where"), alt=caption, whole=True)
    box = around(scene, spot)
    return [first, *(_picture(scene, spot, name, box) for name in present)]


def around(scene: Scene, spot: Spot) -> Box:
    """Return the rectangle of about `VIEW_MM` whose middle voxel holds the finding."""
    middle = np.round(spot.place).astype(int)
    low, high = [], []
    for axis in scene.plane.axes:
        half = max(1, round(VIEW_MM / 2 / scene.layout.spacing_mm[axis]))
        low.append(int(middle[axis]) - half)
        high.append(int(middle[axis]) + half + 1)
    return Box((low[0], low[1]), (high[0], high[1]))


def _picture(scene: Scene, spot: Spot, name: str, box: Box) -> Thumbnail:
    full = scene.slice_of(name, spot.slice, box)
    factor = -(-max(full.shape) // MOST_PIXELS)
    small = shrink(full, factor)
    width, height = scene.pixel_mm
    return Thumbnail(
        t(NAMES[name]),
        data_uri(png(scene.windows[name].grey(small))),
        t(
            "{name} around finding {index}, {plane}, place ringed",
            name=t(NAMES[name]),
            index=spot.entry.index,
            plane=t(scene.plane.name),
        ),
        round(small.shape[1] * factor * width, 3),
        round(small.shape[0] * factor * height, 3),
        scene.mark(spot, box),
    )
