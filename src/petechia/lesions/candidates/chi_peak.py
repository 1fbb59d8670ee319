"""Peaks of susceptibility of either sign."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.core.grid import Grid
from petechia.core.robust import ENOUGH, robust_sd
from petechia.errors import ParameterError
from petechia.lesions.candidates.found import Candidates, local_maxima, merge_scales


@dataclass(frozen=True, slots=True, kw_only=True)
class ChiPeakParams:
    """Settings of `chi_peak`.

    Attributes
    ----------
    smooth_mm, surround_mm : float
        Standard deviations of the two Gaussians whose difference is searched [mm].
    threshold_ppm : float
        Least height above the surroundings [ppm].
    threshold_sd : float
        Least height in robust standard deviations.
    limit : int
        At most so many candidates.
    """

    smooth_mm: float = 0.5
    surround_mm: float = 3.0
    threshold_ppm: float = 0.06
    threshold_sd: float = 4.0
    limit: int = 1000

    def __post_init__(self) -> None:
        if not 0 < self.smooth_mm < self.surround_mm or self.threshold_ppm <= 0 or self.limit < 1:
            raise ParameterError(
                f"smooth_mm={self.smooth_mm}, surround_mm={self.surround_mm}, "
                f"threshold_ppm={self.threshold_ppm}, limit={self.limit}",
                where="ChiPeakParams",
                mend="0 < smooth_mm < surround_mm, threshold_ppm above 0, limit 1 or more.",
            )


def chi_peak(
    chi_ppm: npt.NDArray[np.floating],
    mask: npt.NDArray[np.bool_],
    grid: Grid,
    params: ChiPeakParams | None = None,
) -> Candidates:
    """Find peaks and pits of susceptibility above their surroundings.

    Parameters
    ----------
    chi_ppm : (I, J, K) ndarray of float
        Susceptibility; the reference does not matter [ppm].
    mask : (I, J, K) ndarray of bool
        Where to look.
    grid : Grid
        Geometry.
    params : ChiPeakParams
        Settings.

    Returns
    -------
    Candidates
        `sign` +1 for peaks, -1 for pits; score = height over its robust deviation.

    References
    ----------
    .. [1] Liu et al. (2012), Radiology 262, 269-278, doi:10.1148/radiol.11110251.
    """
    p = params or ChiPeakParams()
    grid.require(chi_ppm, "chi_ppm")
    grid.require(mask, "mask")
    if not mask.any():
        return Candidates.none()
    chi = np.where(mask, chi_ppm, 0).astype(np.float32)
    spacing = grid.spacing_mm
    height = ndimage.gaussian_filter(chi, p.smooth_mm / spacing, truncate=3.0)
    height -= ndimage.gaussian_filter(chi, p.surround_mm / spacing, truncate=3.0)
    sd = robust_sd(height[mask], 0.0, ENOUGH)
    floor = max(p.threshold_ppm, p.threshold_sd * sd)
    scales, signs = [], []
    for sign in (1, -1):
        places = local_maxima(sign * height, mask, floor)
        score = sign * height[tuple(places.T)] / max(sd, 0.1 * p.threshold_ppm)
        scales.append((places, score, 1.5))
        signs.append(np.full(len(places), sign, dtype=np.int8))
    return merge_scales(scales, spacing, p.limit, signs)
