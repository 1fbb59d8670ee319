"""Means over spheres that lie in a mask: what a harmonic field equals in their centre."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_finite
from petechia.core.fourier import crop_to, irfft3, pad_to, padded_grid, rfft3
from petechia.core.grid import Grid
from petechia.core.kernels import smv_kernel
from petechia.core.morphology import bounding_box
from petechia.errors import ParameterError, UnfitError
from petechia.phase.images import Mask, Volume, checked_mask

WHOLE = 1 - 1e-4
"""Part of a sphere that must lie in the mask (the rest is rounding of the transforms)."""


def checked_field(field_ppm: npt.NDArray[np.floating], mask: Mask, grid: Grid) -> Mask:
    """Return the mask as bool, once the field is on `grid` and finite.

    Raises
    ------
    InputError
        If shapes disagree, the mask is empty or the field is not finite.
    """
    grid.require(field_ppm, "field_ppm")
    require_finite(field_ppm, "field_ppm")
    return checked_mask(mask, grid)


def least_radius(radius_mm: float, grid: Grid) -> float:
    """Return a radius, never below a voxel's longest side [mm].

    A smaller sphere is a disc, over which a harmonic field has another mean.
    """
    return max(radius_mm, float(grid.spacing_mm.max()))


def require_order(radius_min_mm: float, radius_max_mm: float, where: str) -> None:
    """Raise `ParameterError` unless 0 < smallest <= largest."""
    if not 0 < radius_min_mm <= radius_max_mm:
        raise ParameterError(
            f"smallest radius {radius_min_mm} mm, largest {radius_max_mm} mm",
            where=f"{where}.radius_min_mm",
            mend="The smallest must be above 0 and at most the largest.",
        )


def no_sphere(radius_mm: float, mask: Mask, where: str, setting: str = "radius_mm") -> UnfitError:
    """Return the error of a mask into which no sphere fits."""
    return UnfitError(
        f"no sphere of {radius_mm:g} mm fits into the mask of {int(mask.sum())} voxels",
        where=where,
        mend=f"Give a larger mask, or a smaller {setting} if voxels are smaller.",
    )


def by_one_sphere(
    field_ppm: npt.NDArray[np.floating],
    mask: npt.NDArray[np.bool_],
    grid: Grid,
    radius_mm: float,
    where: str,
    solve: Callable[[Volume, Mask, Volume, Grid], Volume],
) -> tuple[Volume, Mask]:
    """Return the local field by spheres of one radius, and the voxels around which they fit.

    `solve(high, fits, kernel, wide)` makes it of the field less its means, 0 where the
    sphere does not fit, in the box of the mask; kernel and grid `wide` are those of
    `less_spherical_means`.

    Raises
    ------
    UnfitError
        If the sphere fits nowhere.
    InputError
        If shapes disagree, the mask is empty or the field is not finite.
    """
    mask = checked_field(field_ppm, mask, grid)
    out, kept = np.zeros(grid.shape, dtype=np.float32), np.zeros(grid.shape, dtype=np.bool_)
    box = bounding_box(mask)
    near = grid.cut(box)
    radius = least_radius(radius_mm, grid)
    wide = padded_grid(near, radius)
    for _, kernel, fits, high in less_spherical_means(
        field_ppm[box], mask[box], near, wide, [radius]
    ):
        out[box], kept[box] = solve(high * fits, fits, kernel, wide), fits
    if not kept.any():
        raise no_sphere(radius, mask, where)
    return out, kept


def less_spherical_means(
    field_ppm: npt.NDArray[np.floating],
    mask: Mask,
    grid: Grid,
    wide: Grid,
    radii_mm: Sequence[float] | npt.NDArray[np.float64],
) -> Iterator[tuple[float, Volume, Mask, Volume]]:
    """Yield what each sphere leaves of a field, from the largest sphere to the smallest.

    Parameters
    ----------
    field_ppm : (I, J, K) ndarray of float
        Any field [ppm].
    mask : (I, J, K) ndarray of bool
        Where it is known.
    grid, wide : Grid
        Of the volume, and the same padded by at least the largest radius.
    radii_mm : sequence of float
        Falling [mm]. Radii that fit nowhere new are skipped.

    Yields
    ------
    radius_mm : float
    kernel : half spectrum of float32
        Of the mean over the sphere, on `wide`.
    fits : (I, J, K) ndarray of bool
        Voxels around which this sphere lies in the mask and no larger one does.
    high_ppm : (I, J, K) ndarray of float32
        The field less its mean over the sphere; meaningful in `fits` [ppm].
    """
    field = np.where(mask, field_ppm, 0).astype(np.float32)
    field_spectrum = rfft3(pad_to(field, wide.shape))
    mask_spectrum = rfft3(pad_to(mask, wide.shape))
    left = mask.copy()
    for radius in radii_mm:
        kernel = smv_kernel(wide, radius)
        part = crop_to(irfft3(mask_spectrum * kernel, wide.shape), grid.shape)
        fits = left & (part > WHOLE)
        if fits.any():
            left &= ~fits
            mean = crop_to(irfft3(field_spectrum * kernel, wide.shape), grid.shape)
            yield float(radius), kernel, fits, field - mean


def restored(local: Volume, kernel: Volume, mask: Mask, wide: Grid, threshold: float) -> Volume:
    """Return `local` divided by what a sphere left of each frequency, 0 outside `mask`.

    Parameters
    ----------
    local : (I, J, K) ndarray of float32
        A field less its spherical means [ppm].
    kernel : half spectrum of float32
        Of the mean over the sphere, on `wide`.
    mask : (I, J, K) ndarray of bool
        Where the result is kept.
    wide : Grid
        Of the volume, padded by at least the radius.
    threshold : float
        Frequencies of which less is left are not restored.
    """
    left = 1 - kernel
    inverse = np.divide(1, left, out=np.zeros_like(left), where=np.abs(left) > threshold)
    solved = irfft3(rfft3(pad_to(local, wide.shape)) * inverse, wide.shape)
    return crop_to(solved, mask.shape) * mask
