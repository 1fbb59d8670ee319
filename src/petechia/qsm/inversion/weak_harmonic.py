"""WH-QSM: the local field inverted together with the background that is still in it."""

import logging
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_between
from petechia.core.compiled import compiled
from petechia.core.fourier import irfft3, rfft3
from petechia.core.grid import Grid
from petechia.core.kernels import dipole_kernel
from petechia.core.morphology import Mask
from petechia.qsm.inversion.admm import AdmmParams, Problem, Volume, limits_of, problem_of
from petechia.qsm.inversion.gradients import gradient_adjoint, laplacian_spectrum, shrink_gradient
from petechia.qsm.inversion.tv import squared_step

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class WeakHarmonicParams(AdmmParams):
    """Settings of `weak_harmonic`: those of `AdmmParams`, and the following.

    Attributes
    ----------
    harmonic : float
        Weight of the background's squared Laplacian in the mask, in units of the squared
        data weight and the voxel size. Larger lets less of the field pass for background.
    """

    harmonic: float = 100.0

    def __post_init__(self) -> None:
        # not super(): a dataclass with slots is a new class, which the name in it is not
        AdmmParams.__post_init__(self)
        usual = "30 to 1000 is usual."
        require_between(self.harmonic, 1e-2, 1e6, "WeakHarmonicParams.harmonic", usual)


def weak_harmonic(
    field_ppm: npt.NDArray[np.floating],
    weights: npt.NDArray[np.floating] | None,
    mask: Mask,
    grid: Grid,
    params: WeakHarmonicParams = WeakHarmonicParams(),
) -> Volume:
    r"""Invert the local field less a nearly harmonic one, both found at once.

    .. math::
        \min_{\chi, b} \tfrac12 \| W (d * \chi + b - f) \|_2^2
        + \tfrac{\beta}{2} \| M \nabla^2 b \|_2^2 + \lambda \sum_r |\nabla \chi(r)|_2

    What a background removal has left is harmonic in the mask M and goes into b.

    Parameters
    ----------
    field_ppm : (I, J, K) ndarray of float
        Local field, background removed [ppm].
    weights : (I, J, K) ndarray of float, or None
        Trust in each voxel's field, not negative, any scale; 0 leaves a voxel out. None
        trusts all of `mask`.
    mask : (I, J, K) ndarray of bool
        Where `field_ppm` is valid.
    grid : Grid
        Geometry; its affine gives the direction of the main field.
    params : WeakHarmonicParams
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
    Three round trips of transforms an iteration. Map and background are found together for
    each frequency: a 2 x 2 system. The misfit is that of `tv`, not on the circle.

    References
    ----------
    .. [1] Milovic, Bilgic, Zhao et al. (2019), Magn. Reson. Med. 81, 1399-1411,
       doi:10.1002/mrm.27483.
    """
    problem = problem_of(field_ppm, weights, mask, grid, params.pad_mm)
    if problem is None:
        return np.zeros(grid.shape, dtype=np.float32)
    return problem.whole(_solved(problem, params), mask)


def _solved(problem: Problem, params: WeakHarmonicParams) -> Volume:
    """Return the map, on the problem's grid and in its units."""
    grid = problem.grid
    shape = grid.shape
    voxel_mm = grid.voxel_mm3 ** (1 / 3)
    nu = np.float32(params.field_penalty)
    mu = np.float32(params.strength * problem.noise * params.gradient_penalty * voxel_mm**2)
    kappa = np.float32(0.1 * params.harmonic * voxel_mm**4)
    yields = np.float32(1 / (1 + 10))  # kappa / (kappa + beta)
    limits, row = limits_of(problem, params, None)
    per_mm = tuple(np.float32(1 / d) for d in grid.spacing_mm)
    kernel, lap = dipole_kernel(grid), laplacian_spectrum(grid)
    chi, data, curved = (np.zeros(shape, dtype=np.float32) for _ in range(3))
    split = np.zeros((3, *shape), dtype=np.float32)
    reflection = np.full(shape, -1, dtype=np.float32)
    asked, of_curve, of_field = (np.zeros(shape, dtype=np.float32) for _ in range(3))
    squared_step(problem, of_field, data, of_field, nu)
    change, size, n = np.inf, 1.0, 0
    while True:
        n += 1
        map_, harmonic, field = rfft3(asked), rfft3(of_curve), rfft3(of_field)
        _solve(map_, harmonic, field, kernel, lap, mu, nu, kappa)
        before, chi = chi, np.asarray(irfft3(map_, shape), dtype=np.float32)
        change, size = shrink_gradient(chi, before, split, reflection, limits, row, *per_mm)
        if n == params.iterations or change <= params.tolerance**2 * size:
            break
        gradient_adjoint(split, reflection, asked, *per_mm)
        of_field = np.asarray(irfft3(field, shape), dtype=np.float32)
        squared_step(problem, of_field, data, of_field, nu)
        of_curve = np.asarray(irfft3(harmonic, shape), dtype=np.float32)
        _straighten(of_curve, curved, problem.inside, yields)
    log.info("WH-QSM: %d iterations, last change %.2g", n, np.sqrt(change / max(size, 1e-30)))
    return chi


@compiled(fastmath=True)
def _solve(map_, harmonic, field, kernel, lap, mu, nu, kappa):  # type: ignore[no-untyped-def]
    """Overwrite what is asked with the spectra of map, background's Laplacian, and field."""
    n0, n1, n2 = kernel.shape
    for i in range(n0):
        for j in range(n1):
            for k in range(n2):
                d, length = kernel[i, j, k], lap[i, j, k]
                f = nu * field[i, j, k]
                of_map = mu * map_[i, j, k] + d * f
                of_rest = kappa * length * harmonic[i, j, k] + f
                first = nu * d * d + mu * length
                last = nu + kappa * length * length
                below = nu * d * d * kappa * length * length + mu * length * last
                c = map_[i, j, k] * np.float32(0)
                b = of_rest / nu
                if below > 0:
                    c = (last * of_map - nu * d * of_rest) / below
                    b = (first * of_rest - nu * d * of_map) / below
                map_[i, j, k] = c
                harmonic[i, j, k] = length * b
                field[i, j, k] = d * c + b


@compiled(fastmath=True)
def _straighten(curve, kept, inside, yields):  # type: ignore[no-untyped-def]
    """Step the splitting of the background's Laplacian: small inside, free outside."""
    n0, n1, n2 = curve.shape
    for i in range(n0):
        for j in range(n1):
            for k in range(n2):
                if inside[i, j, k]:
                    given = curve[i, j, k] + kept[i, j, k]
                    y = yields * given
                    kept[i, j, k] = given - y
                    curve[i, j, k] = y - kept[i, j, k]
