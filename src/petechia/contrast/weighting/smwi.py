"""Susceptibility map-weighted imaging: all echoes, weighted with either sign of the map."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from petechia.contrast.combine import combine_magnitude
from petechia.contrast.weighting.tswi import weighted
from petechia.core.checks import require_between, require_finite
from petechia.core.grid import Grid
from petechia.errors import ParameterError

Sources = Literal["paramagnetic", "diamagnetic"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SmwiParams:
    """Settings of `smwi`.

    Attributes
    ----------
    sources : str
        What is darkened: 'paramagnetic' (iron, blood, veins) or 'diamagnetic' (calcium, myelin).
    threshold_ppm : float
        Susceptibility, of that sign, from which on the image is 0 [ppm].
    power : float
        How often the mask is multiplied.
    """

    sources: Sources = "paramagnetic"
    threshold_ppm: float = 1.0
    power: float = 4.0

    def __post_init__(self) -> None:
        require_between(
            self.threshold_ppm, 1e-3, 20.0, "SmwiParams.threshold_ppm", "1 is usual; above 0."
        )
        require_between(self.power, 0.0, 50.0, "SmwiParams.power", "4 is usual.")
        if self.sources not in get_args(Sources):
            raise ParameterError(
                f"{self.sources!r} are no sources",
                where="SmwiParams.sources",
                mend=f"Choose {' or '.join(get_args(Sources))}.",
            )


def smwi(
    magnitude: npt.NDArray[np.floating],
    te_s: tuple[float, ...],
    chi_ppm: npt.NDArray[np.floating],
    grid: Grid,
    params: SmwiParams = SmwiParams(),
) -> npt.NDArray[np.float32]:
    r"""Darken all echoes combined where the susceptibility has the chosen sign.

    .. math:: \mathrm{SMWI} = \sqrt{\textstyle\sum_e |S_e|^2} \;
        \mathrm{clip}\left(1 - \frac{\pm \chi}{\chi_{th}}, 0, 1\right)^m

    Parameters
    ----------
    magnitude : (E, I, J, K) ndarray of float
        Echoes; one will do.
    te_s : (E,) tuple of float
        Echo times [s].
    chi_ppm : (I, J, K) ndarray of float
        Susceptibility, 0 where it is not known [ppm].
    grid : Grid
        Geometry.
    params : SmwiParams
        Settings.

    Returns
    -------
    smwi : (I, J, K) ndarray of float32
        In the units of the echoes times the root of their number; the combined magnitude
        where the susceptibility is 0 or of the other sign.

    Raises
    ------
    GridMismatchError
        If an array is not on `grid`.
    InputError
        If an array is not finite, or the echoes are not stacked or do not fit their times.

    References
    ----------
    .. [1] Gho, Liu, Li, Jang, Kim, Hwang & Kim (2014), Magn. Reson. Med. 72, 337-346,
       doi:10.1002/mrm.24920.
    """
    grid.require(magnitude, "magnitude")
    grid.require(chi_ppm, "chi_ppm")
    require_finite(chi_ppm, "chi_ppm")
    combined = combine_magnitude(magnitude, te_s)
    sign = 1.0 if params.sources == "paramagnetic" else -1.0
    return weighted(combined, chi_ppm, 0.0, sign * params.threshold_ppm, params.power)
