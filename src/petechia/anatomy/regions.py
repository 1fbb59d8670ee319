"""Which region of the brain every voxel lies in."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.anatomy.registration import Registration
from petechia.anatomy.resample import through
from petechia.anatomy.sites import REGIONS, VENTRICLE_LABELS, Region
from petechia.anatomy.template import Template
from petechia.core.grid import Grid
from petechia.core.morphology import Mask, bounding_box

NEAR_MM = 3.0
"""A lesion this near to a region, but outside of all, belongs to it."""
LEAST_OVERLAP = 0.75
"""Dice of a segmentation's brain and the scan's below which it is another's, or elsewhere."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Regions:
    """The region map of a scan.

    Attributes
    ----------
    labels : (I, J, K) ndarray of int16
        0 outside the brain; otherwise an index of `table`.
    table : tuple of Region
        What the labels mean.
    grid : Grid
        Geometry of the labels.
    ok : bool
        False when the template did not fit: then all labels are 0.
    says : str
        How it was come by, or why not.
    """

    labels: npt.NDArray[np.int16]
    table: tuple[Region, ...]
    grid: Grid
    ok: bool
    says: str

    def at(self, index_ijk: npt.ArrayLike) -> Region | None:
        """Return the region at a voxel, or the nearest within 3 mm, or None.

        In a ventricle or outside the brain the nearest site within 3 mm is preferred, since
        registration is no better than that; deeper in a ventricle it is the ventricle.

        Parameters
        ----------
        index_ijk : (3,) array_like of float
            Voxel index; fractions are allowed.
        """
        if not self.ok:
            return None
        centre = np.rint(np.asarray(index_ijk, dtype=np.float64)).astype(int)
        shape = np.array(self.labels.shape)
        if (centre < 0).any() or (centre >= shape).any():
            return None
        reach = np.ceil(NEAR_MM / self.grid.spacing_mm).astype(int)
        low, high = np.maximum(centre - reach, 0), np.minimum(centre + reach + 1, shape)
        box = self.labels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        offset = [np.arange(a, b) - c for a, b, c in zip(low, high, centre, strict=True)]
        away = np.stack(np.meshgrid(*offset, indexing="ij"), axis=-1) @ self.grid.affine[:3, :3].T
        distance = np.linalg.norm(away, axis=-1)
        site = (box > 0) & ~np.isin(box, VENTRICLE_LABELS) & (distance <= NEAR_MM)
        label = int(self.labels[tuple(centre)])
        if site.any():
            label = int(box[site][np.argmin(distance[site])])
        return next((region for region in self.table if region.index == label), None)


def label_regions(
    registration: Registration, template: Template, brain_mask: Mask, grid: Grid
) -> Regions:
    """Return the MARS regions of a scan.

    The template's labels are brought through the registration; voxels of the brain mask that
    the template's brain misses take the nearest label.

    Parameters
    ----------
    registration : Registration
        Scan to template.
    template : Template
        Its regions.
    brain_mask : (I, J, K) ndarray of bool
        Brain of the scan.
    grid : Grid
        Geometry.

    Returns
    -------
    Regions
        With `ok` False and all labels 0 when the registration is not believable.
    """
    grid.require(brain_mask, "brain_mask")
    found = np.zeros(grid.shape, dtype=np.int16)
    if registration.ok:
        found = registration.to_scan(template.regions, nearest=True, grid=grid, where=brain_mask)
    labels = _filled(found, brain_mask, grid)
    ok = bool(labels.any())
    says = registration.says if ok else f"No regions: {registration.says}."
    return Regions(labels=labels, table=REGIONS, grid=grid, ok=ok, says=says)


def regions_from_segmentation(
    segmentation: npt.NDArray[np.int16],
    segmentation_grid: Grid,
    brain_mask: Mask,
    grid: Grid,
    motion: npt.NDArray[np.float64] | None = None,
) -> Regions:
    """Return the MARS regions of a scan from those of a segmentation of the same person.

    Parameters
    ----------
    segmentation : (L, M, N) ndarray of int16
        Labels of `REGIONS`, as `segmentation.regions_of_segmentation` gives them.
    segmentation_grid : Grid
        Its geometry.
    brain_mask : (I, J, K) ndarray of bool
        Brain of the scan.
    grid : Grid
        The scan's geometry.
    motion : (4, 4) ndarray of float, optional
        Scan RAS to segmentation RAS [mm]; scanner coordinates are taken as shared without it.

    Returns
    -------
    Regions
        With `ok` False when the two brains overlap by a Dice of less than 0.75.
    """
    grid.require(brain_mask, "brain_mask")
    segmentation_grid.require(segmentation, "segmentation")
    moved = np.eye(4) if motion is None else motion
    found = through(segmentation, segmentation_grid, moved, grid, order=0)
    dice = 2 * (brain_mask & (found > 0)).sum() / max(brain_mask.sum() + (found > 0).sum(), 1)
    ok = bool(dice >= LEAST_OVERLAP)
    labels = _filled(found, brain_mask, grid) if ok else np.zeros(grid.shape, dtype=np.int16)
    says = f"the segmentation's brain and the scan's overlap by a Dice of {dice:.2f}"
    says = f"from a segmentation of the same person; {says}" if ok else f"No regions: {says}."
    return Regions(labels=labels, table=REGIONS, grid=grid, ok=ok, says=says)


def _filled(found: npt.NDArray[np.int16], brain_mask: Mask, grid: Grid) -> npt.NDArray[np.int16]:
    """Return the labels in the brain, those that it lacks taken from the nearest."""
    out = np.zeros(grid.shape, dtype=np.int16)
    if not (found > 0).any() or not brain_mask.any():
        return out
    box = bounding_box(brain_mask | (found > 0))
    places = ndimage.distance_transform_edt(
        found[box] == 0, sampling=grid.spacing_mm, return_distances=False, return_indices=True
    )
    out[box] = np.where(brain_mask[box], found[box][tuple(places)], 0)
    return out
