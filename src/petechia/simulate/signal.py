"""From fine maps to what a scanner would record: evolve, dephase, sample.

The complex signal of every fine point is summed into the acquired voxels by the scanner's own
sampling: a crop of k-space along encoded axes, a slice profile along 2D slices.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import fft, sparse

from petechia.simulate.evolve import evolve
from petechia.simulate.kspace import displaced_along, fat_shift_voxels
from petechia.simulate.nearby import NearSources
from petechia.simulate.protocols import Protocol
from petechia.simulate.render import FineGrid, FineMaps

Complex = npt.NDArray[np.complex64]
Volume = npt.NDArray[np.float32]
PLANES = 12
"""Fine planes evolved at a time."""
ECHOES = 4
"""Echoes followed together, at most."""


def acquire(
    maps: FineMaps, protocol: Protocol, te_s: tuple[float, ...], near: NearSources | None = None
) -> Complex:
    """Return the noise-free complex images at `te_s`, (E, I, J, K)."""
    steps = [_reduction(maps.grid, protocol, axis) for axis in range(3)]
    profile = slab_profile(maps.grid, protocol)
    out = np.empty((len(te_s), *maps.grid.scan.shape), dtype=np.complex64)
    n0, n1, n2 = maps.grid.shape
    for some in np.array_split(np.arange(len(te_s)), -(-len(te_s) // ECHOES)):
        times = tuple(te_s[e] for e in some)
        partial = np.empty((len(some), n0, *out.shape[2:]), dtype=np.complex64)
        for first in range(0, n0, PLANES):
            last = min(first + PLANES, n0)
            slab = np.zeros((len(some), last - first, n1, n2), dtype=np.complex64)
            evolve(maps, protocol.b0_t, times, profile, first, slab)
            if near is not None:
                low, high = np.searchsorted(near.index, [first * n1 * n2, last * n1 * n2])
                at = near.index[low:high] - first * n1 * n2
                slab.reshape(len(some), -1)[:, at] = near.signal[some, low:high] * profile[at % n2]
            partial[:, first:last] = steps[1](steps[2](slab, 3), 2)
        out[some] = steps[0](partial, 1)
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
    for e, image in enumerate(acquire(fat, protocol, te_s)):
        voxels = fat_shift_voxels(protocol, protocol.te_s.index(te_s[e]))
        out[e] += displaced_along(image, 1 - protocol.phase_axis, voxels)
    return out


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
