"""How much a voxel looks like a vessel: a tube, at several widths in millimetres."""

from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.core.compiled import compiled
from petechia.core.grid import Grid
from petechia.core.morphology import Mask, bounding_box
from petechia.errors import InputError

Volume = npt.NDArray[np.float32]

SCALES_MM = (0.7, 1.1, 1.7)
"""Gaussian widths: veins of about 1.5 to 5 mm across, as susceptibility and SWI show them."""

TUBE = 1 - float(np.exp(-2.0))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TubeField:
    """Where there are tubes, and where they run.

    Attributes
    ----------
    likeness : (I, J, K) ndarray of float32
        0 to 1, 0 outside the mask.
    direction : (I, J, K, 3) ndarray of float32
        Unit vector along the tube in voxel axes and millimetres, of either sense; zeros where
        the likeness is 0.
    """

    likeness: Volume
    direction: npt.NDArray[np.float32]


def vessel_likeness(
    chi_ppm: npt.NDArray[np.floating] | None,
    swi: npt.NDArray[np.floating] | None,
    mask: Mask,
    grid: Grid,
) -> npt.NDArray[np.float32]:
    r"""Return the likeness to a tube, from a susceptibility map, an SWI, or both.

    With the eigenvalues of the scale-normalised Hessian :math:`\sigma^2 H` of a bright tube
    (the SWI is negated) in order of size :math:`|l_1| \le |l_2| \le |l_3|`, where a tube has
    :math:`l_1 \approx 0` and :math:`l_2 \approx l_3 \ll 0`,

    .. math:: V = \frac{1 - e^{-2 (l_2 / l_3)^2}}{1 - e^{-2}} \;
        \exp\left(-\frac{2 l_1^2}{l_2 l_3}\right) \;
        \left(1 - \exp\left(-\frac{l_2 l_3}{2 s^2}\right)\right)

    which is 1 for a tube, falls for blobs (:math:`l_1 \approx l_2`) and for sheets
    (:math:`l_2 \approx 0`). *s* is the size below which curvature counts as noise: three times
    its median over the mask. The largest value over scales and images is returned.

    Parameters
    ----------
    chi_ppm : (I, J, K) ndarray of float, or None
        Susceptibility [ppm]: veins are bright.
    swi : (I, J, K) ndarray of float, or None
        SWI or magnitude: veins are dark.
    mask : (I, J, K) ndarray of bool
        Brain.
    grid : Grid
        Geometry; scales are in millimetres. Scales finer than half a voxel are left out.
        Along slices thicker than that, curvature is that of neighbouring slices.

    Returns
    -------
    likeness : (I, J, K) ndarray of float32
        0..1, 0 outside `mask`.

    Raises
    ------
    InputError
        When neither image is given.

    References
    ----------
    Frangi et al. 1998, 10.1007/BFb0056195; Sato et al. 1998, 10.1016/S1361-8415(98)80009-1
    """
    return tube_field(chi_ppm, swi, mask, grid).likeness


