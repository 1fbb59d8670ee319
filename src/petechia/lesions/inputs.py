"""What the detector is given: arrays on one grid, and how far they can be trusted."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_b0, require_finite
from petechia.core.grid import Grid
from petechia.errors import ParameterError

Volume = npt.NDArray[np.floating]
Mask = npt.NDArray[np.bool_]
ARRAYS = (
    "brain_mask", "magnitude", "swi", "r2star", "local_field_ppm", "total_field_ppm",
    "field_noise_ppm", "field_mask", "filtered_field_ppm", "chi_ppm", "vessel",
    "vein_length_mm", "csf", "ventricle_mask", "air_mask",
)  # fmt: skip
"""Names of the arrays of `LesionInputs`."""


class RegionLike(Protocol):
    """A place in the brain, named with the contract's words."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def site(self) -> str: ...  # noqa: D102
    @property
    def side(self) -> str: ...  # noqa: D102
    @property
    def compartment(self) -> str: ...  # noqa: D102


def _as_mask(array: npt.NDArray[Any]) -> Mask:
    """Return the voxels above one half: whole numbers would count as indices."""
    return array if array.dtype == bool else np.asarray(array > 0.5)


RegionOf = Callable[[tuple[int, int, int]], RegionLike | None]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LesionInputs:
    """Arrays of one scan, and what is known of them.

    Masks of another type than bool are taken where they are above one half, as of files.

    Attributes
    ----------
    grid : Grid
        Geometry of every array.
    brain_mask : (I, J, K) ndarray of bool
        Where lesions are looked for.
    b0_t : float
        Main field [T].
    reading_te_s : float
        Echo time of `magnitude`: apparent sizes belong to it [s].
    magnitude : (I, J, K) ndarray of float
        At the reading echo; any unit, any shading.
    swi, r2star : (I, J, K) ndarray of float, or None
        Susceptibility-weighted image; relaxation rate [1/s].
    local_field_ppm : (I, J, K) ndarray of float, or None
        Field after background removal, positive = higher frequency [ppm]. None: no phase.
    total_field_ppm : (I, J, K) ndarray of float, or None
        Field before background removal, of the same sign [ppm].
    field_noise_ppm : (I, J, K) ndarray of float, or None
        Its standard deviation; equal weights are used without [ppm].
    field_mask : (I, J, K) ndarray of bool, or None
        Where the local field is valid; the brain mask when None.
    filtered_field_ppm : (I, J, K) ndarray of float, or None
        Without a local field: phase that a vendor high-pass filtered, as a field [ppm]. It tells
        the sign of a spot, and nothing of its size; where `sign_trusted` is False, whether spots
        are of one sign.
    chi_ppm : (I, J, K) ndarray of float, or None
        Susceptibility, referenced [ppm].
    vessel : (I, J, K) ndarray of float, or None
        Likeness to a vein, 0 to 1.
    vein_length_mm : (I, J, K) ndarray of float, or None
        Length of the tube that a voxel belongs to, 0 outside tubes [mm].
    csf : (I, J, K) ndarray of float, or None
        Share of fluid, 0 to 1.
    ventricle_mask, air_mask : (I, J, K) ndarray of bool, or None
        Ventricles; air cavities of the head.
    structures : mapping of str to (I, J, K) ndarray of bool, or None
        Where calcium and iron are normal: "pallidum", "choroid_plexus", "pineal".
    region_of : callable, or None
        (i, j, k) -> an object with `name`, `site`, `side`, `compartment`, or None.
    sign_trusted : bool
        False when the handedness of the phase is unknown: no finding then gets a sign.
    """

    grid: Grid
    brain_mask: Mask
    b0_t: float
    reading_te_s: float
    magnitude: Volume
    swi: Volume | None = None
    r2star: Volume | None = None
    local_field_ppm: Volume | None = None
    total_field_ppm: Volume | None = None
    field_noise_ppm: Volume | None = None
    field_mask: Mask | None = None
    filtered_field_ppm: Volume | None = None
    chi_ppm: Volume | None = None
    vessel: Volume | None = None
    vein_length_mm: Volume | None = None
    csf: Volume | None = None
    ventricle_mask: Mask | None = None
    air_mask: Mask | None = None
    structures: Mapping[str, Mask] | None = None
    region_of: RegionOf | None = None
    sign_trusted: bool = True

    def __post_init__(self) -> None:
        self.grid.require_square("LesionInputs.grid")
        for name in ARRAYS:
            array = getattr(self, name)
            if array is None:
                continue
            self.grid.require(array, f"LesionInputs.{name}")
            if array.ndim != 3:
                raise ParameterError(
                    f"shape {array.shape} is not one volume",
                    where=f"LesionInputs.{name}",
                    mend="Give the reading echo alone, or combine the echoes first.",
                )
            require_finite(array, f"LesionInputs.{name}")
            if name.endswith("mask"):
                object.__setattr__(self, name, _as_mask(array))
        for name, mask in (self.structures or {}).items():
            self.grid.require(mask, f"LesionInputs.structures[{name!r}]")
        if self.structures is not None:
            structures = {name: _as_mask(mask) for name, mask in self.structures.items()}
            object.__setattr__(self, "structures", structures)
        if not 0 < self.reading_te_s < 0.5:
            raise ParameterError(
                f"reading echo time of {self.reading_te_s} s",
                where="LesionInputs.reading_te_s",
                mend="Echo times are in seconds (20 ms is 0.02), above 0 and below 0.5.",
            )
        require_b0(self.b0_t, "LesionInputs.b0_t")

    @property
    def trusted(self) -> npt.NDArray[np.bool_]:
        """Where field and susceptibility can be read."""
        return self.brain_mask if self.field_mask is None else self.field_mask

    @property
    def has_field(self) -> bool:
        """True when moments can be measured."""
        return self.local_field_ppm is not None

    @property
    def has_sign(self) -> bool:
        """True when they can, and their sign is known."""
        return self.has_field and self.sign_trusted
