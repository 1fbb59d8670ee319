"""The field that susceptibility makes: on a grid through k-space, and of spheres exactly.

Apart from the reconstruction's kernels on purpose: what is tested must not share a mistake
with what tests it. Susceptibilities here are counted from air, so that what lies outside a
volume is air.
"""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from numba import prange
from scipy import fft

from petechia.core.compiled import compiled

Volume = npt.NDArray[np.float32]
Vector = npt.NDArray[np.float64]


@compiled(parallel=True)
def _times_dipole(spectrum: Any, k: Any, pairs: Any, b0: Any) -> None:
    """Multiply a half spectrum by 1/3 - (k.b)^2/k^2 where it lies; its mean becomes 0.

    `pairs` are the frequencies `k` with 0 for those that have no negative of their own
    (Nyquist): averaged over both signs, their products with other axes vanish.
    """
    k0, k1, k2 = k
    p0, p1, p2 = pairs
    for i in prange(spectrum.shape[0]):
        for j in range(spectrum.shape[1]):
            for n in range(spectrum.shape[2]):
                x, y, z = k0[i] ** 2, k1[j] ** 2, k2[n] ** 2
                square = x + y + z
                if square == 0.0:
                    spectrum[i, j, n] = 0.0
                else:
                    along = b0[0] ** 2 * x + b0[1] ** 2 * y + b0[2] ** 2 * z
                    along += 2.0 * b0[0] * b0[1] * p0[i] * p1[j]
                    along += 2.0 * b0[0] * b0[2] * p0[i] * p2[n]
                    along += 2.0 * b0[1] * b0[2] * p1[j] * p2[n]
                    spectrum[i, j, n] *= np.float32(1.0 / 3.0 - along / square)


def grid_field(
    chi_ppm: Volume, spacing_mm: npt.ArrayLike, b0_dir: npt.ArrayLike, pad: float = 0.0
) -> Volume:
    """Return the field of a gridded susceptibility [ppm of B0].

    Parameters
    ----------
    chi_ppm : (I, J, K) ndarray of float32
        0 where there is nothing.
    spacing_mm : (3,) array_like
        Voxel [mm].
    b0_dir : (3,) array_like
        Direction of the main field in array axes, unit length.
    pad : float
        Empty room behind each axis, as a part of its length; 0 repeats the volume.

    Returns
    -------
    field_ppm : (I, J, K) ndarray of float32
        With the Lorentz sphere taken out; its mean over the padded volume is 0.
    """
    return field_of(spectrum_of(chi_ppm, pad), spacing_mm, b0_dir)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Spectrum:
    """A susceptibility in k-space, whose field can be had for any direction of B0.

    Attributes
    ----------
    values : (A, B, C) ndarray of complex64
        Half of k-space.
    wide, shape : tuple of int
        Voxels with the empty room, and without.
    """

    values: npt.NDArray[np.complex64]
    wide: tuple[int, ...]
    shape: tuple[int, ...]


def spectrum_of(chi_ppm: Volume, pad: float = 0.0) -> Spectrum:
    """Return a susceptibility in k-space, with empty room behind each axis."""
    wide = tuple(
        fft.next_fast_len(int(np.ceil(n * (1 + pad))), real=True) if pad > 0 else n
        for n in chi_ppm.shape
    )
    return Spectrum(values=fft.rfftn(chi_ppm, s=wide), wide=wide, shape=chi_ppm.shape)


