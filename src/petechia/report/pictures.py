"""Slices to pictures: grey windows, PNG bytes, outlines. No figure library, no state."""

import base64
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Pixels = npt.NDArray[np.uint8]
SAMPLE = 200_000
GREYS = 32
"""Grey levels of a tinted picture: eight tints share the 256 colours of a palette."""


@dataclass(frozen=True, slots=True)
class Window:
    """The values shown as black and as white, in `unit`."""

    low: float
    high: float
    unit: str

    def grey(self, values: Array) -> Pixels:
        """Return 0 (low and below) to 255 (high and above); not-a-number is black."""
        scaled = (np.asarray(values, dtype=np.float32) - self.low) * (255 / (self.high - self.low))
        clipped = np.clip(np.nan_to_num(scaled, nan=0.0), 0, 255)
        grey: Pixels = (clipped + 0.5).astype(np.uint8)
        return grey


def sample(volume: Array, mask: Array | None) -> npt.NDArray[np.float64]:
    """Return at most about `SAMPLE` finite values of `volume` inside `mask`, evenly taken."""
    values = volume[mask] if mask is not None and mask.any() else volume.ravel()
    values = values[:: max(1, values.size // SAMPLE)].astype(np.float64)
    return values[np.isfinite(values)]


def intensity_window(volume: Array, mask: Array | None) -> Window:
    """Return black at 0 and white a little above the brain's bright end, arbitrary units."""
    values = sample(volume, mask)
    top = float(np.percentile(values, 99)) * 1.1 if values.size else 1.0
    return Window(0.0, rounded_up(top) if top > 0 else 1.0, "a.u.")


def rate_window(volume: Array, mask: Array | None) -> Window:
    """Return 0 to a round rate above the brain's upper tail [1/s]."""
    values = sample(volume, mask)
    top = float(np.percentile(values, 97)) * 1.3 if values.size else 60.0
    return Window(0.0, rounded_up(max(top, 10.0)), "1/s")


def rounded_up(value: float) -> float:
    """Return the next number of at most two significant digits at or above `value` > 0."""
    step = 10.0 ** (np.floor(np.log10(value)) - 1)
    return float(np.ceil(value / step - 1e-9) * step)


def shrink(picture: Array, factor: int) -> Array:
    """Return block means of `factor` x `factor` pixels; the last rows and columns repeat."""
    if factor == 1:
        return picture
    rows, columns = (-(-size // factor) for size in picture.shape)
    pad = [(0, rows * factor - picture.shape[0]), (0, columns * factor - picture.shape[1])]
    full = np.pad(np.asarray(picture, dtype=np.float32), pad, mode="edge")
    blocks: Array = full.reshape(rows, factor, columns, factor).mean(axis=(1, 3))
    return blocks


def every(picture: Array, factor: int) -> Array:
    """Return every `factor`-th pixel, as many as `shrink` gives: for labels, which have no mean."""
    rows, columns = (
        np.minimum(np.arange(0, size, factor) + factor // 2, size - 1) for size in picture.shape
    )
    return picture[np.ix_(rows, columns)]


def png(pixels: Pixels, palette: Pixels | None = None) -> bytes:
    """Return 8-bit PNG of (rows, columns) grey values, or of indices into (256, 3) colours."""
    rows, columns = pixels.shape
    lines = _filtered(pixels) if palette is None else _unfiltered(pixels)
    header = struct.pack(">IIBBBBB", columns, rows, 8, 0 if palette is None else 3, 0, 0, 0)
    colours = b"" if palette is None else _chunk(b"PLTE", palette.tobytes())
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + colours
        + _chunk(b"IDAT", zlib.compress(lines.tobytes(), 9))
        + _chunk(b"IEND", b"")
    )


def data_uri(content: bytes) -> str:
    """Return PNG bytes as an address that needs no loading."""
    return "data:image/png;base64," + base64.b64encode(content).decode("ascii")


def tint_palette(tints: list[tuple[int, int, int]], strength: float = 0.45) -> Pixels:
    """Return 256 colours: `GREYS` greys pure, then mixed with each of up to seven tints."""
    grey = np.linspace(0, 255, GREYS)[:, None].repeat(3, axis=1)
    mixed = [grey] + [grey * (1 - strength) + np.array(tint) * strength for tint in tints]
    palette = np.zeros((256, 3), np.uint8)
    stacked = np.concatenate(mixed)[:256]
    palette[: len(stacked)] = np.round(stacked)
    return palette


def tinted(grey: Pixels, tint: Pixels) -> Pixels:
    """Return palette indices of `grey` under `tint` (0 none, 1 the first tint, ...)."""
    return (tint * np.uint8(GREYS) + grey // np.uint8(256 // GREYS)).astype(np.uint8)


def outline_path(inside: npt.NDArray[np.bool_]) -> str:
    """Return the SVG path along the pixel edges of `inside` (rows, columns), in pixels."""
    padded = np.pad(inside, 1)
    level = np.diff(padded.astype(np.int8), axis=0)[:, 1:-1] != 0
    upright = np.diff(padded.astype(np.int8), axis=1)[1:-1].T != 0
    flat = [f"M{start} {line}h{length}" for line, start, length in _runs(level)]
    tall = [f"M{line} {start}v{length}" for line, start, length in _runs(upright)]
    return "".join(flat + tall)


def body_path(inside: npt.NDArray[np.bool_]) -> str:
    """Return the SVG path that fills `inside` (rows, columns), a box for each run of a row."""
    runs = _runs(inside)
    return "".join(f"M{start} {line}h{length}v1h-{length}z" for line, start, length in runs)


def _runs(lines: npt.NDArray[np.bool_]) -> list[tuple[int, int, int]]:
    """Return (line, first, length) of every run of True along the second axis."""
    edges = np.diff(np.pad(lines, [(0, 0), (1, 1)]).astype(np.int8), axis=1)
    line, start = np.nonzero(edges == 1)
    _, end = np.nonzero(edges == -1)
    return list(zip(line.tolist(), start.tolist(), (end - start).tolist(), strict=True))


def _chunk(kind: bytes, body: bytes) -> bytes:
    check = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)


def _unfiltered(pixels: Pixels) -> Pixels:
    return np.pad(pixels, [(0, 0), (1, 0)])


def _filtered(pixels: Pixels) -> Pixels:
    """Return each row under the filter (0-4) that leaves the smallest differences."""
    now = pixels.astype(np.int16)
    left = np.pad(now, [(0, 0), (1, 0)])[:, :-1]
    up = np.pad(now, [(1, 0), (0, 0)])[:-1]
    corner = np.pad(up, [(0, 0), (1, 0)])[:, :-1]
    guess = left + up - corner
    far = np.stack([np.abs(guess - near) for near in (left, up, corner)])
    paeth = np.choose(far.argmin(axis=0), [left, up, corner])
    nothing = np.zeros_like(now)
    ways = np.stack([now - past for past in (nothing, left, up, (left + up) // 2, paeth)])
    wrapped = ways.astype(np.uint8)
    best = np.abs(wrapped.astype(np.int8).astype(np.int16)).sum(axis=2).argmin(axis=0)
    lines = wrapped[best, np.arange(len(pixels))]
    return np.concatenate([best.astype(np.uint8)[:, None], lines], axis=1)
