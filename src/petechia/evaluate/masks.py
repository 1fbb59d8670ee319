"""Masks against true masks: overlap, distance of the surfaces, what is left outside."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.core.grid import Grid
from petechia.core.morphology import distance_inside_mm

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskScore:
    """How well a mask agrees.

    Attributes
    ----------
    dice : float
        1 when both are empty.
    hausdorff95_mm : float
        95th percentile of the distances between surfaces, the larger of both ways; NaN
        when one mask is empty.
    hausdorff_mm : float
        The largest of those distances; NaN when one mask is empty.
    volume_ratio : float
        Found over true; NaN when the true mask is empty.
    centres_inside : float
        Part of given places that lie inside; NaN without places.
    """

    dice: float
    hausdorff95_mm: float
    hausdorff_mm: float
    volume_ratio: float
    centres_inside: float = float("nan")


def dice(found: Mask, true: Mask) -> float:
    """Return twice the overlap over the sum of sizes; 1 when both masks are empty."""
    total = int(found.sum()) + int(true.sum())
    return 2 * int((found & true).sum()) / total if total else 1.0


def hausdorff(found: Mask, true: Mask, grid: Grid, percentile: float = 100.0) -> float:
    """Return a percentile of the surface distances [mm], the larger of both ways.

    Surface voxels are those of a mask with a face neighbour outside it; voxels beyond the
    volume count as outside. Distances are between voxel centres.
    """
    return float(np.max(_percentiles(found, true, grid, (percentile,))))


def hausdorff95(found: Mask, true: Mask, grid: Grid) -> float:
    """Return the 95th percentile of surface distances [mm], the larger of both ways."""
    return hausdorff(found, true, grid, 95.0)


def _percentiles(
    found: Mask, true: Mask, grid: Grid, levels: tuple[float, ...]
) -> npt.NDArray[np.float64]:
    """Return percentiles of surface distances, the larger of both ways; NaN without a surface."""
    if not found.any() or not true.any():
        return np.full(len(levels), np.nan)
    ways = [_distances(found, true, grid), _distances(true, found, grid)]
    each = np.array([np.percentile(way, levels) for way in ways])
    return np.asarray(each.max(axis=0), dtype=np.float64)


def _surface(mask: Mask) -> Mask:
    inner: Mask = ndimage.binary_erosion(mask)
    return mask & ~inner


def _distances(one: Mask, other: Mask, grid: Grid) -> npt.NDArray[np.float64]:
    away = distance_inside_mm(~_surface(other), grid)
    return away[_surface(one)].astype(np.float64)


def score_mask(
    found: Mask, true: Mask, grid: Grid, places_mm: npt.NDArray[np.floating] | None = None
) -> MaskScore:
    """Return all measures of a mask.

    Parameters
    ----------
    found, true : (I, J, K) ndarray of bool
    grid : Grid
    places_mm : (N, 3) ndarray, optional
        Places that the mask must not lose, e.g. the centres of true lesions [mm].
    """
    for name, mask in (("found", found), ("true", true)):
        grid.require(mask, name)
    n_true, inside = int(true.sum()), float("nan")
    if places_mm is not None and len(places_mm):
        index = np.round(grid.to_index(places_mm)).astype(int)
        within = ((index >= 0) & (index < np.array(grid.shape))).all(axis=1)
        kept = np.zeros(len(index), dtype=bool)
        kept[within] = found[tuple(index[within].T)]
        inside = float(kept.mean())
    most, largest = _percentiles(found, true, grid, (95.0, 100.0)).tolist()
    return MaskScore(
        dice=dice(found, true),
        hausdorff95_mm=most,
        hausdorff_mm=largest,
        volume_ratio=int(found.sum()) / n_true if n_true else float("nan"),
        centres_inside=inside,
    )
