"""How much a voxel looks like a vessel: a tube, at several widths in millimetres."""

from typing import cast

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.core.compiled import compiled
from petechia.core.grid import Grid
from petechia.core.morphology import Mask
from petechia.errors import InputError

Volume = npt.NDArray[np.float32]

SCALES_MM = (0.7, 1.1, 1.7)
"""Gaussian widths: veins of about 1.5 to 5 mm across, as susceptibility and SWI show them."""

TUBE = 1 - float(np.exp(-2.0))


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
    images = [(chi_ppm, 1.0), (swi, -1.0)]
    given = [(np.asarray(v, dtype=np.float32), sign) for v, sign in images if v is not None]
    if not given:
        raise InputError(
            "neither a susceptibility map nor an SWI",
            where="vessel_likeness",
            mend="Give one of them.",
        )
    grid.require(mask, "mask")
    out = np.zeros(grid.shape, dtype=np.float32)
    if not mask.any():
        return out
    box = _box(mask, grid)
    inner, best = mask[box], out[box]
    for volume, sign in given:
        grid.require(volume, "chi_ppm or swi")
        filled = _filled(volume[box], inner) * np.float32(sign)
        for scale in _scales(grid):
            np.maximum(best, _at_scale(filled, inner, scale, grid), out=best)
    best[~inner] = 0
    return out


def _scales(grid: Grid) -> tuple[float, ...]:
    finest = float(np.sort(grid.spacing_mm)[1]) / 2
    return tuple(s for s in SCALES_MM if s >= finest) or (finest,)


def _box(mask: Mask, grid: Grid) -> tuple[slice, ...]:
    reach = np.ceil(4 * max(_scales(grid)) / grid.spacing_mm).astype(int)
    return tuple(
        slice(max(found.start - r, 0), found.stop + r)
        for found, r in zip(ndimage.find_objects(mask.astype(np.uint8))[0], reach, strict=True)
    )


def _filled(volume: Volume, inner: Mask) -> Volume:
    """Carry the nearest value of the mask outwards, so that its rim is no edge."""
    if inner.all():
        return volume
    places = ndimage.distance_transform_edt(~inner, return_distances=False, return_indices=True)
    return cast("Volume", volume[tuple(places)])


def _at_scale(volume: Volume, inner: Mask, scale_mm: float, grid: Grid) -> Volume:
    sigma = scale_mm / grid.spacing_mm
    hessian = np.empty((6, int(inner.sum())), dtype=np.float32)
    for row, (a, b) in enumerate(((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))):
        order = [0, 0, 0]
        order[a] += 1
        order[b] += 1
        # derivatives are per voxel: to millimetres, times the scale squared
        unit = scale_mm**2 / (grid.spacing_mm[a] * grid.spacing_mm[b])
        second = ndimage.gaussian_filter(volume, sigma, order=order, truncate=3.0)
        hessian[row] = second[inner] * np.float32(unit)
    size = np.sqrt((hessian[:3] ** 2).sum(axis=0) + 2 * (hessian[3:] ** 2).sum(axis=0))
    noise = 3.0 * float(np.median(size))
    out = np.zeros(inner.shape, dtype=np.float32)
    out[inner] = _tubeness(hessian, noise + np.finfo(np.float32).tiny)
    return out


@compiled
def _tubeness(hessian, noise):  # type: ignore[no-untyped-def]
    """Return the tube measure of symmetric matrices (xx, yy, zz, xy, xz, yz) by column."""
    n = hessian.shape[1]
    out = np.zeros(n, dtype=np.float32)
    for v in range(n):
        xx, yy, zz = hessian[0, v], hessian[1, v], hessian[2, v]
        xy, xz, yz = hessian[3, v], hessian[4, v], hessian[5, v]
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
        out[v] = (
            (1 - np.exp(-2 * (middle / low) ** 2))
            / TUBE
            * np.exp(-2 * high**2 / across)
            * (1 - np.exp(-across / (2 * noise**2)))
        )
    return out
