"""iSMV: the background as the field that equals its own spherical means."""

import logging
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_between
from petechia.core.fourier import crop_to, irfft3, pad_to, rfft3
from petechia.core.grid import Grid
from petechia.phase.background.spheres import by_one_sphere
from petechia.phase.images import Mask, Volume

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class IsmvParams:
    """Settings of `ismv`.

    Attributes
    ----------
    radius_mm : float
        Of the sphere, and what the mask loses at its edge; never below a voxel's longest
        side [mm].
    iterations : int
        Stop after so many steps of conjugate gradients at the latest.
    tolerance : float
        Stop once the residual is below this fraction of the first one.
    """

    radius_mm: float = 4.0
    iterations: int = 100
    tolerance: float = 0.001

    def __post_init__(self) -> None:
        require_between(self.radius_mm, 0.5, 60, "IsmvParams.radius_mm", "3 to 5 is usual.")
        require_between(self.iterations, 1, 10_000, "IsmvParams.iterations", "30 to 100.")
        require_between(self.tolerance, 0.0, 0.9, "IsmvParams.tolerance", "0.001 is usual.")


def ismv(
    field_ppm: npt.NDArray[np.floating],
    mask: npt.NDArray[np.bool_],
    grid: Grid,
    params: IsmvParams | None = None,
) -> tuple[Volume, Mask]:
    r"""Remove the harmonic field whose values at the rim are those of the total field.

    The published iteration takes the spherical mean again and again, with the field kept at
    the rim, until nothing changes: until the background b fulfils

    .. math:: b = S * b \text{ in } M, \qquad b = f \text{ outside } M

    with M the voxels around which the sphere S lies in the mask. The local field is 0 at the
    rim and solves :math:`M (\delta - S) M f_\mathrm{local} = M (\delta - S) * f`, which is
    symmetric and positive: conjugate gradients need a few tens of the hundreds of means.

    Parameters
    ----------
    field_ppm : (I, J, K) ndarray of float
        Total field [ppm].
    mask : (I, J, K) ndarray of bool
        Where the field is known. Beyond the volume counts as outside the mask.
    grid : Grid
        Any spacing; the sphere is a sphere in millimetres.
    params : IsmvParams, optional

    Returns
    -------
    local_field_ppm : (I, J, K) ndarray of float32
        0 outside `mask_eroded` [ppm].
    mask_eroded : (I, J, K) ndarray of bool
        M.

    Raises
    ------
    UnfitError
        If the sphere fits nowhere.
    InputError
        If shapes disagree, the mask is empty or the field is not finite.

    Notes
    -----
    One round trip of real transforms a step. No threshold: the whole local field comes back,
    less the harmonic field that agrees with it at the rim. Its smooth part comes last: on a
    simulated head a tolerance of 0.01 had an error of 29 %, 0.001 one of 24 %.

    References
    ----------
    .. [1] Wen, Zhou, Liu, Spincemaille & Wang (2014), Magn. Reson. Med. 72, 1065-1071,
       doi:10.1002/mrm.24998.
    """
    params = params or IsmvParams()
    solve = partial(_solved, params=params)
    return by_one_sphere(field_ppm, mask, grid, params.radius_mm, "ismv", solve)


def _solved(high: Volume, fits: Mask, kernel: Volume, wide: Grid, params: IsmvParams) -> Volume:
    """Return the field that is 0 outside `fits` and less its spherical means is `high` there."""
    size = float(np.sqrt(np.vdot(high, high) / fits.sum()))
    if size == 0:
        return high
    left = 1 - kernel
    inside = pad_to(fits, wide.shape)
    residual = pad_to(high / np.float32(size), wide.shape)
    local, step = np.zeros_like(residual), residual.copy()
    first = now = float(np.vdot(residual, residual))
    n = 0
    while n < params.iterations and now > params.tolerance**2 * first:
        n += 1
        spectrum = rfft3(step)
        spectrum *= left
        change = np.asarray(irfft3(spectrum, wide.shape), dtype=np.float32)
        change *= inside
        length = np.float32(now / max(float(np.vdot(step, change)), 1e-30))
        local += length * step
        change *= length
        residual -= change
        before, now = now, float(np.vdot(residual, residual))
        step *= np.float32(now / before)
        step += residual
    log.info("iSMV: %d steps, residual %.2g of the first", n, np.sqrt(now / max(first, 1e-30)))
    return np.float32(size) * crop_to(local, fits.shape) * fits
