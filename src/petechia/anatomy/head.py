"""Head against air, and how noisy the air is."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.anatomy.resample import coarse_grid, to_grid
from petechia.core.checks import require_finite, require_signal
from petechia.core.grid import Grid
from petechia.core.morphology import (
    Mask,
    close_mm,
    dilate_mm,
    distance_inside_mm,
    fill_holes,
    fill_slices,
    largest_component,
)
from petechia.core.robust import robust_sd

WORK_MM = 3.0
RAYLEIGH_MEDIAN = 1.17741  # sqrt(2 ln 2): median of a Rayleigh variable of sigma 1


def head_mask(magnitude: npt.NDArray[np.floating], grid: Grid) -> Mask:
    """Return the head (skin and all within) as against the air around it.

    Otsu's threshold on the square root of the smoothed image, closed over the dark skull that
    may part the scalp from the brain, filled, the largest piece; cavities that open outwards
    (mouth, nose) may be filled too.

    Parameters
    ----------
    magnitude : (I, J, K) ndarray of float
        One image, or the echoes combined.
    grid : Grid
        Geometry.

    Returns
    -------
    head : (I, J, K) ndarray of bool
        All True for a crop without air.
    """
    grid.require(magnitude, "magnitude")
    require_finite(magnitude, "magnitude")
    require_signal(magnitude, "magnitude")
    small = coarse_grid(grid, WORK_MM)
    image = np.sqrt(np.asarray(to_grid(magnitude, grid, small), dtype=np.float32).clip(0))
    if air_fraction(image) < 0.02:
        return np.ones(grid.shape, dtype=bool)
    bright = image > otsu(image)
    # the border is not an edge for closing, so a head cut by the field of view stays closed
    filled = fill_holes(close_mm(_without_specks(bright, small), small, 9.0))
    return smooth_to(largest_component(fill_slices(filled)), small, grid)


def _without_specks(bright: Mask, grid: Grid, speck_mm3: float = 2000.0) -> Mask:
    """Leave out pieces too small to be scalp or brain: noise, ghosts."""
    parts, _ = ndimage.label(bright)
    sizes = np.bincount(parts.ravel()) * grid.voxel_mm3
    sizes[0] = 0
    keep: Mask = (sizes >= min(speck_mm3, sizes.max()))[parts] & bright
    return keep


def air_fraction(root: npt.NDArray[np.floating]) -> float:
    """Return the fraction of voxels that are air, 0 where the image is all tissue.

    Two classes are air and tissue only when the darker one is much darker: a mean below a
    fifth of the other's (in the square root of the signal, below 0.45).
    """
    level = otsu(root)
    low = root <= level
    if not low.any() or low.all():
        return 0.0
    return float(low.mean()) if root[low].mean() < 0.45 * root[~low].mean() else 0.0


def otsu(values: npt.NDArray[np.floating]) -> float:
    """Return the threshold that parts `values` into the two most separate classes.

    References
    ----------
    Otsu 1979, 10.1109/TSMC.1979.4310076
    """
    top = np.percentile(values, 99.5)
    counts, edges = np.histogram(np.minimum(values, top), bins=256)
    middle = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    total = np.cumsum(counts * middle)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (total / below - (total[-1] - total) / above) ** 2
    return float(middle[np.nanargmax(np.nan_to_num(between))])


def smooth_to(mask: Mask, source: Grid, target: Grid) -> Mask:
    """Return `mask` on a finer grid without steps: by its signed distance."""
    if mask.all() or not mask.any():
        return np.full(target.shape, bool(mask.any()))
    inside = distance_inside_mm(mask, source) - distance_inside_mm(~mask, source)
    return np.asarray(to_grid(inside, source, target)) > 0


def noise_level(magnitude: npt.NDArray[np.floating], grid: Grid) -> float:
    """Return the standard deviation of the noise of each of real and imaginary part.

    From the air when there is enough of it and the vendor has not zeroed it: there the
    magnitude is Rayleigh distributed (one coil, or coils combined adaptively; a
    root-sum-of-squares of many coils reads high). Otherwise from the finest diagonal Haar
    coefficients, where smooth anatomy cancels (reads low after zero filling).

    Parameters
    ----------
    magnitude : (I, J, K) ndarray of float
        One echo, not combined.
    grid : Grid
        Geometry.

    Returns
    -------
    float
        In the units of `magnitude`.

    References
    ----------
    Gudbjartsson and Patz 1995, 10.1002/mrm.1910340618; Donoho and Johnstone 1994,
    10.1093/biomet/81.3.425
    """
    air = ~dilate_mm(head_mask(magnitude, grid), grid, 6.0)
    values = magnitude[air]
    if values.size >= max(1000, magnitude.size // 200) and (values > 0).mean() > 0.9:
        return float(np.median(values)) / RAYLEIGH_MEDIAN
    return _haar_noise(magnitude)


def _haar_noise(magnitude: npt.NDArray[np.floating]) -> float:
    i, j, k = (max(n // 2 * 2, 1) for n in magnitude.shape)
    detail = np.asarray(magnitude[:i, :j, :k], dtype=np.float64)
    signal = detail
    for axis, n in enumerate(detail.shape):
        if n >= 2:
            even, odd = (np.take(detail, np.arange(s, n, 2), axis=axis) for s in (0, 1))
            detail = (even - odd) / np.sqrt(2)
            pair = (np.take(signal, np.arange(s, n, 2), axis=axis) for s in (0, 1))
            signal = np.minimum(*pair)
    tissue = detail[signal > 0]
    return robust_sd(tissue, 0.0)
