"""Unwrapping from echo to echo, each voxel by itself."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.core.compiled import compiled
from petechia.core.echoes import check_echo_times
from petechia.core.grid import Grid
from petechia.phase.images import Volume, checked_mask, checked_phase, matching_magnitude
from petechia.phase.unwrap.weights import TWO_PI, wrapped


@dataclass(frozen=True, slots=True, kw_only=True)
class TemporalParams:
    """Settings of `temporal`: none."""


def temporal(
    phase_rad: npt.NDArray[np.floating],
    magnitude: npt.NDArray[np.floating] | None,
    te_s: tuple[float, ...],
    mask: npt.NDArray[np.bool_],
    grid: Grid,
    params: TemporalParams | None = None,
) -> Volume:
    r"""Unwrap over the echoes only: no voxel learns from its neighbours.

    The wrapped step over the shortest echo spacing gives each voxel a rate; the first echo
    takes the turns nearest to it, each later one those nearest to the line through 0 and the
    echoes before it, weighted with the squared magnitude.

    Parameters
    ----------
    phase_rad : (E, I, J, K) ndarray of float
        Wrapped phase without offset [rad].
    magnitude : (E, I, J, K) ndarray of float, or None
        Magnitude of the same echoes.
    te_s : tuple of float
        Time over which each image evolved, increasing [s].
    mask : (I, J, K) ndarray of bool
    grid : Grid
    params : TemporalParams, optional

    Returns
    -------
    unwrapped_rad : (E, I, J, K) ndarray of float32
        `phase_rad` plus whole turns in the mask, 0 outside [rad].

    Raises
    ------
    InputError
        If shapes disagree, the mask is empty or a voxel is not finite.
    ParameterError
        If echo times do not fit.

    Notes
    -----
    Right where the field turns the phase by less than half a turn within the shortest echo
    spacing (50 Hz for 10 ms): beyond, and with one echo, wraps stay. Errors do not spread.

    References
    ----------
    .. [1] Feng, Neelavalli & Haacke (2013), Magn. Reson. Med. 70, 117-126,
       doi:10.1002/mrm.24457.
    """
    phase = checked_phase(phase_rad, grid)
    mask = checked_mask(mask, grid)
    m = matching_magnitude(phase, magnitude, grid)
    n = len(phase)
    check_echo_times(tuple(te_s), n, "temporal.te_s")
    out = np.zeros(phase.shape, dtype=np.float32)
    shortest = int(np.argmin(np.diff(te_s))) if n > 1 else -1
    _follow(
        phase.reshape(n, -1),
        (phase if m is None else m).reshape(n, -1),
        m is not None,
        np.asarray(te_s, dtype=np.float64),
        shortest,
        mask.ravel(),
        out.reshape(n, -1),
    )
    return out


@compiled
def _follow(p: Any, m: Any, weighted: bool, te: Any, shortest: int, mask: Any, out: Any) -> None:
    for v in range(mask.size):
        if not mask[v]:
            continue
        expected = 0.0
        if shortest >= 0:
            step = wrapped(p[shortest + 1, v] - p[shortest, v])
            expected = step / (te[shortest + 1] - te[shortest]) * te[0]
        up, down = 0.0, 1e-30
        for e in range(te.size):
            if e > 0:
                expected = up / down * te[e]
            turns = np.floor((expected - p[e, v]) / TWO_PI + 0.5)
            out[e, v] = p[e, v] + np.float32(TWO_PI * turns)
            w = m[e, v] * m[e, v] + 1e-20 if weighted else 1.0
            up += w * te[e] * out[e, v]
            down += w * te[e] * te[e]
