"""Chi-separation: the field inverted with R2' as a witness of how much there can be."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_between
from petechia.core.compiled import compiled
from petechia.core.fourier import irfft3, rfft3
from petechia.core.grid import Grid
from petechia.core.kernels import dipole_kernel
from petechia.core.morphology import Mask
from petechia.qsm.inversion.admm import AdmmParams, Problem, problem_of
from petechia.qsm.inversion.gradients import gradient_adjoint, laplacian_spectrum, shrink_gradient
from petechia.qsm.inversion.tv import squared_step
from petechia.qsm.separation.rates import RELAXIVITY, Volume
from petechia.qsm.separation.voxelwise import sizes_from, split

BOUND_PENALTY = np.float32(0.03)
"""Penalty of the bound's splitting, over the mean squared data weight: changes the speed only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChiSeparationParams(AdmmParams):
    """Settings of `chi_separation`: those of `AdmmParams` and what R2' is worth.

    Attributes
    ----------
    relaxivity : float
        R2' of one ppm of spread sources, of either sign, at 3 T [1/s/ppm].
    bound : float
        Weight of what exceeds R2', against the field's misfit; 0: R2' only tells the sizes.
    """

    relaxivity: float = RELAXIVITY
    bound: float = 0.0

    def __post_init__(self) -> None:
        AdmmParams.__post_init__(self)
        where = "ChiSeparationParams"
        published = "137 and 114 are published."
        require_between(self.relaxivity, 1.0, 1e4, f"{where}.relaxivity", published)
        require_between(self.bound, 0.0, 1e3, f"{where}.bound", "0.1 to 1; 0: R2' is not asked.")


def chi_separation(
    field_ppm: npt.NDArray[np.floating],
    r2prime: npt.NDArray[np.floating],
    b0_t: float,
    weights: npt.NDArray[np.floating] | None,
    mask: Mask,
    grid: Grid,
    params: ChiSeparationParams = ChiSeparationParams(),
) -> tuple[Volume, Volume]:
    r"""Find both sources from the local field and R2' at once.

    .. math:: \min \tfrac12 \| W (d * (\chi_+ + \chi_-) - f) \|^2
        + \tfrac{\beta}{2} \| \chi_+ - \chi_- - R_2' / D_r \|^2
        + \lambda \sum_r |\nabla (\chi_+ + \chi_-)|_2,
        \qquad \chi_- \le 0 \le \chi_+

    The sizes of both have no other term, so that for a given sum :math:`\chi` they are
    :math:`\max(R_2' / D_r, |\chi|)`: what is left is an inversion in which the part of
    :math:`|\chi|` above :math:`R_2' / D_r` costs :math:`\beta`. Solved by the alternating
    direction method with three splittings.

    Parameters
    ----------
    field_ppm : (I, J, K) ndarray of float
        Local field [ppm].
    r2prime : (I, J, K) ndarray of float
        R2' [1/s], 0 or more.
    b0_t : float
        Main field [T].
    weights : (I, J, K) ndarray of float, or None
        Trust in the field; None trusts all of `mask`.
    mask : (I, J, K) ndarray of bool
        Where field and R2' are known.
    grid : Grid
        Geometry; its affine gives the direction of the main field.
    params : ChiSeparationParams
        Settings.

    Returns
    -------
    chi_positive_ppm, chi_negative_ppm : (I, J, K) ndarray of float32
        0 or more, and 0 or less; both 0 outside `mask` [ppm].

    Raises
    ------
    GridMismatchError
        If an array is not on `grid`.
    InputError
        If an array is not finite, or R2' is negative.

    Notes
    -----
    With `bound`, R2' limits the size of the susceptibility, which also holds streaks down. That
    is true of sources spread finely in a voxel; a vein, bleed or stone that fills its voxels
    dephases less and is pulled to nothing, and what its field then lacks goes into the tissue
    around. On a simulated head any bound made both maps of tissue worse, so that it is 0 by
    default: the field is inverted, and R2' then splits the map as in `voxelwise`. Give `weights`:
    voids and noise of the field streak into tissue. The field tells nothing of the mean: that
    of the sum over the mask is 0, as in the standard map.
    Departures from the paper: isotropic total variation of the sum in place of edges of the
    magnitude on each map, and R2' is not smoothed.

    References
    ----------
    .. [1] Shin, Lee, Yun et al. (2021), NeuroImage 240, 118371,
       doi:10.1016/j.neuroimage.2021.118371.
    """
    grid.require(mask, "mask")
    both = sizes_from(r2prime, b0_t, mask, grid, params.relaxivity)
    problem = problem_of(field_ppm, weights, mask, grid, params.pad_mm)
    if problem is None:
        return split(np.zeros(grid.shape, dtype=np.float32), both)
    limit = problem.padded(both)
    limit /= np.float32(problem.rms)
    chi = problem.whole(_solve(problem, params, limit), mask)
    chi[mask] -= np.float32(chi[mask].mean(dtype=np.float64))
    return split(chi, both)


