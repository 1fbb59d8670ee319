"""Closed-form inversion with a penalty on the squared gradient."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_between
from petechia.core.grid import Grid
from petechia.core.kernels import dipole_kernel
from petechia.core.morphology import Mask
from petechia.qsm.inversion.closed_form import multiplied
from petechia.qsm.inversion.gradients import laplacian_spectrum

Volume = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class L2Params:
    """Settings of `l2`.

    Attributes
    ----------
    strength : float
        Weight of the squared gradient [mm^2].
    pad_mm : float
        Zeros against the wrap-around of the streaks [mm].
    """

    strength: float = 0.015
    pad_mm: float = 20.0

    def __post_init__(self) -> None:
        regular = "Larger is smoother and streaks less: 0.005 to 0.1 is usual."
        require_between(self.strength, 1e-8, 1e4, "L2Params.strength", regular)
        require_between(self.pad_mm, 0.0, 500.0, "L2Params.pad_mm", "Give millimetres, e.g. 20.")


def l2(
    field_ppm: npt.NDArray[np.floating],
    mask: Mask,
    grid: Grid,
    params: L2Params = L2Params(),
) -> Volume:
    r"""Invert the local field with a smooth map, in two transforms.

    .. math:: \chi(k) = \frac{D \, f(k)}{D^2 + \lambda |G|^2}

    with :math:`|G|^2` the spectrum of the squared forward differences per millimetre.

    Parameters
    ----------
    field_ppm : (I, J, K) ndarray of float
        Local field, background removed [ppm].
    mask : (I, J, K) ndarray of bool
        Where `field_ppm` is valid.
    grid : Grid
        Geometry; its affine gives the direction of the main field.
    params : L2Params
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

    References
    ----------
    .. [1] Bilgic, Chatnuntawech, Fan et al. (2014), J. Magn. Reson. Imaging 40, 181-191,
       doi:10.1002/jmri.24365.
    """
    return multiplied(field_ppm, mask, grid, params.pad_mm, partial(_inverse, params))


def _inverse(params: L2Params, grid: Grid) -> Volume:
    kernel = dipole_kernel(grid)
    below = laplacian_spectrum(grid)
    below *= np.float32(params.strength)
    below += kernel * kernel
    below[0, 0, 0] = np.inf  # the mean makes no field: left at 0
    return np.asarray(kernel / below, dtype=np.float32)
