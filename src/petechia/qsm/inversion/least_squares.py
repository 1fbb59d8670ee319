"""Weighted least squares for the map by conjugate gradients, stopped early."""

import logging

import numpy as np

from petechia.core.compiled import compiled
from petechia.core.fourier import convolved
from petechia.core.kernels import dipole_kernel
from petechia.qsm.inversion.admm import Problem, Volume

log = logging.getLogger(__name__)


OUTSIDE = 0.1
"""How easily sources outside the mask come, against those inside."""


def least_squares(problem: Problem, iterations: int, tolerance: float) -> Volume:
    r"""Return the map that a few steps towards :math:`\min \| W (d * \chi - f) \|_2` reach.

    Stopping early is the regularisation: near the kernel's zeros hardly anything has been
    divided yet. Sources outside the mask come more slowly (`source_scale`).

    Parameters
    ----------
    problem : Problem
    iterations : int
        Steps of conjugate gradients at the latest; two round trips of transforms each.
    tolerance : float
        Stop once the gradient is below this fraction of the first one.

    Returns
    -------
    chi : (I, J, K) ndarray of float32
        On the problem's grid and in its units.
    """
    kernel, scale = dipole_kernel(problem.grid), source_scale(problem)
    # the residual carries the squared weight: nothing is asked where there is none
    residual = problem.weight_squared * problem.field
    gradient = convolved(residual, kernel)
    gradient *= scale
    step = gradient.copy()
    found = np.zeros_like(gradient)
    first = now = float(np.vdot(gradient, gradient))
    n = 0
    while n < iterations and now > tolerance**2 * first:
        n += 1
        change = convolved(step * scale, kernel)
        length = np.float32(now / max(_weigh(change, problem.weight_squared), 1e-30))
        change *= length
        residual -= change
        gradient = convolved(residual, kernel)
        gradient *= scale
        before, now = now, float(np.vdot(gradient, gradient))
        _step(found, step, gradient, length, np.float32(now / before))
    log.info("least squares: %d steps, gradient %.2g", n, np.sqrt(now / max(first, 1e-30)))
    found *= scale
    return found


def source_scale(problem: Problem) -> Volume:
    """Return the unit of the map that is solved for: 1 inside the mask, `OUTSIDE` beyond.

    The field of a mask has infinitely many maps when sources may lie outside; the smallest
    ones then take a third of a source's moment out of the mask.
    """
    return np.where(problem.inside, np.float32(1), np.float32(OUTSIDE))


@compiled(fastmath=True)
def _weigh(change, weight_squared):  # type: ignore[no-untyped-def]
    """Multiply by the squared weight; return the squared weighted norm."""
    n0, n1, n2 = change.shape
    total = np.float64(0)
    for i in range(n0):
        for j in range(n1):
            row = np.float32(0)
            for k in range(n2):
                weighted = weight_squared[i, j, k] * change[i, j, k]
                row += weighted * change[i, j, k]
                change[i, j, k] = weighted
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
