"""Veins followed in space: how long the tube is that a voxel belongs to.

In one slice a vein cut across looks like a microbleed. It is told from it by what lies above
and below: a vein goes on.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.anatomy.veins import tube_field
from petechia.core.compiled import compiled
from petechia.core.grid import Grid
from petechia.core.morphology import Mask
from petechia.errors import ParameterError

Volume = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackParams:
    """Settings of `track_veins`.

    Attributes
    ----------
    start, keep : float
        Likeness to a vessel from which a voxel is followed, and down to which it goes on.
    bend_deg : float
        The path may turn so far at a step [degrees].
    gap_mm : float
        A path may cross so much that does not look like a vessel [mm].
    longest_mm : float
        No path is followed farther than this on either side [mm].
    """

    start: float = 0.15
    keep: float = 0.08
    bend_deg: float = 25.0
    gap_mm: float = 1.5
    longest_mm: float = 15.0

    def __post_init__(self) -> None:
        if not 0 < self.keep <= self.start < 1 or not 0 < self.bend_deg < 90:
            raise ParameterError(
                f"{self}",
                where="TrackParams",
                mend="0 < keep <= start < 1, bend_deg between 0 and 90.",
            )
        if self.gap_mm < 0 or not self.longest_mm > 0:
            raise ParameterError(
                f"gap_mm={self.gap_mm}, longest_mm={self.longest_mm}",
                where="TrackParams",
                mend="gap_mm at least 0, longest_mm above 0.",
            )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Veins:
    """The veins of a scan.

    Attributes
    ----------
    likeness : (I, J, K) ndarray of float32
        Likeness to a tube, 0 to 1.
    length_mm : (I, J, K) ndarray of float32
        Length of the path through each voxel that looks like a vessel, both ways together,
        one voxel for itself; 0 elsewhere [mm].
    through_mm : (I, J, K) ndarray of float32
        Length on the shorter of its two sides: 0 at the end of a vein [mm].
    """

    likeness: Volume
    length_mm: Volume
    through_mm: Volume


def track_veins(
    chi_ppm: npt.NDArray[np.floating] | None,
    swi: npt.NDArray[np.floating] | None,
    mask: Mask,
    grid: Grid,
    params: TrackParams | None = None,
) -> Veins:
    """Follow every tube both ways.

    From each voxel that looks like a vessel the path goes along the vessel's direction, turns
    within a cone to what looks most like a vessel, and crosses short gaps straight on. It ends
    at the first gap that is too long, or where it leaves the volume.

    Parameters
    ----------
    chi_ppm, swi : (I, J, K) ndarray of float, or None
        Susceptibility [ppm] (veins bright), SWI or magnitude (veins dark); one is enough.
    mask : (I, J, K) ndarray of bool
        Brain.
    grid : Grid
        Geometry; lengths are in millimetres.
    params : TrackParams
        Settings.

    Returns
    -------
    Veins
        All zeros for an empty mask.

    Raises
    ------
    InputError
        When neither image is given.

    Notes
    -----
    A tube fades out: lengths read about 2 mm too long, and a ball of 3 mm reads 6 mm. Beyond
    `longest_mm` on either side nothing is told.
    """
    p = params or TrackParams()
    spacing = grid.spacing_mm
    found = tube_field(chi_ppm, swi, mask, grid)
    at = np.argwhere(found.likeness >= p.start)
    one, other = np.zeros((2, len(at)), dtype=np.float32)
    if len(at):
        walk = (
            p.keep, float(np.tan(np.deg2rad(p.bend_deg))), p.gap_mm, p.longest_mm,
            float(np.clip(0.75 * spacing.min(), 0.3, 0.8)),
        )  # fmt: skip
        thick = spacing > 2 * spacing.min()
        one, other = _follow_all(found.likeness, found.direction, at, spacing, thick, walk)
    length, through = np.zeros((2, *grid.shape), dtype=np.float32)
    own = float(spacing.min())
    length[tuple(at.T)] = one + other + own
    through[tuple(at.T)] = np.minimum(one, other)
    return Veins(likeness=found.likeness, length_mm=length, through_mm=through)


@compiled
def _sample(volume, x, y, z, thick):  # type: ignore[no-untyped-def]
    """Return `volume` interpolated linearly, not along `thick` axes; 0 beyond its border."""
    s = volume.shape
    if thick[0]:
        x = np.floor(x + 0.5)
    if thick[1]:
        y = np.floor(y + 0.5)
    if thick[2]:
        z = np.floor(z + 0.5)
    if x < 0 or y < 0 or z < 0 or x > s[0] - 1 or y > s[1] - 1 or z > s[2] - 1:
        return 0.0
    i, j, k = int(x), int(y), int(z)
    a, b, c = min(i + 1, s[0] - 1), min(j + 1, s[1] - 1), min(k + 1, s[2] - 1)
    u, v, w = x - i, y - j, z - k
    low = (volume[i, j, k] * (1 - u) + volume[a, j, k] * u) * (1 - v) + (
        volume[i, b, k] * (1 - u) + volume[a, b, k] * u
    ) * v
    high = (volume[i, j, c] * (1 - u) + volume[a, j, c] * u) * (1 - v) + (
        volume[i, b, c] * (1 - u) + volume[a, b, c] * u
    ) * v
    return low * (1 - w) + high * w


@compiled
def _follow_all(likeness, direction, at, spacing, thick, walk):  # type: ignore[no-untyped-def]
    lengths = np.zeros((2, len(at)), dtype=np.float32)
    for n in range(len(at)):
        lengths[0, n] = _follow(likeness, direction, at[n], 1.0, spacing, thick, walk)
        lengths[1, n] = _follow(likeness, direction, at[n], -1.0, spacing, thick, walk)
    return lengths


@compiled
def _follow(likeness, direction, start, sense, spacing, thick, walk):  # type: ignore[no-untyped-def]
    """Return how far the tube goes on from `start` to one side [mm]."""
    keep, slope, gap_mm, longest, step = walk
    s = likeness.shape
    x, y, z = start[0] * spacing[0], start[1] * spacing[1], start[2] * spacing[2]
    i, j, k = start[0], start[1], start[2]
    u = sense * direction[i, j, k, 0]
    v = sense * direction[i, j, k, 1]
    w = sense * direction[i, j, k, 2]
    walked, told = 0.0, 0.0
    while walked < longest:
        # two directions across the path
        if abs(u) < 0.6:
            px, py, pz = 0.0, w, -v
        else:
            px, py, pz = -w, 0.0, u
        norm = np.sqrt(px * px + py * py + pz * pz)
        px, py, pz = px / norm, py / norm, pz / norm
        qx, qy, qz = v * pz - w * py, w * px - u * pz, u * py - v * px
        best, bu, bv, bw = -1.0, u, v, w
        for turn in range(9):
            if turn == 0:
                cu, cv, cw = u, v, w
            else:
                c = slope * np.cos(turn * np.pi / 4)
                d = slope * np.sin(turn * np.pi / 4)
                cu, cv, cw = u + c * px + d * qx, v + c * py + d * qy, w + c * pz + d * qz
                norm = np.sqrt(cu * cu + cv * cv + cw * cw)
                cu, cv, cw = cu / norm, cv / norm, cw / norm
            here = _sample(
                likeness,
                (x + step * cu) / spacing[0],
                (y + step * cv) / spacing[1],
                (z + step * cw) / spacing[2],
                thick,
            )
            if turn == 0:
                here *= 1.05  # straight on, unless a turn is clearly better
            if here > best:
                best, bu, bv, bw = here, cu, cv, cw
        walked += step
        if best >= keep:
            u, v, w = bu, bv, bw
        x, y, z = x + step * u, y + step * v, z + step * w
        i, j, k = int(x / spacing[0] + 0.5), int(y / spacing[1] + 0.5), int(z / spacing[2] + 0.5)
        if x < 0 or y < 0 or z < 0 or i >= s[0] or j >= s[1] or k >= s[2]:
            break
        if best < keep:
            if walked - told > gap_mm:
                break
            continue
        told = walked
        lu, lv, lw = direction[i, j, k, 0], direction[i, j, k, 1], direction[i, j, k, 2]
        along = lu * u + lv * v + lw * w
        if abs(along) > 0.5:  # lean towards where the tube runs here
            side = 1.0 if along > 0 else -1.0
            u, v, w = u + side * lu, v + side * lv, w + side * lw
            norm = np.sqrt(u * u + v * v + w * w)
            u, v, w = u / norm, v / norm, w / norm
    return told
