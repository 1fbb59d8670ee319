"""PDF: the part of the field that sources outside the mask can make."""

import logging
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.core.checks import checked_weights, require_between, require_finite
from petechia.core.compiled import compiled
from petechia.core.fourier import convolved, crop_to, pad_to, padded_grid
from petechia.core.grid import Grid
from petechia.core.kernels import dipole_kernel
from petechia.core.morphology import bounding_box
from petechia.phase.images import Mask, Volume, checked_mask

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PdfParams:
    """Settings of `pdf`.

    Attributes
    ----------
    iterations : int
        Stop after so many steps of conjugate gradients at the latest.
    tolerance : float
        Stop once the residual gradient is below this fraction of the first one.
    pad_mm : float
        Room for sources between the mask and its periodic copy [mm].
    """

    iterations: int = 40
    tolerance: float = 0.001
    pad_mm: float = 20.0

    def __post_init__(self) -> None:
        require_between(self.iterations, 1, 10_000, "PdfParams.iterations", "20 to 60 is usual.")
        require_between(self.tolerance, 0.0, 0.9, "PdfParams.tolerance", "0.001 is usual.")
        require_between(self.pad_mm, 0.0, 500.0, "PdfParams.pad_mm", "Give millimetres, e.g. 20.")


def pdf(
    field_ppm: npt.NDArray[np.floating],
    weights: npt.NDArray[np.floating] | None,
    mask: npt.NDArray[np.bool_],
    grid: Grid,
    params: PdfParams | None = None,
) -> tuple[Volume, Mask]:
    r"""Remove the field of sources outside the mask by projection onto dipole fields.

    .. math:: f_\mathrm{local} = f - d * \chi_o, \qquad
        \chi_o = \arg\min_{\chi \text{ outside the mask}} \| W (f - d * \chi) \|_2

    The magnetostatic field of a source inside is nearly orthogonal to those of all sources
    outside, so it stays. What a far-off source makes (a harmonic polynomial up to second
    order) is taken off first: no source within the padding could make it.

    Parameters
    ----------
    field_ppm : (I, J, K) ndarray of float
        Total field [ppm].
    weights : (I, J, K) ndarray of float, or None
        Trust in each voxel, not negative, any scale (inverse noise, magnitude). None trusts
        all of `mask`.
    mask : (I, J, K) ndarray of bool
        Where the field is known.
    grid : Grid
        Any spacing; its affine gives the direction of the main field.
    params : PdfParams, optional

    Returns
    -------
    local_field_ppm : (I, J, K) ndarray of float32
        0 outside the mask [ppm].
    mask : (I, J, K) ndarray of bool
        The mask as given: the edge is kept, where the result is least certain.

    Raises
    ------
    InputError
        If shapes disagree, the mask is empty, or field or weights are not finite.

    Notes
    -----
    Least squares by conjugate gradients, two round trips of real transforms a step, in the
    box of the mask and its padding.

    References
    ----------
    .. [1] Liu, Khalidov, de Rochefort et al. (2011), NMR Biomed. 24, 1129-1136,
       doi:10.1002/nbm.1670.
    """
    params = params or PdfParams()
    grid.require(field_ppm, "field_ppm")
    require_finite(field_ppm, "field_ppm")
    mask = checked_mask(mask, grid)
    out = np.zeros(grid.shape, dtype=np.float32)
    box = bounding_box(mask)
    inside, near = mask[box], grid.cut(box)
    weight = checked_weights(weights, mask, grid)[box]
    field = np.where(inside, field_ppm[box], 0).astype(np.float32)
    field = without_far_sources(field, inside, near)
    size = float(np.sqrt(np.mean(np.square(field[inside]), dtype=np.float64)))
    if size > 0:
        wide = padded_grid(near, params.pad_mm)
        field /= np.float32(size)
        outside = _field_of_outside(
            pad_to(field, wide.shape),
            pad_to(weight, wide.shape),
            pad_to(inside, wide.shape) == 0,
            wide,
            params,
        )
        out[box] = np.float32(size) * (field - crop_to(outside, near.shape)) * inside
    return out, mask


def without_far_sources(field: Volume, mask: Mask, grid: Grid) -> Volume:
    """Return `field` less the harmonic polynomial of second order that fits it best.

    Eight terms: x, y, z, xy, xz, yz, x2 - y2, 2 z2 - x2 - y2, and a constant.
    """
    index = np.argwhere(mask)
    place = grid.to_mm(index)
    place -= place.mean(axis=0)
    x, y, z = (place / max(float(np.abs(place).max()), 1e-6)).T
    terms = np.stack(
        [np.ones_like(x), x, y, z, x * y, x * z, y * z, x * x - y * y, 2 * z * z - x * x - y * y],
        axis=1,
    )
    normal = terms.T @ terms
    normal += 1e-9 * np.trace(normal) * np.eye(len(normal))  # flat masks lack some terms
    values = field[mask].astype(np.float64)
    left = values - terms @ np.linalg.solve(normal, terms.T @ values)
    out = np.zeros_like(field)
    out[mask] = left
    return out


def _field_of_outside(
    field: Volume, weight: Volume, allowed: Mask, grid: Grid, params: PdfParams
) -> Volume:
    """Return the field of the outside sources, by conjugate gradients on the normal equations."""
    kernel = dipole_kernel(grid)

    made = np.zeros_like(field)
    residual = weight * weight * field
    gradient = convolved(residual, kernel)
    gradient *= allowed
    first = size = float(np.vdot(gradient, gradient))
    step = gradient.copy()
    n = 0
    while n < params.iterations and size > params.tolerance**2 * first:
        n += 1
        change = convolved(step, kernel)
        length = size / max(_weighted_norm(weight, change), 1e-30)
        _advance(made, residual, weight, change, np.float32(length))
        gradient = convolved(residual, kernel)
        gradient *= allowed
        before, size = size, float(np.vdot(gradient, gradient))
        step *= np.float32(size / before)
        step += gradient
    log.info("PDF: %d steps, gradient %.2g of the first", n, np.sqrt(size / max(first, 1e-30)))
    return made


@compiled(fastmath=True)
def _weighted_norm(weight, change):  # type: ignore[no-untyped-def]
    """Return the squared norm of weight x change."""
    n0, n1, n2 = weight.shape
    total = np.float64(0)
    for i in range(n0):
        for j in range(n1):
            row = np.float32(0)
            for k in range(n2):
                w = weight[i, j, k] * change[i, j, k]
                row += w * w
            total += row
    return total


@compiled(fastmath=True)
def _advance(made, residual, weight, change, length):  # type: ignore[no-untyped-def]
    """Step field and weighted residual along a direction."""
    n0, n1, n2 = weight.shape
    for i in range(n0):
        for j in range(n1):
            for k in range(n2):
                moved = length * change[i, j, k]
                w = weight[i, j, k]
                made[i, j, k] += moved
                residual[i, j, k] -= w * w * moved
