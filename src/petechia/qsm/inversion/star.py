"""STAR-QSM: strong sources by strong regularisation, weak ones by what they leave."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_between
from petechia.core.grid import Grid
from petechia.core.morphology import Mask
from petechia.qsm.inversion.admm import AdmmParams, Volume, problem_of, solve
from petechia.qsm.inversion.strong_first import strong_sources
from petechia.qsm.inversion.tv import squared_step


@dataclass(frozen=True, slots=True, kw_only=True)
class StarParams:
    """Settings of `star`.

    Attributes
    ----------
    strong_ppm : float
        Susceptibility from which a source is strong, of either sign [ppm].
    first, second : float
        Strength of the total variation for strong and for weak sources, as in `AdmmParams`.
    """

    strong_ppm: float = 0.25
    first: float = 0.5
    second: float = 0.1

    def __post_init__(self) -> None:
        strong = "Veins have up to 0.4 ppm, bleeds more: 0.2 to 1 is usual."
        require_between(self.strong_ppm, 1e-4, 1e4, "StarParams.strong_ppm", strong)
        AdmmParams(strength=self.first)
        AdmmParams(strength=self.second)


def star(
    field_ppm: npt.NDArray[np.floating],
    weights: npt.NDArray[np.floating] | None,
    mask: Mask,
    grid: Grid,
    params: StarParams = StarParams(),
) -> Volume:
    """Invert strong and weak sources with a regularisation of their own, and add the maps.

    What makes a weak source smooth enough lets a strong one streak. So the field is inverted
    with strong total variation first; the field of the strong sources found is taken off, and
    what is left inverted with less.

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
    params : StarParams
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
    Twice the time of `tv`. `strong_first` goes one step further: absolute misfits in the first
    pass, and weights lowered where no source explains the field.

    References
    ----------
    .. [1] Wei, Dibb, Zhou et al. (2015), NMR Biomed. 28, 1294-1303, doi:10.1002/nbm.3383.
    """
    begin, end = AdmmParams(strength=params.first), AdmmParams(strength=params.second)
    problem = problem_of(field_ppm, weights, mask, grid, begin.pad_mm)
    if problem is None:
        return np.zeros(grid.shape, dtype=np.float32)
    chi = solve(problem, begin, squared_step)
    strong = np.where(strong_sources(chi, params.strong_ppm / problem.rms), chi, np.float32(0))
    problem.field[...] -= problem.made_by(strong)
    return problem.whole(strong + solve(problem, end, squared_step), mask)
