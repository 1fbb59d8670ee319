"""The smallest local field that explains what spheres leave of the total one."""

import logging
from collections.abc import Callable

import numpy as np

from petechia.core.fourier import irfft3, rfft3
from petechia.phase.images import Volume

log = logging.getLogger(__name__)


def regularised(
    residual: Volume,
    made: Callable[[Volume], Volume],
    adjoint: Callable[[Volume], Volume],
    squared: Volume,
    strength: float,
    iterations: int,
    tolerance: float,
) -> Volume:
    r"""Return the minimiser of :math:`\| A f_l - r \|^2 + \lambda \| f_l \|^2`.

    By conjugate gradients on the normal equations, from 0, preconditioned in k-space. A
    sphere leaves little of a smooth field and its square hardly anything: without this the
    smooth part of the local field is not there yet when the steps end.

    Parameters
    ----------
    residual : (I, J, K) ndarray of float32
        r, what the spheres left of the total field; overwritten.
    made, adjoint : callable
        A and its adjoint, each from volume to a new volume.
    squared : half spectrum of float32
        What the adjoint of A times A would be without a mask; overwritten.
    strength : float
        Lambda.
    iterations : int
        Stop after so many steps at the latest.
    tolerance : float
        Stop once the gradient, preconditioned, is below this fraction of the first one.
    """
    weight = np.float32(strength)
    squared += max(weight, np.float32(1e-6))
    inverse = np.divide(1, squared, out=squared)

    def turned(volume: Volume) -> Volume:
        spectrum = rfft3(volume)
        spectrum *= inverse
        return np.asarray(irfft3(spectrum, local.shape), dtype=np.float32)

    local = np.zeros_like(residual)
    gradient = adjoint(residual)
    step = turned(gradient)
    first = size = float(np.vdot(gradient, step))
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
        towards = turned(gradient)
        before, size = size, float(np.vdot(gradient, towards))
        step *= np.float32(size / before)
        step += towards
    ended = np.sqrt(size / max(first, 1e-30))
    log.info("regularised spheres: %d steps, gradient %.2g of the first", n, ended)
    return local
