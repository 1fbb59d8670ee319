"""The voxels around one void, and what is read in them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Border:
    """Usable voxels around one void: offsets [mm], field, noise [ppm], place in a box."""

    offset: Floats
    value: Floats
    sigma: Floats
    index: tuple[npt.NDArray[np.intp], ...]
    box: tuple[int, ...]


def gather(
    field: npt.NDArray[np.float32],
    noise: npt.NDArray[np.float32],
    usable: npt.NDArray[np.bool_],
    centre_vox: Floats,
    reach_mm: float,
    spacing_mm: Floats,
) -> Border:
    """Return the usable voxels of a box that lie within reach."""
    axes = [
        (np.arange(n) - c) * d for n, c, d in zip(field.shape, centre_vox, spacing_mm, strict=True)
    ]
    x, y, z = (
        a.reshape(f) for a, f in zip(axes, ((-1, 1, 1), (1, -1, 1), (1, 1, -1)), strict=True)
    )
    index = np.nonzero(usable & (x * x + y * y + z * z <= reach_mm**2))
    return Border(
        offset=np.stack([a[n] for a, n in zip(axes, index, strict=True)], axis=1),
        value=field[index].astype(np.float64),
        sigma=noise[index].astype(np.float64),
        index=index,
        box=tuple(len(a) for a in axes),
    )


def harmonics(offset: Floats, degree: int) -> Floats:
    """Return solid harmonics up to degree 1 or 2 at offsets (N, 3), each of size about 1."""
    x, y, z = (offset / np.abs(offset).max()).T
    out = [np.ones(len(offset)), x, y, z]
    if degree > 1:
        out += [x * y, y * z, x * z, x * x - y * y, 2 * z * z - x * x - y * y]
    return np.column_stack(out)


def correlation(scaled: Floats, border: Border) -> Floats:
    """Return the lag-one correlation of scaled residuals along each axis, 0 to 0.9."""
    box = np.full(border.box, np.nan)
    box[border.index] = scaled
    rho = np.zeros(3)
    for axis in range(3):
        one, two = (np.take(box, range(a, box.shape[axis] - 1 + a), axis) for a in (0, 1))
        both = np.isfinite(one) & np.isfinite(two)
        power = 0.5 * float((one[both] ** 2 + two[both] ** 2).sum())
        if both.sum() > 10 and power > 0:
            rho[axis] = np.clip((one[both] * two[both]).sum() / power, 0.0, 0.9)
    return rho


def variance(gain: Floats, rho: Floats, border: Border) -> float:
    """Return the sum over pairs of gain_i gain_j rho^lag, lags up to four voxels."""
    box = np.zeros(border.box)
    box[border.index] = gain
    for axis in range(3):
        reach = rho[axis] ** np.abs(np.arange(-4.0, 5.0))
        box = ndimage.correlate1d(box, reach, axis=axis, mode="constant")
    return max(float(gain @ box[border.index]), 0.0)


def poles_and_equator(cleaned: Floats, offset: Floats, b0_dir: Floats) -> tuple[float, float]:
    """Return the mean within 30 degrees of the poles and of the equator; NaN where none is."""
    cosine = np.abs(offset @ b0_dir) / np.maximum(np.linalg.norm(offset, axis=1), 1e-6)
    poles, equator = cleaned[cosine > 0.866], cleaned[cosine < 0.5]
    return (
        float(poles.mean()) if len(poles) else float("nan"),
        float(equator.mean()) if len(equator) else float("nan"),
    )
