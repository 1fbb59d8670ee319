"""Volumes for the viewer inside a report: cropped to the brain, 8 bits, packed as text."""

import base64
import gzip
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.report.pictures import Window
from petechia.report.scene import Scene

Array = npt.NDArray[Any]
PANES = ("magnitude", "swi", "mip", "chi")
STORED_CHI = Window(-0.6, 1.0, "ppm")
"""Wider than what is shown at first, so that a reader may open the window."""
RIM_MM = 3.0
"""So much around the brain mask is kept; the rest is black: noise of air does not pack."""
OUTSIDE = 0
"""The number of what is not kept; kept values begin at 1."""
SLAB = 8
"""So many slices are brought to 8 bits at a time."""
LOOKS = {"definite": 1, "possible": 2, "other": 3}
"""Values of the label volume."""


@dataclass(frozen=True, slots=True)
class Packed:
    """One volume: its numbers as text, and what they mean.

    Attributes
    ----------
    name : str
    text : str
        Gzip, then base64 with - and _ for + and /; the first axis (towards right) runs fastest.
    shape : tuple of int
        Towards right, anterior, superior.
    spacing_mm : tuple of float
    slope, inter : float
        Value = number x slope + inter, in `shown.unit`.
    shown : Window
        What is black and white at first.
    """

    name: str
    text: str
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    slope: float
    inter: float
    shown: Window


@dataclass(frozen=True, slots=True)
class Fineness:
    """How finely a volume is stored: voxels joined along the finest axes, grey levels."""

    join: int
    levels: int


def ladder() -> Iterator[Mapping[str, Fineness]]:
    """Return from the finest to the coarsest; the projection and QSM, smooth, give way first."""
    fine, grey = Fineness(1, 256), Fineness(1, 64)
    yield dict.fromkeys(PANES, fine)
    yield dict.fromkeys(PANES, grey) | {"chi": Fineness(1, 128)}  # its range is wide: no bands
    smooth = {"mip": Fineness(2, 64), "chi": Fineness(2, 128)}
    yield {"magnitude": grey, "swi": grey} | smooth
    yield {"magnitude": Fineness(1, 40), "swi": Fineness(1, 40)} | smooth
    for join in (2, 3, 4, 6, 8):
        yield dict.fromkeys(PANES, Fineness(join, 128))
        yield dict.fromkeys(PANES, Fineness(join, 32))


def pack(scene: Scene, budget_bytes: int) -> list[Packed]:
    """Return the volumes of `PANES` the scan has and the labels, within the budget.

    Empty when even the coarsest would not fit, or there is nothing to show.
    """
    present = [name for name in PANES if name in scene.laid]
    if not present:
        return []
    low, high = _crop(scene)
    inside = _near_brain(scene, low, high)
    labels = _pack_labels(scene, low, high)
    for steps in ladder():
        out, left = [], budget_bytes - len(labels.text)
        if _guessed_bytes(scene, present, steps, low, high) > 1.3 * left:
            continue
        for name in present:
            packed = _pack(scene, name, steps[name], low, high, inside)
            left -= len(packed.text)
            out.append(packed)
            if left < 0:
                break
        if left >= 0:
            return [*out, labels]
    return []


GUESS = 8
"""One slice in so many is packed to guess the size of all."""


def _guessed_bytes(
    scene: Scene, names: list[str], steps: Mapping[str, Fineness], low: Array, high: Array
) -> int:
    """Return about what the volumes take, from a slab through the middle without its air."""
    middle, half = (low[2] + high[2]) // 2, max(1, (high[2] - low[2]) // (2 * GUESS))
    first, last = low.copy(), high.copy()
    first[2], last[2] = max(low[2], middle - half), min(high[2], middle + half)
    share = (last[2] - first[2]) / (high[2] - low[2])
    near = _near_brain(scene, first, last)
    sizes = (len(_pack(scene, name, steps[name], first, last, near).text) for name in names)
    return int(sum(sizes) / share * (0.7 if near is not None else 1.0))


def _crop(scene: Scene) -> tuple[Array, Array]:
    """Return the first voxel and the one after the last, along each axis."""
    extent = np.asarray(scene.extent)
    return extent[:, 0], extent[:, 1]


def _near_brain(scene: Scene, low: Array, high: Array) -> Array | None:
    if scene.mask is None:
        return None
    return near(scene.mask[_box(low, high)], scene.layout.spacing_mm)


def near(mask: Array, spacing_mm: tuple[float, float, float]) -> Array:
    """Return what lies within a box of `RIM_MM` around a laid mask."""
    size = [2 * round(RIM_MM / spacing) + 1 for spacing in spacing_mm]
    out: Array = ndimage.maximum_filter(mask.astype(np.uint8), size, mode="constant") > 0
    return out


