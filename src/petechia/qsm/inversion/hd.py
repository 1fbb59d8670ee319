"""HD-QSM: absolute misfits first, then squared ones with what did not fit mistrusted."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_between
from petechia.core.grid import Grid
from petechia.core.morphology import Mask
from petechia.qsm.inversion.admm import AdmmParams, Volume, problem_of, solve
from petechia.qsm.inversion.l1 import L1Params, absolute_step
from petechia.qsm.inversion.tv import squared_step


@dataclass(frozen=True, slots=True, kw_only=True)
class HdParams(AdmmParams):
    """Settings of `hd`: those of `AdmmParams`, and the following.

    Attributes
    ----------
    pull : float
        Pull of every misfit in the first stage, as in `L1Params`.
    first_iterations : int
        Iterations of the first stage.
    """

    pull: float = L1Params().pull
    first_iterations: int = 20

    def __post_init__(self) -> None:
        # not super(): a dataclass with slots is a new class, which the name in it is not
        AdmmParams.__post_init__(self)
        require_between(self.pull, 1e-3, 1e3, "HdParams.pull", "1 to 4 is usual.")
        require_between(self.first_iterations, 1, 10_000, "HdParams.first_iterations", "20.")


def hd(
    field_ppm: npt.NDArray[np.floating],
    weights: npt.NDArray[np.floating] | None,
    mask: Mask,
    grid: Grid,
    params: HdParams = HdParams(),
) -> Volume:
    r"""Invert the local field with the robustness of absolute misfits and the noise of squares.

    The first stage is `l1`, which wrong voxels cannot pull. Where its map leaves a misfit d,
    the weight falls; the second stage is `tv` with these weights, from that map:

    .. math:: w_2 = w \left(1 - |d| / \max |d|\right)

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
    params : HdParams
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
    The paper's first stage has a larger total variation than the second (the root of a number
    below 1); here both have `strength`, and the misfits of either are in units of the noise.

    References
    ----------
    .. [1] Lambert, Tejos, Langkammer & Milovic (2022), Magn. Reson. Med.,
       doi:10.1002/mrm.29218.
    """
    problem = problem_of(field_ppm, weights, mask, grid, params.pad_mm)
    if problem is None:
        return np.zeros(grid.shape, dtype=np.float32)
    pull = np.float32(params.pull * problem.noise)
    first = replace(params, iterations=params.first_iterations)
    chi = solve(problem, first, partial(absolute_step, pull))
    away = np.abs(problem.made_by(chi) - problem.field)
    most = float(away.max(where=problem.weight_squared > 0, initial=0.0))
    if most > 0:
        problem.weight_squared[...] *= np.square(np.maximum(1 - away / np.float32(most), 0))
    return problem.whole(solve(problem, params, squared_step, start=chi), mask)
