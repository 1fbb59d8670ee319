"""Nonlinear total-variation inversion (FANSI)."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_between
from petechia.core.compiled import compiled
from petechia.core.grid import Grid
from petechia.core.morphology import Mask
from petechia.qsm.inversion.admm import AdmmParams, Problem, Volume, problem_of, solve
from petechia.qsm.inversion.l1 import L1Params, absolute_step

NEWTON_STEPS = 4
ROBUST_STEPS = 12
"""Iterations of the robust inversion that tells which turn a voxel's phase is in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NltvParams(AdmmParams):
    """Settings of `nltv`: those of `AdmmParams`, and the phase that a field makes.

    Attributes
    ----------
    radians_per_ppm : float
        Phase of 1 ppm: 2 pi 42.58 B0 TE; 16 for 20 ms at 3 T. It sets from where on a
        misfit is taken for a whole turn or for noise [rad/ppm].
    """

    radians_per_ppm: float = 16.0

    def __post_init__(self) -> None:
        # not super(): a dataclass with slots is a new class, which the name in it is not
        AdmmParams.__post_init__(self)
        require_between(
            self.radians_per_ppm, 1e-3, 1e4, "NltvParams.radians_per_ppm", "16 is 20 ms at 3 T."
        )


def nltv(
    field_ppm: npt.NDArray[np.floating],
    weights: npt.NDArray[np.floating] | None,
    mask: Mask,
    grid: Grid,
    params: NltvParams = NltvParams(),
) -> Volume:
    r"""Invert the local field on the circle: a wrong turn of the phase makes no streaks.

    .. math::
        \min_\chi \tfrac{1}{2 s^2} \| W (e^{i s d * \chi} - e^{i s f}) \|_2^2
        + \lambda \sum_r |\nabla \chi(r)|_2

    with s = `radians_per_ppm`. For small misfits it is `tv`.

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
    params : NltvParams
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

    References
    ----------
    .. [1] Milovic, Bilgic, Zhao et al. (2018), Magn. Reson. Med. 80, 814-821,
       doi:10.1002/mrm.27073.
    """
    problem = problem_of(field_ppm, weights, mask, grid, params.pad_mm)
    if problem is None:
        return np.zeros(grid.shape, dtype=np.float32)
    turn = np.float32(params.radians_per_ppm * problem.rms)
    settle_turns(problem, turn)
    return problem.whole(solve(problem, params, partial(circular_step, turn)), mask)


def settle_turns(problem: Problem, turn: np.float32) -> None:
    """Take the field at the whole turn next to what a robust inversion predicts.

    The functional on the circle has a minimum at every turn, and strong sources make fields
    of several turns: from a map of 0 they would end in the wrong one.
    """
    whole = np.float32(2 * np.pi) / turn
    if np.ptp(problem.field) < whole:
        return
    pull = np.float32(L1Params().pull * problem.noise)
    first = solve(problem, AdmmParams(iterations=ROBUST_STEPS), partial(absolute_step, pull))
    misfit = problem.field - problem.made_by(first)
    problem.field[...] -= whole * np.round(misfit / whole) * (problem.weight_squared > 0)


def circular_step(
    turn: np.float32,
    problem: Problem,
    predicted: Volume,
    data: Volume,
    source: Volume,
    nu: np.float32,
) -> None:
    """Hold the field to the measured one on the circle; `turn` is radians per unit."""
    _circular(predicted, problem.field, problem.weight_squared, nu, turn, data, source)


@compiled(fastmath=True)
def _circular(predicted, field, weight_squared, nu, turn, data, source):  # type: ignore[no-untyped-def]
    """Newton's steps for w sin(t (z - f)) / t + nu (z - given) = 0, from the squared answer."""
    n0, n1, n2 = field.shape
    per_turn = np.float32(1) / turn
    for i in range(n0):
        for j in range(n1):
            for k in range(n2):
                w = weight_squared[i, j, k]
                f = field[i, j, k]
                given = predicted[i, j, k] + data[i, j, k]
                z = given
                if w > 0:
                    z = (w * f + nu * given) / (w + nu)
                    if abs(turn * (given - f)) > np.float32(0.1):
                        for _ in range(NEWTON_STEPS):
                            angle = turn * (z - f)
                            slope = nu + w * abs(np.cos(angle))
                            z -= (w * per_turn * np.sin(angle) + nu * (z - given)) / slope
                data[i, j, k] = given - z
                source[i, j, k] = z - data[i, j, k]
