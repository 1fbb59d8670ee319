"""Smooth angles: weighted phasors on blocks of voxels, and angles from them."""

from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.core.blocks import Blocks, blur
from petechia.core.compiled import compiled
from petechia.core.grid import Grid
from petechia.phase.images import Volume
from petechia.phase.unwrap.weights import TWO_PI

Phasors = npt.NDArray[np.complex64]


def blocks_for(grid: Grid, sigma_mm: float) -> Blocks:
    """Return blocks fine enough for what a Gaussian of `sigma_mm` leaves."""
    return Blocks.of(grid, sigma_mm / 2.5)


def block_phasors(angle_rad: Volume, weight: Volume, blocks: Blocks) -> Phasors:
    """Return the sum of weight times exp(i angle) over each block.

    Parameters
    ----------
    angle_rad, weight : (I, J, K) ndarray of float32
        Voxels of weight 0 are not looked at.
    blocks : Blocks
    """
    out = np.zeros(blocks.coarse.shape, dtype=np.complex64)
    _sum_phasors(angle_rad, weight, *blocks.factors, out)
    return out


def block_sums(values: Phasors, turn_rad: Volume, weight: Volume, blocks: Blocks) -> Phasors:
    """Return the sum of weight times values times exp(-i turn) over each block."""
    out = np.zeros(blocks.coarse.shape, dtype=np.complex64)
    _sum_turned(values, turn_rad, weight, *blocks.factors, out)
    return out


def blurred(phasors: Phasors, grid: Grid, sigma_mm: float) -> Phasors:
    """Return complex blocks under a Gaussian, with zeros around them."""
    real = blur(np.ascontiguousarray(phasors.real), grid, sigma_mm)
    out: Phasors = (real + 1j * blur(np.ascontiguousarray(phasors.imag), grid, sigma_mm)).astype(
        np.complex64
    )
    return out


def smooth_angle(angle_rad: Volume, weight: Volume, grid: Grid, sigma_mm: float) -> Volume:
    """Return the angle of the weighted, Gaussian-smoothed phasor, everywhere; wrapped [rad]."""
    blocks = blocks_for(grid, sigma_mm)
    smooth = blurred(block_phasors(angle_rad, weight, blocks), blocks.coarse, sigma_mm)
    return voxel_angle(smooth, blocks)


def voxel_angle(phasors: Phasors, blocks: Blocks) -> Volume:
    """Return the angle of phasors interpolated between the middles of the blocks [rad]."""
    size = np.float32(np.abs(phasors).max() or 1.0)
    parts = [blocks.expand(np.ascontiguousarray(p) / size) for p in (phasors.real, phasors.imag)]
    out = np.empty(blocks.grid.shape, dtype=np.float32)
    _angles(parts[0].ravel(), parts[1].ravel(), out.ravel())
    return out


def angle(image: Phasors) -> Volume:
    """Return the angle of a contiguous complex volume: -pi to pi."""
    out = np.empty(image.shape, dtype=np.float32)
    flat = image.ravel()
    _angles(flat.real, flat.imag, out.ravel())
    return out


def difference(after_rad: Volume, before_rad: Volume) -> Volume:
    """Return what is left of a difference of two angles after whole turns: -pi to pi."""
    out = np.empty(after_rad.shape, dtype=np.float32)
    _differences(np.ascontiguousarray(after_rad).ravel(), before_rad.ravel(), out.ravel())
    return out


@compiled
def _differences(a: Any, b: Any, out: Any) -> None:
    turn, part, half = np.float32(TWO_PI), np.float32(1 / TWO_PI), np.float32(0.5)
    for v in range(out.size):
        d = a[v] - b[v]
        out[v] = d - turn * np.floor(d * part + half)


@compiled
def _angles(real: Any, imag: Any, out: Any) -> None:
    """Fill `out` with atan2 to 3e-7: a series without branches (Abramowitz & Stegun 4.4.49)."""
    one, zero = np.float32(1), np.float32(0)
    quarter, half = np.float32(np.pi / 2), np.float32(np.pi)
    for v in range(out.size):
        x, y = real[v], imag[v]
        far, near = max(abs(x), abs(y)), min(abs(x), abs(y))
        a = near / (far if far > zero else one)
        s = a * a
        r = np.float32(0.0028662257)
        r = r * s - np.float32(0.0161657367)
        r = r * s + np.float32(0.0429096138)
        r = r * s - np.float32(0.0752896400)
        r = r * s + np.float32(0.1065626393)
        r = r * s - np.float32(0.1420889944)
        r = r * s + np.float32(0.1999355085)
        r = r * s - np.float32(0.3333314528)
        r = a * (r * s + one)
        r = quarter - r if abs(y) > abs(x) else r
        r = half - r if x < zero else r
        out[v] = -r if y < zero else r


@compiled
def _sum_phasors(a: Any, w: Any, fi: int, fj: int, fk: int, out: Any) -> None:
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            for k in range(a.shape[2]):
                if w[i, j, k] != 0:
                    x = a[i, j, k]
                    turn = np.complex64(complex(np.cos(x), np.sin(x)))
                    out[i // fi, j // fj, k // fk] += w[i, j, k] * turn


@compiled
def _sum_turned(s: Any, a: Any, w: Any, fi: int, fj: int, fk: int, out: Any) -> None:
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            for k in range(a.shape[2]):
                if w[i, j, k] != 0:
                    x = a[i, j, k]
                    turn = np.complex64(complex(np.cos(x), -np.sin(x)))
                    out[i // fi, j // fj, k // fk] += w[i, j, k] * turn * s[i, j, k]
