"""Total-variation inversion by the alternating direction method of multipliers."""

import logging
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_between, require_finite
from petechia.core.compiled import compiled
from petechia.core.fourier import irfft3, pad_to, padded_grid, rfft3
from petechia.core.grid import Grid
from petechia.core.kernels import dipole_kernel
from petechia.core.morphology import Mask
from petechia.qsm.inversion.gradients import gradient_adjoint, laplacian_spectrum, shrink_gradient

log = logging.getLogger(__name__)
Volume = npt.NDArray[np.float32]
NOISE_FLOOR = 0.1
"""Least noise assumed, as a fraction of the field's rms: keeps noise-free fields regular."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TvParams:
    """Settings of `tv`.

    Attributes
    ----------
    strength : float
        Weight of the total variation, in units of the field's own noise times the voxel
        size: one value serves every protocol, and the map scales with the field.
    gradient_penalty : float
        ADMM penalty of the gradient's splitting, in units of the regularisation weight.
        Changes the speed, not the solution.
    field_penalty : float
        ADMM penalty of the field's splitting, in units of the mean squared data weight.
        Changes the speed, not the solution.
    tolerance : float
        Stop once the map changes by less than this fraction of its norm.
    iterations : int
        Stop after this many at the latest.
    pad_mm : float
        Zeros between the mask and its periodic copy [mm].
    """

    strength: float = 0.1
    gradient_penalty: float = 1.0
    field_penalty: float = 0.3
    tolerance: float = 0.01
    iterations: int = 40
    pad_mm: float = 20.0

    def __post_init__(self) -> None:
        speed = "It changes the speed only: leave it at its default."
        fraction = "Give a fraction below 0.5, e.g. 0.01; 0 runs all iterations."
        regular = "Larger is smoother: 0.03 to 0.3 is usual."
        require_between(self.strength, 1e-6, 1e3, "TvParams.strength", regular)
        require_between(self.gradient_penalty, 1e-3, 1e3, "TvParams.gradient_penalty", speed)
        require_between(self.field_penalty, 1e-3, 1e3, "TvParams.field_penalty", speed)
        require_between(self.tolerance, 0.0, 0.5, "TvParams.tolerance", fraction)
        require_between(self.iterations, 1, 10_000, "TvParams.iterations", "Give 20 to 100.")
        require_between(self.pad_mm, 0.0, 500.0, "TvParams.pad_mm", "Give millimetres, e.g. 20.")


def tv(
    field_ppm: npt.NDArray[np.floating],
    weights: npt.NDArray[np.floating] | None,
    mask: Mask,
    grid: Grid,
    params: TvParams = TvParams(),
) -> Volume:
    r"""Invert the local field with edges kept and streaks suppressed.

    .. math::
        \min_\chi \tfrac12 \| W (d * \chi - f) \|_2^2
        + \lambda \sum_r |\nabla \chi(r)|_2

    with :math:`\lambda` = `strength` x voxel size x noise, the noise being read from the
    field itself (`field_noise`).

    Parameters
    ----------
    field_ppm : (I, J, K) ndarray of float
        Local field, background removed [ppm].
    weights : (I, J, K) ndarray of float, or None
        Trust in each voxel's field, not negative, any scale (inverse noise, magnitude);
        0 leaves a voxel out, such as the void of a lesion. None trusts all of `mask`.
    mask : (I, J, K) ndarray of bool
        Where `field_ppm` is valid.
    grid : Grid
        Geometry; its affine gives the direction of the main field.
    params : TvParams
        Settings.

    Returns
    -------
    chi_ppm : (I, J, K) ndarray of float32
        Susceptibility [ppm], not yet referenced; 0 outside `mask`.

    Raises
    ------
    GridMismatchError
        If an array is not on `grid`.
    InputError
        If the field or the weights are not finite, or a weight is negative.

    Notes
    -----
    The weighted data term has a splitting of its own, so that each step has a closed form:
    four real transforms an iteration. About 14 single-precision volumes of the padded
    bounding box of `mask` are held at once. Sources just outside `mask` are allowed and
    then cut off.

    References
    ----------
    .. [1] Bilgic, Fan, Polimeni et al. (2014), Magn. Reson. Med. 72, 1444-1459,
       doi:10.1002/mrm.25029.
    .. [2] Milovic, Bilgic, Zhao et al. (2018), Magn. Reson. Med. 80, 814-821,
       doi:10.1002/mrm.27073.
    """
    grid.require(field_ppm, "field_ppm")
    grid.require(mask, "mask")
    require_finite(field_ppm, "field_ppm")
    out = np.zeros(grid.shape, dtype=np.float32)
    if not mask.any():
        return out
    box = bounding_box(mask)
    weight = _weights(weights, mask, grid)[box]
    field = np.where(weight > 0, field_ppm[box], 0).astype(np.float32)
    rms = float(np.sqrt(np.mean(np.square(field[mask[box]] * weight[mask[box]]), dtype=float)))
    if rms == 0:
        return out
    i, j, k = field.shape
    wide = padded_grid(Grid((i, j, k), grid.affine), params.pad_mm)
    field /= np.float32(rms)
    noise = max(field_noise(field * weight, weight > 0), NOISE_FLOOR)
    chi = _admm(
        pad_to(field, wide.shape),
        pad_to(weight * weight, wide.shape),
        wide,
        params,
        strength=params.strength * noise,
    )
    out[box] = np.float32(rms) * chi[:i, :j, :k] * mask[box]
    return out


def bounding_box(mask: Mask) -> tuple[slice, slice, slice]:
    """Return the slices of the smallest box around the voxels of `mask`."""
    ends = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        inside = np.flatnonzero(mask.any(axis=others))
        ends.append(slice(int(inside[0]), int(inside[-1]) + 1))
    return ends[0], ends[1], ends[2]


def field_noise(field: npt.NDArray[np.floating], valid: Mask) -> float:
    """Return a robust standard deviation of the voxel-wise noise in `field`.

    The median of the differences over all three axes at once (the finest diagonal
    wavelet), which a field that is smooth over most of the mask leaves to the noise.
    0 where no 2 x 2 x 2 block is valid.
    """
    detail, inside = np.asarray(field, dtype=np.float32), np.asarray(valid, dtype=bool)
    for axis in range(3):
        if detail.shape[axis] < 2:
            return 0.0
        first = tuple(slice(None, -1) if axis == a else slice(None) for a in range(3))
        second = tuple(slice(1, None) if axis == a else slice(None) for a in range(3))
        detail, inside = detail[second] - detail[first], inside[second] & inside[first]
    if not inside.any():
        return 0.0
    return float(np.median(np.abs(detail[inside])) / (0.6745 * np.sqrt(8)))


def _weights(weights: npt.NDArray[np.floating] | None, mask: Mask, grid: Grid) -> Volume:
    """Return weights that are 0 outside the mask and of mean square 1 inside."""
    if weights is None:
        return mask.astype(np.float32)
    grid.require(weights, "weights")
    require_finite(weights, "weights")
    require_between(float(weights.min()), 0.0, np.inf, "weights", "Clip the weights at 0.")
    inside = np.asarray(weights, dtype=np.float64)[mask]
    scale = np.sqrt(np.mean(inside * inside)) or 1.0
    return np.asarray(np.where(mask, weights / scale, 0), dtype=np.float32)


def _admm(
    field: Volume, weight_squared: Volume, grid: Grid, params: TvParams, *, strength: float
) -> Volume:
    """Return the minimiser for a field of rms 1 on a padded grid.

    `strength` is in voxels. The scaled multipliers are not stored: they follow from what
    each splitting was last given (`split`, `data`).
    """
    voxel_mm = grid.voxel_mm3 ** (1 / 3)
    threshold = np.float32(1 / (params.gradient_penalty * voxel_mm))
    mu = np.float32(strength * params.gradient_penalty * voxel_mm**2)
    nu = np.float32(params.field_penalty)
    kernel = dipole_kernel(grid)
    inverse = _inverse_of_normal(kernel, grid, mu, nu)
    per_mm = tuple(np.float32(1 / d) for d in grid.spacing_mm)

    chi, divergence, data, source = (np.zeros(grid.shape, dtype=np.float32) for _ in range(4))
    split = np.zeros((3, *grid.shape), dtype=np.float32)
    reflection = np.full(grid.shape, -1, dtype=np.float32)
    _reflect_field(data.copy(), field, weight_squared, nu, data, source)
    iteration, change, size = 0, np.inf, 1.0
    while iteration < params.iterations:
        iteration += 1
        from_gradient, from_field = rfft3(divergence), rfft3(source)
        _solve(from_gradient, from_field, kernel, inverse, mu, nu)
        predicted = irfft3(from_field, grid.shape)
        previous, chi = chi, np.asarray(irfft3(from_gradient, grid.shape), dtype=np.float32)
        change, size = shrink_gradient(chi, previous, split, reflection, threshold, *per_mm)
        if change <= params.tolerance**2 * size:
            break
        _reflect_field(predicted, field, weight_squared, nu, data, source)
        gradient_adjoint(split, reflection, divergence, *per_mm)
    ended = float(np.sqrt(change / max(size, 1e-30)))
    log.info("total variation: %d iterations, last change %.2g", iteration, ended)
    return chi


def _inverse_of_normal(kernel: Volume, grid: Grid, mu: np.float32, nu: np.float32) -> Volume:
    """Return 1 / (mu grad^H grad + nu D^2) on the half spectrum, 0 at the mean."""
    normal = laplacian_spectrum(grid)
    normal *= mu
    normal += nu * kernel * kernel
    normal[0, 0, 0] = np.inf  # the mean makes no field: left at 0
    return np.asarray(np.float32(1) / normal, dtype=np.float32)


@compiled(fastmath=True)
def _solve(from_gradient, from_field, kernel, inverse, mu, nu):  # type: ignore[no-untyped-def]
    """Overwrite both spectra: with the new map, and with the field it makes."""
    n0, n1, n2 = kernel.shape
    for i in range(n0):
        for j in range(n1):
            for k in range(n2):
                d = kernel[i, j, k]
                map_ = inverse[i, j, k] * (
                    mu * from_gradient[i, j, k] + nu * d * from_field[i, j, k]
                )
                from_gradient[i, j, k] = map_
                from_field[i, j, k] = d * map_


@compiled(fastmath=True)
def _reflect_field(predicted, field, weight_squared, nu, data, source):  # type: ignore[no-untyped-def]
    """Step the field's splitting: `data` what it was given, `source` what it hands on."""
    n0, n1, n2 = field.shape
    for i in range(n0):
        for j in range(n1):
            for k in range(n2):
                w = weight_squared[i, j, k]
                given = predicted[i, j, k] + data[i, j, k]
                z = (w * field[i, j, k] + nu * given) / (w + nu)
                data[i, j, k] = given - z
                source[i, j, k] = z - data[i, j, k]
