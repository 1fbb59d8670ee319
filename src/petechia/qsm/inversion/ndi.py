"""Nonlinear dipole inversion (NDI): gradient steps on the circle, stopped early."""

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
from petechia.qsm.inversion.least_squares import source_scale
from petechia.qsm.inversion.nltv import settle_turns

log = logging.getLogger(__name__)
LARGEST = 4 / 9
"""Largest value of the squared kernel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NdiParams:
    """Settings of `ndi`.

    Attributes
    ----------
    iterations : int
        Steps: the only regularisation. More are sharper, noisier and streak more.
    radians_per_ppm : float
        Phase of 1 ppm: 2 pi 42.58 B0 TE; 16 for 20 ms at 3 T [rad/ppm].
    pad_mm : float
        Zeros between the mask and its periodic copy [mm].
    """

    iterations: int = 30
    radians_per_ppm: float = 16.0
    pad_mm: float = 20.0

    def __post_init__(self) -> None:
        turn = "16 is 20 ms at 3 T."
        require_between(self.iterations, 2, 10_000, "NdiParams.iterations", "15 to 60 is usual.")
        require_between(self.radians_per_ppm, 1e-3, 1e4, "NdiParams.radians_per_ppm", turn)
        require_between(self.pad_mm, 0.0, 500.0, "NdiParams.pad_mm", "Give millimetres, e.g. 20.")


def ndi(
    field_ppm: npt.NDArray[np.floating],
    weights: npt.NDArray[np.floating] | None,
    mask: Mask,
    grid: Grid,
    params: NdiParams = NdiParams(),
) -> Volume:
    r"""Invert the local field by descent on the misfit of the phase, without a penalty.

    .. math::
        \min_\chi \tfrac{1}{2 s^2} \| W (e^{i s d * \chi} - e^{i s f}) \|_2^2

    with s = `radians_per_ppm`, from a map of 0. Frequencies near the kernel's zeros come last,
    and are not waited for.

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
    params : NdiParams
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
    Two round trips of transforms a step. The steps carry momentum (Nesterov), so that 30 of them
    go as far as some hundreds without; sources outside the mask come more slowly
    (`source_scale`). Where the field spans more than a turn, a robust inversion tells first
    which turn a voxel is in (`settle_turns`), and the first third of the steps takes the misfit
    as it is, not on the circle: from a map of 0 the nearest minimum may be a wrong one.

    References
    ----------
    .. [1] Polak, Chatnuntawech, Yoon et al. (2020), NMR Biomed. 33, e4271,
       doi:10.1002/nbm.4271.
    """
    problem = problem_of(field_ppm, weights, mask, grid, params.pad_mm)
    if problem is None:
        return np.zeros(grid.shape, dtype=np.float32)
    settle_turns(problem, np.float32(params.radians_per_ppm * problem.rms))
    return problem.whole(_descended(problem, params), mask)


def _descended(problem: Problem, params: NdiParams) -> Volume:
    """Return the map that the steps reach, on the problem's grid and in its units."""
    kernel, shape = dipole_kernel(problem.grid), problem.grid.shape
    turn = np.float32(params.radians_per_ppm * problem.rms)
    rate = np.float32(1 / (LARGEST * float(problem.weight_squared.max())))
    linear = params.iterations // 3
    # the square of the scale of the unknowns: how far a source moves by its gradient
    moves = rate * source_scale(problem) ** 2
    found = np.zeros(shape, dtype=np.float32)
    ahead, momentum = np.zeros_like(found), 1.0
    for n in range(params.iterations):
        spectrum = rfft3(ahead)
        spectrum *= kernel
        field = irfft3(spectrum, shape)
        _misfit(field, problem.field, problem.weight_squared, turn, n >= linear)
        spectrum = rfft3(field)
        spectrum *= kernel
        after = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        _descend(found, ahead, irfft3(spectrum, shape), moves, np.float32((momentum - 1) / after))
        momentum = after
    log.info("NDI: %d steps", params.iterations)
    return found


@compiled(fastmath=True)
def _misfit(made, field, weight_squared, turn, circular):  # type: ignore[no-untyped-def]
    """Overwrite the field that a map makes with its weighted misfit."""
    n0, n1, n2 = field.shape
    per_turn = np.float32(1) / turn
    for i in range(n0):
        for j in range(n1):
            for k in range(n2):
                w = weight_squared[i, j, k]
                if w > 0:
                    away = made[i, j, k] - field[i, j, k]
                    if circular:
                        away = per_turn * np.sin(turn * away)
                    made[i, j, k] = w * away
                else:
                    made[i, j, k] = 0


@compiled(fastmath=True)
def _descend(found, ahead, gradient, moves, keep):  # type: ignore[no-untyped-def]
    """Step from `ahead`, then look ahead along the way that `found` went."""
    n0, n1, n2 = found.shape
    for i in range(n0):
        for j in range(n1):
            for k in range(n2):
                new = ahead[i, j, k] - moves[i, j, k] * gradient[i, j, k]
                ahead[i, j, k] = new + keep * (new - found[i, j, k])
                found[i, j, k] = new
