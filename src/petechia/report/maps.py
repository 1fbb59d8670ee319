"""Whole-brain pictures: a montage of every map, and silhouettes with the findings' places."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.report.language import t
from petechia.report.pictures import (
    Window,
    body_path,
    data_uri,
    every,
    outline_path,
    png,
    shrink,
    tint_palette,
    tinted,
)
from petechia.report.planes import PLANES, Box, spot_mm
from petechia.report.scene import Mark, Scene

Array = npt.NDArray[Any]
SLICES = 12
MOST_PIXELS = 200
TITLES = {
    "magnitude": "Magnitude",
    "swi": "Susceptibility-weighted image (SWI)",
    "mip": "Minimum-intensity projection (mIP)",
    "chi": "Quantitative susceptibility map (QSM)",
    "r2star": "R2*",
    "local_field": "Local field",
}
TINTS = {"lobar": (46, 134, 222), "deep": (240, 147, 43), "infratentorial": (39, 174, 96)}


@dataclass(frozen=True, slots=True)
class Slice:
    """What all maps share of one slice: brain outline (pixels) and rings (mm)."""

    anchor: str
    label: str
    width_mm: float
    height_mm: float
    pixel_mm: tuple[float, float]
    outline: str
    marks: list[Mark]


@dataclass(frozen=True, slots=True)
class Montage:
    """One map: a picture for each shared slice, and its grey window."""

    key: str
    title: str
    pictures: list[str]
    window: Window | None


@dataclass(frozen=True, slots=True)
class Silhouette:
    """The brain mask seen through from one side, with the counted findings.

    `outline` is its edge, `body` the same as filled rows; both in pixels.
    """

    name: str
    width_mm: float
    height_mm: float
    pixel_mm: tuple[float, float]
    outline: str
    body: str
    marks: list[Mark]
    letters: tuple[str, str, str, str]


def shared_slices(scene: Scene) -> tuple[list[int], list[Slice]]:
    """Return the slices shown, and what is drawn over each of them.

    Slices are spaced evenly, then each is moved onto the likeliest finding to be ringed that
    lies nearer to it than to another. A finding is ringed on the slice nearest to its own.
    """
    ringed = [s for s in scene.spots.values() if s.entry.counted or s.entry.kind == "macrobleed"]
    numbers = moved_onto(scene.shown_slices(SLICES), [spot.slice for spot in ringed])
    width, height = scene.pixel_mm
    rings: dict[int, list[Mark]] = {n: [] for n in numbers}
    for spot in ringed:
        rings[_nearest(numbers, spot.slice)].append(scene.mark(spot, scene.box))
    factor = _factor(scene)
    out = []
    for n in numbers:
        inside = _inside(scene, n, factor)
        rows, columns = inside.shape
        axis = "xyz"[scene.plane.normal]
        height_mm = scene.layout.height_mm(scene.plane, n)
        out.append(
            Slice(
                f"slice-{n}",
                f"{axis} {height_mm:+.0f} mm".replace("-", "\N{MINUS SIGN}"),
                round(columns * factor * width, 3),
                round(rows * factor * height, 3),
                (width * factor, height * factor),
                outline_path(inside) if scene.mask is not None else "",
                rings[n],
            )
        )
    return numbers, out


def moved_onto(numbers: Sequence[int], wanted: Sequence[int]) -> list[int]:
    """Return `numbers`, each replaced by the first of `wanted` that lies nearest to it."""
    moved: dict[int, int] = {}
    for n in wanted:
        moved.setdefault(_nearest(numbers, n), n)
    return [moved.get(n, n) for n in numbers]


def _nearest(numbers: Sequence[int], wanted: int) -> int:
    return min(numbers, key=lambda n: abs(n - wanted))


def montages(scene: Scene, numbers: Sequence[int]) -> list[Montage]:
    """Return a montage for every map that the scan has, in the order of `TITLES`."""
    return [
        Montage(key, t(title), [_uri(scene, key, n) for n in numbers], scene.windows[key])
        for key, title in TITLES.items()
        if key in scene.laid
    ]


def region_montage(
    scene: Scene, numbers: Sequence[int], table: Sequence[Mapping[str, Any]]
) -> Montage | None:
    """Return regions coloured by compartment over the magnitude; None without them."""
    if "regions" not in scene.laid or not table or not np.any(scene.laid["regions"]):
        return None
    under = next((key for key in TITLES if key in scene.laid), None)
    if under is None:
        return None
    tint_of = _tints(table, int(scene.laid["regions"].max()))
    palette, factor = tint_palette(list(TINTS.values())), _factor(scene)
    pictures = []
    for n in numbers:
        grey = scene.windows[under].grey(shrink(scene.slice_of(under, n, scene.box), factor))
        labels = every(scene.slice_of("regions", n, scene.box), factor)
        tint = tint_of[np.maximum(labels, 0)]
        pictures.append(data_uri(png(tinted(grey, tint), palette)))
    return Montage("regions", t("Regions used for the sites"), pictures, None)


def _tints(table: Sequence[Mapping[str, Any]], highest: int) -> Array:
    """Return the tint (0 none) of every region label up to `highest`."""
    order = {name: tint for tint, name in enumerate(TINTS, start=1)}
    tint_of: Array = np.zeros(highest + 1, np.uint8)
    for row in table:
        index = int(row["index"])
        if 0 < index <= highest:
            tint_of[index] = order.get(str(row.get("compartment")), 0)
    return tint_of


def silhouettes(scene: Scene) -> list[Silhouette]:
    """Return the brain mask projected along x, y, z; none without a mask."""
    if scene.mask is None:
        return []
    out = []
    for plane in reversed(PLANES):
        across, down = plane.axes
        seen: Array = np.asarray(scene.mask.any(axis=plane.normal))
        (left, right), (bottom, top) = scene.extent[across], scene.extent[down]
        box = Box((left, bottom), (right, top))
        picture = seen[left:right, bottom:top].T[::-1, ::-1]
        width, height = scene.layout.spacing_mm[across], scene.layout.spacing_mm[down]
        marks = [
            Mark(*spot_mm(scene.layout, plane, box, s.place), 3.2, s.entry.look, s.entry.index)
            for s in scene.spots.values()
            if s.entry.counted
        ]
        out.append(
            Silhouette(
                plane.name,
                round(picture.shape[1] * width, 3),
                round(picture.shape[0] * height, 3),
                (width, height),
                outline_path(picture),
                body_path(picture),
                marks,
                plane.letters,
            )
        )
    return out


def _factor(scene: Scene) -> int:
    sides = [high - low for low, high in zip(scene.box.low, scene.box.high, strict=True)]
    return -(-max(sides) // MOST_PIXELS)


def _inside(scene: Scene, n: int, factor: int) -> npt.NDArray[np.bool_]:
    if scene.mask is None:
        sides = [high - low for low, high in zip(scene.box.low, scene.box.high, strict=True)]
        return np.zeros((-(-sides[1] // factor), -(-sides[0] // factor)), dtype=bool)
    full = cut_mask(scene, n)
    inside: npt.NDArray[np.bool_] = shrink(full, factor) >= 0.5
    return inside


def cut_mask(scene: Scene, n: int) -> Array:
    """Return slice `n` of the brain mask as 0 and 1."""
    return scene.slice_of("brain_mask", n, scene.box).astype(bool).astype(np.float32)


def _uri(scene: Scene, key: str, n: int) -> str:
    small = shrink(scene.slice_of(key, n, scene.box), _factor(scene))
    return data_uri(png(scene.windows[key].grey(small)))
