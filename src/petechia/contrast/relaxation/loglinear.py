"""Weighted line through the logarithm of the magnitude."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.contrast.relaxation.decay import (
    R2STAR_MAX,
    S0_OVER_BRIGHTEST,
    check_range,
    checked_echoes,
)
from petechia.core.compiled import compiled
from petechia.core.grid import Grid


@dataclass(frozen=True, slots=True, kw_only=True)
class LoglinearParams:
    """Settings of `loglinear`.

    Attributes
    ----------
    r2star_max : float
        Upper end of the range that R2* is clipped to [1/s].
    """

    r2star_max: float = R2STAR_MAX

    def __post_init__(self) -> None:
        check_range(self.r2star_max, "LoglinearParams.r2star_max")


def loglinear(
    magnitude: npt.NDArray[np.floating],
    te_s: tuple[float, ...],
    grid: Grid,
    params: LoglinearParams = LoglinearParams(),
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    r"""Fit log |S| = log S0 - R2* TE by least squares weighted with |S|^2.

    The noise of a logarithm is that of the magnitude over the magnitude, so |S|^2 is the
    weight of equal noise in all echoes.

    Parameters
    ----------
    magnitude : (E, I, J, K) ndarray of float
        Two or more echoes, not negative. An echo of 0 carries no weight.
    te_s : (E,) tuple of float
        Echo times, any spacing [s].
    grid : Grid
        Geometry.
    params : LoglinearParams
        Settings.

    Returns
    -------
    r2star : (I, J, K) ndarray of float32
        0 to `params.r2star_max`, finite everywhere; 0 where nothing decays [1/s].
    s0 : (I, J, K) ndarray of float32
        Amplitude at TE 0 in the units of `magnitude`, given the clipped `r2star`; at most
        ten times the largest magnitude of the scan.

    Raises
    ------
    ParameterError
        If there are fewer than two echoes or their times do not fit.
    GridMismatchError
        If `magnitude` is not on `grid`.
    InputError
        If `magnitude` is not finite or is negative.

    Notes
    -----
    Exact without noise. The weights discount late echoes at the noise floor, but do not
    correct it.

    References
    ----------
    .. [1] Veraart, Sijbers, Sunaert et al. (2013), NeuroImage 81, 335-346 (weighted linear
       least squares of log magnitudes), doi:10.1016/j.neuroimage.2013.05.028.
    """
    echoes, times = checked_echoes(magnitude, te_s, grid, at_least=2, method="loglinear")
    r2star, s0 = (np.empty(grid.size, dtype=np.float32) for _ in range(2))
    _fit(
        echoes.reshape(len(echoes), -1),
        times,
        params.r2star_max,
        S0_OVER_BRIGHTEST * float(echoes.max()),
        r2star,
        s0,
    )
    return r2star.reshape(grid.shape), s0.reshape(grid.shape)


@compiled
def _fit(echoes, te_s, r2star_max, s0_max, r2star, s0):  # type: ignore[no-untyped-def]
    """Write every voxel's rate and amplitude; weights are relative to the first moment."""
    n_echoes, n_voxels = echoes.shape
    for v in range(n_voxels):
        w, wt, wy, wtt, wty = 0.0, 0.0, 0.0, 0.0, 0.0
        for e in range(n_echoes):
            signal = np.float64(echoes[e, v])
            if signal > 0.0:
                weight, y = signal * signal, np.log(signal)
                t = te_s[e] - te_s[0]
                w += weight
                wt += weight * t
                wy += weight * y
                wtt += weight * t * t
                wty += weight * t * y
        rate = 0.0
        spread = w * wtt - wt * wt
        if spread > 1e-9 * w * wtt:  # two echoes of weight, at least
            rate = min(max((wt * wy - w * wty) / spread, 0.0), r2star_max)
        r2star[v] = rate
        s0[v] = 0.0
        if w > 0.0:
            log_s0 = (wy + rate * wt) / w + rate * te_s[0]
            s0[v] = min(np.exp(min(log_s0, 700.0)), s0_max)