def tube_field(
    chi_ppm: npt.NDArray[np.floating] | None,
    swi: npt.NDArray[np.floating] | None,
    mask: Mask,
    grid: Grid,
) -> TubeField:
    """Return the likeness to a tube, as `vessel_likeness`, and the tube's direction.

    The direction is the eigenvector of least curvature at the scale and in the image where
    the likeness is largest.

    Raises
    ------
    InputError
        When neither image is given.
    """
    images = [(chi_ppm, 1.0), (swi, -1.0)]
    given = [(np.asarray(v, dtype=np.float32), sign) for v, sign in images if v is not None]
    if not given:
        raise InputError(
            "neither a susceptibility map nor an SWI",
            where="vessel_likeness",
            mend="Give one of them.",
        )
    grid.require(mask, "mask")
    likeness = np.zeros(grid.shape, dtype=np.float32)
    direction = np.zeros((*grid.shape, 3), dtype=np.float32)
    if mask.any():
        box = bounding_box(mask)
        inner = np.ascontiguousarray(mask[box])
        at = np.argwhere(inner)
        signed = []
        for volume, sign in given:
            grid.require(volume, "chi_ppm or swi")
            signed.append(np.where(inner, volume[box] * np.float32(sign), 0).astype(np.float32))
        for scale in _scales(grid):
            sigma = scale / grid.spacing_mm
            weight = _blurred(inner.astype(np.float32), sigma)
            for image in signed:
                # what lies outside the mask does not count, so that its rim is no edge
                smooth = _blurred(image, sigma) / np.maximum(weight, np.float32(1e-3))
                smooth[weight < 1e-3] = np.median(image[inner])
                # differences are per voxel: to millimetres, times the scale squared
                some = _sizes(smooth, at[:: max(1, len(at) // 100_000)], sigma)
                noise = 3.0 * float(np.median(some)) + float(np.finfo(np.float32).tiny)
                _raise_to(smooth, at, sigma, noise, likeness[box], direction[box])
    return TubeField(likeness=likeness, direction=direction)


def _scales(grid: Grid) -> tuple[float, ...]:
    finest = float(np.sort(grid.spacing_mm)[1]) / 2
    return tuple(s for s in SCALES_MM if s >= finest) or (finest,)


def _blurred(volume: Volume, sigma_vox: npt.NDArray[np.float64]) -> Volume:
    return cast("Volume", ndimage.gaussian_filter(volume, sigma_vox, mode="nearest", truncate=3.0))


@compiled
def _hessian(volume, i, j, k, unit, out):  # type: ignore[no-untyped-def]
    """Write second differences (xx, yy, zz, xy, xz, yz); the border is repeated."""
    s = volume.shape
    a, b = max(i - 1, 0), min(i + 1, s[0] - 1)
    c, d = max(j - 1, 0), min(j + 1, s[1] - 1)
    e, f = max(k - 1, 0), min(k + 1, s[2] - 1)
    here = 2 * volume[i, j, k]
    out[0] = (volume[a, j, k] + volume[b, j, k] - here) * unit[0] * unit[0]
    out[1] = (volume[i, c, k] + volume[i, d, k] - here) * unit[1] * unit[1]
    out[2] = (volume[i, j, e] + volume[i, j, f] - here) * unit[2] * unit[2]
    xy = volume[b, d, k] + volume[a, c, k] - volume[a, d, k] - volume[b, c, k]
    xz = volume[b, j, f] + volume[a, j, e] - volume[a, j, f] - volume[b, j, e]
    yz = volume[i, d, f] + volume[i, c, e] - volume[i, c, f] - volume[i, d, e]
    out[3] = xy / 4 * unit[0] * unit[1]
    out[4] = xz / 4 * unit[0] * unit[2]
    out[5] = yz / 4 * unit[1] * unit[2]


@compiled
def _sizes(volume, at, unit):  # type: ignore[no-untyped-def]
    """Return the size of the Hessian (its Frobenius norm) at some voxels."""
    out, h = np.empty(len(at)), np.empty(6)
    for n in range(len(at)):
        _hessian(volume, at[n, 0], at[n, 1], at[n, 2], unit, h)
        out[n] = np.sqrt(
            h[0] ** 2 + h[1] ** 2 + h[2] ** 2 + 2 * (h[3] ** 2 + h[4] ** 2 + h[5] ** 2)
        )
    return out


@compiled
def _raise_to(volume, at, unit, noise, likeness, direction):  # type: ignore[no-untyped-def]
    """Write the tube measure and the tube's direction where it is larger than before."""
    rows, h = np.empty((3, 3)), np.empty(6)
    for v in range(len(at)):
        i, j, k = at[v, 0], at[v, 1], at[v, 2]
        _hessian(volume, i, j, k, unit, h)
        xx, yy, zz, xy, xz, yz = h[0], h[1], h[2], h[3], h[4], h[5]
        size2 = xx**2 + yy**2 + zz**2 + 2 * (xy**2 + xz**2 + yz**2)
        if size2 < 0.1 * noise**2:  # its likeness would be below 0.03
            continue
        mean = (xx + yy + zz) / 3
        if mean >= 0:
            continue
        # eigenvalues of a symmetric 3 x 3 matrix in closed form
        p = np.sqrt(
            ((xx - mean) ** 2 + (yy - mean) ** 2 + (zz - mean) ** 2 + 2 * (xy**2 + xz**2 + yz**2))
            / 6
        )
        if p <= 0:
            continue
        ax, ay, az = (xx - mean) / p, (yy - mean) / p, (zz - mean) / p
        bxy, bxz, byz = xy / p, xz / p, yz / p
        half = (
            ax * (ay * az - byz * byz) - bxy * (bxy * az - byz * bxz) + bxz * (bxy * byz - ay * bxz)
        ) / 2
        angle = np.arccos(min(1.0, max(-1.0, half))) / 3
        high = mean + 2 * p * np.cos(angle)
        low = mean + 2 * p * np.cos(angle + 2 * np.pi / 3)
        middle = 3 * mean - high - low
        if middle >= 0:  # low and middle curve across a bright tube, high runs along it
            continue
        across = low * middle
        value = (
            (1 - np.exp(-2 * (middle / low) ** 2))
            / TUBE
            * np.exp(-2 * high**2 / across)
            * (1 - np.exp(-across / (2 * noise**2)))
        )
        if value <= likeness[i, j, k]:
            continue
        likeness[i, j, k] = value
        # the eigenvector stands on two rows of the matrix less its eigenvalue: the pair
        # that spans most
        most = 0.0
        rows[0, 0], rows[1, 1], rows[2, 2] = xx - high, yy - high, zz - high
        rows[0, 1] = rows[1, 0] = xy
        rows[0, 2] = rows[2, 0] = xz
        rows[1, 2] = rows[2, 1] = yz
        for a in range(3):
            u, w = rows[a], rows[(a + 1) % 3]
            x = u[1] * w[2] - u[2] * w[1]
            y = u[2] * w[0] - u[0] * w[2]
            z = u[0] * w[1] - u[1] * w[0]
            length = np.sqrt(x * x + y * y + z * z)
            if length > most:
                most = length
                direction[i, j, k, 0] = x / length
                direction[i, j, k, 1] = y / length
                direction[i, j, k, 2] = z / length
