"""Fine structure of brain tissue, below the template's 2 mm: grain, fibres, small sulci.

Everything is noise on a lattice, worked out from a number where it is asked for and kept nowhere,
in head millimetres: the same person has the same structure in every scanner and position.

Grain is iron and myelin that differ from place to place. Iron is paramagnetic, myelin diamagnetic
and poor in water; either makes the signal decay faster, by the relaxivity that finely spread
sources have. Small sulci are the sheets where a smooth noise is 0, as wide as sulci are.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import prange

from petechia.core.compiled import compiled

Volume = npt.NDArray[np.float32]
LATTICE_MM = (0.8, 1.6, 3.2)
"""Of the octaves of grain."""
GRAIN_PPM = 0.006
"""Standard deviation of what iron, and of what myelin, adds to the susceptibility."""
GRAIN_WATER = 0.02
"""Standard deviation of the part of the water that myelin takes away."""
UNIT = float(np.sqrt(3.0) * (35.0 / 26.0) ** 1.5)
"""Makes the variance 1: of a number within -1..1, and of smooth interpolation along three axes."""
FIBRE_MM, FIBRE_REACH = 0.9, 4
"""Lattice of the noise that is smeared along fibres, and how many millimetres to either side."""
SULCUS_MM, SULCUS_EDGE = 10.0, 0.15
"""Lattice of the noise whose zeros are small sulci, and their half width in its units."""
SULCUS_T1, RIBBON_T1, RIBBON_MM = 80.0, 12.0, 2.4
"""How much darker the T1 of the template becomes in a small sulcus; and by how much, and at what
scale, the cortical ribbon varies."""


@compiled(fastmath=True)
def noise(x: float, y: float, z: float, seed: int) -> Any:
    """Return two independent noises of unit variance at a place in units of their lattice.

    Random numbers at whole places, of the place and the seed alone, interpolated smoothly.
    """
    i, j, k = int(np.floor(x)), int(np.floor(y)), int(np.floor(z))
    u, v, w = np.float32(x - i), np.float32(y - j), np.float32(z - k)
    two, three, one = np.float32(2.0), np.float32(3.0), np.float32(1.0)
    u, v, w = u * u * (three - two * u), v * v * (three - two * v), w * w * (three - two * w)
    first, second = np.float32(0.0), np.float32(0.0)
    for p in range(2):
        for q in range(2):
            share = (u if p else one - u) * (v if q else one - v)
            for r in range(2):
                bits = np.uint64(i + p) * np.uint64(0x9E3779B97F4A7C15)
                bits ^= np.uint64(j + q) * np.uint64(0xC2B2AE3D27D4EB4F)
                bits ^= np.uint64(k + r) * np.uint64(0x165667B19E3779F9)
                bits += np.uint64(seed)
                bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
                bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
                bits ^= bits >> np.uint64(31)
                weight = share * (w if r else one - w)
                low = np.int32(bits & np.uint64(0xFFFFFF)) - np.int32(1 << 23)
                high = np.int32((bits >> np.uint64(32)) & np.uint64(0xFFFFFF)) - np.int32(1 << 23)
                first += weight * np.float32(low)
                second += weight * np.float32(high)
    scale = np.float32(UNIT * 2.0**-23)
    return scale * first, scale * second


@compiled(fastmath=True)
def grain(x: float, y: float, z: float, shares: Any, seed: int) -> Any:
    """Return what of iron and of myelin there is at a head place [mm], each of unit variance.

    `shares` says how much of each octave is left (`shares_seen`).
    """
    iron, myelin = np.float32(0.0), np.float32(0.0)
    for octave in range(len(LATTICE_MM)):
        step = 1.0 / LATTICE_MM[octave]
        one, other = noise(x * step, y * step, z * step, seed + octave)
        iron += shares[octave] * one
        myelin += shares[octave] * other
    return iron, myelin


def shares_seen(spacing_mm: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Return the amplitude of each octave of grain where points are so far apart.

    Equal variances, of sum 1; what is finer than the points averages out within them.
    """
    lattice = np.array(LATTICE_MM)
    spacing = np.broadcast_to(np.asarray(spacing_mm, dtype=np.float64), (3,))
    left = np.minimum(lattice[:, None] / spacing, 1.0).prod(axis=1)
    return np.asarray(np.sqrt(left / len(lattice)), dtype=np.float32)


def folded(t1: Volume, brain: Volume, origin_mm: npt.ArrayLike, step_mm: float, seed: int) -> None:
    """Cut small sulci into the cortex, and roughen it, in T1 intensities where they lie.

    Parameters
    ----------
    t1 : (I, J, K) ndarray of float32
        In the template's units; changed where it looks like grey matter.
    brain : (I, J, K) ndarray of float32
        Soft mask.
    origin_mm, step_mm
        Head place of voxel (0, 0, 0), and voxel [mm].
    seed : int
        Of the person.
    """
    _fold(t1, brain, np.asarray(origin_mm, dtype=np.float64), float(step_mm), seed)


@compiled(fastmath=True)
def _rise(value: float, low: float, high: float) -> float:
    t = min(max((value - low) / (high - low), 0.0), 1.0)
    return t * t * (3.0 - 2.0 * t)


@compiled(parallel=True, fastmath=True)
def _fold(t1: Any, brain: Any, origin: Any, step: float, seed: int) -> None:
    for i in prange(t1.shape[0]):
        for j in range(t1.shape[1]):
            for k in range(t1.shape[2]):
                value = t1[i, j, k]
                if brain[i, j, k] < 0.5 or value < 110.0 or value > 238.0:
                    continue
                x, y, z = origin[0] + step * i, origin[1] + step * j, origin[2] + step * k
                grey = _rise(value, 115.0, 150.0) * (1.0 - _rise(value, 208.0, 236.0))
                edge = _rise(value, 110.0, 130.0) * (1.0 - _rise(value, 225.0, 238.0))
                a = noise(x / SULCUS_MM, y / SULCUS_MM, z / SULCUS_MM, seed + 17)[0] / SULCUS_EDGE
                b = noise(x / RIBBON_MM, y / RIBBON_MM, z / RIBBON_MM, seed + 18)[0]
                change = RIBBON_T1 * edge * b - SULCUS_T1 * grey * np.exp(-a * a)
                t1[i, j, k] = np.float32(value + change)


def fibres(
    places_mm: npt.NDArray[np.floating], ways: npt.NDArray[np.floating], seed: int
) -> npt.NDArray[np.float32]:
    """Return a texture of unit variance at places (N, 3) [mm], drawn out along `ways` (N, 3)."""
    out = np.empty(len(places_mm), dtype=np.float32)
    places = np.ascontiguousarray(places_mm, dtype=np.float64)
    _smear(places, np.ascontiguousarray(ways, dtype=np.float64), seed, out)
    spread = float(out.std()) if len(out) > 1 else 0.0
    return out / np.float32(spread) if spread > 0 else out


@compiled(parallel=True, fastmath=True)
def _smear(places: Any, ways: Any, seed: int, out: Any) -> None:
    for n in prange(len(out)):
        total = np.float32(0.0)
        for s in range(-FIBRE_REACH, FIBRE_REACH + 1):
            x, y, z = (
                (places[n, 0] + s * ways[n, 0]) / FIBRE_MM,
                (places[n, 1] + s * ways[n, 1]) / FIBRE_MM,
                (places[n, 2] + s * ways[n, 2]) / FIBRE_MM,
            )
            total += noise(x, y, z, seed + 19)[0]
        out[n] = total
