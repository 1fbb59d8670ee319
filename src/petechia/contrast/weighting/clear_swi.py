"""CLEAR-SWI: every echo weighs in, and the phase mask sets its own scale."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.contrast.combine import combine_magnitude
from petechia.contrast.planefit import without_planes
from petechia.core.checks import require_between, require_finite
from petechia.core.grid import Grid
from petechia.core.morphology import Mask
from petechia.errors import ParameterError

Volume = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearSwiParams:
    """Settings of `clear_swi`.

    Attributes
    ----------
    strength : float
        How strongly phase darkens; 4 is the published value.
    sigma_vox : float
        Width of the Gaussian of the high-pass filter within slices [voxels].
    paramagnetic_phase_sign : int
        Sign of the phase to darken: +1 for signal = |S| exp(+i 2 pi f te), -1 for the other
        handedness.
    """

    strength: float = 4.0
    sigma_vox: float = 4.0
    paramagnetic_phase_sign: int = 1

    def __post_init__(self) -> None:
        require_between(self.strength, 0.1, 100.0, "ClearSwiParams.strength", "4 is usual.")
        require_between(self.sigma_vox, 0.5, 50.0, "ClearSwiParams.sigma_vox", "4 is usual.")
        if self.paramagnetic_phase_sign not in (-1, 1):
            raise ParameterError(
                f"{self.paramagnetic_phase_sign} is neither +1 nor -1",
                where="ClearSwiParams.paramagnetic_phase_sign",
                mend="Give +1 for phase that grows with frequency, -1 for the reverse.",
            )


def clear_swi(
    magnitude: npt.NDArray[np.floating],
    te_s: tuple[float, ...],
    field_ppm: npt.NDArray[np.floating],
    mask: Mask,
    grid: Grid,
    params: ClearSwiParams = ClearSwiParams(),
) -> Volume:
    r"""Weigh the combined magnitude with the high-pass of the combined phase.

    .. math::
        \mathrm{SWI} = \sqrt{\textstyle\sum_e |S_e|^2} \;
        \tfrac12 \left( 1 + \tanh (1 - f_{hp} / m) \right)

    with f the phase of all echoes, unwrapped and combined by signal to noise: the total field;
    and m the median of the positive part of its high-pass, times 10 / strength.

    Parameters
    ----------
    magnitude : (E, I, J, K) ndarray of float
        Echoes; one will do.
    te_s : (E,) tuple of float
        Echo times [s].
    field_ppm : (I, J, K) ndarray of float
        Total field, of echoes weighted with their squared magnitude and echo time [ppm].
    mask : (I, J, K) ndarray of bool
        Where the field is valid; elsewhere its high-pass is 0.
    grid : Grid
        Geometry.
    params : ClearSwiParams
        Settings.

    Returns
    -------
    swi : (I, J, K) ndarray of float32
        In the units of the echoes times the root of their number; 0.88 of the combined
        magnitude where there is no phase.

    Raises
    ------
    GridMismatchError
        If an array is not on `grid`.
    InputError
        If an array is not finite, or the echoes are not stacked.
    ParameterError
        If the echo times do not fit.

    Notes
    -----
    The mask's scale follows the phase of the scan itself: doubling the field changes nothing.
    The paper's correction for receive sensitivity and its softening of bright signal are left
    out, and the smooth part is a plane fitted around each voxel, not a mean.

    References
    ----------
    .. [1] Eckstein, Bachrata, Hangel et al. (2021), NeuroImage 237, 118175,
       doi:10.1016/j.neuroimage.2021.118175.
    """
    grid.require(magnitude, "magnitude")
    combined = combine_magnitude(magnitude, te_s)
    grid.require(field_ppm, "field_ppm")
    grid.require(mask, "mask")
    require_finite(field_ppm, "field_ppm")
    level = float(np.mean(field_ppm[mask], dtype=np.float64)) if mask.any() else 0.0
    phase = np.where(mask, field_ppm - level, 0).astype(np.float32)
    phase = without_planes(phase, mask, (params.sigma_vox, params.sigma_vox), grid.slice_axis)
    weights = sigmoid(phase, params.paramagnetic_phase_sign, params.strength)
    weights *= combined
    return weights


def sigmoid(phase: Volume, sign: int, strength: float) -> Volume:
    """Return the mask (1 + tanh(1 - phase / m)) / 2, m from the median of positive phase."""
    signed = phase if sign > 0 else -phase
    positive = signed[signed > 0]
    if not positive.size:
        return np.full_like(phase, 0.5 * (1 + np.tanh(1.0)))
    scale = np.float32(-strength / (10 * float(np.median(positive))))
    out = signed * scale
    out += 1
    np.tanh(out, out=out)
    out += 1
    out *= np.float32(0.5)
    return out
