"""Sheets: the likeness to a plate, which a tube measure calls nothing."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.anatomy.vesselness.hessian import (
    ScaleParams,
    Smooth,
    Volume,
    eigenvalues,
    largest_over_widths,
    require_shares,
    second_differences,
)
from petechia.core.compiled import compiled
from petechia.core.grid import Grid
from petechia.core.morphology import Mask


@dataclass(frozen=True, slots=True, kw_only=True)
class PlateParams(ScaleParams):
    """Settings of `plate`: those of `ScaleParams` and how strict it is.

    Attributes
    ----------
    tube : float
        Alpha: how strong the second curvature may be.
    blob : float
        Gamma: how far from a ball it must be.
    structure : float
        Curvature that counts as half a structure, in parts of the strongest in the image.
    """

    tube: float = 0.5
    blob: float = 0.5
    structure: float = 0.5

    def __post_init__(self) -> None:
        ScaleParams.__post_init__(self)
        require_shares(self, "tube", "blob", "structure")


def plate(
    image: npt.NDArray[np.floating],
    mask: Mask,
    grid: Grid,
    params: PlateParams = PlateParams(),
) -> Volume:
    r"""Return the likeness to a sheet, the largest over all widths.

    0 unless :math:`l_3 < 0` (a bright sheet), else, with
    :math:`|l_1| \le |l_2| \le |l_3|`,

    .. math:: M = e^{-R_T^2 / 2 \alpha^2} \left(1 - e^{-R_B^2 / 2 \gamma^2}\right)
        \left(1 - e^{-S^2 / 2 c^2}\right), \quad
        R_T = \frac{|l_2|}{|l_3|}, \;
        R_B = \frac{\left| 2|l_3| - |l_2| - |l_1| \right|}{|l_3|}

    Parameters
    ----------
    image : (I, J, K) ndarray of float
        Any image; its unit does not matter. Outside `mask` it need not be finite.
    mask : (I, J, K) ndarray of bool
        Where sheets are looked for.
    grid : Grid
        Geometry.
    params : PlateParams
        Settings.

    Returns
    -------
    plateness : (I, J, K) ndarray of float32
        0 to 1, 0 outside `mask`.

    Raises
    ------
    GridMismatchError
        If an array is not on `grid`.
    InputError
        If the image is not finite inside the mask.

    References
    ----------
    .. [1] Descoteaux, Audette, Chinzei & Siddiqi (2006), Comput. Aided Surg. 11, 247-255,
       doi:10.3109/10929080601017212.
    """

    def raise_to(smooth: Smooth, out: Volume) -> None:
        first, second = 2 * params.tube**2, 2 * params.blob**2
        noise = 2 * (params.structure * smooth.strong) ** 2
        _raise_to(smooth.volume, smooth.inside, smooth.per_width, first, second, noise, out)

    return largest_over_widths(image, mask, grid, params, raise_to)


@compiled(fastmath={"contract", "arcp", "reassoc", "nsz"})
def _raise_to(volume, inside, unit, alpha, gamma, noise, out):  # type: ignore[no-untyped-def]
    """Write the measure where it is larger than before; the squares come doubled."""
    n0, n1, n2 = volume.shape
    for i in range(n0):
        for j in range(n1):
            for k in range(n2):
                if not inside[i, j, k]:
                    continue
                xx, yy, zz, xy, xz, yz = second_differences(volume, i, j, k, unit)
                size = xx * xx + yy * yy + zz * zz + 2 * (xy * xy + xz * xz + yz * yz)
                most = 1 - np.exp(-size / noise)
                if most <= out[i, j, k]:
                    continue
                l1, l2, l3 = eigenvalues(xx, yy, zz, xy, xz, yz)
                if l3 >= 0.0:
                    continue
                tube = l2 / l3
                ball = (2 * abs(l3) - abs(l2) - abs(l1)) / l3
                value = np.exp(-tube * tube / alpha) * (1 - np.exp(-ball * ball / gamma)) * most
                if value > out[i, j, k]:
                    out[i, j, k] = value
