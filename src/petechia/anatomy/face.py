"""Where the face is: a plane in front of and below the brain.

The half-space beyond a plane that leans against the brain's lower front, a margin away from it,
holds eyes, nose, mouth and jaw; by construction no part of the brain lies in it. Ears and the back
of the head stay.

References
----------
Schimke and Hale, Quickshear defacing for neuroimages, USENIX HealthSec 2011.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.core.grid import Grid
from petechia.errors import InputError, ParameterError

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceParams:
    """How the plane is laid.

    Attributes
    ----------
    margin_mm : float
        Least distance of the plane from the brain [mm].
    lean_deg : tuple of float
        Least and greatest angle of the plane's normal below the horizontal [degrees].
    """

    margin_mm: float = 10.0
    lean_deg: tuple[float, float] = (15.0, 75.0)

    def __post_init__(self) -> None:
        low, high = self.lean_deg
        if self.margin_mm < 0 or not 0 <= low <= high <= 90:
            raise ParameterError(
                f"margin {self.margin_mm} mm, angles {self.lean_deg} degrees",
                where="FaceParams",
                mend="The margin is 0 or more, angles lie between 0 and 90 degrees.",
            )


@dataclass(frozen=True, slots=True)
class FacePlane:
    """The half-space `normal @ place > offset_mm` in scanner RAS [mm]."""

    normal: tuple[float, float, float]
    offset_mm: float

    def beyond(self, grid: Grid) -> Mask:
        """Return the voxels whose centres lie beyond the plane, (I, J, K)."""
        affine, normal = grid.affine, np.asarray(self.normal)
        i, j, k = (
            np.arange(n, dtype=np.float64) * float(normal @ affine[:3, axis])
            for axis, n in enumerate(grid.shape)
        )
        height = i[:, None, None] + j[None, :, None] + k[None, None, :]
        out: Mask = height + float(normal @ affine[:3, 3]) > self.offset_mm
        return out


def face_plane(brain: Mask, head: Mask, grid: Grid, params: FaceParams | None = None) -> FacePlane:
    """Return the plane that takes most of the head's front and stays clear of the brain.

    Parameters
    ----------
    brain, head : (I, J, K) ndarray of bool
        The brain, with room to spare rather than short; and all that gives signal.
    grid : Grid
        Their geometry; the patient lies as scanner RAS says.
    params : FaceParams, optional
        Margin and angles.

    Raises
    ------
    InputError
        No brain in the mask.
    """
    p = params or FaceParams()
    grid.require(brain, "brain mask")
    grid.require(head, "head mask")
    if not brain.any():
        raise InputError(
            "no brain in the mask",
            where="face_plane",
            mend="Give a brain mask of this scan: the plane leans against the brain.",
        )
    inside = grid.to_mm(np.argwhere(brain))[:, 1:]
    outside = grid.to_mm(np.argwhere(head & ~brain)[::7])[:, 1:]  # enough to compare angles
    # what lies below the brain's front half: the neck behind it is no face
    outside = outside[outside[:, 0] > np.median(inside[:, 0])]
    best: tuple[int, FacePlane] | None = None
    for lean in np.deg2rad(np.arange(p.lean_deg[0], p.lean_deg[1] + 0.5, 5.0)):
        normal = np.array([np.cos(lean), -np.sin(lean)])
        # half a voxel's diagonal: the whole voxel keeps the margin, not its centre alone
        reach = 0.5 * float(np.linalg.norm(grid.spacing_mm))
        offset = float((inside @ normal).max()) + p.margin_mm + reach
        taken = int((outside @ normal > offset).sum())
        if best is None or taken > best[0]:
            plane = FacePlane((0.0, float(normal[0]), float(normal[1])), offset)
            best = taken, plane
    assert best is not None
    return best[1]
