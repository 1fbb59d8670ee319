"""One field map from all echoes: turns mended, echoes weighted, outliers held back."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from petechia.core.compiled import compiled
from petechia.core.echoes import check_echo_times
from petechia.core.grid import Grid
from petechia.core.units import radians_per_ppm, wrap
from petechia.phase.images import Mask, Volume, checked_mask, checked_phase, matching_magnitude
from petechia.phase.unwrap.weights import TWO_PI

MEND_COST = 4.0
"""Price of one whole turn added to an echo, as weighted mean square misfit [rad^2]."""
TRUSTED = 2.0
"""Residual, in standard deviations of the noise, above which an echo is held back."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FieldMap:
    """The total field and how well the echoes agree on it.

    Attributes
    ----------
    field_ppm : (I, J, K) ndarray of float32
        Field shift, positive for a higher frequency; 0 outside the mask [ppm of B0].
    offset_rad : (I, J, K) ndarray of float32, or None
        Phase at echo time 0, when it was fitted [rad].
    residual_rad : (I, J, K) ndarray of float32
        Root of the |S|^2-weighted mean square misfit of the echoes; 0 for one echo [rad].
    noise_ppm : (I, J, K) ndarray of float32
        Standard deviation of `field_ppm`, raised where the echoes disagree [ppm].
    """

    field_ppm: Volume
    offset_rad: Volume | None
    residual_rad: Volume
    noise_ppm: Volume


def field_from_echoes(
    unwrapped_rad: npt.NDArray[np.floating],
    magnitude: npt.NDArray[np.floating] | None,
    te_s: tuple[float, ...],
    b0_t: float,
    mask: npt.NDArray[np.bool_],
    grid: Grid,
    fit_offset: bool = False,
) -> FieldMap:
    r"""Fit the field to unwrapped phase by weighted least squares over echoes.

    .. math:: \min_{f, \varphi_0} \sum_e h_e |S_e|^2
              (\varphi_e + 2\pi n_e - \varphi_0 - 2\pi f t_e)^2

    First whole turns :math:`n_e` are mended in voxels whose echoes contradict each other:
    every echo (every neighbouring pair, with an offset) proposes a line, the others are
    brought nearest to it, and the line with the least misfit and fewest turns wins. Then
    Huber's weights :math:`h_e` hold back echoes more than 2 standard deviations of the
    noise off the line.

    Parameters
    ----------
    unwrapped_rad : (E, I, J, K) ndarray of float
        Unwrapped phase; one image for one echo or one phase difference [rad].
    magnitude : (E, I, J, K) ndarray of float, or None
        Magnitude of the echoes; None weighs all echoes alike.
    te_s : tuple of float
        Time over which each image evolved, any spacing [s].
    b0_t : float
        Main field [T].
    mask : (I, J, K) ndarray of bool
    grid : Grid
    fit_offset : bool
        Fit a phase at echo time 0, for echoes whose offset was not removed. Used from
        three echoes on.

    Returns
    -------
    FieldMap

    Raises
    ------
    InputError, ParameterError
        If shapes or echo times do not fit.

    Notes
    -----
    The noise of |S| is one number, from the misfit over the mask; without spare echoes,
    from second differences of the phase, which is an upper bound. Of two echoes only one
    turn too many can be mended: two in the second look like one in the first.
    """
    phase = checked_phase(unwrapped_rad, grid)
    mask = checked_mask(mask, grid)
    check_echo_times(tuple(te_s), len(phase), "field_from_echoes.te_s")
    m = matching_magnitude(phase, magnitude, grid)
    inside = np.ascontiguousarray(phase[:, mask].T)
    signal = np.ones_like(inside) if m is None else np.ascontiguousarray(m[:, mask].T)
    te = np.asarray(te_s, dtype=np.float64)
    offset = fit_offset and len(te) >= 3
    _mend_turns(inside, signal, te, offset, MEND_COST)
    spare = len(te) - (2 if offset else 1)
    fit = np.zeros((len(inside), 4))
    if spare > 0:
        _fit_lines(inside, signal, te, offset, np.inf, fit)
        sigma = np.sqrt(np.median(fit[:, 3]) / max(float(stats.chi2.median(spare)), 1e-12))
        _fit_lines(inside, signal, te, offset, TRUSTED * max(sigma, 1e-12), fit)
        excess = np.maximum(fit[:, 3] / (spare * max(sigma, 1e-12) ** 2), 1.0)
    else:
        sigma = _noise_of_phase(phase[0], None if m is None else m[0], mask)
        _fit_lines(inside, signal, te, offset, np.inf, fit)
        excess = np.ones(len(inside))
    per_ppm = radians_per_ppm(b0_t, 1.0)
    noise = sigma * np.sqrt(excess * _slope_variance(signal, te, offset)) / per_ppm
    return FieldMap(
        field_ppm=_spread(fit[:, 0] / per_ppm, mask),
        offset_rad=_spread(fit[:, 1], mask) if offset else None,
        residual_rad=_spread(fit[:, 2], mask),
        noise_ppm=_spread(noise, mask),
    )


def _spread(values: npt.NDArray[np.float64], mask: Mask) -> Volume:
    out = np.zeros(mask.shape, dtype=np.float32)
    out[mask] = values
    return out


