"""A companion scan over the level of normal white matter, its shading taken off."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.anatomy.signs.places import Places
from petechia.core.blocks import Blocks, blur
from petechia.core.robust import robust_sd

Volume = npt.NDArray[np.float32]
SHADING_MM = 22.0
"""Width of the smooth shading that is taken off."""
NORMAL = (0.78, 1.22)
"""Ratios that may belong to normal white matter in the end."""
WINDOWS = (0.4, 0.35, 0.3, 0.25, 0.22, 0.22, 0.22, 0.22)
"""What is taken for normal white matter, in rounds: so near to 1."""
LEAST_ML = 30.0
"""Less white matter in view than this gives no level."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Normal:
    """A scan in units of normal white matter.

    Attributes
    ----------
    ratio : (I, J, K) ndarray of float32
        1 in normal white matter.
    spread : float
        Standard deviation of normal white matter, by its median absolute deviation.
    grey, fluid : float
        Medians of cortex and of ventricles.
    """

    ratio: Volume
    spread: float
    grey: float
    fluid: float


def over_white_matter(image: npt.NDArray[np.floating], places: Places) -> Normal | None:
    """Return a scan over its normal white matter, or None when too little of that is seen.

    The level is the median where the template has white matter; the shading is the smooth
    mean of what stays near it, found in rounds, so that neither hyperintensity
    nor fluid enters.

    Parameters
    ----------
    image : (I, J, K) ndarray of float
        T1w, T2w or FLAIR, on the grid of `places`.
    places : Places
        Anatomy.
    """
    seen = np.asarray(image, dtype=np.float32)
    white = (places.white > 0.6) & places.brain & (places.depth_mm > 4.0)
    if white.sum() * places.grid.voxel_mm3 / 1000 < LEAST_ML:
        return None
    level = _mode(seen[white])
    if not level > 0:
        return None
    ratio = seen / np.float32(level)
    blocks = Blocks.of(places.grid, 4.0)
    small_shade = np.ones(blocks.coarse.shape, dtype=np.float32)
    for width in WINDOWS:
        use = white & (np.abs(ratio - 1) < width)
        weight = blur(blocks.reduce(use), blocks.coarse, SHADING_MM)
        total = blur(blocks.reduce(np.where(use, ratio, 0)), blocks.coarse, SHADING_MM)
        # what is left of the shading: a smooth mean alone would fall short of a steep one
        small_shade = small_shade * (total + 1e-4) / (weight + 1e-4)
        shade = blocks.expand(np.asarray(np.clip(small_shade, 0.1, 10), dtype=np.float32))
        ratio = seen / (shade * np.float32(level))
    values = ratio[white & (ratio > NORMAL[0]) & (ratio < NORMAL[1])]
    if values.size < 100:
        return None
    spread = robust_sd(values)
    cortex = ratio[(places.grey > 0.6) & places.brain & (places.depth_mm > 2.0)]
    water = ratio[places.lateral_ventricles & places.brain & (places.fluid > 0.8)]
    return Normal(
        ratio=np.asarray(ratio, dtype=np.float32),
        spread=spread,
        grey=float(np.median(cortex)) if cortex.size else 1.0,
        fluid=float(np.median(water)) if water.size > 50 else float("nan"),
    )


def _mode(values: npt.NDArray[np.float32]) -> float:
    """Return the most frequent value: normal white matter, even where much of it is ill."""
    low, high = np.percentile(values, (2, 98))
    if not high > low:
        return float(np.median(values))
    counts, edges = np.histogram(values, bins=60, range=(float(low), float(high)))
    smooth = np.convolve(counts, [1, 2, 3, 2, 1], mode="same")
    at = int(smooth.argmax())
    return float(0.5 * (edges[at] + edges[at + 1]))
