"""Units of the field (ppm, hertz, radians) and of time."""

import numpy as np
import numpy.typing as npt

GAMMA_HZ_PER_T = 42.577478518e6
"""Proton gyromagnetic ratio over 2 pi (CODATA 2018) [Hz/T]."""
DAYS_A_YEAR = 365.25


def hz_per_ppm(b0_t: float) -> float:
    """Return the frequency of one ppm at `b0_t` tesla: 127.732 at 3 T [Hz]."""
    return GAMMA_HZ_PER_T * 1e-6 * b0_t


def radians_per_ppm(b0_t: float, te_s: float) -> float:
    """Return the phase that one ppm gathers in `te_s` seconds [rad]."""
    return 2 * np.pi * hz_per_ppm(b0_t) * te_s


def wrap(phase_rad: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Return `phase_rad` wrapped into [-pi, pi)."""
    turns = np.asarray(phase_rad) / (2 * np.pi)
    out = (turns - np.floor(turns + 0.5)) * (2 * np.pi)
    return np.asarray(out, dtype=np.float32)
