"""Auto-regression on linear operations."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.contrast.relaxation.decay import (
    R2STAR_MAX,
    S0_OVER_BRIGHTEST,
    check_range,
    checked_echoes,
    even_spacing,
)
from petechia.core.compiled import compiled
from petechia.core.grid import Grid
from petechia.errors import ParameterError

UNEVEN = 0.01
"""Largest departure of an echo spacing from the mean spacing, as a fraction of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArloParams:
    """Settings of `arlo`.

    Attributes
    ----------
    r2star_max : float
        Upper end of the range that R2* is clipped to [1/s].
    """

    r2star_max: float = R2STAR_MAX

    def __post_init__(self) -> None:
        check_range(self.r2star_max, "ArloParams.r2star_max")


def arlo(
    magnitude: npt.NDArray[np.floating],
    te_s: tuple[float, ...],
    grid: Grid,
    params: ArloParams = ArloParams(),
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    r"""Fit a mono-exponential decay without logarithm, iteration or starting value.

    An exponential's integral over two spacings equals its fall times T2*; Simpson's rule
    makes that an auto-regression between three neighbouring echoes:

    .. math::
        A_e = \tfrac{\Delta}{3} (s_e + 4 s_{e+1} + s_{e+2}), \quad
        \delta_e = s_e - s_{e+2}, \quad
        R_2^* = \frac{\tfrac{\Delta}{3} \sum \delta_e^2 + \sum A_e \delta_e}
                     {\sum A_e^2 + \tfrac{\Delta}{3} \sum A_e \delta_e}

    Parameters
    ----------
    magnitude : (E, I, J, K) ndarray of float
        Three or more echoes, not negative.
    te_s : (E,) tuple of float
        Equally spaced echo times [s].
    grid : Grid
        Geometry.
    params : ArloParams
        Settings.

    Returns
    -------
    r2star : (I, J, K) ndarray of float32
        0 to `params.r2star_max`, finite everywhere; 0 where nothing decays [1/s].
    s0 : (I, J, K) ndarray of float32
        Amplitude at TE 0 in the units of `magnitude`, by least squares given `r2star`;
        at most ten times the largest magnitude of the scan.

    Raises
    ------
    ParameterError
        If there are fewer than three echoes or they are not equally spaced.
    GridMismatchError
        If `magnitude` is not on `grid`.
    InputError
        If `magnitude` is not finite or is negative.

    Notes
    -----
    Simpson's rule makes R2* too small as spacing / T2* grows: 0.03 % at 0.5 and 0.5 % at 1.
    The noise floor of a magnitude lowers fast rates further.

    References
    ----------
    .. [1] Pei, Nguyen, Thimmappa et al. (2015), Magn. Reson. Med. 73, 843-850,
       doi:10.1002/mrm.25137.
    """
    echoes, times = checked_echoes(magnitude, te_s, grid, at_least=3, method="arlo")
    if not even_spacing(times, UNEVEN):
        raise ParameterError(
            f"echo times {tuple(te_s)} s are not equally spaced",
            where="te_s",
            mend="Use the method loglinear, which takes any spacing.",
        )
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


@compiled(fastmath={"contract", "arcp", "reassoc", "nsz"})
def _fit(echoes, te_s, r2star_max, s0_max, r2star, s0):  # type: ignore[no-untyped-def]
    """Write every voxel's rate and amplitude; equal spacings make decays powers of one."""
    n_echoes, n_voxels = echoes.shape
    first, spacing = np.float32(te_s[0]), np.float32((te_s[-1] - te_s[0]) / (n_echoes - 1))
    third = spacing / np.float32(3)
    four, zero, one = np.float32(4), np.float32(0), np.float32(1)
    largest, top = np.float32(s0_max), np.float32(r2star_max)
    for v in range(n_voxels):
        aa, ad, dd = zero, zero, zero
        here, after = echoes[0, v], echoes[1, v]
        for e in range(2, n_echoes):
            last = echoes[e, v]
            area = third * (here + four * after + last)
            fall = here - last
            aa += area * area
            ad += area * fall
            dd += fall * fall
            here, after = after, last
        above, below = third * dd + ad, aa + third * ad
        rate = zero
        if above > zero and below > zero:
            rate = min(above / below, top)
        r2star[v] = rate
        # least squares of the amplitude at the first echo, then back to TE 0
        step = np.exp(-rate * spacing)
        decay, along, norm = one, zero, zero
        for e in range(n_echoes):
            along += echoes[e, v] * decay
            norm += decay * decay
            decay *= step
        s0[v] = min(along / norm * np.exp(rate * first), largest)
