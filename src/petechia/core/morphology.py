"""Shapes of masks in millimetres, whatever the voxel."""

from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.core.distance import distance_to_outside
from petechia.core.grid import Grid

Mask = npt.NDArray[np.bool_]
CONNECT_26 = np.ones((3, 3, 3), dtype=bool)


def bounding_box(mask: Mask) -> tuple[slice, slice, slice]:
    """Return the slices of the smallest box around the voxels of `mask`, which has some."""
    ends = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        inside = np.flatnonzero(mask.any(axis=others))
        ends.append(slice(int(inside[0]), int(inside[-1]) + 1))
    return ends[0], ends[1], ends[2]


def widened_box(
    box: Sequence[slice], room_vox: npt.NDArray[np.integer], shape: Sequence[int]
) -> tuple[slice, slice, slice]:
    """Return a box widened by `room_vox` on either side of each axis, as far as `shape` goes.

    Examples
    --------
    >>> widened_box((slice(0, 2), slice(3, 4), slice(4, 6)), np.array([1, 1, 3]), (9, 9, 8))
    (slice(0, 3, None), slice(2, 5, None), slice(1, 8, None))
    """
    i, j, k = (
        slice(max(part.start - int(room), 0), min(part.stop + int(room), n))
        for part, room, n in zip(box, room_vox, shape, strict=True)
    )
    return i, j, k


def distance_inside_mm(mask: Mask, grid: Grid) -> npt.NDArray[np.float32]:
    """Return the distance from each voxel of `mask` to the nearest one outside [mm].

    The border of the volume is not an edge: a mask cut by the field of view continues.
    """
    grid.require(mask, "mask")
    return distance_to_outside(mask, grid.spacing_mm)


def erode_mm(mask: Mask, grid: Grid, radius_mm: float) -> Mask:
    """Return `mask` less everything within `radius_mm` of its outside."""
    return distance_inside_mm(mask, grid) > radius_mm


def dilate_mm(mask: Mask, grid: Grid, radius_mm: float) -> Mask:
    """Return `mask` and everything within `radius_mm` of it."""
    return ~erode_mm(~mask, grid, radius_mm)


def open_mm(mask: Mask, grid: Grid, radius_mm: float) -> Mask:
    """Return `mask` without parts thinner than twice `radius_mm`."""
    return dilate_mm(erode_mm(mask, grid, radius_mm), grid, radius_mm)


def close_mm(mask: Mask, grid: Grid, radius_mm: float) -> Mask:
    """Return `mask` with gaps thinner than twice `radius_mm` filled."""
    return erode_mm(dilate_mm(mask, grid, radius_mm), grid, radius_mm) | mask


def largest_component(mask: Mask) -> Mask:
    """Return the largest face-connected part of `mask`; empty stays empty."""
    labels, n = ndimage.label(mask)
    if n == 0:
        return np.zeros_like(mask)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return cast("Mask", labels == sizes.argmax())


def large_components(mask: Mask, share: float) -> Mask:
    """Return the face-connected parts that hold at least `share` of the voxels of `mask`."""
    labels, _ = ndimage.label(mask)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return cast("Mask", (sizes >= max(share * sizes.sum(), 1))[labels])


def fill_holes(mask: Mask) -> Mask:
    """Return `mask` with its enclosed cavities filled in three dimensions."""
    return cast("Mask", ndimage.binary_fill_holes(mask))


def fill_slices(mask: Mask) -> Mask:
    """Return `mask` with the holes of each slice filled, for slices along every axis in turn.

    Fills what opens outwards in space but is closed in a plane, such as a mouth.
    """
    out = mask.copy()
    for axis in range(3):
        for plane in np.moveaxis(out, axis, 0):  # views
            plane[...] = ndimage.binary_fill_holes(plane)
    return out


def label_26(mask: Mask) -> tuple[npt.NDArray[np.int32], int]:
    """Return 26-connected labels of `mask` and their number."""
    labels, n = ndimage.label(mask, structure=CONNECT_26)
    return np.asarray(labels, dtype=np.int32), int(n)
