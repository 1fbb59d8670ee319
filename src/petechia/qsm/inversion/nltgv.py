"""Nonlinear total-generalised-variation inversion (FANSI)."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from petechia.core.grid import Grid
from petechia.core.kernels import dipole_kernel
from petechia.core.morphology import Mask
from petechia.qsm.inversion.admm import Part, Volume, problem_of
from petechia.qsm.inversion.generalised import solve_generalised
from petechia.qsm.inversion.nltv import NltvParams, circular_step, settle_turns


@dataclass(frozen=True, slots=True, kw_only=True)
class NltgvParams(NltvParams):
    """Settings of `nltgv`: those of `NltvParams`."""


def nltgv(
    field_ppm: npt.NDArray[np.floating],
    weights: npt.NDArray[np.floating] | None,
    mask: Mask,
    grid: Grid,
    params: NltgvParams = NltgvParams(),
) -> Volume:
    r"""Invert the local field on the circle, with edges and slopes kept.

    .. math::
        \min_\chi \tfrac{1}{2 s^2} \| W (e^{i s d * \chi} - e^{i s f}) \|_2^2
        + \mathrm{TGV}_\lambda(\chi)

    with s = `radians_per_ppm`: `nltv` with the penalty of `solve_generalised`.

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
    params : NltgvParams
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
    Five round trips of transforms an iteration where `nltv` has two.

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
    part = Part(dipole_kernel(problem.grid), partial(circular_step, turn))
    return problem.whole(solve_generalised(problem, params, [part]), mask)
