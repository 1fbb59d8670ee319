"""What the fits of a mono-exponential decay share."""

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_between, require_finite
from petechia.core.compiled import compiled
from petechia.core.echoes import check_echo_times
from petechia.core.grid import Grid
from petechia.errors import ParameterError

R2STAR_MAX = 1000.0
"""Default upper end of the range of R2* [1/s]: T2* of 1 ms."""
S0_OVER_BRIGHTEST = 10.0
"""S0 is clipped to this many times the scan's largest magnitude: an extrapolation to TE 0
that leads farther from what was measured is worth nothing."""


def checked_echoes(
    magnitude: npt.NDArray[np.floating],
    te_s: tuple[float, ...],
    grid: Grid,
    *,
    at_least: int,
    method: str,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """Return the echoes as contiguous float32 and their times, or raise what is wrong."""
    grid.require(magnitude, "magnitude")
    if magnitude.ndim != 4 or len(te_s) < at_least:
        n = len(te_s) if magnitude.ndim == 4 else 1
        raise ParameterError(
            f"{method} needs {at_least} echoes or more, not {n}",
            where="magnitude",
            mend="Stack the echoes along a first axis"
            + ("; for two echoes use loglinear." if at_least > 2 else "; one echo has no decay."),
        )
    check_echo_times(tuple(te_s), len(magnitude), "te_s")
    require_finite(magnitude, "magnitude")
    low = float(magnitude.min())
    require_between(low, 0.0, np.inf, "magnitude", "A magnitude is not negative: is it phase?")
    return np.ascontiguousarray(magnitude, dtype=np.float32), np.asarray(te_s, dtype=np.float64)


def even_spacing(times: npt.NDArray[np.float64], tolerance: float = 1e-6) -> float:
    """Return the spacing of the echoes [s], or 0 when they are not equally spaced.

    They are when no spacing departs from the mean by more than `tolerance` of it.
    """
    steps = np.diff(times)
    even = np.abs(steps - steps.mean()).max() <= tolerance * steps.mean()
    return float(steps.mean()) if even else 0.0


def check_range(r2star_max: float, where: str) -> None:
    """Raise `ParameterError` unless the upper end of R2* is a sensible rate [1/s]."""
    require_between(r2star_max, 1.0, 1e5, where, "Give a rate in 1/s, e.g. 1000.")


@compiled
def amplitude(signal, te_s, rate, largest):  # type: ignore[no-untyped-def]
    """Return S0 of the least-squares exponential of known `rate`, 0 to `largest`.

    Times count from the first echo, so that no exponential under- or overflows.
    """
    along, norm = 0.0, 0.0
    for e in range(te_s.size):
        decay = np.exp(-rate * (te_s[e] - te_s[0]))
        along += signal[e] * decay
        norm += decay * decay
    return min(along / norm * np.exp(rate * te_s[0]), largest)