def _slope_variance(
    signal: npt.NDArray[np.float32], te: npt.NDArray[np.float64], offset: bool
) -> npt.NDArray[np.float64]:
    """Return the variance of the slope for noise of 1 in |S|; voxels without signal: 1e6 t^-2."""
    w = signal.astype(np.float64) ** 2
    moment = w @ te**2
    if offset:
        moment = moment - (w @ te) ** 2 / np.maximum(w.sum(axis=1), 1e-300)
    floor = 1e-6 * float(np.median(moment)) or 1.0
    out: npt.NDArray[np.float64] = 1 / np.maximum(moment, floor)
    return out


def _noise_of_phase(phase: Volume, magnitude: Volume | None, mask: Mask) -> float:
    """Return the noise of |S| from second differences of the phase along the calmest axis."""
    found = []
    for axis in range(3):
        if mask.shape[axis] < 3:
            continue
        p, keep = np.moveaxis(phase, axis, 0), np.moveaxis(mask, axis, 0)
        bend = wrap(p[2:] - 2 * p[1:-1] + p[:-2])
        if magnitude is not None:
            bend = bend * np.moveaxis(magnitude, axis, 0)[1:-1]
        bend = bend[keep[2:] & keep[1:-1] & keep[:-2]]
        if bend.size:
            found.append(1.4826 * float(np.median(np.abs(bend))) / np.sqrt(6.0))
    return min(found, default=0.0)


@compiled
def _line(p: Any, w: Any, te: Any, offset: bool) -> tuple[float, float, float]:
    """Return slope, value at 0 and weighted mean square misfit of one voxel."""
    sw, st, stt, sp, stp = 1e-30, 0.0, 0.0, 0.0, 0.0
    for e in range(te.size):
        sw += w[e]
        st += w[e] * te[e]
        stt += w[e] * te[e] * te[e]
        sp += w[e] * p[e]
        stp += w[e] * te[e] * p[e]
    slope, start = 0.0, 0.0
    if offset:
        spread = stt - st * st / sw
        if spread > 0:
            slope = (stp - st * sp / sw) / spread
        start = (sp - slope * st) / sw
    elif stt > 0:
        slope = stp / stt
    misfit = 0.0
    for e in range(te.size):
        r = p[e] - start - slope * te[e]
        misfit += w[e] * r * r
    return slope, start, misfit / sw


@compiled
def _mend_turns(phase: Any, signal: Any, te: Any, offset: bool, price: float) -> None:
    """Add whole turns, in place, where the echoes of a voxel contradict each other."""
    n = te.size
    if n < 2:
        return
    w, p, best = np.empty(n), np.empty(n), np.empty(n)
    for v in range(phase.shape[0]):
        total = 0.0
        for e in range(n):
            w[e] = float(signal[v, e]) ** 2
            total += w[e]
        if total <= 0:
            w[:] = 1.0
            total = float(n)
        slope, start, cost = _line(phase[v], w, te, offset)
        worst = 0.0
        for e in range(n):
            worst = max(worst, abs(phase[v, e] - start - slope * te[e]))
        if worst < 0.5:  # one turn too many leaves more than this in some echo
            continue
        best[:] = phase[v]
        for c in range(n - 1 if offset else n):
            if offset:
                slope = (phase[v, c + 1] - phase[v, c]) / (te[c + 1] - te[c])
                start = phase[v, c] - slope * te[c]
            else:
                slope, start = phase[v, c] / te[c], 0.0
            paid = 0.0
            for e in range(n):
                turns = np.floor((start + slope * te[e] - phase[v, e]) / TWO_PI + 0.5)
                p[e] = phase[v, e] + TWO_PI * turns
                paid += w[e] * abs(turns)
            found = _line(p, w, te, offset)[2] + price * paid / total
            if found < cost - 1e-6:
                cost = found
                best[:] = p
        phase[v] = best


@compiled
def _fit_lines(phase: Any, signal: Any, te: Any, offset: bool, limit: float, out: Any) -> None:
    """Fill (slope, start, rms misfit, summed square misfit in noise units x sigma^2).

    `limit` is the largest |S| times misfit that counts in full (Huber).
    """
    n = te.size
    w, h = np.empty(n), np.empty(n)
    for v in range(phase.shape[0]):
        total = 0.0
        for e in range(n):
            w[e] = float(signal[v, e]) ** 2
            total += w[e]
        if total <= 0:
            w[:] = 1.0
            total = float(n)
        h[:] = w
        slope, start, _ = _line(phase[v], h, te, offset)
        if limit < np.inf:
            for _step in range(8):
                for e in range(n):
                    off = np.sqrt(w[e]) * abs(phase[v, e] - start - slope * te[e])
                    h[e] = w[e] * (limit / off if off > limit else 1.0)
                slope, start, _ = _line(phase[v], h, te, offset)
        misfit = 0.0
        for e in range(n):
            r = phase[v, e] - start - slope * te[e]
            misfit += w[e] * r * r
        out[v, 0], out[v, 1] = slope, start
        out[v, 2], out[v, 3] = np.sqrt(misfit / total), misfit
