"""From fine maps to what a scanner would record: evolve, dephase, sample.

The complex signal of every fine point is summed into the acquired voxels by the scanner's own
sampling: a crop of k-space along encoded axes, a slice profile along 2D slices. Near strong
small sources each fine point is split further, with their exact fields.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import prange
from scipy import fft, sparse

from petechia.core.compiled import compiled
from petechia.core.units import hz_per_ppm
from petechia.simulate.fields import add_spheres
from petechia.simulate.kspace import displaced_along, fat_shift_voxels
from petechia.simulate.protocols import Protocol
from petechia.simulate.render import FineGrid, FineMaps
from petechia.simulate.tissues import FAT_SHIFT_PPM, STATIC_DEPHASING, SUBSTANCES

Complex = npt.NDArray[np.complex64]
Volume = npt.NDArray[np.float32]
PLANES = 12
"""Fine planes evolved at a time."""
SMALLEST_FIELD_PPM = 2e-5
"""Where the field of a source is cut off."""
PHASE_SPREAD_RAD = 0.35
"""Points whose phase spreads by more than this within a fine voxel are split."""

PART_SPREAD_RAD = 0.8
"""Phase may spread by so much within a part of a split point."""


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


def acquire(
    maps: FineMaps, protocol: Protocol, te_s: tuple[float, ...], near: NearSources | None = None
) -> Complex:
    """Return the noise-free complex images at `te_s`, (E, I, J, K)."""
    steps = [_reduction(maps.grid, protocol, axis) for axis in range(3)]
    profile = slab_profile(maps.grid, protocol)
    out = np.empty((len(te_s), *maps.grid.scan.shape), dtype=np.complex64)
    n0, n1, n2 = maps.grid.shape
    for e, te in enumerate(te_s):
        partial = np.empty((n0, *out.shape[2:]), dtype=np.complex64)
        for first in range(0, n0, PLANES):
            last = min(first + PLANES, n0)
            slab = np.zeros((last - first, n1, n2), dtype=np.complex64)
            _evolve(
                maps.field_ppm, maps.s0, maps.r2star, maps.fat, profile,
                first, te, hz_per_ppm(protocol.b0_t), FAT_SHIFT_PPM, slab,
            )  # fmt: skip
            if near is not None:
                low, high = np.searchsorted(near.index, [first * n1 * n2, last * n1 * n2])
                at = near.index[low:high] - first * n1 * n2
                slab.reshape(-1)[at] = near.signal[e, low:high] * profile[at % n2]
            partial[first:last] = steps[1](steps[2](slab, 2), 1)
        out[e] = steps[0](partial, 0)
    return out


def acquire_with_fat(
    maps: FineMaps, protocol: Protocol, te_s: tuple[float, ...], near: NearSources | None = None
) -> Complex:
    """Return the images with fat where the readout puts it, displaced by its frequency."""
    if protocol.bandwidth_hz is None:
        return acquire(maps, protocol, te_s, near)
    part = maps.fat.astype(np.float32) / np.float32(255)
    water = replace(maps, s0=maps.s0 * (1 - part), fat=np.zeros_like(maps.fat))
    fat = replace(maps, s0=maps.s0 * part, fat=np.where(maps.fat > 0, np.uint8(255), np.uint8(0)))
    out = acquire(water, protocol, te_s, near)
    for e, te in enumerate(te_s):
        voxels = fat_shift_voxels(protocol, protocol.te_s.index(te))
        moved = acquire(fat, protocol, (te,))[0]
        out[e] += displaced_along(moved, 1 - protocol.phase_axis, voxels)
    return out


def evolved(maps: FineMaps, protocol: Protocol, profile: Volume) -> Complex:
    """Return the signal of every fine point at every echo, (E, I, J, K)."""
    out = np.zeros((len(protocol.te_s), *maps.grid.shape), dtype=np.complex64)
    for e, te in enumerate(protocol.te_s):
        _evolve(
            maps.field_ppm, maps.s0, maps.r2star, maps.fat, profile,
            0, te, hz_per_ppm(protocol.b0_t), FAT_SHIFT_PPM, out[e],
        )  # fmt: skip
    return out


@compiled(fastmath=True)
def _cos_sin(turns: Any) -> Any:
    """Return cosine and sine of a phase in turns, to 1e-6, several times faster than libm's."""
    quarters = np.float32(4.0) * (turns - np.floor(turns))
    quadrant = np.floor(quarters + np.float32(0.5))
    x = (quarters - quadrant) * np.float32(np.pi / 2)
    y = x * x
    sine = x * (1 + y * (-1 / 6 + y * (1 / 120 - y / 5040)))
    cosine = 1 + y * (-1 / 2 + y * (1 / 24 + y * (-1 / 720 + y / 40320)))
    q = int(quadrant) & 3
    if q == 0:
        return cosine, sine
    if q == 1:
        return -sine, cosine
    if q == 2:
        return -cosine, -sine
    return sine, -cosine


