"""A head laid out in fine voxels of a scan: what each is made of, with its vessels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.core.compiled import compiled
from second import channels as ch
from second.anatomy import Anatomy
from second.geometry import Geometry
from second.smooth import Mask, Volume
from second.tissue import (
    AIR,
    FAT,
    FLUID,
    GREY,
    MARROW,
    NUCLEUS,
    SOFT,
    WHITE,
    Contrast,
)
from second.veins import Vein
from second.warp import FIRST_MM, STEP_MM, Warp

Vector = npt.NDArray[np.float64]
CHI_TEXTURE_PPM = 0.006
SIGNAL_TEXTURE, R2STAR_TEXTURE, SCALP_TEXTURE = 0.035, 0.05, 0.15
"""What a unit of texture changes: susceptibility, and parts of signal and R2*."""
BRAIN_ABOVE_MM = -60.0
"""Template height from which the brain mask goes up."""
VEIN_FULL = 255


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Body:
    """Fine voxels of a head, without lesions.

    Attributes
    ----------
    signal, r2star_hz : (I, J, K) ndarray of float32
        At an echo time of 0, white matter about 1; relaxation [1/s].
    chi_ppm : (I, J, K) ndarray of float32
        Susceptibility against air.
    fatty, brain : (I, J, K) ndarray of bool
        Fat and marrow, whose frequency is their own; the brain with its fluid.
    vein : (I, J, K) ndarray of uint8
        How much of a voxel is vein, of `VEIN_FULL`.
    """

    signal: Volume
    r2star_hz: Volume
    chi_ppm: Volume
    fatty: Mask
    brain: Mask
    vein: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """A perivascular space: a line of points in the template, its radius."""

    points_mm: Vector
    radius_mm: float


def spaces_of(rng: np.random.Generator, anatomy: Anatomy, number: int = 60) -> list[Space]:
    """Return perivascular spaces in white matter."""
    white = (anatomy.tissue == WHITE) & (anatomy.channel(ch.INSIDE_MM) > 10)
    places = np.argwhere(white) + ch.ORIGIN_MM
    spaces = []
    for start in places[rng.integers(len(places), size=number)]:
        along = rng.standard_normal(3)
        length = np.linspace(0, rng.uniform(3, 10), 8)[:, None]
        points = start + length * along / np.linalg.norm(along) + rng.normal(0, 0.2, (8, 3))
        spaces.append(Space(points, float(rng.uniform(0.25, 0.7))))
    return spaces


def body_of(
    anatomy: Anatomy,
    warp: Warp,
    veins: Sequence[Vein],
    spaces: Sequence[Space],
    geometry: Geometry,
    contrast: Contrast,
) -> Body:
    """Return a person laid out in a scanner."""
    shape = geometry.fine_shape
    signal, r2star, chi = (np.zeros(shape, np.float32) for _ in range(3))
    tissue, brain, vein = (np.zeros(shape, np.uint8) for _ in range(3))
    frame = np.vstack([geometry.fine_origin_mm, (geometry.turn * geometry.fine_mm).T])
    tables = np.stack([contrast.signal, contrast.r2star_hz, contrast.chi_ppm])
    _lay_out(
        anatomy.channels, warp.nodes_mm, frame,
        (anatomy.half_sulcus_mm, contrast.iron_r2star_hz_ppm), tables,
        (signal, r2star, chi), (tissue, brain),
    )  # fmt: skip
    matter = tissue != AIR
    volumes = (chi, signal, r2star)
    for one in veins:
        line = geometry.to_scan_mm(warp.to_world(one.points_mm))
        filling = (one.chi_ppm, contrast.blood_signal, contrast.blood_r2star_hz)
        laid = _fill_tube(volumes, matter, geometry.fine_mm, line, one.radii_mm, filling)
        if laid is not None:
            box, part = laid
            vein[box] = np.maximum(vein[box], np.rint(VEIN_FULL * part).astype(np.uint8))
    filling = (0.0, float(contrast.signal[FLUID]), float(contrast.r2star_hz[FLUID]))
    for space in spaces:
        line = geometry.to_scan_mm(warp.to_world(space.points_mm))
        radii = np.full(len(line), space.radius_mm)
        _fill_tube(volumes, matter, geometry.fine_mm, line, radii, filling)
    chi -= contrast.chi_ppm[AIR]
    return Body(
        signal=signal,
        r2star_hz=r2star,
        chi_ppm=chi,
        fatty=(tissue == FAT) | (tissue == MARROW),
        brain=brain.view(bool),
        vein=vein,
    )


@compiled(fastmath=True)
def _sample(grid: Any, x: float, y: float, z: float, out: Any) -> None:
    """Write all channels of a grid (I, J, K, C) at a place in voxels, linear between them."""
    x = min(max(x, 0.0), grid.shape[0] - 1.001)
    y = min(max(y, 0.0), grid.shape[1] - 1.001)
    z = min(max(z, 0.0), grid.shape[2] - 1.001)
    i, j, k = int(x), int(y), int(z)
    u, v, w = x - i, y - j, z - k
    for c in range(len(out)):
        low = (grid[i, j, k, c] * (1 - w) + grid[i, j, k + 1, c] * w) * (1 - v)
        low += (grid[i, j + 1, k, c] * (1 - w) + grid[i, j + 1, k + 1, c] * w) * v
        high = (grid[i + 1, j, k, c] * (1 - w) + grid[i + 1, j, k + 1, c] * w) * (1 - v)
        high += (grid[i + 1, j + 1, k, c] * (1 - w) + grid[i + 1, j + 1, k + 1, c] * w) * v
        out[c] = low * (1 - u) + high * u


@compiled(fastmath=True)
def _lay_out(
    channels: Any, nodes: Any, frame: Any, person: Any, tables: Any, volumes: Any, masks: Any
) -> None:
    """Write signal, R2* and susceptibility (`volumes`), tissue and brain (`masks`).

    frame: place of the first fine voxel, then the step along each axis. person: half the width
    of a sulcus [mm], R2* of iron. tables: signal, R2*, susceptibility by tissue.
    """
    half_sulcus_mm, iron_r2star = person
    signal, r2star, chi = volumes
    tissue, brain = masks
    here, at = np.zeros(channels.shape[3], np.float32), np.zeros(3, np.float32)
    world, voxel = np.zeros(3), np.zeros(3)
    for i in range(signal.shape[0]):
        for j in range(signal.shape[1]):
            for k in range(signal.shape[2]):
                for c in range(3):
                    world[c] = frame[0, c] + i * frame[1, c] + j * frame[2, c] + k * frame[3, c]
                    world[c] = (world[c] - FIRST_MM) / STEP_MM
                _sample(nodes, world[0], world[1], world[2], at)
                which, known = AIR, True
                for c in range(3):
                    voxel[c] = at[c] - ch.ORIGIN_MM[c]
                    known = known and 0 <= voxel[c] <= channels.shape[c] - 1
                if known:
                    _sample(channels, voxel[0], voxel[1], voxel[2], here)
                    which = ch.tissue_of(here, at[0], at[2], half_sulcus_mm)
                    brain[i, j, k] = here[ch.INSIDE_MM] > 0 and at[2] > BRAIN_ABOVE_MM
                s, r, ppm = tables[0, which], tables[1, which], tables[2, which]
                texture = here[ch.TEXTURE]
                if which in (GREY, WHITE, NUCLEUS):
                    iron = here[ch.IRON_PPM]
                    ppm += CHI_TEXTURE_PPM * texture
                    if which != GREY:
                        ppm += iron
                    s *= 1 + SIGNAL_TEXTURE * texture
                    r = r * (1 + R2STAR_TEXTURE * texture) + iron_r2star * iron
                elif which in (SOFT, FAT, MARROW):
                    s *= max(0.3, 1 + SCALP_TEXTURE * texture)
                tissue[i, j, k] = which
                signal[i, j, k], r2star[i, j, k], chi[i, j, k] = s, r, ppm


def _fill_tube(
    volumes: tuple[Volume, Volume, Volume],
    matter: Mask,
    fine_mm: Vector,
    line_mm: Vector,
    radii_mm: Vector,
    filling: tuple[float, float, float],
) -> tuple[tuple[slice, ...], Volume] | None:
    """Mix a filling into volumes along a line (scan mm), by the part of each voxel it takes.

    Returns the box that it lies in and its part of each voxel there; None outside the volumes.
    """
    margin_mm = float(radii_mm.max()) + 2 * float(fine_mm.max())
    low = np.maximum(np.floor((line_mm.min(0) - margin_mm) / fine_mm).astype(int), 0)
    high = np.ceil((line_mm.max(0) + margin_mm) / fine_mm).astype(int) + 1
    high = np.minimum(high, matter.shape)
    if (high <= low).any():
        return None
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    part = np.zeros(tuple(high - low), np.float32)
    _cover(line_mm - low * fine_mm, radii_mm, fine_mm, part)
    part *= matter[box]
    for volume, value in zip(volumes, filling, strict=True):
        volume[box] += part * (np.float32(value) - volume[box])
    return box, part


@compiled(fastmath=True)
def _cover(line: Any, radii: Any, fine: Any, part: Any) -> None:
    """Write how much of each voxel a tube takes; one thinner than a voxel takes its volume."""
    size = (fine[0] * fine[1] * fine[2]) ** (1.0 / 3.0)
    low, high, along = np.empty(3, np.int64), np.empty(3, np.int64), np.empty(3)
    for s in range(len(line) - 1):
        radius = 0.5 * (radii[s] + radii[s + 1])
        drawn = max(radius, 0.5 * size)
        most = min(1.0, radius * radius / (drawn * drawn + size * size / 12))
        square = 1e-9
        for c in range(3):
            along[c] = line[s + 1, c] - line[s, c]
            square += along[c] ** 2
            first, last = min(line[s, c], line[s + 1, c]), max(line[s, c], line[s + 1, c])
            low[c] = max(0, int(np.floor((first - drawn - size) / fine[c])))
            high[c] = min(part.shape[c], int(np.floor((last + drawn + size) / fine[c])) + 2)
        for i in range(low[0], high[0]):
            for j in range(low[1], high[1]):
                for k in range(low[2], high[2]):
                    x = i * fine[0] - line[s, 0]
                    y = j * fine[1] - line[s, 1]
                    z = k * fine[2] - line[s, 2]
                    t = (x * along[0] + y * along[1] + z * along[2]) / square
                    t = min(max(t, 0.0), 1.0)
                    x, y, z = x - t * along[0], y - t * along[1], z - t * along[2]
                    away = np.sqrt(x * x + y * y + z * z)
                    here = most * min(max(0.5 + (drawn - away) / size, 0.0), 1.0)
                    if here > part[i, j, k]:
                        part[i, j, k] = here
