"""Dark blobs: maxima of the scale-normalised Laplacian of Gaussian."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.core.fourier import crop_to, frequencies, irfft3, pad_to, padded_grid, rfft3
from petechia.core.grid import Grid
from petechia.core.robust import ENOUGH, robust_sd
from petechia.errors import ParameterError
from petechia.lesions.candidates.found import Candidates, local_maxima, merge_scales


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobParams:
    """Settings of `blob`.

    Attributes
    ----------
    radii_mm : tuple of float
        Radii of the balls that the scales match best; scale = radius / sqrt(3) [mm].
    threshold : float
        Least response, in relative signal (a void of matching size gives about 0.5).
    threshold_sd : float
        Least response, in robust standard deviations of the response.
    limit : int
        At most so many candidates.
    """

    radii_mm: tuple[float, ...] = (0.8, 1.3, 2.1, 3.4, 5.0)
    threshold: float = 0.05
    threshold_sd: float = 4.0
    limit: int = 1500

    def __post_init__(self) -> None:
        if not self.radii_mm or min(self.radii_mm) <= 0 or self.threshold <= 0 or self.limit < 1:
            raise ParameterError(
                f"radii_mm={self.radii_mm}, threshold={self.threshold}, limit={self.limit}",
                where="BlobParams",
                mend="Give radii and a threshold above 0 and a limit of 1 or more.",
            )


def blob(
    relative_signal: npt.NDArray[np.floating],
    mask: npt.NDArray[np.bool_],
    grid: Grid,
    params: BlobParams | None = None,
) -> Candidates:
    r"""Find dark spots by their size in millimetres.

    .. math:: R_s = s^2 \nabla^2 (G_s * S), \qquad s = r / \sqrt 3

    Exact in Fourier space for any voxel: along a slice axis too thick for a scale, the
    derivative fades instead of failing.

    Parameters
    ----------
    relative_signal : (I, J, K) ndarray of float
        1 in undisturbed tissue, 0 in a void.
    mask : (I, J, K) ndarray of bool
        Where to look.
    grid : Grid
        Geometry.
    params : BlobParams
        Settings.

    Returns
    -------
    Candidates
        Score = response over its robust standard deviation.

    References
    ----------
    .. [1] Lindeberg (1998), Int. J. Comput. Vis. 30, 79-116, doi:10.1023/A:1008045108935.
    """
    p = params or BlobParams()
    grid.require(relative_signal, "relative_signal")
    grid.require(mask, "mask")
    if not mask.any():
        return Candidates.none()
    wide = padded_grid(grid, 2 * max(p.radii_mm))
    spectrum = rfft3(pad_to(np.where(mask, 1 - relative_signal, 0), wide.shape))
    k_squared = sum((2 * np.pi * k) ** 2 for k in frequencies(wide))
    scales = []
    for radius in p.radii_mm:
        s2k2 = np.float32(radius**2 / 3) * k_squared
        response = crop_to(irfft3(spectrum * (s2k2 * np.exp(-s2k2 / 2)), wide.shape), grid.shape)
        sd = robust_sd(response[mask], 0.0, ENOUGH)
        places = local_maxima(response, mask, max(p.threshold, p.threshold_sd * sd))
        # 0.02: without any texture a score stays finite
        scales.append((places, response[tuple(places.T)] / max(sd, 0.02), radius))
    return merge_scales(scales, grid.spacing_mm, p.limit)
