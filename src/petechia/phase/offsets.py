"""The part of the phase that does not grow with echo time: coils, receiver, vendor."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.core.echoes import check_echo_times
from petechia.core.grid import Grid
from petechia.errors import UnfitError
from petechia.phase.evolution import (
    BIPOLAR_RAD,
    McpcParams,
    against_first,
    evolve,
    weight_of,
)
from petechia.phase.images import Volume, checked_mask, checked_phase, matching_magnitude
from petechia.phase.smooth import difference, smooth_angle

__all__ = ["McpcParams", "Offsets", "mcpc3ds", "remove_offsets"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Offsets:
    """Phase without offsets, and what was taken away.

    Attributes
    ----------
    phase_rad : (E, I, J, K) ndarray of float32
        Wrapped phase without the offset, inside and outside the mask [rad].
    offset_rad : (I, J, K) ndarray of float32
        The offset of all echoes, continued smoothly outside the mask; wrapped [rad].
    bipolar_rad : (I, J, K) ndarray of float32, or None
        What even echoes (the second, the fourth) had besides; None for a monopolar scan, or
        when fewer than three echoes cannot tell [rad].
    alternation_rad : float, or None
        Root mean square of its linear part, also when it was too small to be removed; None when
        it was not looked for [rad].
    """

    phase_rad: Volume
    offset_rad: Volume
    bipolar_rad: Volume | None
    alternation_rad: float | None

    @property
    def says(self) -> str:
        """The finding in one sentence."""
        if self.alternation_rad is None:
            return "Whether echoes are read in alternating directions was not looked for."
        size = f"{self.alternation_rad:.2g} rad (rms) between odd and even echoes"
        if self.bipolar_rad is not None:
            return f"Echoes are read in alternating directions (bipolar): {size}, removed."
        chance = ", no more than noise makes" if self.alternation_rad >= BIPOLAR_RAD else ""
        return f"Echoes are read in one direction (monopolar): {size}{chance}."


def remove_offsets(
    phase_rad: npt.NDArray[np.floating],
    magnitude: npt.NDArray[np.floating],
    te_s: tuple[float, ...],
    mask: npt.NDArray[np.bool_],
    grid: Grid,
    params: McpcParams | None = None,
) -> Offsets:
    r"""Remove the phase offset of a combined channel (MCPC-3D-S), mono- or bipolar.

    .. math:: \varphi_0 = G * [\varphi_1 - u\, t_1 / (t_2 - t_1)], \quad
        u = U(\varphi_2 - \varphi_1) - b

    with U the unwrapping, G a Gaussian that acts on :math:`m_1 m_2 e^{i\varphi_0}`, and b
    the phase that even echoes of a bipolar readout have more than odd ones.

    Parameters
    ----------
    phase_rad : (E, I, J, K) ndarray of float
        Wrapped phase of two echoes or more; three for a bipolar scan [rad].
    magnitude : (E, I, J, K) ndarray of float
    te_s : tuple of float
        Echo times, any spacing [s].
    mask : (I, J, K) ndarray of bool
    grid : Grid
    params : McpcParams, optional

    Returns
    -------
    Offsets

    Raises
    ------
    UnfitError
        With fewer than two echoes, or two of a scan that is stated to be bipolar.
    ParameterError, InputError
        If echo times or shapes do not fit.

    Notes
    -----
    Whole turns of the difference that no echo can tell change the offset by
    :math:`2\pi t_1 / (t_2 - t_1)`; the mean of the difference is taken nearest to 0, and so
    is that of b, which the echoes leave open by :math:`2\pi (t_2 - t_1) / (t_3 - t_1)`:
    either is a constant field. An offset that jumps within `smooth_mm` (a fringe line) is not
    followed.

    References
    ----------
    .. [1] Eckstein et al. (2018), Magn. Reson. Med. 79, 2996-3006, doi:10.1002/mrm.26963.
    """
    params = params or McpcParams()
    phase = checked_phase(phase_rad, grid)
    mask = checked_mask(mask, grid)
    require_echoes(len(phase), params, "remove_offsets")
    check_echo_times(tuple(te_s), len(phase), "remove_offsets.te_s")
    m = matching_magnitude(phase, magnitude, grid)
    with_first = [
        np.ones(grid.shape, np.float32) if m is None else m[0] * m[e]
        for e in range(1, min(3, len(phase)))
    ]
    several = len(phase) > 2 and params.bipolar != "no"
    evolution = evolve(
        against_first(phase, 1),
        with_first[0],
        against_first(phase, 2) if several else None,
        with_first[1] if several else None,
        tuple(te_s),
        mask,
        grid,
        params,
    )
    raw = phase[0] - evolution.step_rad * np.float32(te_s[0] / evolution.step_s)
    offset = smooth_angle(raw, weight_of(with_first[0], mask), grid, params.smooth_mm)
    even = offset if evolution.bipolar_rad is None else offset + evolution.bipolar_rad
    out = np.empty(phase.shape, dtype=np.float32)
    for e, image in enumerate(phase):
        out[e] = difference(image, even if e % 2 else offset)
    return Offsets(
        phase_rad=out,
        offset_rad=offset,
        bipolar_rad=evolution.bipolar_rad,
        alternation_rad=evolution.alternation_rad,
    )


def mcpc3ds(
    phase_rad: npt.NDArray[np.floating],
    magnitude: npt.NDArray[np.floating],
    te_s: tuple[float, ...],
    mask: npt.NDArray[np.bool_],
    grid: Grid,
    params: McpcParams | None = None,
) -> tuple[Volume, Volume]:
    """Return phase without offset, and the offset, of a monopolar scan: see `remove_offsets`."""
    smooth_mm = (params or McpcParams()).smooth_mm
    settings = McpcParams(smooth_mm=smooth_mm, bipolar="no")
    found = remove_offsets(phase_rad, magnitude, te_s, mask, grid, settings)
    return found.phase_rad, found.offset_rad


def require_echoes(n_echoes: int, params: McpcParams, where: str) -> None:
    """Raise `UnfitError` unless there are echoes enough to know the offset."""
    if n_echoes < 2:
        raise UnfitError(
            f"{n_echoes} echo has no phase difference",
            where=where,
            mend="Leave the offset in: one echo cannot tell it from the field.",
        )
    if n_echoes < 3 and params.bipolar == "yes":
        raise UnfitError(
            f"{n_echoes} echoes of a bipolar readout",
            where=where,
            mend="Leave the offset in: three echoes are needed to know the phase of even ones.",
        )
