"""Jerman's enhancement: a measure that does not fall at forks or with the size of a vessel."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.anatomy.vesselness.hessian import (
    ScaleParams,
    Smooth,
    Volume,
    eigenvalues,
    largest_over_widths,
    second_differences,
)
from petechia.core.checks import require_between
from petechia.core.compiled import compiled
from petechia.core.grid import Grid
from petechia.core.morphology import Mask


@dataclass(frozen=True, slots=True, kw_only=True)
class JermanParams(ScaleParams):
    """Settings of `jerman`: those of `ScaleParams` and how weak a structure may be.

    Attributes
    ----------
    cutoff : float
        Tau: weaker curvatures than this part of the strongest are taken to be so strong.
    """

    cutoff: float = 0.5

    def __post_init__(self) -> None:
        ScaleParams.__post_init__(self)
        require_between(self.cutoff, 0.0, 1.0, "JermanParams.cutoff", "0.5 to 1 is usual.")


def jerman(
    image: npt.NDArray[np.floating],
    mask: Mask,
    grid: Grid,
    params: JermanParams = JermanParams(),
) -> Volume:
    r"""Return the volume-ratio likeness to a tube, the largest over all widths.

    For a bright tube, with :math:`l_2, l_3` the two largest curvatures, negated, and
    :math:`l_\rho = \max(l_3, \tau \, l_{max})`,

    .. math:: V = \begin{cases} 0 & l_2 \le 0 \\ 1 & l_2 \ge l_\rho / 2 \\
        l_2^2 (l_\rho - l_2) \left(\frac{3}{l_2 + l_\rho}\right)^3 & \text{else} \end{cases}

    Parameters
    ----------
    image : (I, J, K) ndarray of float
        Any image; its unit does not matter. Outside `mask` it need not be finite.
    mask : (I, J, K) ndarray of bool
        Where vessels are looked for.
    grid : Grid
        Geometry.
    params : JermanParams
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
    The curvature along is not asked for, so that blobs score as tubes do: it marks what is
    bright and round across, and a microbleed is that too. For :math:`l_{max}` the size of
    the whole Hessian (root of the sum of squares) at its 99.9th percentile is taken, where the
    paper has the maximum of the largest curvature: one hemorrhage would set it.

    References
    ----------
    .. [1] Jerman, Pernus, Likar & Spiclin (2016), IEEE Trans. Med. Imaging 35, 2107-2118,
       doi:10.1109/TMI.2016.2550102.
    """

    def raise_to(smooth: Smooth, out: Volume) -> None:
        least = params.cutoff * smooth.strong
        _raise_to(smooth.volume, smooth.inside, smooth.per_width, least, out)

    return largest_over_widths(image, mask, grid, params, raise_to)


@compiled(fastmath={"contract", "arcp", "reassoc", "nsz"})
def _raise_to(volume, inside, unit, least, out):  # type: ignore[no-untyped-def]
    """Write the measure where it is larger than before."""
    n0, n1, n2 = volume.shape
    for i in range(n0):
        for j in range(n1):
            for k in range(n2):
                if not inside[i, j, k] or out[i, j, k] >= 1.0:
                    continue
                xx, yy, zz, xy, xz, yz = second_differences(volume, i, j, k, unit)
                if xx + yy + zz >= 0.0:
                    continue
                _, l2, l3 = eigenvalues(xx, yy, zz, xy, xz, yz)
                across, rho = -l2, max(-l3, least)
                if across <= 0.0 or l3 >= 0.0:
                    continue
                value = 1.0
                if across < rho / 2:
                    part = 3 / (across + rho)
                    value = across * across * (rho - across) * part * part * part
                if value > out[i, j, k]:
                    out[i, j, k] = value
