"""Susceptibility-weighted imaging."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_between, require_finite
from petechia.core.grid import Grid
from petechia.errors import ParameterError

PhaseMask = Literal["positive", "negative", "triangular"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SwiParams:
    """Settings of `swi`.

    Attributes
    ----------
    power : float
        How often the phase mask multiplies the magnitude; 4 is usual, 0 returns the
        magnitude.
    paramagnetic_phase_sign : int
        Sign of the phase to darken. +1 for signal = |S| exp(+i 2 pi f te), where a vein
        along the field has positive phase; -1 for scanners of the other handedness.
    mask : str
        Phase to darken, in the handedness of exp(+i 2 pi f te): 'positive' (veins along the
        field, the rims of blood), 'negative' (calcium, veins across the field), 'triangular'
        (both). Papers of the other handedness call 'negative' what is 'positive' here.
    """

    power: float = 4.0
    paramagnetic_phase_sign: int = 1
    mask: PhaseMask = "positive"

    def __post_init__(self) -> None:
        require_between(self.power, 0.0, 50.0, "SwiParams.power", "4 is usual.")
        if self.paramagnetic_phase_sign not in (-1, 1):
            raise ParameterError(
                f"{self.paramagnetic_phase_sign} is neither +1 nor -1",
                where="SwiParams.paramagnetic_phase_sign",
                mend="Give +1 for phase that grows with frequency, -1 for the reverse.",
            )
        if self.mask not in get_args(PhaseMask):
            raise ParameterError(
                f"{self.mask!r} is no phase mask",
                where="SwiParams.mask",
                mend=f"Choose one of {', '.join(get_args(PhaseMask))}.",
            )


def swi(
    magnitude: npt.NDArray[np.floating],
    highpass_rad: npt.NDArray[np.floating],
    grid: Grid,
    params: SwiParams = SwiParams(),
) -> npt.NDArray[np.float32]:
    r"""Darken the magnitude where the high-pass phase is that of paramagnetic matter.

    .. math:: \mathrm{SWI} = |S| \, m^n, \qquad
        m = \mathrm{clip}(1 - s \varphi_{hp} / \pi, 0, 1)

    With the mask 'negative' s changes its sign; 'triangular' takes the phase's size.

    Parameters
    ----------
    magnitude : (I, J, K) ndarray of float
        Magnitude.
    highpass_rad : (I, J, K) ndarray of float
        High-pass phase; beyond pi the mask stays 0 [rad].
    grid : Grid
        Geometry.
    params : SwiParams
        Settings: the power n and the sign s.

    Returns
    -------
    swi : (I, J, K) ndarray of float32
        Between 0 and `magnitude`; the magnitude itself where the phase is 0.

    Raises
    ------
    GridMismatchError
        If an array is not on `grid`.
    InputError
        If an array is not finite.

    Notes
    -----
    Phase is not susceptibility: the field of a vein across the main field, and of a
    lesion at its equator, has the other sign. Do not read blood or calcium off an SWI.

    References
    ----------
    .. [1] Haacke, Xu, Cheng & Reichenbach (2004), Magn. Reson. Med. 52, 612-618,
       doi:10.1002/mrm.20198.
    """
    for name, array in (("magnitude", magnitude), ("highpass_rad", highpass_rad)):
        grid.require(array, name)
        require_finite(array, name)
    phase = np.asarray(highpass_rad, dtype=np.float32)
    sign = params.paramagnetic_phase_sign / np.pi
    if params.mask == "negative":
        sign = -sign
    elif params.mask == "triangular":
        phase, sign = np.abs(phase), 1 / np.pi
    mask = 1 - np.float32(sign) * phase
    np.clip(mask, 0, 1, out=mask)
    if params.power == 4:  # two squares are ten times faster than a power
        np.square(np.square(mask, out=mask), out=mask)
    else:
        np.power(mask, np.float32(params.power), out=mask)
    mask *= magnitude
    return mask
