"""Nonlinear fit of a decay above the noise floor, with echoes that dephased left out."""

from dataclasses import dataclass
from math import gamma

import numpy as np
import numpy.typing as npt

from petechia.contrast.relaxation.decay import (
    R2STAR_MAX,
    S0_OVER_BRIGHTEST,
    check_range,
    checked_echoes,
    even_spacing,
)
from petechia.contrast.relaxation.dephasing import checked_field, dephased
from petechia.core.checks import require_between
from petechia.core.compiled import compiled
from petechia.core.grid import Grid

STEPS = 15
"""Gauss-Newton steps at most; two or three are usual."""
SETTLED, SETTLED_SD = 1e-3, 0.02
"""The fit has settled when a step changes the last echo's decay by less than this part, or the
rate by less than this part of its own standard deviation."""
VISIBLE = 2.0
"""Where no echo stands this many sigma above the floor there is nothing to fit: ARLO or the line
through the logarithms, where the fit begins, is what there is."""
FAR = 200.0
"""Squared amplitude over the floor's from which the floor's bend is left out: 0.0001 sigma."""
BEND = 0.1
"""Shape of the approach of the floor to its limit; 0.1 keeps the mean within 0.002 sigma."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NonlinearParams:
    """Settings of `nonlinear`.

    Attributes
    ----------
    r2star_max : float
        Upper end of the range that R2* is clipped to [1/s].
    channels : int
        Receivers whose root of the sum of squares is the magnitude; 1 when they were combined
        as complex numbers (SENSE, adaptive).
    dephasing : bool
        Leave out, or correct, echoes that the field's gradient has dephased; False ignores the
        field.
    """

    r2star_max: float = R2STAR_MAX
    channels: int = 1
    dephasing: bool = True

    def __post_init__(self) -> None:
        check_range(self.r2star_max, "NonlinearParams.r2star_max")
        require_between(
            self.channels, 1, 128, "NonlinearParams.channels", "Give the number of receivers."
        )


def nonlinear(
    magnitude: npt.NDArray[np.floating],
    te_s: tuple[float, ...],
    noise_sd: float,
    field_ppm: npt.NDArray[np.floating] | None,
    b0_t: float,
    acquisition_type: str | None,
    grid: Grid,
    params: NonlinearParams = NonlinearParams(),
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    r"""Fit the mean of a noisy magnitude by least squares, weighted with its variance.

    A magnitude never falls below its noise. Its mean over noise of :math:`\sigma` is, for an
    amplitude :math:`A = a \sigma` and :math:`L` channels,

    .. math::
        \mu^2 \approx A^2 + \sigma^2 \left( 2L - 1 +
        \frac{d (1 + \alpha a^2)}{1 + \beta a^2 + \gamma a^4} \right), \qquad
        A_e = S_0 F_e e^{-R_2^* TE_e}

    exact at :math:`a = 0` and to the second order far above the noise. :math:`F_e` is what the
    gradient of the field across the voxel leaves of the signal
    (`petechia.contrast.relaxation.dephasing`); echoes of which too little is left do not count.

    Parameters
    ----------
    magnitude : (E, I, J, K) ndarray of float
        Two or more echoes, not negative.
    te_s : (E,) tuple of float
        Echo times, any spacing [s].
    noise_sd : float
        Standard deviation of the noise of each of real and imaginary part, in the units of
        `magnitude`; 0 when there is no floor to speak of.
    field_ppm : (I, J, K) ndarray of float, or None
        Total field, 0 where it is not known [ppm]; None when there is none.
    b0_t : float
        Main field [T].
    acquisition_type : str or None
        '2D' when slices were excited one by one; '3D' or None when all axes were encoded.
    grid : Grid
        Geometry.
    params : NonlinearParams
        Settings.

    Returns
    -------
    r2star : (I, J, K) ndarray of float32
        0 to `params.r2star_max`, finite everywhere; 0 where nothing decays [1/s].
    s0 : (I, J, K) ndarray of float32
        Amplitude at TE 0 in the units of `magnitude`, without its noise; at most ten times the
        largest magnitude of the scan.

    Raises
    ------
    ParameterError
        If there are fewer than two echoes, their times do not fit, or the noise is negative
        or above the brightest voxel.
    GridMismatchError
        If an array is not on `grid`.
    InputError
        If an array is not finite or `magnitude` is negative.

    Notes
    -----
    Two echoes always count, however dephased: R2* is then an upper bound. Noise that is stated
    too high makes fast decays too fast.

    References
    ----------
    .. [1] Hernando, Vigen, Shimakawa & Reeder (2012), Magn. Reson. Med. 68, 830-840 (nonlinear
       fit with the field's gradient known), doi:10.1002/mrm.23306.
    .. [2] Gudbjartsson & Patz (1995), Magn. Reson. Med. 34, 910-914 (the noise floor),
       doi:10.1002/mrm.1910340618.
    """
    echoes, times = checked_echoes(magnitude, te_s, grid, at_least=2, method="nonlinear")
    brightest = float(echoes.max())
    usual = "Give its standard deviation, 0 or more and below the brightest voxel."
    require_between(noise_sd, 0.0, brightest or 1e30, "noise_sd", usual)
    field, hz = checked_field(field_ppm if params.dephasing else None, b0_t, grid)
    sliced = grid.slice_axis if acquisition_type == "2D" else -1
    r2star, s0 = (np.empty(grid.shape, dtype=np.float32) for _ in range(2))
    _fit(
        echoes,
        times,
        even_spacing(times),
        max(float(noise_sd), 1e-6 * brightest) ** 2,
        _floor(params.channels),
        field,
        hz,
        sliced,
        params.r2star_max,
        S0_OVER_BRIGHTEST * brightest,
        r2star,
        s0,
    )
    return r2star, s0


def _floor(channels: int) -> tuple[float, float, float, float, float]:
    """Return the limit 2L - 1, d, alpha, beta, gamma of the squared mean's approximation.

    They follow from the noncentral chi distribution: its mean and slope at amplitude 0, and
    its first two terms far above the noise.
    """
    limit = 2.0 * channels - 1
    at_zero = 2 * (gamma(channels + 0.5) / gamma(channels)) ** 2
    rest = at_zero - limit
    beta = BEND + (1 - at_zero / (2 * channels)) / rest
    return limit, rest, BEND, beta, 2 * BEND * rest / limit


@compiled(fastmath={"contract", "arcp", "nsz"})
def mean_above_noise(amplitude, variance, floor):  # type: ignore[no-untyped-def]
    """Return the mean magnitude of an amplitude, its slope, and the inverse of its variance."""
    limit, rest, alpha, beta, gam = floor
    a2 = amplitude * amplitude / variance
    if a2 > FAR * limit:
        mean = np.sqrt(amplitude * amplitude + variance * limit)
        return mean, amplitude / mean, 1.0
    above, below = 1.0 + alpha * a2, 1.0 + a2 * (beta + gam * a2)
    part = rest * above / below
    mean = np.sqrt(amplitude * amplitude + variance * (limit + part))
    bend = (rest * alpha - part * (beta + 2.0 * gam * a2)) / below
    return mean, amplitude * (1.0 + bend) / mean, 1.0 / (1.0 - part)


@compiled
def _fit(  # type: ignore[no-untyped-def]
    echoes, te_s, even, variance, floor, field, hz, sliced, r2star_max, s0_max, r2star, s0
):
    """Write every voxel's rate and amplitude."""
    n_echoes, ni, nj, nk = echoes.shape
    signal, left = np.empty(n_echoes), np.ones(n_echoes)
    visible = (np.sqrt(floor[0]) + VISIBLE) * np.sqrt(variance)
    for i in range(ni):
        for j in range(nj):
            for k in range(nk):
                n = n_echoes
                if hz > 0.0:
                    n = dephased(field, i, j, k, te_s, hz, sliced, left)
                brightest = 0.0
                for e in range(n):
                    signal[e] = echoes[e, i, j, k] / left[e]
                    brightest = max(brightest, signal[e])
                if even > 0.0 and n > 2:
                    rate = _regression(signal, even, n)
                else:
                    rate = _line(signal, te_s, n)
                rate = min(max(rate, 0.0), r2star_max)
                first = _amplitude(signal, te_s, n, even, rate)
                if brightest > visible:
                    first, rate = _descend(
                        signal, te_s, left, n, even, variance, floor, first, rate, r2star_max
                    )
                r2star[i, j, k] = rate
                s0[i, j, k] = min(first * np.exp(min(rate * te_s[0], 700.0)), s0_max)


@compiled(fastmath={"contract", "arcp", "nsz"})
def _regression(signal, even, n):  # type: ignore[no-untyped-def]
    """Return ARLO's rate, where the fit begins with equally spaced echoes; no logarithms."""
    aa, ad, dd, third = 0.0, 0.0, 0.0, even / 3.0
    for e in range(n - 2):
        area = third * (signal[e] + 4.0 * signal[e + 1] + signal[e + 2])
        fall = signal[e] - signal[e + 2]
        aa += area * area
        ad += area * fall
        dd += fall * fall
    below = aa + third * ad
    return (third * dd + ad) / below if below > 0.0 else 0.0


@compiled(fastmath={"contract", "arcp", "nsz"})
def _line(signal, te_s, n):  # type: ignore[no-untyped-def]
    """Return the rate of the weighted line through the logarithms."""
    w, wt, wy, wtt, wty = 0.0, 0.0, 0.0, 0.0, 0.0
    for e in range(n):
        if signal[e] > 0.0:
            weight, t, y = signal[e] * signal[e], te_s[e] - te_s[0], np.log(signal[e])
            w += weight
            wt += weight * t
            wy += weight * y
            wtt += weight * t * t
            wty += weight * t * y
    spread = w * wtt - wt * wt
    return (wt * wy - w * wty) / spread if spread > 1e-9 * w * wtt else 0.0


@compiled(fastmath={"contract", "arcp", "nsz"})
def _amplitude(signal, te_s, n, even, rate):  # type: ignore[no-untyped-def]
    """Return the amplitude at the first echo by least squares."""
    along, norm, decay, step = 0.0, 0.0, 1.0, np.exp(-rate * even)
    for e in range(n):
        if even == 0.0:
            decay = np.exp(-rate * (te_s[e] - te_s[0]))
        along += signal[e] * decay
        norm += decay * decay
        decay *= step
    return along / norm


@compiled(fastmath={"contract", "arcp", "nsz"})
def _descend(  # type: ignore[no-untyped-def]
    signal, te_s, left, n, even, variance, floor, first, rate, r2star_max
):
    """Return the fit after Gauss-Newton steps that are kept short and inside the range."""
    last = te_s[n - 1] - te_s[0]
    for _ in range(STEPS):
        aa, ar, rr, fa, fr = 0.0, 0.0, 0.0, 0.0, 0.0
        decay, step = 1.0, np.exp(-rate * even)
        for e in range(n):
            t = te_s[e] - te_s[0]
            if even == 0.0:
                decay = np.exp(-rate * t)
            # signals were divided by what is left of them: the model is not, nor its noise
            part = decay * left[e]
            mean, slope, weight = mean_above_noise(first * part, variance, floor)
            miss, by_first = signal[e] * left[e] - mean, slope * part
            by_rate = -by_first * first * t
            aa += weight * by_first * by_first
            ar += weight * by_first * by_rate
            rr += weight * by_rate * by_rate
            fa += weight * by_first * miss
            fr += weight * by_rate * miss
            decay *= step
        spread = aa * rr - ar * ar
        if aa <= 0.0 or spread <= 1e-9 * aa * rr:
            break
        move = (aa * fr - ar * fa) / spread
        move = min(max(move, -0.5 / last), 0.5 / last)
        move = min(max(rate + move, 0.0), r2star_max) - rate
        # the best amplitude for the rate that was allowed
        first = min(max(first + (fa - ar * move) / aa, 0.3 * first), 3.0 * first)
        rate += move
        if abs(move) * last < SETTLED or move * move * spread < SETTLED_SD**2 * variance * aa:
            break
    return first, rate
