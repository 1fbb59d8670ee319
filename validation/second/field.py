"""The field of a head by k-space, without the copies of it that k-space brings, and shimmed."""

from typing import Any, cast

import numpy as np
import numpy.typing as npt
from scipy import fft

from petechia.core.compiled import compiled
from second.smooth import Mask, Volume, blurred

Vector = npt.NDArray[np.float64]
COARSE_MM = 4.0
NECK_MM = 100.0
"""How far the lowest slice goes on below the head, as a neck."""
SHIM_MM = 60.0
"""Unit of length of the shim's terms."""


def periodic_field(chi_ppm: Volume, spacing_mm: Vector, b0_dir: Vector) -> Volume:
    """Return the field of a susceptibility that repeats itself at its borders [ppm of B0]."""
    spectrum = fft.rfftn(chi_ppm)
    kx, ky = (np.fft.fftfreq(n, d) for n, d in zip(chi_ppm.shape[:2], spacing_mm, strict=False))
    kz = np.fft.rfftfreq(chi_ppm.shape[2], spacing_mm[2])
    for i, k in enumerate(kx):  # a plane at a time: the kernel is never whole in memory
        square = k**2 + ky[:, None] ** 2 + kz**2
        along = k * b0_dir[0] + ky[:, None] * b0_dir[1] + kz * b0_dir[2]
        if i == 0:
            square[0, 0] = 1.0
        kernel = 1 / 3 - along**2 / square
        if i == 0:
            kernel[0, 0] = 0.0
        spectrum[i] *= kernel.astype(np.float32)
    return cast("Volume", fft.irfftn(spectrum, chi_ppm.shape, overwrite_x=True))


def head_field(chi_ppm: Volume, spacing_mm: Vector, b0_dir: Vector) -> Volume:
    """Return the field of a head in air, its neck going on below [ppm of B0].

    The copies of the head that k-space brings are far away: their field is smooth, and is
    taken off as the difference of two fields on a coarse grid.

    Parameters
    ----------
    chi_ppm : (I, J, K) ndarray of float32
        Against air.
    spacing_mm : (3,) ndarray
        Of its voxels.
    b0_dir : (3,) ndarray
        Direction of the main field along its axes.
    """
    factor = np.maximum(1, np.rint(COARSE_MM / spacing_mm)).astype(int)
    coarse, coarse_mm = block_mean(chi_ppm, factor), spacing_mm * factor
    alone = _alone(coarse, coarse_mm, b0_dir)
    correction = blurred(alone - periodic_field(coarse, coarse_mm, b0_dir), 1.0)
    field = periodic_field(chi_ppm, spacing_mm, b0_dir)
    _add_coarse(field, correction, factor.astype(np.float64))
    return field


def block_mean(volume: Volume, factor: npt.NDArray[np.integer]) -> Volume:
    """Return the means of whole blocks of voxels."""
    n = np.array(volume.shape) // factor
    kept = volume[tuple(slice(m) for m in n * factor)]
    blocks = kept.reshape([m for pair in zip(n, factor, strict=True) for m in pair])
    return np.asarray(blocks.mean((1, 3, 5)))


def _alone(chi_ppm: Volume, spacing_mm: Vector, b0_dir: Vector) -> Volume:
    room = [n // 2 + 8 for n in chi_ppm.shape]
    neck = round(NECK_MM / spacing_mm[2])
    below = room[2] + 20
    wide = np.pad(chi_ppm, [(r, r) for r in room[:2]] + [(below, room[2])])
    inner = tuple(slice(r, r + n) for r, n in zip(room[:2], chi_ppm.shape, strict=False))
    wide[(*inner, slice(below - neck, below))] = chi_ppm[:, :, :1]
    field = periodic_field(wide, spacing_mm, b0_dir)
    return field[(*inner, slice(below, below + chi_ppm.shape[2]))]


@compiled
def _add_coarse(field: Any, coarse: Any, factor: Any) -> None:
    """Add a volume of blocks to its fine voxels, linear between the blocks' centres."""
    first, part = np.empty(3, np.int64), np.empty(3)
    for i in range(field.shape[0]):
        for j in range(field.shape[1]):
            for k in range(field.shape[2]):
                at = (i, j, k)
                for c in range(3):
                    x = (at[c] + 0.5) / factor[c] - 0.5
                    x = min(max(x, 0.0), coarse.shape[c] - 1.001)
                    first[c] = int(x)
                    part[c] = x - first[c]
                total = 0.0
                for n in range(8):
                    a, b, d = n & 1, (n >> 1) & 1, n >> 2
                    weight = part[0] if a else 1 - part[0]
                    weight *= part[1] if b else 1 - part[1]
                    weight *= part[2] if d else 1 - part[2]
                    total += weight * coarse[first[0] + a, first[1] + b, first[2] + d]
                field[i, j, k] += total


def shim(field_ppm: Volume, brain: Mask, spacing_mm: Vector, rng: np.random.Generator) -> None:
    """Take most of the second-order terms of the field in the brain off it, where it lies.

    Its mean goes away, and 75 to 100 % of each other term: no shim is perfect.
    """
    step = np.maximum(1, np.rint(COARSE_MM / spacing_mm)).astype(int)
    some = tuple(slice(None, None, s) for s in step)
    places = np.argwhere(brain[some]) * step * spacing_mm
    centre = places.mean(0)
    terms = _shim_terms(*((places - centre) / SHIM_MM).T)
    weights = np.linalg.lstsq(terms, field_ppm[some][brain[some]], rcond=None)[0]
    weights[1:] *= rng.uniform(0.75, 1.0, len(weights) - 1)
    _take_off(field_ppm, spacing_mm, centre, weights)


def _shim_terms(x: Vector, y: Vector, z: Vector) -> Vector:
    products = [x * y, x * z, y * z, x * x - z * z, y * y - z * z]
    return np.stack([np.ones_like(x), x, y, z, *products], axis=1)


@compiled(fastmath=True)
def _take_off(field: Any, spacing: Any, centre: Any, w: Any) -> None:
    for i in range(field.shape[0]):
        x = (i * spacing[0] - centre[0]) / SHIM_MM
        for j in range(field.shape[1]):
            y = (j * spacing[1] - centre[1]) / SHIM_MM
            for k in range(field.shape[2]):
                z = (k * spacing[2] - centre[2]) / SHIM_MM
                linear = w[0] + w[1] * x + w[2] * y + w[3] * z
                mixed = w[4] * x * y + w[5] * x * z + w[6] * y * z
                square = w[7] * (x * x - z * z) + w[8] * (y * y - z * z)
                field[i, j, k] -= linear + mixed + square