@compiled(parallel=True, fastmath=True)
def _evolve(
    field: Any, s0: Any, r2star: Any, fat: Any, profile: Any,
    first: int, te_s: float, hertz: float, fat_shift: float, out: Any,
) -> None:  # fmt: skip
    """Fill a slab with signals at `te_s`, dephased by the field's slope across each point."""
    n0, n1, n2 = field.shape
    te = np.float32(te_s)
    cycles = np.float32(hertz * te_s)
    spread = np.float32(0.5 * np.pi) * cycles  # half the spread of phase across a point
    as_fat = np.float32(fat_shift / 255.0)
    small = np.float32(1e-5)
    for p in prange(out.shape[0]):
        i = first + p
        before, behind = max(i - 1, 0), min(i + 1, n0 - 1)
        for j in range(n1):
            left, right = max(j - 1, 0), min(j + 1, n1 - 1)
            for k in range(n2):
                signal = s0[i, j, k]
                if signal < small:
                    continue
                signal *= np.exp(-te * r2star[i, j, k]) * profile[k]
                slopes = (
                    spread * (field[behind, j, k] - field[before, j, k]),
                    spread * (field[i, right, k] - field[i, left, k]),
                    spread * (field[i, j, min(k + 1, n2 - 1)] - field[i, j, max(k - 1, 0)]),
                )
                for half in slopes:
                    if abs(half) > np.float32(1.0):
                        signal *= np.sin(half) / half
                    else:
                        y = half * half
                        signal *= np.float32(1.0) - y * (
                            np.float32(1 / 6) - y * np.float32(1 / 120)
                        )
                cosine, sine = _cos_sin(cycles * (field[i, j, k] + as_fat * fat[i, j, k]))
                out[p, j, k] = np.complex64(complex(signal * cosine, signal * sine))


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
    _supersample(
        maps.field_ppm, maps.s0, maps.r2star, chosen, np.append(first, len(points)),
        sphere[order], table, matter,
        grid.spacing_mm, grid.origin_mm, grid.scan.b0_dir, split,
        np.asarray(te_s), 2 * np.pi * hz_per_ppm(protocol.b0_t), STATIC_DEPHASING, signal,
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
    return chi / 3.0 * radius**3 * (3.0 * along * along / square - 1.0) / square**1.5


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
        if (x * x + y * y + z * z) ** 1.5 > reach:
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
    te_s: Any, radians: float, static: float, out: Any,
) -> None:  # fmt: skip
    """Fill `out` with the mean signal over a lattice inside each chosen point.

    The spheres that chose a point, `sphere[first[c] : first[c + 1]]`, act exactly on every
    part of it; the others by their field and its slope.
    """
    n0, n1, n2 = field.shape
    latest = radians * te_s.max()
    for c in prange(len(chosen)):
        i = chosen[c] // (n1 * n2)
        j = (chosen[c] // n2) % n1
        k = chosen[c] % n2
        own = sphere[first[c] : first[c + 1]]
        at = np.array(
            [
                origin[0] + i * spacing[0],
                origin[1] + j * spacing[1],
                origin[2] + k * spacing[2],
            ]
        )
        parts = _parts_of(at, own, spheres, spacing, split, latest)
        count = parts[0] * parts[1] * parts[2]
        far = np.zeros(4)
        _far_field(at, spacing, own, spheres, b0, 2e-4, far)
        middle = field[i, j, k] + far[0]
        gx = far[1] + 0.5 * (field[min(i + 1, n0 - 1), j, k] - field[max(i - 1, 0), j, k])
        gy = far[2] + 0.5 * (field[i, min(j + 1, n1 - 1), k] - field[i, max(j - 1, 0), k])
        gz = far[3] + 0.5 * (field[i, j, min(k + 1, n2 - 1)] - field[i, j, max(k - 1, 0)])
        around = s0[i, j, k] * np.exp(-te_s * r2star[i, j, k]) / count
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
                    for e in range(len(te_s)):
                        size = around[e]
                        if within:
                            size = signal * np.exp(-te_s[e] * decay) / count
                        turns = np.float32(radians / (2 * np.pi) * te_s[e] * shift)
                        cosine, sine = _cos_sin(turns)
                        out[e, c] += np.complex64(complex(size * cosine, size * sine))


@compiled
def _parts_of(at: Any, own: Any, spheres: Any, spacing: Any, split: Any, latest: float) -> Any:
    """Return into how many parts a point is split along each axis.

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
            return (split[0], split[1], split[2])
        steepest += 2.0 * abs(spheres[s, 4]) * spheres[s, 3] ** 3 / near**4
    out = np.empty(3, dtype=np.int64)
    for a in range(3):
        spread = latest * steepest * spacing[a]
        out[a] = min(split[a], max(2, int(np.ceil(spread / PART_SPREAD_RAD))))
    return (out[0], out[1], out[2])


def add_source_fields(maps: FineMaps, table: npt.NDArray[np.float64]) -> None:
    """Add the outside fields of spheres to `maps.field_ppm`, where they lie."""
    add_spheres(
        maps.field_ppm, table, maps.grid.spacing_mm, maps.grid.origin_mm,
        maps.grid.scan.b0_dir, SMALLEST_FIELD_PPM,
    )  # fmt: skip


def slab_profile(grid: FineGrid, protocol: Protocol) -> Volume:
    """Return the excitation along the slice axis: a slab with soft ends, or 1 for 2D."""
    n = grid.shape[2]
    if protocol.acquisition_type == "2D":
        return np.ones(n, dtype=np.float32)
    ramp = max(0.03, 3.0 / grid.scan.shape[2]) * n
    from_end = np.minimum(np.arange(n), n - 1 - np.arange(n)) / ramp
    return np.asarray(np.sin(0.5 * np.pi * np.clip(from_end, 0, 1)) ** 2, dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class _Crop:
    """Keep the central `n` spatial frequencies of an axis."""

    n: int

    def __call__(self, data: Complex, axis: int) -> Complex:
        length = data.shape[axis]
        if length == self.n:
            return data
        spectrum = fft.fft(data, axis=axis, overwrite_x=True)
        ahead = (self.n + 1) // 2
        low, high = [slice(None)] * data.ndim, [slice(None)] * data.ndim
        low[axis], high[axis] = slice(0, ahead), slice(length - self.n // 2, length)
        kept = np.concatenate([spectrum[tuple(low)], spectrum[tuple(high)]], axis=axis)
        kept *= np.float32(self.n / length)
        return np.asarray(fft.ifft(kept, axis=axis, overwrite_x=True), dtype=np.complex64)


@dataclass(frozen=True, slots=True, eq=False)
class _Profile:
    """Weigh an axis by slice profiles, rows (slices, points)."""

    weights: Volume

    def __call__(self, data: Complex, axis: int) -> Complex:
        moved = np.moveaxis(data, axis, -1) @ self.weights.T.astype(np.complex64)
        return np.ascontiguousarray(np.moveaxis(moved, -1, axis))


def _reduction(grid: FineGrid, protocol: Protocol, axis: int) -> _Crop | _Profile:
    if protocol.acquisition_type == "2D" and axis == 2:
        return _Profile(slice_profiles(grid, protocol))
    return _Crop(grid.scan.shape[axis])


def slice_profiles(grid: FineGrid, protocol: Protocol) -> Volume:
    """Return how much each point belongs to each slice: boxes with edges of 15 %."""
    points = grid.origin_mm[2] + np.arange(grid.shape[2]) * grid.spacing_mm[2]
    slices = np.arange(grid.scan.shape[2]) * grid.scan.spacing_mm[2]
    away = np.abs(points[None, :] - slices[:, None]) / protocol.thickness_mm
    weights = np.clip((0.575 - away) / 0.15, 0, 1)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)


def voxel_means(volume: Volume, grid: FineGrid) -> Volume:
    """Return the means of a fine volume over the scan's voxels, slice gaps included."""
    out = volume
    for axis in range(3):
        weights = _overlaps(grid, axis)
        moved = np.moveaxis(out, axis, 0)
        flat = np.ascontiguousarray(moved).reshape(moved.shape[0], -1)
        mean = (weights @ flat).reshape(-1, *moved.shape[1:])
        out = np.moveaxis(mean, 0, axis)
    return np.ascontiguousarray(out, dtype=np.float32)


def _overlaps(grid: FineGrid, axis: int) -> Any:
    """Return the sparse matrix (voxels, points) of shared lengths, rows summing to 1."""
    step, big = grid.spacing_mm[axis], grid.scan.spacing_mm[axis]
    points = grid.origin_mm[axis] + np.arange(grid.shape[axis]) * step
    voxels = np.arange(grid.scan.shape[axis]) * big
    shared = np.minimum(points + step / 2, voxels[:, None] + big / 2) - np.maximum(
        points - step / 2, voxels[:, None] - big / 2
    )
    shared = np.clip(shared, 0, None)
    return sparse.csr_array((shared / shared.sum(axis=1, keepdims=True)).astype(np.float32))
