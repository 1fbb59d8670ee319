"""iLSQR: least squares, and the streaks of it estimated and taken off."""

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
from petechia.qsm.inversion.admm import Problem, Volume, problem_of
from petechia.qsm.inversion.closed_form import twice
from petechia.qsm.inversion.gradients import laplacian_spectrum
from petechia.qsm.inversion.least_squares import least_squares

log = logging.getLogger(__name__)
Spectrum = npt.NDArray[np.complex64]
MISTRUST = 0.5
"""Least trust, relative, in a voxel for its Laplacian."""
QUICK = 0.015
"""Weight of the squared gradient in the quick map that tells edges [mm^2], as in `l2`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IlsqrParams:
    """Settings of `ilsqr`.

    Attributes
    ----------
    threshold : float
        Streaks lie where the kernel's absolute value is below it.
    first_steps : int
        Steps of the least squares at the latest.
    streak_steps : int
        Steps that estimate the streaks at the latest.
    tolerance : float
        Either stops once its gradient is below this fraction of the first one.
    pad_mm : float
        Zeros between the mask and its periodic copy [mm].
    """

    threshold: float = 0.1
    first_steps: int = 30
    streak_steps: int = 60
    tolerance: float = 0.01
    pad_mm: float = 20.0

    def __post_init__(self) -> None:
        where, pad = "IlsqrParams", "Give millimetres, e.g. 20."
        require_between(self.threshold, 1e-3, 0.6, f"{where}.threshold", "0.1 is usual.")
        require_between(self.first_steps, 1, 10_000, f"{where}.first_steps", "20 to 50.")
        require_between(self.streak_steps, 1, 10_000, f"{where}.streak_steps", "30 to 100.")
        require_between(self.tolerance, 0.0, 0.9, f"{where}.tolerance", "0.01 is usual.")
        require_between(self.pad_mm, 0.0, 500.0, f"{where}.pad_mm", pad)


def ilsqr(
    field_ppm: npt.NDArray[np.floating],
    weights: npt.NDArray[np.floating] | None,
    mask: Mask,
    grid: Grid,
    params: IlsqrParams = IlsqrParams(),
) -> Volume:
    r"""Invert the local field, then take off the streaks that least squares leave.

    With :math:`\chi_0` the least-squares map and C the frequencies near the kernel's zeros,
    the streaks are what C holds and smooth places do not bear:

    .. math:: \min_{\chi_s \in C} \sum_a \| W_a \partial_a (\chi_0 - \chi_s) \|_2^2

    where W_a is 0 at edges along the axis a, told by a quick map. The result is
    :math:`\chi_0 - \chi_s`.

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
    params : IlsqrParams
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
    The first step trusts voxels less where the field's Laplacian is among the largest, as
    published, but never below a half: with a tenth the least squares ended before strong
    sources had come. The quick map is that of `l2`. Two round trips of transforms a step of least
    squares, one for the streaks, whose unknowns are in k-space.

    References
    ----------
    .. [1] Li, Wang, Yu et al. (2015), NeuroImage 108, 111-122,
       doi:10.1016/j.neuroimage.2014.12.043.
    """
    problem = problem_of(field_ppm, weights, mask, grid, params.pad_mm)
    if problem is None:
        return np.zeros(grid.shape, dtype=np.float32)
    flat = _flatness(problem)
    _distrust_sources(problem)
    begun = least_squares(problem, params.first_steps, params.tolerance)
    first = np.asarray(rfft3(begun), dtype=np.complex64)
    _take_off_streaks(first, flat, problem, params)
    return problem.whole(np.asarray(irfft3(first, problem.grid.shape), dtype=np.float32), mask)


def _falling(values: Volume, inside: Mask, low: float, high: float) -> Volume:
    """Return 1 below the lower percentile inside, 0 above the higher one, a line between."""
    begin, end = np.percentile(values[inside], (low, high))
    width = max(float(end - begin), 1e-12 * max(float(end), 1e-30))
    return np.asarray(np.clip((end - values) / width, 0, 1), dtype=np.float32)


def _distrust_sources(problem: Problem) -> None:
    """Lower the weight where the Laplacian of the field is among the largest."""
    spectrum = rfft3(problem.field)
    spectrum *= laplacian_spectrum(problem.grid)
    curved = np.abs(irfft3(spectrum, problem.grid.shape)).astype(np.float32)
    trusted = np.maximum(_falling(curved, problem.inside, 60, 99.9), np.float32(MISTRUST))
    problem.weight_squared[...] *= trusted * trusted


def _flatness(problem: Problem) -> npt.NDArray[np.float32]:
    """Return the squared weights W of the differences to the next voxel, (3, I, J, K)."""
    kernel = dipole_kernel(problem.grid)
    below = laplacian_spectrum(problem.grid)
    below *= np.float32(QUICK)
    below += kernel * kernel
    below[0, 0, 0] = np.inf
    spectrum = rfft3(problem.field)
    spectrum *= kernel / below
    quick = np.asarray(irfft3(spectrum, problem.grid.shape), dtype=np.float32)
    flat = np.empty((3, *quick.shape), dtype=np.float32)
    for axis in range(3):
        step = np.abs(np.roll(quick, -1, axis) - quick)
        both = problem.inside & np.roll(problem.inside, -1, axis)
        # outside the mask there is no tissue to have edges, and the map is cut off there
        flat[axis] = np.float32(0.01)
        if both.any():
            flat[axis][both] = np.square(_falling(step, both, 50, 70))[both]
    return flat


def _take_off_streaks(
    first: Spectrum, flat: npt.NDArray[np.float32], problem: Problem, params: IlsqrParams
) -> None:
    """Take the streaks off a map's spectrum in place: conjugate gradients inside the cone."""
    shape = problem.grid.shape
    cone = np.abs(dipole_kernel(problem.grid)) < params.threshold
    cone[0, 0, 0] = False
    planes = (twice(shape[2]) / problem.grid.size).astype(np.float32)
    per = (1 / problem.grid.spacing_mm**2).astype(np.float32)
    bent = np.empty(shape, dtype=np.float32)

    def normal(spectrum: Spectrum) -> Spectrum:
        """Apply the weighted differences and their adjoint, seen inside the cone."""
        _bend(irfft3(spectrum.copy(), shape), flat, per, bent)
        out = np.asarray(rfft3(bent), dtype=np.complex64)
        out *= cone
        return out

    # what is minimised is the roughness of `first` itself, of which only the cone may move
    gradient = normal(first)
    step = gradient.copy()
    begin = now = _squared_norm(gradient, planes)
    n = 0
    while n < params.streak_steps and now > params.tolerance**2 * begin:
        n += 1
        change = normal(step)
        length = np.float32(now / max(_product(step, change, planes), 1e-30))
        before = now
        now = _step(first, gradient, step, change, length, planes)
        _turn(step, gradient, np.float32(now / before))
    log.info("streaks: %d steps, gradient %.2g", n, np.sqrt(now / max(begin, 1e-30)))


