"""Several echoes into one image."""

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_finite
from petechia.core.echoes import check_echo_times
from petechia.errors import InputError

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
    if magnitude.ndim != 4:
        raise InputError(
            f"shape {magnitude.shape} is not (echo, i, j, k)",
            where="magnitude",
            mend="Stack the echoes along a new first axis.",
        )
    check_echo_times(tuple(te_s), len(magnitude), "te_s")
    require_finite(magnitude, "magnitude")
    total = np.zeros(magnitude.shape[1:], dtype=np.float32)
    for echo in magnitude:
        total += np.square(echo, dtype=np.float32)
    return np.asarray(np.sqrt(total), dtype=np.float32)
