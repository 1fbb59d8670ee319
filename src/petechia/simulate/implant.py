"""A source put into the scan of a head that was laid in the scanner before.

Close by, the fine points are evolved anew with its exact field and sampled as the scanner would;
further off, where its field is smooth, the voxels only turn.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.core.compiled import compiled
from petechia.simulate.evolve import evolve, turn
from petechia.simulate.fields import add_spheres
from petechia.simulate.nearby import matter_of, near_sources
from petechia.simulate.protocols import Protocol
from petechia.simulate.render import FineMaps
from petechia.simulate.signal import slab_profile, slice_profiles

Volume = npt.NDArray[np.float32]
Complex = npt.NDArray[np.complex64]
Vector = npt.NDArray[np.float64]
SUPPORT = 8
"""Voxels to each side over which the scanner's sampling is followed."""
NEAR_VOXELS = (3.5, 6.0)
"""Least and largest half side of the block that is evolved anew."""
SMALLEST_PPM = 2e-4
"""Where the field of a source is cut off: a turn of less than a degree at any echo."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Change:
    """What a source changes near it.

    Attributes
    ----------
    signal : (E, A, B, C) ndarray of complex64
        To be added to some voxels of the scan, before the coil.
    voxels : tuple of three slices
        Which, of the scan.
    near : tuple of three ndarrays of float32
        How near each of them is along each axis: their product is 1 where `signal` says all,
        and 0 where voxels only turn.
    """

    signal: Complex
    voxels: tuple[slice, slice, slice]
    near: tuple[Volume, Volume, Volume]


def implant(
    patch: Complex,
    corner: npt.NDArray[np.int64],
    change: Change,
    table: Vector,
    coil: Complex,
    protocol: Protocol,
) -> None:
    """Put a source into a patch of the scan, where it lies.

    Parameters
    ----------
    patch : (E, N, N, N) ndarray of complex64
        The scan without the source; changed.
    corner : (3,) ndarray of int
        Voxel of the scan with which the patch begins.
    change : Change
        What it does near by (`change_near`).
    table : (S, 5) ndarray
        Its spheres in axis millimetres.
    coil : (I, J, K) ndarray of complex64
        What the coil multiplies the whole scan by.
    protocol : Protocol
        How it was acquired.
    """
    scan = protocol.grid
    field = np.zeros(patch.shape[1:], dtype=np.float32)
    add_spheres(field, table, scan.spacing_mm, corner * scan.spacing_mm, scan.b0_dir, SMALLEST_PPM)
    own = tuple(slice(v.start - c, v.stop - c) for v, c in zip(change.voxels, corner, strict=True))
    before = patch[:, *own].copy()
    turn(patch, field, protocol.b0_t, protocol.te_s)
    _blend(patch[:, *own], before, change.signal, coil[change.voxels], *change.near)


@compiled(fastmath=True)
def _blend(after: Any, before: Any, change: Any, coil: Any, u: Any, v: Any, w: Any) -> None:
    """Go over from turned voxels to evolved ones towards the middle."""
    n_echoes, n0, n1, n2 = after.shape
    for e in range(n_echoes):
        for i in range(n0):
            for j in range(n1):
                side = u[i] * v[j]
                for k in range(n2):
                    part = side * w[k]
                    after[e, i, j, k] += (
                        part * (before[e, i, j, k] - after[e, i, j, k])
                        + change[e, i, j, k] * coil[i, j, k]
                    )


def change_near(
    maps: FineMaps,
    protocol: Protocol,
    table: Vector,
    substances: Sequence[str],
    corner: npt.NDArray[np.int64],
    side: int,
) -> Change:
    """Return what a source changes in the voxels of a patch, by its fine points.

    Parameters
    ----------
    maps : FineMaps
        Of the head without it.
    protocol : Protocol
        How it was acquired.
    table : (S, 5) ndarray
        Its spheres in axis millimetres.
    substances : sequence of str
        Of each sphere.
    corner : (3,) ndarray of int
        Voxel of the scan with which the patch begins.
    side : int
        Of the patch [voxels].
    """
    grid, spacing = maps.grid, maps.grid.scan.spacing_mm
    at = np.average(table[:, :3], axis=0, weights=table[:, 3] ** 3) / spacing
    size = 2.2 * abs((table[:, 4] * 4.19 * table[:, 3] ** 3).sum()) ** (1 / 3) + table[:, 3].max()
    half = np.clip(size / spacing + 2.0, *NEAR_VOXELS)
    low = np.floor(((at - half) * spacing - grid.origin_mm) / grid.spacing_mm).astype(int)
    high = np.ceil(((at + half) * spacing - grid.origin_mm) / grid.spacing_mm).astype(int) + 1
    low, high = np.maximum(low, 0), np.minimum(high, grid.shape)
    profile = slab_profile(grid, protocol)[low[2] : high[2]]
    signal = _evolved_change(_block(maps, low, high), protocol, profile, table, substances)
    voxels, near, weights = [], [], []
    for axis in range(3):
        step = grid.spacing_mm[axis]
        points = grid.origin_mm[axis] + np.arange(low[axis], high[axis]) * step
        first = max(int(np.floor(at[axis] - half[axis])) - SUPPORT, corner[axis])
        last = int(np.ceil(at[axis] + half[axis])) + SUPPORT + 1
        last = min(last, corner[axis] + side, protocol.shape[axis])
        voxels.append(slice(first, last))
        near.append(_fade(np.arange(first, last) - at[axis], half[axis]))
        sampler = _sampler(maps, protocol, axis, low[axis], points, first, last)
        weights.append(sampler * _fade(points / spacing[axis] - at[axis], half[axis]))
    return Change(
        signal=_weighed(signal, weights),
        voxels=(voxels[0], voxels[1], voxels[2]),
        near=(near[0], near[1], near[2]),
    )


def _block(maps: FineMaps, low: npt.NDArray[np.int_], high: npt.NDArray[np.int_]) -> FineMaps:
    """Return copies of the maps within a block of fine points."""
    grid, box = maps.grid, tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    i, j, k = (int(n) for n in high - low)
    return FineMaps(
        grid=replace(grid, shape=(i, j, k), origin_mm=grid.origin_mm + low * grid.spacing_mm),
        chi_ppm=maps.chi_ppm[box],
        field_ppm=maps.field_ppm[box].copy(),
        s0=maps.s0[box].copy(),
        r2star=maps.r2star[box].copy(),
        fat=maps.fat[box].copy(),
        vein=maps.vein[box],
    )


def _evolved_change(
    block: FineMaps,
    protocol: Protocol,
    profile: Volume,
    table: Vector,
    substances: Sequence[str],
) -> Complex:
    """Return the signal of fine points with the source, less that without: (E, A, B, C)."""
    without, out = (
        np.zeros((len(protocol.te_s), *block.grid.shape), dtype=np.complex64) for _ in range(2)
    )
    evolve(block, protocol.b0_t, protocol.te_s, profile, 0, without)
    near = near_sources(block, table, matter_of(substances, protocol), protocol, protocol.te_s)
    grid = block.grid
    add_spheres(
        block.field_ppm, table, grid.spacing_mm, grid.origin_mm, grid.scan.b0_dir, SMALLEST_PPM
    )
    evolve(block, protocol.b0_t, protocol.te_s, profile, 0, out)
    out.reshape(len(out), -1)[:, near.index] = near.signal * profile[near.index % len(profile)]
    out -= without
    return out


def _weighed(signal: Complex, weights: Sequence[Volume]) -> Complex:
    """Return signals (E, I, J, K) summed along each axis by weights (voxels, points).

    Real and imaginary parts are weighed as reals: half the work.
    """
    n_echoes, n0, n1, n2 = signal.shape
    v0, v2 = len(weights[0]), len(weights[2])
    both = np.zeros((n2, 2, v2, 2), dtype=np.float32)
    both[:, 0, :, 0] = both[:, 1, :, 1] = weights[2].T
    parts = signal.view(np.float32).reshape(-1, 2 * n2) @ both.reshape(2 * n2, 2 * v2)
    parts = weights[0] @ parts.reshape(n_echoes, n0, n1 * 2 * v2)
    parts = weights[1] @ parts.reshape(n_echoes, v0, n1, 2 * v2)
    return np.ascontiguousarray(parts).view(np.complex64)


def _fade(away: npt.NDArray[np.floating], half: float) -> Volume:
    """Return 1 in the middle of a block, falling to 0 over its last two voxels."""
    t = np.clip((half - np.abs(away)) / 2.0, 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)


def _sampler(
    maps: FineMaps, protocol: Protocol, axis: int, low: int, points: Vector, first: int, last: int
) -> Volume:
    """Return the weights (voxels, points) with which a scanner samples an axis."""
    if protocol.acquisition_type == "2D" and axis == 2:
        return slice_profiles(maps.grid, protocol)[first:last, low : low + len(points)]
    step = maps.grid.scan.spacing_mm[axis]
    away = (points[None, :] - np.arange(first, last)[:, None] * step) / step
    share = maps.grid.spacing_mm[axis] / step
    return np.asarray(share * np.sinc(away), dtype=np.float32)
