"""Anatomy on the grid of a companion scan: brain, tissue as the template has it, regions."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.anatomy.compared import sampled
from petechia.anatomy.registration import Registration
from petechia.anatomy.resample import coarse_grid, through, to_grid
from petechia.anatomy.sites import REGIONS
from petechia.core.grid import Grid
from petechia.core.morphology import Mask, bounding_box, distance_inside_mm

Volume = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]
WORK_MM = 2.5
"""Anatomy is brought along on voxels of this size; registration is no finer."""
LOBES = ("frontal", "parietal", "temporal", "occipital", "insula")
WHITE = ("deep_periventricular_wm", "corpus_callosum", "internal_capsule", "external_capsule")
GANGLIA = ("basal_ganglia", "internal_capsule", "external_capsule")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Places:
    """What lies where in a companion scan, on its grid or a part of that.

    Attributes
    ----------
    grid : Grid
        Of all arrays.
    brain : (I, J, K) ndarray of bool
        Of the gradient echo.
    white, grey, fluid : (I, J, K) ndarray of float32
        Of the template, 0 to 1.
    regions : (I, J, K) ndarray of int16
        Labels of `REGIONS`.
    height_mm : (I, J, K) ndarray of float32
        Height in the template.
    left : (I, J, K) ndarray of bool
        Left of the template's midline.
    depth_mm : (I, J, K) ndarray of float32
        Distance to the outside of the brain.
    """

    grid: Grid
    brain: Mask
    white: Volume
    grey: Volume
    fluid: Volume
    regions: npt.NDArray[np.int16]
    height_mm: Volume
    left: Mask
    depth_mm: Volume

    def at(self, *sites: str) -> Mask:
        """Return where one of `sites` is."""
        wanted = [region.index for region in REGIONS if region.site in sites]
        return np.asarray(np.isin(self.regions, wanted))

    @property
    def lateral_ventricles(self) -> Mask:
        """As the template has them."""
        wanted = [r.index for r in REGIONS if r.name.endswith("lateral ventricle")]
        return np.asarray(np.isin(self.regions, wanted))


def box_of(brain: Mask, scan: Grid, rigid: Matrix, grid: Grid) -> tuple[slice, slice, slice]:
    """Return the part of a companion scan that holds the brain; all when it holds none."""
    small = coarse_grid(grid, 4.0)
    back = np.asarray(np.linalg.inv(rigid), dtype=np.float64)
    inside = sampled(brain.astype(np.float32), scan, back, small) > 0.1
    if not inside.any():
        return (slice(0, grid.shape[0]), slice(0, grid.shape[1]), slice(0, grid.shape[2]))
    ends = []
    for part, n, few in zip(bounding_box(inside), grid.shape, small.shape, strict=True):
        factor = n / few
        low = max(int(np.floor((part.start - 1) * factor)), 0)
        high = min(int(np.ceil((part.stop + 1) * factor)), n)
        ends.append(slice(low, high))
    return ends[0], ends[1], ends[2]


def places_on(
    grid: Grid,
    rigid: Matrix,
    brain: Mask,
    regions: npt.NDArray[np.int16],
    registration: Registration,
    tissue: dict[str, npt.NDArray[Any]],
) -> Places:
    """Return the anatomy of a gradient echo on the grid of a companion scan.

    Parameters
    ----------
    grid : Grid
        Of the companion, or a part of it.
    rigid : (4, 4) ndarray of float
        Scan RAS to companion RAS [mm].
    brain, regions : (I, J, K) ndarray of bool and int16
        Of the gradient echo.
    registration : Registration
        Gradient echo to template.
    tissue : dict of str to ndarray
        Of the template: 'wm', 'gm', 'csf', 0 to 1.
    """
    scan = registration.scan_grid
    back = np.asarray(np.linalg.inv(rigid), dtype=np.float64)
    fit = replace(registration, matrix=registration.matrix @ back, scan_grid=grid)
    small = coarse_grid(grid, WORK_MM)

    def brought(volume: npt.NDArray[Any]) -> Volume:
        found = fit.to_scan(volume, nearest=False, grid=small)
        return np.asarray(to_grid(found, small, grid), dtype=np.float32)

    inside = sampled(brain.astype(np.float32), scan, back, grid) > 0.5
    labels = through(regions, scan, back, grid, order=0).astype(np.int16)
    coordinates = fit.matrix @ grid.affine
    i, j, k = np.ix_(*[np.arange(n) for n in grid.shape])
    x_mm, z_mm = (
        np.asarray(c[0] * i + c[1] * j + c[2] * k + c[3], dtype=np.float32)
        for c in (coordinates[0], coordinates[2])
    )
    depth = _depth(inside, grid)
    return Places(
        grid=grid, brain=inside, white=brought(tissue["wm"]), grey=brought(tissue["gm"]),
        fluid=brought(tissue["csf"]), regions=labels, height_mm=z_mm, left=x_mm < 0,
        depth_mm=depth,
    )  # fmt: skip


def _depth(mask: Mask, grid: Grid) -> Volume:
    return np.asarray(np.minimum(distance_inside_mm(mask, grid), 1000.0), dtype=np.float32)
