"""How a volume is laid out for a reader: nearest patient axes, radiological convention."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from petechia.core.grid import Grid

Array = npt.NDArray[Any]
THICK = 1.5
"""Slices this much thicker than the in-plane voxel are shown in their own plane."""


@dataclass(frozen=True, slots=True)
class Plane:
    """One way to cut: the axis cut across, and what lies at the picture's edges."""

    name: str
    normal: int
    letters: tuple[str, str, str, str]
    """Left, right, top, bottom."""

    @property
    def axes(self) -> tuple[int, int]:
        """Patient axes along the picture's columns and rows."""
        across, down = (axis for axis in range(3) if axis != self.normal)
        return across, down


SAGITTAL = Plane("sagittal", 0, ("A", "P", "S", "I"))
CORONAL = Plane("coronal", 1, ("R", "L", "S", "I"))
AXIAL = Plane("axial", 2, ("R", "L", "A", "P"))
PLANES = (SAGITTAL, CORONAL, AXIAL)


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """A grid turned and flipped, never resampled, so that its axes run nearest R, A, S.

    Attributes
    ----------
    order : tuple of int
        Storage axis that runs nearest to each of right, anterior, superior.
    flipped : tuple of bool
        Whether that storage axis runs the other way.
    shape : tuple of int
        Voxels towards right, anterior, superior.
    spacing_mm : tuple of float
        Voxel size along them [mm].
    """

    grid: Grid
    order: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]

    @classmethod
    def of(cls, grid: Grid) -> "Layout":
        """Return the layout of `grid`: each storage axis gets the patient axis it fits best."""
        cosines = grid.affine[:3, :3] / grid.spacing_mm
        _, columns = linear_sum_assignment(-np.abs(cosines))
        i, j, k = (int(n) for n in columns)
        signs = [bool(cosines[axis, column] < 0) for axis, column in enumerate((i, j, k))]
        shape, size = grid.shape, grid.spacing_mm
        return cls(
            grid,
            (i, j, k),
            (signs[0], signs[1], signs[2]),
            (shape[i], shape[j], shape[k]),
            (float(size[i]), float(size[j]), float(size[k])),
        )

    @property
    def plane(self) -> Plane:
        """Axial, unless thick slices were taken in another plane."""
        thick = int(np.argmax(self.spacing_mm))
        others = [size for axis, size in enumerate(self.spacing_mm) if axis != thick]
        return PLANES[thick] if self.spacing_mm[thick] > THICK * max(others) else AXIAL

    @property
    def tilt_deg(self) -> float:
        """Largest angle between a voxel axis and the patient axis it stands for [degrees]."""
        cosines = self.grid.affine[:3, :3] / self.grid.spacing_mm
        fit = min(abs(cosines[axis, column]) for axis, column in enumerate(self.order))
        return float(np.degrees(np.arccos(min(1.0, fit))))

    def lay(self, volume: Array) -> Array:
        """Return a view of `volume` with axes towards right, anterior, superior."""
        turned = np.transpose(volume, self.order)
        return turned[tuple(slice(None, None, -1 if flip else 1) for flip in self.flipped)]

    def place(self, place_mm: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return fractional indices into a laid volume of scanner RAS places (..., 3) [mm]."""
        index = self.grid.to_index(place_mm)[..., list(self.order)]
        last = np.asarray(self.shape) - 1
        out: npt.NDArray[np.float64] = np.where(self.flipped, last - index, index)
        return out

    def height_mm(self, plane: Plane, n: int) -> float:
        """Return the patient coordinate of slice `n` across `plane`, at its middle [mm]."""
        middle = [(size - 1) / 2 for size in self.shape]
        middle[plane.normal] = n
        laid = np.where(self.flipped, np.asarray(self.shape) - 1 - middle, middle)
        index = np.empty(3)
        index[list(self.order)] = laid
        return float(self.grid.to_mm(index)[plane.normal])


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """A box of laid voxels, half-open, and its exact way to stored voxels and to millimetres."""

    layout: Layout
    low: tuple[int, int, int]
    high: tuple[int, int, int]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels towards right, anterior, superior."""
        i, j, k = (b - a for a, b in zip(self.low, self.high, strict=True))
        return i, j, k

    @property
    def box(self) -> tuple[slice, slice, slice]:
        """The box as slices of a laid volume."""
        i, j, k = (slice(a, b) for a, b in zip(self.low, self.high, strict=True))
        return i, j, k

    def cut(self, volume: Array) -> Array:
        """Return a view of the box of a stored volume, laid."""
        return self.layout.lay(volume)[self.box]

    def to_mm(self) -> npt.NDArray[np.float64]:
        """Return the (3, 4) matrix from voxels of the box to scanner RAS [mm]."""
        layout = self.layout
        signs = np.where(layout.flipped, -1.0, 1.0)
        axes = layout.grid.affine[:3, list(layout.order)] * signs
        last = np.asarray(layout.shape) - 1
        first = np.where(layout.flipped, last - self.low, self.low)
        start = layout.grid.affine[:3, list(layout.order)] @ first + layout.grid.affine[:3, 3]
        return np.column_stack([axes, start])


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of one plane in laid voxels: half-open, may reach outside the volume."""

    low: tuple[int, int]
    high: tuple[int, int]


def cut(laid: Array, plane: Plane, n: int, box: Box) -> Array:
    """Return slice `n` as a picture (rows, columns): 0 outside the volume.

    Columns run towards the patient's left (posterior when sagittal), rows towards posterior
    (inferior when coronal or sagittal): the patient's right is on the picture's left.
    """
    flat = np.moveaxis(laid, plane.normal, 0)[n]  # a view: np.take copies, slowly
    out = np.zeros([high - low for low, high in zip(box.low, box.high, strict=True)], flat.dtype)
    source, target = [], []
    for low, high, size in zip(box.low, box.high, flat.shape, strict=True):
        first, last = max(low, 0), max(max(low, 0), min(high, size))
        source.append(slice(first, last))
        target.append(slice(first - low, last - low))
    out[tuple(target)] = flat[tuple(source)]
    return out.T[::-1, ::-1]


def spot_mm(layout: Layout, plane: Plane, box: Box, place: Array) -> tuple[float, float]:
    """Return where a laid place falls on the picture: from its left and top edges [mm]."""
    left, top = (
        (box.high[side] - 0.5 - float(place[axis])) * layout.spacing_mm[axis]
        for side, axis in enumerate(plane.axes)
    )
    return left, top
