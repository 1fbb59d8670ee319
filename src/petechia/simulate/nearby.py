"""Close to small strong sources: each fine point split further, with their exact fields."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import prange

from petechia.core.compiled import compiled
from petechia.core.units import hz_per_ppm
from petechia.simulate.evolve import clock, cos_sin
from petechia.simulate.fields import add_spheres
from petechia.simulate.protocols import Protocol
from petechia.simulate.render import FineGrid, FineMaps
from petechia.simulate.tissues import STATIC_DEPHASING, SUBSTANCES

Complex = npt.NDArray[np.complex64]
SMALLEST_FIELD_PPM = 2e-5
"""Where the field of a source is cut off."""
PHASE_SPREAD_RAD = 0.35
"""Points whose phase spreads by more than this within a fine voxel are split."""
PART_SPREAD_RAD = 0.8
"""Phase may spread by so much within a part of a split point."""
CHUNK = 128
"""Points that share their working arrays."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class NearSources:
    """Fine points near sources, with their signals averaged over their own insides.

    Attributes
    ----------
    index : (N,) ndarray of int64
        Flat indices into the fine grid, increasing.
    signal : (E, N) ndarray of complex64
        At each echo.
    """

    index: npt.NDArray[np.int64]
    signal: Complex


def sphere_table(spheres: npt.NDArray[np.floating], grid: FineGrid) -> npt.NDArray[np.float64]:
    """Return rows (x, y, z, radius, chi) moved from scanner to axis millimetres."""
    table = np.array(spheres, dtype=np.float64).reshape(-1, 5)
    table[:, :3] = grid.to_axis_mm(table[:, :3])
    return np.ascontiguousarray(table)


def matter_of(names: Sequence[str], protocol: Protocol) -> npt.NDArray[np.float64]:
    """Return what spheres of these substances do to the signal inside them, rows of (S, 5).

    A share of the surroundings' signal, a signal of its own; a share of the surroundings'
    decay, a decay of its own [1/s]; and the part of the susceptibility that is grainy.
    """
    rows = []
    for name in names:
        stuff = SUBSTANCES[name]
        own = stuff.signal(protocol.b0_t, protocol.tr_s, protocol.flip_deg)
        signal = (stuff.pd, 0.0) if own is None else (0.0, own)
        decay = (1.0, 0.0) if stuff.t2_s is None else (0.0, 1.0 / stuff.t2_s)
        rows.append((*signal, *decay, stuff.grain))
    return np.array(rows, dtype=np.float64).reshape(-1, 5)


def near_sources(
    maps: FineMaps, table: npt.NDArray[np.float64], matter: npt.NDArray[np.float64],
    protocol: Protocol, te_s: tuple[float, ...],
) -> NearSources:  # fmt: skip
    """Return the signals of fine points near the spheres of `table`, supersampled.

    Parameters
    ----------
    maps : FineMaps
        Without the fields of the spheres.
    table : (S, 5) ndarray
        Spheres in axis millimetres (`sphere_table`).
    matter : (S, 5) ndarray
        What they are made of (`matter_of`).
    protocol : Protocol
        Field strength.
    te_s : tuple of float
        Echo times [s].
    """
    grid = maps.grid
    turn = 2 * np.pi * hz_per_ppm(protocol.b0_t) * max(te_s)
    around = [_points_near(row, grid, turn) for row in table]
    points = np.concatenate([np.zeros(0, dtype=np.int64), *around])
    sphere = np.repeat(np.arange(len(table)), [len(a) for a in around])
    order = np.argsort(points, kind="stable")
    chosen, first = np.unique(points[order], return_index=True)
    signal = np.zeros((len(te_s), len(chosen)), dtype=np.complex64)
    split = np.clip(np.ceil(grid.spacing_mm / 0.16), 3, 10).astype(np.int64)
    times = clock(te_s)
    _supersample(
        maps.field_ppm, maps.s0, maps.r2star, chosen, np.append(first, len(points)),
        sphere[order], table, matter,
        grid.spacing_mm, grid.origin_mm, grid.scan.b0_dir, split,
        times.te_s, times.step_s, hz_per_ppm(protocol.b0_t), STATIC_DEPHASING, signal,
    )  # fmt: skip
    return NearSources(index=chosen, signal=signal)


