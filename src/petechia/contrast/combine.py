"""Several echoes into one image."""

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_finite
from petechia.core.echoes import check_echo_times
from petechia.errors import InputError, ParameterError

Volume = npt.NDArray[np.float32]


def combine_magnitude(magnitude: npt.NDArray[np.floating], te_s: tuple[float, ...]) -> Volume:
    """Return the root of the sum of squares over echoes.

    Parameters
    ----------
    magnitude : (E, I, J, K) ndarray of float
        Echoes; a single one is returned as it is.
    te_s : (E,) tuple of float
        Echo times [s].

    Returns
    -------
    combined : (I, J, K) ndarray of float32
        In the units of the echoes times the root of their number.

    Raises
    ------
    InputError
        If the echoes are not stacked, are not finite, or do not fit their times.
    """
    _check(magnitude, te_s, "magnitude")
    total = np.zeros(magnitude.shape[1:], dtype=np.float32)
    for echo in magnitude:
        total += np.square(echo, dtype=np.float32)
    return np.asarray(np.sqrt(total), dtype=np.float32)


def combine_highpass(
    highpass_rad: npt.NDArray[np.floating],
    magnitude: npt.NDArray[np.floating],
    te_s: tuple[float, ...],
    reading_te_s: float | None = None,
) -> Volume:
    r"""Return the high-pass phase at one echo time as all echoes together tell it.

    The high-pass phase of an echo grows with its echo time and carries no offset, which
    is smooth; so the rate is fitted through zero with the weights of phase noise, and
    read at one time:

    .. math:: \varphi(T) = T \,
        \frac{\sum_e |S_e|^2 t_e \varphi_e}{\sum_e |S_e|^2 t_e^2}

    Parameters
    ----------
    highpass_rad : (E, I, J, K) ndarray of float
        High-pass phase of each echo [rad].
    magnitude : (E, I, J, K) ndarray of float
        Their magnitudes. A voxel without signal in any echo gets 0.
    te_s : (E,) tuple of float
        Echo times [s].
    reading_te_s : float, optional
        Time T at which the result is stated [s]; the last echo's by default.

    Returns
    -------
    highpass_rad : (I, J, K) ndarray of float32
        Not wrapped: beyond pi where the fit says so [rad].

    Raises
    ------
    InputError
        If the echoes are not stacked alike, are not finite, or do not fit their times.
    """
    _check(magnitude, te_s, "magnitude")
    _check(highpass_rad, te_s, "highpass_rad")
    if highpass_rad.shape != magnitude.shape:
        raise InputError(
            f"shape {highpass_rad.shape} is not that of magnitude, {magnitude.shape}",
            where="highpass_rad",
            mend="Give one high-pass phase for each magnitude echo.",
        )
    reading = te_s[-1] if reading_te_s is None else reading_te_s
    if not 0 < reading <= 0.5:
        raise ParameterError(
            f"{reading} s is not an echo time",
            where="reading_te_s",
            mend="Give seconds (20 ms is 0.02).",
        )
    above, below = (np.zeros(magnitude.shape[1:], dtype=np.float32) for _ in range(2))
    unit = np.float32(np.max(magnitude)) or np.float32(1)
    for phase, echo, te in zip(highpass_rad, magnitude, te_s, strict=True):
        relative = np.float32(te / reading)
        weight = np.square(np.asarray(echo, dtype=np.float32) / unit) * relative
        above += weight * np.asarray(phase, dtype=np.float32)
        below += weight * relative
    out = np.zeros_like(above)
    np.divide(above, below, out=out, where=below > 0)
    return out


def _check(echoes: npt.NDArray[np.floating], te_s: tuple[float, ...], name: str) -> None:
    if echoes.ndim != 4:
        raise InputError(
            f"shape {echoes.shape} is not (echo, i, j, k)",
            where=name,
            mend="Stack the echoes along a new first axis.",
        )
    check_echo_times(tuple(te_s), len(echoes), "te_s")
    require_finite(echoes, name)
