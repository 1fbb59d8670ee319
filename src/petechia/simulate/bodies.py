"""Extended lesions of any shape: small volumes of partial fillings in head millimetres."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Volume = npt.NDArray[np.float32]
STEP_MM = 0.5
"""Voxel of bodies."""
SPOTS = 60


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Body:
    """One extended part of a lesion.

    Attributes
    ----------
    filling : (I, J, K) ndarray of float32
        Part of each voxel that it fills, 0..1; axes are those of the head.
    origin_mm : (3,) ndarray
        Centre of voxel (0, 0, 0) in head millimetres.
    chi_ppm : float
        Above the tissue around it.
    substance : str
        A name of `tissues.SUBSTANCES`.
    """

    filling: Volume
    origin_mm: npt.NDArray[np.float64]
    chi_ppm: float
    substance: str

    @property
    def volume_mm3(self) -> float:
        """True volume."""
        return float(self.filling.sum(dtype=np.float64)) * STEP_MM**3

    @property
    def moment_ppm_mm3(self) -> float:
        """Susceptibility times volume, signed."""
        return self.chi_ppm * self.volume_mm3

    @property
    def centre_mm(self) -> tuple[float, float, float]:
        """Centre of its volume."""
        x, y, z = np.asarray(ndimage.center_of_mass(self.filling)) * STEP_MM + self.origin_mm
        return float(x), float(y), float(z)

    @property
    def spots(self) -> npt.NDArray[np.float64]:
        """Places spread evenly over it, with the cube root of the moment at each: (N, 4)."""
        places = np.argwhere(self.filling > 0.3)
        if not len(places):
            places = np.argwhere(self.filling == self.filling.max())[:1]
        chosen = places[:: max(1, len(places) // SPOTS)] * STEP_MM + self.origin_mm
        size = (abs(self.moment_ppm_mm3) / len(chosen)) ** (1 / 3)
        return np.column_stack([chosen, np.full(len(chosen), size)])


def body_where(
    signed_mm: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.floating]],
    centre_mm: npt.ArrayLike,
    half_mm: float,
    chi_ppm: float,
    substance: str,
) -> Body | None:
    """Return the body whose signed distance to its surface is below 0; None if there is none.

    Parameters
    ----------
    signed_mm : callable
        Of places (I, J, K, 3) in head millimetres; negative inside.
    centre_mm : (3,) array_like
        Of the box that is looked at.
    half_mm : float
        Half its side.
    chi_ppm, substance
        Of the body.
    """
    n = int(np.ceil(half_mm / STEP_MM))
    origin = np.asarray(centre_mm, dtype=np.float64) - n * STEP_MM
    side = np.arange(2 * n + 1) * STEP_MM
    places = np.stack(np.meshgrid(side, side, side, indexing="ij"), -1) + origin
    filling = np.clip(0.5 - np.asarray(signed_mm(places)) / STEP_MM, 0, 1).astype(np.float32)
    found = ndimage.find_objects((filling > 0).astype(np.int8))
    if not found:
        return None
    box = found[0]
    return Body(
        filling=np.ascontiguousarray(filling[box]),
        origin_mm=origin + np.array([edge.start for edge in box]) * STEP_MM,
        chi_ppm=chi_ppm,
        substance=substance,
    )
