"""Thresholded k-space division."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_between, require_finite
from petechia.core.fourier import crop_to, irfft3, pad_to, padded_grid, rfft3
from petechia.core.grid import Grid
from petechia.core.kernels import dipole_kernel
from petechia.core.morphology import Mask, bounding_box

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
    grid.require(field_ppm, "field_ppm")
    grid.require(mask, "mask")
    require_finite(field_ppm, "field_ppm")
    out = np.zeros(grid.shape, dtype=np.float32)
    if not mask.any():
        return out
    box = bounding_box(mask)
    near, inside = grid.cut(box), mask[box]
    wide = padded_grid(near, params.pad_mm)
    kernel = dipole_kernel(wide)
    inverse = thresholded_inverse(kernel, params.threshold)
    if params.corrected:
        inverse /= np.float32(centre_of_spread(kernel * inverse, wide.shape[2]))
    spectrum = rfft3(pad_to(np.where(inside, field_ppm[box], 0), wide.shape))
    spectrum *= inverse
    out[box] = crop_to(irfft3(spectrum, wide.shape), near.shape) * inside
    return out


def thresholded_inverse(kernel: Volume, threshold: float) -> Volume:
    """Return 1 / D where |D| exceeds `threshold`, its sign / threshold below, 0 at D = 0."""
    limited = np.copysign(np.maximum(np.abs(kernel), np.float32(threshold)), kernel)
    return np.where(kernel == 0, np.float32(0), 1 / limited).astype(np.float32)


def centre_of_spread(transfer: Volume, n_last: int) -> float:
    """Return the mean over full k-space of `transfer`, given on the half spectrum."""
    twice = np.full(transfer.shape[-1], 2.0)
    twice[0] = 1.0
    if n_last % 2 == 0:
        twice[-1] = 1.0
    return float(np.average(transfer.mean(axis=(0, 1), dtype=np.float64), weights=twice))
