"""Maps against true maps: error norms, structural similarity, bias of nuclei, streaks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.core.grid import Grid
from petechia.core.morphology import distance_inside_mm
from petechia.errors import GridMismatchError, InputError, ParameterError

Volume = npt.NDArray[np.floating]
Mask = npt.NDArray[np.bool_]
NAN = float("nan")

HFEN_SIGMA_VOX = 1.5
XSIM_WIDTH_VOX, XSIM_C1, XSIM_C2 = 5, 1e-4, 1e-6
"""XSIM: window 5x5x5; (K1 L)^2 and (K2 L)^2 with K1 0.01, K2 0.001, L 1 ppm."""
SSIM_SIGMA_VOX, SSIM_K1, SSIM_K2 = 1.5, 0.01, 0.03
STREAK_SHELL_MM = (3.0, 7.0)
LEAST_VOXELS = 10


def _require(found: Volume, true: Volume, mask: Mask) -> None:
    if found.shape != true.shape or mask.shape != true.shape:
        raise GridMismatchError(
            f"shapes {found.shape}, {true.shape} and mask {mask.shape}",
            where="maps",
            mend="Resample them onto one grid first.",
        )
    if not mask.any():
        raise InputError("the mask is empty", where="maps", mend="Give a mask with voxels.")
    if not (np.isfinite(found[mask]).all() and np.isfinite(true[mask]).all()):
        raise InputError(
            "values inside the mask are not finite", where="maps", mend="Set them to 0."
        )


def _inside(volume: Volume, mask: Mask) -> npt.NDArray[np.float64]:
    return np.where(mask, volume, 0.0).astype(np.float64)


def linear_fit(x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[float, float]:
    """Return slope and intercept of least squares; NaN when `x` does not vary."""
    a, b = np.asarray(x, float).ravel(), np.asarray(y, float).ravel()
    spread = a - a.mean()
    below = float(spread @ spread)
    if below <= 1e-30:
        return NAN, NAN
    slope = float(spread @ (b - b.mean())) / below
    return slope, float(b.mean() - slope * a.mean())


def nrmse(found: Volume, true: Volume, mask: Mask, *, detrend: bool = False) -> float:
    r"""Return the normalised root mean square error [%] after both lost their mean.

    .. math:: 100 \, \|\hat\chi - \chi\|_2 / \|\chi\|_2

    Parameters
    ----------
    found, true : (I, J, K) ndarray
        Maps in one unit; only their values inside the mask matter.
    mask : (I, J, K) ndarray of bool
    detrend : bool
        Fit found = a true + b first and correct found by it, (found - b) / a, as the
        second reconstruction challenge does: the error that no global scale can mend.

    Returns
    -------
    float
        0 is perfect; NaN when the truth does not vary.

    References
    ----------
    .. [1] QSM Challenge 2.0 Organization Committee (2021), Magn. Reson. Med. 86,
       1241-1255, doi:10.1002/mrm.28754.
    """
    _require(found, true, mask)
    got, want = found[mask].astype(np.float64), true[mask].astype(np.float64)
    got, want = got - got.mean(), want - want.mean()
    size = float(np.linalg.norm(want))
    if size < 1e-30:
        return NAN
    if detrend:
        slope, intercept = linear_fit(want, got)
        if abs(slope) > 1e-30:
            got = (got - intercept) / slope
    return 100 * float(np.linalg.norm(got - want)) / size


def hfen(found: Volume, true: Volume, mask: Mask) -> float:
    """Return the high-frequency error norm [%]: of the Laplacian of Gaussian of both maps.

    Sigma 1.5 voxels along every axis, whatever the spacing (15 voxels wide); outside the
    mask both maps are 0.

    References
    ----------
    .. [1] Langkammer et al. (2018), Magn. Reson. Med. 79, 1661-1673,
       doi:10.1002/mrm.26830.
    """
    _require(found, true, mask)
    filtered = [
        ndimage.gaussian_laplace(_inside(v, mask), HFEN_SIGMA_VOX, truncate=5.0)[mask]
        for v in (found, true)
    ]
    size = float(np.linalg.norm(filtered[1]))
    return 100 * float(np.linalg.norm(filtered[0] - filtered[1])) / size if size > 1e-30 else NAN


def xsim(found: Volume, true: Volume, mask: Mask) -> float:
    """Return the structural similarity whose constants suit susceptibility in ppm (1 is best).

    Windows are uniform, 5x5x5 voxels, cut at the border of the volume; outside the mask
    both maps are 0.

    References
    ----------
    .. [1] Milovic et al. (2025), Magn. Reson. Med. 93, 411-421, doi:10.1002/mrm.30271.
    """
    _require(found, true, mask)

    def total(v: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        width = XSIM_WIDTH_VOX
        return np.asarray(ndimage.uniform_filter(v, width, mode="constant") * width**3)

    weight = total(np.ones(true.shape))
    return _similarity(
        _inside(found, mask),
        _inside(true, mask),
        lambda v: total(v) / weight,
        (XSIM_C1, XSIM_C2),
        mask,
    )


def ssim(found: Volume, true: Volume, mask: Mask) -> float:
    """Return the structural similarity with its usual constants (1 is best).

    Gaussian window of sigma 1.5 voxels (11 wide), K1 0.01, K2 0.03; the dynamic range is
    that of the truth inside the mask, outside both maps are 0. Not the code of the 2016
    challenge, which rescales both maps: its figures cannot be compared with these.

    References
    ----------
    .. [1] Wang et al. (2004), IEEE Trans. Image Process. 13, 600-612,
       doi:10.1109/TIP.2003.819861.
    """
    _require(found, true, mask)
    span = float(np.ptp(true[mask]))
    if span <= 0:
        return NAN
    return _similarity(
        _inside(found, mask),
        _inside(true, mask),
        lambda v: ndimage.gaussian_filter(v, SSIM_SIGMA_VOX, truncate=3.34),
        ((SSIM_K1 * span) ** 2, (SSIM_K2 * span) ** 2),
        mask,
    )


def _similarity(
    a: npt.NDArray[np.float64],
    b: npt.NDArray[np.float64],
    local_mean: Any,
    constants: tuple[float, float],
    mask: Mask,
) -> float:
    c1, c2 = constants
    mean_a, mean_b = local_mean(a), local_mean(b)
    var_a = local_mean(a * a) - mean_a**2
    var_b = local_mean(b * b) - mean_b**2
    cov = local_mean(a * b) - mean_a * mean_b
    above = (2 * mean_a * mean_b + c1) * (2 * cov + c2)
    below = (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    return float((above[mask] / below[mask]).mean())


def correlation(found: Volume, true: Volume, mask: Mask) -> float:
    """Return Pearson's correlation inside the mask; NaN when a map does not vary."""
    _require(found, true, mask)
    a, b = found[mask].astype(np.float64), true[mask].astype(np.float64)
    a, b = a - a.mean(), b - b.mean()
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / size if size > 1e-30 else NAN