def numbers_of(volume: Array, stored: Window, levels: int = 256) -> Array:
    """Return values as 1 (`stored.low` and below) to `levels` - 1; not-a-number counts as 0."""
    out: Array = np.empty_like(volume, dtype=np.uint8)  # laid out as it is: axes are permuted
    slowest = int(np.argmax(np.abs(volume.strides)))
    parts, places = np.moveaxis(volume, slowest, 0), np.moveaxis(out, slowest, 0)
    for first in range(0, len(parts), SLAB):  # a part that stays in the processor's memory
        some = slice(first, first + SLAB)
        places[some] = _rounded(_scaled(parts[some], stored, levels), levels)
    return out


def meaning(stored: Window, levels: int = 256) -> tuple[float, float]:
    """Return slope and intercept: value = number x slope + intercept, in `stored.unit`."""
    step = (stored.high - stored.low) / (levels - 2)
    return step, stored.low - step


def _scaled(volume: Array, stored: Window, levels: int) -> Array:
    values: Array = np.asarray(volume, dtype=np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        clean = np.isfinite(values.sum())  # quicker than to replace what is hardly ever there
    values = values if clean else np.nan_to_num(values)
    scaled: Array = values - np.float32(stored.low)
    scaled *= np.float32((levels - 2) / (stored.high - stored.low))
    return scaled


def _rounded(scaled: Array, levels: int) -> Array:
    """Round in place: `scaled` is nobody else's."""
    np.clip(scaled, 0, levels - 2, out=scaled)
    scaled += np.float32(1.5)
    numbers: Array = scaled.astype(np.uint8)
    return numbers


def _box(low: Array, high: Array) -> tuple[slice, ...]:
    return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))


def _joins(scene: Scene, join: int) -> tuple[int, int, int]:
    """Return voxels to join along each axis, so that they come near `join` times the finest."""
    finest = min(scene.layout.spacing_mm)
    i, j, k = (max(1, int(join * finest / s + 0.25)) for s in scene.layout.spacing_mm)
    return i, j, k


def _pack(
    scene: Scene, name: str, fineness: Fineness, low: Array, high: Array, inside: Array | None
) -> Packed:
    shown = scene.windows[name]
    stored = STORED_CHI if name == "chi" else shown
    levels = fineness.levels
    joins = _joins(scene, fineness.join)
    scaled = _scaled(scene.laid[name][_box(low, high)], stored, levels)
    numbers = _rounded(means(scaled, joins), levels)
    if inside is not None:
        numbers[means(inside.astype(np.float32), joins) == 0] = OUTSIDE
    return Packed(
        name,
        _text(numbers),
        numbers.shape,
        _spacing(scene, joins),
        *meaning(stored, levels),
        shown,
    )


def _pack_labels(scene: Scene, low: Array, high: Array) -> Packed:
    numbers = np.zeros(tuple(high - low), np.uint8)
    if scene.labels is not None:
        found = scene.labels[_box(low, high)]
        look = np.zeros(int(scene.labels.max(initial=0)) + 1, np.uint8)
        for index, spot in scene.spots.items():
            if 0 < index < len(look):
                look[index] = LOOKS[spot.entry.look]
        numbers = look[np.maximum(found, 0)]
    shape: tuple[int, int, int] = numbers.shape
    window = Window(0, max(LOOKS.values()), "")
    return Packed("labels", _text(numbers), shape, _spacing(scene, (1, 1, 1)), 1.0, 0.0, window)


def _spacing(scene: Scene, joins: tuple[int, int, int]) -> tuple[float, float, float]:
    i, j, k = (s * n for s, n in zip(scene.layout.spacing_mm, joins, strict=True))
    return i, j, k


def means(volume: Array, joins: tuple[int, int, int]) -> Array:
    """Return means of blocks of `joins` voxels; the last ones of an axis are repeated."""
    if joins == (1, 1, 1):
        return volume
    pad = [(0, -size % n) for size, n in zip(volume.shape, joins, strict=True)]
    full = np.pad(volume, pad, mode="edge")
    a, b, c = (size // n for size, n in zip(full.shape, joins, strict=True))
    blocks: Array = full.reshape(a, joins[0], b, joins[1], c, joins[2]).mean(axis=(1, 3, 5))
    return blocks


def _text(numbers: Array) -> str:
    return packed_text(numbers.tobytes(order="F"))


def packed_text(content: bytes) -> str:
    """Return bytes as gzip in base64 without slashes: no text in it can look like a path."""
    return base64.urlsafe_b64encode(gzip.compress(content, 6, mtime=0)).decode("ascii")
