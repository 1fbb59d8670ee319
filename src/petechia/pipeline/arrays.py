"""Arrays, times and matrices from Python, put on trial before they enter."""

from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.core.checks import (
    mask_from,
    require_finite,
    require_no_overflow,
    share_below_0,
)
from petechia.core.grid import Grid, numbers
from petechia.errors import InputError, ParameterError

LARGEST_RAD = 100.0
"""No phase, wrapped or not, comes near this; stored whole numbers and degrees go beyond [rad]."""
LARGEST_PPM = 10.0
"""Air shifts the field of the tissue beside it by 6 ppm at most: most of a head is nearer [ppm]."""
SPACING_MM = (0.05, 20.0)
"""Voxel sizes from the finest of specimens to the coarsest of heads; metres lie below [mm]."""
ORDER = (
    "qsm and swi take phase_rad first, r2star and detect the magnitude: give both by name, "
    "magnitude=..., phase_rad=..."
)


def array_of(volume: npt.ArrayLike, name: str) -> npt.NDArray[Any]:
    """Return real numbers as an array, or raise what is wrong with them."""
    try:
        array = np.asarray(volume)
    except ValueError as error:  # ragged
        raise InputError(
            f"no array: {error}", where=name, mend="Give volumes of one shape."
        ) from None
    if array.dtype.kind not in "fiub":
        raise InputError(
            f"{array.dtype} is no real number",
            where=name,
            mend="Give numpy.angle and numpy.abs of a complex signal apart.",
        )
    return array


def stacked(volumes: npt.ArrayLike, name: str) -> npt.NDArray[np.float32]:
    """Return one volume or several echoes as (E, I, J, K), finite."""
    given = array_of(volumes, name)
    if given.ndim not in (3, 4):
        raise InputError(
            f"shape {given.shape} is neither (i, j, k) nor (echo, i, j, k)",
            where=name,
            mend="Give one volume, or echoes along a first axis; join coils with combine_coils.",
        )
    array = np.asarray(given, dtype=np.float32)
    require_finite(array, name)
    return array[None] if array.ndim == 3 else array


