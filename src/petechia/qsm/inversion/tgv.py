"""Total generalised variation from the total field, or from phase that was never unwrapped."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_between, require_finite
from petechia.core.grid import Grid
from petechia.core.morphology import Mask
from petechia.phase.unwrap.laplacian import laplacian
from petechia.qsm.inversion.admm import Volume
from petechia.qsm.inversion.generalised import solve_generalised
from petechia.qsm.inversion.single_step import SpheresParams, less_background

ANY_TIME = (0.02,)
"""Of one image: it is unwrapped alike whatever its echo time [s]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TgvParams(SpheresParams):
    """Settings of `tgv`: those of `SpheresParams`, and the following.

    Attributes
    ----------
    wrapped : bool
        The field is phase over `radians_per_ppm` and may have whole turns.
    radians_per_ppm : float
        Phase of 1 ppm: 2 pi 42.58 B0 TE; 16 for 20 ms at 3 T. Read when `wrapped` [rad/ppm].
    """

    strength: float = 0.1
    wrapped: bool = False
    radians_per_ppm: float = 16.0

    def __post_init__(self) -> None:
        # not super(): a dataclass with slots is a new class, which the name in it is not
        SpheresParams.__post_init__(self)
        turn = "16 is 20 ms at 3 T."
        require_between(self.radians_per_ppm, 1e-3, 1e4, "TgvParams.radians_per_ppm", turn)


def tgv(
    total_field_ppm: npt.NDArray[np.floating],
    weights: npt.NDArray[np.floating] | None,
    mask: Mask,
    grid: Grid,
    params: TgvParams = TgvParams(),
) -> Volume:
    r"""Invert the total field in one step, with edges and slopes kept.

    .. math::
        \min_\chi \tfrac12 \sum_r \| W M_r (\delta - S_r) * (d * \chi - f) \|_2^2
        + \mathrm{TGV}_\lambda(\chi)

    The data term is that of `single_step`: means over spheres :math:`S_r` in the mask, in which
    what comes from outside cancels. The penalty is that of `solve_generalised`; no magnitude
    is asked for.

    With `wrapped`, differences of neighbours are taken modulo a turn and integrated
    (`laplacian`) first; the harmonic field that this loses would cancel anyway.

    Parameters
    ----------
    total_field_ppm : (I, J, K) ndarray of float
        Field with its background [ppm].
    weights : (I, J, K) ndarray of float, or None
        Trust in each voxel's field, not negative, any scale; 0 leaves a voxel out. None
        trusts all of `mask`.
    mask : (I, J, K) ndarray of bool
        Where `total_field_ppm` is valid.
    grid : Grid
        Geometry; its affine gives the direction of the main field.
    params : TgvParams
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
    UnfitError
        If the smallest sphere fits nowhere.


    Notes
    -----
    The published method [1]_ holds the inverse Laplacian of the misfit small where here means
    over spheres are compared [2]_, and takes a thousand steps of a primal-dual method where
    here some tens of the alternating direction method do.

    References
    ----------
    .. [1] Langkammer, Bredies, Poser et al. (2015), NeuroImage 111, 622-630,
       doi:10.1016/j.neuroimage.2015.02.041.
    .. [2] Chatnuntawech, McDaniel, Cauley et al. (2017), NMR Biomed. 30, e3570,
       doi:10.1002/nbm.3570.
    """
    field = total_field_ppm
    if params.wrapped and mask.any():
        grid.require(field, "total_field_ppm")
        grid.require(mask, "mask")
        require_finite(field, "total_field_ppm")
        turn = np.float32(params.radians_per_ppm)
        phase = np.where(mask, turn * field, 0)[None]
        field = laplacian(phase, ANY_TIME, mask, grid)[0] / turn
    prepared = less_background(field, weights, mask, grid, params)
    if prepared is None:
        return np.zeros(grid.shape, dtype=np.float32)
    problem, parts = prepared
    return problem.whole(solve_generalised(problem, params, parts), mask)
