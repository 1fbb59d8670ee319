"""The field of spheres, exactly, and the signal of spins in and around them."""

from typing import Any

import numpy as np

from petechia.core.compiled import compiled
from second.smooth import Volume

X, Y, Z, RADIUS, CHI, SIGNAL, R2STAR = range(7)
"""Columns of spheres: centre [scan mm], radius [mm], chi [ppm], signal and R2* [1/s] inside."""


@compiled(fastmath=True)
def sphere_ppm(x: float, y: float, z: float, radius: float, chi: float, b0: Any) -> Any:
    r"""Return the field of a sphere at (x, y, z) from its centre [ppm of B0].

    .. math:: \frac{\Delta\chi}{3} \left(\frac{a}{r}\right)^3 (3\cos^2\theta - 1)

    outside, and 0 inside, where the sphere of Lorentz takes it away.
    """
    square = x * x + y * y + z * z
    if square <= radius * radius:
        return 0.0
    along = x * b0[0] + y * b0[1] + z * b0[2]
    third = radius**3 / (square * np.sqrt(square))
    return chi / 3.0 * third * (3.0 * along * along / square - 1.0)


@compiled
def _add(field: Any, spheres: Any, fine_mm: Any, b0: Any, reach_mm: float) -> None:
    low, high = np.empty(3, np.int64), np.empty(3, np.int64)
    for s in range(len(spheres)):
        for c in range(3):
            low[c] = max(0, int(np.floor((spheres[s, c] - reach_mm) / fine_mm[c])))
            high[c] = min(
                field.shape[c] - 1, int(np.floor((spheres[s, c] + reach_mm) / fine_mm[c])) + 1
            )
        for i in range(low[0], high[0] + 1):
            for j in range(low[1], high[1] + 1):
                for k in range(low[2], high[2] + 1):
                    x = i * fine_mm[0] - spheres[s, X]
                    y = j * fine_mm[1] - spheres[s, Y]
                    z = k * fine_mm[2] - spheres[s, Z]
                    if x * x + y * y + z * z < reach_mm * reach_mm:
                        field[i, j, k] += sphere_ppm(
                            x, y, z, spheres[s, RADIUS], spheres[s, CHI], b0
                        )


def add_spheres(
    field_ppm: Volume, spheres: Any, fine_mm: Any, b0_dir: Any, reach_mm: float = 28.0
) -> None:
    """Add the field of spheres to a field at the centres of fine voxels, where it lies.

    Parameters
    ----------
    field_ppm : (I, J, K) ndarray of float32
        Changed.
    spheres : (N, 7) ndarray
        By the columns of this module.
    fine_mm, b0_dir : (3,) ndarray
        Fine voxel, and direction of the main field in scan axes.
    reach_mm : float
        How far from its centre a sphere is felt.
    """
    _add(field_ppm, spheres, fine_mm, b0_dir, reach_mm)


@compiled(fastmath=True)
def _between(base: Any, x: float, y: float, z: float) -> Any:
    i, j, k = int(x), int(y), int(z)
    u, v, w = x - i, y - j, z - k
    low = (base[i, j, k] * (1 - w) + base[i, j, k + 1] * w) * (1 - v)
    low += (base[i, j + 1, k] * (1 - w) + base[i, j + 1, k + 1] * w) * v
    high = (base[i + 1, j, k] * (1 - w) + base[i + 1, j, k + 1] * w) * (1 - v)
    high += (base[i + 1, j + 1, k] * (1 - w) + base[i + 1, j + 1, k + 1] * w) * v
    return low * (1 - u) + high * u


@compiled(fastmath=True)
def _spin(
    at: Any, fine_mm: Any, spheres: Any, b0: Any, tissue: Any, base_ppm: float, turns: Any
) -> Any:
    """Return real and imaginary part of one spin at `at` (voxels); turns: rad a ppm, TE [s]."""
    field, signal, r2star, inside = base_ppm, tissue[0], tissue[1], False
    for s in range(len(spheres)):
        x = at[0] * fine_mm[0] - spheres[s, X]
        y = at[1] * fine_mm[1] - spheres[s, Y]
        z = at[2] * fine_mm[2] - spheres[s, Z]
        if x * x + y * y + z * z <= spheres[s, RADIUS] ** 2:
            if not inside:
                signal, r2star, inside = spheres[s, SIGNAL], spheres[s, R2STAR], True
        else:
            field += sphere_ppm(x, y, z, spheres[s, RADIUS], spheres[s, CHI], b0)
    left = signal * np.exp(-r2star * turns[1])
    return left * np.cos(turns[0] * field), left * np.sin(turns[0] * field)


@compiled(fastmath=True)
def sum_spins(
    out: Any, body: Any, spheres: Any, fine_mm: Any, b0: Any, box: Any, turns: Any, split: Any
) -> None:
    """Replace the signal of fine voxels of a box by the mean of the spins in them.

    Parameters
    ----------
    out : (I, J, L) ndarray of complex64
        Signal of the fine voxels of the slab; changed.
    body : tuple of three (I, J, K) ndarray
        Field without lesions [ppm], signal, R2* [1/s], with the head outside the slab.
    spheres : (N, 7) ndarray
        All whose field counts here.
    fine_mm, b0 : (3,) ndarray
        Fine voxel, direction of the main field.
    box : (3, 2) ndarray of int
        First fine voxel and the one after the last, along each axis; not at the border.
    turns : tuple of float
        Phase of a ppm at the echo [rad], and the echo time [s].
    split : tuple of int
        Spins along each axis of a fine voxel, and fine slices below the slab.
    """
    base, signal, r2star = body
    n, below = split
    for i in range(box[0, 0], box[0, 1]):
        for j in range(box[1, 0], box[1, 1]):
            for k in range(box[2, 0], box[2, 1]):
                real, imaginary = 0.0, 0.0
                tissue = (signal[i, j, k], r2star[i, j, k])
                for a in range(n):
                    for e in range(n):
                        for g in range(n):
                            x = i + (a + 0.5) / n - 0.5
                            y = j + (e + 0.5) / n - 0.5
                            z = k + (g + 0.5) / n - 0.5
                            here = _between(base, x, y, z)
                            one = _spin((x, y, z), fine_mm, spheres, b0, tissue, here, turns)
                            real += one[0]
                            imaginary += one[1]
                out[i, j, k - below] = (real + 1j * imaginary) / n**3
