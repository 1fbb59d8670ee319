"""Lacunes: fluid-filled cavities of 3 to 15 mm, apart from ventricles and sulci, often rimmed."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.anatomy.signs.normal import Normal
from petechia.anatomy.signs.places import GANGLIA, LOBES, WHITE, Places
from petechia.core.grid import Grid
from petechia.core.morphology import Mask, dilate_mm, label_26

Volume = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class LacuneParams:
    """Settings of `find_lacunes`.

    Attributes
    ----------
    dark : float
        Below this ratio a FLAIR voxel may be fluid.
    fluid_part : float
        How far from white matter to fluid a T2w (or T1w) must go.
    smallest_mm, largest_mm : float
        Diameters of a lacune.
    depth_mm : float
        Least depth below the surface of the brain.
    bright : float
        Of a rim, above normal white matter.
    rim_part : float
        Part of the surroundings that must be so bright for a rim.
    longest : float
        Greatest ratio of the longest to the shortest axis.
    """

    dark: float = 0.8
    fluid_part: float = 0.4
    smallest_mm: float = 3.0
    largest_mm: float = 15.0
    depth_mm: float = 8.0
    bright: float = 1.15
    rim_part: float = 0.35
    longest: float = 2.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Cavity:
    """One cavity: middle [companion RAS mm], diameter [mm], part of a rim that is bright."""

    at_mm: tuple[float, float, float]
    diameter_mm: float
    rim: float
    sure: bool


def find_lacunes(
    flair: Normal,
    places: Places,
    ventricles: Mask,
    others: dict[str, Normal],
    params: LacuneParams | None = None,
) -> list[Cavity]:
    """Return cavities; those with a bright rim, that a second contrast shows too, are sure.

    Parameters
    ----------
    flair : Normal
        FLAIR over normal white matter.
    places : Places
        Anatomy on its grid.
    ventricles : (I, J, K) ndarray of bool
        Lateral ventricles as the FLAIR shows them.
    others : dict of str to Normal
        'T2w', 'T1w' on the same grid, as far as there are any.
    """
    p = params or LacuneParams()
    fluid = (flair.ratio < p.dark) & places.brain
    second = [_fluid_like(name, scan, p.fluid_part) for name, scan in others.items()]
    for seen in second:
        fluid &= seen
    labels, n = label_26(fluid)
    if not n:
        return []
    home = places.at(*GANGLIA, *WHITE, "thalamus", "brainstem")
    white = places.at(*LOBES) & (places.white > 0.5)
    at_home = (home | white) & (places.depth_mm > p.depth_mm) & (places.fluid < 0.5)
    sizes = np.bincount(labels.ravel(), minlength=n + 1) * places.grid.voxel_mm3
    inside = np.bincount(labels.ravel(), at_home.ravel(), minlength=n + 1) * places.grid.voxel_mm3
    wet = np.unique(labels[dilate_mm(ventricles, places.grid, 1.0)])
    low, high = (np.pi / 6 * d**3 for d in (p.smallest_mm, p.largest_mm))
    fits = (sizes >= 0.6 * low) & (sizes <= high) & (inside > 0.7 * sizes)
    fits[wet] = False
    fits[0] = False
    found = []
    for label in np.flatnonzero(fits):
        cavity = _judged(labels, int(label), flair, places, p, bool(second))
        if cavity is not None:
            found.append(cavity)
    return found


def _fluid_like(name: str, scan: Normal, part: float) -> Mask:
    water = scan.fluid if np.isfinite(scan.fluid) else (3.0 if name == "T2w" else 0.35)
    edge = 1 + part * (water - 1)
    seen = scan.ratio > edge if name == "T2w" else scan.ratio < edge
    return np.asarray(seen)


def _judged(
    labels: npt.NDArray[np.int32],
    label: int,
    flair: Normal,
    places: Places,
    p: LacuneParams,
    confirmed: bool,
) -> Cavity | None:
    grid = places.grid
    index = np.argwhere(labels == label)
    margin = np.ceil(3.5 / grid.spacing_mm).astype(int) + 1
    low = np.maximum(index.min(axis=0) - margin, 0)
    high = np.minimum(index.max(axis=0) + margin + 1, labels.shape)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    here = labels[box] == label
    near = grid.cut((box[0], box[1], box[2]))
    if _stretched(grid.to_mm(index), grid) > p.longest:
        return None
    ring = dilate_mm(here, near, 2.5) & ~dilate_mm(here, near, 0.6)
    around = flair.ratio[box][ring]
    if not around.size or np.mean(around < 0.75) > 0.2:  # a sulcus runs on
        return None
    # half of the border's voxels are fluid for less than half
    diameter = float(np.cbrt(6 * len(index) * grid.voxel_mm3 / np.pi))
    rim = float(np.mean(around > p.bright))
    if not 0.85 * p.smallest_mm <= diameter <= p.largest_mm:
        return None
    x, y, z = (float(v) for v in grid.to_mm(index.mean(axis=0)))
    sure = confirmed and rim >= p.rim_part and diameter >= p.smallest_mm
    return Cavity(at_mm=(x, y, z), diameter_mm=diameter, rim=rim, sure=sure)


def _stretched(points: npt.NDArray[np.float64], grid: Grid) -> float:
    """Return the longest over the shortest half axis, voxels counted as bricks."""
    if len(points) < 2:
        return float(grid.spacing_mm.max() / grid.spacing_mm.min())
    spread = np.cov(points.T) + np.diag(np.full(3, float(grid.spacing_mm.max()) ** 2 / 12))
    values = np.linalg.eigvalsh(spread)
    return float(np.sqrt(values[-1] / values[0]))
