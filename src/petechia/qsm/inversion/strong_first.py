"""Strong sources first, the tissue between them after."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.core.checks import require_between
from petechia.core.grid import Grid
from petechia.core.morphology import Mask
from petechia.qsm.inversion.admm import AdmmParams, Volume, problem_of, solve
from petechia.qsm.inversion.l1 import L1Params, absolute_step
from petechia.qsm.inversion.tv import squared_step


@dataclass(frozen=True, slots=True, kw_only=True)
class StrongFirstParams:
    """Settings of `strong_first`.

    Attributes
    ----------
    strong_ppm : float
        From this size on, in the first pass, a voxel belongs to a strong source [ppm].
    first, second : float
        Strength of the total variation in each pass, as in `AdmmParams`.
    outlier : float
        What the first pass misfits by more than this many standard deviations loses weight
        in the second.
    """

    strong_ppm: float = 0.25
    first: float = 0.1
    second: float = 0.1
    outlier: float = 6.0

    def __post_init__(self) -> None:
        require_between(self.strong_ppm, 0.01, 100.0, "StrongFirstParams.strong_ppm", "0.2 to 0.5.")
        require_between(self.outlier, 1.0, 1e3, "StrongFirstParams.outlier", "6 is usual.")
        AdmmParams(strength=self.first)
        AdmmParams(strength=self.second)


def strong_first(
    field_ppm: npt.NDArray[np.floating],
    weights: npt.NDArray[np.floating] | None,
    mask: Mask,
    grid: Grid,
    params: StrongFirstParams = StrongFirstParams(),
) -> Volume:
    """Invert strong sources and weak ones apart, and add the maps.

    A microbleed's field is a hundred times that of the tissue beside it, and what is wrong
    with it (dead signal in its void, its finite size) streaks through the tissue. The first
    pass, robust against such voxels (`l1`), tells where strong sources are, what they make,
    and which voxels fit no source; the second inverts what they leave, as `tv`, with those
    voxels mistrusted.

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
    params : StrongFirstParams
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
    The superposition of a strong and a weak part is ours in this form; `two_pass` is the
    published treatment, by two masks.
    """
    begin, end = AdmmParams(strength=params.first), AdmmParams(strength=params.second)
    problem = problem_of(field_ppm, weights, mask, grid, begin.pad_mm)
    if problem is None:
        return np.zeros(grid.shape, dtype=np.float32)
    pull = np.float32(L1Params().pull * problem.noise)
    chi = solve(problem, begin, partial(absolute_step, pull))
    strong = np.where(strong_sources(chi, params.strong_ppm / problem.rms), chi, np.float32(0))
    problem.lower_weight_of_outliers(problem.made_by(chi) - problem.field, params.outlier)
    problem.field[...] -= problem.made_by(strong)
    return problem.whole(strong + solve(problem, end, squared_step), mask)


def strong_sources(chi: Volume, least: float) -> Mask:
    """Return the voxels of strong sources: the strong ones, and those beside them of their sign."""
    strong = np.zeros(chi.shape, dtype=bool)
    for sign in (1, -1):
        core = sign * chi > least
        strong |= ndimage.binary_dilation(core) & (sign * chi > least / 4)
    return strong
