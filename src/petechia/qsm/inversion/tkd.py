"""Thresholded k-space division."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_between
from petechia.core.grid import Grid
from petechia.core.kernels import dipole_kernel
from petechia.core.morphology import Mask
from petechia.qsm.inversion.closed_form import centre_of_spread, multiplied

Volume = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class TkdParams:
    """Settings of `tkd`.

    Attributes
    ----------
    threshold : float
        Least absolute value of the kernel divided by; below it, this value with the
        kernel's sign is used. At most 2/3.
    corrected : bool
        Undo the mean loss of contrast that the threshold causes.
    pad_mm : float
        Zeros against the wrap-around of the streaks [mm].
    """

    threshold: float = 0.2
    corrected: bool = True
    pad_mm: float = 30.0

    def __post_init__(self) -> None:
        require_between(
            self.threshold,
            1e-3,
            0.66,
            "TkdParams.threshold",
            "0.1 to 0.3 is usual: larger has less noise and fewer streaks, and less contrast.",
        )
        require_between(self.pad_mm, 0.0, 500.0, "TkdParams.pad_mm", "Give millimetres, e.g. 30.")


def tkd(
    field_ppm: npt.NDArray[np.floating],
    mask: Mask,
    grid: Grid,
    params: TkdParams = TkdParams(),
) -> Volume:
    r"""Divide the local field by the dipole kernel, away from the kernel's zeros.

    .. math:: \chi(k) = f(k) / D_t(k), \qquad
        D_t = \begin{cases} D & |D| > t \\ t \, \mathrm{sign} D & |D| \le t \end{cases}

    Parameters
    ----------
    field_ppm : (I, J, K) ndarray of float
        Local field, background removed [ppm].
    mask : (I, J, K) ndarray of bool
        Where `field_ppm` is valid.
    grid : Grid
        Geometry; its affine gives the direction of the main field.
    params : TkdParams
        Settings.

    Returns
    -------
    chi_ppm : (I, J, K) ndarray of float32
        Susceptibility [ppm], not yet referenced; 0 outside `mask`.

    Raises
    ------
    GridMismatchError
        If an array is not on `grid`.
    InputError
        If the field is not finite.

    Notes
    -----
    Two transforms; streaks along the magic angle remain. The correction divides by the
    centre of the point-spread function, the mean of D / D_t over k-space [2]_.

    References
    ----------
    .. [1] Shmueli, de Zwart, van Gelderen et al. (2009), Magn. Reson. Med. 62, 1510-1522,
       doi:10.1002/mrm.22135.
    .. [2] Schweser, Deistung, Sommer & Reichenbach (2013), Magn. Reson. Med. 69, 1582-1594,
       doi:10.1002/mrm.24405.
    """
    return multiplied(field_ppm, mask, grid, params.pad_mm, partial(_inverse, params))


def _inverse(params: TkdParams, grid: Grid) -> Volume:
    kernel = dipole_kernel(grid)
    inverse = thresholded_inverse(kernel, params.threshold)
    if params.corrected:
        inverse /= np.float32(centre_of_spread(kernel * inverse, grid.shape[2]))
    return inverse


def thresholded_inverse(kernel: Volume, threshold: float) -> Volume:
    """Return 1 / D where |D| exceeds `threshold`, its sign / threshold below, 0 at D = 0."""
    limited = np.copysign(np.maximum(np.abs(kernel), np.float32(threshold)), kernel)
    return np.where(kernel == 0, np.float32(0), 1 / limited).astype(np.float32)
