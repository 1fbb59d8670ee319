"""Rapid two-step inversion: least squares, then what it cannot tell by total variation."""

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
from petechia.qsm.inversion.least_squares import least_squares

log = logging.getLogger(__name__)
Spectrum = npt.NDArray[np.complex64]


@dataclass(frozen=True, slots=True, kw_only=True)
class RtsParams:
    """Settings of `rts`.

    Attributes
    ----------
    threshold : float
        Frequencies where the kernel's absolute value is above it are told by least squares,
        the others by total variation.
    first_steps : int
        Steps of the least squares.
    strength, tolerance, iterations, pad_mm, outside
        Of the second step, as in `AdmmParams`.
    """

    threshold: float = 0.1
    first_steps: int = 12
    strength: float = 0.03
    tolerance: float = 0.01
    iterations: int = 25
    pad_mm: float = 20.0
    outside: float = 0.1

    def __post_init__(self) -> None:
        require_between(self.threshold, 1e-3, 0.6, "RtsParams.threshold", "0.1 to 0.2 is usual.")
        require_between(self.first_steps, 1, 1000, "RtsParams.first_steps", "10 to 20 is usual.")
        self.variation()

    def variation(self) -> AdmmParams:
        """Return the settings of the second step in the words of `AdmmParams`."""
        return AdmmParams(
            strength=self.strength,
            tolerance=self.tolerance,
            iterations=self.iterations,
            pad_mm=self.pad_mm,
            outside=self.outside,
        )


def rts(
    field_ppm: npt.NDArray[np.floating],
    weights: npt.NDArray[np.floating] | None,
    mask: Mask,
    grid: Grid,
    params: RtsParams = RtsParams(),
) -> Volume:
    r"""Invert the local field where that is well posed, and fill in the rest.

    A few steps of weighted least squares give :math:`\chi_1`, right where the kernel D is
    large. Then

    .. math::
        \min_\chi \tfrac12 \| [|D| > t] (\hat\chi - \hat\chi_1) \|_2^2
        + \lambda \sum_r |\nabla \chi(r)|_2

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
    params : RtsParams
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
    Two round trips of transforms a step of the first half, one of the second, whose data are in
    k-space. The paper takes fewer steps, without weights; with weights, voids of strong sources
    come later, and after 6 steps a third of a bleed's moment was missing.

    References
    ----------
    .. [1] Kames, Wiggermann & Rauscher (2018), NeuroImage 167, 276-283,
       doi:10.1016/j.neuroimage.2017.11.018.
    """
    problem = problem_of(field_ppm, weights, mask, grid, params.pad_mm)
    if problem is None:
        return np.zeros(grid.shape, dtype=np.float32)
    first = np.asarray(rfft3(least_squares(problem, params.first_steps, 0.0)), dtype=np.complex64)
    known = np.abs(dipole_kernel(problem.grid)) > params.threshold
    first *= known
    return problem.whole(_filled(problem, params.variation(), first, known), mask)


def _filled(problem: Problem, params: AdmmParams, first: Spectrum, known: Mask) -> Volume:
    """Return the map of least variation whose spectrum is near `first` where `known`."""
    grid = problem.grid
    voxel_mm = grid.voxel_mm3 ** (1 / 3)
    mu = np.float32(params.strength * problem.noise * params.gradient_penalty * voxel_mm**2)
    limits, row = limits_of(problem, params, None)
    below = laplacian_spectrum(grid)
    below *= mu
    below += known
    below[0, 0, 0] = np.inf  # the mean makes no field: left at 0
    inverse = np.asarray(1 / below, dtype=np.float32)
    del below, known
    per_mm = tuple(np.float32(1 / d) for d in grid.spacing_mm)
    chi = np.zeros(grid.shape, dtype=np.float32)
    split = np.zeros((3, *grid.shape), dtype=np.float32)
    reflection = np.full(grid.shape, -1, dtype=np.float32)
    asked = np.zeros(grid.shape, dtype=np.float32)
    change, size, n = np.inf, 1.0, 0
    while n < params.iterations and change > params.tolerance**2 * size:
        n += 1
        spectrum = rfft3(asked)
        _solve(spectrum, first, inverse, mu)
        before, chi = chi, np.asarray(irfft3(spectrum, grid.shape), dtype=np.float32)
        change, size = shrink_gradient(chi, before, split, reflection, limits, row, *per_mm)
        gradient_adjoint(split, reflection, asked, *per_mm)
    log.info("RTS: %d iterations, last change %.2g", n, np.sqrt(change / max(size, 1e-30)))
    return chi


@compiled(fastmath=True)
def _solve(spectrum, first, inverse, mu):  # type: ignore[no-untyped-def]
    """Overwrite the spectrum of what the gradient asks with that of the new map."""
    n0, n1, n2 = inverse.shape
    for i in range(n0):
        for j in range(n1):
            for k in range(n2):
                both = mu * spectrum[i, j, k] + first[i, j, k]
                spectrum[i, j, k] = inverse[i, j, k] * both