def _points_near(
    row: npt.NDArray[np.float64], grid: FineGrid, turn: float
) -> npt.NDArray[np.int64]:
    """Return flat indices of points whose phase a sphere spreads too much."""
    step = float(grid.spacing_mm.max())
    moment = abs(row[4]) * row[3] ** 3 / 3
    reach = max((6 * moment * turn * step / PHASE_SPREAD_RAD) ** 0.25, row[3]) + 1.2 * step
    ranges = []
    for a in range(3):
        low = int(np.ceil((row[a] - reach - grid.origin_mm[a]) / grid.spacing_mm[a]))
        high = int(np.floor((row[a] + reach - grid.origin_mm[a]) / grid.spacing_mm[a]))
        ranges.append(np.arange(max(low, 0), min(high, grid.shape[a] - 1) + 1))
    i, j, k = np.meshgrid(*ranges, indexing="ij")
    places = np.stack([i, j, k], -1) * grid.spacing_mm + grid.origin_mm
    inside = np.linalg.norm(places - row[:3], axis=-1) <= reach
    flat = (i * grid.shape[1] + j) * grid.shape[2] + k
    return np.asarray(flat[inside], dtype=np.int64)


@compiled
def _ball_field(x: float, y: float, z: float, radius: float, chi: float, b0: Any) -> Any:
    """Return the field of a ball at a place seen from its centre; 0 inside."""
    square = x * x + y * y + z * z
    if square <= radius * radius:
        return 0.0
    along = x * b0[0] + y * b0[1] + z * b0[2]
    strength = chi / 3.0 * radius * radius * radius
    return strength * (3.0 * along * along / square - 1.0) / (square * np.sqrt(square))


@compiled
def _far_field(
    at: Any, step: Any, own: Any, spheres: Any, b0: Any, smallest_ppm: float, out: Any
) -> None:
    """Fill `out` with the field and its slope along each axis, of all spheres but `own`."""
    out[:] = 0.0
    for s in range(spheres.shape[0]):
        mine = False
        for n in own:
            mine = mine or n == s
        if mine:
            continue
        x, y, z = at[0] - spheres[s, 0], at[1] - spheres[s, 1], at[2] - spheres[s, 2]
        radius, chi = spheres[s, 3], spheres[s, 4]
        reach = 2.0 * abs(chi) / 3.0 * radius**3 / smallest_ppm
        square = x * x + y * y + z * z
        if square * np.sqrt(square) > reach:
            continue
        out[0] += _ball_field(x, y, z, radius, chi, b0)
        h = 0.5 * step
        out[1] += _ball_field(x + h[0], y, z, radius, chi, b0)
        out[1] -= _ball_field(x - h[0], y, z, radius, chi, b0)
        out[2] += _ball_field(x, y + h[1], z, radius, chi, b0)
        out[2] -= _ball_field(x, y - h[1], z, radius, chi, b0)
        out[3] += _ball_field(x, y, z + h[2], radius, chi, b0)
        out[3] -= _ball_field(x, y, z - h[2], radius, chi, b0)


