"""Frangi's vesselness."""

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
class FrangiParams(ScaleParams):
    """Settings of `frangi`: those of `ScaleParams` and how strict it is.

    Attributes
    ----------
    sheet : float
        Alpha: how unequal the two curvatures across may be.
    blob : float
        Beta: how much it may curve along.
    structure : float
        Curvature that counts as half a structure, in parts of the strongest in the image.
    """

    sheet: float = 0.5
    blob: float = 0.5
    structure: float = 0.5

    def __post_init__(self) -> None:
        # not super(): dataclass with slots makes another class of it
        ScaleParams.__post_init__(self)
        require_shares(self, "sheet", "blob", "structure")


def frangi(
    image: npt.NDArray[np.floating],
    mask: Mask,
    grid: Grid,
    params: FrangiParams = FrangiParams(),
) -> Volume:
    r"""Return Frangi's likeness to a tube, the largest over all widths.

    With the eigenvalues of the scale-normalised Hessian, :math:`|l_1| \le |l_2| \le |l_3|`,
    0 unless :math:`l_2, l_3 < 0` (a bright tube), else

    .. math:: V = \left(1 - e^{-R_A^2 / 2 \alpha^2}\right) e^{-R_B^2 / 2 \beta^2}
        \left(1 - e^{-S^2 / 2 c^2}\right), \quad
        R_A = \frac{|l_2|}{|l_3|}, \; R_B = \frac{|l_1|}{\sqrt{|l_2 l_3|}}, \;
        S^2 = \textstyle\sum l^2

    Parameters
    ----------
    image : (I, J, K) ndarray of float
        Any image; its unit does not matter. Outside `mask` it need not be finite.
    mask : (I, J, K) ndarray of bool
        Where vessels are looked for.
    grid : Grid
        Geometry; widths are in millimetres along all axes.
    params : FrangiParams
        Settings.

    Returns
    -------
    vesselness : (I, J, K) ndarray of float32
        0 to 1, 0 outside `mask`.

    Raises
    ------
    GridMismatchError
        If an array is not on `grid`.
    InputError
        If the image is not finite inside the mask.

    Notes
    -----
    c is `structure` times the 99.9th percentile of S at each width, where the paper takes
    half of its maximum: one hemorrhage would set it. A measure relative to the image itself:
    an image without vessels has values of its own noise.

    References
    ----------
    .. [1] Frangi, Niessen, Vincken & Viergever (1998), MICCAI, LNCS 1496, 130-137,
       doi:10.1007/BFb0056195.
    """

    def raise_to(smooth: Smooth, out: Volume) -> None:
        first, second = 2 * params.sheet**2, 2 * params.blob**2
        noise = 2 * (params.structure * smooth.strong) ** 2
        _raise_to(smooth.volume, smooth.inside, smooth.per_width, first, second, noise, out)

    return largest_over_widths(image, mask, grid, params, raise_to)


@compiled(fastmath={"contract", "arcp", "reassoc", "nsz"})
def _raise_to(volume, inside, unit, alpha, beta, noise, out):  # type: ignore[no-untyped-def]
    """Write the measure where it is larger than before; the squares come doubled."""
    n0, n1, n2 = volume.shape
    for i in range(n0):
        for j in range(n1):
            for k in range(n2):
                if not inside[i, j, k]:
                    continue
                xx, yy, zz, xy, xz, yz = second_differences(volume, i, j, k, unit)
                if xx + yy + zz >= 0.0:  # two strong negative eigenvalues add up to less
                    continue
                size = xx * xx + yy * yy + zz * zz + 2 * (xy * xy + xz * xz + yz * yz)
                most = 1 - np.exp(-size / noise)
                if most <= out[i, j, k]:
                    continue
                l1, l2, l3 = eigenvalues(xx, yy, zz, xy, xz, yz)
                if l2 >= 0.0 or l3 >= 0.0:
                    continue
                ratio = l2 / l3
                value = (
                    (1 - np.exp(-ratio * ratio / alpha))
                    * np.exp(-l1 * l1 / (l2 * l3 * beta))
                    * most
                )
                if value > out[i, j, k]:
                    out[i, j, k] = value
