"""The field by nonlinear least squares of the complex echoes."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_between
from petechia.core.grid import Grid
from petechia.errors import InputError
from petechia.phase.fieldmap.echoes import maps, prepared
from petechia.phase.fieldmap.lines import fit_lines
from petechia.phase.fieldmap.neighbours import noise_of_signal, shared_start
from petechia.phase.fieldmap.weighted import WeightedParams, fitted
from petechia.phase.images import Volume, checked_phase


@dataclass(frozen=True, slots=True, kw_only=True)
class ComplexFitParams:
    """Settings of `complex_fit`, as those of `weighted`.

    Attributes
    ----------
    fit_offset : bool
        Fit a phase at echo time 0 in every voxel. Used from three echoes on.
    shared_mm : float
        Side of the cube whose voxels share what is left of the offset; 0 leaves it in [mm].
    trusted : float
        Misfit, in standard deviations of the noise, above which an echo is held back.
    """

    fit_offset: bool = False
    shared_mm: float = 5.0
    trusted: float = 2.0

    def __post_init__(self) -> None:
        where = "ComplexFitParams"
        require_between(self.shared_mm, 0, 50, f"{where}.shared_mm", "Usual is 5; 0 leaves it.")
        require_between(self.trusted, 0.5, 1e6, f"{where}.trusted", "Usual is 2.")


def complex_fit(
    unwrapped_rad: npt.NDArray[np.floating],
    phase_rad: npt.NDArray[np.floating],
    magnitude: npt.NDArray[np.floating] | None,
    te_s: tuple[float, ...],
    b0_t: float,
    mask: npt.NDArray[np.bool_],
    grid: Grid,
    params: ComplexFitParams | None = None,
) -> tuple[Volume, Volume, Volume]:
    r"""Fit the field to the complex signal of all echoes.

    .. math:: \min_f \sum_e h_e |S_e|^2
              \left| e^{i\varphi_e} - e^{i(2\pi f t_e + \varphi_0)} \right|^2

    Begins with the field of `weighted`, which settles the whole turns, and solves weighted
    lines whose sums bound this one from above, so that it falls with every step.
    :math:`\varphi_0` and Huber's weights :math:`h_e` are those of `weighted`.

    Parameters
    ----------
    unwrapped_rad : (E, I, J, K) ndarray of float
        Unwrapped phase, within half a turn at the first echo; need not be exact [rad].
    phase_rad : (E, I, J, K) ndarray of float
        Measured phase, wrapped or not [rad].
    magnitude : (E, I, J, K) ndarray of float, or None
        Magnitude of the echoes, any scale; None weighs all echoes alike.
    te_s : tuple of float
        Time over which each image evolved, any spacing [s].
    b0_t : float
        Main field [T].
    mask : (I, J, K) ndarray of bool
    grid : Grid
    params : ComplexFitParams, optional

    Returns
    -------
    field_ppm : (I, J, K) ndarray of float32
        Field shift, positive for a higher frequency; 0 outside the mask [ppm of B0].
    noise_ppm : (I, J, K) ndarray of float32
        Standard deviation of the field, raised where the echoes disagree [ppm].
    residual_rad : (I, J, K) ndarray of float32
        Root of the |S|^2-weighted mean square of 2 sin(r / 2), r the misfit of an echo [rad].

    Raises
    ------
    InputError, ParameterError
        If shapes or echo times do not fit, or a voxel is not finite.

    References
    ----------
    .. [1] Liu et al. (2013), Magn. Reson. Med. 69, 467-476, doi:10.1002/mrm.24272.
    """
    params = params or ComplexFitParams()
    data = prepared(unwrapped_rad, magnitude, te_s, mask, grid, params.fit_offset)
    measured = checked_phase(phase_rad, grid).reshape(len(phase_rad), -1)
    if measured.shape != data.phase.shape:
        raise InputError(
            f"{len(measured)} images of phase, {len(data.phase)} of unwrapped phase",
            where="phase_rad",
            mend="Give the phase that was unwrapped.",
        )
    start = WeightedParams(
        fit_offset=params.fit_offset, shared_mm=params.shared_mm, trusted=params.trusted
    )
    found = fitted(data, start, grid)
    lines, shared = found.lines, found.shared_rad
    packed = np.ascontiguousarray(measured[:, data.at].T)

    def fit(limit: float) -> None:
        fit_lines(packed, found.weight, data.te_s, data.offset, True, limit, shared, lines)

    if found.sigma is None:
        fit(np.inf)
        return maps(replace(data, phase=measured), lines, None, b0_t)
    fit(params.trusted * found.sigma)
    if shared.any():  # unwrapping that is not exact has moved the start
        shared += shared_start(lines, data.near, grid, params.shared_mm)
        fit(params.trusted * noise_of_signal(lines, data.spare))
    return maps(data, lines, noise_of_signal(lines, data.spare), b0_t)
