"""Closed-form inversion with a penalty on the squared map itself (Tikhonov)."""

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
class TikhonovParams:
    """Settings of `tikhonov`.

    Attributes
    ----------
    strength : float
        Weight of the squared map, beside the squared kernel's 0 to 4/9.
    corrected : bool
        Undo the mean loss of contrast that the penalty causes.
    pad_mm : float
        Zeros against the wrap-around of the streaks [mm].
    """

    strength: float = 0.01
    corrected: bool = True
    pad_mm: float = 20.0

    def __post_init__(self) -> None:
        regular = "Larger has less noise, fewer streaks and less contrast: 0.005 to 0.1 is usual."
        pad = "Give millimetres, e.g. 20."
        require_between(self.strength, 1e-8, 1e4, "TikhonovParams.strength", regular)
        require_between(self.pad_mm, 0.0, 500.0, "TikhonovParams.pad_mm", pad)


def tikhonov(
    field_ppm: npt.NDArray[np.floating],
    mask: Mask,
    grid: Grid,
    params: TikhonovParams = TikhonovParams(),
) -> Volume:
    r"""Invert the local field with a small map, in two transforms.

    .. math:: \chi(k) = \frac{D \, f(k)}{D^2 + \alpha}

    `l2` penalises the map's gradient instead, which keeps more of what is smooth.

    Parameters
    ----------
    field_ppm : (I, J, K) ndarray of float
        Local field, background removed [ppm].
    mask : (I, J, K) ndarray of bool
        Where `field_ppm` is valid.
    grid : Grid
        Geometry; its affine gives the direction of the main field.
    params : TikhonovParams
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
    The correction divides by the centre of the point-spread function, as that of `tkd`.

    References
    ----------
    .. [1] Kressler, de Rochefort, Liu et al. (2010), IEEE Trans. Med. Imaging 29, 273-281,
       doi:10.1109/TMI.2009.2023787.
    """
    return multiplied(field_ppm, mask, grid, params.pad_mm, partial(_inverse, params))


def _inverse(params: TikhonovParams, grid: Grid) -> Volume:
    kernel = dipole_kernel(grid)
    inverse = kernel / (kernel * kernel + np.float32(params.strength))
    if params.corrected:
        inverse /= np.float32(centre_of_spread(kernel * inverse, grid.shape[2]))
    return inverse