def _solve(problem: Problem, params: ChiSeparationParams, limit: Volume) -> Volume:
    """Return the sum of both sources, on the problem's grid and in its units."""
    grid = problem.grid
    voxel_mm = grid.voxel_mm3 ** (1 / 3)
    mu = np.float32(params.strength * problem.noise * params.gradient_penalty * voxel_mm**2)
    nu, rho = np.float32(params.field_penalty), BOUND_PENALTY if params.bound else np.float32(0)
    kernel = dipole_kernel(grid)
    normal = mu * laplacian_spectrum(grid) + nu * kernel * kernel + rho
    if not params.bound:
        normal[0, 0, 0] = np.inf  # the mean makes no field: only the bound knows of it
    whole = 1 / (params.gradient_penalty * voxel_mm)
    limits = np.array([whole, params.outside * whole], dtype=np.float32)
    row = np.where(problem.inside, np.uint8(0), np.uint8(1))
    per_mm = tuple(np.float32(1 / d) for d in grid.spacing_mm)
    chi, data, excess, field = (np.zeros(grid.shape, dtype=np.float32) for _ in range(4))
    gradient = np.zeros((3, *grid.shape), dtype=np.float32)
    reflection = np.full(grid.shape, -1, dtype=np.float32)
    asked = np.zeros(grid.shape, dtype=np.float32)
    for _ in range(params.iterations):
        squared_step(problem, field, data, field, nu)
        gradient_adjoint(gradient, reflection, asked, *per_mm)
        asked *= mu
        _bound(chi, limit, problem.inside, np.float32(params.bound), rho, excess, asked)
        spectrum = rfft3(field)
        spectrum *= nu * kernel
        spectrum += rfft3(asked)
        spectrum /= normal
        before, chi = chi, np.asarray(irfft3(spectrum.copy(), grid.shape), dtype=np.float32)
        spectrum *= kernel
        field = np.asarray(irfft3(spectrum, grid.shape), dtype=np.float32)
        change, size = shrink_gradient(chi, before, gradient, reflection, limits, row, *per_mm)
        if change <= params.tolerance**2 * size:
            break
    return chi


@compiled(fastmath=True)
def _bound(chi, limit, inside, weight, rho, excess, asked):  # type: ignore[no-untyped-def]
    """Step the splitting of the bound; add what it asks of the map to `asked`."""
    n0, n1, n2 = chi.shape
    for i in range(n0):
        for j in range(n1):
            for k in range(n2):
                given = chi[i, j, k] + excess[i, j, k]
                size, most = abs(given), limit[i, j, k]
                kept = given
                if weight > 0 and inside[i, j, k] and size > most:
                    kept = given * (rho * size + weight * most) / ((rho + weight) * size)
                excess[i, j, k] = given - kept
                asked[i, j, k] += rho * (kept - excess[i, j, k])