@dataclass(frozen=True, slots=True, kw_only=True)
class Streaks:
    """Error around strong sources.

    Attributes
    ----------
    n_voxels : int
        Of the shells.
    sd_ppm : float
        Standard deviation of what is left of found = a true + b in the shells [ppm].
    relative : float
        The same over the mean of |truth| inside the sources.
    against_elsewhere : float
        The same over what it is in the mask away from the sources: 1 means no streaks.
    """

    n_voxels: int
    sd_ppm: float
    relative: float
    against_elsewhere: float


def streaking(
    found: Volume,
    true: Volume,
    mask: Mask,
    sources: Mask,
    grid: Grid,
    shell_mm: tuple[float, float] = STREAK_SHELL_MM,
) -> Streaks | None:
    """Measure streaks in a shell around strong sources; None without sources or shell.

    Parameters
    ----------
    found, true : (I, J, K) ndarray
        Susceptibility [ppm].
    mask : (I, J, K) ndarray of bool
        Brain.
    sources : (I, J, K) ndarray of bool
        Voxels of strong sources (bleeds, calcifications).
    grid : Grid
    shell_mm : (float, float)
        Distance from the sources, from and to [mm].

    Notes
    -----
    In the manner of the second reconstruction challenge, which fits in a box around one
    calcification; here any number of sources counts, in millimetres.
    """
    _require(found, true, mask)
    if not 0 <= shell_mm[0] < shell_mm[1]:
        raise ParameterError(
            f"shell_mm {shell_mm}", where="streaking", mend="Give two distances, the nearer first."
        )
    if not (sources & mask).any():
        return None
    away = distance_inside_mm(~sources, grid)
    shell = mask & (away > shell_mm[0]) & (away <= shell_mm[1])
    rest = mask & (away > shell_mm[1])
    if shell.sum() < LEAST_VOXELS:
        return None
    near = _residual_sd(found, true, shell)
    far = _residual_sd(found, true, rest) if rest.sum() >= LEAST_VOXELS else NAN
    strength = float(np.abs(true[sources & mask]).mean())
    return Streaks(
        n_voxels=int(shell.sum()),
        sd_ppm=near,
        relative=near / strength if strength > 0 else NAN,
        against_elsewhere=near / far if far > 0 else NAN,
    )


