"""The field by weighted least squares: turns mended, outlying echoes held back."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_between
from petechia.core.grid import Grid
from petechia.phase.fieldmap.echoes import Prepared, maps, prepared
from petechia.phase.fieldmap.lines import Lines, fit_lines, mended
from petechia.phase.fieldmap.neighbours import noise_of_signal, sampled, shared_start
from petechia.phase.images import Volume


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedParams:
    """Settings of `weighted`.

    Attributes
    ----------
    fit_offset : bool
        Fit a phase at echo time 0 in every voxel, for echoes whose offset was not removed.
        Used from three echoes on.
    shared_mm : float
        Side of the cube whose voxels share what is left of the offset; 0 leaves it in. Used
        from three echoes on, without `fit_offset` [mm].
    trusted : float
        Misfit, in standard deviations of the noise, above which an echo is held back.
    """

    fit_offset: bool = False
    shared_mm: float = 5.0
    trusted: float = 2.0

    def __post_init__(self) -> None:
        where = "WeightedParams"
        require_between(self.shared_mm, 0, 50, f"{where}.shared_mm", "Usual is 5; 0 leaves it.")
        require_between(self.trusted, 0.5, 1e6, f"{where}.trusted", "Usual is 2.")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Fitted:
    """Lines of M voxels, the noise of |S| (None without spare echoes), and what went in.

    Attributes
    ----------
    lines : (6, M) ndarray of float32
    sigma : float, or None
    shared_rad : (M,) ndarray of float32
        Start that neighbours share [rad].
    weight : (M, E) ndarray of float32
        Squared signal.
    """

    lines: Lines
    sigma: float | None
    shared_rad: npt.NDArray[np.float32]
    weight: npt.NDArray[np.float32]


def weighted(
    unwrapped_rad: npt.NDArray[np.floating],
    magnitude: npt.NDArray[np.floating] | None,
    te_s: tuple[float, ...],
    b0_t: float,
    mask: npt.NDArray[np.bool_],
    grid: Grid,
    params: WeightedParams | None = None,
) -> tuple[Volume, Volume, Volume]:
    r"""Fit the field to unwrapped phase by weighted least squares over echoes.

    .. math:: \min_{f} \sum_e h_e |S_e|^2
              (\varphi_e + 2\pi n_e - \varphi_0 - 2\pi f t_e)^2

    First whole turns :math:`n_e` are mended in voxels whose echoes contradict each other.
    Huber's weights :math:`h_e` hold back echoes off the line by more than `trusted`
    standard deviations of the noise. What :math:`\varphi_0` an offset correction has left is
    smooth: it is fitted to the voxels of a cube together.

    Parameters
    ----------
    unwrapped_rad : (E, I, J, K) ndarray of float
        Unwrapped phase; one image for one echo or one phase difference [rad].
    magnitude : (E, I, J, K) ndarray of float, or None
        Magnitude of the echoes, any scale; None weighs all echoes alike.
    te_s : tuple of float
        Time over which each image evolved, any spacing [s].
    b0_t : float
        Main field [T].
    mask : (I, J, K) ndarray of bool
    grid : Grid
    params : WeightedParams, optional

    Returns
    -------
    field_ppm : (I, J, K) ndarray of float32
        Field shift, positive for a higher frequency; 0 outside the mask [ppm of B0].
    noise_ppm : (I, J, K) ndarray of float32
        Standard deviation of the field, raised where the echoes disagree [ppm].
    residual_rad : (I, J, K) ndarray of float32
        Root of the |S|^2-weighted mean square misfit of the echoes; 0 for one echo [rad].

    Raises
    ------
    InputError, ParameterError
        If shapes or echo times do not fit, or a voxel is not finite.

    Notes
    -----
    The noise of |S| is one number, from the misfit over the mask; without spare echoes,
    from second differences of the phase, which is an upper bound. Of two echoes only one
    turn too many can be mended: two in the second look like one in the first. An error of
    the offset that grows or shrinks with the echoes' own noise is in neither map.
    """
    params = params or WeightedParams()
    data = prepared(unwrapped_rad, magnitude, te_s, mask, grid, params.fit_offset)
    found = fitted(data, params, grid)
    return maps(data, found.lines, found.sigma, b0_t)


def fitted(data: Prepared, params: WeightedParams, grid: Grid) -> Fitted:
    """Return the lines of all voxels, with what was found on the way."""
    count = (len(data.at), len(data.te_s))
    phase, weight = np.empty(count, dtype=np.float32), np.empty(count, dtype=np.float32)
    mended(
        data.phase, data.signal, data.te_s, data.at, data.scale, data.offset, phase, weight
    )  # fmt: skip
    lines = np.empty((6, len(data.at)), dtype=np.float32)
    shared = np.zeros(len(data.at), dtype=np.float32)

    def fit(limit: float, every: int = 1) -> None:
        fit_lines(
            phase[::every], weight[::every], data.te_s, data.offset, False, limit,
            shared[::every], lines[:, ::every],
        )  # fmt: skip

    sigma = None
    if data.spare == 0:
        fit(np.inf)
    else:
        every = sampled(len(data.at))
        fit(np.inf, every)
        fit(params.trusted * noise_of_signal(lines, data.spare))
        if params.shared_mm > 0 and len(data.te_s) > 2 and not data.offset:
            for _round in range(2):  # the second for a start that bends within the cube
                shared += shared_start(lines, data.near, grid, params.shared_mm)
                fit(params.trusted * noise_of_signal(lines, data.spare))
        sigma = noise_of_signal(lines, data.spare)
    return Fitted(lines=lines, sigma=sigma, shared_rad=shared, weight=weight)