@compiled(fastmath=True)
def _bend(u, flat, per, out):  # type: ignore[no-untyped-def]
    """Write the sum over axes of adjoint difference x weight x difference, periodic."""
    n0, n1, n2 = u.shape
    p0, p1, p2 = per[0], per[1], per[2]
    for i in range(n0):
        i_up = i + 1 if i + 1 < n0 else 0
        for j in range(n1):
            j_up = j + 1 if j + 1 < n1 else 0
            for k in range(n2):
                k_up = k + 1 if k + 1 < n2 else 0
                c = u[i, j, k]
                out[i, j, k] = (
                    p0
                    * (
                        flat[0, i, j, k] * (c - u[i_up, j, k])
                        + flat[0, i - 1, j, k] * (c - u[i - 1, j, k])
                    )
                    + p1
                    * (
                        flat[1, i, j, k] * (c - u[i, j_up, k])
                        + flat[1, i, j - 1, k] * (c - u[i, j - 1, k])
                    )
                    + p2
                    * (
                        flat[2, i, j, k] * (c - u[i, j, k_up])
                        + flat[2, i, j, k - 1] * (c - u[i, j, k - 1])
                    )
                )


@compiled(fastmath=True)
def _squared_norm(spectrum, planes):  # type: ignore[no-untyped-def]
    """Return the squared norm in space of a half spectrum; `planes` counts each plane."""
    n0, n1, n2 = spectrum.shape
    total = np.float64(0)
    for i in range(n0):
        for j in range(n1):
            row = np.float32(0)
            for k in range(n2):
                s = spectrum[i, j, k]
                row += planes[k] * (s.real * s.real + s.imag * s.imag)
            total += row
    return total


@compiled(fastmath=True)
def _product(a, b, planes):  # type: ignore[no-untyped-def]
    """Return the inner product in space of two half spectra."""
    n0, n1, n2 = a.shape
    total = np.float64(0)
    for i in range(n0):
        for j in range(n1):
            row = np.float32(0)
            for k in range(n2):
                x, y = a[i, j, k], b[i, j, k]
                row += planes[k] * (x.real * y.real + x.imag * y.imag)
            total += row
    return total


@compiled(fastmath=True)
def _step(found, gradient, step, change, length, planes):  # type: ignore[no-untyped-def]
    """Step down and return the new gradient's squared norm."""
    n0, n1, n2 = found.shape
    total = np.float64(0)
    for i in range(n0):
        for j in range(n1):
            row = np.float32(0)
            for k in range(n2):
                found[i, j, k] -= length * step[i, j, k]
                g = gradient[i, j, k] - length * change[i, j, k]
                gradient[i, j, k] = g
                row += planes[k] * (g.real * g.real + g.imag * g.imag)
            total += row
    return total


@compiled(fastmath=True)
def _turn(step, gradient, keep):  # type: ignore[no-untyped-def]
    n0, n1, n2 = step.shape
    for i in range(n0):
        for j in range(n1):
            for k in range(n2):
                step[i, j, k] = gradient[i, j, k] + keep * step[i, j, k]
