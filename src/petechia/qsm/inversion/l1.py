"""Total-variation inversion with absolute instead of squared misfits (L1-QSM)."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_between
from petechia.core.compiled import compiled
from petechia.core.grid import Grid
from petechia.core.morphology import Mask
from petechia.qsm.inversion.admm import AdmmParams, Problem, Volume, problem_of, solve


@dataclass(frozen=True, slots=True, kw_only=True)
class L1Params(AdmmParams):
    """Settings of `l1`: those of `AdmmParams`, and how hard the field is held.

    Attributes
    ----------
    pull : float
        Pull of every misfit, in units of what `tv` would give a misfit of one standard
        deviation of the noise.
    """

    pull: float = 2.0

    def __post_init__(self) -> None:
        # not super(): a dataclass with slots is a new class, which the name in it is not
        AdmmParams.__post_init__(self)
        require_between(self.pull, 1e-3, 1e3, "L1Params.pull", "1 to 4 is usual.")


def l1(
    field_ppm: npt.NDArray[np.floating],
    weights: npt.NDArray[np.floating] | None,
    mask: Mask,
    grid: Grid,
    params: L1Params = L1Params(),
) -> Volume:
    r"""Invert the local field so that a few wrong voxels pull no harder than right ones.

    .. math::
        \min_\chi \kappa \| W^2 (d * \chi - f) \|_1 + \lambda \sum_r |\nabla \chi(r)|_2

    with :math:`\kappa` = `pull` x noise. Voids of lesions, dropout and wrong turns of the
    phase, whose field is far off, then make no streaks.

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
    params : L1Params
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
    .. [1] Milovic, Lambert, Langkammer et al. (2022), Magn. Reson. Med. 87, 457-473,
       doi:10.1002/mrm.28957.
    """
    problem = problem_of(field_ppm, weights, mask, grid, params.pad_mm)
    if problem is None:
        return np.zeros(grid.shape, dtype=np.float32)
    pull = np.float32(params.pull * problem.noise)
    return problem.whole(solve(problem, params, partial(absolute_step, pull)), mask)


def absolute_step(
    pull: np.float32,
    problem: Problem,
    predicted: Volume,
    data: Volume,
    source: Volume,
    nu: np.float32,
) -> None:
    """Hold the field to the measured one by weighted absolute misfits."""
    _absolute(predicted, problem.field, problem.weight_squared, nu, pull, data, source)


@compiled(fastmath=True)
def _absolute(predicted, field, weight_squared, nu, pull, data, source):  # type: ignore[no-untyped-def]
    """Shrink the misfit by at most pull x weight / nu."""
    n0, n1, n2 = field.shape
    for i in range(n0):
        for j in range(n1):
            for k in range(n2):
                most = pull * weight_squared[i, j, k] / nu
                given = predicted[i, j, k] + data[i, j, k]
                misfit = given - field[i, j, k]
                step = min(max(misfit, -most), most)
                data[i, j, k] = step
                source[i, j, k] = given - step - step
