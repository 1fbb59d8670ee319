"""Susceptibility relative to a stated region."""

import numpy as np
import numpy.typing as npt

from petechia.core.grid import Grid
from petechia.core.morphology import Mask
from petechia.errors import GridMismatchError, UnfitError


def reference(
    chi_ppm: npt.NDArray[np.floating],
    mask: Mask,
    grid: Grid | None = None,
    region: Mask | None = None,
) -> tuple[npt.NDArray[np.float32], float]:
    """Subtract the mean susceptibility of a region: the whole of `mask` by default.

    The field of a scan says nothing of the mean susceptibility, so every map is relative;
    the consensus asks for the whole brain unless there is a reason against it.

    Parameters
    ----------
    chi_ppm : (I, J, K) ndarray of float
        Susceptibility from an inversion [ppm].
    mask : (I, J, K) ndarray of bool
        Where the map is valid.
    grid : Grid, optional
        Checked against the arrays when given.
    region : (I, J, K) ndarray of bool, optional
        Reference region, e.g. ventricular CSF; only its part inside `mask` counts.

    Returns
    -------
    chi_ppm : (I, J, K) ndarray of float32
        Referenced map [ppm]: mean 0 over the region, exactly 0 outside `mask`.
    reference_ppm : float
        The value taken off [ppm].

    Raises
    ------
    GridMismatchError
        If the arrays differ in shape.
    UnfitError
        If no voxel of the region lies in the mask.

    References
    ----------
    .. [1] QSM Consensus Organization Committee (2024), Magn. Reson. Med. 91, 1834-1862,
       doi:10.1002/mrm.30006.
    """
    for name, array in (("mask", mask), ("region", region)):
        if array is not None and array.shape != chi_ppm.shape:
            raise GridMismatchError(
                f"shape {array.shape} is not that of chi_ppm, {chi_ppm.shape}",
                where=name,
                mend="Resample it onto the scan's grid first.",
            )
    if grid is not None:
        grid.require(chi_ppm, "chi_ppm")
    inside = mask.astype(bool)
    chosen = inside if region is None else inside & region.astype(bool)
    if not chosen.any():
        raise UnfitError(
            "the reference region holds no voxel of the mask",
            where="mask" if region is None else "region",
            mend="Give a region inside the brain mask, or reference to the whole mask.",
        )
    value = float(np.mean(chi_ppm[chosen], dtype=np.float64))
    out = np.where(inside, chi_ppm - np.asarray(value, dtype=chi_ppm.dtype), 0)
    return out.astype(np.float32), value
