"""The part of the phase that does not grow with echo time: coils, receiver, vendor."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.core.blocks import Blocks, blur
from petechia.core.checks import require_between
from petechia.core.echoes import check_echo_times
from petechia.core.grid import Grid
from petechia.core.units import wrap
from petechia.errors import UnfitError
from petechia.phase.images import Volume, checked_mask, checked_phase, matching_magnitude
from petechia.phase.unwrap.romeo import romeo


@dataclass(frozen=True, slots=True, kw_only=True)
class McpcParams:
    """Settings of `mcpc3ds`.

    Attributes
    ----------
    smooth_mm : float
        Standard deviation of the Gaussian that smooths the offset [mm].
    """

    smooth_mm: float = 7.0

    def __post_init__(self) -> None:
        require_between(
            self.smooth_mm, 0.5, 50, "McpcParams.smooth_mm", "Offsets are smooth: take 5 to 10."
        )


def mcpc3ds(
    phase_rad: npt.NDArray[np.floating],
    magnitude: npt.NDArray[np.floating],
    te_s: tuple[float, ...],
    mask: npt.NDArray[np.bool_],
    grid: Grid,
    params: McpcParams | None = None,
) -> tuple[Volume, Volume]:
    r"""Remove the phase offset of a monopolar scan (MCPC-3D-S of a combined channel).

    .. math:: \varphi_0 = G * [\varphi_1 - U(\varphi_2 - \varphi_1)\, t_1 / (t_2 - t_1)]

    with U the unwrapping of the phase difference and G a Gaussian that acts on
    :math:`m_1 m_2 e^{i\varphi_0}`.

    Parameters
    ----------
    phase_rad : (E, I, J, K) ndarray of float
        Wrapped phase of two echoes or more, all read in the same direction [rad].
    magnitude : (E, I, J, K) ndarray of float
    te_s : tuple of float
        Echo times, any spacing [s].
    mask : (I, J, K) ndarray of bool
    grid : Grid
    params : McpcParams, optional

    Returns
    -------
    phase_rad : (E, I, J, K) ndarray of float32
        Wrapped phase without the offset, inside and outside the mask [rad].
    offset_rad : (I, J, K) ndarray of float32
        The offset, continued smoothly outside the mask; wrapped [rad].

    Raises
    ------
    UnfitError
        With fewer than two echoes.
    ParameterError, InputError
        If echo times or shapes do not fit.

    Notes
    -----
    Whole turns of the difference that no echo can tell change the offset by
    :math:`2\pi t_1 / (t_2 - t_1)`; the mean of the difference is taken nearest to 0. An
    offset that jumps within `smooth_mm` (a fringe line) is not followed.

    References
    ----------
    .. [1] Eckstein et al. (2018), Magn. Reson. Med. 79, 2996-3006, doi:10.1002/mrm.26963.
    """
    params = params or McpcParams()
    phase = checked_phase(phase_rad, grid)
    mask = checked_mask(mask, grid)
    if len(phase) < 2:
        raise UnfitError(
            f"{len(phase)} echo has no phase difference",
            where="mcpc3ds",
            mend="Leave the offset in: one echo cannot tell it from the field.",
        )
    check_echo_times(tuple(te_s), len(phase), "mcpc3ds.te_s")
    m = matching_magnitude(phase, magnitude, grid)
    product = np.ones(grid.shape, np.float32) if m is None else m[0] * m[1]
    step_s = te_s[1] - te_s[0]
    difference = wrap(phase[1] - phase[0])
    grown = romeo(difference[None], np.sqrt(product)[None], (step_s,), mask, grid)[0]
    raw = phase[0] - grown * np.float32(te_s[0] / step_s)
    limit = float(np.percentile(product[mask], 90)) or 1.0
    weight = np.where(mask, np.minimum(product / np.float32(limit), 1), 0).astype(np.float32)
    offset = _smooth_angle(raw, weight, grid, params.smooth_mm)
    return wrap(phase - offset), offset


def _smooth_angle(angle_rad: Volume, weight: Volume, grid: Grid, sigma_mm: float) -> Volume:
    """Return the angle of the weighted, Gaussian-smoothed phasor."""
    blocks = Blocks.of(grid, sigma_mm / 3)
    parts = [
        blocks.expand(blur(blocks.reduce(weight * turn(angle_rad)), blocks.coarse, sigma_mm))
        for turn in (np.cos, np.sin)
    ]
    return np.asarray(np.arctan2(parts[1], parts[0]), dtype=np.float32)
