"""The smallest local field that explains what spheres leave of the total one."""

import logging
from collections.abc import Callable

import numpy as np

from petechia.phase.images import Volume

log = logging.getLogger(__name__)


def regularised(
    residual: Volume,
    made: Callable[[Volume], Volume],
    adjoint: Callable[[Volume], Volume],
    strength: float,
    iterations: int,
    tolerance: float,
) -> Volume:
    r"""Return the minimiser of :math:`\| A f_l - r \|^2 + \lambda \| f_l \|^2`.

    By conjugate gradients on the normal equations, from 0.

    Parameters
    ----------
    residual : (I, J, K) ndarray of float32
        r, what the spheres left of the total field; overwritten.
    made, adjoint : callable
        A and its adjoint, each from volume to a new volume.
    strength : float
        Lambda.
    iterations : int
        Stop after so many steps at the latest.
    tolerance : float
        Stop once the gradient is below this fraction of the first one.
    """
    weight = np.float32(strength)
    local = np.zeros_like(residual)
    gradient = adjoint(residual)
    first = size = float(np.vdot(gradient, gradient))
    step = gradient.copy()
    n = 0
    while n < iterations and size > tolerance**2 * first:
        n += 1
        change = made(step)
        curvature = float(np.vdot(change, change)) + strength * float(np.vdot(step, step))
        length = np.float32(size / max(curvature, 1e-30))
        local += length * step
        change *= length
        residual -= change
        gradient = adjoint(residual)
        gradient -= weight * local
        before, size = size, float(np.vdot(gradient, gradient))
        step *= np.float32(size / before)
        step += gradient
    ended = np.sqrt(size / max(first, 1e-30))
    log.info("regularised spheres: %d steps, gradient %.2g of the first", n, ended)
    return local