def phase_of(volumes: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Return phase as (E, I, J, K) that can be in radians."""
    phase = stacked(volumes, "phase_rad")
    largest = float(np.abs(phase).max())
    if largest > LARGEST_RAD:
        raise InputError(
            f"phase of up to {largest:g} is not in radians",
            where="phase_rad",
            mend="Scale it: a whole turn of the scanner's numbers is 2 pi.",
        )
    return phase


def volume_of(volume: npt.ArrayLike, name: str, grid: Grid) -> npt.NDArray[Any]:
    """Return one finite volume on `grid`."""
    given = array_of(volume, name)
    grid.require(given, name)
    if given.ndim != 3:
        raise InputError(
            f"shape {given.shape} is more than one volume", where=name, mend="Give (i, j, k)."
        )
    require_finite(given, name)
    return given


def require_ppm(field_ppm: npt.NDArray[Any], where: str, mend: str) -> None:
    """Raise `InputError` when a field in the mask that counts as ppm is too large to be in it."""
    if not field_ppm.size:
        return
    far = float(np.percentile(np.abs(field_ppm - np.median(field_ppm)), 99))
    if far > LARGEST_PPM:
        raise InputError(
            f"1 % of the mask is more than {far:.3g} ppm from its median: no head makes this",
            where=where,
            mend=mend,
        )


def mask_of(mask: npt.ArrayLike, name: str, grid: Grid) -> npt.NDArray[np.bool_]:
    """Return the voxels above one half, as of masks from files."""
    return mask_from(volume_of(mask, name, grid), name)


def magnitude_of(volumes: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Return magnitude as (E, I, J, K), the few voxels that interpolation made negative as 0."""
    magnitude = stacked(volumes, "magnitude")
    for echo in magnitude:
        if share := share_below_0(echo):
            raise InputError(
                f"magnitude goes down to {float(echo.min()):g}, with {100 * share:.0f} % of its "
                "voxels below 0",
                where="magnitude",
                mend=f"Magnitudes are 0 or more: is this a phase? {ORDER}",
            )
        require_no_overflow(echo, "magnitude")
    return np.maximum(magnitude, np.float32(0)) if magnitude.min() < 0 else magnitude


def require_not_swapped(magnitude: npt.NDArray[np.float32], phase: npt.NDArray[np.float32]) -> None:
    """Raise when the magnitude fills 0..2 pi as a phase does, and the phase is like no phase.

    A phase without a value below 0 goes from 0 to 2 pi.
    """
    turn = 2 * np.pi
    top, other = float(magnitude.max()), float(phase.max())
    if 0.98 * turn < top < 1.001 * turn and phase.min() >= 0 and not 0.98 * turn < other < 7:
        raise InputError(
            f"the magnitude goes from 0 to {top:.3f} as a phase does, the phase from "
            f"{float(phase.min()):g} to {other:g}",
            where="magnitude",
            mend=f"Are they in each other's place? {ORDER}",
        )


def last_three(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return the shape of one volume of what may be several echoes."""
    if len(shape) not in (3, 4):
        raise InputError(
            f"shape {shape} is neither (i, j, k) nor (echo, i, j, k)",
            where="magnitude",
            mend="Give one volume, or echoes along a first axis.",
        )
    i, j, k = shape[-3:]
    return (i, j, k)


def grid_of(
    shape: tuple[int, ...], spacing_mm: npt.ArrayLike, b0_dir: npt.ArrayLike = (0.0, 0.0, 1.0)
) -> Grid:
    """Return the grid of one volume of voxels in millimetres."""
    _require_mm(numbers(spacing_mm, "spacing_mm"), "spacing_mm")
    return Grid.from_spacing(last_three(shape), spacing_mm, b0_dir)


def _require_mm(sizes_mm: npt.NDArray[np.float64], where: str) -> None:
    """Raise `ParameterError` for voxel sizes in another unit; what is no size, `Grid` refuses."""
    low, high = SPACING_MM
    if any(d > 0 and np.isfinite(d) and not low <= d <= high for d in sizes_mm.flat):
        raise ParameterError(
            f"voxels of {' x '.join(f'{d:g}' for d in sizes_mm.flat)} mm are outside {low:g} to "
            f"{high:g} mm",
            where=where,
            mend="Give millimetres: metres times 1000, micrometres divided by 1000.",
        )


def affine_of(affine: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return a (4, 4) voxel-to-scanner matrix in mm, or raise what is wrong with it."""
    mend = "Give the (4, 4) matrix from voxel indices to scanner RAS mm, its last row 0, 0, 0, 1."
    try:
        matrix = np.asarray(affine, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("no matrix of numbers", where="affine", mend=mend) from None
    if matrix.shape != (4, 4):
        raise InputError(f"shape {matrix.shape}", where="affine", mend=mend)
    if not np.allclose(matrix[3], (0.0, 0.0, 0.0, 1.0), rtol=0, atol=1e-6):
        raise InputError(f"its last row is {matrix[3].tolist()}", where="affine", mend=mend)
    _require_mm(np.linalg.norm(matrix[:3, :3], axis=0), "affine")
    return matrix


def times_of(te_s: Any) -> tuple[float, ...]:
    """Return one echo time or several as numbers [s]."""
    mend = "Give echo times in seconds: 0.02, or (0.005, 0.010, 0.015)."
    return tuple(number(t, "te_s", mend) for t in np.atleast_1d(np.asarray(te_s, dtype=object)))


def number(value: Any, name: str, mend: str) -> float:
    """Return one finite number, or raise what is wrong with it."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = float("nan")
    if not np.isfinite(found):
        raise InputError(f"{value!r} is no number", where=name, mend=mend)
    return found
