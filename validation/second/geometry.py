"""Where the voxels of a scan lie, and the finer ones that it is summed from."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import fft

from petechia.core.grid import Grid
from second.protocols import Protocol

Vector = npt.NDArray[np.float64]
BELOW_MM, ABOVE_MM = 50.0, 14.0
"""Head that is laid out below and above the slab: its field reaches into it."""


def rotation(degrees: npt.ArrayLike) -> Vector:
    """Return the turn about x, y and z by three angles, the last one first."""
    (a, b, c), (d, e, f) = (g(np.radians(np.asarray(degrees))) for g in (np.cos, np.sin))
    about_x = np.array([[1, 0, 0], [0, a, -d], [0, d, a]])
    about_y = np.array([[b, 0, e], [0, 1, 0], [-e, 0, b]])
    about_z = np.array([[c, -f, 0], [f, c, 0], [0, 0, 1]])
    return np.asarray(about_x @ about_y @ about_z)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Geometry:
    """The voxels of a scan and the fine voxels of the head around it.

    "Scan millimetres" run along the axes of the scan from the centre of the first fine voxel.

    Attributes
    ----------
    shape, voxel_mm : (3,) ndarray
        Of the scan, before it is stored; the third axis is the slices.
    refine : (3,) ndarray of int
        Fine voxels to a voxel.
    turn : (3, 3) ndarray
        Columns are the scan's axes in scanner RAS.
    origin_mm : (3,) ndarray
        Centre of the first voxel of the scan, scanner RAS.
    below, above : int
        Fine slices of the head outside the slab.
    sagittal : bool
        Stored as sagittal slices: axes y, z from above, x.
    """

    shape: npt.NDArray[np.int64]
    voxel_mm: Vector
    refine: npt.NDArray[np.int64]
    turn: Vector
    origin_mm: Vector
    below: int
    above: int
    sagittal: bool = False

    @property
    def fine_mm(self) -> Vector:
        """Size of a fine voxel."""
        return self.voxel_mm / self.refine

    @property
    def slab(self) -> tuple[int, int, int]:
        """Fine voxels of the slab that is encoded."""
        i, j, k = (self.shape * self.refine).tolist()
        return i, j, k

    @property
    def fine_shape(self) -> tuple[int, int, int]:
        """Fine voxels, with the head outside the slab."""
        i, j, k = self.slab
        return i, j, k + self.below + self.above

    @property
    def fine_origin_mm(self) -> Vector:
        """Centre of the first fine voxel, scanner RAS."""
        return np.asarray(self.origin_mm - self.turn[:, 2] * self.below * self.fine_mm[2])

    @property
    def b0_dir(self) -> Vector:
        """Direction of the main field along the scan's axes."""
        return np.asarray(self.turn[2])

    def to_scan_mm(self, world_mm: npt.NDArray[np.floating]) -> Vector:
        """Return places (..., 3) of the scanner in scan millimetres."""
        return np.asarray((world_mm - self.fine_origin_mm) @ self.turn)

    def to_index(self, world_mm: npt.NDArray[np.floating]) -> Vector:
        """Return places (..., 3) of the scanner in voxels of the scan, before it is stored."""
        return np.asarray((world_mm - self.origin_mm) @ self.turn / self.voxel_mm)

    def fully_in_slab(self, world_mm: npt.NDArray[np.floating], margin: int = 3) -> bool:
        """Return whether a place lies in the slab, at least `margin` fine slices from its ends."""
        slice_ = round(float(self.to_scan_mm(world_mm)[2] / self.fine_mm[2])) - self.below
        return margin < slice_ < self.slab[2] - margin

    def sampled(self, fine: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return a fine volume at the centres of the scan's voxels."""
        a, b, c = self.refine
        return fine[::a, ::b, self.below : self.below + self.slab[2] : c]

    def stored(self, volume: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return a volume of the scan with the axes it is stored by."""
        return volume.transpose(1, 2, 0)[:, ::-1] if self.sagittal else volume

    @property
    def grid(self) -> Grid:
        """The scan's grid as it is stored."""
        affine = np.eye(4)
        affine[:3, :3] = self.turn * self.voxel_mm
        affine[:3, 3] = self.origin_mm
        i, j, k = self.shape.tolist()
        if not self.sagittal:
            return Grid((i, j, k), affine)
        axes = np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, -1, 0, k - 1], [0, 0, 0, 1]])
        return Grid((j, k, i), affine @ axes)


def geometry_of(protocol: Protocol, centre_mm: npt.NDArray[np.floating]) -> Geometry:
    """Return the geometry of a scan whose slab is centred at a place of the scanner."""
    shape, refine = np.array(protocol.shape), np.array(protocol.refine)
    voxel_mm, turn = np.array(protocol.voxel_mm), rotation(protocol.tilt_deg)
    slice_mm = voxel_mm[2] / refine[2]
    below, above = (round(mm / slice_mm) for mm in (BELOW_MM, ABOVE_MM))
    encoded = int(shape[2] * refine[2])
    quick = int(fft.next_fast_len(encoded + below + above, real=True))
    return Geometry(
        shape=shape,
        voxel_mm=voxel_mm,
        refine=refine,
        turn=turn,
        origin_mm=np.asarray(centre_mm - turn @ ((shape - 1) / 2 * voxel_mm)),
        below=below,
        above=quick - encoded - below,
        sagittal=protocol.sagittal,
    )
