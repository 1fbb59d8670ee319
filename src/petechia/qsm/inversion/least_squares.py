"""Weighted least squares for the map by conjugate gradients on its spectrum."""

import logging

import numpy as np
import numpy.typing as npt

from petechia.core.compiled import compiled
from petechia.core.fourier import irfft3, rfft3
from petechia.core.kernels import dipole_kernel
from petechia.qsm.inversion.admm import Problem
from petechia.qsm.inversion.closed_form import twice

log = logging.getLogger(__name__)
Spectrum = npt.NDArray[np.complex64]


def least_squares(problem: Problem, iterations: int, tolerance: float) -> Spectrum:
    r"""Return the spectrum that a few steps towards :math:`\min \| W (d * \chi - f) \|_2` reach.

    The unknown is the spectrum itself: one round trip of transforms a step, where a map in
    space would need two. Stopping early is the regularisation: near the kernel's zeros hardly
    anything has been divided yet.

    Parameters
    ----------
    problem : Problem
    iterations : int
        Steps at the latest.
    tolerance : float
        Stop once the gradient is below this fraction of the first one.

    Returns
    -------
    spectrum : half spectrum of complex64
        Of the map, on the problem's grid and in its units.
    """
    shape = problem.grid.shape
    kernel = dipole_kernel(problem.grid)
    planes = (twice(shape[2]) / problem.grid.size).astype(np.float32)
    residual = problem.weight_squared * problem.field
    gradient = np.asarray(rfft3(residual), dtype=np.complex64)
    gradient *= kernel
    step = gradient.copy()
    found = np.zeros_like(gradient)
    first = now = squared_norm(gradient, planes)
    n = 0
    while n < iterations and now > tolerance**2 * first:
        n += 1
        change = irfft3(step * kernel, shape)
        length = np.float32(now / max(_weighted(change, problem.weight_squared), 1e-30))
        # the residual carries the squared weight: nothing is asked where there is none
        change *= problem.weight_squared
        change *= length
        residual -= change
        gradient = np.asarray(rfft3(residual), dtype=np.complex64)
        gradient *= kernel
        before, now = now, squared_norm(gradient, planes)
        _step(found, step, gradient, length, np.float32(now / before))
    log.info("least squares: %d steps, gradient %.2g", n, np.sqrt(now / max(first, 1e-30)))
    return found


@compiled(fastmath=True)
def squared_norm(spectrum, planes):  # type: ignore[no-untyped-def]
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
def _weighted(change, weight_squared):  # type: ignore[no-untyped-def]
    """Return the squared weighted norm."""
    n0, n1, n2 = change.shape
    total = np.float64(0)
    for i in range(n0):
        for j in range(n1):
            row = np.float32(0)
            for k in range(n2):
                row += weight_squared[i, j, k] * change[i, j, k] * change[i, j, k]
            total += row
    return total


@compiled(fastmath=True)
def _step(found, step, gradient, length, keep):  # type: ignore[no-untyped-def]
    """Take the step, then turn it."""
    n0, n1, n2 = found.shape
    for i in range(n0):
        for j in range(n1):
            for k in range(n2):
                found[i, j, k] += length * step[i, j, k]
                step[i, j, k] = gradient[i, j, k] + keep * step[i, j, k]
