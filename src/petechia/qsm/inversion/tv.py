"""Total-variation inversion by the alternating direction method of multipliers."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.core.compiled import compiled
from petechia.core.grid import Grid
from petechia.core.morphology import Mask
from petechia.qsm.inversion.admm import AdmmParams, Problem, Volume, problem_of, solve


@dataclass(frozen=True, slots=True, kw_only=True)
class TvParams(AdmmParams):
    """Settings of `tv`: those of `AdmmParams`."""


def tv(
    field_ppm: npt.NDArray[np.floating],
    weights: npt.NDArray[np.floating] | None,
    mask: Mask,
    grid: Grid,
    params: TvParams = TvParams(),
) -> Volume:
    r"""Invert the local field with edges kept and streaks suppressed.

    .. math::
        \min_\chi \tfrac12 \| W (d * \chi - f) \|_2^2
        + \lambda \sum_r |\nabla \chi(r)|_2

    with :math:`\lambda` = `strength` x voxel size x noise, the noise being read from the
    field itself (`field_noise`).

    Parameters
    ----------
    field_ppm : (I, J, K) ndarray of float
        Local field, background removed [ppm].
    weights : (I, J, K) ndarray of float, or None
        Trust in each voxel's field, not negative, any scale (inverse noise, magnitude);
        0 leaves a voxel out, such as the void of a lesion. None trusts all of `mask`.
    mask : (I, J, K) ndarray of bool
        Where `field_ppm` is valid.
    grid : Grid
        Geometry; its affine gives the direction of the main field.
    params : TvParams
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
    The weighted data term has a splitting of its own, so that each step has a closed form:
    four real transforms an iteration. About 14 single-precision volumes of the padded
    bounding box of `mask` are held at once. Sources just outside `mask` are allowed and
    then cut off.

    References
    ----------
    .. [1] Bilgic, Fan, Polimeni et al. (2014), Magn. Reson. Med. 72, 1444-1459,
       doi:10.1002/mrm.25029.
    .. [2] Milovic, Bilgic, Zhao et al. (2018), Magn. Reson. Med. 80, 814-821,
       doi:10.1002/mrm.27073.
    """
    problem = problem_of(field_ppm, weights, mask, grid, params.pad_mm)
    if problem is None:
        return np.zeros(grid.shape, dtype=np.float32)
    return problem.whole(solve(problem, params, squared_step), mask)


def squared_step(
    problem: Problem, predicted: Volume, data: Volume, source: Volume, nu: np.float32
) -> None:
    """Hold the field to the measured one by weighted squares."""
    _squared(predicted, problem.field, problem.weight_squared, nu, data, source)


@compiled(fastmath=True)
def _squared(predicted, field, weight_squared, nu, data, source):  # type: ignore[no-untyped-def]
    """Step the field's splitting: `data` what it was given, `source` what it hands on."""
    n0, n1, n2 = field.shape
    for i in range(n0):
        for j in range(n1):
            for k in range(n2):
                w = weight_squared[i, j, k]
                given = predicted[i, j, k] + data[i, j, k]
                z = (w * field[i, j, k] + nu * given) / (w + nu)
                data[i, j, k] = given - z
                source[i, j, k] = z - data[i, j, k]
