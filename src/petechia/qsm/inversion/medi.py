"""MEDI: edges of the map only where the magnitude has them; misfits reweighted (MERIT)."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_between, require_finite
from petechia.core.grid import Grid
from petechia.core.morphology import Mask
from petechia.qsm.inversion.admm import AdmmParams, Volume, problem_of, solve
from petechia.qsm.inversion.nltv import circular_step


@dataclass(frozen=True, slots=True, kw_only=True)
class MediParams(AdmmParams):
    """Settings of `medi`: those of `AdmmParams`, and the following.

    Attributes
    ----------
    edges : float
        Share of the mask whose gradient of the magnitude counts as an edge, 0 to 0.95:
        there the map may change freely.
    radians_per_ppm : float
        Phase of 1 ppm: 2 pi 42.58 B0 TE; 16 for 20 ms at 3 T [rad/ppm].
    rounds : int
        How often all is solved; before each but the first, what was misfitted by more than
        `outlier` standard deviations loses weight.
    outlier : float
        See `rounds`.
    """

    edges: float = 0.3
    radians_per_ppm: float = 16.0
    rounds: int = 2
    outlier: float = 6.0

    def __post_init__(self) -> None:
        # not super(): a dataclass with slots is a new class, which the name in it is not
        AdmmParams.__post_init__(self)
        require_between(self.edges, 0.0, 0.95, "MediParams.edges", "0.1 to 0.9 is usual.")
        require_between(
            self.radians_per_ppm, 1e-3, 1e4, "MediParams.radians_per_ppm", "16 is 20 ms at 3 T."
        )
        require_between(self.rounds, 1, 20, "MediParams.rounds", "1 turns reweighting off.")
        require_between(self.outlier, 1.0, 1e3, "MediParams.outlier", "6 is usual.")


def medi(
    field_ppm: npt.NDArray[np.floating],
    weights: npt.NDArray[np.floating] | None,
    magnitude: npt.NDArray[np.floating],
    mask: Mask,
    grid: Grid,
    params: MediParams = MediParams(),
) -> Volume:
    r"""Invert the local field with the magnitude's edges as a guide.

    .. math::
        \min_\chi \tfrac{1}{2 s^2} \| W (e^{i s d * \chi} - e^{i s f}) \|_2^2
        + \lambda \sum_r M(r) |\nabla \chi(r)|_2

    with M 0 at edges of the magnitude and 1 elsewhere, and W lowered where the misfit is
    beyond noise (MERIT).

    Parameters
    ----------
    field_ppm : (I, J, K) ndarray of float
        Local field, background removed [ppm].
    weights : (I, J, K) ndarray of float, or None
        Trust in each voxel's field, not negative, any scale; 0 leaves a voxel out. None
        trusts all of `mask`.
    magnitude : (I, J, K) ndarray of float
        Echoes combined, whose edges are those of the anatomy.
    mask : (I, J, K) ndarray of bool
        Where `field_ppm` is valid.
    grid : Grid
        Geometry; its affine gives the direction of the main field.
    params : MediParams
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
    The functional is that of the paper; it is minimised by the alternating direction method
    instead of Gauss-Newton steps and conjugate gradients, which is several times faster. M is
    one factor for the length of the gradient, not one for each of its parts.

    References
    ----------
    .. [1] Liu, Liu, de Rochefort et al. (2012), NeuroImage 59, 2560-2568,
       doi:10.1016/j.neuroimage.2011.08.082.
    .. [2] Liu, Wisnieff, Lou et al. (2013), Magn. Reson. Med. 69, 467-476 (MERIT),
       doi:10.1002/mrm.24272.
    """
    grid.require(magnitude, "magnitude")
    require_finite(magnitude, "magnitude")
    problem = problem_of(field_ppm, weights, mask, grid, params.pad_mm)
    if problem is None:
        return np.zeros(grid.shape, dtype=np.float32)
    smooth = problem.padded(away_from_edges(magnitude, mask, grid, params.edges)) > 0
    turn = np.float32(params.radians_per_ppm * problem.rms)
    chi = solve(problem, params, partial(circular_step, turn), smooth)
    for _ in range(params.rounds - 1):
        misfit = problem.made_by(chi)
        misfit -= problem.field
        misfit = np.sin(misfit * (turn / 2)) * (2 / turn)  # on the circle
        problem.lower_weight_of_outliers(misfit, params.outlier)
        chi = solve(problem, params, partial(circular_step, turn), smooth)
    return problem.whole(chi, mask)


def away_from_edges(
    magnitude: npt.NDArray[np.floating], mask: Mask, grid: Grid, share: float
) -> Volume:
    """Return 1 where the magnitude is smooth and 0 at its edges, `share` of the mask.

    Outside the mask all is smooth.
    """
    mask = np.asarray(mask, dtype=np.bool_)
    length = np.zeros(grid.shape, dtype=np.float32)
    signal = np.where(mask, magnitude, 0).astype(np.float32)
    for axis, spacing in enumerate(grid.spacing_mm):
        if grid.shape[axis] > 1:
            step = np.diff(signal, axis=axis, append=np.take(signal, [-1], axis=axis))
            length += np.square(step / np.float32(spacing))
    limit = np.quantile(length[mask], 1 - share)
    return np.where(mask & (length > limit), 0, 1).astype(np.float32)
