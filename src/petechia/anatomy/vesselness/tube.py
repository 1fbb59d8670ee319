"""The tube measure that the road follows veins by, as a row of its own."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.anatomy.veins import vessel_likeness
from petechia.core.checks import require_finite
from petechia.core.grid import Grid
from petechia.core.morphology import Mask


@dataclass(frozen=True, slots=True, kw_only=True)
class TubeParams:
    """Settings of `tube`; its widths are those of `petechia.anatomy.veins`.

    Attributes
    ----------
    dark : bool
        Look for dark tubes (on SWI, magnitude) instead of bright ones (susceptibility).
    """

    dark: bool = False


def tube(
    image: npt.NDArray[np.floating],
    mask: Mask,
    grid: Grid,
    params: TubeParams = TubeParams(),
) -> npt.NDArray[np.float32]:
    """Return the likeness to a tube of `petechia.anatomy.veins.vessel_likeness`.

    Parameters
    ----------
    image : (I, J, K) ndarray of float
        Any image; its unit and its zero do not matter.
    mask : (I, J, K) ndarray of bool
        Where vessels are looked for.
    grid : Grid
        Geometry.
    params : TubeParams
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

    References
    ----------
    .. [1] Frangi, Niessen, Vincken & Viergever (1998), MICCAI, LNCS 1496, 130-137,
       doi:10.1007/BFb0056195.
    """
    grid.require(image, "image")
    grid.require(mask, "mask")
    part = np.where(mask, image, 0)
    require_finite(part, "image")
    # the rim of the mask, with zeros beyond, must be no edge
    level = np.median(part[mask > 0]) if np.any(mask) else 0
    part = np.where(mask, part - level, 0).astype(np.float32)
    chi, swi = (None, part) if params.dark else (part, None)
    return vessel_likeness(chi, swi, mask, grid)
