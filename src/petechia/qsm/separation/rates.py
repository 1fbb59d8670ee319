"""What source separation needs besides a field: R2', and where it can be believed."""

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_b0, require_between, require_finite
from petechia.core.grid import Grid
from petechia.core.morphology import Mask
from petechia.errors import ParameterError

Volume = npt.NDArray[np.float32]
RELAXIVITY = 137.0
"""R2' of one ppm of spread sources at 3 T [1/s/ppm], measured against iron in deep nuclei [1]_.

References
----------
.. [1] Shin, Lee, Yun et al. (2021), NeuroImage 240, 118371,
   doi:10.1016/j.neuroimage.2021.118371.
"""
TISSUE_R2 = {"white matter": 1 / 0.069, "grey matter": 1 / 0.099}
"""R2 at 3 T [1/s]; at 1.5 T the same to 5 % [1]_.

References
----------
.. [1] Stanisz, Odrobina, Pun et al. (2005), Magn. Reson. Med. 54, 507-512,
   doi:10.1002/mrm.20605.
"""
R2_FROM_T, R2_TO_T = 1.4, 3.1


def relaxivity_at(b0_t: float, at_3t: float) -> float:
    """Return R2' per ppm at a main field [1/s/ppm]: it grows with the field."""
    require_b0(b0_t, "b0_t")
    return at_3t * b0_t / 3.0


def assumed_r2(b0_t: float) -> float:
    """Return the R2 that stands for all tissue where none was measured [1/s].

    The mean of white and grey matter at 1.5 to 3 T: a mistake of 2.2 1/s in each of them, and
    more in iron-rich nuclei, where R2 itself grows with iron.

    Raises
    ------
    ParameterError
        At other fields, for which no value is kept.
    """
    if not R2_FROM_T <= b0_t <= R2_TO_T:
        raise ParameterError(
            f"no R2 of tissue is kept for {b0_t:g} T",
            where="R2",
            mend="Give the R2 of tissue in 1/s (--r2), or a map of R2 or R2'.",
        )
    return float(np.mean(list(TISSUE_R2.values())))


def r2prime_from(
    r2star: npt.NDArray[np.floating], r2: npt.NDArray[np.floating] | float, mask: Mask, grid: Grid
) -> Volume:
    """Return R2' = R2* - R2, at least 0 [1/s]; 0 outside the mask.

    Parameters
    ----------
    r2star : (I, J, K) ndarray of float
        [1/s]
    r2 : (I, J, K) ndarray of float, or float
        Measured, or one value for all tissue [1/s].
    mask : (I, J, K) ndarray of bool
        Brain.
    grid : Grid
        Geometry.

    Raises
    ------
    GridMismatchError
        If an array is not on `grid`.
    InputError
        If a rate is not finite inside the mask.
    """
    grid.require(r2star, "r2star")
    grid.require(mask, "mask")
    if isinstance(r2, np.ndarray):
        grid.require(r2, "r2")
        require_finite(np.where(mask, r2, 0), "r2")
    else:
        require_between(r2, 0.0, 1e4, "r2", "Give the R2 of tissue in 1/s, e.g. 12.")
    require_finite(np.where(mask, r2star, 0), "r2star")
    rate = np.where(mask, np.asarray(r2star, dtype=np.float32) - np.float32(r2), 0)
    return np.maximum(rate, 0).astype(np.float32)


def decay_seen(
    magnitude: npt.NDArray[np.floating], noise_sd: float, grid: Grid, snr: float = 5.0
) -> Mask:
    """Return where a decay can be measured: the third echo is still above the noise.

    Parameters
    ----------
    magnitude : (E, I, J, K) ndarray of float
        Echoes; of two, the second is asked.
    noise_sd : float
        Noise of the real and imaginary part.
    grid : Grid
        Geometry.
    snr : float
        Signal over noise that is asked for.

    Notes
    -----
    The void of a bleed or stone has no signal from the second echo on. What R2* is there is
    not known, so what is mixed there is not either: both maps are blank in it.
    """
    grid.require(magnitude, "magnitude")
    if magnitude.ndim != 4 or len(magnitude) < 2:
        raise ParameterError(
            "one echo has no decay",
            where="magnitude",
            mend="Source separation needs two echoes or more.",
        )
    last = magnitude[min(2, len(magnitude) - 1)]
    return np.asarray(last > snr * max(noise_sd, 0.0))