@compiled(parallel=True)
def _supersample(
    field: Any, s0: Any, r2star: Any, chosen: Any, first: Any, sphere: Any,
    spheres: Any, matter: Any, spacing: Any, origin: Any, b0: Any, split: Any,
    te_s: Any, step_s: float, hertz: float, static: float, out: Any,
) -> None:  # fmt: skip
    """Fill `out` with the mean signal over a lattice inside each chosen point.

    The spheres that chose a point, `sphere[first[c] : first[c + 1]]`, act exactly on every
    part of it; the others by their field and its slope.
    """
    for chunk in prange((len(chosen) + CHUNK - 1) // CHUNK):
        at, far, parts = np.zeros(3), np.zeros(4), np.zeros(3, dtype=np.int64)
        around = np.zeros((2, len(te_s)), dtype=np.float32)
        for c in range(chunk * CHUNK, min((chunk + 1) * CHUNK, len(chosen))):
            _split_point(
                field, s0, r2star, chosen[c], sphere[first[c] : first[c + 1]], spheres, matter,
                spacing, origin, b0, split, te_s, step_s, hertz, static,
                at, far, parts, around, out[:, c],
            )  # fmt: skip


@compiled
def _split_point(
    field: Any, s0: Any, r2star: Any, flat: int, own: Any, spheres: Any, matter: Any,
    spacing: Any, origin: Any, b0: Any, split: Any,
    te_s: Any, step_s: float, hertz: float, static: float,
    at: Any, far: Any, parts: Any, around: Any, out: Any,
) -> None:  # fmt: skip
    """Fill `out` with the mean signal over one point; the arrays before it are scratch."""
    n0, n1, n2 = field.shape
    i, j, k = flat // (n1 * n2), (flat // n2) % n1, flat % n2
    at[0] = origin[0] + i * spacing[0]
    at[1] = origin[1] + j * spacing[1]
    at[2] = origin[2] + k * spacing[2]
    radians = 2.0 * np.pi * hertz
    _set_parts(at, own, spheres, spacing, split, radians * te_s[len(te_s) - 1], parts)
    count = parts[0] * parts[1] * parts[2]
    _far_field(at, spacing, own, spheres, b0, 2e-4, far)
    middle = field[i, j, k] + far[0]
    gx = far[1] + 0.5 * (field[min(i + 1, n0 - 1), j, k] - field[max(i - 1, 0), j, k])
    gy = far[2] + 0.5 * (field[i, min(j + 1, n1 - 1), k] - field[i, max(j - 1, 0), k])
    gz = far[3] + 0.5 * (field[i, j, min(k + 1, n2 - 1)] - field[i, j, max(k - 1, 0)])
    # sums of unit vectors in what surrounds the sources; their size comes at the end
    around[:] = 0.0
    for a in range(parts[0]):
        u = (a + 0.5) / parts[0] - 0.5
        for b in range(parts[1]):
            v = (b + 0.5) / parts[1] - 0.5
            for d in range(parts[2]):
                w = (d + 0.5) / parts[2] - 0.5
                shift = middle + gx * u + gy * v + gz * w
                decay, signal, within = r2star[i, j, k], s0[i, j, k], False
                for s in own:
                    x = at[0] + u * spacing[0] - spheres[s, 0]
                    y = at[1] + v * spacing[1] - spheres[s, 1]
                    z = at[2] + w * spacing[2] - spheres[s, 2]
                    radius, chi = spheres[s, 3], spheres[s, 4]
                    if x * x + y * y + z * z <= radius * radius:
                        within = True
                        signal = matter[s, 0] * signal + matter[s, 1]
                        decay = matter[s, 2] * decay + matter[s, 3]
                        decay += static * radians * abs(chi) * matter[s, 4]
                    else:
                        shift += _ball_field(x, y, z, radius, chi, b0)
                turning = np.float32(hertz * shift)
                cosine, sine = cos_sin(turning * te_s[0])
                more_cos, more_sin = cos_sin(turning * np.float32(step_s))
                for e in range(len(te_s)):
                    if e > 0:
                        if step_s > 0:
                            turned = cosine * more_cos - sine * more_sin
                            sine = cosine * more_sin + sine * more_cos
                            cosine = turned
                        else:
                            cosine, sine = cos_sin(turning * te_s[e])
                    if within:
                        size = np.float32(signal * np.exp(-te_s[e] * decay) / count)
                        out[e] += np.complex64(complex(size * cosine, size * sine))
                    else:
                        around[0, e] += cosine
                        around[1, e] += sine
    for e in range(len(te_s)):
        size = np.float32(s0[i, j, k] * np.exp(-te_s[e] * r2star[i, j, k]) / count)
        out[e] += np.complex64(complex(size * around[0, e], size * around[1, e]))


@compiled
def _set_parts(
    at: Any, own: Any, spheres: Any, spacing: Any, split: Any, latest: float, parts: Any
) -> None:
    """Fill `parts` with how often a point is split along each axis.

    As many as `split` at a sphere's surface and inside; further off as many as keep the
    phase within a part from spreading, by the steepest slope that its field can have.
    """
    size = np.sqrt(spacing[0] ** 2 + spacing[1] ** 2 + spacing[2] ** 2)
    steepest = 0.0
    for s in own:
        x, y, z = at[0] - spheres[s, 0], at[1] - spheres[s, 1], at[2] - spheres[s, 2]
        # the nearest corner of the point
        near = np.sqrt(x * x + y * y + z * z) - 0.5 * size
        if near <= spheres[s, 3]:
            parts[:] = split
            return
        steepest += 2.0 * abs(spheres[s, 4]) * spheres[s, 3] ** 3 / near**4
    for a in range(3):
        spread = latest * steepest * spacing[a]
        parts[a] = min(split[a], max(2, int(np.ceil(spread / PART_SPREAD_RAD))))


def add_source_fields(maps: FineMaps, table: npt.NDArray[np.float64]) -> None:
    """Add the outside fields of spheres to `maps.field_ppm`, where they lie."""
    add_spheres(
        maps.field_ppm, table, maps.grid.spacing_mm, maps.grid.origin_mm,
        maps.grid.scan.b0_dir, SMALLEST_FIELD_PPM,
    )  # fmt: skip
