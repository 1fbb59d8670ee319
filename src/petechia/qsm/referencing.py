"""Susceptibility relative to a stated region."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_between, require_finite
from petechia.core.grid import Grid
from petechia.core.morphology import Mask, label_26
from petechia.errors import GridMismatchError, UnfitError


@dataclass(frozen=True, slots=True, kw_only=True)
class CsfParams:
    """Settings of `csf_mask`.

    Attributes
    ----------
    r2star_below : float
        Fluid decays more slowly than this [1/s].
    centre_mm : float
        Radius of the sphere about the brain's middle that the ventricles are looked for
        in [mm].
    least_mm3 : float
        A connected part smaller than this is noise [mm^3].
    parts : int
        At most this many parts are taken, the largest ones.
    """

    r2star_below: float = 5.0
    centre_mm: float = 30.0
    least_mm3: float = 300.0
    parts: int = 2

    def __post_init__(self) -> None:
        require_between(self.r2star_below, 0.1, 100.0, "CsfParams.r2star_below", "5 is usual.")
        require_between(self.centre_mm, 1.0, 200.0, "CsfParams.centre_mm", "30 is usual.")
        require_between(self.least_mm3, 0.0, 1e6, "CsfParams.least_mm3", "100 to 1000 is usual.")
        require_between(self.parts, 1, 100, "CsfParams.parts", "2 is usual.")


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


def csf_mask(
    r2star: npt.NDArray[np.floating], mask: Mask, grid: Grid, params: CsfParams = CsfParams()
) -> Mask:
    """Return the ventricles: slow decay in the middle of the brain, connected and large.

    Parameters
    ----------
    r2star : (I, J, K) ndarray of float
        Relaxation rate [1/s].
    mask : (I, J, K) ndarray of bool
        Brain with signal: where there is none, a rate means nothing.
    grid : Grid
        Shared geometry.
    params : CsfParams
        Settings.

    Returns
    -------
    (I, J, K) ndarray of bool
        The largest 26-connected parts; part of `mask`.

    Raises
    ------
    GridMismatchError
        If an array is not on `grid`.
    InputError
        If a rate in the mask is not finite.
    UnfitError
        If no part is large enough.

    Notes
    -----
    As published, but that parts are not followed out of the central sphere, where the fluid
    of the sulci shares its voxels with cortex and veins.

    References
    ----------
    .. [1] Liu, Spincemaille, Yao, Zhang & Wang (2018), Magn. Reson. Med. 79, 2795-2803,
       doi:10.1002/mrm.26946.
    """
    grid.require(r2star, "r2star")
    grid.require(mask, "mask")
    require_finite(np.where(mask, r2star, 0), "r2star")
    slow = mask & (r2star < params.r2star_below) & _near_the_middle(mask, grid, params.centre_mm)
    labels, n = label_26(slow)
    sizes = np.bincount(labels.ravel(), minlength=n + 1)[1:] * grid.voxel_mm3
    large = 1 + np.flatnonzero(sizes >= max(params.least_mm3, 1e-9))
    largest = large[np.argsort(-sizes[large - 1], kind="stable")][: params.parts]
    if not largest.size:
        found = float(sizes.max()) if n else 0.0
        raise UnfitError(
            f"the largest part with R2* below {params.r2star_below:g} /s within "
            f"{params.centre_mm:g} mm of the brain's middle is {found:.0f} mm3, "
            f"less than {params.least_mm3:g}",
            where="csf_mask",
            mend="Reference to the brain, or give a region of your own.",
        )
    return np.isin(labels, largest)


def _near_the_middle(mask: Mask, grid: Grid, radius_mm: float) -> Mask:
    """Return the voxels within a distance of the mask's centre of mass."""
    if not mask.any():
        return np.zeros(grid.shape, dtype=bool)
    middle = [float(np.mean(at)) for at in np.nonzero(mask)]
    squared = np.zeros(grid.shape, dtype=np.float32)
    for axis, (n, d, centre) in enumerate(zip(grid.shape, grid.spacing_mm, middle, strict=True)):
        shape = [n if a == axis else 1 for a in range(3)]
        squared += np.square((np.arange(n) - centre) * d).reshape(shape).astype(np.float32)
    return np.asarray(squared <= radius_mm**2)
