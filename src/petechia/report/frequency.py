"""A cohort's lesions on the template: slices in three planes, and all of them seen through it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.core.grid import Grid
from petechia.report.language import t
from petechia.report.pictures import body_path, data_uri, outline_path, png
from petechia.report.planes import PLANES, Plane

Array = npt.NDArray[Any]
SLICES = 6
GREYS, HEATS = 16, 8
HEAT = ((70, 10, 60), (120, 20, 70), (170, 35, 65), (210, 60, 45), (235, 100, 30), (245, 145, 25),
        (250, 190, 40), (255, 235, 110))  # fmt: skip
"""Colours of rising share: purple to yellow, told apart in grey print too."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Map:
    """What is drawn.

    Attributes
    ----------
    share : (I, J, K) ndarray of float32
        Share of people with a lesion near.
    background : (I, J, K) ndarray of float
        Template head.
    brain : (I, J, K) ndarray of bool
    grid : Grid
        Template RAS, its axes along those of the patient.
    places : (n, 3) ndarray
        Lesions, template RAS [mm].
    n_people, n_without : int
        People on the map, and without a place in the template.
    radius_mm : float
        What is near.
    """

    share: Array
    background: Array
    brain: Array
    grid: Grid
    places: Array
    n_people: int
    n_without: int
    radius_mm: float

    @property
    def most(self) -> float:
        """Largest share."""
        return float(self.share.max())


@dataclass(frozen=True, slots=True)
class MapSlice:
    """One slice: a picture, where it lies, and what it shows in words."""

    uri: str
    label: str
    says: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Glass:
    """The brain seen through along one axis, with every lesion."""

    name: str
    width: int
    height: int
    body: str
    outline: str
    dots: list[tuple[float, float]]
    letters: tuple[str, str, str, str]


def levels(share: npt.ArrayLike, most: float) -> npt.NDArray[np.uint8]:
    """Return the level (1 to `HEATS`) of each share; 0 for none."""
    value = np.asarray(share)
    if most <= 0:
        return np.zeros(value.shape, dtype=np.uint8)
    level = np.minimum(HEATS, 1 + HEATS * value / most * (1 - 1e-6))
    return np.where(value > 0, level, 0).astype(np.uint8)


def steps(most: float) -> list[tuple[str, str]]:
    """Return colour and range of each level of the legend [%]."""
    return [
        (
            f"rgb{HEAT[n]}",
            f"{100 * most * n / HEATS:.1f}\N{EN DASH}{100 * most * (n + 1) / HEATS:.1f} %",
        )
        for n in range(HEATS)
    ]


def slices(told: Map) -> list[tuple[str, list[MapSlice]]]:
    """Return `SLICES` slices of each plane: axial, coronal, sagittal."""
    out = []
    top = float(np.percentile(told.background[told.brain], 99.5)) if told.brain.any() else 1.0
    grey = np.clip(told.background / (top or 1.0), 0, 1)
    level = levels(told.share, told.most)
    palette = _palette()
    for plane in reversed(PLANES):
        filled = np.flatnonzero(told.brain.any(axis=plane.axes))
        if not len(filled):
            continue
        at = np.linspace(filled[0], filled[-1], SLICES + 2)[1:-1].round().astype(int)
        made = [_slice(told, plane, int(n), grey, level, palette) for n in at]
        out.append((t(plane.name), made))
    return out


def _palette() -> npt.NDArray[np.uint8]:
    """Return 128 greys, then `GREYS` greys mixed with each heat."""
    plain = np.repeat(np.linspace(0, 255, 128)[:, None], 3, axis=1)
    dark = np.repeat(np.linspace(0, 255, GREYS)[:, None], 3, axis=1)
    mixed = [0.3 * dark + 0.7 * np.asarray(heat, dtype=float) for heat in HEAT]
    return np.asarray(np.concatenate([plain, *mixed]).round(), dtype=np.uint8)


def _slice(
    told: Map, plane: Plane, n: int, grey: Array, level: Array, palette: npt.NDArray[np.uint8]
) -> MapSlice:
    def cut(volume: Array) -> Array:
        return np.asarray(np.take(volume, n, axis=plane.normal)).T[::-1, ::-1]

    shade, heat = cut(grey), cut(level)
    plain = np.round(shade * 127)
    mixed = 128 + GREYS * (heat.astype(int) - 1) + np.minimum(GREYS - 1, shade * GREYS).astype(int)
    pixels = np.where(heat > 0, mixed, plain).astype(np.uint8)
    index = np.zeros(3)
    index[plane.normal] = n
    where = float(np.asarray(told.grid.to_mm(index))[plane.normal])
    name = "xyz"[plane.normal]
    most = float(cut(told.share).max())
    return MapSlice(
        data_uri(png(pixels, palette)),
        f"{name} = {where:.0f} mm",
        t(
            "{plane} slice at {place} mm: at most {share} % of people",
            plane=t(plane.name),
            place=f"{name} {where:.0f}",
            share=f"{100 * most:.0f}",
        ),
        pixels.shape[1],
        pixels.shape[0],
    )


def glasses(told: Map) -> list[Glass]:
    """Return the silhouettes along the three axes with a dot for every lesion, in voxels."""
    out = []
    index = np.asarray([told.grid.to_index(tuple(p)) for p in told.places]).reshape(-1, 3)
    for plane in reversed(PLANES):
        across, down = plane.axes
        seen = np.asarray(told.brain.any(axis=plane.normal)).T[::-1, ::-1]
        rows, columns = seen.shape
        dots = [
            (round(columns - 0.5 - float(p[across]), 1), round(rows - 0.5 - float(p[down]), 1))
            for p in index
        ]
        out.append(
            Glass(plane.name, columns, rows, body_path(seen), outline_path(seen), dots,
                  plane.letters)
        )  # fmt: skip
    return out
