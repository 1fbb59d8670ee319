"""One line through the phase of each voxel's echoes: the kernels that all rows share."""

from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.core.compiled import compiled
from petechia.phase.unwrap.weights import TWO_PI

SLOPE, START, WORTH, MISFIT, CURVE, WEIGHT = range(6)
"""Rows of what `fit_lines` fills, in units of |S| as given and radians per second."""
MEND_COST = 4.0
"""Price of one whole turn added to an echo, as weighted mean square misfit [rad^2]."""
STEPS = 12
"""Most times that weights and line of a voxel are found anew."""
SETTLED = 1e-4
"""Change of the line at the last echo that ends the search [rad]."""

Lines = npt.NDArray[np.float32]


@compiled
def _moments(p: Any, w: Any, te: Any) -> tuple[float, float, float, float, float]:
    sw, st, stt, sp, stp = 1e-30, 0.0, 0.0, 0.0, 0.0
    for e in range(te.size):
        sw += w[e]
        st += w[e] * te[e]
        stt += w[e] * te[e] * te[e]
        sp += w[e] * p[e]
        stp += w[e] * te[e] * p[e]
    return sw, st, stt, sp, stp


@compiled
def _line(p: Any, w: Any, te: Any, offset: bool) -> tuple[float, float]:
    """Return slope and value at 0 of one voxel."""
    sw, st, stt, sp, stp = _moments(p, w, te)
    if not offset:
        return (stp / stt if stt > 0 else 0.0), 0.0
    spread = stt - st * st / sw
    slope = (stp - st * sp / sw) / spread if spread > 0 else 0.0
    return slope, (sp - slope * st) / sw


@compiled
def _misfit(p: Any, w: Any, te: Any, slope: float, start: float) -> float:
    total, sw = 0.0, 1e-30
    for e in range(te.size):
        r = p[e] - start - slope * te[e]
        total += w[e] * r * r
        sw += w[e]
    return total / sw


@compiled
def _mend(p: Any, w: Any, te: Any, offset: bool, price: float, tried: Any, best: Any) -> None:
    """Add whole turns, in place, where the echoes of a voxel contradict each other."""
    n = te.size
    slope, start = _line(p, w, te, offset)
    worst, total = 0.0, 0.0
    for e in range(n):
        worst = max(worst, abs(p[e] - start - slope * te[e]))
        total += w[e]
    if worst < 0.5:  # one turn too many leaves more than this in some echo
        return
    cost = _misfit(p, w, te, slope, start)
    best[:] = p
    for c in range(n - 1 if offset else n):
        if offset:
            slope = (p[c + 1] - p[c]) / (te[c + 1] - te[c])
            start = p[c] - slope * te[c]
        else:
            slope, start = p[c] / te[c], 0.0
        paid = 0.0
        for e in range(n):
            turns = np.floor((start + slope * te[e] - p[e]) / TWO_PI + 0.5)
            tried[e] = p[e] + TWO_PI * turns
            paid += w[e] * abs(turns)
        slope, start = _line(tried, w, te, offset)
        found = _misfit(tried, w, te, slope, start) + price * paid / total
        if found < cost - 1e-6:
            cost = found
            best[:] = tried
    p[:] = best


@compiled
def mended(
    phase: Any, signal: Any, te: Any, at: Any, scale: float, offset: bool, out: Any, weight: Any
) -> None:
    """Fill (voxel, echo) with the phase (echo, place) of the places `at`, turns mended.

    Every echo (every neighbouring pair, with an offset) proposes a line, the others are
    brought nearest to it, and the line with the least misfit and fewest turns wins.
    `weight` (voxel, echo) becomes the square of `scale` times the signal.
    """
    n = te.size
    p, w, tried, best = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    for k in range(at.size):
        total = 0.0
        for e in range(n):
            p[e] = phase[e, at[k]]
            w[e] = (scale * signal[e, at[k]]) ** 2
            weight[k, e] = w[e]
            total += w[e]
        if total <= 0:
            w[:] = 1.0
        if n > 1:
            _mend(p, w, te, offset, MEND_COST, tried, best)
        for e in range(n):
            out[k, e] = p[e]


@compiled
def _bound(r: float) -> tuple[float, float]:
    """Return sin(r) / r and 2 (1 - cos r)."""
    s = r * r
    if s < 0.25:
        return 1 - s / 6 * (1 - s / 20 * (1 - s / 42)), s * (1 - s / 12 * (1 - s / 30))
    return np.sin(r) / r, 2 * (1 - np.cos(r))


@compiled
def fit_lines(
    phase: Any, weight: Any, te: Any, offset: bool, circular: bool, limit: float, shared: Any,
    out: Any,
) -> None:  # fmt: skip
    """Fit slope and, with `offset`, start to phase (voxel, echo) less `shared` (voxel).

    An echo off the line by more than `limit` / |S| counts in proportion less (Huber). With
    `circular` whole turns do not matter, the misfit of an echo is 2 sin(r / 2) and the
    search begins at the line in `out`: r^2 weighted with sin(r) / r bounds 2 (1 - cos r)
    from above, so that no step makes the sum larger.

    `out` (6, voxel): SLOPE; START, without `offset` the best one for the misfit left, and
    WORTH its inverse variance; MISFIT; CURVE, the inverse variance of the slope; WEIGHT.
    """
    n = te.size
    most = limit * limit
    p, w, h = np.empty(n), np.empty(n), np.empty(n)
    for k in range(phase.shape[0]):
        total = 0.0
        for e in range(n):
            p[e] = phase[k, e] - shared[k]
            w[e] = weight[k, e]
            total += w[e]
        if total <= 0:
            w[:] = 1.0
        sw, st, stt, sp, stp = _moments(p, w, te)
        spread = stt - st * st / sw
        slope, start = stp / stt, 0.0
        if circular:
            slope, start = float(out[SLOPE, k]), float(out[START, k]) if offset else 0.0
        elif offset:
            slope = (stp - st * sp / sw) / spread
            start = (sp - slope * st) / sw
        for _step in range(STEPS):
            held = circular
            misfit, rest = 0.0, 0.0
            for e in range(n):
                r = p[e] - start - slope * te[e]
                h[e] = w[e]
                square = r * r
                if circular:
                    turns = TWO_PI * np.floor(r / TWO_PI + 0.5)
                    p[e] -= turns
                    r -= turns
                    less, square = _bound(r)
                    h[e] *= less
                square *= w[e]
                misfit += square
                if square > most:
                    h[e] *= limit / np.sqrt(square)
                    held = True
                rest += h[e] * r
            if not held:
                break
            was, began = slope, start
            slope, start = _line(p, h, te, offset)
            if abs(slope - was) * te[n - 1] + abs(start - began) < SETTLED:
                break
        worth = spread * sw / stt
        out[SLOPE, k] = slope
        out[START, k] = start if offset else (rest / worth if worth > 1e-6 * sw else 0.0)
        out[MISFIT, k] = misfit if total > 0 else 0.0
        out[WORTH, k] = worth if total > 0 else 0.0
        out[CURVE, k] = 0.0 if total <= 0 else spread if offset else stt
        out[WEIGHT, k] = sw