def field_of(source: Spectrum, spacing_mm: npt.ArrayLike, b0_dir: npt.ArrayLike) -> Volume:
    """Return the field of a susceptibility in k-space, as `grid_field` does."""
    spacing = np.broadcast_to(np.asarray(spacing_mm, dtype=np.float64), (3,))
    wide, spectrum = source.wide, source.values.copy()
    k = [fft.fftfreq(n, d) for n, d in zip(wide, spacing, strict=True)]
    pairs = [np.where(np.arange(n) * 2 == n, 0.0, q) for n, q in zip(wide, k, strict=True)]
    k[2], pairs[2] = (q[: wide[2] // 2 + 1] for q in (k[2], pairs[2]))
    _times_dipole(spectrum, tuple(k), tuple(pairs), np.asarray(b0_dir, dtype=np.float64))
    field = fft.irfftn(spectrum, s=wide, overwrite_x=True)
    kept = tuple(slice(n) for n in source.shape)
    return cast("Volume", np.ascontiguousarray(field[kept], dtype=np.float32))


def sphere_field(
    points_mm: npt.NDArray[np.floating],
    centre_mm: npt.ArrayLike,
    radius_mm: float,
    chi_ppm: float,
    b0_dir: npt.ArrayLike = (0.0, 0.0, 1.0),
) -> Vector:
    r"""Return the field of a sphere at points (..., 3) [ppm of B0].

    .. math:: \frac{\Delta\chi}{3} \left(\frac{a}{r}\right)^3 (3\cos^2\theta - 1)

    outside, and 0 inside.
    """
    away = np.asarray(points_mm, dtype=np.float64) - np.asarray(centre_mm, dtype=np.float64)
    square = np.einsum("...i,...i->...", away, away)
    along = away @ np.asarray(b0_dir, dtype=np.float64)
    safe = np.maximum(square, radius_mm**2)
    out = chi_ppm / 3 * radius_mm**3 * (3 * along**2 / safe - 1) / safe**1.5
    return np.where(square <= radius_mm**2, 0.0, out)


@compiled
def add_spheres(
    field: Any, spheres: Any, spacing: Any, origin: Any, b0: Any, smallest_ppm: float
) -> None:
    """Add the outside fields of spheres to `field` at its voxel centres.

    `spheres` holds rows (x, y, z, radius, chi) in array-axis millimetres from `origin`, the
    place of voxel (0, 0, 0). Each field ends where it falls below `smallest_ppm`.
    """
    shape = field.shape
    for s in range(spheres.shape[0]):
        radius, chi = spheres[s, 3], spheres[s, 4]
        strength = chi / 3.0 * radius**3
        reach = (2.0 * abs(strength) / smallest_ppm) ** (1.0 / 3.0)
        low = np.zeros(3, dtype=np.int64)
        high = np.zeros(3, dtype=np.int64)
        for a in range(3):
            at = (spheres[s, a] - origin[a]) / spacing[a]
            low[a] = max(0, int(np.ceil(at - reach / spacing[a])))
            high[a] = min(shape[a], int(np.floor(at + reach / spacing[a])) + 1)
        for i in range(low[0], high[0]):
            x = origin[0] + i * spacing[0] - spheres[s, 0]
            for j in range(low[1], high[1]):
                y = origin[1] + j * spacing[1] - spheres[s, 1]
                for k in range(low[2], high[2]):
                    z = origin[2] + k * spacing[2] - spheres[s, 2]
                    square = x * x + y * y + z * z
                    if square > radius * radius:
                        along = x * b0[0] + y * b0[1] + z * b0[2]
                        field[i, j, k] += (
                            strength
                            * (3.0 * along * along / square - 1.0)
                            / (square * np.sqrt(square))
                        )


def shim_terms(places_mm: npt.NDArray[np.floating]) -> Vector:
    """Return the solid harmonics to second order at places (N, 3): columns (N, 9).

    Places are scaled by 80 mm so that the columns have like sizes.
    """
    x, y, z = (np.asarray(places_mm, dtype=np.float64) / 80.0).T
    return np.stack(
        [np.ones_like(x), x, y, z, x * y, y * z, x * z, x**2 - y**2, 2 * z**2 - x**2 - y**2],
        axis=1,
    )


def shim(field_ppm: npt.NDArray[np.floating], places_mm: npt.NDArray[np.floating]) -> Vector:
    """Return the coefficients of `shim_terms` that fit the field best over its places."""
    coefficients = np.linalg.lstsq(
        shim_terms(places_mm), np.asarray(field_ppm, dtype=np.float64), rcond=None
    )[0]
    return cast("Vector", coefficients)
