"""Where voxels are: shape, affine, and what follows from them."""

from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt

from petechia.errors import GridMismatchError, ParameterError

SQUARE = 0.01
"""Cosine of the angle between two axes up to which they count as at right angles."""
ALIKE = 1e-3
"""Sides of a voxel that differ by no more of their length are equally long."""


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Geometry that every pure function needs, and nothing else.

    Attributes
    ----------
    shape : tuple of int
        Voxels along the array axes (i, j, k).
    affine : (4, 4) ndarray of float
        Voxel index to scanner RAS [mm].
    """

    shape: tuple[int, int, int]
    affine: npt.NDArray[np.floating] = field(default_factory=lambda: np.eye(4))
    # asked for many thousand times in loops over lesions: worked out once
    _spacing_mm: npt.NDArray[np.float64] = field(init=False, repr=False)
    _voxel_mm3: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise ParameterError(
                f"shape {self.shape} is not three positive sizes",
                where="Grid.shape",
                mend="Give one volume; echoes are stacked in front of it.",
            )
        affine = np.asarray(self.affine, dtype=np.float64)
        if (
            affine.shape != (4, 4)
            or not np.isfinite(affine).all()
            or abs(np.linalg.det(affine[:3, :3])) < 1e-9
        ):
            raise ParameterError(
                f"not an affine with positive voxel sizes: {affine.tolist()}",
                where="Grid.affine",
                mend="A zero column means a broken header: convert the scan again.",
            )
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "_spacing_mm", np.linalg.norm(affine[:3, :3], axis=0))
        object.__setattr__(self, "_voxel_mm3", float(abs(np.linalg.det(affine[:3, :3]))))
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))

    @classmethod
    def from_spacing(
        cls,
        shape: tuple[int, ...],
        spacing_mm: npt.ArrayLike,
        b0_dir: npt.ArrayLike = (0.0, 0.0, 1.0),
    ) -> Self:
        """Return a grid of voxels `spacing_mm` whose main field lies along `b0_dir`.

        The rotation about the main field is arbitrary (no result depends on it).
        """
        spacing = numbers(spacing_mm, "spacing_mm")
        if spacing.shape not in ((), (3,)) or not np.all((spacing > 0) & np.isfinite(spacing)):
            raise ParameterError(
                f"spacing_mm {spacing.tolist()} is not three voxel sizes above 0",
                where="Grid.from_spacing",
                mend="Give millimetres along i, j, k, e.g. (0.5, 0.5, 2); axes that run "
                "backwards are the affine's business.",
            )
        b0 = numbers(b0_dir, "b0_dir")
        norm = np.linalg.norm(b0)
        if b0.shape != (3,) or not np.isfinite(norm) or norm < 1e-6:
            raise ParameterError(
                f"b0_dir {b0.tolist()} is not a direction",
                where="Grid.from_spacing",
                mend="Give the main field in voxel axes, e.g. (0, 0, 1).",
            )
        b0 = b0 / norm
        # rows of the rotation: two axes across the field, then the field itself
        other = np.eye(3)[np.argmin(np.abs(b0))]
        across = np.cross(other, b0)
        across /= np.linalg.norm(across)
        rotation = np.stack([np.cross(b0, across) * -1.0, across, b0])
        if b0[2] > 1 - 1e-12:
            rotation = np.eye(3)
        elif np.linalg.det(rotation) < 0:
            rotation[0] *= -1
        affine = np.eye(4)
        affine[:3, :3] = rotation * spacing
        i, j, k = shape
        return cls((i, j, k), affine)

    @property
    def spacing_mm(self) -> npt.NDArray[np.float64]:
        """Voxel size along the array axes, shape (3,) [mm]."""
        return self._spacing_mm.copy()

    @property
    def b0_dir(self) -> npt.NDArray[np.float64]:
        """Main-field direction (scanner z) in voxel axes, unit length, shape (3,)."""
        row = (self.affine[:3, :3] / self.spacing_mm)[2]
        unit: npt.NDArray[np.float64] = row / np.linalg.norm(row)
        return unit

    @property
    def voxel_mm3(self) -> float:
        """Volume of one voxel [mm^3]."""
        return self._voxel_mm3

    @property
    def size(self) -> int:
        """Number of voxels."""
        return int(np.prod(self.shape))

    @property
    def slice_axis(self) -> int:
        """Array axis across the slices: of the odd side where two are alike; 2 when isotropic.

        Voxels are square in plane, whether slices are thicker than that or thinner. Of three
        different sides it is the longest.
        """
        spacing = self._spacing_mm
        longest = spacing > (1 - ALIKE) * spacing.max()
        if longest.all():
            return 2
        return int(np.argmin(spacing) if longest.sum() == 2 else np.argmax(spacing))

    def cut(self, box: tuple[slice, slice, slice]) -> Self:
        """Return the grid of `volume[box]`; slices have a start and a stop."""
        affine = self.affine.copy()
        affine[:3, 3] = self.to_mm([s.start for s in box])
        i, j, k = (s.stop - s.start for s in box)
        return type(self)((i, j, k), affine)

    def to_mm(self, index: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return scanner RAS [mm] of voxel indices (..., 3)."""
        place = np.asarray(index, dtype=np.float64)
        out: npt.NDArray[np.float64] = place @ self.affine[:3, :3].T + self.affine[:3, 3]
        return out

    def to_index(self, place_mm: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return fractional voxel indices of scanner RAS places (..., 3) [mm]."""
        inverse = np.linalg.inv(self.affine)
        place = np.asarray(place_mm, dtype=np.float64)
        out: npt.NDArray[np.float64] = place @ inverse[:3, :3].T + inverse[:3, 3]
        return out

    def require_square(self, name: str) -> None:
        """Raise `ParameterError` unless the axes stand at right angles, within about 0.6 degrees.

        Frequencies and the direction of the main field are taken along the axes.
        """
        turn = self.affine[:3, :3] / self._spacing_mm
        cosine = float(np.abs(np.triu(turn.T @ turn, 1)).max())
        if cosine > SQUARE:
            raise ParameterError(
                f"sheared: two axes of its affine stand at {np.degrees(np.arccos(cosine)):.1f} "
                "degrees to each other",
                where=name,
                mend="A gradient echo is acquired at right angles: take it as it came from the "
                "scanner, or resample it onto such a grid.",
            )

    def require(self, array: npt.NDArray[np.generic], name: str) -> None:
        """Raise `GridMismatchError` unless the last three axes of `array` fit."""
        if array.shape[-3:] != self.shape:
            raise GridMismatchError(
                f"shape {array.shape} does not end in {self.shape}",
                where=name,
                mend="Resample it onto the scan's grid first.",
            )


def numbers(value: npt.ArrayLike, name: str) -> npt.NDArray[np.float64]:
    """Return one number along each axis, or raise `ParameterError` for what is none."""
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ParameterError(
            f"{name} = {value!r} is not three numbers",
            where="Grid.from_spacing",
            mend="Give one along each of i, j, k, e.g. (0.5, 0.5, 2).",
        ) from None