def _residual_sd(found: Volume, true: Volume, where: Mask) -> float:
    got, want = found[where].astype(np.float64), true[where].astype(np.float64)
    slope, intercept = linear_fit(want, got)
    left = got - got.mean() if np.isnan(slope) else got - slope * want - intercept
    return float(left.std())


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionBias:
    """Means of one region: found minus true is the bias."""

    index: int
    name: str
    n_voxels: int
    true: float
    found: float
    bias: float


def region_bias(
    found: Volume,
    true: Volume,
    labels: npt.NDArray[np.integer],
    names: Mapping[int, str],
    mask: Mask,
) -> tuple[list[RegionBias], float]:
    """Return the bias of each region's mean and the slope of found means on true means.

    Regions with fewer than 10 voxels in the mask are left out; the slope is NaN with fewer
    than two regions. Both maps must have one reference.
    """
    _require(found, true, mask)
    rows = []
    for index, name in names.items():
        where = (labels == index) & mask
        n = int(where.sum())
        if n < LEAST_VOXELS:
            continue
        want, got = float(true[where].mean()), float(found[where].mean())
        rows.append(
            RegionBias(index=index, name=name, n_voxels=n, true=want, found=got, bias=got - want)
        )
    if len(rows) < 2:
        return rows, NAN
    slope, _ = linear_fit([row.true for row in rows], [row.found for row in rows])
    return rows, slope


def map_errors(
    found: Volume, true: Volume, mask: Mask, *, tissue: Mask | None = None
) -> dict[str, float]:
    """Return every scalar error of a susceptibility map inside the mask.

    Parameters
    ----------
    found, true : (I, J, K) ndarray
        Susceptibility [ppm].
    mask : (I, J, K) ndarray of bool
        Brain.
    tissue : (I, J, K) ndarray of bool, optional
        Brain without lesions and veins, where the error of tissue alone is taken.

    Returns
    -------
    dict
        nrmse, nrmse_detrended, hfen [%]; xsim, ssim, correlation, slope; coverage, the part
        of the mask with a value other than 0; nrmse_tissue, nrmse_tissue_detrended [%].
    """
    slope, _ = linear_fit(true[mask], found[mask])
    out = {
        "nrmse": nrmse(found, true, mask),
        "nrmse_detrended": nrmse(found, true, mask, detrend=True),
        "hfen": hfen(found, true, mask),
        "xsim": xsim(found, true, mask),
        "ssim": ssim(found, true, mask),
        "correlation": correlation(found, true, mask),
        "slope": slope,
        "coverage": float((found[mask] != 0).mean()),
    }
    if tissue is not None and (tissue & mask).sum() >= LEAST_VOXELS:
        where = tissue & mask
        out["nrmse_tissue"] = nrmse(found, true, where)
        out["nrmse_tissue_detrended"] = nrmse(found, true, where, detrend=True)
    return out


@dataclass(frozen=True, slots=True, kw_only=True)
class RateBias:
    """Error of a relaxation rate in tissue [1/s], and relative to the truth.

    Attributes
    ----------
    n_voxels : int
    bias, median_relative : float
        Mean of found - true; median of (found - true) / true.
    rmse : float
    slope : float
        Of found on true.
    """

    n_voxels: int
    bias: float
    median_relative: float
    rmse: float
    slope: float


def rate_bias(found: Volume, true: Volume, where: Mask) -> RateBias:
    """Return the bias of R2* over voxels whose true rate is above 0."""
    chosen = where & (true > 0)
    _require(found, true, chosen)
    got, want = found[chosen].astype(np.float64), true[chosen].astype(np.float64)
    apart = got - want
    return RateBias(
        n_voxels=len(got),
        bias=float(apart.mean()),
        median_relative=float(np.median(apart / want)),
        rmse=float(np.sqrt((apart**2).mean())),
        slope=linear_fit(want, got)[0],
    )
